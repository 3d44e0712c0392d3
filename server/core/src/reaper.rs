//! Owns when empty containers and expired nodes go. Must not delete them.
//! Source: `ContainerManager`.

use std::collections::VecDeque;

use crate::event::Now;
use crate::tree::{Owner, Tree, ZnodeId};

/// Settings.
#[derive(Debug, Clone, Copy)]
pub struct ReaperConfig {
    /// `znode.container.checkIntervalMs`; 0 or less turns the reaper off.
    pub check_interval_ms: i64,
    /// `znode.container.maxPerMinute`
    pub max_per_minute: i64,
    /// `znode.container.maxNeverUsedIntervalMs`; 0 keeps containers that never had a child.
    pub max_never_used_ms: i64,
}

impl Default for ReaperConfig {
    fn default() -> Self {
        Self {
            check_interval_ms: 60_000,
            max_per_minute: 10_000,
            max_never_used_ms: 0,
        }
    }
}

/// Finds nodes to delete and spreads their deletion over time.
#[derive(Debug)]
pub(crate) struct Reaper {
    config: ReaperConfig,
    next_check: i64,
    queue: VecDeque<String>,
}

impl Reaper {
    pub(crate) const fn new(config: ReaperConfig, now_ms: i64) -> Self {
        let next_check = if config.check_interval_ms > 0 {
            now_ms.saturating_add(config.check_interval_ms)
        } else {
            i64::MAX
        };
        Self {
            config,
            next_check,
            queue: VecDeque::new(),
        }
    }

    /// Starts over: what was found belongs to another time.
    pub(crate) fn restart(&mut self, now_ms: i64) {
        *self = Self::new(self.config, now_ms);
    }

    pub(crate) const fn next_check(&self) -> i64 {
        self.next_check
    }

    /// Paths to delete now.
    pub(crate) fn due(&mut self, tree: &Tree, now: Now) -> Vec<String> {
        if now.mono_ms < self.next_check {
            return Vec::new();
        }
        if self.queue.is_empty() {
            let mut paths: Vec<String> = tree
                .containers()
                .chain(tree.ttls())
                .filter(|&id| self.is_due(tree, id, now))
                .map(|id| tree.path_of(id))
                .collect();
            paths.sort_unstable();
            self.queue = paths.into();
        }
        // At most a second's share at once, so that a large harvest does not delay clients.
        let share = usize::try_from((self.config.max_per_minute / 60).max(1)).unwrap_or(1);
        let batch: Vec<String> = self.queue.drain(..share.min(self.queue.len())).collect();
        let pause = if self.queue.is_empty() {
            self.config.check_interval_ms
        } else {
            let sent = i64::try_from(batch.len()).unwrap_or(i64::MAX);
            sent.saturating_mul(60_000) / self.config.max_per_minute.max(1)
        };
        self.next_check = now.mono_ms.saturating_add(pause.max(1));
        let still_due = |path: &String| {
            tree.lookup(path)
                .is_some_and(|id| self.is_due(tree, id, now))
        };
        batch.into_iter().filter(still_due).collect()
    }

    fn is_due(&self, tree: &Tree, id: ZnodeId, now: Now) -> bool {
        let node = tree.node(id);
        if !node.children().is_empty() {
            return false;
        }
        match tree.owner_of(node) {
            Owner::Container if node.stat().cversion > 0 => true,
            Owner::Container => {
                let unused_ms = now.wall_ms - node.stat().mtime;
                self.config.max_never_used_ms > 0 && unused_ms > self.config.max_never_used_ms
            }
            Owner::Ttl(ttl_ms) => now.wall_ms - node.stat().mtime > ttl_ms,
            Owner::Persistent | Owner::Session(_) => false,
        }
    }
}
