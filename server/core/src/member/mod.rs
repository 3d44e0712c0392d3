//! Owns a member of an ensemble: it looks for a leader, then leads or learns, and tells its replica
//! what is committed. May use everything in this crate. Must not do what it asks for: see
//! [`Effects`].
//!
//! Transactions go to the log as they are proposed and wait, unapplied, until they are known to be
//! committed; what is left over from one leader stays in the log and is settled by the next one.
//! Source: `QuorumPeer.run`, and "Zab: High-performance broadcast for primary-backup systems".

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use menagerie_wire::election::{Notification, ServerState};
use menagerie_wire::op::op_code;

use crate::effect::{Deliver, Effect, Effects, Phase};
use crate::election::{Election, ElectionConfig};
use crate::event::{EpochKind, Event, Now};
use crate::ids::{ConnId, LinkId, SessionId, Sid, Zxid};
use crate::planted::{Bug, Planted};
use crate::processor::apply::Watches;
use crate::processor::read::WatchRegistry;
use crate::quorum::{Configs, Oracle};
use crate::replica::Replica;
use crate::tree::Tree;
use crate::zab::history::History;
use crate::zab::packet::Packet;
use leading::Leading;
use learning::Learning;
use masters::Masters;
use reconfig::Moving;

pub use leading::LearnerView;
pub use masters::ObserverConfig;
pub use restoring::{NoPlace, Place};

mod bring_up;
mod hosting;
mod leading;
mod learning;
mod masters;
mod reconfig;
mod restoring;

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
    /// `reconfigEnabled`: whether the ensemble's configuration may change while it runs.
    pub reconfig_enabled: bool,
    /// `standaloneEnabled`: then an ensemble has two voters at least.
    pub standalone_enabled: bool,
    /// How observers find whom to learn through, and whether followers serve them.
    pub observers: ObserverConfig,
    /// `multiAddress.enabled`: whether a server may have several addresses.
    pub multi_address: bool,
    /// `zookeeper.leader.maxConcurrentSnapSyncs`
    pub max_snap_syncs: usize,
    /// `zookeeper.leader.maxConcurrentDiffSyncs`
    pub max_diff_syncs: usize,
    /// `zookeeper.leader.maxTimeToWaitForEpoch`, ms; negative means no limit.
    pub epoch_wait_ms: i64,
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
    /// Whether there was no database, and an empty one may not take its place: one that was lost must
    /// not make up a quorum of those who know nothing. Source: `FileTxnSnapLog.restore`, where it is
    /// the zxid -1, and `FastLeaderElection.lookForLeader`.
    pub blank: bool,
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

/// Who wants to know whether a session is open.
#[derive(Debug, Clone, Copy)]
enum Asking {
    /// A client of this server.
    Client { conn: ConnId, timeout_ms: i32 },
    /// An observer that learns through this server.
    Observer { link: LinkId, timeout_ms: i32 },
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
    /// The highest epoch that another server is known to have accepted.
    seen_epoch: i64,
    /// Up to where the log is on disk.
    durable: Zxid,
    /// Things that the disk was asked to do and has not done.
    disk_busy: u32,
    /// Whether an election has to begin once the disk is idle.
    must_look: bool,
    /// Not before then.
    look_at: i64,
    leading: Option<Leading>,
    learning: Option<Learning>,
    /// Whom to learn through, for an observer.
    masters: Masters,
    /// The epoch in which clients were last served as a learner.
    served: Option<i64>,
    /// Clients' events that wait for a leader.
    held: Vec<Event>,
    /// Sessions that someone wants back, until the leader has said whether they are open.
    resuming: BTreeMap<SessionId, VecDeque<Asking>>,
    /// Whether the log could not be cut as a leader wished, so that only a snapshot helps.
    needs_snapshot: bool,
    /// Whether it has no vote until a leader has brought it up.
    blank: bool,
    /// Entries of the batch's log that the history has.
    taken: usize,
    /// When the member began to look.
    looking_since: i64,
    /// When it was last told of anything, be it that time passes.
    stepped_ms: i64,
    /// Whether clients still wait for a leader; not for long, others may have one.
    clients_wait: bool,
    /// Connections that were ended with the last role: what still comes from them comes too late,
    /// as requests before it may be lost.
    lost: BTreeSet<ConnId>,
    /// Whether a reconfiguration ends the role.
    moving: Option<Moving>,
    /// Who leads next without an election.
    appointed: Option<Sid>,
    /// Whether the oracle is for this server, if there is one.
    oracle: Option<bool>,
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
            masters: Masters::new(config.observers),
            config,
            configs,
            replica,
            history,
            accepted_epoch: memory.accepted_epoch,
            current_epoch: memory.current_epoch,
            seen_epoch: 0,
            durable: last,
            disk_busy: 0,
            must_look: true,
            look_at: i64::MIN,
            served: None,
            leading: None,
            learning: None,
            held: Vec::new(),
            resuming: BTreeMap::new(),
            needs_snapshot: false,
            blank: memory.blank,
            taken: 0,
            looking_since: now.mono_ms,
            stepped_ms: now.mono_ms,
            clients_wait: false,
            lost: BTreeSet::new(),
            moving: None,
            appointed: None,
            oracle: None,
        }
    }

    /// Feeds one event; appends what the world must do to `effects`. Follow every batch of events
    /// with [`Member::finish`].
    pub fn step(&mut self, event: Event, now: Now, tree: &Tree, effects: &mut Effects) {
        self.replica.set_now(now);
        self.ask_oracle();
        let mut io = Io {
            now,
            tree,
            out: effects,
        };
        self.notice_pause(&mut io);
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
            Event::LinkUp { to, link } => self.link_up(to, link, &mut io),
            Event::LinkFailed { to, reason } => self.link_failed(to, &reason, &mut io),
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
            Event::LogRead { link, entries } if self.leading.is_some() => {
                self.lead_log_read(link, entries, &mut io);
            }
            Event::LogRead { link, entries } => self.host_log_read(link, entries, &mut io),
            Event::Oracle { grants } => self.hear_oracle(grants, &mut io),
            Event::TruncateFailed { zxid, reason } => {
                self.disk_busy = self.disk_busy.saturating_sub(1);
                self.truncate_failed(zxid, &reason, &mut io);
            }
        }
    }

    /// Ends a batch of events: what they add up to is sent and committed.
    pub fn finish(&mut self, now: Now, tree: &Tree, effects: &mut Effects) {
        self.ask_oracle();
        let mut io = Io {
            now,
            tree,
            out: effects,
        };
        if self.must_look && self.disk_busy == 0 && now.mono_ms >= self.look_at {
            self.start_election(&mut io);
        }
        self.lead_if_drained(&mut io);
        self.take_proposals(&mut io);
        self.try_commit(&mut io);
        self.send_acks(&mut io);
        self.move_on(&mut io);
        self.taken = 0;
        self.history.applied(Zxid(tree.last_zxid()));
    }

    fn tick(&mut self, io: &mut Io<'_>) {
        let now = io.now.mono_ms;
        let leader = self.election.tick(&self.configs, now, &mut io.out.votes);
        self.elected(leader, io);
        self.lead_tick(io);
        self.learn_tick(io);
        self.host_tick(io);
        if self.clients_wait && now >= self.patience_ends() {
            self.clients_wait = false;
            if !self.phase().serving {
                let reason = "there has been no leader for too long";
                self.drop_clients(reason, io);
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
        if self.is_drained() || self.must_move() {
            return i64::MIN;
        }
        let look = if self.must_look && self.disk_busy == 0 {
            self.look_at
        } else {
            i64::MAX
        };
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
        own.min(look)
            .min(self.election.next_tick())
            .min(patience)
            .min(self.lead_next_tick())
            .min(self.learn_next_tick())
    }

    /// A leader that was paused for as long as its followers wait for it may have been replaced, though
    /// it finds messages of theirs from before: whoever asks it for the newest state must not get its
    /// own. Apache's goes on until it misses them.
    fn notice_pause(&mut self, io: &mut Io<'_>) {
        let before = std::mem::replace(&mut self.stepped_ms, io.now.mono_ms);
        let paused_ms = io.now.mono_ms - before;
        if paused_ms >= self.config.sync_ms() && self.is_established() {
            let reason = format!("it was paused for {paused_ms} ms; others may lead by now");
            self.look(&reason, io);
        }
    }

    // --- clients -------------------------------------------------------------------------------

    fn client(&mut self, event: Event, io: &mut Io<'_>) {
        if event.conn().is_some_and(|conn| self.lost.contains(&conn)) {
            return;
        }
        if self.moving.is_some() {
            self.held.push(event);
        } else if self.is_established() {
            let reconfigures = matches!(&event, Event::Request(r) if r.op == op_code::RECONFIG);
            if reconfigures {
                self.prepare_reconfig(io);
            }
            self.replica.step(event, io.now, io.tree, io.out);
            if reconfigures {
                self.take_proposals(io);
            }
        } else if self.is_learning() {
            self.pass_on(event, io);
        } else {
            self.held.push(event);
        }
    }

    /// Ends all clients' connections, and forgets what they wait for.
    fn drop_clients(&mut self, reason: &'static str, io: &mut Io<'_>) {
        io.act(Effect::CloseAllConns { reason });
        self.held.clear();
    }

    fn serve_held(&mut self, io: &mut Io<'_>) {
        self.clients_wait = false;
        for event in std::mem::take(&mut self.held) {
            self.client(event, io);
        }
    }

    // --- elections -----------------------------------------------------------------------------

    fn vote(&mut self, from: Sid, notification: &Notification, io: &mut Io<'_>) {
        let now = io.now.mono_ms;
        if !self.must_look {
            self.take_config_of(notification, io);
        }
        if !self.must_look && notification.state == ServerState::Looking {
            self.voter_looks(from, notification, io);
        }
        if self.must_look {
            // Without a settled history there is nothing to vote for yet.
            self.election
                .remember(from, notification, &self.configs, now);
            return;
        }
        let votes = &mut io.out.votes;
        let leader = self
            .election
            .receive(from, notification, &self.configs, now, votes);
        self.elected(leader, io);
    }

    /// Notes whether what the oracle says decides: only while the other voter does not follow.
    fn ask_oracle(&mut self) {
        self.configs.oracle = match self.oracle {
            Some(true) if !self.is_followed() => Oracle::Alone,
            Some(false) => Oracle::Other,
            _ => Oracle::Silent,
        };
    }

    fn hear_oracle(&mut self, grants: bool, io: &mut Io<'_>) {
        self.oracle = Some(grants);
        self.ask_oracle();
        if self.leading.is_some() {
            self.lead_as_oracle_says(io);
        } else if !self.must_look {
            let leader = self.election.rejudge(&self.configs, io.now.mono_ms);
            self.elected(leader, io);
        }
    }

    fn start_election(&mut self, io: &mut Io<'_>) {
        self.must_look = false;
        let blank = self.blank && !self.config.planted.has(Bug::BlankVotes);
        let last = if blank { Zxid(-1) } else { self.history.last() };
        let (zxid, epoch, now) = (last, self.current_epoch, io.now.mono_ms);
        if let Some(leader) = self.appointed.take() {
            self.election.appoint(leader, zxid, epoch);
            self.elected(Some(leader), io);
            return;
        }
        let votes = &mut io.out.votes;
        let leader = self.election.start(zxid, epoch, &self.configs, now, votes);
        io.say(format!(
            "looking for a leader: round {}, last zxid {zxid}, epoch {epoch}",
            self.election.round()
        ));
        if self.blank {
            let text = "there is no database here, and db.autocreate=false: without a vote until a \
                        leader has brought this server up to date; in a new ensemble, create the file \
                        initialize in dataDir and start again";
            io.say(text.to_owned());
        }
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
            let observer = self.configs.committed.is_observer(self.config.me);
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
        // Whatever ends the role: after a reconfiguration it is known who leads next.
        self.appointed = self.moving.take().and_then(|moving| moving.to);
        self.look_at = i64::MIN;
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
            for link in learning.link().into_iter().chain(learning.hosting.links()) {
                io.close(link, "looking for a leader");
            }
            if learning.observer() && self.appointed.is_none() {
                // Observers must not all ask the voters at once.
                self.look_at = io.now.mono_ms + self.masters.election_delay_ms();
            }
        }
        let mut lost: Vec<ConnId> = Vec::new();
        self.replica.stand_down(io.now, &mut lost);
        for asking in std::mem::take(&mut self.resuming).into_values().flatten() {
            if let Asking::Client { conn, .. } = asking {
                lost.push(conn);
            }
        }
        self.lost = lost.iter().copied().collect();
        self.held
            .retain(|event| event.conn().is_none_or(|conn| !self.lost.contains(&conn)));
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
        } else if self.learning.as_ref().and_then(Learning::link) == Some(link) {
            self.learn_packet(link, packet, io);
        } else if self.is_hosting() {
            self.host_packet(link, packet, io);
        } else {
            // Whoever still takes this server for the leader should look again.
            io.close(link, "this server does not lead");
        }
    }

    fn link_down(&mut self, link: LinkId, reason: &str, io: &mut Io<'_>) {
        if let Some(leading) = &mut self.leading {
            leading.forget(link);
        } else if let Some(learning) = self.learning.as_ref().filter(|l| l.link() == Some(link)) {
            if self.moving.is_some() {
                // The role is about to end, but first clients get the answers that are committed.
                return;
            }
            // Whoever turns a learner away closes the connection and tells only its own log.
            let turned_away = if learning.waits_for_epoch() {
                format!(
                    " before it told its epoch; its log says why, unless this is not its quorum \
                     port. This server has accepted epoch {} and has configuration version {:x}",
                    self.accepted_epoch,
                    self.configs.committed.version()
                )
            } else {
                String::new()
            };
            self.look(&format!("{reason}{turned_away}"), io);
        } else if let Some(learning) = &mut self.learning {
            learning.hosting.forget(link);
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
