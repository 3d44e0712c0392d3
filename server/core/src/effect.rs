//! Owns what the core tells the world to do. May use `ids`. Must not do it.

use menagerie_wire::data::Stat;
use menagerie_wire::election::{Notification, ServerState};
use menagerie_wire::op::{ErrorCode, EventType};

use crate::acl::AclList;
use crate::event::EpochKind;
use crate::ids::{ConnId, Cxid, LinkId, SessionId, Sid, Zxid};
use crate::quorum::Configs;
use crate::zab::packet::Packet;

/// Log entries of one batch, one behind the other.
#[derive(Debug, Default)]
pub struct LogBatch {
    /// The entries' bytes.
    pub bytes: Vec<u8>,
    /// Each entry's zxid and the offset in `bytes` at which it ends.
    pub ends: Vec<(Zxid, usize)>,
}

impl LogBatch {
    /// The entries in order.
    pub fn entries(&self) -> impl Iterator<Item = (Zxid, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        starts
            .zip(&self.ends)
            .map(|(start, (zxid, end))| (*zxid, &self.bytes[start..*end]))
    }
}

/// What has to be done: `configs` are made durable first, then `log` is appended, then come the
/// `actions` in order. Packets do not wait for the disk; those of one link keep their order.
#[derive(Debug, Default)]
pub struct Effects {
    /// The ensemble's configurations, when they have changed. Whoever has a reconfiguration in its
    /// log must know after a restart that its new members have to agree too.
    pub configs: Option<Configs>,
    /// To be appended to the log and made durable.
    pub log: LogBatch,
    /// Votes for other members.
    pub votes: Vec<(Sid, Notification)>,
    /// For leader or learners. Behind [`Packet::Snap`] the world sends a snapshot of the tree that
    /// is at least as new as that packet says.
    pub packets: Vec<(LinkId, Packet)>,
    /// The rest.
    pub actions: Vec<Effect>,
}

/// Something to do.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// Roll the log and write a snapshot.
    SaveSnapshot,
    /// A session is open that only this server knows.
    SessionOpened {
        /// Who asked.
        conn: ConnId,
        /// The session.
        session: SessionId,
        /// Its time-out in ms.
        timeout_ms: i32,
    },
    /// Answer a [`crate::event::Event::ResumeSession`].
    SessionResumed {
        /// Who asked.
        conn: ConnId,
        /// The session.
        session: SessionId,
        /// Its time-out in ms; `None` refuses.
        timeout_ms: Option<i32>,
    },
    /// The request was dropped without a reply, as its session is gone.
    Dropped {
        /// Who asked.
        conn: ConnId,
    },
    /// Something that operators should read in the log.
    Say(String),
    /// What the member is doing has changed.
    Phase(Phase),
    /// Find a port of another member.
    Connect {
        /// The leader, or a follower that serves observers.
        to: Sid,
        /// Which port.
        port: Port,
        /// Milliseconds to wait before.
        delay_ms: i64,
    },
    /// End a connection between leader and learner.
    CloseLink {
        /// Which one.
        link: LinkId,
        /// Why.
        reason: String,
    },
    /// End clients' connections: their requests may or may not come true.
    CloseConns(Vec<ConnId>),
    /// End all clients' connections.
    CloseAllConns {
        /// Why.
        reason: &'static str,
    },
    /// A leader has brought up this member, which had lost its database: make durable that it has a
    /// vote again, once all that was logged before is. It may be asked for twice.
    RegainVote,
    /// Make an epoch durable, behind everything that is to be logged.
    PersistEpoch {
        /// Which one.
        kind: EpochKind,
        /// The epoch.
        epoch: i64,
    },
    /// Cut the log behind `zxid`; with `reload`, read the tree anew.
    Truncate {
        /// The last transaction that stays.
        zxid: Zxid,
        /// Whether the tree has transactions behind it.
        reload: bool,
    },
    /// Take the snapshot that was received instead of tree and log, and make it durable.
    InstallSnapshot {
        /// Over which connection it came.
        link: LinkId,
        /// As of when.
        zxid: Zxid,
    },
    /// Read the transactions behind `from`, which must be in the log, up to `upto`; an event brings
    /// them.
    ReadLog {
        /// The learner that lacks them.
        link: LinkId,
        /// Its last transaction.
        from: Zxid,
        /// The last one to read.
        upto: Zxid,
    },
    /// Answer the leader's ping with the sessions that were heard of since the last.
    AnswerPing {
        /// The leader's connection.
        link: LinkId,
        /// To be echoed.
        zxid: Zxid,
        /// Sessions that observers behind this server have heard of, with their time-outs.
        touched: Vec<(SessionId, i32)>,
    },
}

/// Where learners are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// A leader's.
    Quorum,
    /// `observerMasterPort` of a follower.
    ObserverMaster,
}

/// What a member does, as far as the world has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// Its state.
    pub state: ServerState,
    /// Its leader, if it has one.
    pub leader: Option<Sid>,
    /// The epoch, once it is known.
    pub epoch: i64,
    /// Whether clients are served.
    pub serving: bool,
}

/// The body of a reply.
#[derive(Debug)]
#[non_exhaustive]
pub enum Body<'a> {
    /// None.
    Empty,
    /// create, sync; null only where the client's path was.
    Path(Option<&'a str>),
    /// create2, createContainer, createTTL.
    PathStat(&'a str, Stat),
    /// setData, setACL.
    Stat(Stat),
    /// reconfig: the configuration and its node's state.
    DataStat(&'a [u8], Stat),
    /// multi.
    Multi(&'a [SubResult<'a>]),
}

/// The result of one operation of a multi.
#[derive(Debug)]
#[non_exhaustive]
pub enum SubResult<'a> {
    /// create.
    Create(&'a str),
    /// create2, createContainer, createTTL.
    Create2(&'a str, Stat),
    /// delete.
    Delete,
    /// setData.
    SetData(Stat),
    /// check.
    Check,
    /// A code: 0 before the operation that failed.
    Error(ErrorCode),
}

/// A reply to a request.
#[derive(Debug)]
pub struct Reply<'a> {
    /// The connection that asked.
    pub conn: ConnId,
    /// Echoed.
    pub cxid: Cxid,
    /// The transaction.
    pub zxid: Zxid,
    /// The outcome.
    pub err: ErrorCode,
    /// Written only when `err` is `Ok`.
    pub body: Body<'a>,
}

/// A watch event on its way to those who watch.
#[derive(Debug)]
pub struct Fired<'a> {
    /// What happened.
    pub event: EventType,
    /// To which node.
    pub path: &'a str,
    /// In which transaction.
    pub zxid: Zxid,
    /// Who may know: READ is needed.
    pub acl: &'a AclList,
    /// Who wants to know.
    pub conns: &'a [ConnId],
}

/// Takes what applying transactions produces, in order, while the tree is held exclusively.
pub trait Deliver {
    /// A request of one of this server's connections is done.
    fn reply(&mut self, reply: &Reply<'_>);
    /// A read that had to wait for writes of its session; `write` appends its frames.
    fn read(&mut self, conn: ConnId, cxid: Cxid, write: &mut dyn FnMut(&mut Vec<u8>));
    /// Watches fired.
    fn fired(&mut self, fired: &Fired<'_>);
    /// A session exists now.
    fn session_created(&mut self, conn: ConnId, session: SessionId, timeout_ms: i32);
    /// A session is closed; `requester` asked for it and gets the reply before its connection is
    /// closed, as does any other connection of the session.
    fn session_closed(&mut self, session: SessionId, requester: Option<(ConnId, Cxid)>, zxid: Zxid);
    /// An ephemeral node went with its session, or was not there any more.
    fn ephemeral_gone(&mut self, _session: SessionId, _path: &str, _existed: bool) {}
    /// A node was created, deleted, or got that many bytes of data.
    fn wrote(&mut self, _path: &str, _bytes: usize) {}
    /// A request failed because its session's client has gone to another member: the connection
    /// is one that was left behind.
    fn session_moved(&mut self, conn: ConnId);
    /// A digest in the log differs from the tree's.
    fn digest_mismatch(&mut self, zxid: Zxid, expected: u64, actual: u64);
}
