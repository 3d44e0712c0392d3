//! Owns the core thread: the only one that changes the tree. It takes what has happened, lets the
//! replica decide under a shared guard, passes on what is to be done, applies what is committed
//! under an exclusive guard, and wakes who got something.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use menagerie_core::effect::{Effect, Effects, LogBatch};
use menagerie_core::event::Event;
use menagerie_core::ids::{SessionId, Zxid};
use menagerie_core::member::Member;
use menagerie_core::zab::packet::Packet;
use menagerie_wire::election::ServerState;

use super::delivery::Delivery;
use super::engine::Engine;
use super::inbox::Batch;
use super::log_thread::{Errand, LogQueue};
use super::snapshots::SnapshotWorker;
use crate::client::registry::Conn;
use crate::peer::Peers;
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
    /// Until when a stopping leader waits for others.
    pub(crate) patience_ms: i64,
    pub(crate) log: Arc<LogQueue>,
    pub(crate) snapshots: SnapshotWorker,
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
            self.decide(&mut batch, &mut effects);
            let durable = self.execute(&mut effects, &mut delivery);
            if let Some(zxid) = durable {
                self.confirm(zxid, &mut effects);
            }
            self.apply(&mut delivery);
            for inspection in batch.inspections.drain(..) {
                inspection(&self.engine, &shared.read_tree());
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
        if stopping {
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
            }
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
    }

    /// A session is alive as long as its connection is heard; asking only when its time seems up
    /// keeps every request free of the question.
    fn renew_live_sessions(&mut self, now_ms: i64) {
        let due: Vec<_> = self.engine.replica().sessions().due(now_ms).collect();
        for session in due {
            if let Some(conn) = self.shared.conns.of_session(session) {
                let heard = conn.stats.heard_ms.load(Relaxed);
                self.engine.replica_mut().touch(session, heard);
            }
        }
    }

    /// Does what was decided; what is durable already. Packets go out before the disk is waited
    /// for: followers write while this server does.
    fn execute(&mut self, effects: &mut Effects, delivery: &mut Delivery<'_>) -> Option<Zxid> {
        if let Some(peers) = &self.peers {
            if self.engine.member().is_some_and(Member::is_established) {
                for (_, entry) in effects.log.entries() {
                    self.shared.stats.proposal_sizes.add(entry.len());
                }
            }
            peers.links.send(&mut effects.packets);
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

    fn act(&mut self, effect: Effect, delivery: &mut Delivery<'_>) {
        match effect {
            Effect::SaveSnapshot => {
                self.log.roll();
                self.snapshots.start(&self.shared, self.engine.replica());
            }
            Effect::SessionResumed {
                conn,
                session,
                timeout_ms,
            } => delivery.resumed(conn, session, timeout_ms),
            Effect::Dropped { conn } => delivery.push(conn, |out| out.done += 1),
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
                if phase.state == ServerState::Looking {
                    peers.wait_for_leader();
                }
                self.shared.set_phase(phase);
            }
            Effect::Connect { leader } => peers.connect(leader),
            Effect::CloseLink { link, reason } => {
                tracing::info!(link = link.0, "closing a link: {reason}");
                peers.links.close(link, reason);
            }
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
            Effect::AnswerPing { link, zxid } => {
                let touched = self.sessions_heard();
                let packet = Packet::Ping {
                    zxid,
                    touched: Some(touched),
                };
                if let Some(peers) = &self.peers {
                    peers.links.send(&mut vec![(link, packet)]);
                }
            }
            _ => {}
        }
    }

    /// Sessions of this server's clients that were heard of since the last time.
    fn sessions_heard(&mut self) -> Vec<(SessionId, i32)> {
        let since = std::mem::replace(&mut self.touched_ms, self.shared.clock.mono_ms());
        let conns = self.shared.conns.all();
        let heard = |conn: &&Arc<Conn>| conn.stats.heard_ms.load(Relaxed) >= since;
        conns
            .iter()
            .filter(heard)
            .map(|conn| (conn.session(), conn.stats.timeout_ms.load(Relaxed)))
            .filter(|(session, _)| session.0 != 0)
            .collect()
    }

    /// Tells the replica what is durable; that decides nothing but what may be applied.
    fn confirm(&mut self, zxid: Zxid, effects: &mut Effects) {
        let shared = Arc::clone(&self.shared);
        let now = shared.clock.now();
        let tree = shared.read_tree();
        self.engine
            .step(Event::LogDurable { zxid }, now, &tree, effects);
        self.engine.finish(now, &tree, effects);
        drop(tree);
        if let Some(peers) = &self.peers {
            peers.links.send(&mut effects.packets);
        }
    }

    fn apply(&mut self, delivery: &mut Delivery<'_>) {
        while self.engine.has_committed() {
            let mut tree = self
                .shared
                .tree
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            self.engine
                .apply_committed(&mut tree, &self.shared.watches, delivery, APPLY_PER_GUARD);
            drop(tree);
            delivery.wake_all();
        }
    }
}
