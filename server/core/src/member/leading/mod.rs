//! Owns leading: discovery of the epoch, synchronisation of learners, broadcast. Source: `Leader`,
//! `LearnerHandler`.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Io, Member};
use crate::event::{EpochKind, Event, Request};
use crate::ids::{LinkId, Sid, Zxid};
use crate::planted::Bug;
use crate::quorum::Configs;
use crate::zab::packet::Packet;
use menagerie_wire::election::ServerState;
use menagerie_wire::op::op_code;

mod sync;

/// How far a leader has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// A quorum has to tell which epochs it has accepted.
    Discovery,
    /// The new epoch is being written as accepted.
    Accepting,
    /// A quorum has to accept it.
    Epoch,
    /// It is being written as current.
    Adopting,
    /// A quorum has to take over the history.
    Sync,
    /// The history is being applied.
    Applying,
    /// Clients are served.
    Established,
}

/// How far a learner has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    /// It has told who it is.
    Known,
    /// It knows the epoch.
    Told,
    /// It has accepted the epoch; its history ends there.
    Accepted(Zxid),
    /// What it lacks is being read from the log.
    Reading(Zxid),
    /// All that it needs is on its way.
    Syncing,
    /// It has taken that over.
    Synced,
    /// It serves clients.
    Active,
}

#[derive(Debug)]
struct Peer {
    sid: Sid,
    observer: bool,
    progress: Progress,
    heard_ms: i64,
    /// Whether it has accepted this leader's epoch; who had accepted that epoch before may have done
    /// so for another leader.
    accepts: bool,
    /// Up to where it has acknowledged.
    acked: Zxid,
    /// What it must have acknowledged, and since when.
    owes: Option<(Zxid, i64)>,
}

/// A leader's state.
#[derive(Debug)]
pub(super) struct Leading {
    stage: Stage,
    epoch: i64,
    /// When the stage must be over, until clients are served.
    deadline: i64,
    peers: BTreeMap<LinkId, Peer>,
    next_ping: i64,
    /// Every second ping is a tick.
    half_tick: bool,
    /// currentEpoch and last zxid when it began.
    initial: (i64, Zxid),
    /// Learners that wait for a proposal to be committed.
    syncs: BTreeMap<Zxid, Vec<LinkId>>,
    /// The highest epoch that some learner has accepted.
    highest_epoch: i64,
}

impl Leading {
    pub(super) fn links(&self) -> impl Iterator<Item = LinkId> + '_ {
        self.peers.keys().copied()
    }

    pub(super) fn forget(&mut self, link: LinkId) {
        self.peers.remove(&link);
        self.syncs
            .values_mut()
            .for_each(|links| links.retain(|l| *l != link));
    }

    pub(super) fn heard(&mut self, link: LinkId, now: i64) {
        if let Some(peer) = self.peers.get_mut(&link) {
            peer.heard_ms = now;
        }
    }

    /// Whether the leader `me` and voters that have come so far, and satisfy `also`, can decide.
    fn has_quorum(
        &self,
        configs: &Configs,
        me: Sid,
        from: Progress,
        also: impl Fn(&Peer) -> bool,
    ) -> bool {
        configs.is_quorum(|sid| {
            sid == me
                || self.peers.values().any(|peer| {
                    peer.sid == sid && !peer.observer && peer.progress >= from && also(peer)
                })
        })
    }
}

/// A learner as operators see it.
#[derive(Debug, Clone, Copy)]
pub struct LearnerView {
    /// Its number.
    pub sid: Sid,
    /// Whether it observes only.
    pub observer: bool,
    /// Whether it has taken over the leader's history.
    pub synced: bool,
}

impl Member {
    pub(super) fn start_leading(&mut self, io: &mut Io<'_>) {
        let now = io.now.mono_ms;
        self.leading = Some(Leading {
            stage: Stage::Discovery,
            epoch: -1,
            deadline: now + self.config.init_ms(),
            peers: BTreeMap::new(),
            next_ping: now + self.config.tick_ms / 2,
            half_tick: false,
            initial: (self.current_epoch, self.history.last()),
            syncs: BTreeMap::new(),
            highest_epoch: self.accepted_epoch,
        });
        self.try_epoch(io);
    }

    /// Whether it leads and serves.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.leading
            .as_ref()
            .is_some_and(|leading| leading.stage == Stage::Established)
    }

    /// The learners, when it leads.
    pub fn learners(&self) -> impl Iterator<Item = LearnerView> + '_ {
        let peers = self
            .leading
            .iter()
            .flat_map(|leading| leading.peers.values());
        peers.map(|peer| LearnerView {
            sid: peer.sid,
            observer: peer.observer,
            synced: peer.progress >= Progress::Synced,
        })
    }

    pub(super) fn lead_packet(&mut self, link: LinkId, packet: Packet, io: &mut Io<'_>) {
        let now = io.now.mono_ms;
        let Some(leading) = &mut self.leading else {
            return;
        };
        if let Packet::Info {
            observer,
            accepted_epoch,
            sid,
            config_version,
        } = packet
        {
            self.introduce(link, sid, observer, accepted_epoch, config_version, io);
            return;
        }
        let Some(peer) = leading.peers.get_mut(&link) else {
            io.close(link, format!("{packet} before it told who it is"));
            return;
        };
        peer.heard_ms = now;
        match packet {
            Packet::AckEpoch { zxid, epoch } => self.epoch_acked(link, zxid, epoch, io),
            Packet::Ack(zxid) => self.acked(link, zxid, io),
            Packet::Ping { touched, .. } => {
                for (session, _) in touched.into_iter().flatten() {
                    self.replica.touch(session, now);
                }
            }
            Packet::Revalidate {
                session,
                timeout_ms: _,
            } => {
                let valid = self.replica.sessions().timeout_ms(session).is_some();
                let sid = peer.sid;
                self.replica.moved(session, sid);
                self.replica.touch(session, now);
                io.send(link, Packet::Revalidated { session, valid });
            }
            Packet::Request {
                session,
                cxid,
                op,
                body,
                auth,
            } => {
                let request = Request {
                    conn: None,
                    session,
                    cxid,
                    op,
                    body,
                    auth,
                };
                self.forwarded(link, request, io);
            }
            other => io.close(link, format!("a learner must not send {other}")),
        }
    }

    fn introduce(
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
        if sid == self.config.me {
            io.close(
                link,
                format!("it says that it is server {sid}, which is this one"),
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
            accepts: false,
            acked: Zxid(0),
            owes: None,
        };
        leading.peers.insert(link, peer);
        if leading.stage < Stage::Accepting {
            leading.highest_epoch = leading.highest_epoch.max(accepted_epoch);
            self.try_epoch(io);
        } else if leading.stage > Stage::Accepting {
            self.tell_epoch(io);
        }
    }

    /// Source: `Leader.getEpochToPropose`.
    fn try_epoch(&mut self, io: &mut Io<'_>) {
        let (configs, me) = (&self.configs, self.config.me);
        let Some(leading) = &mut self.leading else {
            return;
        };
        let enough = leading.has_quorum(configs, me, Progress::Known, |_| true)
            || self.config.planted.has(Bug::EpochWithoutQuorum);
        if leading.stage != Stage::Discovery || !enough {
            return;
        }
        let epoch = leading.highest_epoch + 1;
        leading.epoch = epoch;
        leading.stage = Stage::Accepting;
        self.persist(EpochKind::Accepted, epoch, io);
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

    pub(super) fn lead_epoch_durable(&mut self, kind: EpochKind, io: &mut Io<'_>) {
        let limit = self.config.init_ms();
        let Some(leading) = &mut self.leading else {
            return;
        };
        match (kind, leading.stage) {
            (EpochKind::Accepted, Stage::Accepting) => {
                leading.stage = Stage::Epoch;
                leading.deadline = io.now.mono_ms + limit;
                self.tell_epoch(io);
                self.try_adopt(io);
            }
            (EpochKind::Current, Stage::Adopting) => {
                leading.stage = Stage::Sync;
                leading.deadline = io.now.mono_ms + limit;
                // A quorum has it not yet, but nothing else will ever be committed before it.
                let last = self.history.last();
                self.history.commit(last);
                let links: Vec<LinkId> = leading.links().collect();
                for link in links {
                    self.synchronise(link, io);
                }
                self.try_establish(io);
            }
            _ => {}
        }
    }

    /// Source: `Leader.waitForEpochAck`.
    fn epoch_acked(&mut self, link: LinkId, zxid: Zxid, epoch: Option<i64>, io: &mut Io<'_>) {
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
        if let Some(epoch) = epoch
            && (epoch > ours || epoch == ours && zxid > last && !known)
        {
            let reason = format!(
                "server {} is ahead of the leader: epoch {epoch}, last zxid {zxid}; the leader \
                 has epoch {ours}, last zxid {last}",
                peer.sid
            );
            leading.forget(link);
            io.close(link, reason);
            return;
        }
        peer.progress = Progress::Accepted(zxid);
        peer.accepts = epoch.is_some();
        if leading.stage >= Stage::Sync {
            self.synchronise(link, io);
        } else {
            self.try_adopt(io);
        }
    }

    /// Goes on when a quorum has accepted the epoch.
    fn try_adopt(&mut self, io: &mut Io<'_>) {
        let (configs, me) = (&self.configs, self.config.me);
        let Some(leading) = &mut self.leading else {
            return;
        };
        let accepted = Progress::Accepted(Zxid(i64::MIN));
        let enough = leading.has_quorum(configs, me, accepted, |peer| peer.accepts);
        if leading.stage != Stage::Epoch || !enough {
            return;
        }
        leading.stage = Stage::Adopting;
        let epoch = leading.epoch;
        self.persist(EpochKind::Current, epoch, io);
    }

    fn acked(&mut self, link: LinkId, zxid: Zxid, io: &mut Io<'_>) {
        let last = self.history.last();
        let Some(leading) = &mut self.leading else {
            return;
        };
        let new_leader = Zxid::first_of(leading.epoch);
        let established = leading.stage == Stage::Established;
        let Some(peer) = leading.peers.get_mut(&link) else {
            return;
        };
        if peer.progress == Progress::Syncing {
            if zxid != new_leader {
                io.close(
                    link,
                    format!("it acknowledged {zxid} instead of {new_leader}"),
                );
                return;
            }
            peer.progress = Progress::Synced;
            peer.acked = new_leader;
            if established {
                peer.progress = Progress::Active;
                io.send(link, Packet::UpToDate);
            } else {
                self.try_establish(io);
            }
            return;
        }
        if zxid.counter() == 0 {
            return;
        }
        if zxid > last {
            io.close(
                link,
                format!("it acknowledged {zxid}, which was not proposed"),
            );
            return;
        }
        peer.acked = peer.acked.max(zxid);
        if peer.owes.is_some_and(|(owed, _)| peer.acked >= owed) {
            peer.owes = None;
        }
    }

    fn try_establish(&mut self, io: &mut Io<'_>) {
        let (configs, me) = (&self.configs, self.config.me);
        let Some(leading) = &mut self.leading else {
            return;
        };
        let enough = leading.has_quorum(configs, me, Progress::Synced, |_| true)
            || self.config.planted.has(Bug::EstablishWithoutQuorum);
        if leading.stage != Stage::Sync || !enough {
            return;
        }
        leading.stage = Stage::Applying;
        let epoch = leading.epoch;
        self.replica.lead(epoch, io.now);
        self.replica.commit(Zxid::first_of(epoch));
    }

    /// Whether the history has been applied and clients can be served.
    pub(super) fn is_drained(&self) -> bool {
        let applying = |leading: &Leading| leading.stage == Stage::Applying;
        self.leading.as_ref().is_some_and(applying) && self.replica.pending_len() == 0
    }

    pub(super) fn lead_if_drained(&mut self, io: &mut Io<'_>) {
        if !self.is_drained() {
            return;
        }
        let Some(leading) = &mut self.leading else {
            return;
        };
        leading.stage = Stage::Established;
        let epoch = leading.epoch;
        for (link, peer) in &mut leading.peers {
            if peer.progress == Progress::Synced {
                peer.progress = Progress::Active;
                io.send(*link, Packet::UpToDate);
            }
        }
        self.election.settle(ServerState::Leading, epoch);
        io.say(format!(
            "leading epoch {epoch} from {} on, {} ms after the last leader was lost",
            Zxid::first_of(epoch),
            io.now.mono_ms - self.looking_since
        ));
        self.tell_phase(io);
        self.serve_held(io);
    }

    fn forwarded(&mut self, link: LinkId, request: Request, io: &mut Io<'_>) {
        if !self.is_established() {
            return;
        }
        if request.op == op_code::SYNC {
            self.take_proposals(io);
            let last = self.history.last();
            if let Some(leading) = &mut self.leading {
                if last > self.history.committed() && !self.config.planted.has(Bug::SyncDoesNotWait)
                {
                    leading.syncs.entry(last).or_default().push(link);
                } else {
                    io.send(link, Packet::Sync);
                }
            }
            return;
        }
        let peer = self.leading.as_ref().and_then(|l| l.peers.get(&link));
        if let Some(sid) = peer.map(|peer| peer.sid) {
            self.replica
                .forwarded(request, sid, io.now, io.tree, io.out);
        }
    }

    /// Takes what the replica has put into the log and proposes it.
    pub(super) fn take_proposals(&mut self, io: &mut Io<'_>) {
        if !self.is_established() {
            return;
        }
        let Some(leading) = &self.leading else { return };
        let fresh: Vec<(Zxid, Bytes)> = io
            .out
            .log
            .entries()
            .skip(self.taken)
            .map(|(zxid, bytes)| (zxid, Bytes::copy_from_slice(bytes)))
            .collect();
        self.taken += fresh.len();
        for (zxid, entry) in fresh {
            for (link, peer) in &leading.peers {
                if !peer.observer && peer.progress >= Progress::Syncing {
                    let entry = entry.clone();
                    io.out
                        .packets
                        .push((*link, Packet::Proposal { zxid, entry }));
                }
            }
            let _in_order = self.history.push(zxid, entry);
        }
    }

    /// Source: `Leader.tryToCommit`.
    pub(super) fn try_commit(&mut self, io: &mut Io<'_>) {
        let before = self.history.committed();
        if before == self.history.last() || !self.is_established() {
            return;
        }
        let Some(leading) = &mut self.leading else {
            return;
        };
        let acked = |sid: Sid| {
            if sid == self.config.me {
                if self.config.planted.has(Bug::OwnAckBeforeSync) {
                    return Some(self.history.last());
                }
                return Some(self.durable);
            }
            let peers = leading.peers.values();
            peers
                .filter(|peer| {
                    peer.sid == sid && !peer.observer && peer.progress >= Progress::Synced
                })
                .map(|peer| peer.acked)
                .max()
        };
        let highest = |members: &crate::quorum::Membership| {
            members.highest_with_quorum(acked).unwrap_or(before)
        };
        let mut upto = highest(&self.configs.committed);
        if let Some(next) = self.configs.next() {
            upto = upto.min(highest(next));
        }
        if self.config.planted.has(Bug::CommitWithoutQuorum) {
            upto = self.history.last();
        }
        if upto <= before {
            return;
        }
        for (zxid, entry) in self.history.between(before, upto) {
            for (link, peer) in &leading.peers {
                if peer.progress < Progress::Syncing {
                    continue;
                }
                let packet = if peer.observer {
                    Packet::Inform {
                        zxid: *zxid,
                        entry: entry.clone(),
                    }
                } else {
                    Packet::Commit(*zxid)
                };
                io.out.packets.push((*link, packet));
            }
            // In its place: what the learner asked for behind the sync comes behind its answer.
            for link in leading.syncs.remove(zxid).unwrap_or_default() {
                io.out.packets.push((link, Packet::Sync));
            }
        }
        self.history.commit(upto);
        self.replica.commit(upto);
    }

    pub(super) fn lead_next_tick(&self) -> i64 {
        let Some(leading) = &self.leading else {
            return i64::MAX;
        };
        if leading.stage == Stage::Established {
            leading.next_ping
        } else {
            leading.next_ping.min(leading.deadline)
        }
    }

    pub(super) fn lead_tick(&mut self, io: &mut Io<'_>) {
        let now = io.now.mono_ms;
        let Some(leading) = &mut self.leading else {
            return;
        };
        let established = leading.stage == Stage::Established;
        if !established && now >= leading.deadline {
            let reason = match leading.stage {
                Stage::Discovery | Stage::Accepting => "too few servers came to follow",
                Stage::Epoch | Stage::Adopting => "too few servers accepted the epoch",
                _ => "too few servers took over the history",
            };
            self.look(&format!("{reason} within initLimit"), io);
            return;
        }
        if now >= leading.next_ping {
            leading.next_ping = now + (self.config.tick_ms / 2).max(1);
            leading.half_tick = !leading.half_tick;
            let tick = !leading.half_tick;
            self.ping_all(io);
            if tick && established && !self.has_live_quorum(now) {
                self.look("too few followers are alive", io);
                return;
            }
        }
        if established {
            if self.replica.last_prepared().counter() >= ROLLOVER {
                self.look("the epoch has no more zxids", io);
            } else if now >= self.replica.next_tick() {
                self.replica.step(Event::Tick, io.now, io.tree, io.out);
            }
        }
    }

    /// Also ends connections to learners that stay behind. Source: `LearnerHandler.ping`,
    /// `SyncLimitCheck`.
    fn ping_all(&mut self, io: &mut Io<'_>) {
        let now = io.now.mono_ms;
        let (sync_ms, init_ms) = (self.config.sync_ms(), self.config.init_ms());
        let last = self.replica.last_prepared().max(self.history.last());
        let Some(leading) = &mut self.leading else {
            return;
        };
        let mut late = Vec::new();
        for (link, peer) in &mut leading.peers {
            let synced = peer.progress >= Progress::Synced;
            let patience = if synced { sync_ms } else { init_ms + sync_ms };
            if now - peer.heard_ms > patience {
                late.push((
                    *link,
                    format!("server {} has been silent for too long", peer.sid),
                ));
                continue;
            }
            if peer.progress < Progress::Syncing {
                continue;
            }
            let touched = None;
            io.out.packets.push((
                *link,
                Packet::Ping {
                    zxid: last,
                    touched,
                },
            ));
            if peer.observer || !synced || peer.acked >= last {
                continue;
            }
            match peer.owes {
                None => peer.owes = Some((last, now)),
                Some((owed, since)) if now - since > sync_ms => {
                    let reason = format!("server {} has not acknowledged {owed} in time", peer.sid);
                    late.push((*link, reason));
                }
                Some(_) => {}
            }
        }
        for (link, reason) in late {
            leading.forget(link);
            io.close(link, reason);
        }
    }

    fn has_live_quorum(&self, now: i64) -> bool {
        let (configs, me) = (&self.configs, self.config.me);
        let alive = |peer: &Peer| now - peer.heard_ms <= self.config.sync_ms();
        self.leading
            .as_ref()
            .is_some_and(|leading| leading.has_quorum(configs, me, Progress::Synced, alive))
    }
}

/// An epoch has 2³² zxids; the last ones are left alone.
const ROLLOVER: i64 = 0xFFFF_FF00;
