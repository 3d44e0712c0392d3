//! Owns the flags of create requests. Source: `CreateMode`, `Op.Create.getOpcode`.

use menagerie_wire::op::{ErrorCode, op_code};

use crate::txn::CreateKind;

/// What the flags of a create request say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CreateMode {
    pub(super) ephemeral: bool,
    pub(super) sequential: bool,
    pub(super) container: bool,
    pub(super) ttl: bool,
}

impl CreateMode {
    /// Source: `CreateMode.fromFlag`.
    pub(super) const fn from_flags(flags: i32) -> Result<Self, ErrorCode> {
        let (ephemeral, sequential, container, ttl) = match flags {
            0 => (false, false, false, false),
            1 => (true, false, false, false),
            2 => (false, true, false, false),
            3 => (true, true, false, false),
            4 => (false, false, true, false),
            5 => (false, false, false, true),
            6 => (false, true, false, true),
            _ => return Err(ErrorCode::BadArguments),
        };
        Ok(Self {
            ephemeral,
            sequential,
            container,
            ttl,
        })
    }

    /// The kind of node: the operation decides, not the flags. createTTL with flags of another
    /// kind is refused; Apache's server logs such a transaction and dies applying it.
    pub(super) const fn kind(self, op: i32, ttl_ms: i64) -> Result<CreateKind, ErrorCode> {
        Ok(match op {
            op_code::CREATE_CONTAINER => CreateKind::Container,
            op_code::CREATE_TTL if self.ttl => CreateKind::Ttl(ttl_ms),
            op_code::CREATE_TTL => return Err(ErrorCode::BadArguments),
            _ => CreateKind::Plain {
                op,
                ephemeral: self.ephemeral,
            },
        })
    }
}
