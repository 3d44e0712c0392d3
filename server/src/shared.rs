//! Owns what all parts of a running server share. May use everything below it. Must not decide
//! anything.

use std::sync::atomic::{AtomicI64, AtomicU16};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crossbeam_utils::sync::ShardedLock;
use menagerie_core::acl::AuthConfig;
use menagerie_core::event::Now;
use menagerie_core::tree::Tree;
use menagerie_storage::DataDirs;

use crate::client::registry::Registry;
use crate::config::Config;
use crate::runtime::inbox::Inbox;
use crate::runtime::watches::ShardedWatches;
use crate::stats::ServerStats;

/// The server's clocks.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// Milliseconds since the server was made; never goes back.
    pub(crate) fn mono_ms(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// Both clocks.
    pub(crate) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_ms = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
        Now { mono_ms: self.mono_ms(), wall_ms }
    }
}

/// One server's shared state.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) auth: AuthConfig,
    pub(crate) clock: Clock,
    pub(crate) tree: ShardedLock<Tree>,
    pub(crate) watches: ShardedWatches,
    pub(crate) conns: Registry,
    pub(crate) inbox: Inbox,
    pub(crate) stats: ServerStats,
    pub(crate) dirs: DataDirs,
    /// The port in use, which the system chose when 0 is configured.
    pub(crate) client_port: AtomicU16,
    /// What `stmk` sets and `gtmk` shows.
    pub(crate) trace_mask: AtomicI64,
}

impl Shared {
    /// Reads the tree. A panic elsewhere under the guard cannot leave it half changed for readers,
    /// as the core stops the process then.
    pub(crate) fn read_tree(&self) -> crossbeam_utils::sync::ShardedLockReadGuard<'_, Tree> {
        self.tree.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
