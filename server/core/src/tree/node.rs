//! Owns a znode's record and its compact name. May use `wire::data`. Must not know other nodes.

use std::sync::Arc;

use menagerie_wire::data::{Stat, StatPersisted};

use crate::acl::AclId;

/// Identifies a znode while it exists; reused after it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZnodeId(pub(crate) u32);

impl ZnodeId {
    /// The root, which always exists.
    pub const ROOT: Self = Self(0);
}

/// The longest name that needs no allocation of its own, in bytes.
const INLINE_MAX: usize = 22;

/// A path component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Inline(u8, [u8; INLINE_MAX]),
    Heap(Box<[u8]>),
}

impl Name {
    pub(crate) fn new(name: &str) -> Self {
        let bytes = name.as_bytes();
        let mut inline = [0; INLINE_MAX];
        match (inline.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            (Some(room), Ok(len)) => {
                room.copy_from_slice(bytes);
                Self::Inline(len, inline)
            }
            _ => Self::Heap(bytes.into()),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline(len, bytes) => &bytes[..usize::from(*len)],
            Self::Heap(bytes) => bytes,
        }
    }

    /// The name as text; it was text when it was made.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// A node of the tree.
#[derive(Debug)]
pub struct Znode {
    pub(crate) name: Name,
    pub(crate) data: Option<Arc<[u8]>>,
    pub(crate) stat: StatPersisted,
    pub(crate) parent: ZnodeId,
    /// Position among the parent's children.
    pub(crate) slot: u32,
    pub(crate) acl: AclId,
    /// CRC-32 of path and data; the digest continues it with the stat.
    pub(crate) prefix_crc: u32,
    // A `Vec` in a box: most nodes have no children, and eight bytes count a million times.
    #[allow(clippy::box_collection)]
    pub(crate) children: Option<Box<Vec<ZnodeId>>>,
}

impl Znode {
    /// The node's data; `None` is null, which clients can tell from empty.
    #[must_use]
    pub const fn data(&self) -> Option<&Arc<[u8]>> {
        self.data.as_ref()
    }

    /// The persisted state.
    #[must_use]
    pub const fn stat(&self) -> &StatPersisted {
        &self.stat
    }

    /// The node's interned ACL.
    #[must_use]
    pub const fn acl(&self) -> AclId {
        self.acl
    }

    /// The last component of its path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Ids of the children, in no order.
    #[must_use]
    pub fn children(&self) -> &[ZnodeId] {
        self.children
            .as_ref()
            .map_or(&[], |children| children.as_slice())
    }

    /// Bytes of data, 0 for null.
    #[must_use]
    pub fn data_len(&self) -> usize {
        self.data.as_ref().map_or(0, |data| data.len())
    }

    /// Children now, as the protocol counts them.
    #[must_use]
    pub fn num_children(&self) -> i32 {
        i32::try_from(self.children().len()).unwrap_or(i32::MAX)
    }
}

/// What clients see of a node. Source: `DataNode.copyStat`.
#[must_use]
pub fn client_stat(stat: &StatPersisted, owner: Owner, data_len: usize, num_children: i32) -> Stat {
    Stat {
        czxid: stat.czxid,
        mzxid: stat.mzxid,
        ctime: stat.ctime,
        mtime: stat.mtime,
        version: stat.version,
        cversion: stat.cversion.wrapping_mul(2).wrapping_sub(num_children),
        aversion: stat.aversion,
        ephemeral_owner: match owner {
            Owner::Session(id) => id,
            _ => 0,
        },
        data_length: i32::try_from(data_len).unwrap_or(i32::MAX),
        num_children,
        pzxid: stat.pzxid,
    }
}

/// Who owns a node, as `StatPersisted::ephemeral_owner` encodes it. Source: `EphemeralType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Nobody: a persistent node.
    Persistent,
    /// A session: an ephemeral node.
    Session(i64),
    /// Itself, until its last child is gone.
    Container,
    /// The clock: it goes when it had no change for so many ms.
    Ttl(i64),
}

/// Where clients find the configuration of the ensemble. Source: `ZooDefs.CONFIG_NODE`.
pub const CONFIG_NODE: &str = "/zookeeper/config";
/// The owner value of containers.
pub const CONTAINER_OWNER: i64 = i64::MIN;
/// The longest time to live, ms.
pub const TTL_MAX: i64 = 0x00FF_FFFF_FFFF;
const EXTENDED_MASK: i64 = 0xFF << 56;
const FEATURE_MASK: i64 = 0x00FF_FF00_0000_0000;

/// How owner values are read, from configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct OwnerRules {
    /// `zookeeper.extendedTypesEnabled`
    pub extended_types: bool,
    /// `zookeeper.emulate353TTLNodes`
    pub emulate_353: bool,
}

impl OwnerRules {
    /// Reads an owner value. Source: `EphemeralType.get`, `EphemeralTypeEmulate353.get`.
    #[must_use]
    pub const fn read(self, owner: i64) -> Owner {
        if owner == 0 {
            return Owner::Persistent;
        }
        if owner == CONTAINER_OWNER {
            return Owner::Container;
        }
        if self.extended_types {
            if self.emulate_353 && owner < 0 {
                return Owner::Ttl(owner & i64::MAX);
            }
            // Only feature 0, TTL, exists; ZooKeeper throws for others, a session id is milder.
            if owner & EXTENDED_MASK == EXTENDED_MASK && owner & FEATURE_MASK == 0 {
                return Owner::Ttl(owner & TTL_MAX);
            }
        }
        Owner::Session(owner)
    }

    /// The owner value of a node with that time to live. Source: `EphemeralType.TTL`.
    #[must_use]
    pub const fn ttl_owner(self, ttl_ms: i64) -> i64 {
        if self.emulate_353 {
            ttl_ms | i64::MIN
        } else {
            ttl_ms | EXTENDED_MASK
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_znode_takes_no_more_than_128_bytes() {
        assert!(
            size_of::<Option<Znode>>() <= 128,
            "{}",
            size_of::<Option<Znode>>()
        );
    }

    #[test]
    fn names_keep_their_text_inline_or_not() {
        for name in [
            "",
            "a",
            "0123456789012345678901",
            "01234567890123456789012",
            "é".repeat(20).as_str(),
        ] {
            assert_eq!(Name::new(name).as_str(), name);
        }
    }

    #[test]
    fn owners_are_read_as_the_rules_say() {
        let off = OwnerRules::default();
        let on = OwnerRules {
            extended_types: true,
            emulate_353: false,
        };
        assert_eq!(off.read(0), Owner::Persistent);
        assert_eq!(on.read(CONTAINER_OWNER), Owner::Container);
        assert_eq!(on.read(on.ttl_owner(5000)), Owner::Ttl(5000));
        assert_eq!(
            off.read(on.ttl_owner(5000)),
            Owner::Session(on.ttl_owner(5000))
        );
        assert_eq!(
            on.read(0x0100_0000_0000_0001),
            Owner::Session(0x0100_0000_0000_0001)
        );
    }
}
