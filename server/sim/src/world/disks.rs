//! Owns when disks do what they were asked to, and what the members hear of it.

use menagerie_core::event::Event;
use menagerie_core::ids::Sid;

use super::{Happening, World};
use crate::check::Violation;
use crate::disk::Task;

impl World {
    pub(super) fn enqueue(&mut self, sid: Sid, task: Task) {
        let Some(machine) = self.machines.get_mut(&sid) else {
            return;
        };
        machine.disk.queue.push_back(task);
        if machine.disk.queue.len() == 1 {
            self.disk_next(sid);
        }
    }

    pub(super) fn disk_next(&mut self, sid: Sid) {
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
        let Some(machine) = self.machines.get_mut(&sid) else {
            return Ok(());
        };
        if machine.incarnation != incarnation {
            return Ok(());
        }
        let Some(task) = machine.disk.queue.pop_front() else {
            return Ok(());
        };
        machine.disk.perform(&task);
        let more = !machine.disk.queue.is_empty();
        let event = match task {
            Task::Append(entries) => entries
                .last()
                .map(|(zxid, _)| Event::LogDurable { zxid: *zxid }),
            Task::Epoch(kind, epoch) => {
                let (accepted, current) = (machine.disk.accepted, machine.disk.current);
                self.checker.epochs(sid, accepted, current)?;
                Some(Event::EpochDurable { kind, epoch })
            }
            Task::Truncate(zxid, reload) => {
                let reloaded = reload.then(|| {
                    let restored = machine.disk.restore();
                    if let Some(running) = &mut machine.running {
                        running.tree = restored.tree;
                        running.lineage = restored.lineage;
                    }
                    restored.sessions
                });
                Some(Event::Truncated { zxid, reloaded })
            }
            Task::Install(snapshot) => {
                if let Some(running) = &mut machine.running {
                    running.tree = snapshot.tree();
                    running.lineage.clone_from(&snapshot.lineage);
                }
                let (zxid, sessions) = (snapshot.zxid, snapshot.sessions);
                Some(Event::SnapshotInstalled { zxid, sessions })
            }
            Task::Save(_) => Some(Event::SnapshotDone),
        };
        if more {
            self.disk_next(sid);
        }
        match event {
            Some(event) => self.happen(Happening::Tell(sid, incarnation, event)),
            None => Ok(()),
        }
    }
}
