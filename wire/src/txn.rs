//! Owns the records of the transaction log and of snapshots.
//! Source: `zookeeper.jute`, modules `org.apache.zookeeper.txn` and `server.persistence`;
//! `SerializeUtils.deserializeTxn`.

use std::borrow::Cow;

use crate::data::Acl;
use crate::jute::record;

type Text<'a> = Option<Cow<'a, str>>;

/// `ZKLG`, the first four bytes of a transaction log.
pub const LOG_MAGIC: i32 = 0x5A4B_4C47;
/// `ZKSN`, the first four bytes of a snapshot.
pub const SNAPSHOT_MAGIC: i32 = 0x5A4B_534E;
/// Version 2 of both file formats.
pub const FILE_VERSION: i32 = 2;
/// The version of the tree digest that this code computes. Source: `DigestCalculator`.
pub const DIGEST_VERSION: i32 = 2;

record! {
    /// The head of a log or snapshot file, 16 bytes.
    #[derive(Copy)]
    pub struct FileHeader {
        /// [`LOG_MAGIC`] or [`SNAPSHOT_MAGIC`].
        pub magic: i32,
        /// [`FILE_VERSION`].
        pub version: i32,
        /// 0 in logs, −1 in snapshots.
        pub dbid: i64,
    }
}

record! {
    /// The head of a transaction, 32 bytes.
    #[derive(Copy)]
    pub struct TxnHeader {
        /// The session.
        pub client_id: i64,
        /// The request's xid.
        pub cxid: i32,
        /// The transaction's id.
        pub zxid: i64,
        /// The leader's wall clock, ms since the Unix epoch.
        pub time: i64,
        /// One of [`crate::op::op_code`].
        pub op: i32,
    }
}

record! {
    /// The digest of the tree after a transaction.
    #[derive(Copy)]
    pub struct TxnDigest {
        /// [`DIGEST_VERSION`].
        pub version: i32,
        /// Sum of all node digests.
        pub tree_digest: i64,
    }
}

record! {
    /// create and create2.
    pub struct CreateTxn<'a> {
        /// Final path.
        pub path: Text<'a>,
        /// Data.
        #[serde(with = "serde_bytes")]
        pub data: Option<&'a [u8]>,
        /// ACL.
        pub acl: Option<Vec<Acl<'a>>>,
        /// Whether the session owns the node.
        pub ephemeral: bool,
        /// The parent's creation counter after this transaction.
        pub parent_c_version: i32,
    }
}

record! {
    /// create as written before 3.4.
    pub struct CreateTxnV0<'a> {
        /// Final path.
        pub path: Text<'a>,
        /// Data.
        #[serde(with = "serde_bytes")]
        pub data: Option<&'a [u8]>,
        /// ACL.
        pub acl: Option<Vec<Acl<'a>>>,
        /// Whether the session owns the node.
        pub ephemeral: bool,
    }
}

record! {
    /// createTTL.
    pub struct CreateTtlTxn<'a> {
        /// Final path.
        pub path: Text<'a>,
        /// Data.
        #[serde(with = "serde_bytes")]
        pub data: Option<&'a [u8]>,
        /// ACL.
        pub acl: Option<Vec<Acl<'a>>>,
        /// The parent's creation counter after this transaction.
        pub parent_c_version: i32,
        /// Time to live in ms.
        pub ttl: i64,
    }
}

record! {
    /// createContainer.
    pub struct CreateContainerTxn<'a> {
        /// Final path.
        pub path: Text<'a>,
        /// Data.
        #[serde(with = "serde_bytes")]
        pub data: Option<&'a [u8]>,
        /// ACL.
        pub acl: Option<Vec<Acl<'a>>>,
        /// The parent's creation counter after this transaction.
        pub parent_c_version: i32,
    }
}

record! {
    /// delete and deleteContainer.
    pub struct DeleteTxn<'a> {
        /// The node.
        pub path: Text<'a>,
    }
}

record! {
    /// setData and reconfig; `version` is the new one.
    pub struct SetDataTxn<'a> {
        /// The node.
        pub path: Text<'a>,
        /// New data.
        #[serde(with = "serde_bytes")]
        pub data: Option<&'a [u8]>,
        /// New version.
        pub version: i32,
    }
}

record! {
    /// setACL; `version` is the new aversion.
    pub struct SetAclTxn<'a> {
        /// The node.
        pub path: Text<'a>,
        /// New ACL.
        pub acl: Option<Vec<Acl<'a>>>,
        /// New aversion.
        pub version: i32,
    }
}

record! {
    /// check, inside a multi.
    pub struct CheckVersionTxn<'a> {
        /// The node.
        pub path: Text<'a>,
        /// The expected version.
        pub version: i32,
    }
}

record! {
    /// createSession.
    #[derive(Copy)]
    pub struct CreateSessionTxn {
        /// Time-out in ms.
        pub time_out: i32,
    }
}

record! {
    /// closeSession.
    pub struct CloseSessionTxn<'a> {
        /// The session's ephemeral nodes.
        pub paths_to_delete: Option<Vec<Cow<'a, str>>>,
    }
}

record! {
    /// A failed request.
    #[derive(Copy)]
    pub struct ErrorTxn {
        /// An [`crate::op::ErrorCode`].
        pub err: i32,
    }
}

record! {
    /// One part of a multi: an operation code and its encoded record.
    pub struct SubTxn<'a> {
        /// One of [`crate::op::op_code`].
        pub op: i32,
        /// The record.
        #[serde(with = "serde_bytes")]
        pub data: Option<&'a [u8]>,
    }
}

record! {
    /// multi.
    pub struct MultiTxn<'a> {
        /// The parts in order.
        pub txns: Option<Vec<SubTxn<'a>>>,
    }
}
