//! Owns putting another tree in the place of the one that is served. The new tree goes on behind the
//! old one's last zxid and is on disk as its newest snapshot before anybody sees it: whatever goes
//! wrong before, the old one is served on, and on a server alone its files stay where they are.
//!
//! In an ensemble the leader takes it, gives up, and is elected again with it; see
//! `menagerie_core::member::Place`.

use menagerie_core::effect::Effects;
use menagerie_core::event::Event;
use menagerie_core::ids::Zxid;
use menagerie_core::replica::Replica;
use menagerie_database::Saving;
use tokio::sync::oneshot;

use super::core_thread::CoreThread;
use super::delivery::Delivery;
use super::engine::Engine;
use super::inbox::{Batch, Restore};
use super::log_thread::Errand;
use super::snapshots;

/// Milliseconds, at least, until an ensemble has to have a leader again.
const LEADER_MS: i64 = 30_000;

/// What waits until everything that was begun is done.
#[derive(Default)]
pub(crate) struct Restoring {
    waiting: Vec<Restore>,
    /// Requests that came meanwhile.
    held: Vec<Event>,
    /// An ensemble's, of which a leader has yet to be elected.
    under_way: Option<UnderWay>,
}

/// A tree that this member has, and the others have not.
struct UnderWay {
    zxid: Zxid,
    tell: oneshot::Sender<Result<Zxid, String>>,
    /// Until when there has to be a leader, on the monotonic clock.
    until_ms: i64,
    /// Whether another leader's history took its place.
    undone: bool,
}

impl Restoring {
    /// Notes what another leader made of this member's history.
    pub(super) fn note(&mut self, event: &Event) {
        let Some(under_way) = &mut self.under_way else {
            return;
        };
        match event {
            Event::SnapshotInstalled { zxid, .. } => under_way.undone |= *zxid != under_way.zxid,
            Event::Truncated { zxid, .. } => under_way.undone |= *zxid < under_way.zxid,
            _ => {}
        }
    }
}

impl CoreThread {
    /// Takes what is to be restored; from then on requests wait, on a server alone.
    pub(super) fn hold_for_restores(&mut self, batch: &mut Batch) {
        self.restoring.waiting.append(&mut batch.restores);
        if self.restoring.waiting.is_empty() || self.engine.member().is_some() {
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
    pub(super) fn restore(&mut self, effects: &mut Effects, delivery: &mut Delivery<'_>) {
        match &self.engine {
            Engine::Alone(_) => self.restore_alone(),
            Engine::Member(_) => {
                self.give_place(effects, delivery);
                self.await_leader();
            }
        }
    }

    /// Gives up the lead for what is to be restored.
    fn give_place(&mut self, effects: &mut Effects, delivery: &mut Delivery<'_>) {
        if self.snapshots.is_under_way() {
            // It needs the tree that there is, and followers must not wait for it.
            return;
        }
        for restore in std::mem::take(&mut self.restoring.waiting) {
            let Restore {
                tree,
                sessions,
                staged,
                tell,
            } = restore;
            let (Some((staged, place)), Some(member)) = (staged, self.engine.member_mut()) else {
                let _asker_gone = tell.send(Err("nobody knows where it is to go".to_owned()));
                continue;
            };
            // Nobody else looks for a leader before it is on the disk.
            let named = (member.has_place(place).map_err(|error| error.to_string()))
                .and_then(|()| staged.name().map_err(|error| error.to_string()));
            if let Err(error) = named {
                let _asker_gone = tell.send(Err(error));
                continue;
            }
            let shared = &self.shared;
            let mut tree = *tree;
            shared.set_config_node(&mut tree);
            let old = Box::new(shared.swap_tree(tree));
            let now = shared.clock.now();
            member.take_place(place, sessions, now, &shared.read_tree(), effects);
            member.finish(now, &shared.read_tree(), effects);
            if let Some(durable) = self.execute(effects, delivery) {
                self.confirm(durable, effects);
            }
            self.log.errand(Errand::Forget {
                before: place.zxid,
                tree: old,
            });
            let config = &self.shared.config;
            let ticks = config.quorum.init_limit.max(1);
            let patience_ms = config.tick_time_ms.saturating_mul(ticks).max(LEADER_MS);
            self.restoring.under_way = Some(UnderWay {
                zxid: place.zxid,
                tell,
                until_ms: now.mono_ms.saturating_add(patience_ms),
                undone: false,
            });
        }
    }

    /// Tells whoever brought a tree what became of it, once that is known.
    fn await_leader(&mut self) {
        let (Some(member), Some(under_way)) = (self.engine.member(), &self.restoring.under_way)
        else {
            return;
        };
        let (phase, zxid) = (member.phase(), under_way.zxid);
        let outcome = if phase.serving && !under_way.undone {
            tracing::warn!(%zxid, epoch = phase.epoch, nodes = self.shared.read_tree().node_count(),
                "another tree was put in the place of the old one, in all of the ensemble, as an \
                 operator asked");
            Ok(zxid)
        } else if phase.serving {
            let leader = phase.leader.unwrap_or_default();
            Err(format!(
                "server {leader} was elected without the restored tree, and this server has taken over \
                 that one's; send the snapshot there"
            ))
        } else if self.shared.clock.mono_ms() >= under_way.until_ms {
            Err(format!(
                "this server has the restored tree, with zxid {zxid}, but there is no leader; the tree \
                 will be served if this server leads next"
            ))
        } else {
            return;
        };
        if let Some(under_way) = self.restoring.under_way.take() {
            let _asker_gone = under_way.tell.send(outcome);
        }
    }

    fn restore_alone(&mut self) {
        if self.restoring.waiting.is_empty() || !self.engine.is_idle() {
            return;
        }
        for Restore {
            tree,
            sessions,
            tell,
            ..
        } in std::mem::take(&mut self.restoring.waiting)
        {
            let mut tree = *tree;
            let before = self.engine.replica().last_prepared();
            // A zxid of its own, so that no client has seen a later one, and the file is the newest.
            tree.advance(before.0.saturating_add(1).max(tree.last_zxid()));
            self.snapshots.join();
            let shared = &self.shared;
            let options = snapshots::options(&shared.config);
            if let Err(error) = Saving::whole(&shared.dirs, &tree, &sessions, &options) {
                let _asker_gone = tell.send(Err(error.to_string()));
                continue;
            }
            self.log.roll();
            let zxid = Zxid(tree.last_zxid());
            let config = shared.config.replica_config(shared.hash_seed);
            let replica = Replica::new(config, &tree, sessions, shared.clock.now());
            self.engine = Engine::Alone(Box::new(replica));
            let old = shared.swap_tree(tree);
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
