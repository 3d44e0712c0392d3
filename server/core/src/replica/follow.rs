//! Owns a replica's part in an ensemble: what a leader commits, what a follower passes on and whose
//! turn it is when the answer comes. Must not know links or votes.

use std::collections::VecDeque;

use menagerie_wire::op::op_code;

use super::{Pending, Replica, deliver_sync};
use crate::effect::Deliver;
use crate::event::{Now, Request};
use crate::ids::{ConnId, Cxid, SessionId, Sid, Zxid};
use crate::processor::read::{self, WatchRegistry};
use crate::tree::Tree;
use crate::txn::{LoggedTxn, Txn};

/// A request whose turn comes when the leader has dealt with those before it.
#[derive(Debug)]
pub(super) enum Waiting {
    /// Passed on; it comes back as a transaction.
    Write { conn: ConnId, cxid: Cxid, op: i32 },
    /// Passed on; the leader will say that it is time.
    Sync {
        conn: ConnId,
        cxid: Cxid,
        body: bytes::Bytes,
    },
    /// Not passed on.
    Read { conn: ConnId, request: Request },
}

impl Waiting {
    const fn conn(&self) -> ConnId {
        match self {
            Self::Write { conn, .. } | Self::Sync { conn, .. } | Self::Read { conn, .. } => *conn,
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

    /// A session's client has come to another member.
    pub fn moved(&mut self, session: SessionId, to: Sid) {
        self.sessions.set_owner(session, to);
    }

    /// Begins an epoch as its leader, behind all that is pending; sessions get their whole time.
    pub fn lead(&mut self, epoch: i64, now: Now) {
        let zxid = Zxid::first_of(epoch);
        self.pending.push_back(Pending::Epoch(zxid));
        self.last_prepared = zxid;
        self.sessions.renew_all(now.mono_ms);
        self.reaper.restart(now.mono_ms);
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
                        self.sessions.remove(SessionId(logged.header.client_id));
                    }
                    let origin = None;
                    kept.push_back(Pending::Txn { logged, origin, op });
                }
                Pending::Refused { origin, .. } => lost.extend(origin.map(|(conn, _)| conn)),
                Pending::Sync { conn, .. } | Pending::Read { conn, .. } => lost.push(conn),
                Pending::Epoch(_) => {}
            }
        }
        self.pending = kept;
        for waiting in self.waiting.drain().flat_map(|(_, waiting)| waiting) {
            lost.push(waiting.conn());
        }
        lost.extend(self.ready.drain(..).map(|(conn, _)| conn));
        self.syncing.clear();
        self.synced.clear();
        lost.sort_unstable();
        lost.dedup();
        // Whatever was about to be closed will be decided by the next leader.
        self.sessions.reopen_all();
        self.sessions.renew_all(now.mono_ms);
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
        self.sessions.clear();
        for (id, timeout_ms) in sessions {
            self.sessions.track(id, timeout_ms, now.mono_ms);
            self.sessions.reserve_above(id);
        }
        (self.last_prepared, self.committed) = (last, last);
    }

    /// Notes a client's request of this server that its leader has to deal with; what is to be
    /// passed on, if anything.
    pub fn pass_on(&mut self, request: Request) -> Option<Request> {
        let (conn, session) = (request.conn?, request.session);
        let queue = self.waiting.entry(session).or_default();
        if read::is_read(request.op) {
            if queue.is_empty() {
                self.waiting.remove(&session);
                self.ready.push_back((conn, request));
            } else {
                queue.push_back(Waiting::Read { conn, request });
            }
            return None;
        }
        let (cxid, op) = (request.cxid, request.op);
        if op == op_code::SYNC {
            let body = request.body.clone();
            queue.push_back(Waiting::Sync { conn, cxid, body });
            self.syncing.push_back(session);
        } else {
            queue.push_back(Waiting::Write { conn, cxid, op });
        }
        Some(request)
    }

    /// A new session for a client of this server; the leader has to open it.
    pub fn new_session(&mut self, conn: ConnId) -> SessionId {
        let session = self.sessions.next_id();
        let waiting = Waiting::Write {
            conn,
            cxid: Cxid(0),
            op: op_code::CREATE_SESSION,
        };
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
    pub(super) fn claim(&mut self, session: SessionId, cxid: Cxid) -> Option<(ConnId, Cxid, i32)> {
        let queue = self.waiting.get_mut(&session)?;
        match queue.front()? {
            Waiting::Write {
                conn,
                cxid: its,
                op,
            } if *its == cxid => {
                let found = (*conn, cxid, *op);
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

    /// Serves the reads that have come to the front of their session's queue.
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
        while let Some(Waiting::Read { .. }) = queue.front() {
            if let Some(Waiting::Read { conn, request }) = queue.pop_front() {
                self.read(tree, watches, out, conn, &request);
            }
        }
        if !queue.is_empty() {
            self.waiting.insert(session, queue);
        }
    }
}
