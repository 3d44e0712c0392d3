//! Owns following and observing: joining a leader's epoch, taking over its history, logging and
//! acknowledging what it proposes. Source: `Learner`, `Follower`, `Observer`.

use std::collections::VecDeque;

use bytes::Bytes;
use menagerie_wire::op::op_code;

use super::hosting::Hosting;
use super::masters::Choice;
use super::reconfig::{in_entry, parse, proposed};
use super::{Asking, Io, Member};
use crate::effect::Effect;
use crate::event::{EpochKind, Event};
use crate::ids::{LinkId, Sid, Zxid};
use crate::planted::Bug;
use crate::quorum::Membership;
use crate::txn::LoggedTxn;
use crate::zab::packet::Packet;

/// How far a learner has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// There is no connection yet.
    Connecting,
    /// The leader tells its epoch when it has a quorum.
    Hello,
    /// The epoch is being written as accepted.
    Accepting,
    /// The leader tells how the history is taken over.
    Sync,
    /// Log or tree are being replaced.
    OnDisk,
    /// The rest of the history comes.
    History,
    /// The epoch is being written as current.
    Adopting,
    /// The leader waits for its quorum.
    Waiting,
    /// Clients are served.
    Broadcast,
}

impl Stage {
    const fn waits_for_disk(self) -> bool {
        matches!(self, Self::Accepting | Self::OnDisk | Self::Adopting)
    }
}

/// Bytes of packets that may wait for the disk.
const HELD_MAX: usize = 256 << 20;
/// Transactions of the leader's history that may wait, unapplied, for the leader to be established;
/// beyond that clients' connections are not worth the memory.
const UNAPPLIED_MAX: usize = 20_000;

/// A learner's state.
#[derive(Debug)]
pub(super) struct Learning {
    leader: Sid,
    observer: bool,
    /// Whom it learns through: the leader, or a follower that serves observers.
    master: Sid,
    link: Option<LinkId>,
    stage: Stage,
    epoch: i64,
    heard_ms: i64,
    /// Up to where the leader says that the history is committed.
    committed: Zxid,
    /// Up to where it has been acknowledged.
    acked: Zxid,
    /// The configuration that comes into force with the leader.
    config: Option<Membership>,
    /// Packets that came while the disk was at work.
    held: VecDeque<Packet>,
    held_bytes: usize,
    /// Sync requests at the leader, in order: of an observer, or of a client of this server.
    pub(super) syncs: VecDeque<Option<LinkId>>,
    /// The observers behind this server.
    pub(super) hosting: Hosting,
}

impl Learning {
    pub(super) const fn leader(&self) -> Sid {
        self.leader
    }

    pub(super) const fn link(&self) -> Option<LinkId> {
        self.link
    }

    pub(super) const fn observer(&self) -> bool {
        self.observer
    }

    /// Whether the leader has not told its epoch yet.
    pub(super) fn waits_for_epoch(&self) -> bool {
        self.stage == Stage::Hello
    }

    pub(super) fn heard(&mut self, link: LinkId, now: i64) {
        if self.link == Some(link) {
            self.heard_ms = now;
        } else {
            self.hosting.heard(link, now);
        }
    }
}

impl Member {
    pub(super) fn start_learning(&mut self, leader: Sid, observer: bool, io: &mut Io<'_>) {
        let Choice { to, port, delay_ms } = self.choose_master(leader, observer, io.now.mono_ms);
        self.learning = Some(Learning {
            leader,
            observer,
            master: to,
            link: None,
            stage: Stage::Connecting,
            epoch: -1,
            heard_ms: io.now.mono_ms + delay_ms,
            committed: Zxid(0),
            acked: Zxid(0),
            config: None,
            held: VecDeque::new(),
            held_bytes: 0,
            syncs: VecDeque::new(),
            hosting: Hosting::default(),
        });
        io.act(Effect::Connect { to, port, delay_ms });
    }

    /// Whom it learns through, when it does.
    #[must_use]
    pub fn master(&self) -> Option<Sid> {
        self.learning.as_ref().map(|learning| learning.master)
    }

    /// Whether it learns and serves.
    #[must_use]
    pub fn is_learning(&self) -> bool {
        self.learning
            .as_ref()
            .is_some_and(|learning| learning.stage == Stage::Broadcast)
    }

    pub(super) fn link_up(&mut self, to: Sid, link: LinkId, io: &mut Io<'_>) {
        let me = self.config.me;
        let waits =
            |learning: &&mut Learning| learning.master == to && learning.stage == Stage::Connecting;
        let Some(learning) = self.learning.as_mut().filter(waits) else {
            io.close(link, "no longer wanted");
            return;
        };
        learning.link = Some(link);
        learning.stage = Stage::Hello;
        learning.heard_ms = io.now.mono_ms;
        let info = Packet::Info {
            observer: learning.observer,
            accepted_epoch: self.accepted_epoch,
            sid: me,
            config_version: self.configs.committed.version(),
        };
        io.send(link, info);
    }

    pub(super) fn link_failed(&mut self, to: Sid, reason: &str, io: &mut Io<'_>) {
        let waits =
            |learning: &Learning| learning.master == to && learning.stage == Stage::Connecting;
        if self.learning.as_ref().is_some_and(waits) {
            self.look(&format!("no connection to server {to}: {reason}"), io);
        }
    }

    pub(super) fn learn_packet(&mut self, link: LinkId, packet: Packet, io: &mut Io<'_>) {
        let Some(learning) = &mut self.learning else {
            return;
        };
        learning.heard_ms = io.now.mono_ms;
        if learning.stage.waits_for_disk() {
            learning.held_bytes += packet.weight();
            learning.held.push_back(packet);
            if learning.held_bytes > HELD_MAX {
                self.look(
                    "the leader sends more than can be kept while the disk is busy",
                    io,
                );
            }
            return;
        }
        if let Err(reason) = self.learn(link, packet, io) {
            self.look(&reason, io);
        }
    }

    /// Goes on with what came while the disk was at work.
    fn unhold(&mut self, io: &mut Io<'_>) {
        loop {
            let Some(learning) = self.learning.as_mut() else {
                return;
            };
            let Some(link) = learning.link.filter(|_| !learning.stage.waits_for_disk()) else {
                return;
            };
            learning.heard_ms = io.now.mono_ms;
            let Some(packet) = learning.held.pop_front() else {
                learning.held_bytes = 0;
                return;
            };
            if let Err(reason) = self.learn(link, packet, io) {
                self.look(&reason, io);
            }
        }
    }

    fn learn(&mut self, link: LinkId, packet: Packet, io: &mut Io<'_>) -> Result<(), String> {
        // Once the role ends, what else its leader says does not count.
        let Some(learning) = self.learning.as_ref().filter(|_| self.moving.is_none()) else {
            return Ok(());
        };
        match (learning.stage, packet) {
            (Stage::Hello, Packet::LeaderInfo { epoch }) => self.accept(link, epoch, io),
            (Stage::Sync, Packet::Diff(_)) => {
                self.take_over_from(self.history.last());
                Ok(())
            }
            (Stage::Sync, Packet::Trunc(zxid)) => {
                self.cut(zxid, io);
                Ok(())
            }
            (
                Stage::History | Stage::Waiting | Stage::Broadcast,
                Packet::Proposal { zxid, entry },
            ) => {
                self.receive(zxid, &entry, io)?;
                if self.config.planted.has(Bug::ObserversToldTooEarly) {
                    self.inform(zxid, None, io);
                }
                Ok(())
            }
            (Stage::History | Stage::Waiting | Stage::Broadcast, Packet::Commit(zxid)) => {
                self.committed_by_leader(zxid, io)?;
                if !self.config.planted.has(Bug::ObserversToldTooEarly) {
                    self.inform(zxid, None, io);
                }
                self.host_committed(io);
                Ok(())
            }
            (
                Stage::History | Stage::Waiting | Stage::Broadcast,
                Packet::Inform { zxid, entry },
            ) => {
                self.receive(zxid, &entry, io)?;
                self.committed_by_leader(zxid, io)
            }
            (
                stage @ (Stage::History | Stage::Waiting | Stage::Broadcast),
                Packet::CommitAndActivate { zxid, leader },
            ) => self.activate_by_leader(stage, zxid, leader, io),
            (
                stage @ (Stage::History | Stage::Waiting | Stage::Broadcast),
                Packet::InformAndActivate {
                    zxid,
                    leader,
                    entry,
                },
            ) => {
                self.receive(zxid, &entry, io)?;
                self.activate_by_leader(stage, zxid, leader, io)
            }
            (Stage::History, Packet::NewLeader { zxid, config }) => {
                self.see_leaders_config(&config, io)?;
                self.adopt(zxid, io)
            }
            (Stage::Waiting, Packet::UpToDate) => {
                self.up_to_date(link, io);
                Ok(())
            }
            (Stage::Broadcast, Packet::Ping { zxid, .. }) => {
                self.answer_ping(link, zxid, io);
                Ok(())
            }
            (_, Packet::Ping { .. }) => Ok(()),
            (Stage::Broadcast, Packet::Revalidated { session, valid }) => {
                self.revalidated(session, valid, io);
                Ok(())
            }
            (Stage::Broadcast, Packet::Sync) => self.sync_answered(io),
            (stage, other) => Err(format!("the leader sent {other} in the stage {stage:?}")),
        }
    }

    fn answer_ping(&mut self, link: LinkId, zxid: Zxid, io: &mut Io<'_>) {
        let touched = match &mut self.learning {
            Some(learning) => learning.hosting.take_touched(),
            None => Vec::new(),
        };
        io.act(Effect::AnswerPing {
            link,
            zxid,
            touched,
        });
    }

    /// Source: `FollowerZooKeeperServer.sync`.
    fn sync_answered(&mut self, io: &mut Io<'_>) -> Result<(), String> {
        let asked = self.learning.as_mut().and_then(|l| l.syncs.pop_front());
        match asked {
            Some(Some(observer)) => io.send(observer, Packet::Sync),
            Some(None) if self.replica.sync_answered() => {}
            _ => return Err("the leader answers a sync request that there is not".to_owned()),
        }
        Ok(())
    }

    /// A reconfiguration is committed. Source: `Follower.processPacket`, case COMMITANDACTIVATE.
    fn activate_by_leader(
        &mut self,
        stage: Stage,
        zxid: Zxid,
        leader: Sid,
        io: &mut Io<'_>,
    ) -> Result<(), String> {
        self.committed_by_leader(zxid, io)?;
        self.inform(zxid, Some(leader), io);
        self.host_committed(io);
        let before = Zxid(zxid.0.saturating_sub(1));
        let entry = self.history.between(before, zxid).next();
        let new = entry.and_then(|(_, entry)| in_entry(entry));
        let new = new.ok_or_else(|| {
            format!("the leader put {zxid} into force, which is no configuration")
        })?;
        let in_log = stage == Stage::Broadcast;
        self.put_into_force(new, Some(leader), in_log, io);
        Ok(())
    }

    /// The leader's newest configuration, committed or not, is this server's too.
    fn see_leaders_config(&mut self, config: &Bytes, io: &mut Io<'_>) -> Result<(), String> {
        // Servers before 3.5 send none.
        if !self.config.reconfig_enabled || config.len() <= 1 {
            return Ok(());
        }
        let seen = parse(config)
            .map_err(|error| format!("the leader's configuration cannot be read: {error}"))?;
        if let Some(learning) = &mut self.learning {
            learning.config = Some(seen.clone());
        }
        self.see(seen, io);
        Ok(())
    }

    fn accept(&mut self, link: LinkId, epoch: i64, io: &mut Io<'_>) -> Result<(), String> {
        let accepted = self.accepted_epoch;
        if epoch < accepted {
            return Err(format!(
                "the leader's epoch {epoch} is behind epoch {accepted}, which this server has \
                 promised itself to"
            ));
        }
        let zxid = self.last_for_leader();
        let Some(learning) = &mut self.learning else {
            return Ok(());
        };
        learning.epoch = epoch;
        if epoch == accepted {
            learning.stage = Stage::Sync;
            io.send(link, Packet::AckEpoch { zxid, epoch: None });
        } else if self.config.planted.has(Bug::AcceptedEpochNotWritten) {
            learning.stage = Stage::Sync;
            let epoch = Some(self.current_epoch);
            io.send(link, Packet::AckEpoch { zxid, epoch });
        } else {
            learning.stage = Stage::Accepting;
            self.persist(EpochKind::Accepted, epoch, io);
        }
        Ok(())
    }

    /// The end of the history, or nothing when only a snapshot helps.
    fn last_for_leader(&self) -> Zxid {
        if self.needs_snapshot {
            Zxid(0)
        } else {
            self.history.last()
        }
    }

    pub(super) fn learn_epoch_durable(&mut self, kind: EpochKind, io: &mut Io<'_>) {
        let (zxid, current) = (self.last_for_leader(), self.current_epoch);
        let Some(learning) = &mut self.learning else {
            return;
        };
        let Some(link) = learning.link else { return };
        match (kind, learning.stage) {
            (EpochKind::Accepted, Stage::Accepting) => {
                learning.stage = Stage::Sync;
                let early = learning.epoch;
                let epoch = Some(current);
                io.send(link, Packet::AckEpoch { zxid, epoch });
                if self.config.planted.has(Bug::CurrentEpochTooEarly) {
                    self.persist(EpochKind::Current, early, io);
                }
            }
            (EpochKind::Current, Stage::Adopting) => {
                learning.stage = Stage::Waiting;
                // What came before is acknowledged with it.
                learning.acked = learning.committed;
                let zxid = Zxid::first_of(learning.epoch);
                io.send(link, Packet::Ack(zxid));
            }
            _ => return,
        }
        self.unhold(io);
    }

    /// Everything up to `zxid` is the leader's history too.
    fn take_over_from(&mut self, zxid: Zxid) {
        if let Some(learning) = &mut self.learning {
            learning.stage = Stage::History;
            learning.committed = zxid;
        }
    }

    fn cut(&mut self, zxid: Zxid, io: &mut Io<'_>) {
        if zxid >= self.history.last() || self.config.planted.has(Bug::TruncSkipped) {
            self.take_over_from(zxid);
            return;
        }
        if let Some(learning) = &mut self.learning {
            learning.stage = Stage::OnDisk;
        }
        let reload =
            Zxid(io.tree.last_zxid()) > zxid && !self.config.planted.has(Bug::TruncKeepsTree);
        if reload {
            // Clients may have seen what is about to be undone only if it was committed, but their
            // watches belong to the tree that goes.
            let reason = "the database is read anew";
            self.drop_clients(reason, io);
        }
        self.disk_busy += 1;
        io.act(Effect::Truncate { zxid, reload });
    }

    pub(super) fn snapshot_received(&mut self, link: LinkId, zxid: Zxid, io: &mut Io<'_>) {
        let Some(learning) = self.learning.as_mut().filter(|l| l.link == Some(link)) else {
            return;
        };
        if learning.stage != Stage::Sync {
            let stage = learning.stage;
            self.look(
                &format!("the leader sent a snapshot in the stage {stage:?}"),
                io,
            );
            return;
        }
        learning.stage = Stage::OnDisk;
        learning.heard_ms = io.now.mono_ms;
        let reason = "the database is replaced by the leader's";
        self.drop_clients(reason, io);
        self.disk_busy += 1;
        io.act(Effect::InstallSnapshot { link, zxid });
    }

    pub(super) fn learn_disk_done(&mut self, zxid: Zxid, io: &mut Io<'_>) {
        self.needs_snapshot = false;
        let on_disk = |learning: &Learning| learning.stage == Stage::OnDisk;
        if self.learning.as_ref().is_some_and(on_disk) {
            self.take_over_from(zxid);
            self.unhold(io);
        }
    }

    pub(super) fn truncate_failed(&mut self, zxid: Zxid, reason: &str, io: &mut Io<'_>) {
        self.needs_snapshot = true;
        let text = format!("cannot go back to {zxid}: {reason}; asking for a snapshot instead");
        self.look(&text, io);
    }

    /// A transaction goes to the log and waits for its commit.
    fn receive(&mut self, zxid: Zxid, entry: &Bytes, io: &mut Io<'_>) -> Result<(), String> {
        let last = self.history.last();
        let gap = last.epoch() == zxid.epoch() && zxid.0 != last.0 + 1;
        if zxid <= last || gap {
            return Err(format!("the leader proposed {zxid} behind {last}"));
        }
        let logged = LoggedTxn::decode(entry)
            .map_err(|error| format!("the leader's proposal {zxid} cannot be read: {error}"))?;
        if logged.header.zxid != zxid.0 {
            let inner = Zxid(logged.header.zxid);
            return Err(format!(
                "the leader's proposal {zxid} says that it is {inner}"
            ));
        }
        let seen = proposed(&logged.txn).transpose().map_err(|error| {
            format!("the configuration in the leader's proposal {zxid} cannot be read: {error}")
        })?;
        let log = &mut io.out.log;
        log.bytes.extend_from_slice(entry);
        log.ends.push((zxid, log.bytes.len()));
        self.taken += 1;
        self.history.push(zxid, entry.clone());
        if let Some(seen) = seen.filter(|_| !self.config.planted.has(Bug::ProposedConfigForgotten))
        {
            self.see(seen, io);
        }
        let snapshot_due = self.replica.receive(logged, entry.len());
        if snapshot_due {
            if self.is_learning() {
                io.act(Effect::SaveSnapshot);
            } else {
                self.replica
                    .step(Event::SnapshotDone, io.now, io.tree, io.out);
            }
        }
        Ok(())
    }

    fn committed_by_leader(&mut self, zxid: Zxid, io: &mut Io<'_>) -> Result<(), String> {
        let last = self.history.last();
        let Some(learning) = &mut self.learning else {
            return Ok(());
        };
        let expected = self.history.between(learning.committed, last).next();
        if expected.is_none_or(|(expected, _)| *expected != zxid) {
            let expected = expected.map_or(Zxid(0), |(expected, _)| *expected);
            return Err(format!(
                "the leader committed {zxid}, the next one here is {expected}"
            ));
        }
        learning.committed = zxid;
        if learning.stage == Stage::Broadcast {
            self.history.commit(zxid);
            self.replica.commit(zxid);
        } else if self.replica.pending_len() > UNAPPLIED_MAX {
            let reason = "too far behind the leader";
            self.drop_clients(reason, io);
            self.history.commit(zxid);
            self.replica.commit(zxid);
        }
        Ok(())
    }

    fn adopt(&mut self, zxid: Zxid, io: &mut Io<'_>) -> Result<(), String> {
        let Some(learning) = &mut self.learning else {
            return Ok(());
        };
        if zxid.epoch() != learning.epoch {
            let epoch = learning.epoch;
            return Err(format!("the leader of epoch {epoch} announced {zxid}"));
        }
        learning.stage = Stage::Adopting;
        let epoch = learning.epoch;
        if self.config.planted.has(Bug::NewLeaderAckedTooEarly) {
            learning.stage = Stage::Waiting;
            learning.acked = learning.committed;
            if let Some(link) = learning.link {
                io.send(link, Packet::Ack(zxid));
            }
            return Ok(());
        }
        if std::mem::take(&mut self.blank) {
            // Behind the log, which has the leader's history by now. Until it is on the disk the epoch
            // is not either, and whatever comes of this leader, no vote is cast before that.
            io.act(Effect::RegainVote);
        }
        self.persist(EpochKind::Current, epoch, io);
        Ok(())
    }

    fn up_to_date(&mut self, link: LinkId, io: &mut Io<'_>) {
        let Some(learning) = &mut self.learning else {
            return;
        };
        learning.stage = Stage::Broadcast;
        let (epoch, committed) = (learning.epoch, learning.committed);
        let (leader, master) = (learning.leader, learning.master);
        io.send(link, Packet::Ack(Zxid::first_of(epoch)));
        self.masters.served();
        if self.served.replace(epoch) == Some(epoch) {
            // The leader knows its sessions by the way on which they came, which is another one now.
            // Source: `SessionTrackerImpl.checkSession`.
            let reason = "the way to the leader is another one";
            self.drop_clients(reason, io);
        }
        self.history.commit(committed);
        self.replica.commit(committed);
        self.replica.learn(io.now);
        let state = self.election.state();
        self.election.settle(state, epoch);
        // One that is proposed in this epoch and not committed is not in force yet, though Apache's
        // leaders send it too.
        let planted = self.config.planted.has(Bug::ProposedConfigInForce);
        let settled = |config: &Membership| {
            let version = Zxid(config.version());
            version <= committed.max(Zxid::first_of(epoch)) || planted
        };
        let config = self.learning.as_mut().and_then(|l| l.config.take());
        if let Some(config) = config.filter(settled) {
            self.put_into_force(config, None, false, io);
        }
        io.say(format!(
            "following server {leader}{} in epoch {epoch} with last zxid {}, {} ms after the last \
             leader was lost",
            if master == leader {
                String::new()
            } else {
                format!(" through server {master}")
            },
            self.history.last(),
            io.now.mono_ms - self.looking_since
        ));
        self.tell_phase(io);
        self.serve_held(io);
    }

    /// Acknowledges what has reached the disk. Source: `SendAckRequestProcessor`.
    pub(super) fn send_acks(&mut self, io: &mut Io<'_>) {
        let Some(learning) = &mut self.learning else {
            return;
        };
        let Some(link) = learning.link else { return };
        let mut durable = self.durable.min(self.history.last());
        if self.config.planted.has(Bug::AckBeforeSync) {
            durable = self.history.last();
        }
        if learning.observer || learning.stage < Stage::Waiting || durable <= learning.acked {
            return;
        }
        for (zxid, _) in self.history.between(learning.acked, durable) {
            io.out.packets.push((link, Packet::Ack(*zxid)));
            learning.acked = *zxid;
        }
    }

    pub(super) fn learn_next_tick(&self) -> i64 {
        let Some(learning) = &self.learning else {
            return i64::MAX;
        };
        if learning.stage.waits_for_disk() {
            // It is not the leader who is silent then.
            return i64::MAX;
        }
        let silent = learning.heard_ms + self.patience(learning.stage) + 1;
        let silent = silent.min(learning.hosting.next_tick());
        let planted = self.config.planted.has(Bug::LocalSessionsStay);
        if learning.stage == Stage::Broadcast && !planted {
            silent.min(self.replica.next_local_expiry())
        } else {
            silent
        }
    }

    const fn patience(&self, stage: Stage) -> i64 {
        match stage {
            // The world gives up by itself; this is for when it forgets to.
            Stage::Connecting => 2 * self.config.init_ms(),
            Stage::Broadcast => self.config.sync_ms(),
            _ => self.config.init_ms(),
        }
    }

    pub(super) fn learn_tick(&mut self, io: &mut Io<'_>) {
        let Some(learning) = &self.learning else {
            return;
        };
        let silent = io.now.mono_ms - learning.heard_ms;
        if silent > self.patience(learning.stage) && !learning.stage.waits_for_disk() {
            self.look(&format!("the leader has been silent for {silent} ms"), io);
        } else if learning.stage == Stage::Broadcast
            && !self.config.planted.has(Bug::LocalSessionsStay)
        {
            self.replica.expire_local(io.now);
        }
    }

    // --- clients -------------------------------------------------------------------------------

    pub(super) fn pass_on(&mut self, event: Event, io: &mut Io<'_>) {
        let Some(learning) = &mut self.learning else {
            return;
        };
        let Some(link) = learning.link else { return };
        match event {
            Event::Request(request) => {
                let mut passed = self.replica.pass_on(request, io.tree, io.out);
                if self.config.planted.has(Bug::UpgradeForgotten) {
                    passed.upgrade = None;
                }
                for request in [passed.upgrade, passed.request].into_iter().flatten() {
                    if request.op == op_code::SYNC {
                        learning.syncs.push_back(None);
                    }
                    let packet = Packet::Request {
                        session: request.session,
                        cxid: request.cxid,
                        op: request.op,
                        body: request.body,
                        auth: request.auth,
                    };
                    io.send(link, packet);
                }
            }
            Event::OpenSession { conn, timeout_ms } => {
                if self.replica.open_local(conn, timeout_ms, io.out) {
                    return;
                }
                let session = self.replica.new_session(conn);
                let packet = Packet::Request {
                    session,
                    cxid: crate::ids::Cxid(0),
                    op: op_code::CREATE_SESSION,
                    body: Bytes::copy_from_slice(&timeout_ms.to_be_bytes()),
                    auth: std::sync::Arc::from([]),
                };
                io.send(link, packet);
            }
            Event::ResumeSession {
                conn,
                session,
                timeout_ms,
            } => {
                if self.replica.resume_local(conn, session, timeout_ms, io.out) {
                    return;
                }
                let asking = Asking::Client { conn, timeout_ms };
                self.resuming.entry(session).or_default().push_back(asking);
                let packet = Packet::Revalidate {
                    session,
                    timeout_ms,
                };
                io.send(link, packet);
            }
            _ => {}
        }
    }

    fn revalidated(&mut self, session: crate::ids::SessionId, valid: bool, io: &mut Io<'_>) {
        let Some(queue) = self.resuming.get_mut(&session) else {
            return;
        };
        let first = queue.pop_front();
        if queue.is_empty() {
            self.resuming.remove(&session);
        }
        match first {
            Some(Asking::Client { conn, timeout_ms }) => {
                if valid {
                    self.replica.vouched_for(session);
                }
                let timeout_ms = valid.then_some(timeout_ms);
                io.act(Effect::SessionResumed {
                    conn,
                    session,
                    timeout_ms,
                });
            }
            Some(Asking::Observer { link, timeout_ms }) => {
                self.pass_back(link, session, valid.then_some(timeout_ms), io);
            }
            None => {}
        }
    }
}
