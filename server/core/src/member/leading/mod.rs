//! Owns leading: discovery of the epoch, synchronisation of learners, broadcast. Source: `Leader`,
//! `LearnerHandler`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::reconfig::in_entry;
use super::{Io, Member};
use crate::event::{Event, Request};
use crate::ids::{LinkId, Sid, Zxid};
use crate::planted::Bug;
use crate::quorum::{Configs, Membership};
use crate::zab::packet::Packet;
use menagerie_wire::election::ServerState;
use menagerie_wire::op::op_code;

mod discovery;
mod reconfig;
mod sync;

pub(super) use discovery::EPOCH_MAX;

/// How far a leader has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// A quorum has to tell which epochs it has accepted.
    Discovery,
    /// The new epoch is being written as accepted; learners know it.
    Accepting,
    /// A quorum has to accept it.
    Epoch,
    /// A quorum has to take over the history, and the epoch to be written as current.
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
    /// It has accepted the epoch, but its history, which ends there, has more than the leader's.
    Ahead(Zxid),
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
    /// Its epoch and last zxid, if it has accepted this leader's epoch; who had accepted that epoch
    /// before may have done so for another leader.
    history: Option<(i64, Zxid)>,
    /// Up to where it has acknowledged.
    acked: Zxid,
    /// What was committed when it was brought up; it acknowledges that with the new leader.
    brought: Zxid,
    /// What it must have acknowledged, and since when.
    owes: Option<(Zxid, i64)>,
    /// Whether it got a snapshot.
    by_snapshot: bool,
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
    /// Who elected this server and has voted for another one since.
    deserted: BTreeSet<Sid>,
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

    /// Whether the leader `me` and voters that have come so far, and satisfy `also`, can decide. Who
    /// has come as an observer counts too, as it votes in a configuration that is on its way.
    /// Source: `Leader.getEpochToPropose`, `Leader.waitForEpochAck`, `Leader.waitForNewLeaderAck`.
    fn has_quorum(
        &self,
        configs: &Configs,
        me: Sid,
        from: Progress,
        also: impl Fn(&Peer) -> bool,
    ) -> bool {
        configs.is_quorum(|sid| {
            sid == me
                || self
                    .peers
                    .values()
                    .any(|peer| peer.sid == sid && peer.progress >= from && also(peer))
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
            highest_epoch: self.accepted_epoch.max(self.seen_epoch),
            deserted: BTreeSet::new(),
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

    /// Proposals behind which learners' `sync` requests wait, when it leads.
    #[must_use]
    pub fn pending_syncs(&self) -> usize {
        let leading = self.leading.as_ref();
        leading.map_or(0, |leading| leading.syncs.len())
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

    /// Who is at the other end of a link, when it leads.
    #[must_use]
    pub fn learner_at(&self, link: LinkId) -> Option<Sid> {
        let peers = &self.leading.as_ref()?.peers;
        peers.get(&link).map(|peer| peer.sid)
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
                let valid = self.replica.sessions().timeout_ms(session).is_some()
                    || self.config.planted.has(Bug::AnySessionIsValid);
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
        let written = self.current_epoch == leading.epoch
            || self.config.planted.has(Bug::EstablishBeforeEpochWritten);
        if leading.stage != Stage::Sync || !written || !enough {
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
        if let Some(next) = self.configs.next().cloned() {
            // A quorum of both has it, as it came with NEWLEADER: whoever proposed it, it holds.
            let leader = self.designated(&next, Zxid(i64::MIN));
            self.put_into_force(next, Some(leader), false, io);
        }
        let Some(leading) = &mut self.leading else {
            return;
        };
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
        if !self.is_established() || self.moving.is_some() {
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
        let reconfigures = request.op == op_code::RECONFIG;
        if reconfigures {
            self.prepare_reconfig(io);
        }
        let peer = self.leading.as_ref().and_then(|l| l.peers.get(&link));
        if let Some(sid) = peer.map(|peer| peer.sid) {
            self.replica
                .forwarded(request, sid, io.now, io.tree, io.out);
        }
        if reconfigures {
            self.take_proposals(io);
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
        let mut seen = None;
        for (zxid, entry) in fresh {
            for (link, peer) in &leading.peers {
                if !peer.observer && peer.progress >= Progress::Syncing {
                    let entry = entry.clone();
                    io.out
                        .packets
                        .push((*link, Packet::Proposal { zxid, entry }));
                }
            }
            if let Some(new) = in_entry(&entry) {
                seen = Some(new);
            }
            let _in_order = self.history.push(zxid, entry);
        }
        if let Some(seen) = seen {
            self.see(seen, io);
        }
    }

    /// Source: `Leader.tryToCommit`.
    pub(super) fn try_commit(&mut self, io: &mut Io<'_>) {
        // Behind a reconfiguration others may have to agree.
        while self.commit_some(io) {}
    }

    /// Commits what a quorum has, up to a reconfiguration if there is one; whether there may be more.
    fn commit_some(&mut self, io: &mut Io<'_>) -> bool {
        let before = self.history.committed();
        if before == self.history.last() || !self.is_established() || self.moving.is_some() {
            return false;
        }
        let Some(leading) = &self.leading else {
            return false;
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
        let configs = &self.configs;
        let highest = |members: &Membership| {
            let mark = configs.highest_with_quorum(members, acked);
            mark.unwrap_or(before)
        };
        let mut upto = highest(&self.configs.committed);
        if let Some(next) = self.configs.next() {
            if self.config.planted.has(Bug::OldVotersNotAsked) {
                upto = highest(next);
            } else if !self.config.planted.has(Bug::NewVotersNotAsked) {
                upto = upto.min(highest(next));
            }
        }
        if self.config.planted.has(Bug::CommitWithoutQuorum) {
            upto = self.history.last();
        }
        if upto <= before {
            return false;
        }
        let mut new = None;
        if self.config.reconfig_enabled {
            let mut entries = self.history.between(before, upto);
            new = entries.find_map(|(zxid, entry)| Some((*zxid, in_entry(entry)?)));
        }
        let upto = new.as_ref().map_or(upto, |(zxid, _)| *zxid);
        let leader = new.as_ref().map(|(zxid, new)| self.designated(new, *zxid));
        let Some(leading) = &mut self.leading else {
            return false;
        };
        for (zxid, entry) in self.history.between(before, upto) {
            let activates = leader.filter(|_| *zxid == upto);
            for (link, peer) in &leading.peers {
                if peer.progress < Progress::Syncing {
                    continue;
                }
                let packet = commit_packet(peer.observer, activates, *zxid, entry);
                io.out.packets.push((*link, packet));
            }
            // In its place: what the learner asked for behind the sync comes behind its answer.
            for link in leading.syncs.remove(zxid).unwrap_or_default() {
                io.out.packets.push((link, Packet::Sync));
            }
        }
        self.history.commit(upto);
        self.replica.commit(upto);
        let Some((_, new)) = new else { return false };
        self.put_into_force(new, leader, true, io);
        true
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
                Stage::Epoch => {
                    "too few servers accepted the epoch and have no more than this leader"
                }
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
            self.ask_oracle();
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
            if peer.observer || !synced || peer.acked.max(peer.brought) >= last {
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

    /// Whether a voter follows and has to agree. Source: `QuorumOracleMaj.updateNeedOracle`.
    pub(super) fn is_followed(&self) -> bool {
        let peers = self.leading.iter().flat_map(|l| l.peers.values());
        let mut followers =
            peers.filter(|peer| !peer.observer && peer.progress >= Progress::Syncing);
        followers.any(|peer| self.configs.is_voter(peer.sid))
    }

    /// The oracle has changed its mind; a leader that waits for others may go on.
    pub(super) fn lead_as_oracle_says(&mut self, io: &mut Io<'_>) {
        self.try_epoch(io);
        self.try_adopt(io);
        self.try_establish(io);
    }

    fn has_live_quorum(&self, now: i64) -> bool {
        let (configs, me) = (&self.configs, self.config.me);
        // An observer cannot help to commit what is proposed, wherever it will vote.
        let alive = |peer: &Peer| !peer.observer && now - peer.heard_ms <= self.config.sync_ms();
        self.leading
            .as_ref()
            .is_some_and(|leading| leading.has_quorum(configs, me, Progress::Synced, alive))
    }
}

/// How a learner is told that a transaction is committed; `leader` leads from there on if it is a
/// reconfiguration.
pub(super) fn commit_packet(
    observer: bool,
    leader: Option<Sid>,
    zxid: Zxid,
    entry: &Bytes,
) -> Packet {
    match (observer, leader) {
        (false, None) => Packet::Commit(zxid),
        (false, Some(leader)) => Packet::CommitAndActivate { zxid, leader },
        (true, None) => Packet::Inform {
            zxid,
            entry: entry.clone(),
        },
        (true, Some(leader)) => Packet::InformAndActivate {
            zxid,
            leader,
            entry: entry.clone(),
        },
    }
}

/// An epoch has 2³² zxids; the last ones are left alone.
const ROLLOVER: i64 = 0xFFFF_FF00;
