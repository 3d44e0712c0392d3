//! Owns the records that several others are made of: `Stat`, `Acl`, `Id`, `StatPersisted`.
//! Source: `zookeeper.jute`, module `org.apache.zookeeper.data`.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeStruct as _, Serializer};

use crate::jute::{Decode, JuteResult, deserialize_record, record};

/// Permission bits of an [`Acl`]. Source: `ZooDefs.Perms`.
pub mod perms {
    /// May read data and list children.
    pub const READ: i32 = 1;
    /// May set data.
    pub const WRITE: i32 = 2;
    /// May create children.
    pub const CREATE: i32 = 4;
    /// May delete children.
    pub const DELETE: i32 = 8;
    /// May set the ACL.
    pub const ADMIN: i32 = 16;
    /// All five.
    pub const ALL: i32 = 31;
}

record! {
    /// An identity: a scheme and what that scheme says of the client. Both may be null on the
    /// wire; the server then refuses the ACL.
    pub struct Id<'a> {
        /// `world`, `ip`, `digest`, …
        pub scheme: Option<Cow<'a, str>>,
        /// The identity within the scheme.
        pub id: Option<Cow<'a, str>>,
    }
}

/// Permissions granted to an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl<'a> {
    /// Bits of [`perms`]; others are kept as they came.
    pub perms: i32,
    /// To whom.
    pub id: Id<'a>,
}

impl Serialize for Acl<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_struct("ACL", 2)?;
        record.serialize_field("perms", &self.perms)?;
        record.serialize_field("id", &self.id)?;
        record.end()
    }
}

deserialize_record!(Acl, Acl<'de> { perms, id });

impl<'a> Decode<'a> for Acl<'a> {
    fn decode(input: &'a [u8]) -> JuteResult<'a, Self> {
        let (input, perms) = i32::decode(input)?;
        let (input, id) = Id::decode(input)?;
        Ok((input, Self { perms, id }))
    }
}

impl<'a> Acl<'a> {
    /// An entry for `scheme:id`.
    pub fn new(perms: i32, scheme: impl Into<Cow<'a, str>>, id: impl Into<Cow<'a, str>>) -> Self {
        Self {
            perms,
            id: Id {
                scheme: Some(scheme.into()),
                id: Some(id.into()),
            },
        }
    }
}

record! {
    /// What clients see of a znode, 68 bytes.
    #[derive(Copy, Default)]
    pub struct Stat {
        /// Zxid of the creation.
        pub czxid: i64,
        /// Zxid of the last change of data.
        pub mzxid: i64,
        /// Creation time, ms since the Unix epoch, the leader's clock.
        pub ctime: i64,
        /// Time of the last change of data, ms.
        pub mtime: i64,
        /// Changes of the data.
        pub version: i32,
        /// Creations plus deletions of children.
        pub cversion: i32,
        /// Changes of the ACL.
        pub aversion: i32,
        /// Session that owns an ephemeral node, else 0.
        pub ephemeral_owner: i64,
        /// Bytes of data; 0 for null.
        pub data_length: i32,
        /// Children now.
        pub num_children: i32,
        /// Zxid of the last creation or deletion of a child.
        pub pzxid: i64,
    }
}

record! {
    /// What snapshots hold of a znode's state, 60 bytes. `cversion` counts creations of children
    /// only; `ephemeral_owner` also encodes containers and TTLs.
    #[derive(Copy, Default)]
    pub struct StatPersisted {
        /// Zxid of the creation.
        pub czxid: i64,
        /// Zxid of the last change of data.
        pub mzxid: i64,
        /// Creation time, ms since the Unix epoch.
        pub ctime: i64,
        /// Time of the last change of data, ms.
        pub mtime: i64,
        /// Changes of the data.
        pub version: i32,
        /// Creations of children.
        pub cversion: i32,
        /// Changes of the ACL.
        pub aversion: i32,
        /// Session, container mark or TTL; see `EphemeralType`.
        pub ephemeral_owner: i64,
        /// Zxid of the last creation or deletion of a child.
        pub pzxid: i64,
    }
}
