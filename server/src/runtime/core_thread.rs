//! Owns the core thread: the only one that changes the tree. It takes what has happened, lets the
//! replica decide under a shared guard, passes on what is to be done, applies what is committed
//! under an exclusive guard, and wakes who got something.

use std::sync::Arc;
use std::time::Duration;

use menagerie_core::effect::{Effect, Effects, LogBatch};
use menagerie_core::event::Event;
use menagerie_core::ids::Zxid;
use menagerie_core::replica::Replica;

use super::delivery::Delivery;
use super::inbox::Batch;
use super::log_thread::LogQueue;
use super::snapshots::SnapshotWorker;
use crate::shared::Shared;

/// Transactions applied under one guard, so that readers need not wait long.
const APPLY_PER_GUARD: usize = 256;
/// The longest wait without a look at the clock.
const MAX_WAIT: Duration = Duration::from_millis(500);

/// What the thread works with.
pub(crate) struct CoreThread {
    pub(crate) shared: Arc<Shared>,
    pub(crate) replica: Replica,
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
                inspection(&self.replica, &shared.read_tree());
            }
            if stopping && self.replica.pending_len() == 0 || self.log.has_failed() {
                break;
            }
        }
        self.snapshots.join();
    }

    fn patience(&self, stopping: bool) -> Duration {
        let until = self
            .replica
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
            self.replica.step(event, now, &tree, effects);
        }
        if now.mono_ms >= self.replica.next_tick() {
            self.renew_live_sessions(now.mono_ms);
            self.replica.step(Event::Tick, now, &tree, effects);
        }
        for event in batch.requests.drain(..) {
            self.replica.step(event, now, &tree, effects);
        }
    }

    /// A session is alive as long as its connection is heard; asking only when its time seems up
    /// keeps every request free of the question.
    fn renew_live_sessions(&mut self, now_ms: i64) {
        let due: Vec<_> = self.replica.sessions().due(now_ms).collect();
        for session in due {
            if let Some(conn) = self.shared.conns.of_session(session) {
                let heard = conn
                    .stats
                    .heard_ms
                    .load(std::sync::atomic::Ordering::Relaxed);
                self.replica.touch(session, heard);
            }
        }
    }

    /// Does what was decided; what is durable already.
    fn execute(&mut self, effects: &mut Effects, delivery: &mut Delivery<'_>) -> Option<Zxid> {
        let mut durable = None;
        if !effects.log.ends.is_empty() {
            durable = self.log.append(&mut effects.log);
        }
        for effect in effects.actions.drain(..) {
            match effect {
                Effect::SaveSnapshot => {
                    self.log.roll();
                    self.snapshots.start(&self.shared, &self.replica);
                }
                Effect::SessionResumed {
                    conn,
                    session,
                    timeout_ms,
                } => {
                    delivery.resumed(conn, session, timeout_ms);
                }
                Effect::Dropped { conn } => delivery.push(conn, |out| out.done += 1),
                _ => {}
            }
        }
        delivery.wake_all();
        debug_assert!(effects.log.ends.is_empty());
        effects.log = LogBatch::default();
        durable
    }

    /// Tells the replica what is durable; that decides nothing but what may be applied.
    fn confirm(&mut self, zxid: Zxid, effects: &mut Effects) {
        let shared = Arc::clone(&self.shared);
        let now = shared.clock.now();
        let tree = shared.read_tree();
        self.replica
            .step(Event::LogDurable { zxid }, now, &tree, effects);
    }

    fn apply(&mut self, delivery: &mut Delivery<'_>) {
        while self.replica.has_committed() {
            let mut tree = self
                .shared
                .tree
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            self.replica.apply_committed(
                &mut tree,
                &self.shared.watches,
                delivery,
                APPLY_PER_GUARD,
            );
            drop(tree);
            delivery.wake_all();
        }
    }
}
