//! Owns what the world tells the core. May use `ids`, `acl`. Must not know sockets or files.

use std::sync::Arc;

use bytes::Bytes;
use menagerie_wire::election::Notification;

use crate::acl::AuthId;
use crate::ids::{ConnId, Cxid, LinkId, SessionId, Sid, Zxid};
use crate::zab::packet::Packet;

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

/// The two numbers that a member must not forget. Source: `QuorumPeer.ACCEPTED_EPOCH_FILENAME`,
/// `QuorumPeer.CURRENT_EPOCH_FILENAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochKind {
    /// The highest epoch that it has promised itself to.
    Accepted,
    /// The epoch whose leader's history it has.
    Current,
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
    /// Another member's vote.
    Vote {
        /// Who sent it.
        from: Sid,
        /// What it says.
        notification: Notification,
    },
    /// Whether another member can be reached for elections has changed.
    Reachable {
        /// Which one.
        sid: Sid,
        /// Whether it can.
        reachable: bool,
    },
    /// An oracle says whether this server, one of two voters, may decide without the other.
    Oracle {
        /// Whether it may.
        grants: bool,
    },
    /// This learner has the connection that it asked for.
    LinkUp {
        /// The leader, or whom it learns through.
        to: Sid,
        /// The connection.
        link: LinkId,
    },
    /// There was no way to that server.
    LinkFailed {
        /// Whom it asked for.
        to: Sid,
        /// Why.
        reason: String,
    },
    /// A connection between leader and learner has ended.
    LinkDown {
        /// The connection.
        link: LinkId,
        /// Why.
        reason: String,
    },
    /// A packet has come.
    Packet {
        /// Over which connection.
        link: LinkId,
        /// The packet.
        packet: Packet,
    },
    /// Something of a large message has come.
    Heard {
        /// Over which connection.
        link: LinkId,
    },
    /// A snapshot has come as a whole; the world keeps it.
    SnapshotReceived {
        /// Over which connection.
        link: LinkId,
        /// As of when.
        zxid: Zxid,
    },
    /// The snapshot is on disk, the tree is the one that it holds.
    SnapshotInstalled {
        /// As of when.
        zxid: Zxid,
        /// The sessions in it.
        sessions: Vec<(SessionId, i32)>,
    },
    /// What was to be read from the log.
    LogRead {
        /// The learner that lacks it.
        link: LinkId,
        /// The transactions; `None` when the log does not hold them all, or a snapshot is smaller.
        entries: Option<Vec<(Zxid, Bytes)>>,
    },
    /// An epoch is on disk, and all that was to be logged before.
    EpochDurable {
        /// Which one.
        kind: EpochKind,
        /// The epoch.
        epoch: i64,
    },
    /// The log ends at `zxid` now.
    Truncated {
        /// Where.
        zxid: Zxid,
        /// The sessions, when the tree was read anew.
        reloaded: Option<Vec<(SessionId, i32)>>,
    },
    /// The log could not be cut there, and is as it was.
    TruncateFailed {
        /// Where it should have ended.
        zxid: Zxid,
        /// Why it does not.
        reason: String,
    },
}

impl Event {
    /// The client's connection that it comes from, if it does.
    #[must_use]
    pub const fn conn(&self) -> Option<ConnId> {
        match self {
            Self::Request(request) => request.conn,
            Self::OpenSession { conn, .. } | Self::ResumeSession { conn, .. } => Some(*conn),
            _ => None,
        }
    }
}
