//! Owns what goes wrong.

use std::collections::BTreeSet;

use menagerie_core::ids::{LinkId, Sid};
use menagerie_core::sessions::SessionRules;

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
        self.strike();
        Ok(())
    }

    /// One fault.
    pub(super) fn strike(&mut self) {
        if self.calm {
            return;
        }
        let sids: Vec<Sid> = self.machines.keys().copied().collect();
        let sid = sids[self.rng.usize(..sids.len())];
        let leader = self.machines.iter().find(|(_, machine)| {
            let leads = |running: &Running| running.member.is_established();
            machine.running.as_ref().is_some_and(leads)
        });
        let leader = leader.map_or(sid, |(sid, _)| *sid);
        if self.rng.u8(..3) == 0 && self.strike_disk(sid) {
            return;
        }
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
                    let jump_ms: i64 = self.rng.i64(-10_000..10_000);
                    // Ids of sessions come from the clock, as Apache's do: while local ones, which no
                    // log remembers, may be open, it must not go back behind a member's start.
                    machine.clock.wall_skew_ms += match self.sessions {
                        SessionRules::Global => jump_ms,
                        SessionRules::Local { .. } => jump_ms.abs(),
                    };
                }
            }
        }
    }

    /// A fault of a disk, if it has real files.
    fn strike_disk(&mut self, sid: Sid) -> bool {
        let may_be_damaged = self.may_be_damaged(sid);
        let Some(machine) = self.machines.get_mut(&sid) else {
            return false;
        };
        let Some(files) = machine.disk.files() else {
            return false;
        };
        match self.rng.u8(..8) {
            // Somewhere in what the disk does next.
            0..=2 => {
                let operations = self.rng.u32(..40);
                files.blocks().fail_power_after(operations);
                self.say(|| format!("server {sid} has power for {operations} operations"));
            }
            3 => self.kill_for_a_while(sid),
            4 => {
                let room = self.rng.usize(..6000);
                files.blocks().leave_room(Some(room));
                self.say(|| format!("server {sid} has room for {room} bytes"));
                let delay = self.rng.i64(100..6000);
                self.at(delay, Happening::Room(sid));
            }
            5 => {
                files.blocks().fail_sync();
                self.say(|| format!("the next sync of server {sid} fails"));
            }
            _ if may_be_damaged => {
                files.flip_bit();
                let flipped = files.flipped().map(str::to_owned);
                self.say(|| format!("a bit of server {sid} flips: {flipped:?}"));
                // It is found at a start.
                if self.rng.u8(..3) > 0 {
                    self.crash_for_a_while(sid);
                }
            }
            _ => return false,
        }
        true
    }

    fn kill_for_a_while(&mut self, sid: Sid) {
        self.kill(sid);
        let delay = self.rng.i64(10..2000);
        self.at(delay, Happening::Start(sid));
    }

    /// A part of the servers is cut off, and one starts anew meanwhile.
    pub(super) fn strike_reconfig(&mut self) {
        if self.calm {
            return;
        }
        let sids: Vec<Sid> = self.machines.keys().copied().collect();
        let some = sids[self.rng.usize(..sids.len())];
        self.partition(&sids, some);
        let other = sids[self.rng.usize(..sids.len())];
        self.crash(other);
        let delay = self.rng.i64(10..200);
        self.at(delay, Happening::Start(other));
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
