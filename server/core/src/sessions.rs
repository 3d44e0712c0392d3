//! Owns which sessions there are: the ensemble's, and those that only this server knows until they
//! need an ephemeral node. May use `session`, `processor::create_mode`. Must not know connections or
//! the tree. Source: `UpgradeableSessionTracker`, `LearnerSessionTracker`, `LeaderSessionTracker`.

use std::collections::BTreeSet;

use menagerie_wire::op::ErrorCode;

use crate::event::Request;
use crate::ids::{SessionId, Sid};
use crate::processor::create_mode::{makes_ephemerals, may_make_ephemerals};
use crate::session::{MonoMs, SessionTracker};

/// How new sessions of an ensemble begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SessionRules {
    /// The leader opens them for everybody.
    #[default]
    Global,
    /// Only the member that the client has come to knows them: `localSessionsEnabled`.
    Local {
        /// `localSessionsUpgradingEnabled`: whether the leader opens them once they create an
        /// ephemeral node; otherwise they cannot.
        upgrade: bool,
    },
}

/// What becomes of a request because of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It goes its way.
    Good,
    /// The leader has to open the session first, with this time-out in ms.
    Upgrade(i32),
    /// It fails with `EPHEMERALONLOCALSESSION`, wherever the leader says that it fails.
    Refused,
    /// The session is being closed: the request comes too late.
    Closing,
    /// The session is gone.
    Gone,
}

/// Sessions that only this server knows.
#[derive(Debug)]
struct Local {
    open: SessionTracker,
    /// Those that the leader has or was asked to open, and whose transaction has not come yet.
    upgrading: BTreeSet<SessionId>,
    upgrade: bool,
}

/// The sessions of a server.
#[derive(Debug)]
pub struct Sessions {
    global: SessionTracker,
    local: Option<Local>,
    me: Sid,
    alone: bool,
}

impl Sessions {
    /// The sessions of server `me`, which stands alone or not; `global` are there already.
    #[must_use]
    pub fn new(
        global: SessionTracker,
        rules: SessionRules,
        tick_ms: i64,
        me: Sid,
        alone: bool,
    ) -> Self {
        let local = match rules {
            // A server alone has nobody to hide them from. Source: `ZooKeeperServer`.
            SessionRules::Local { upgrade } if !alone => Some(Local {
                open: SessionTracker::new(tick_ms, me.0, 0),
                upgrading: BTreeSet::new(),
                upgrade,
            }),
            _ => None,
        };
        Self {
            global,
            local,
            me,
            alone,
        }
    }

    /// Those that the whole ensemble knows.
    #[must_use]
    pub const fn global(&self) -> &SessionTracker {
        &self.global
    }

    pub(crate) const fn global_mut(&mut self) -> &mut SessionTracker {
        &mut self.global
    }

    /// Those that only this server knows; none unless new ones are of that kind.
    #[must_use]
    pub fn local(&self) -> Option<&SessionTracker> {
        self.local.as_ref().map(|local| &local.open)
    }

    /// Whether only this server knows the session.
    #[must_use]
    pub fn is_local(&self, id: SessionId) -> bool {
        self.local().is_some_and(|open| open.contains(id))
    }

    /// Whether the leader has or was asked to open a session, which has not come to this server yet.
    #[must_use]
    pub fn is_upgrading(&self, id: SessionId) -> bool {
        let local = self.local.as_ref();
        local.is_some_and(|local| local.upgrading.contains(&id))
    }

    /// The time-out of an open session, ms.
    #[must_use]
    pub fn timeout_ms(&self, id: SessionId) -> Option<i32> {
        let local = self.local().and_then(|open| open.timeout_ms(id));
        local.or_else(|| self.global.timeout_ms(id))
    }

    /// Opens a session that only this server knows; `None` when new ones are everybody's.
    /// Source: `LocalSessionTracker.createSession`.
    pub(crate) fn open_local(&mut self, timeout_ms: i32, now: MonoMs) -> Option<SessionId> {
        let local = self.local.as_mut()?;
        let id = self.global.next_id();
        local.open.track(id, timeout_ms, now);
        Some(id)
    }

    /// The client of a local session has come back. False when it is not one, or closing.
    pub(crate) fn resume_local(&mut self, id: SessionId, timeout_ms: i32, now: MonoMs) -> bool {
        let Some(local) = self.local.as_mut() else {
            return false;
        };
        let open = local.open.timeout_ms(id).is_some();
        if open {
            local.open.track(id, timeout_ms, now);
        }
        open
    }

    /// How a request of one of this server's clients stands.
    /// Source: `QuorumZooKeeperServer.checkUpgradeSession`, `LearnerSessionTracker.touchSession`.
    pub(crate) fn standing(&self, request: &Request) -> Standing {
        let (Some(local), id) = (&self.local, request.session) else {
            return Standing::Good;
        };
        if !local.open.contains(id) {
            // One that has come from elsewhere ends with a transaction.
            let mine = id.0 >> 56 == self.me.0;
            let known = self.global.contains(id) || local.upgrading.contains(&id);
            return if mine && !known {
                Standing::Gone
            } else {
                Standing::Good
            };
        }
        let Some(timeout_ms) = local.open.timeout_ms(id) else {
            return Standing::Closing;
        };
        match makes_ephemerals(request.op, &request.body) {
            false => Standing::Good,
            true if local.upgrade => Standing::Upgrade(timeout_ms),
            true => Standing::Refused,
        }
    }

    /// The leader is asked to open a local session. Source: `UpgradeableSessionTracker.upgradeSession`.
    pub(crate) fn upgrade(&mut self, id: SessionId) {
        if let Some(local) = self.local.as_mut() {
            local.open.remove(id);
            local.upgrading.insert(id);
        }
    }

    /// The leader knows the session of a client that has come back.
    pub(crate) fn vouched_for(&mut self, id: SessionId) {
        if let Some(local) = self.local.as_mut()
            && !self.global.contains(id)
        {
            local.upgrading.insert(id);
        }
    }

    /// The whole ensemble knows the session now. Source: `LearnerSessionTracker.commitSession`.
    pub(crate) fn committed(&mut self, id: SessionId, timeout_ms: i32, now: MonoMs) {
        if !self.global.contains(id) {
            self.global.track(id, timeout_ms, now);
        }
        if let Some(local) = self.local.as_mut() {
            local.open.remove(id);
            local.upgrading.remove(&id);
        }
    }

    /// Forgets a session.
    pub(crate) fn remove(&mut self, id: SessionId) {
        self.global.remove(id);
        if let Some(local) = self.local.as_mut() {
            local.open.remove(id);
            local.upgrading.remove(&id);
        }
    }

    /// A local session will be closed: nothing more is taken from it.
    pub(crate) fn close_local(&mut self, id: SessionId) {
        if let Some(local) = self.local.as_mut() {
            local.open.set_closing(id);
        }
    }

    /// Notes a sign of life at `at`.
    pub(crate) fn touch(&mut self, id: SessionId, at: MonoMs) {
        let local = self.local.as_mut();
        if !local.is_some_and(|local| local.open.touch(id, at)) {
            self.global.touch(id, at);
        }
    }

    /// Takes the local sessions whose time is up and marks them closing.
    pub(crate) fn take_expired_local(&mut self, now: MonoMs) -> Vec<SessionId> {
        let local = self.local.as_mut();
        local.map_or_else(Vec::new, |local| local.open.take_expired(now))
    }

    /// When the next local session may be due.
    pub(crate) fn next_local_expiry(&self) -> MonoMs {
        let next = self.local().and_then(SessionTracker::next_expiry);
        next.unwrap_or(i64::MAX)
    }

    /// Gives local sessions their whole time-out from `now` on.
    pub(crate) fn renew_local(&mut self, now: MonoMs) {
        if let Some(local) = self.local.as_mut() {
            local.open.renew_all(now);
        }
    }

    /// The leader is lost. Whether it has opened those that it was asked for, the next one tells
    /// when their clients come back; here they are no longer local in any case.
    pub(crate) fn stand_down(&mut self, now: MonoMs) {
        self.global.reopen_all();
        self.global.renew_all(now);
        self.renew_local(now);
        if let Some(local) = self.local.as_mut() {
            local.upgrading.clear();
        }
    }

    /// Whether a leader lets a session write. One that is local to another member is not known
    /// here. Source: `LeaderSessionTracker.checkSession`, `SessionTrackerImpl.checkSession`.
    ///
    /// # Errors
    /// `SESSIONEXPIRED`, and `UNKNOWNSESSION` at a server alone.
    pub fn check(&self, id: SessionId) -> Result<(), ErrorCode> {
        if self.is_local(id) {
            return self.local().map_or(Ok(()), |open| open.check(id));
        }
        match self.global.check(id) {
            Err(ErrorCode::UnknownSession) if !self.alone => {
                if self.local.is_some() && id.0 >> 56 != self.me.0 {
                    Ok(())
                } else {
                    Err(ErrorCode::SessionExpired)
                }
            }
            other => other,
        }
    }

    /// Whether a leader lets a session own an ephemeral node that operation `op` creates.
    /// Source: `LeaderSessionTracker.checkGlobalSession`, `PrepRequestProcessor.validateCreateRequest`.
    ///
    /// # Errors
    /// `SESSIONEXPIRED`, or `EPHEMERALONLOCALSESSION` to a client of the leader.
    pub fn check_owner(&self, id: SessionId, op: i32) -> Result<(), ErrorCode> {
        if self.is_local(id) && may_make_ephemerals(op) {
            return Err(ErrorCode::EphemeralOnLocalSession);
        }
        match self.global.check(id) {
            Ok(()) => Ok(()),
            Err(_) => Err(ErrorCode::SessionExpired),
        }
    }
}
