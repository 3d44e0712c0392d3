//! Owns the records of the client protocol: handshake, headers, requests, responses.
//! Source: `zookeeper.jute`, module `org.apache.zookeeper.proto`.
//!
//! Paths are nullable here because ZooKeeper decodes a null path and fails only where it is used.

use std::borrow::Cow;

use crate::data::{Acl, Stat};
use crate::jute::{Decode, JuteResult, record};

/// A nullable `ustring`.
type Text<'a> = Option<Cow<'a, str>>;
/// A nullable vector of `ustring`.
type Texts<'a> = Option<Vec<Cow<'a, str>>>;

/// The first frame of a connection. `read_only` is `None` when the client (3.3 and older, and
/// several independent ones) leaves the byte out; the response then leaves it out as well.
/// Source: `ProtocolManager`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectRequest<'a> {
    /// Ignored by servers.
    pub protocol_version: i32,
    /// The last zxid that the client has seen.
    pub last_zxid_seen: i64,
    /// Requested session time-out in ms.
    pub time_out: i32,
    /// Session to take up again, or 0.
    pub session_id: i64,
    /// That session's password.
    pub passwd: Option<&'a [u8]>,
    /// Whether a read-only server will do.
    pub read_only: Option<bool>,
}

record! {
    /// The part of [`ConnectRequest`] that every client sends.
    pub struct ConnectRequestBase<'a> {
        /// Ignored by servers.
        pub protocol_version: i32,
        /// The last zxid that the client has seen.
        pub last_zxid_seen: i64,
        /// Requested session time-out in ms.
        pub time_out: i32,
        /// Session to take up again, or 0.
        pub session_id: i64,
        /// That session's password.
        #[serde(with = "serde_bytes")]
        pub passwd: Option<&'a [u8]>,
    }
}

impl<'a> Decode<'a> for ConnectRequest<'a> {
    fn decode(input: &'a [u8]) -> JuteResult<'a, Self> {
        let (rest, base) = ConnectRequestBase::decode(input)?;
        let (rest, read_only) = if rest.is_empty() {
            (rest, None)
        } else {
            let (rest, flag) = bool::decode(rest)?;
            (rest, Some(flag))
        };
        let ConnectRequestBase {
            protocol_version,
            last_zxid_seen,
            time_out,
            session_id,
            passwd,
        } = base;
        Ok((
            rest,
            Self {
                protocol_version,
                last_zxid_seen,
                time_out,
                session_id,
                passwd,
                read_only,
            },
        ))
    }
}

impl serde::Serialize for ConnectRequest<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeTuple as _;
        let base = ConnectRequestBase {
            protocol_version: self.protocol_version,
            last_zxid_seen: self.last_zxid_seen,
            time_out: self.time_out,
            session_id: self.session_id,
            passwd: self.passwd,
        };
        let mut tuple = serializer.serialize_tuple(2)?;
        tuple.serialize_element(&base)?;
        if let Some(read_only) = self.read_only {
            tuple.serialize_element(&read_only)?;
        }
        tuple.end()
    }
}

record! {
    /// The answer to [`ConnectRequest`], without the trailing read-only byte, which is appended
    /// only for clients that sent one.
    pub struct ConnectResponse<'a> {
        /// Always 0.
        pub protocol_version: i32,
        /// Negotiated time-out in ms; 0 refuses the session.
        pub time_out: i32,
        /// The session.
        pub session_id: i64,
        /// Its password, 16 bytes.
        #[serde(with = "serde_bytes")]
        pub passwd: Option<&'a [u8]>,
    }
}

record! {
    /// Precedes every request but the first.
    #[derive(Copy)]
    pub struct RequestHeader {
        /// Chosen by the client, echoed in the reply.
        pub xid: i32,
        /// One of [`crate::op::op_code`].
        pub op: i32,
    }
}

record! {
    /// Precedes every reply but the first.
    #[derive(Copy)]
    pub struct ReplyHeader {
        /// Of the request, or one of [`crate::op::xid`].
        pub xid: i32,
        /// Last processed zxid.
        pub zxid: i64,
        /// An [`crate::op::ErrorCode`]; a body follows only when it is 0.
        pub err: i32,
    }
}

record! {
    /// Requests that hold a path and nothing else: getACL, sync, getAllChildrenNumber,
    /// getEphemerals, deleteContainer.
    pub struct PathRequest<'a> {
        /// The node.
        pub path: Text<'a>,
    }
}

record! {
    /// create, create2, createContainer.
    pub struct CreateRequest<'a> {
        /// The node, or its prefix when sequential.
        pub path: Text<'a>,
        /// Its data.
        #[serde(with = "serde_bytes")]
        pub data: Option<&'a [u8]>,
        /// Its ACL.
        pub acl: Option<Vec<Acl<'a>>>,
        /// A `CreateMode`.
        pub flags: i32,
    }
}

record! {
    /// createTTL.
    pub struct CreateTtlRequest<'a> {
        /// The node, or its prefix when sequential.
        pub path: Text<'a>,
        /// Its data.
        #[serde(with = "serde_bytes")]
        pub data: Option<&'a [u8]>,
        /// Its ACL.
        pub acl: Option<Vec<Acl<'a>>>,
        /// A `CreateMode`.
        pub flags: i32,
        /// Time to live in ms.
        pub ttl: i64,
    }
}

record! {
    /// delete and check: a path and the expected version, −1 for any.
    pub struct PathVersionRequest<'a> {
        /// The node.
        pub path: Text<'a>,
        /// Expected version.
        pub version: i32,
    }
}

record! {
    /// exists, getData, getChildren, getChildren2.
    pub struct PathWatchRequest<'a> {
        /// The node.
        pub path: Text<'a>,
        /// Whether to leave a watch.
        pub watch: bool,
    }
}

record! {
    /// setData.
    pub struct SetDataRequest<'a> {
        /// The node.
        pub path: Text<'a>,
        /// New data.
        #[serde(with = "serde_bytes")]
        pub data: Option<&'a [u8]>,
        /// Expected version, −1 for any.
        pub version: i32,
    }
}

record! {
    /// setACL.
    pub struct SetAclRequest<'a> {
        /// The node.
        pub path: Text<'a>,
        /// New ACL.
        pub acl: Option<Vec<Acl<'a>>>,
        /// Expected aversion, −1 for any.
        pub version: i32,
    }
}

record! {
    /// reconfig.
    pub struct ReconfigRequest<'a> {
        /// Servers to add, `server.N=spec` separated by commas.
        pub joining_servers: Text<'a>,
        /// Ids to remove, separated by commas.
        pub leaving_servers: Text<'a>,
        /// A full replacement.
        pub new_members: Text<'a>,
        /// Expected configuration version, −1 for any.
        pub cur_config_id: i64,
    }
}

record! {
    /// checkWatches and removeWatches: a path and a `WatcherType`.
    pub struct PathTypeRequest<'a> {
        /// The node.
        pub path: Text<'a>,
        /// Which watches.
        pub kind: i32,
    }
}

record! {
    /// addWatch.
    pub struct AddWatchRequest<'a> {
        /// The node, which need not exist.
        pub path: Text<'a>,
        /// 0 persistent, 1 persistent recursive.
        pub mode: i32,
    }
}

record! {
    /// auth.
    pub struct AuthPacket<'a> {
        /// Ignored.
        pub kind: i32,
        /// Authentication scheme.
        pub scheme: Text<'a>,
        /// What the scheme wants.
        #[serde(with = "serde_bytes")]
        pub auth: Option<&'a [u8]>,
    }
}

record! {
    /// setWatches.
    pub struct SetWatches<'a> {
        /// Last zxid the client has seen.
        pub relative_zxid: i64,
        /// getData watches.
        pub data: Texts<'a>,
        /// exists watches on absent nodes.
        pub exist: Texts<'a>,
        /// getChildren watches.
        pub child: Texts<'a>,
    }
}

record! {
    /// setWatches2.
    pub struct SetWatches2<'a> {
        /// Last zxid the client has seen.
        pub relative_zxid: i64,
        /// getData watches.
        pub data: Texts<'a>,
        /// exists watches on absent nodes.
        pub exist: Texts<'a>,
        /// getChildren watches.
        pub child: Texts<'a>,
        /// Persistent watches.
        pub persistent: Texts<'a>,
        /// Persistent recursive watches.
        pub persistent_recursive: Texts<'a>,
    }
}

record! {
    /// sasl, both ways.
    pub struct SaslToken<'a> {
        /// What the mechanism says.
        #[serde(with = "serde_bytes")]
        pub token: Option<&'a [u8]>,
    }
}

record! {
    /// Replies that are a path: create, sync.
    pub struct PathResponse<'a> {
        /// The path.
        pub path: Text<'a>,
    }
}

record! {
    /// create2, createContainer, createTTL.
    pub struct Create2Response<'a> {
        /// The path as created.
        pub path: Text<'a>,
        /// The new node.
        pub stat: Stat,
    }
}

record! {
    /// exists, setData, setACL.
    #[derive(Copy)]
    pub struct StatResponse {
        /// The node after the operation.
        pub stat: Stat,
    }
}

record! {
    /// getData and reconfig.
    pub struct GetDataResponse<'a> {
        /// The data.
        #[serde(with = "serde_bytes")]
        pub data: Option<&'a [u8]>,
        /// The node.
        pub stat: Stat,
    }
}

record! {
    /// getACL.
    pub struct GetAclResponse<'a> {
        /// The ACL.
        pub acl: Option<Vec<Acl<'a>>>,
        /// The node.
        pub stat: Stat,
    }
}

record! {
    /// getChildren.
    pub struct GetChildrenResponse<'a> {
        /// Names, in no order.
        pub children: Texts<'a>,
    }
}

record! {
    /// getChildren2.
    pub struct GetChildren2Response<'a> {
        /// Names, in no order.
        pub children: Texts<'a>,
        /// The node.
        pub stat: Stat,
    }
}

record! {
    /// getEphemerals.
    pub struct GetEphemeralsResponse<'a> {
        /// Paths, in no order.
        pub ephemerals: Texts<'a>,
    }
}

record! {
    /// getAllChildrenNumber.
    #[derive(Copy)]
    pub struct GetAllChildrenNumberResponse {
        /// All descendants.
        pub total_number: i32,
    }
}

record! {
    /// A lone error code: the body of addWatch's reply and of failed results in a multi.
    #[derive(Copy)]
    pub struct ErrorResponse {
        /// The code.
        pub err: i32,
    }
}

record! {
    /// One identity in whoAmI's reply.
    pub struct ClientInfo<'a> {
        /// Scheme.
        pub auth_scheme: Text<'a>,
        /// User within the scheme.
        pub user: Text<'a>,
    }
}

record! {
    /// whoAmI.
    pub struct WhoAmIResponse<'a> {
        /// The connection's identities.
        pub client_info: Option<Vec<ClientInfo<'a>>>,
    }
}

record! {
    /// A watch event, behind a reply header with xid −1.
    pub struct WatcherEvent<'a> {
        /// An [`crate::op::EventType`].
        pub kind: i32,
        /// Always [`crate::op::STATE_SYNC_CONNECTED`] from a server.
        pub state: i32,
        /// The node.
        pub path: Text<'a>,
    }
}

record! {
    /// Separates the parts of a multi.
    #[derive(Copy)]
    pub struct MultiHeader {
        /// Operation code, −1 at the end and for errors.
        pub op: i32,
        /// Whether this ends the sequence.
        pub done: bool,
        /// Error of a result, −1 in requests.
        pub err: i32,
    }
}
