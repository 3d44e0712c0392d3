//! Owns when disks do what they were asked to, and what the members hear of it.

use menagerie_core::event::Event;
use menagerie_core::ids::Sid;

use super::{Happening, World};
use crate::check::Violation;
use crate::disk::{Disk, Done, Snapshot, Stop, Task};

impl World {
    pub(super) fn enqueue(&mut self, sid: Sid, task: Task) {
        let Some(machine) = self.machines.get_mut(&sid) else {
            return;
        };
        machine.queue.push_back(task);
        if machine.queue.len() == 1 {
            self.disk_next(sid);
        }
    }

    fn disk_next(&mut self, sid: Sid) {
        let Some(machine) = self.machines.get(&sid) else {
            return;
        };
        let slow = machine.slow_until > self.now;
        let incarnation = machine.incarnation;
        let delay = if slow {
            self.rng.i64(50..800)
        } else {
            self.rng.i64(0..6)
        };
        self.at(delay, Happening::DiskDone(sid, incarnation));
    }

    pub(super) fn disk_done(&mut self, sid: Sid, incarnation: u64) -> Result<(), Violation> {
        let mut rng = self.rng.fork();
        let Some(machine) = self.machines.get_mut(&sid) else {
            return Ok(());
        };
        if machine.incarnation != incarnation || machine.queue.is_empty() {
            return Ok(());
        }
        self.checker.durability.doing(sid, &machine.queue);
        let (done, result) = machine.disk.work(&mut machine.queue, &mut rng);
        if result == Err(Stop::Power) {
            // Nobody has heard of what was done.
            self.say(|| format!("the power of server {sid} fails while its disk works"));
            self.fails(sid, &Stop::Power);
            return Ok(());
        }
        if result.is_ok() && !machine.queue.is_empty() {
            self.disk_next(sid);
        }
        for done in done {
            self.checker.durability.done(sid, &done);
            if let Done::Epoch(kind, epoch) = done {
                self.checker.epochs.written(sid, kind, epoch)?;
            }
            let event = self.event(sid, done);
            self.happen(Happening::Tell(sid, incarnation, event))?;
        }
        if let Err(stop) = result {
            self.say(|| format!("server {sid} stops: {stop:?}"));
            self.fails(sid, &stop);
        }
        Ok(())
    }

    /// A member ends because of its disk.
    fn fails(&mut self, sid: Sid, stop: &Stop) {
        match stop {
            Stop::Power => self.crash(sid),
            Stop::Full => self.report.stops[0] += 1,
            Stop::Failed(_) => self.report.stops[1] += 1,
            Stop::Damaged(_) => self.report.stops[2] += 1,
        }
        self.kill(sid);
        let delay = self.rng.i64(10..2000);
        self.at(delay, Happening::Start(sid));
    }

    /// What the member hears; its tree is the new one then.
    fn event(&mut self, sid: Sid, done: Done) -> Event {
        let running = self.machines.get_mut(&sid).and_then(|m| m.running.as_mut());
        match done {
            Done::Logged(zxid) => Event::LogDurable { zxid },
            Done::Epoch(kind, epoch) => Event::EpochDurable { kind, epoch },
            Done::Cut { zxid, reloaded } => {
                let reloaded = reloaded.map(|restored| {
                    if let Some(running) = running {
                        running.tree = restored.tree;
                        running.lineage = restored.lineage;
                    }
                    restored.sessions
                });
                Event::Truncated { zxid, reloaded }
            }
            Done::CutFailed { zxid, reason } => Event::TruncateFailed { zxid, reason },
            Done::Installed(snapshot) => {
                if let Some(running) = running {
                    running.tree = snapshot.tree();
                    running.lineage.clone_from(&snapshot.lineage);
                }
                let (zxid, sessions) = (snapshot.zxid, snapshot.sessions);
                Event::SnapshotInstalled { zxid, sessions }
            }
            Done::Saved => Event::SnapshotDone,
        }
    }

    /// A member wants a snapshot: the model has it at once, files are written bit by bit while the
    /// tree goes on.
    pub(super) fn save_snapshot(&mut self, sid: Sid) {
        let Some(machine) = self.machines.get_mut(&sid) else {
            return;
        };
        let Some(running) = &machine.running else {
            return;
        };
        let sessions = running.member.replica().sessions().all();
        let incarnation = machine.incarnation;
        match &mut machine.disk {
            Disk::Model(_) => {
                let snapshot = Snapshot::of(&running.tree, sessions, running.lineage.clone());
                self.enqueue(sid, Task::Save(snapshot));
            }
            Disk::Files(files) => {
                let begun = files.save(&running.tree, &sessions, &running.lineage);
                self.enqueue(sid, Task::Roll);
                match begun {
                    Ok(true) => self.at(1, Happening::SaveMore(sid, incarnation)),
                    Ok(false) => {
                        self.at(1, Happening::Tell(sid, incarnation, Event::SnapshotDone));
                    }
                    Err(stop) => self.fails(sid, &stop),
                }
            }
        }
    }

    pub(super) fn save_more(&mut self, sid: Sid, incarnation: u64) {
        let nodes = self.rng.usize(1..4);
        let Some(machine) = self.machines.get_mut(&sid) else {
            return;
        };
        if machine.incarnation != incarnation {
            return;
        }
        let (Some(files), Some(running)) = (machine.disk.files(), &machine.running) else {
            return;
        };
        match files.save_more(&running.tree, nodes) {
            Ok(Some(true)) => {
                let delay = self.rng.i64(1..100);
                self.at(delay, Happening::SaveMore(sid, incarnation));
            }
            Ok(Some(false)) => self.at(0, Happening::Tell(sid, incarnation, Event::SnapshotDone)),
            Ok(None) => {}
            Err(stop) => self.fails(sid, &stop),
        }
    }

    /// The snapshot that is being written is ended first.
    pub(super) fn finish_saving(&mut self, sid: Sid) {
        let Some(machine) = self.machines.get_mut(&sid) else {
            return;
        };
        let incarnation = machine.incarnation;
        let (Some(files), Some(running)) = (machine.disk.files(), &machine.running) else {
            return;
        };
        match files.save_more(&running.tree, usize::MAX) {
            Ok(Some(_)) => self.at(0, Happening::Tell(sid, incarnation, Event::SnapshotDone)),
            Ok(None) => {}
            Err(stop) => self.fails(sid, &stop),
        }
    }
}
