//! Owns what the people do who look after the machines: they make room on full disks, and empty the
//! disk of a member that refuses to start, once nothing depends on it any more. Where members know that
//! their database was lost (`db.autocreate=false`), they need not wait for that.

use menagerie_core::ids::Sid;

use super::{Happening, World};

/// A member has been down for so long before its disk is emptied: what it has sent has arrived.
const DOWN_MS: i64 = 1000;

impl World {
    pub(super) fn make_room(&mut self, sid: Sid) {
        if let Some(files) = self.machines.get_mut(&sid).and_then(|m| m.disk.files()) {
            files.blocks().leave_room(None);
        }
    }

    /// Looks after a member that refuses to start.
    pub(super) fn operate(&mut self, sid: Sid) {
        let since = self.machines.get(&sid).and_then(|m| m.refuses_since);
        let Some(since) = since else {
            return;
        };
        let guarded = self.guarded;
        if self.now - since < DOWN_MS || !guarded && !self.is_dispensable(sid) {
            self.at(20, Happening::Operator(sid));
            return;
        }
        self.say(|| format!("the operator empties the disk of server {sid}"));
        if let Some(machine) = self.machines.get_mut(&sid) {
            machine.refuses_since = None;
            if let Some(files) = machine.disk.files() {
                files.wipe(guarded);
            }
        }
        self.checker.durability.wiped(sid);
        self.checker.epochs.wiped(sid);
        self.at(10, Happening::Start(sid));
    }

    /// Whether every other voter follows the same leader and has all that it has on disk: whatever
    /// quorum decides next, one of them is in it who knows what the one without a disk knew.
    fn is_dispensable(&self, sid: Sid) -> bool {
        let leader = self.machines.values().find_map(|machine| {
            let running = machine.running.as_ref()?;
            running.member.is_established().then_some(running)
        });
        let Some(leader) = leader else {
            return false;
        };
        let (phase, last) = (leader.member.phase(), leader.member.history().last());
        let mut others = leader.member.configs().voters();
        others.remove(&sid);
        last == self.checker.order().last()
            && others.iter().all(|other| {
                self.machines.get(other).is_some_and(|machine| {
                    let follows = machine.running.as_ref().is_some_and(|running| {
                        let its = running.member.phase();
                        its.leader == phase.leader
                            && its.epoch == phase.epoch
                            && running.member.history().last() == last
                    });
                    follows && machine.serving && machine.queue.is_empty()
                })
            })
    }

    /// Whether a bit may be flipped on that member's disk: the others can do without it, and have not
    /// lost anybody yet.
    pub(super) fn may_be_damaged(&mut self, sid: Sid) -> bool {
        let mut damaged = false;
        for machine in self.machines.values_mut() {
            damaged |= machine.refuses_since.is_some();
            damaged |= machine
                .disk
                .files()
                .is_some_and(|files| files.is_blank() || files.flipped().is_some());
        }
        let configs = self.machines.values().filter_map(|m| m.disk.configs());
        let dispensable =
            |configs: &menagerie_core::quorum::Configs| configs.is_quorum(|other| other != sid);
        !damaged && self.reconfigures == 0 && configs.into_iter().all(dispensable)
    }
}
