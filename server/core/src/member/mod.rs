//! Owns a member of an ensemble: it looks for a leader, then leads or learns, and tells its replica
//! what is committed. May use everything in this crate. Must not do what it asks for: see
//! [`Effects`].
//!
//! Transactions go to the log as they are proposed and wait, unapplied, until they are known to be
//! committed; what is left over from one leader stays in the log and is settled by the next one.
//! Source: `QuorumPeer.run`, and "Zab: High-performance broadcast for primary-backup systems".

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use menagerie_wire::election::{Notification, ServerState};

use crate::effect::{Deliver, Effect, Effects, Phase};
use crate::election::{Election, ElectionConfig};
use crate::event::{EpochKind, Event, Now};
use crate::ids::{ConnId, LinkId, SessionId, Sid, Zxid};
use crate::planted::{Bug, Planted};
use crate::processor::apply::Watches;
use crate::processor::read::WatchRegistry;
use crate::quorum::Configs;
use crate::replica::Replica;
use crate::tree::Tree;
use crate::zab::history::History;
use crate::zab::packet::Packet;
use leading::Leading;
use learning::Learning;

mod leading;
mod learning;

/// What a member has to know beforehand.
#[derive(Debug, Clone)]
pub struct MemberConfig {
    /// Its number.
    pub me: Sid,
    /// `tickTime`, ms.
    pub tick_ms: i64,
    /// `initLimit`: ticks to find a quorum and to synchronise.
    pub init_limit: i64,
    /// `syncLimit`: ticks without a sign of life.
    pub sync_limit: i64,
    /// `zookeeper.commitLogCount`: committed transactions kept for learners.
    pub commit_log_count: usize,
    /// `zookeeper.forceSnapshotSync`
    pub force_snapshot_sync: bool,
    /// Waiting times of elections.
    pub election: ElectionConfig,
    /// For the simulator.
    pub planted: Planted,
}

impl MemberConfig {
    /// `initLimit` in ms.
    const fn init_ms(&self) -> i64 {
        self.init_limit * self.tick_ms
    }

    /// `syncLimit` in ms.
    const fn sync_ms(&self) -> i64 {
        self.sync_limit * self.tick_ms
    }
}

/// What a member remembers from before its start.
#[derive(Debug, Clone)]
pub struct Memory {
    /// acceptedEpoch.
    pub accepted_epoch: i64,
    /// currentEpoch.
    pub current_epoch: i64,
    /// The end of the log: the most recent entries, in order.
    pub recent: Vec<(Zxid, Bytes)>,
}

/// What a step works with.
struct Io<'a> {
    now: Now,
    tree: &'a Tree,
    out: &'a mut Effects,
}

impl Io<'_> {
    fn send(&mut self, link: LinkId, packet: Packet) {
        self.out.packets.push((link, packet));
    }

    fn act(&mut self, effect: Effect) {
        self.out.actions.push(effect);
    }

    fn close(&mut self, link: LinkId, reason: impl Into<String>) {
        let reason = reason.into();
        self.act(Effect::CloseLink { link, reason });
    }

    fn say(&mut self, text: String) {
        self.act(Effect::Say(text));
    }
}

/// The member.
#[derive(Debug)]
pub struct Member {
    config: MemberConfig,
    configs: Configs,
    replica: Replica,
    election: Election,
    history: History,
    accepted_epoch: i64,
    current_epoch: i64,
    /// Up to where the log is on disk.
    durable: Zxid,
    /// Things that the disk was asked to do and has not done.
    disk_busy: u32,
    /// Whether an election has to begin once the disk is idle.
    must_look: bool,
    leading: Option<Leading>,
    learning: Option<Learning>,
    /// Clients' events that wait for a leader.
    held: Vec<Event>,
    /// Clients that want a session back, until the leader has said whether it is open.
    resuming: BTreeMap<SessionId, VecDeque<(ConnId, i32)>>,
    /// Whether the log could not be cut as a leader wished, so that only a snapshot helps.
    needs_snapshot: bool,
    /// Entries of the batch's log that the history has.
    taken: usize,
    /// When the member began to look.
    looking_since: i64,
    /// Whether clients still wait for a leader; not for long, others may have one.
    clients_wait: bool,
}

impl Member {
    /// A member that goes on from a tree to which everything in the log has been applied.
    #[must_use]
    pub fn new(
        config: MemberConfig,
        configs: Configs,
        replica: Replica,
        memory: Memory,
        tree: &Tree,
        now: Now,
    ) -> Self {
        let last = Zxid(tree.last_zxid());
        let mut history = History::new(last, config.commit_log_count);
        history.restore(memory.recent);
        Self {
            election: Election::new(config.me, config.election),
            config,
            configs,
            replica,
            history,
            accepted_epoch: memory.accepted_epoch,
            current_epoch: memory.current_epoch,
            durable: last,
            disk_busy: 0,
            must_look: true,
            leading: None,
            learning: None,
            held: Vec::new(),
            resuming: BTreeMap::new(),
            needs_snapshot: false,
            taken: 0,
            looking_since: now.mono_ms,
            clients_wait: false,
        }
    }

    /// Feeds one event; appends what the world must do to `effects`. Follow every batch of events
    /// with [`Member::finish`].
    pub fn step(&mut self, event: Event, now: Now, tree: &Tree, effects: &mut Effects) {
        self.replica.set_now(now);
        let mut io = Io {
            now,
            tree,
            out: effects,
        };
        match event {
            Event::Tick => self.tick(&mut io),
            Event::Request(_) | Event::OpenSession { .. } | Event::ResumeSession { .. } => {
                self.client(event, &mut io);
            }
            Event::Touch { session, at_ms } => self.replica.touch(session, at_ms),
            Event::LogDurable { zxid } => self.durable = self.durable.max(zxid),
            Event::SnapshotDone => self.replica.step(Event::SnapshotDone, now, tree, io.out),
            Event::Vote { from, notification } => self.vote(from, &notification, &mut io),
            Event::Reachable { sid, reachable } => {
                let (configs, now) = (&self.configs, now.mono_ms);
                let leader = self.election.reachable(sid, reachable, configs, now);
                self.elected(leader, &mut io);
            }
            Event::LinkUp { leader, link } => self.link_up(leader, link, &mut io),
            Event::LinkFailed { leader, reason } => self.link_failed(leader, &reason, &mut io),
            Event::LinkDown { link, reason } => self.link_down(link, &reason, &mut io),
            Event::Packet { link, packet } => self.packet(link, packet, &mut io),
            Event::Heard { link } => self.heard(link, now),
            Event::SnapshotReceived { link, zxid } => {
                self.snapshot_received(link, zxid, &mut io);
            }
            Event::EpochDurable { kind, epoch } => {
                self.disk_busy = self.disk_busy.saturating_sub(1);
                match kind {
                    EpochKind::Accepted => self.accepted_epoch = epoch,
                    EpochKind::Current => self.current_epoch = epoch,
                }
                self.lead_epoch_durable(kind, &mut io);
                self.learn_epoch_durable(kind, &mut io);
            }
            Event::SnapshotInstalled { zxid, sessions } => {
                self.disk_busy = self.disk_busy.saturating_sub(1);
                self.history.reset(zxid);
                self.durable = zxid;
                self.replica.restart(zxid, sessions, now);
                self.learn_disk_done(zxid, &mut io);
            }
            Event::Truncated { zxid, reloaded } => {
                self.disk_busy = self.disk_busy.saturating_sub(1);
                self.history.truncate(zxid);
                self.durable = zxid;
                match reloaded {
                    Some(sessions) => self.replica.restart(zxid, sessions, now),
                    None if self.config.planted.has(Bug::TruncKeepsPending) => {}
                    None => self.replica.truncate(zxid),
                }
                self.learn_disk_done(zxid, &mut io);
            }
            Event::LogRead { link, entries } => self.log_read(link, entries, &mut io),
            Event::TruncateFailed { zxid, reason } => {
                self.disk_busy = self.disk_busy.saturating_sub(1);
                self.truncate_failed(zxid, &reason, &mut io);
            }
        }
    }

    /// Ends a batch of events: what they add up to is sent and committed.
    pub fn finish(&mut self, now: Now, tree: &Tree, effects: &mut Effects) {
        let mut io = Io {
            now,
            tree,
            out: effects,
        };
        if self.must_look && self.disk_busy == 0 {
            self.start_election(&mut io);
        }
        self.lead_if_drained(&mut io);
        self.take_proposals(&mut io);
        self.try_commit(&mut io);
        self.send_acks(&mut io);
        self.taken = 0;
        self.history.applied(Zxid(tree.last_zxid()));
    }

    fn tick(&mut self, io: &mut Io<'_>) {
        let now = io.now.mono_ms;
        let leader = self.election.tick(&self.configs, now, &mut io.out.votes);
        self.elected(leader, io);
        self.lead_tick(io);
        self.learn_tick(io);
        if self.clients_wait && now >= self.patience_ends() {
            self.clients_wait = false;
            if !self.phase().serving {
                let reason = "there has been no leader for too long";
                io.act(Effect::CloseAllConns { reason });
                self.held.clear();
            }
        }
    }

    /// Until when clients are kept waiting for a leader: half a tick, which leaves them time to find
    /// another member before their sessions expire.
    const fn patience_ends(&self) -> i64 {
        self.looking_since + self.config.tick_ms / 2
    }

    /// When the next [`Event::Tick`] is due, on the monotonic clock.
    #[must_use]
    pub fn next_tick(&self) -> i64 {
        if self.must_look && self.disk_busy == 0 || self.is_drained() {
            return i64::MIN;
        }
        let own = if self.is_established() {
            self.replica.next_tick()
        } else {
            i64::MAX
        };
        let patience = if self.clients_wait {
            self.patience_ends()
        } else {
            i64::MAX
        };
        own.min(self.election.next_tick())
            .min(patience)
            .min(self.lead_next_tick())
            .min(self.learn_next_tick())
    }

    // --- clients -------------------------------------------------------------------------------

    fn client(&mut self, event: Event, io: &mut Io<'_>) {
        if self.is_established() {
            self.replica.step(event, io.now, io.tree, io.out);
        } else if self.is_learning() {
            self.pass_on(event, io);
        } else {
            self.held.push(event);
        }
    }

    fn serve_held(&mut self, io: &mut Io<'_>) {
        self.clients_wait = false;
        for event in std::mem::take(&mut self.held) {
            self.client(event, io);
        }
    }

    // --- elections -----------------------------------------------------------------------------

    fn vote(&mut self, from: Sid, notification: &Notification, io: &mut Io<'_>) {
        if self.must_look {
            // Without a settled history there is nothing to vote for.
            return;
        }
        let now = io.now.mono_ms;
        let votes = &mut io.out.votes;
        let leader = self
            .election
            .receive(from, notification, &self.configs, now, votes);
        self.elected(leader, io);
    }

    fn start_election(&mut self, io: &mut Io<'_>) {
        self.must_look = false;
        let (zxid, epoch, now) = (self.history.last(), self.current_epoch, io.now.mono_ms);
        let votes = &mut io.out.votes;
        let leader = self.election.start(zxid, epoch, &self.configs, now, votes);
        io.say(format!(
            "looking for a leader: round {}, last zxid {zxid}, epoch {epoch}",
            self.election.round()
        ));
        self.tell_phase(io);
        self.elected(leader, io);
    }

    fn elected(&mut self, leader: Option<Sid>, io: &mut Io<'_>) {
        let Some(leader) = leader else { return };
        let ballot = *self.election.proposal();
        io.say(format!(
            "elected server {leader} in round {} with last zxid {} after {} ms",
            self.election.round(),
            ballot.zxid,
            io.now.mono_ms - self.looking_since
        ));
        if leader == self.config.me {
            self.election
                .settle(ServerState::Leading, ballot.peer_epoch);
            self.start_leading(io);
        } else {
            let observer = !self.configs.newest().is_voter(self.config.me);
            let state = if observer {
                ServerState::Observing
            } else {
                ServerState::Following
            };
            self.election.settle(state, ballot.peer_epoch);
            self.start_learning(leader, observer, io);
        }
        self.tell_phase(io);
    }

    /// Gives up what it does and looks for a leader.
    fn look(&mut self, reason: &str, io: &mut Io<'_>) {
        if self.must_look {
            return;
        }
        self.take_proposals(io);
        if let Some(leading) = self.leading.take() {
            io.say(format!("no longer leading: {reason}"));
            for link in leading.links() {
                io.close(link, "the leader gave up");
            }
        } else if let Some(learning) = self.learning.take() {
            io.say(format!(
                "no longer following server {}: {reason}",
                learning.leader()
            ));
            if let Some(link) = learning.link() {
                io.close(link, "looking for a leader");
            }
        }
        let mut lost: Vec<ConnId> = Vec::new();
        self.replica.stand_down(io.now, &mut lost);
        for (conn, _) in std::mem::take(&mut self.resuming).into_values().flatten() {
            lost.push(conn);
        }
        if !lost.is_empty() {
            io.act(Effect::CloseConns(lost));
        }
        self.must_look = true;
        if !self.clients_wait {
            self.looking_since = io.now.mono_ms;
            self.clients_wait = true;
        }
        self.tell_phase(io);
    }

    // --- what both roles need ------------------------------------------------------------------

    fn packet(&mut self, link: LinkId, packet: Packet, io: &mut Io<'_>) {
        if self.leading.is_some() {
            self.lead_packet(link, packet, io);
        } else {
            self.learn_packet(link, packet, io);
        }
    }

    fn link_down(&mut self, link: LinkId, reason: &str, io: &mut Io<'_>) {
        if let Some(leading) = &mut self.leading {
            leading.forget(link);
        } else if self.learning.as_ref().and_then(Learning::link) == Some(link) {
            self.look(reason, io);
        }
    }

    fn heard(&mut self, link: LinkId, now: Now) {
        if let Some(leading) = &mut self.leading {
            leading.heard(link, now.mono_ms);
        } else if let Some(learning) = &mut self.learning {
            learning.heard(link, now.mono_ms);
        }
    }

    fn persist(&mut self, kind: EpochKind, epoch: i64, io: &mut Io<'_>) {
        self.disk_busy += 1;
        io.act(Effect::PersistEpoch { kind, epoch });
    }

    fn tell_phase(&self, io: &mut Io<'_>) {
        io.act(Effect::Phase(self.phase()));
    }

    /// What the member does.
    #[must_use]
    pub fn phase(&self) -> Phase {
        let (state, leader) = if self.leading.is_some() {
            (ServerState::Leading, Some(self.config.me))
        } else if let Some(learning) = &self.learning {
            (self.election.state(), Some(learning.leader()))
        } else {
            (ServerState::Looking, None)
        };
        Phase {
            state,
            leader,
            epoch: self.current_epoch,
            serving: self.is_established() || self.is_learning(),
        }
    }

    // --- applying ------------------------------------------------------------------------------

    /// Whether something can be applied.
    #[must_use]
    pub fn has_committed(&self) -> bool {
        self.replica.has_committed()
    }

    /// As [`Replica::apply_committed`].
    pub fn apply_committed(
        &mut self,
        tree: &mut Tree,
        watches: &(impl Watches + WatchRegistry),
        out: &mut impl Deliver,
        limit: usize,
    ) -> usize {
        self.replica.apply_committed(tree, watches, out, limit)
    }

    /// What it composes.
    #[must_use]
    pub const fn replica(&self) -> &Replica {
        &self.replica
    }

    /// What it composes, for what the world notes of sessions and snapshots.
    pub const fn replica_mut(&mut self) -> &mut Replica {
        &mut self.replica
    }

    /// The configurations.
    #[must_use]
    pub const fn configs(&self) -> &Configs {
        &self.configs
    }

    /// The log's recent part.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// Its number.
    #[must_use]
    pub const fn me(&self) -> Sid {
        self.config.me
    }

    /// Its part in elections.
    #[must_use]
    pub const fn election(&self) -> &Election {
        &self.election
    }
}
