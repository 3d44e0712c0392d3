//! Owns the first phase: who comes, which epoch begins, and that a quorum accepts it and has no more
//! than the leader. Source: `Leader.getEpochToPropose`, `Leader.waitForEpochAck`; phase 1 of the
//! paper.

use menagerie_wire::election::Notification;

use super::{Leading, Peer, Progress, Stage};
use crate::event::EpochKind;
use crate::ids::{LinkId, Sid, Zxid};
use crate::member::{Io, Member};
use crate::planted::Bug;
use crate::zab::packet::Packet;

/// An epoch is the upper half of a zxid, which must not be negative.
pub(in crate::member) const EPOCH_MAX: i64 = i32::MAX as i64 - 1;

impl Member {
    pub(super) fn introduce(
        &mut self,
        link: LinkId,
        sid: Sid,
        observer: bool,
        accepted_epoch: i64,
        config_version: i64,
        io: &mut Io<'_>,
    ) {
        let Some(leading) = &mut self.leading else {
            return;
        };
        let ours = self.configs.committed.version();
        if config_version > ours {
            let reason = format!(
                "server {sid} has configuration version {config_version:x}, the leader only \
                 {ours:x}"
            );
            io.close(link, reason);
            return;
        }
        if !(0..=EPOCH_MAX).contains(&accepted_epoch) {
            let reason = format!("server {sid} says that it has accepted epoch {accepted_epoch}");
            io.close(link, reason);
            return;
        }
        if sid == self.config.me {
            io.close(
                link,
                format!("it says that it is server {sid}, which is this one"),
            );
            return;
        }
        if leading.stage >= Stage::Accepting
            && accepted_epoch > leading.epoch
            && self.configs.is_voter(sid)
        {
            // It has promised itself to a leader that never came about, and can follow none before
            // that one: Apache keeps it out until it happens to have another leader.
            self.seen_epoch = self.seen_epoch.max(accepted_epoch);
            self.look(
                &format!(
                    "server {sid} has promised itself to epoch {accepted_epoch}, which only a later \
                     leader can have"
                ),
                io,
            );
            return;
        }
        let same = |peer: &Peer| peer.sid == sid && sid.0 >= 0;
        let old: Vec<LinkId> = leading
            .peers
            .iter()
            .filter(|(at, peer)| **at == link || same(peer))
            .map(|(at, _)| *at)
            .collect();
        for old in old {
            leading.forget(old);
            if old != link {
                io.close(old, format!("server {sid} has connected again"));
            }
        }
        let peer = Peer {
            sid,
            observer,
            progress: Progress::Known,
            heard_ms: io.now.mono_ms,
            history: None,
            acked: Zxid(0),
            brought: Zxid(0),
            owes: None,
            by_snapshot: false,
        };
        leading.peers.insert(link, peer);
        if leading.stage < Stage::Accepting {
            leading.highest_epoch = leading.highest_epoch.max(accepted_epoch);
            self.try_epoch(io);
        } else {
            self.tell_epoch(io);
        }
    }

    /// The epoch is told while this server still writes it: nothing is built on it before that is
    /// done. Apache's leader tells it afterwards, which with a slow disk makes clients wait longer for
    /// their next leader. Source: `Leader.getEpochToPropose`.
    pub(super) fn try_epoch(&mut self, io: &mut Io<'_>) {
        let (configs, me) = (&self.configs, self.config.me);
        let Some(leading) = &mut self.leading else {
            return;
        };
        let enough = leading.has_quorum(configs, me, Progress::Known, |_| true);
        if leading.stage != Stage::Discovery || !enough {
            return;
        }
        let epoch = leading.highest_epoch + 1;
        leading.epoch = epoch;
        leading.stage = Stage::Accepting;
        self.give_version(io);
        self.persist(EpochKind::Accepted, epoch, io);
        self.tell_epoch(io);
    }

    fn tell_epoch(&mut self, io: &mut Io<'_>) {
        let Some(leading) = &mut self.leading else {
            return;
        };
        let epoch = leading.epoch;
        for (link, peer) in &mut leading.peers {
            if peer.progress == Progress::Known {
                peer.progress = Progress::Told;
                io.send(*link, Packet::LeaderInfo { epoch });
            }
        }
    }

    pub(in crate::member) fn lead_epoch_durable(&mut self, kind: EpochKind, io: &mut Io<'_>) {
        let Some(leading) = &mut self.leading else {
            return;
        };
        match (kind, leading.stage) {
            (EpochKind::Accepted, Stage::Accepting) => {
                leading.stage = Stage::Epoch;
                leading.deadline = io.now.mono_ms + self.config.init_ms();
                self.try_adopt(io);
            }
            (EpochKind::Current, Stage::Sync) => self.try_establish(io),
            _ => {}
        }
    }

    /// Source: `Leader.waitForEpochAck`.
    pub(super) fn epoch_acked(
        &mut self,
        link: LinkId,
        zxid: Zxid,
        epoch: Option<i64>,
        io: &mut Io<'_>,
    ) {
        let Some(leading) = &mut self.leading else {
            return;
        };
        let Some(peer) = leading.peers.get_mut(&link) else {
            return;
        };
        if peer.progress != Progress::Told {
            io.close(link, "it accepts an epoch that it was not told");
            return;
        }
        let (ours, last) = leading.initial;
        // The beginning of an epoch is in the history of everyone who has that epoch.
        let known = zxid.counter() == 0 && zxid.epoch() <= ours;
        peer.history = epoch.map(|epoch| (epoch, zxid));
        // Once a quorum has accepted the epoch, nothing that only others have can be committed.
        if let Some(epoch) = epoch
            && leading.stage <= Stage::Epoch
            && (epoch > ours || epoch == ours && zxid > last && !known)
        {
            peer.progress = Progress::Ahead(zxid);
            io.say(format!(
                "server {} is ahead of this leader: epoch {epoch}, last zxid {zxid}; here epoch \
                 {ours}, last zxid {last}",
                peer.sid
            ));
        } else {
            peer.progress = Progress::Accepted(zxid);
        }
        if leading.stage >= Stage::Sync {
            self.synchronise(link, io);
        } else {
            self.try_adopt(io);
        }
    }

    /// Lets those join who are ahead, where it is certain that what they have more is not committed.
    /// Apache turns them away, which in a reconfiguration can be for ever.
    fn admit_ahead(&mut self) {
        let (configs, me) = (&self.configs, self.config.me);
        let Some(leading) = &mut self.leading else {
            return;
        };
        let decided = leading.stage > Stage::Epoch;
        let mut admitted = Vec::new();
        for (link, peer) in &leading.peers {
            let Progress::Ahead(zxid) = peer.progress else {
                continue;
            };
            // Who is not known to lack something may have it.
            let knows = |sid: Sid, has: &dyn Fn((i64, Zxid)) -> bool| {
                let lacking =
                    |other: &Peer| other.sid == sid && other.history.is_some_and(|at| !has(at));
                let mine = sid == me && !has(leading.initial);
                !mine && !leading.peers.values().any(lacking)
            };
            let more = |sid: Sid| knows(sid, &|at| at > leading.initial);
            let committed = match configs.next() {
                // Only the new voters need to have it, if the old ones have the reconfiguration.
                Some(next) if next.version() <= zxid.0 => {
                    let reconfigured = |sid: Sid| knows(sid, &|(_, last)| last.0 >= next.version());
                    next.is_quorum(more) && configs.committed.is_quorum(reconfigured)
                }
                _ => configs.committed.is_quorum(more),
            };
            if decided || !committed {
                admitted.push((*link, zxid));
            }
        }
        for (link, zxid) in admitted {
            if let Some(peer) = leading.peers.get_mut(&link) {
                peer.progress = Progress::Accepted(zxid);
            }
        }
    }

    /// One of those who elected this server looks for a leader again. Waiting for its epoch any
    /// longer may be in vain. Source: `Leader.reportLookingSid`.
    ///
    /// It is in vain for certain when it votes for somebody better and those who are left are no
    /// quorum. Apache's leader waits for `initLimit` all the same.
    pub(in crate::member) fn voter_looks(
        &mut self,
        sid: Sid,
        vote: &Notification,
        io: &mut Io<'_>,
    ) {
        if !self.election.was_elected_by(sid) {
            return;
        }
        let (limit, init_ms) = (self.config.epoch_wait_ms, self.config.init_ms());
        let waits = |leading: &&mut Leading| leading.stage == Stage::Discovery;
        let Some(leading) = self.leading.as_mut().filter(waits) else {
            return;
        };
        let waited = io.now.mono_ms - (leading.deadline - init_ms);
        if limit >= 0 && waited > limit {
            let reason = format!("server {sid} looks for another leader");
            return self.look(&reason, io);
        }
        if !self.election.is_for_better(vote, &self.configs) {
            return;
        }
        let me = self.config.me;
        let elected_by = |sid: Sid| sid == me || self.election.was_elected_by(sid);
        leading.deserted.insert(sid);
        let there = |sid: Sid| leading.peers.values().any(|peer| peer.sid == sid);
        let left = |sid: Sid| elected_by(sid) && !leading.deserted.contains(&sid) || there(sid);
        // Who was appointed was not elected by those who voted.
        if self.configs.is_quorum(elected_by) && !self.configs.is_quorum(left) {
            let reason = format!("server {sid} votes for server {} now", vote.leader);
            self.look(&reason, io);
        }
    }

    /// Goes on when a quorum has accepted the epoch: it takes over the history, while this server
    /// writes that the epoch is its current one, which it needs only for its own voice.
    pub(super) fn try_adopt(&mut self, io: &mut Io<'_>) {
        self.admit_ahead();
        let (configs, me) = (&self.configs, self.config.me);
        let Some(leading) = &mut self.leading else {
            return;
        };
        let accepted = Progress::Accepted(Zxid(i64::MIN));
        let any = self.config.planted.has(Bug::AnyAcceptorCounts);
        let counts = |peer: &Peer| any || peer.history.is_some();
        let enough = leading.has_quorum(configs, me, accepted, counts);
        if leading.stage != Stage::Epoch || !enough {
            return;
        }
        leading.stage = Stage::Sync;
        leading.deadline = io.now.mono_ms + self.config.init_ms();
        let epoch = leading.epoch;
        let links: Vec<LinkId> = leading.links().collect();
        self.persist(EpochKind::Current, epoch, io);
        // A quorum has it not yet, but nothing else will ever be committed before it.
        let last = self.history.last();
        self.history.commit(last);
        self.admit_ahead();
        for link in links {
            self.synchronise(link, io);
        }
    }
}
