//! Owns what goes wrong.

use std::collections::BTreeSet;

use menagerie_core::ids::{LinkId, Sid};

use super::{Happening, PAUSE_MAX_MS, World};
use crate::check::Violation;
use crate::node::{Running, TICK_MS};

impl World {
    pub(super) fn fault(&mut self) -> Result<(), Violation> {
        if self.calm {
            return Ok(());
        }
        let delay = self.rng.i64(50..2500);
        self.at(delay, Happening::Fault);
        let sids: Vec<Sid> = self.machines.keys().copied().collect();
        let sid = sids[self.rng.usize(..sids.len())];
        let leader = self.machines.iter().find(|(_, machine)| {
            let leads = |running: &Running| running.member.is_established();
            machine.running.as_ref().is_some_and(leads)
        });
        let leader = leader.map_or(sid, |(sid, _)| *sid);
        match self.rng.u8(..12) {
            0..=2 => self.crash_for_a_while(sid),
            3 | 4 => self.crash_for_a_while(leader),
            5 => {
                for sid in sids {
                    if self.rng.u8(..5) > 0 {
                        self.crash_for_a_while(sid);
                    }
                }
            }
            6 => {
                let until = self.now + self.rng.i64(1..PAUSE_MAX_MS);
                if let Some(machine) = self.machines.get_mut(&sid) {
                    machine.paused_until = machine.paused_until.max(until);
                }
                self.say(|| format!("server {sid} is paused until {until}"));
            }
            7 | 8 => self.partition(&sids, leader),
            9 => {
                let ids: Vec<LinkId> = self.links.keys().copied().collect();
                if !ids.is_empty() {
                    let link = ids[self.rng.usize(..ids.len())];
                    self.say(|| format!("link {} breaks", link.0));
                    self.break_link(link, None);
                }
            }
            10 => {
                let until = self.now + self.rng.i64(1..5000);
                if let Some(machine) = self.machines.get_mut(&sid) {
                    machine.slow_until = until;
                }
            }
            _ => {
                if let Some(machine) = self.machines.get_mut(&sid) {
                    machine.skew_ms += self.rng.i64(-10_000..10_000);
                }
            }
        }
        Ok(())
    }

    pub(super) fn crash_for_a_while(&mut self, sid: Sid) {
        self.crash(sid);
        let delay = self.rng.i64(10..4000);
        self.at(delay, Happening::Start(sid));
    }

    pub(super) fn partition(&mut self, sids: &[Sid], leader: Sid) {
        let mut pairs = BTreeSet::new();
        let one_way = self.rng.u8(..3) == 0;
        let side: Vec<Sid> = if self.rng.bool() {
            vec![leader]
        } else {
            sids.iter().copied().filter(|_| self.rng.bool()).collect()
        };
        for a in sids.iter().filter(|sid| side.contains(sid)) {
            for b in sids.iter().filter(|sid| !side.contains(sid)) {
                pairs.insert((*a, *b));
                if !one_way {
                    pairs.insert((*b, *a));
                }
            }
        }
        self.say(|| format!("{side:?} cut off{}", if one_way { " one way" } else { "" }));
        self.blocked.extend(pairs.iter().copied());
        let delay = self.rng.i64(50..(30 * TICK_MS));
        self.at(delay, Happening::Heal(pairs));
    }
}
