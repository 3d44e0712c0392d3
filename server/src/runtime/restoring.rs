//! Owns putting another tree in the place of the one that is served, on a server alone. The new tree
//! goes on behind the old one's last zxid and is on disk as its newest snapshot before anybody sees
//! it: whatever goes wrong before, the old one is served on, and its files stay where they are.

use std::sync::PoisonError;

use menagerie_core::event::Event;
use menagerie_core::ids::Zxid;
use menagerie_core::replica::Replica;
use menagerie_database::Saving;

use super::core_thread::CoreThread;
use super::engine::Engine;
use super::inbox::{Batch, Restore};
use super::snapshots;

/// What waits until everything that was begun is done.
#[derive(Default)]
pub(crate) struct Restoring {
    waiting: Vec<Restore>,
    /// Requests that came meanwhile.
    held: Vec<Event>,
}

impl CoreThread {
    /// Takes what is to be restored; from then on requests wait.
    pub(super) fn hold_for_restores(&mut self, batch: &mut Batch) {
        self.restoring.waiting.append(&mut batch.restores);
        if self.restoring.waiting.is_empty() {
            if !self.restoring.held.is_empty() {
                // In their order, in front of what has come since.
                let mut all = std::mem::take(&mut self.restoring.held);
                all.append(&mut batch.requests);
                batch.requests = all;
            }
        } else {
            self.restoring.held.append(&mut batch.requests);
        }
    }

    /// Whether requests wait for a restore that can go on at once.
    pub(super) fn has_held(&self) -> bool {
        !self.restoring.held.is_empty() && self.restoring.waiting.is_empty()
    }

    /// Restores, once nothing is under way.
    pub(super) fn restore(&mut self) {
        if self.restoring.waiting.is_empty() || !self.engine.is_idle() {
            return;
        }
        for Restore {
            tree,
            sessions,
            tell,
        } in std::mem::take(&mut self.restoring.waiting)
        {
            let mut tree = *tree;
            let before = self.engine.replica().last_prepared();
            // A zxid of its own, so that no client has seen a later one, and the file is the newest.
            tree.advance(before.0.saturating_add(1).max(tree.last_zxid()));
            self.snapshots.join();
            let shared = &self.shared;
            let options = snapshots::options(&shared.config);
            let saved = match &self.engine {
                Engine::Alone(_) => Saving::whole(&shared.dirs, &tree, &sessions, &options)
                    .map_err(|error| error.to_string()),
                Engine::Member(_) => Err("this server is a member of an ensemble".to_owned()),
            };
            if saved.is_err() {
                let _asker_gone = tell.send(saved);
                continue;
            }
            self.log.roll();
            let zxid = Zxid(tree.last_zxid());
            let config = shared.config.replica_config(shared.hash_seed);
            let replica = Replica::new(config, &tree, sessions, shared.clock.now());
            self.engine = Engine::Alone(Box::new(replica));
            let mut current = shared.tree.write().unwrap_or_else(PoisonError::into_inner);
            let old = std::mem::replace(&mut *current, tree);
            drop(current);
            // What clients know and watch is of the old tree: they come back and look again.
            for conn in shared.conns.all() {
                conn.abort();
            }
            tracing::warn!(
                before = %before, now = %zxid, nodes_before = old.node_count(),
                nodes_now = shared.read_tree().node_count(),
                "another tree was put in the place of the old one, as an operator asked; the old \
                 one's files are still there"
            );
            drop(old);
            let _asker_gone = tell.send(Ok(zxid));
        }
    }
}
