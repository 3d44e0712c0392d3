//! Owns the records between servers. Must not know when they are sent.
//! Source: `zookeeper.jute`, module `org.apache.zookeeper.server.quorum`.

use crate::data::Id;
use crate::jute::record;

record! {
    /// Every message between leader and learner; there is no length before it.
    pub struct QuorumPacket<'a> {
        /// The kind, such as `Leader.PROPOSAL`.
        pub kind: i32,
        /// A zxid, or what the kind makes of it.
        pub zxid: i64,
        /// What the kind wants.
        #[serde(with = "serde_bytes")]
        pub data: Option<&'a [u8]>,
        /// Identities of the client in a forwarded request.
        pub auth_info: Option<Vec<Id<'a>>>,
    }
}

record! {
    /// How a learner introduces itself, 20 bytes; servers before 3.4 and 3.5 sent 8 and 12.
    #[derive(Copy)]
    pub struct LearnerInfo {
        /// The server's number.
        pub server_id: i64,
        /// 0x10000 since 3.4.
        pub protocol_version: i32,
        /// Version of the configuration it has.
        pub config_version: i64,
    }
}
