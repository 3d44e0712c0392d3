//! Owns how a member follows changes of the ensemble: which configurations it knows, when one comes
//! into force, and what that means for its role and its leader. May use `quorum`. Must not decide
//! which configuration comes next: a leader's clients do.
//! Source: `QuorumPeer.processReconfig`.

use bytes::Bytes;
use menagerie_wire::election::{Notification, ServerState};
use menagerie_wire::op::op_code;
use menagerie_wire::text::cfg::Members;

use super::{Io, Member};
use crate::ids::Sid;
use crate::quorum::Membership;
use crate::txn::{LoggedTxn, Txn};

/// Where a log entry's header has the operation.
const OP_AT: std::ops::Range<usize> = 28..32;

/// Leaving a role because of a reconfiguration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moving {
    /// Who leads from here on, if that was said; else there is an election.
    pub(super) to: Option<Sid>,
}

/// The configuration that a text describes.
pub(super) fn parse(text: &[u8]) -> Result<Membership, String> {
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let members = Members::parse_dynamic(text).map_err(|error| error.to_string())?;
    Ok(Membership::new(members))
}

/// The configuration that a transaction proposes, if it is a reconfiguration.
pub(super) fn proposed(txn: &Txn) -> Option<Result<Membership, String>> {
    match txn {
        Txn::SetData {
            op: op_code::RECONFIG,
            data,
            ..
        } => Some(parse(data.as_deref().unwrap_or_default())),
        _ => None,
    }
}

/// The configuration in a log entry, if that is a reconfiguration.
pub(super) fn in_entry(entry: &Bytes) -> Option<Membership> {
    let op = entry.get(OP_AT)?.first_chunk().copied()?;
    if i32::from_be_bytes(op) != op_code::RECONFIG {
        return None;
    }
    let logged = LoggedTxn::decode(entry).ok()?;
    proposed(&logged.txn)?.ok()
}

impl Member {
    /// Notes a configuration that was proposed.
    pub(super) fn see(&mut self, seen: Membership, io: &mut Io<'_>) {
        if self.config.reconfig_enabled && self.configs.see(seen) {
            io.out.configs = Some(self.configs.clone());
        }
    }

    /// Puts a configuration into force. `leader` leads from here on, if that was said; `in_log` tells
    /// that a transaction brings it to clients. The member may have to leave its role then, once
    /// everything that is committed has been applied.
    pub(super) fn put_into_force(
        &mut self,
        new: Membership,
        leader: Option<Sid>,
        in_log: bool,
        io: &mut Io<'_>,
    ) {
        if !self.config.reconfig_enabled {
            return;
        }
        let me = self.config.me;
        let Some(before) = self.configs.activate(new) else {
            return;
        };
        io.out.configs = Some(self.configs.clone());
        let now = &self.configs.committed;
        if !in_log {
            self.replica.install_config(now.clone());
        }
        if before.same_members(now) {
            return;
        }
        io.say(format!(
            "configuration {:x} is in force: servers {}",
            now.version(),
            list(now)
        ));
        let other_role = before.is_observer(me) != now.is_observer(me);
        let other_leader = match (leader, self.phase().leader) {
            (Some(next), Some(current)) => next != current,
            (None, Some(current)) => !now.is_voter(current),
            (_, None) => false,
        };
        if other_role || other_leader {
            self.moving = Some(Moving { to: leader });
        }
    }

    /// Leaves the role, if a reconfiguration wants that and its clients have their answers.
    pub(super) fn move_on(&mut self, io: &mut Io<'_>) {
        if self.must_move() {
            self.look("the ensemble was reconfigured", io);
            self.moving = None;
        }
    }

    /// Whether [`Member::move_on`] has something to do.
    pub(super) fn must_move(&self) -> bool {
        self.moving.is_some() && !self.replica.has_committed()
    }

    /// A server that looks for a leader learns from others which configuration is in force.
    /// Source: `FastLeaderElection.Messenger.WorkerReceiver.run`.
    pub(super) fn take_config_of(&mut self, n: &Notification, io: &mut Io<'_>) {
        let looking = self.election.state() == ServerState::Looking;
        if !self.config.reconfig_enabled || !looking || n.config.is_empty() {
            return;
        }
        let Ok(theirs) = parse(&n.config) else { return };
        if theirs.version() <= self.configs.committed.version() {
            return;
        }
        let changes = !theirs.same_members(&self.configs.committed);
        self.put_into_force(theirs, None, false, io);
        if changes {
            self.must_look = true;
        }
    }
}

/// The servers of a configuration, for people.
fn list(membership: &Membership) -> String {
    let servers = membership.members().servers.keys().map(|id| {
        let observes = membership.is_observer(Sid(*id));
        format!("{id}{}", if observes { " (observer)" } else { "" })
    });
    servers.collect::<Vec<_>>().join(", ")
}
