//! Owns the flags of create requests. Source: `CreateMode`, `Op.Create.getOpcode`.

use menagerie_wire::client::CreateRequest;
use menagerie_wire::jute::decode_all;
use menagerie_wire::multi::{MultiOp, MultiRequest};
use menagerie_wire::op::{ErrorCode, op_code};

use crate::txn::CreateKind;

/// What the flags of a create request say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CreateMode {
    pub(crate) ephemeral: bool,
    pub(crate) sequential: bool,
    pub(crate) container: bool,
    pub(crate) ttl: bool,
}

impl CreateMode {
    /// Source: `CreateMode.fromFlag`.
    pub(crate) const fn from_flags(flags: i32) -> Result<Self, ErrorCode> {
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
    pub(crate) const fn kind(self, op: i32, ttl_ms: i64) -> Result<CreateKind, ErrorCode> {
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

/// Whether requests of that kind are looked through for ephemeral nodes when their session is local.
/// Source: `QuorumZooKeeperServer.checkUpgradeSession`.
pub(crate) const fn may_make_ephemerals(op: i32) -> bool {
    matches!(op, op_code::CREATE | op_code::CREATE2 | op_code::MULTI)
}

/// Whether a request asks for an ephemeral node, alone or among others; one that cannot be read does
/// not. Source: `QuorumZooKeeperServer.checkUpgradeSession`.
pub(crate) fn makes_ephemerals(op: i32, body: &[u8]) -> bool {
    if !may_make_ephemerals(op) {
        return false;
    }
    let is_ephemeral = |flags: i32| CreateMode::from_flags(flags).is_ok_and(|mode| mode.ephemeral);
    if op != op_code::MULTI {
        let request = decode_all::<CreateRequest<'_>>(body);
        return request.is_ok_and(|request| is_ephemeral(request.flags));
    }
    let request = decode_all::<MultiRequest<'_>>(body);
    request.is_ok_and(|request| {
        request.ops.iter().any(|op| match op {
            MultiOp::Create(_, create) => is_ephemeral(create.flags),
            MultiOp::CreateTtl(create) => is_ephemeral(create.flags),
            _ => false,
        })
    })
}
