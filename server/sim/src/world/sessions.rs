//! Owns what clients see of local sessions: where they can be had again, what requests fail with, and
//! that they end. Must not judge what members know of them: see `check::local_sessions`.

use menagerie_core::ids::{ConnId, Sid};
use menagerie_core::sessions::SessionRules;
use menagerie_wire::op::ErrorCode;

use super::{Client, PAUSE_MAX_MS, World};
use crate::check::Violation;
use crate::node::TICK_MS;

impl World {
    /// A client gets its session back: one that only another member knew is not to be had here.
    pub(super) fn check_resumed(&self, sid: Sid, conn: ConnId) -> Result<(), Violation> {
        let of = |client: &&Client| client.at == Some((sid, conn));
        let Some(client) = self.clients.iter().find(of) else {
            return Ok(());
        };
        let moves = match self.sessions {
            SessionRules::Global => true,
            SessionRules::Local { upgrade } => upgrade && client.wants_ephemerals,
        };
        if moves || client.home == Some(sid) {
            return Ok(());
        }
        Err(format!(
            "local sessions: server {sid} has {:?}, which only server {:?} can know",
            client.session, client.home
        ))
    }

    /// What a request may fail with, as far as its session is concerned: a client whose session has
    /// expired hears of that by losing its connection.
    pub(super) fn check_error(&self, ephemeral: bool, err: ErrorCode) -> Result<(), Violation> {
        let refused = self.sessions == SessionRules::Local { upgrade: false } && ephemeral;
        if err == ErrorCode::SessionExpired
            || (err == ErrorCode::EphemeralOnLocalSession) != refused
        {
            let name = err.name();
            return Err(format!(
                "local sessions: a request ended with {name}; it creates an ephemeral node: {ephemeral}"
            ));
        }
        Ok(())
    }

    /// Whose time is up is gone, give or take what members may be stopped for.
    pub(super) fn check_expiry(&self) -> Result<(), Violation> {
        for (sid, machine) in &self.machines {
            let Some(running) = machine.running.as_ref().filter(|_| machine.serving) else {
                continue;
            };
            let due = running.member.replica().next_local_expiry();
            let now = machine.clock.show(self.now).mono_ms;
            if due < now - PAUSE_MAX_MS - TICK_MS {
                return Err(format!(
                    "local sessions: server {sid} still has one that was due at {due}, at {now}"
                ));
            }
        }
        Ok(())
    }
}
