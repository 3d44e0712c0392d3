//! Owns what the world tells the core. May use `ids`, `acl`. Must not know sockets or files.

use std::sync::Arc;

use bytes::Bytes;

use crate::acl::AuthId;
use crate::ids::{ConnId, Cxid, SessionId, Zxid};

/// The time, as an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// A clock that only goes forward, ms.
    pub mono_ms: i64,
    /// Wall clock, ms since the Unix epoch.
    pub wall_ms: i64,
}

/// A client's request that changes state or has its place among those that do.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where the reply goes; `None` for requests that the server makes itself.
    pub conn: Option<ConnId>,
    /// The session it belongs to.
    pub session: SessionId,
    /// Echoed in the reply.
    pub cxid: Cxid,
    /// One of `op_code`.
    pub op: i32,
    /// The record behind the header.
    pub body: Bytes,
    /// The connection's identities when the request was read.
    pub auth: Arc<[AuthId]>,
}

/// Something that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// Time has passed.
    Tick,
    /// A client asks for something.
    Request(Request),
    /// A client wants a new session.
    OpenSession {
        /// Its connection.
        conn: ConnId,
        /// Negotiated time-out, ms.
        timeout_ms: i32,
    },
    /// A client wants its session back; the password has been checked.
    ResumeSession {
        /// Its connection.
        conn: ConnId,
        /// The session.
        session: SessionId,
        /// Negotiated time-out, ms.
        timeout_ms: i32,
    },
    /// A session showed signs of life.
    Touch {
        /// The session.
        session: SessionId,
        /// When, on the monotonic clock.
        at_ms: i64,
    },
    /// Everything up to `zxid` is on disk.
    LogDurable {
        /// The last one.
        zxid: Zxid,
    },
    /// The snapshot that was asked for is finished, or failed.
    SnapshotDone,
}
