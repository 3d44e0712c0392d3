//! Owns a member's machine: its clock, its disk, its process; starting and stopping it.

use std::collections::VecDeque;

use menagerie_core::event::{Event, Now};
use menagerie_core::ids::{LinkId, SessionId, Sid};

use super::{Happening, World};
use crate::check::Violation;
use crate::disk::{Disk, Stop, Task};
use crate::node::{Answer, Running, start};

/// A clock of a machine's own.
#[derive(Debug)]
pub(super) struct Clock {
    /// Local milliseconds in 1000 of the world's.
    rate: i64,
    origin_ms: i64,
    /// Added to the wall clock.
    pub(super) wall_skew_ms: i64,
}

impl Clock {
    fn new(rng: &mut fastrand::Rng) -> Self {
        Self {
            rate: rng.i64(970..=1030),
            origin_ms: rng.i64(0..1_000_000),
            wall_skew_ms: rng.i64(-5000..5000),
        }
    }

    /// What it shows at a time of the world.
    pub(super) const fn show(&self, at: i64) -> Now {
        let passed = at * self.rate / 1000;
        Now {
            mono_ms: self.origin_ms + passed,
            wall_ms: 1_700_000_000_000 + passed + self.wall_skew_ms,
        }
    }

    /// When in the world it shows `mono_ms`, at the earliest.
    pub(super) const fn when(&self, mono_ms: i64) -> i64 {
        if mono_ms == i64::MAX {
            return i64::MAX;
        }
        let passed = mono_ms.saturating_sub(self.origin_ms);
        let rounded_up = passed.saturating_mul(1000).saturating_add(self.rate - 1);
        rounded_up.div_euclid(self.rate)
    }
}

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) disk: Disk,
    /// What the disk has been asked to do.
    pub(super) queue: VecDeque<Task>,
    pub(super) running: Option<Running>,
    pub(super) incarnation: u64,
    pub(super) paused_until: i64,
    /// What came while it was stopped, in order.
    pub(super) waiting: VecDeque<Event>,
    /// Until then the disk is slow.
    pub(super) slow_until: i64,
    pub(super) clock: Clock,
    pub(super) next_tick: i64,
    pub(super) serving: bool,
    /// Since when it has refused to start from its files.
    pub(super) refuses_since: Option<i64>,
}

impl Machine {
    pub(super) fn new(disk: Disk, rng: &mut fastrand::Rng) -> Self {
        Self {
            disk,
            queue: VecDeque::new(),
            running: None,
            incarnation: 0,
            paused_until: 0,
            waiting: VecDeque::new(),
            slow_until: 0,
            clock: Clock::new(rng),
            next_tick: i64::MAX,
            serving: false,
            refuses_since: None,
        }
    }
}

impl World {
    pub(super) fn clock(&self, sid: Sid) -> Now {
        let machine = self.machines.get(&sid);
        machine.map_or(
            Now {
                mono_ms: 0,
                wall_ms: 0,
            },
            |it| it.clock.show(self.now),
        )
    }

    pub(super) fn start(&mut self, sid: Sid) -> Result<(), Violation> {
        let now = self.clock(sid);
        let seed = self.rng.u64(..);
        let (planted, masters, sessions) = (self.plan.planted, self.masters, self.sessions);
        let Some(machine) = self.machines.get_mut(&sid) else {
            return Ok(());
        };
        if machine.running.is_some() || machine.refuses_since.is_some() {
            return Ok(());
        }
        machine.queue.clear();
        let restored = match machine.disk.load() {
            Ok(restored) => restored,
            Err(stop) => return self.refuses(sid, &stop),
        };
        self.checker.durability.restored(sid, &restored)?;
        if restored.mismatches > 0 {
            return Err(format!(
                "digest: server {sid} has files that do not fit together"
            ));
        }
        let epochs = (restored.accepted, restored.current);
        self.checker.epochs.moved(sid, epochs)?;
        machine.incarnation += 1;
        machine.next_tick = i64::MAX;
        machine.serving = false;
        machine.running = Some(start(sid, restored, now, seed, masters, sessions, planted));
        self.say(|| format!("server {sid} starts"));
        self.tell_reachable(sid, true);
        self.step(sid, None)
    }

    /// A member cannot start.
    fn refuses(&mut self, sid: Sid, stop: &Stop) -> Result<(), Violation> {
        self.say(|| format!("server {sid} does not start: {stop:?}"));
        let Some(machine) = self.machines.get_mut(&sid) else {
            return Ok(());
        };
        let mut rng = self.rng.fork();
        match stop {
            Stop::Power => machine.disk.lose_power(VecDeque::new(), &mut rng),
            Stop::Full => self.report.stops[0] += 1,
            Stop::Failed(_) => self.report.stops[1] += 1,
            Stop::Damaged(why) => {
                let flipped = machine.disk.files().and_then(|files| files.flipped());
                let file = flipped.and_then(|text| text.split(' ').next());
                if !file.is_some_and(|file| why.contains(file)) {
                    return Err(format!(
                        "recovery: server {sid} does not start: {why}; flipped: {flipped:?}"
                    ));
                }
                self.report.stops[2] += 1;
                machine.refuses_since = Some(self.now);
                self.at(500, Happening::Operator(sid));
                return Ok(());
            }
        }
        let delay = self.rng.i64(50..1500);
        self.at(delay, Happening::Start(sid));
        Ok(())
    }

    /// The power fails.
    pub(super) fn crash(&mut self, sid: Sid) {
        let mut rng = self.rng.fork();
        if let Some(machine) = self.machines.get(&sid) {
            self.checker.durability.doing(sid, &machine.queue);
        }
        self.ends(sid, |machine| {
            let queue = std::mem::take(&mut machine.queue);
            machine.disk.lose_power(queue, &mut rng);
        });
    }

    /// The process is killed, or ends because of its disk.
    pub(super) fn kill(&mut self, sid: Sid) {
        let mut rng = self.rng.fork();
        self.ends(sid, |machine| {
            let queue = std::mem::take(&mut machine.queue);
            match machine.disk.files() {
                Some(files) => files.lose_process(),
                None => machine.disk.lose_power(queue, &mut rng),
            }
        });
    }

    fn ends(&mut self, sid: Sid, disk: impl FnOnce(&mut Machine)) {
        let Some(machine) = self.machines.get_mut(&sid) else {
            return;
        };
        let Some(running) = machine.running.take() else {
            return;
        };
        disk(machine);
        machine.waiting.clear();
        machine.serving = false;
        machine.incarnation += 1;
        self.report.crashes += 1;
        self.say(|| format!("server {sid} ends"));
        drop(running);
        for conn in self.conns_at(sid) {
            self.hear(conn, Answer::Closed);
        }
        let broken: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| link.leader == sid || link.learner == sid)
            .map(|(id, _)| *id)
            .collect();
        for link in broken {
            self.break_link(link, None);
        }
        self.tell_reachable(sid, false);
    }

    pub(super) fn tick(&mut self, sid: Sid, incarnation: u64) -> Result<(), Violation> {
        let now = self.clock(sid);
        let Some(machine) = self.machines.get_mut(&sid) else {
            return Ok(());
        };
        if machine.incarnation != incarnation || machine.next_tick > self.now {
            return Ok(());
        }
        if machine.paused_until > self.now {
            machine.next_tick = machine.paused_until;
            let delay = machine.paused_until - self.now;
            self.at(delay, Happening::Tick(sid, incarnation));
            return Ok(());
        }
        machine.next_tick = i64::MAX;
        if let Some(running) = &mut machine.running {
            // Clients of this server are heard all the time.
            let sessions: Vec<SessionId> = running.conns.values().copied().collect();
            for session in sessions {
                running.member.replica_mut().touch(session, now.mono_ms);
            }
        }
        self.step(sid, Some(Event::Tick))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_a_time_when_it_says_so() {
        for seed in 0..50 {
            let clock = Clock::new(&mut fastrand::Rng::with_seed(seed));
            for mono_ms in clock.origin_ms..clock.origin_ms + 5000 {
                let when = clock.when(mono_ms);
                assert!(clock.show(when).mono_ms >= mono_ms);
                assert_eq!(clock.when(i64::MAX), i64::MAX);
                assert!(clock.when(i64::MIN) < 0);
                assert!(when == 0 || clock.show(when - 1).mono_ms < mono_ms);
            }
        }
    }
}
