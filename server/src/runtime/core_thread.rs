//! Owns the core thread: the only one that changes the tree. It takes what has happened, lets the
//! replica decide under a shared guard, passes on what is to be done, applies what is committed
//! under an exclusive guard, and wakes who got something.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use menagerie_core::effect::{Effect, Effects, LogBatch};
use menagerie_core::event::Event;
use menagerie_core::ids::{SessionId, Zxid};
use menagerie_core::member::Member;
use menagerie_core::quorum::Configs;
use menagerie_core::zab::packet::Packet;
use menagerie_wire::election::ServerState;

use super::ack_times::AckTimes;
use super::delivery::Delivery;
use super::engine::Engine;
use super::inbox::Batch;
use super::log_thread::{Errand, LogQueue};
use super::restoring::Restoring;
use super::snapshots::SnapshotWorker;
use crate::client::noting::Noting;
use crate::client::registry::Conn;
use crate::config::DynamicFiles;
use crate::metrics::namespace;
use crate::peer::Peers;
use crate::peer::snapshot_stream::Outgoing;
use crate::shared::Shared;

/// Transactions applied under one guard, so that readers need not wait long.
const APPLY_PER_GUARD: usize = 256;
/// Milliseconds that a leader which is told to stop waits for its followers.
const STOP_MS: i64 = 500;
/// The longest wait without a look at the clock.
const MAX_WAIT: Duration = Duration::from_millis(500);

/// What the thread works with.
pub(crate) struct CoreThread {
    pub(crate) shared: Arc<Shared>,
    pub(crate) engine: Engine,
    /// The other members; none for a server alone.
    pub(crate) peers: Option<Arc<Peers>>,
    /// When the leader was last told which sessions are alive.
    pub(crate) touched_ms: i64,
    /// Proposals that no quorum has acknowledged yet: the last of a batch, how many, since when.
    pub(crate) proposed: VecDeque<(Zxid, u64, i64)>,
    /// How long members take to acknowledge what this one proposes.
    pub(crate) ack_times: AckTimes,
    /// Until when a stopping leader waits for others.
    pub(crate) patience_ms: i64,
    pub(crate) log: Arc<LogQueue>,
    pub(crate) snapshots: SnapshotWorker,
    /// What operators want restored.
    pub(crate) restoring: Restoring,
}

impl CoreThread {
    /// Runs until the inbox says stop and everything before it is applied.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut batch = Batch::default();
        let mut effects = Effects::default();
        let mut delivery = Delivery::new(&shared);
        let mut stopping = false;
        loop {
            shared.inbox.take(&mut batch, self.patience(stopping));
            stopping |= std::mem::take(&mut batch.stop);
            self.hold_for_restores(&mut batch);
            self.decide(&mut batch, &mut effects);
            let durable = self.execute(&mut effects, &mut delivery);
            if let Some(zxid) = durable {
                self.confirm(zxid, &mut effects);
            }
            self.apply(&mut delivery);
            self.restore(&mut effects, &mut delivery);
            for inspection in batch.inspections.drain(..) {
                inspection(&self.engine, &shared.read_tree());
            }
            self.snapshots.ask(&mut batch.snapshots);
            if self.snapshots.is_wanted() && !stopping {
                self.engine.replica_mut().snapshot_started();
                self.save_snapshot();
            }
            if self.log.has_failed() || stopping && self.may_stop() {
                break;
            }
        }
        self.snapshots.join();
    }

    /// Everything begun is done, or has had time enough.
    fn may_stop(&mut self) -> bool {
        let now = self.shared.clock.mono_ms();
        if self.patience_ms == 0 {
            self.patience_ms = now + STOP_MS;
        }
        self.engine.is_idle() || self.peers.is_some() && now >= self.patience_ms
    }

    fn patience(&self, stopping: bool) -> Duration {
        let until = self
            .engine
            .next_tick()
            .saturating_sub(self.shared.clock.mono_ms());
        let patience = Duration::from_millis(u64::try_from(until).unwrap_or(0)).min(MAX_WAIT);
        if self.has_held() {
            Duration::ZERO
        } else if stopping {
            patience.min(Duration::from_millis(10))
        } else {
            patience
        }
    }

    /// Events from disk come first, then time, then clients.
    fn decide(&mut self, batch: &mut Batch, effects: &mut Effects) {
        let shared = Arc::clone(&self.shared);
        let now = shared.clock.now();
        let tree = shared.read_tree();
        for event in batch.urgent.drain(..) {
            if let (Some(peers), Event::Packet { packet, .. }) = (&self.peers, &event) {
                peers.dealt_with(packet);
                if matches!(packet, Packet::Revalidate { .. }) {
                    shared.stats.metrics.revalidate_count.add(1);
                }
            }
            self.measure_ack(&event, now.mono_ms);
            self.restoring.note(&event);
            self.engine.step(event, now, &tree, effects);
        }
        if now.mono_ms >= self.engine.next_tick() {
            self.renew_live_sessions(now.mono_ms);
            self.engine.step(Event::Tick, now, &tree, effects);
        }
        for event in batch.requests.drain(..) {
            self.engine.step(event, now, &tree, effects);
        }
        self.engine.finish(now, &tree, effects);
        let exceeded = self.engine.replica_mut().take_exceeded_quotas();
        let refused = &shared.stats.metrics.quota_exceeded_error_per_namespace;
        for path in exceeded {
            if let Some(top) = namespace(&path) {
                refused.of(top).add(1);
            }
        }
    }

    /// Notes how long a follower, or the own disk, took to acknowledge a proposal.
    fn measure_ack(&mut self, event: &Event, now_ms: i64) {
        let Some(member) = self.engine.member() else {
            return;
        };
        let latencies = &self.shared.stats.metrics.ack_latency;
        match event {
            Event::LogDurable { zxid } => {
                self.ack_times
                    .durable(*zxid, member.me(), now_ms, latencies);
            }
            Event::Packet {
                link,
                packet: Packet::Ack(zxid),
            } => {
                if let Some(sid) = member.learner_at(*link) {
                    self.ack_times.acked(*zxid, sid, now_ms, latencies);
                }
            }
            _ => {}
        }
    }

    /// A session is alive as long as its connection is heard; asking only when its time seems up
    /// keeps every request free of the question.
    fn renew_live_sessions(&mut self, now_ms: i64) {
        let sessions = self.engine.replica().all_sessions();
        let local = sessions
            .local()
            .into_iter()
            .flat_map(|open| open.due(now_ms));
        let mut due: Vec<_> = local.collect();
        // Those of the ensemble are for its leader to judge.
        if self.engine.judges_sessions() {
            due.extend(sessions.global().due(now_ms));
        }
        for session in due {
            if let Some(conn) = self.shared.conns.of_session(session) {
                let heard = conn.stats.heard_ms.load(Relaxed);
                self.engine.replica_mut().touch(session, heard);
            }
        }
    }

    /// Does what was decided; what is durable already. Packets go out before the disk is waited
    /// for: followers write while this server does.
    pub(super) fn execute(
        &mut self,
        effects: &mut Effects,
        delivery: &mut Delivery<'_>,
    ) -> Option<Zxid> {
        if let Some(configs) = effects.configs.take() {
            self.reconfigured(&configs);
        }
        self.measure(effects);
        if let Some(peers) = &self.peers {
            let links = &peers.links;
            links.send(&mut effects.packets, || self.outgoing());
            for (to, notification) in effects.votes.drain(..) {
                peers.vote(to, &notification);
            }
        }
        let mut durable = None;
        if !effects.log.ends.is_empty() {
            durable = self.log.append(&mut effects.log);
        }
        for effect in effects.actions.drain(..) {
            self.act(effect, delivery);
        }
        delivery.wake_all();
        debug_assert!(effects.log.ends.is_empty());
        effects.log = LogBatch::default();
        durable
    }

    /// Notes what operators may want to know of what goes out.
    fn measure(&mut self, effects: &Effects) {
        let Some(member) = self.engine.member() else {
            return;
        };
        let (stats, entries) = (&self.shared.stats, effects.log.ends.len());
        let metrics = &stats.metrics;
        if !member.is_established() {
            metrics.learner_proposal_received_count.add(entries);
            self.proposed.clear();
            self.ack_times.clear();
            return;
        }
        for (_, entry) in effects.log.entries() {
            stats.proposal_sizes.add(entry.len());
        }
        metrics.proposal_count.add(entries);
        if let Some((last, _)) = effects.log.ends.last() {
            let now_ms = self.shared.clock.mono_ms();
            self.proposed.push_back((*last, entries as u64, now_ms));
            for (zxid, _) in &effects.log.ends {
                self.ack_times.proposed(*zxid, now_ms);
            }
        }
        let brings_up = |packet: &Packet| matches!(packet, Packet::Diff(_) | Packet::Trunc(_));
        let packets = effects.packets.iter();
        let count = packets.filter(|(_, packet)| brings_up(packet)).count();
        metrics.diff_count.add(count);
    }

    /// Notes how long a quorum took to agree. Source: `Leader.processAck`.
    fn measure_acks(&mut self) {
        let Some(member) = self.engine.member() else {
            return;
        };
        let committed = member.history().committed();
        let latency = &self.shared.stats.metrics.quorum_ack_latency;
        while let Some((last, count, since_ms)) = self.proposed.front().copied() {
            if last > committed {
                return;
            }
            let took_ms = self.shared.clock.mono_ms() - since_ms;
            latency.add(u64::try_from(took_ms).unwrap_or(0), count);
            self.proposed.pop_front();
        }
    }

    /// Another configuration is in force or on its way. It is on disk before anything that depends on
    /// it; a server that cannot write it goes on with what it has in memory, as ZooKeeper does.
    fn reconfigured(&self, configs: &Configs) {
        let shared = &self.shared;
        let (Some(before), Some(ensemble)) = (shared.configs(), &shared.config.ensemble) else {
            return;
        };
        if let Some(file) = shared.config.file.clone()
            && let Err(error) = DynamicFiles::new(file).save(&before, configs, ensemble.me)
        {
            tracing::error!(%error, "the ensemble's configuration cannot be written; after a restart \
                this server would begin with the old one");
        }
        shared.set_configs(configs.clone());
        if let Some(peers) = &self.peers {
            peers.reconfigured(configs);
        }
    }

    fn save_snapshot(&mut self) {
        self.log.roll();
        self.snapshots.start(&self.shared, self.engine.replica());
    }

    fn act(&mut self, effect: Effect, delivery: &mut Delivery<'_>) {
        match effect {
            Effect::SaveSnapshot => self.save_snapshot(),
            Effect::SessionOpened {
                conn,
                session,
                timeout_ms,
            } => delivery.resumed(conn, session, Some(timeout_ms)),
            Effect::SessionResumed {
                conn,
                session,
                timeout_ms,
            } => delivery.resumed(conn, session, timeout_ms),
            Effect::Dropped { conn } => {
                delivery.take_asked(conn);
                delivery.push(conn, |out| out.done += 1);
            }
            Effect::Say(text) => tracing::info!("{text}"),
            Effect::CloseConns(conns) => {
                for conn in conns {
                    delivery.push(conn, |out| out.abort = true);
                }
            }
            Effect::CloseAllConns { reason } => {
                tracing::info!("closing all clients' connections: {reason}");
                self.shared.conns.all().iter().for_each(|conn| conn.abort());
            }
            Effect::RegainVote => self.log.errand(Errand::RegainVote),
            Effect::PersistEpoch { kind, epoch } => self.log.errand(Errand::Epoch(kind, epoch)),
            Effect::Truncate { zxid, reload } => {
                self.snapshots.join();
                self.log.errand(Errand::Truncate { zxid, reload });
            }
            other => self.act_towards_peers(other),
        }
    }

    fn act_towards_peers(&mut self, effect: Effect) {
        let Some(peers) = &self.peers else { return };
        match effect {
            Effect::Phase(phase) => {
                peers.lead(phase.state == ServerState::Leading);
                peers.host(phase.state == ServerState::Following && phase.serving);
                if phase.state == ServerState::Looking {
                    peers.wait_for_leader();
                }
                self.shared.set_phase(phase);
            }
            Effect::Connect { to, port, delay_ms } => peers.connect(to, port, delay_ms),
            Effect::CloseLink { link, reason } => peers.links.close(link, &reason),
            Effect::InstallSnapshot { link, zxid } => {
                self.snapshots.join();
                if let Some(received) = peers.take_snapshot(link) {
                    let (tree, sessions) = (Box::new(received.tree), received.sessions);
                    self.log.errand(Errand::Install {
                        zxid,
                        tree,
                        sessions,
                    });
                }
            }
            Effect::ReadLog { link, from, upto } => peers.read_log(link, from, upto),
            Effect::AnswerPing {
                link,
                zxid,
                mut touched,
            } => {
                touched.extend(self.sessions_heard());
                let packet = Packet::Ping {
                    zxid,
                    touched: Some(touched),
                };
                if let Some(peers) = &self.peers {
                    let packets = &mut vec![(link, packet)];
                    peers.links.send(packets, || self.outgoing());
                }
            }
            _ => {}
        }
    }

    /// Sessions of this server's clients that were heard of since the last time; the leader makes
    /// nothing of local ones. Source: `LearnerSessionTracker.touchSession`.
    fn sessions_heard(&mut self) -> Vec<(SessionId, i32)> {
        let since = std::mem::replace(&mut self.touched_ms, self.shared.clock.mono_ms());
        let conns = self.shared.conns.all();
        let heard = |conn: &&Arc<Conn>| conn.stats.heard_ms.load(Relaxed) >= since;
        let sessions = self.engine.replica().all_sessions();
        conns
            .iter()
            .filter(heard)
            .map(|conn| (conn.session(), conn.stats.timeout_ms.load(Relaxed)))
            .filter(|(session, _)| session.0 != 0 && !sessions.is_local(*session))
            .collect()
    }

    /// Tells the replica what is durable; that decides nothing but what may be applied.
    pub(super) fn confirm(&mut self, zxid: Zxid, effects: &mut Effects) {
        let shared = Arc::clone(&self.shared);
        let now = shared.clock.now();
        let durable = Event::LogDurable { zxid };
        self.measure_ack(&durable, now.mono_ms);
        let tree = shared.read_tree();
        self.engine.step(durable, now, &tree, effects);
        self.engine.finish(now, &tree, effects);
        drop(tree);
        if let Some(peers) = &self.peers {
            let links = &peers.links;
            links.send(&mut effects.packets, || self.outgoing());
        }
    }

    /// The tree for a learner: nothing has been applied since it was decided to send it.
    fn outgoing(&self) -> Outgoing {
        let sessions = self.engine.replica().sessions().all();
        Outgoing::new(&self.shared.read_tree(), &sessions)
    }

    fn apply(&mut self, delivery: &mut Delivery<'_>) {
        self.measure_acks();
        let leads = self.engine.member().map(Member::is_established);
        let shared = Arc::clone(&self.shared);
        let notes = RefCell::default();
        let noting = Noting::new(&shared, &notes);
        while self.engine.has_committed() {
            let mut tree = self
                .shared
                .tree
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let applied =
                self.engine
                    .apply_committed(&mut tree, &noting, delivery, APPLY_PER_GUARD);
            drop(tree);
            let metrics = &self.shared.stats.metrics;
            match leads {
                Some(true) => metrics.commit_count.add(applied),
                Some(false) => metrics.learner_commit_received_count.add(applied),
                None => {}
            }
            notes.borrow_mut().flush();
            delivery.flush_notes();
            delivery.wake_all();
        }
    }
}
