//! Owns the second half of a run. First a quorum is healed while the others stay away: it has to elect
//! a leader, serve, acknowledge a write and agree, within [`QUORUM_MS`]. Then everybody is healed and
//! has to come to the same, within [`EVERYBODY_MS`].

use std::collections::BTreeSet;

use menagerie_core::ids::{Sid, Zxid};
use menagerie_core::quorum::Configs;

use super::{Happening, World};
use crate::check::Violation;

/// Simulated milliseconds within which a quorum is well after the last fault in it.
const QUORUM_MS: i64 = 40_000;
/// Simulated milliseconds within which everybody is well.
const EVERYBODY_MS: i64 = 60_000;

impl World {
    pub(super) fn liveness(&mut self) -> Result<(), Violation> {
        self.calm = true;
        let everybody: BTreeSet<Sid> = self.machines.keys().copied().collect();
        let quorum = self.random_quorum();
        if quorum != everybody {
            self.say(|| format!("no more faults between {quorum:?}"));
            self.isolate(&quorum);
            self.demand(&quorum, QUORUM_MS)?;
        }
        self.say(|| "no more faults".to_owned());
        self.heal(&everybody);
        self.demand(&everybody, EVERYBODY_MS)?;
        self.check_expiry()
    }

    /// Some servers that can decide by any configuration that a member may know; everybody when
    /// clients may ask for others meanwhile.
    fn random_quorum(&mut self) -> BTreeSet<Sid> {
        if self.reconfigures > 0 {
            return self.machines.keys().copied().collect();
        }
        let mut configs: Vec<Configs> = Vec::new();
        for machine in self.machines.values() {
            configs.extend(machine.disk.configs().cloned());
            let running = machine.running.as_ref();
            configs.extend(running.map(|running| running.member.configs().clone()));
        }
        let mut quorum: BTreeSet<Sid> = self.machines.keys().copied().collect();
        let mut sids: Vec<Sid> = quorum.iter().copied().collect();
        self.rng.shuffle(&mut sids);
        // A member whose disk may be damaged, or was lost, must not be needed.
        sids.sort_by_key(|sid| !self.is_suspect(*sid));
        let keep = self.rng.usize(..=sids.len());
        for sid in sids {
            let without = |other: Sid| other != sid && quorum.contains(&other);
            let enough = configs.iter().all(|configs| configs.is_quorum(without));
            if enough && (quorum.len() > keep || self.is_suspect(sid)) {
                quorum.remove(&sid);
            }
        }
        // One that lost its database has no vote until the others bring it up, which takes as many
        // as decide.
        let votes = |sid: Sid| quorum.contains(&sid) && !self.is_blank(sid);
        if configs.iter().all(|configs| configs.is_quorum(votes)) {
            quorum
        } else {
            self.machines.keys().copied().collect()
        }
    }

    fn is_blank(&self, sid: Sid) -> bool {
        let machine = self.machines.get(&sid);
        machine.is_some_and(|machine| machine.disk.is_blank())
    }

    fn is_suspect(&mut self, sid: Sid) -> bool {
        let Some(machine) = self.machines.get_mut(&sid) else {
            return false;
        };
        let files = machine.disk.files();
        machine.refuses_since.is_some()
            || files.is_some_and(|files| files.is_blank() || files.flipped().is_some())
    }

    /// Cuts all others off, stops some of them, and heals the quorum.
    fn isolate(&mut self, quorum: &BTreeSet<Sid>) {
        let others: Vec<Sid> = self.machines.keys().copied().collect();
        for other in others.iter().filter(|sid| !quorum.contains(sid)) {
            for sid in &others {
                self.blocked.insert((*sid, *other));
                self.blocked.insert((*other, *sid));
            }
            match self.rng.u8(..3) {
                0 => self.crash(*other),
                1 => self.kill(*other),
                _ => {}
            }
        }
        self.heal(quorum);
    }

    /// No faults among these any more.
    fn heal(&mut self, healed: &BTreeSet<Sid>) {
        let is_healed = |pair: &(Sid, Sid)| healed.contains(&pair.0) && healed.contains(&pair.1);
        let open: BTreeSet<(Sid, Sid)> = self.blocked.iter().copied().filter(is_healed).collect();
        self.blocked.retain(|pair| !open.contains(pair));
        self.flush(&open);
        for sid in healed {
            let Some(machine) = self.machines.get_mut(sid) else {
                continue;
            };
            machine.slow_until = 0;
            if let Some(files) = machine.disk.files() {
                files.blocks().heal();
            }
            if machine.running.is_none() {
                self.at(10, Happening::Start(*sid));
            }
        }
    }

    /// Runs until these are well.
    fn demand(&mut self, healed: &BTreeSet<Sid>, within_ms: i64) -> Result<(), Violation> {
        let target = self.checker.order().last();
        if self.until(self.now + within_ms, |world| world.are_well(healed, target))? {
            return Ok(());
        }
        Err(format!(
            "liveness: {within_ms} ms were not enough for {healed:?}; {}",
            self.describe()
        ))
    }

    /// They serve, have delivered the same, and clients were told of writes behind `target`.
    fn are_well(&self, healed: &BTreeSet<Sid>, target: Zxid) -> bool {
        let last = self.checker.order().last();
        self.acknowledged > target
            && healed.iter().all(|sid| {
                let machine = self.machines.get(sid).filter(|machine| machine.serving);
                let running = machine.and_then(|machine| machine.running.as_ref());
                running
                    .and_then(|running| running.lineage.last())
                    .is_some_and(|(zxid, _)| *zxid == last)
            })
    }

    fn describe(&self) -> String {
        let mut text = format!("last {}", self.checker.order().last());
        for (sid, machine) in &self.machines {
            let state = machine.running.as_ref().map(|running| {
                let member = &running.member;
                format!(
                    "{:?} seen {} log {}",
                    member.phase(),
                    running.lineage.len(),
                    member.history().last()
                )
            });
            text += &format!("; server {sid}: {state:?}");
        }
        text
    }
}
