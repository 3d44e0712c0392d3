//! Owns sessions that only this server knows: opened and closed without a transaction, in their
//! place among the session's other requests, and given to the leader when they need an ephemeral
//! node. Must not know links or votes. Source: `LocalSessionTracker`, `QuorumZooKeeperServer`.

use menagerie_wire::op::op_code;

use super::{Pending, Replica, Source};
use crate::effect::{Deliver, Effect, Effects};
use crate::event::{Now, Request};
use crate::ids::{ConnId, Cxid, SessionId, Zxid};
use crate::tree::Tree;
use crate::txn::Txn;

/// A local session whose close has come to its turn, and who asked for it, if anybody did.
pub(super) type Closing = (SessionId, Option<(ConnId, Cxid)>);

impl Replica {
    /// Opens a session that only this server knows. False when new sessions are everybody's.
    pub fn open_local(&mut self, conn: ConnId, timeout_ms: i32, effects: &mut Effects) -> bool {
        let opened = self.sessions.open_local(timeout_ms, self.now_ms);
        if let Some(session) = opened {
            effects.actions.push(Effect::SessionOpened {
                conn,
                session,
                timeout_ms,
            });
        }
        opened.is_some()
    }

    /// The client of a local session is back. False when it is none; then the leader knows.
    /// Source: `LearnerZooKeeperServer.revalidateSession`.
    pub fn resume_local(
        &mut self,
        conn: ConnId,
        session: SessionId,
        timeout_ms: i32,
        effects: &mut Effects,
    ) -> bool {
        let open = self.sessions.resume_local(session, timeout_ms, self.now_ms);
        if open {
            effects.actions.push(Effect::SessionResumed {
                conn,
                session,
                timeout_ms: Some(timeout_ms),
            });
        }
        open
    }

    /// The leader says that a client's session is open.
    pub fn vouched_for(&mut self, session: SessionId) {
        self.sessions.vouched_for(session);
    }

    /// A leader's own client needs the ensemble to know its session: that is proposed first.
    /// Source: `LeaderRequestProcessor`.
    pub(super) fn upgrade(
        &mut self,
        session: SessionId,
        timeout_ms: i32,
        now: Now,
        tree: &Tree,
        effects: &mut Effects,
    ) {
        self.sessions.upgrade(session);
        let global = self.sessions.global_mut();
        global.track(session, timeout_ms, now.mono_ms);
        let zxid = self.next_zxid();
        let source = Source {
            session,
            cxid: Cxid(0),
            origin: None,
            op: op_code::CREATE_SESSION,
        };
        let txn = Txn::CreateSession { timeout_ms };
        self.propose(source, zxid, txn, now, tree, effects);
    }

    /// What a learner asks of its leader before it passes on a request of a local session.
    pub(super) fn upgrade_request(&mut self, session: SessionId, timeout_ms: i32) -> Request {
        self.sessions.upgrade(session);
        Request {
            conn: None,
            session,
            cxid: Cxid(0),
            op: op_code::CREATE_SESSION,
            body: bytes::Bytes::copy_from_slice(&timeout_ms.to_be_bytes()),
            auth: std::sync::Arc::from([]),
        }
    }

    /// Closes a leader's local session behind all that is pending.
    pub(super) fn close_local_behind_pending(
        &mut self,
        session: SessionId,
        origin: Option<(ConnId, Cxid)>,
    ) {
        self.sessions.close_local(session);
        self.pending
            .push_back(Pending::CloseLocal { session, origin });
    }

    /// Closes a learner's local session behind what it waits for.
    pub(super) fn close_local_behind_waiting(
        &mut self,
        session: SessionId,
        origin: Option<(ConnId, Cxid)>,
    ) {
        self.sessions.close_local(session);
        if let Some(queue) = self.waiting.get_mut(&session) {
            queue.push_back(super::Waiting::Close { origin });
        } else {
            self.closing.push_back((session, origin));
        }
    }

    /// Closes a learner's local sessions whose time is up.
    pub fn expire_local(&mut self, now: Now) {
        for session in self.sessions.take_expired_local(now.mono_ms) {
            self.close_local_behind_waiting(session, None);
        }
    }

    /// When [`Replica::expire_local`] is due, on the monotonic clock.
    #[must_use]
    pub fn next_local_expiry(&self) -> i64 {
        self.sessions.next_local_expiry()
    }

    pub(super) fn finish_close(
        &mut self,
        tree: &Tree,
        out: &mut impl Deliver,
        (session, origin): Closing,
    ) {
        self.sessions.remove(session);
        out.session_closed(session, origin, Zxid(tree.last_zxid()));
    }
}
