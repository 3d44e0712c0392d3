//! Owns a replica's part in an ensemble: what a leader commits, what a follower passes on and whose
//! turn it is when the answer comes. Must not know links or votes.

use std::collections::VecDeque;

use menagerie_wire::op::{ErrorCode, op_code};

use super::{Pending, Ready, Replica, deliver_refusal, deliver_sync};
use crate::effect::{Deliver, Effect, Effects};
use crate::event::{Now, Request};
use crate::ids::{ConnId, Cxid, SessionId, Sid, Zxid};
use crate::processor::apply::{Firing, Observer as _, Watches};
use crate::processor::read::{self, WatchRegistry};
use crate::processor::reconfig::EnsembleView;
use crate::quorum::Membership;
use crate::sessions::Standing;
use crate::tree::{CONFIG_NODE, Tree};
use crate::txn::{LoggedTxn, Txn};

/// A request whose turn comes when the leader has dealt with those before it.
#[derive(Debug)]
pub(super) enum Waiting {
    /// Passed on; it comes back as a transaction.
    Write(Claimed),
    /// Passed on; the leader will say that it is time.
    Sync {
        conn: ConnId,
        cxid: Cxid,
        body: bytes::Bytes,
    },
    /// Not passed on.
    Read { conn: ConnId, request: Request },
    /// Not passed on, since its client may not.
    Refused {
        conn: ConnId,
        cxid: Cxid,
        err: ErrorCode,
    },
    /// The end of a session that only this server knows; not passed on.
    Close { origin: Option<(ConnId, Cxid)> },
}

/// A write of one of this server's clients.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claimed {
    pub(super) conn: ConnId,
    pub(super) cxid: Cxid,
    pub(super) op: i32,
    /// Why it fails, if the leader says that it does.
    pub(super) refusal: Option<ErrorCode>,
}

/// What a learner passes on, in this order.
#[derive(Debug, Default)]
pub struct PassedOn {
    /// The leader has to open the session first.
    pub upgrade: Option<Request>,
    /// The client's request.
    pub request: Option<Request>,
}

impl Waiting {
    fn conn(&self) -> Option<ConnId> {
        match self {
            Self::Write(Claimed { conn, .. })
            | Self::Sync { conn, .. }
            | Self::Read { conn, .. }
            | Self::Refused { conn, .. } => Some(*conn),
            Self::Close { origin } => origin.map(|(conn, _)| conn),
        }
    }
}

impl Replica {
    /// Everything up to `zxid` may be applied.
    pub fn commit(&mut self, zxid: Zxid) {
        self.committed = self.committed.max(zxid);
    }

    /// Takes a transaction that the leader proposes; true when a snapshot is due.
    pub fn receive(&mut self, logged: LoggedTxn, bytes: usize) -> bool {
        let op = logged.header.op;
        self.last_prepared = Zxid(logged.header.zxid);
        let origin = None;
        self.pending.push_back(Pending::Txn { logged, origin, op });
        self.snapshots.logged(bytes)
    }

    /// Tells what the next reconfiguration starts from.
    pub fn set_ensemble(&mut self, view: EnsembleView) {
        self.prep.set_ensemble(view);
    }

    /// A configuration is in force that no transaction has put where clients look for it; it comes
    /// behind all that is committed. Source: `QuorumPeer.initConfigInZKDatabase`.
    pub fn install_config(&mut self, config: Membership) {
        let later = |pending: &Pending| matches!(pending, Pending::Txn { logged, .. } if logged.header.zxid > self.committed.0);
        let at = self.pending.iter().position(later);
        let at = at.unwrap_or(self.pending.len());
        self.pending.insert(at, Pending::Config(config));
    }

    pub(super) fn apply_config(
        &self,
        tree: &mut Tree,
        watches: &impl Watches,
        out: &mut impl Deliver,
        config: &Membership,
    ) {
        tree.set_config(&config.to_string(), config.version(), self.wall_ms);
        let zxid = Zxid(config.version());
        Firing::new(watches, out).data_changed(tree, CONFIG_NODE, zxid);
    }

    /// A session's client has come to another member.
    pub fn moved(&mut self, session: SessionId, to: Sid) {
        self.sessions.global_mut().set_owner(session, to);
    }

    /// Begins an epoch as its leader, behind all that is pending; sessions get their whole time.
    pub fn lead(&mut self, epoch: i64, now: Now) {
        let zxid = Zxid::first_of(epoch);
        self.pending.push_back(Pending::Epoch(zxid));
        self.last_prepared = zxid;
        self.sessions.global_mut().renew_all(now.mono_ms);
        self.sessions.renew_local(now.mono_ms);
        self.reaper.restart(now.mono_ms);
    }

    /// Begins to serve clients as a learner; local sessions get their whole time.
    pub fn learn(&mut self, now: Now) {
        self.sessions.renew_local(now.mono_ms);
    }

    /// Ends a role: what was prepared stays in the log, but nobody here is told what becomes of it.
    /// Appends the connections whose requests are lost.
    pub fn stand_down(&mut self, now: Now, lost: &mut Vec<ConnId>) {
        self.prep.reset();
        let mut kept = VecDeque::with_capacity(self.pending.len());
        for pending in self.pending.drain(..) {
            match pending {
                Pending::Txn { logged, origin, op } => {
                    lost.extend(origin.map(|(conn, _)| conn));
                    if matches!(logged.txn, Txn::CreateSession { .. }) {
                        let id = SessionId(logged.header.client_id);
                        self.sessions.global_mut().remove(id);
                    }
                    let origin = None;
                    kept.push_back(Pending::Txn { logged, origin, op });
                }
                Pending::Refused { origin, .. } => lost.extend(origin.map(|(conn, _)| conn)),
                Pending::Sync { conn, .. } | Pending::Read { conn, .. } => lost.push(conn),
                Pending::CloseLocal { session, origin } => {
                    self.closing.push_back((session, origin));
                }
                Pending::Epoch(_) => {}
                Pending::Config(config) => kept.push_back(Pending::Config(config)),
            }
        }
        self.pending = kept;
        for (session, queue) in self.waiting.drain() {
            lost.extend(queue.iter().filter_map(Waiting::conn));
            if let Some(Waiting::Close { origin }) = queue.back() {
                self.closing.push_back((session, *origin));
            }
        }
        lost.extend(self.ready.drain(..).map(|ready| ready.conn()));
        self.syncing.clear();
        self.synced.clear();
        lost.sort_unstable();
        lost.dedup();
        // Nobody else has to agree to the end of a local session; who has lost replies that come
        // before gets none.
        for (_, origin) in &mut self.closing {
            *origin = origin.filter(|(conn, _)| lost.binary_search(conn).is_err());
        }
        // Whatever was about to be closed will be decided by the next leader.
        self.sessions.stand_down(now.mono_ms);
    }

    /// Forgets what is pending behind `zxid`.
    pub fn truncate(&mut self, zxid: Zxid) {
        self.pending.retain(|pending| {
            !matches!(pending, Pending::Txn { logged, .. } if logged.header.zxid > zxid.0)
        });
        self.last_prepared = zxid;
        self.committed = self.committed.min(zxid);
    }

    /// Goes on from a tree that was read anew.
    pub fn restart(
        &mut self,
        last: Zxid,
        sessions: impl IntoIterator<Item = (SessionId, i32)>,
        now: Now,
    ) {
        self.prep.reset();
        self.pending.clear();
        self.sessions.global_mut().clear();
        for (id, timeout_ms) in sessions {
            self.sessions.committed(id, timeout_ms, now.mono_ms);
            self.sessions.global_mut().reserve_above(id);
        }
        (self.last_prepared, self.committed) = (last, last);
    }

    /// Notes a client's request of this server that its leader has to deal with; what is to be
    /// passed on, if anything.
    pub fn pass_on(&mut self, request: Request, tree: &Tree, effects: &mut Effects) -> PassedOn {
        let mut passed = PassedOn::default();
        let Some(conn) = request.conn else {
            return passed;
        };
        let session = request.session;
        let standing = self.sessions.standing(&request);
        if !matches!(standing, Standing::Closing | Standing::Gone)
            && let Some(err) = self.eager_refusal(&request, tree)
        {
            let cxid = request.cxid;
            match self.waiting.get_mut(&session) {
                Some(queue) => queue.push_back(Waiting::Refused { conn, cxid, err }),
                None => self.ready.push_back(Ready::Refused(conn, cxid, err)),
            }
            return PassedOn::default();
        }
        match standing {
            Standing::Closing => {
                effects.actions.push(Effect::Dropped { conn });
                return passed;
            }
            Standing::Gone => {
                // The client learns it when it comes back.
                effects.actions.push(Effect::CloseConns(vec![conn]));
                return passed;
            }
            Standing::Upgrade(timeout_ms) => {
                passed.upgrade = Some(self.upgrade_request(session, timeout_ms));
            }
            Standing::Refused | Standing::Good => {}
        }
        if request.op == op_code::CLOSE_SESSION && self.sessions.is_local(session) {
            self.close_local_behind_waiting(session, Some((conn, request.cxid)));
            return passed;
        }
        let queue = self.waiting.entry(session).or_default();
        if read::is_read(request.op) {
            if queue.is_empty() {
                self.waiting.remove(&session);
                self.ready.push_back(Ready::Read(conn, request));
            } else {
                queue.push_back(Waiting::Read { conn, request });
            }
            return passed;
        }
        let (cxid, op) = (request.cxid, request.op);
        if op == op_code::SYNC {
            let body = request.body.clone();
            queue.push_back(Waiting::Sync { conn, cxid, body });
            self.syncing.push_back(session);
        } else {
            let refused = standing == Standing::Refused;
            queue.push_back(Waiting::Write(Claimed {
                conn,
                cxid,
                op,
                refusal: refused.then_some(ErrorCode::EphemeralOnLocalSession),
            }));
        }
        passed.request = Some(request);
        passed
    }

    /// A new session for a client of this server; the leader has to open it.
    pub fn new_session(&mut self, conn: ConnId) -> SessionId {
        let session = self.sessions.global_mut().next_id();
        let waiting = Waiting::Write(Claimed {
            conn,
            cxid: Cxid(0),
            op: op_code::CREATE_SESSION,
            refusal: None,
        });
        self.waiting.entry(session).or_default().push_back(waiting);
        session
    }

    /// The leader has answered the oldest sync request. False when there is none.
    pub fn sync_answered(&mut self) -> bool {
        let Some(session) = self.syncing.pop_front() else {
            return false;
        };
        self.synced.push_back((self.committed, session));
        true
    }

    /// The request that a transaction answers, if it is one of this server's clients.
    pub(super) fn claim(&mut self, session: SessionId, logged: &LoggedTxn) -> Option<Claimed> {
        let queue = self.waiting.get_mut(&session)?;
        let opens = |op: i32| op == op_code::CREATE_SESSION;
        match queue.front()? {
            // The upgrade of a session has a number that its client may use too.
            Waiting::Write(claimed)
                if claimed.cxid.0 == logged.header.cxid
                    && opens(claimed.op) == opens(logged.header.op) =>
            {
                let found = *claimed;
                queue.pop_front();
                Some(found)
            }
            _ => None,
        }
    }

    pub(super) fn finish_sync(
        &mut self,
        tree: &Tree,
        watches: &impl WatchRegistry,
        out: &mut impl Deliver,
        session: SessionId,
    ) {
        if let Some(queue) = self.waiting.get_mut(&session)
            && let Some(at) = queue
                .iter()
                .position(|waiting| matches!(waiting, Waiting::Sync { .. }))
            && let Some(Waiting::Sync { conn, cxid, body }) = queue.remove(at)
        {
            deliver_sync(tree, out, conn, cxid, &body);
        }
        self.serve_waiting(tree, watches, out, session);
    }

    /// Serves what has come to the front of its session's queue and needs no leader.
    pub(super) fn serve_waiting(
        &mut self,
        tree: &Tree,
        watches: &impl WatchRegistry,
        out: &mut impl Deliver,
        session: SessionId,
    ) {
        let Some(mut queue) = self.waiting.remove(&session) else {
            return;
        };
        while let Some(waiting) = queue.pop_front() {
            match waiting {
                Waiting::Read { conn, request } => self.read(tree, watches, out, conn, &request),
                Waiting::Refused { conn, cxid, err } => {
                    deliver_refusal(out, conn, cxid, Zxid(0), err);
                }
                Waiting::Close { origin } => self.finish_close(tree, out, (session, origin)),
                Waiting::Write(_) | Waiting::Sync { .. } => {
                    queue.push_front(waiting);
                    break;
                }
            }
        }
        if !queue.is_empty() {
            self.waiting.insert(session, queue);
        }
    }
}
