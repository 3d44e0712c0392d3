//! Owns what is on its way between members: votes, which may be lost or come twice, and links, which
//! keep their order until they break.

use std::collections::{BTreeSet, VecDeque};

use menagerie_core::effect::Port;
use menagerie_core::event::Event;
use menagerie_core::ids::{LinkId, Sid};
use menagerie_core::zab::packet::Packet;
use menagerie_wire::election::Notification;

use super::{Happening, Link, World};
use crate::disk::Snapshot;

impl World {
    pub(super) fn send_vote(&mut self, from: Sid, to: Sid, notification: Notification) {
        let times = if self.rng.u8(..30) == 0 { 2 } else { 1 };
        for time in 0..times {
            let Some(machine) = self.machines.get(&to) else {
                return;
            };
            let up = machine.running.is_some() && !self.blocked.contains(&(from, to));
            let incarnation = machine.incarnation;
            // Lost with a connection, which is a fault.
            let lost = self.rng.u8(..60) == 0 && !self.calm;
            if !up || lost {
                continue;
            }
            self.say(|| {
                format!(
                    "vote {from} to {to}: {:?} {} round {} of {:x} {:x}",
                    notification.state,
                    notification.leader,
                    notification.round,
                    notification.peer_epoch,
                    notification.zxid
                )
            });
            // A connection that comes up anew repeats its last message.
            let delay = self.delay() + time * 700;
            let notification = notification.clone();
            let event = Event::Vote { from, notification };
            self.at(delay, Happening::Tell(to, incarnation, event));
        }
    }

    pub(super) fn send(&mut self, from: Sid, id: LinkId, packet: Packet) {
        let Some(link) = self.links.get(&id) else {
            return;
        };
        let (to, direction) = if link.leader == from {
            (link.learner, 0)
        } else {
            (link.leader, 1)
        };
        let event = match packet {
            Packet::Snap(zxid) => {
                self.report.syncs[2] += 1;
                let running = self.machines.get(&from).and_then(|m| m.running.as_ref());
                let snapshot = running.map(|running| {
                    let sessions = running.member.replica().sessions().all();
                    Snapshot::of(&running.tree, sessions, running.lineage.clone())
                });
                let receiver = self.machines.get_mut(&to).and_then(|m| m.running.as_mut());
                if let (Some(snapshot), Some(receiver)) = (snapshot, receiver) {
                    receiver.parked.insert(id, snapshot);
                }
                Event::SnapshotReceived { link: id, zxid }
            }
            packet => {
                match packet {
                    Packet::Diff(_) => self.report.syncs[0] += 1,
                    Packet::Trunc(_) => self.report.syncs[1] += 1,
                    Packet::UpToDate if self.hosts(from) => self.report.hosted += 1,
                    _ => {}
                }
                // As bytes and back: what cannot be written is not simulated.
                let mut bytes = Vec::new();
                packet.encode(&mut bytes);
                let packet = Packet::decode(&bytes.into()).unwrap_or(packet);
                Event::Packet { link: id, packet }
            }
        };
        let delay = self.delay();
        let (now, blocked) = (self.now, self.blocked.contains(&(from, to)));
        let incarnation = self
            .machines
            .get(&to)
            .map_or(0, |machine| machine.incarnation);
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if blocked || !link.stalled[direction].is_empty() {
            link.stalled[direction].push_back(event);
            return;
        }
        let at = (now + delay).max(link.last[direction]);
        link.last[direction] = at;
        self.at(at - now, Happening::Tell(to, incarnation, event));
    }

    fn hosts(&self, sid: Sid) -> bool {
        let running = self.machines.get(&sid).and_then(|m| m.running.as_ref());
        running.is_some_and(|running| running.member.is_hosting())
    }

    /// Sends what waited for the network.
    pub(super) fn flush(&mut self, pairs: &BTreeSet<(Sid, Sid)>) {
        let mut ready = Vec::new();
        for link in self.links.values_mut() {
            for (direction, from, to) in [
                (0, link.leader, link.learner),
                (1, link.learner, link.leader),
            ] {
                if pairs.contains(&(from, to)) {
                    link.last[direction] = link.last[direction].max(self.now);
                    let at = link.last[direction];
                    ready.extend(
                        link.stalled[direction]
                            .drain(..)
                            .map(|event| (to, at, event)),
                    );
                }
            }
        }
        for (to, at, event) in ready {
            let incarnation = self
                .machines
                .get(&to)
                .map_or(0, |machine| machine.incarnation);
            let delay = at - self.now;
            self.at(delay, Happening::Tell(to, incarnation, event));
        }
    }

    /// Looks for a leader's port, or a follower's for observers, as often as a server does: a leader
    /// that has just been elected takes a moment to open it.
    pub(super) fn connect(
        &mut self,
        learner: Sid,
        incarnation: u64,
        (to, port): (Sid, Port),
        attempt: u32,
    ) {
        let delay = self.delay() + 1;
        let machine = self.machines.get(&learner);
        if machine.is_none_or(|machine| machine.incarnation != incarnation) {
            return;
        }
        let running = self.machines.get(&to).and_then(|m| m.running.as_ref());
        let listens = running.is_some_and(|running| match port {
            Port::Quorum => running.member.phase().leader == Some(to),
            Port::ObserverMaster => running.member.is_hosting(),
        });
        let cut = self.blocked.contains(&(learner, to)) || self.blocked.contains(&(to, learner));
        let tries = match port {
            Port::Quorum => 8,
            Port::ObserverMaster => 2,
        };
        if !listens && !cut && attempt < tries {
            let again = Happening::Connect(learner, incarnation, (to, port), attempt + 1);
            self.at(delay + (5 << attempt), again);
            return;
        }
        if !listens || cut {
            let reason = "connection refused".to_owned();
            let event = Event::LinkFailed { to, reason };
            let delay = delay + self.rng.i64(0..500);
            self.at(delay, Happening::Tell(learner, incarnation, event));
            return;
        }
        let link = LinkId(self.next_link);
        self.next_link += 1;
        let last = [self.now + delay; 2];
        let stalled = [VecDeque::new(), VecDeque::new()];
        let value = Link {
            leader: to,
            learner,
            last,
            stalled,
        };
        self.links.insert(link, value);
        let event = Event::LinkUp { to, link };
        self.at(delay, Happening::Tell(learner, incarnation, event));
    }
    /// Both ends hear of it, except the one that asked for it.
    pub(super) fn break_link(&mut self, id: LinkId, by: Option<Sid>) {
        let Some(link) = self.links.remove(&id) else {
            return;
        };
        for (end, other, direction) in [
            (link.leader, link.learner, 1),
            (link.learner, link.leader, 0),
        ] {
            if Some(end) == by {
                continue;
            }
            let Some(machine) = self.machines.get(&end) else {
                continue;
            };
            let incarnation = machine.incarnation;
            // What was sent before still arrives, unless the network is cut: then the silence tells.
            if self.blocked.contains(&(other, end)) {
                continue;
            }
            let delay = self.delay().max(link.last[direction] - self.now);
            let reason = "connection lost".to_owned();
            let event = Event::LinkDown { link: id, reason };
            self.at(delay, Happening::Tell(end, incarnation, event));
        }
    }

    pub(super) fn tell_reachable(&mut self, sid: Sid, reachable: bool) {
        let others: Vec<(Sid, u64)> = self
            .machines
            .iter()
            .filter(|(other, machine)| **other != sid && machine.running.is_some())
            .map(|(other, machine)| (*other, machine.incarnation))
            .collect();
        for (other, incarnation) in others {
            if self.blocked.contains(&(sid, other)) {
                continue;
            }
            let delay = self.delay();
            let event = Event::Reachable { sid, reachable };
            self.at(delay, Happening::Tell(other, incarnation, event));
        }
    }
}
