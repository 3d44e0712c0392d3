//! Owns what all parts of a running server share. May use everything below it. Must not decide
//! anything.

use std::sync::atomic::{AtomicI64, AtomicU16, AtomicUsize, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crossbeam_utils::sync::ShardedLock;
use menagerie_core::acl::{AuthConfig, AuthId};
use menagerie_core::event::Now;
use menagerie_core::tree::Tree;
use menagerie_storage::DataDirs;

use crate::client::registry::Registry;
use crate::client::throttle::Throttle;
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
        Self {
            start: Instant::now(),
        }
    }

    /// Milliseconds since the server was made; never goes back.
    pub(crate) fn mono_ms(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// Both clocks.
    pub(crate) fn now(&self) -> Now {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let wall_ms = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
        Now {
            mono_ms: self.mono_ms(),
            wall_ms,
        }
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
    pub(crate) throttle: Throttle,
    /// Bytes of large requests that the core has.
    pub(crate) large_bytes: AtomicUsize,
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
        self.tree
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Milliseconds for which a request in front of a full pipeline waits before it looks again.
    pub(crate) fn stall_ms(&self) -> u64 {
        u64::try_from(self.config.request_throttle_stall_time_ms)
            .unwrap_or_default()
            .max(1)
    }

    /// Whether a request of that many bytes counts as a large one.
    pub(crate) fn is_large(&self, bytes: usize) -> bool {
        let threshold = usize::try_from(self.config.large_request_threshold);
        threshold.is_ok_and(|threshold| threshold > 0 && bytes > threshold)
    }

    /// Whether one more large request of that many bytes may come in.
    /// Source: `ZooKeeperServer.checkRequestSizeWhenReceivingMessage`.
    pub(crate) fn has_room_for(&self, bytes: usize) -> bool {
        let max = usize::try_from(self.config.large_request_max_bytes).unwrap_or_default();
        self.large_bytes.load(Relaxed).saturating_add(bytes) <= max
    }

    /// Whether a connection with these identities may do anything.
    /// Source: `AuthenticationHelper.isCnxnAuthenticated`.
    pub(crate) fn is_authenticated(&self, auth: &[AuthId]) -> bool {
        let config = &self.config;
        let has = |scheme: &str| auth.iter().any(|id| &*id.scheme == scheme);
        if config.session_require_client_sasl_auth && !has("sasl") {
            return false;
        }
        let schemes = &config.enforce_auth_schemes;
        !config.enforce_auth_enabled || schemes.iter().any(|scheme| has(scheme))
    }
}
