//! Owns the numbers of the protocol: operation codes, error codes, special xids, watch events.
//! Source: `ZooDefs.OpCode`, `KeeperException.Code`, `ClientCnxn`, `Watcher.Event`.

/// Operation codes of requests and transactions.
pub mod op_code {
    /// Notification; not a request.
    pub const NOTIFICATION: i32 = 0;
    /// `create`
    pub const CREATE: i32 = 1;
    /// `delete`
    pub const DELETE: i32 = 2;
    /// `exists`
    pub const EXISTS: i32 = 3;
    /// `getData`
    pub const GET_DATA: i32 = 4;
    /// `setData`
    pub const SET_DATA: i32 = 5;
    /// `getACL`
    pub const GET_ACL: i32 = 6;
    /// `setACL`
    pub const SET_ACL: i32 = 7;
    /// `getChildren`
    pub const GET_CHILDREN: i32 = 8;
    /// `sync`
    pub const SYNC: i32 = 9;
    /// `ping`
    pub const PING: i32 = 11;
    /// `getChildren2`
    pub const GET_CHILDREN2: i32 = 12;
    /// `check`, inside a multi
    pub const CHECK: i32 = 13;
    /// `multi`
    pub const MULTI: i32 = 14;
    /// `create2`
    pub const CREATE2: i32 = 15;
    /// `reconfig`
    pub const RECONFIG: i32 = 16;
    /// `checkWatches`
    pub const CHECK_WATCHES: i32 = 17;
    /// `removeWatches`
    pub const REMOVE_WATCHES: i32 = 18;
    /// `createContainer`
    pub const CREATE_CONTAINER: i32 = 19;
    /// `deleteContainer`
    pub const DELETE_CONTAINER: i32 = 20;
    /// `createTTL`
    pub const CREATE_TTL: i32 = 21;
    /// `multiRead`
    pub const MULTI_READ: i32 = 22;
    /// `auth`
    pub const AUTH: i32 = 100;
    /// `setWatches`
    pub const SET_WATCHES: i32 = 101;
    /// `sasl`
    pub const SASL: i32 = 102;
    /// `getEphemerals`
    pub const GET_EPHEMERALS: i32 = 103;
    /// `getAllChildrenNumber`
    pub const GET_ALL_CHILDREN_NUMBER: i32 = 104;
    /// `setWatches2`
    pub const SET_WATCHES2: i32 = 105;
    /// `addWatch`
    pub const ADD_WATCH: i32 = 106;
    /// `whoAmI`
    pub const WHO_AM_I: i32 = 107;
    /// `createSession`
    pub const CREATE_SESSION: i32 = -10;
    /// `closeSession`
    pub const CLOSE_SESSION: i32 = -11;
    /// A failed transaction
    pub const ERROR: i32 = -1;
}

/// Reserved xids.
pub mod xid {
    /// A watch event.
    pub const NOTIFICATION: i32 = -1;
    /// A ping.
    pub const PING: i32 = -2;
    /// An auth packet.
    pub const AUTH: i32 = -4;
    /// Re-registration of watches.
    pub const SET_WATCHES: i32 = -8;
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $const:literal;)*) => {
        /// An error code as replies carry it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub struct ErrorCode(pub i32);

        #[allow(non_upper_case_globals)]
        impl ErrorCode {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// ZooKeeper's name of the code, such as `NONODE`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($value => $const,)*
                    _ => "UNKNOWN",
                }
            }
        }
    };
}

error_codes! {
    /// Success.
    Ok = 0, "OK";
    /// A server inconsistency; never sent deliberately.
    SystemError = -1, "SYSTEMERROR";
    /// Operations of a multi behind the one that failed.
    RuntimeInconsistency = -2, "RUNTIMEINCONSISTENCY";
    /// Not sent.
    DataInconsistency = -3, "DATAINCONSISTENCY";
    /// The client lost its connection.
    ConnectionLoss = -4, "CONNECTIONLOSS";
    /// The request could not be decoded or handled.
    MarshallingError = -5, "MARSHALLINGERROR";
    /// The operation does not exist here.
    Unimplemented = -6, "UNIMPLEMENTED";
    /// The client gave up waiting.
    OperationTimeout = -7, "OPERATIONTIMEOUT";
    /// Invalid path, flags or TTL.
    BadArguments = -8, "BADARGUMENTS";
    /// The tracker lost the session between touch and preparation.
    UnknownSession = -12, "UNKNOWNSESSION";
    /// No quorum of the new configuration is in sync.
    NewConfigNoQuorum = -13, "NEWCONFIGNOQUORUM";
    /// Another reconfiguration is under way.
    ReconfigInProgress = -14, "RECONFIGINPROGRESS";
    /// The node does not exist.
    NoNode = -101, "NONODE";
    /// The ACL refuses.
    NoAuth = -102, "NOAUTH";
    /// The expected version is not the current one.
    BadVersion = -103, "BADVERSION";
    /// Ephemeral nodes have no children.
    NoChildrenForEphemerals = -108, "NOCHILDRENFOREPHEMERALS";
    /// The node exists.
    NodeExists = -110, "NODEEXISTS";
    /// The node has children.
    NotEmpty = -111, "NOTEMPTY";
    /// The session has expired.
    SessionExpired = -112, "SESSIONEXPIRED";
    /// Client side only.
    InvalidCallback = -113, "INVALIDCALLBACK";
    /// The ACL is empty or malformed.
    InvalidAcl = -114, "INVALIDACL";
    /// Authentication failed.
    AuthFailed = -115, "AUTHFAILED";
    /// The session belongs to another connection; never sent as a reply.
    SessionMoved = -118, "SESSIONMOVED";
    /// A write to a read-only server.
    NotReadOnly = -119, "NOTREADONLY";
    /// An ephemeral node of a local session.
    EphemeralOnLocalSession = -120, "EPHEMERALONLOCALSESSION";
    /// No such watch.
    NoWatcher = -121, "NOWATCHER";
    /// Client side only.
    RequestTimeout = -122, "REQUESTTIMEOUT";
    /// `reconfigEnabled` is false.
    ReconfigDisabled = -123, "RECONFIGDISABLED";
    /// Enforced authentication is missing.
    SessionClosedRequireSaslAuth = -124, "SESSIONCLOSEDREQUIRESASLAUTH";
    /// A hard quota would be exceeded.
    QuotaExceeded = -125, "QUOTAEXCEEDED";
    /// The request waited longer than `throttled_op_wait_time`.
    ThrottledOp = -127, "THROTTLEDOP";
}

/// Types of watch events that a server sends. Source: `Watcher.Event.EventType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i32)]
pub enum EventType {
    /// The node came to be.
    NodeCreated = 1,
    /// The node is gone.
    NodeDeleted = 2,
    /// The node's data was set.
    NodeDataChanged = 3,
    /// A child came or went.
    NodeChildrenChanged = 4,
}

/// `KeeperState.SyncConnected`, the state in every event that a server sends.
pub const STATE_SYNC_CONNECTED: i32 = 3;

/// `AddWatchMode.PERSISTENT`.
pub const ADD_WATCH_PERSISTENT: i32 = 0;
/// `AddWatchMode.PERSISTENT_RECURSIVE`.
pub const ADD_WATCH_PERSISTENT_RECURSIVE: i32 = 1;
