//! Owns what all parts of a running server share. May use everything below it. Must not decide
//! anything.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_utils::sync::ShardedLock;
use menagerie_core::acl::{AuthConfig, AuthId};
use menagerie_core::effect::Phase;
use menagerie_core::event::Now;
use menagerie_core::ids::SessionId;
use menagerie_core::quorum::Configs;
use menagerie_core::session::SessionTracker;
use menagerie_core::tree::Tree;
use menagerie_storage::DataDirs;
use menagerie_wire::election::ServerState;
use menagerie_wire::text::cfg::Client;
use tokio::sync::watch;

use crate::audit::{Asked, AuditLog};
use crate::client::registry::{Conn, Registry};
use crate::config::Config;
use crate::live::Live;
use crate::runtime::inbox::Inbox;
use crate::runtime::watches::ShardedWatches;
use crate::secured::Secured;
use crate::stats::ServerStats;
use crate::top_paths::TopPaths;
use crate::traces;

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
    /// As the server started.
    pub(crate) config: Config,
    /// As above, with what has been changed since of what a running server takes over.
    pub(crate) live: Live,
    pub(crate) auth: AuthConfig,
    pub(crate) clock: Clock,
    pub(crate) tree: ShardedLock<Tree>,
    pub(crate) watches: ShardedWatches,
    pub(crate) conns: Registry,
    pub(crate) inbox: Inbox,
    pub(crate) stats: ServerStats,
    /// What clients ask for most, if that is to be told.
    pub(crate) top_paths: Option<TopPaths>,
    /// Who changed what, if that is to be written down.
    pub(crate) audit: Option<Arc<AuditLog>>,
    /// Bytes of large requests that the core has.
    pub(crate) large_bytes: AtomicUsize,
    pub(crate) dirs: DataDirs,
    /// The port in use, which the system chose when 0 is configured.
    pub(crate) client_port: AtomicU16,
    /// The port in use for clients with TLS; 0 without one.
    pub(crate) secure_port: AtomicU16,
    /// TLS, as far as it is wanted.
    pub(crate) tls: Secured,
    /// Seed of hash maps keyed by what clients choose.
    pub(crate) hash_seed: u64,
    /// The ensemble's configurations.
    pub(crate) configs: Mutex<Option<Configs>>,
    /// Where clients are to be served from now on.
    pub(crate) client_address: watch::Sender<Option<Client>>,
    /// What a member of an ensemble does; a server alone always serves.
    pub(crate) phase: Mutex<Option<(Phase, i64)>>,
    pub(crate) serving: AtomicBool,
    /// Whether the database was lost, and no leader has brought it back yet.
    pub(crate) blank: AtomicBool,
    /// Whether clients that want no more may read, as there is no leader.
    pub(crate) read_only: AtomicBool,
    /// Sessions that were opened without a leader.
    pub(crate) local_sessions: AtomicI64,
    /// What `stmk` sets and `gtmk` shows.
    pub(crate) trace_mask: AtomicI64,
}

impl Shared {
    /// Reads the tree. A panic elsewhere under the guard cannot leave it half changed for readers,
    /// as the core stops the process then.
    pub(crate) fn read_tree(&self) -> crossbeam_utils::sync::ShardedLockReadGuard<'_, Tree> {
        self.tree.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a tree in the place of the one that is served, which it returns: a large one takes a while
    /// to go. Only the core thread may, or who works for it while it waits.
    pub(crate) fn swap_tree(&self, tree: Tree) -> Tree {
        let mut current = self.tree.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *current, tree)
    }

    /// The port for clients with TLS, if there is one.
    pub(crate) fn secure_port(&self) -> Option<u16> {
        Some(self.secure_port.load(Relaxed)).filter(|port| *port != 0)
    }

    /// The ensemble's configurations; none for a server alone.
    pub(crate) fn configs(&self) -> Option<Configs> {
        let configs = self.configs.lock();
        configs.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes the ensemble's configurations.
    pub(crate) fn set_configs(&self, configs: Configs) {
        let mut current = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some(configs);
    }

    /// Puts the configuration in force where clients look for it.
    pub(crate) fn set_config_node(&self, tree: &mut Tree) {
        if let Some(Configs { committed, .. }) = self.configs() {
            let text = committed.to_string();
            tree.set_config(&text, committed.version(), self.clock.now().wall_ms);
        }
    }

    /// Whether clients are served: alone always, in an ensemble with a leader.
    pub(crate) fn is_serving(&self) -> bool {
        self.serving.load(Relaxed)
    }

    /// Whether clients get answers, be it that they may only read.
    pub(crate) fn answers_clients(&self) -> bool {
        self.is_serving() || self.is_read_only()
    }

    fn phase(&self) -> MutexGuard<'_, Option<(Phase, i64)>> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the member does from now on. Once there is somebody to follow, reading without a
    /// leader ends.
    pub(crate) fn set_phase(&self, phase: Phase) {
        self.serving.store(phase.serving, Relaxed);
        let looking = phase.state == ServerState::Looking;
        let now = self.clock.mono_ms();
        let mut current = self.phase();
        self.measure_phase(current.as_ref(), &phase, now);
        let since = match &*current {
            Some((old, since)) if old.state == phase.state && old.serving == phase.serving => {
                *since
            }
            _ => now,
        };
        *current = Some((phase, since));
        drop(current);
        if !looking && self.read_only.swap(false, Relaxed) {
            for conn in self.conns.all() {
                if conn.stats.read_only.load(Relaxed) {
                    conn.abort();
                }
            }
        }
    }

    /// Notes how long it took to find a leader, and to serve again.
    /// Source: `QuorumPeer.reportLeaderUnavailable`, `Follower.followLeader`.
    fn measure_phase(&self, old: Option<&(Phase, i64)>, new: &Phase, now: i64) {
        let metrics = &self.stats.metrics;
        let ms = |since: i64| u64::try_from(now - since).unwrap_or(0);
        let looks = |phase: &Phase| phase.state == ServerState::Looking;
        let looked = old.is_some_and(|(old, _)| looks(old));
        if looks(new) && !looked {
            metrics.looking_count.add(1);
            self.stats.lost_at_ms.store(now, Relaxed);
        }
        let Some((old, since)) = old else { return };
        // Observers do not elect.
        if looked && matches!(new.state, ServerState::Leading | ServerState::Following) {
            metrics.election_time.add(ms(*since));
            let role = match new.state {
                ServerState::Leading => "leader",
                _ => "follower",
            };
            traces::election(Duration::from_millis(ms(*since)), role);
        }
        if !new.serving || old.serving {
            return;
        }
        let unavailable = ms(self.stats.lost_at_ms.load(Relaxed));
        metrics.unavailable_time.add(unavailable);
        match new.state {
            ServerState::Leading => metrics.leader_unavailable_time.add(unavailable),
            ServerState::Following => metrics.follower_sync_time.add(ms(*since)),
            ServerState::Observing => metrics.observer_sync_time.add(ms(*since)),
            ServerState::Looking => {}
        }
    }

    /// Whether clients that want no more may read.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only.load(Relaxed)
    }

    /// Lets clients read without a leader, if there has been none for that long and the settings
    /// allow it. Source: `QuorumPeer.run`, case LOOKING.
    pub(crate) fn offer_read_only(&self, after_ms: i64) {
        let looking = self.mode() == "leaderelection";
        let blank = self.blank.load(Relaxed);
        if self.config.read_only_mode && !blank && looking && self.phase_age_ms() >= after_ms {
            self.read_only.store(true, Relaxed);
            tracing::warn!("no leader: serving clients that can do with reading");
        }
    }

    /// An id for a session that only this server knows, and only while there is no leader.
    pub(crate) fn local_session(&self) -> SessionId {
        let me = self
            .config
            .ensemble
            .as_ref()
            .map_or(0, |ensemble| ensemble.me);
        let clock = self.clock.now().wall_ms;
        let count = self.local_sessions.fetch_add(1, Relaxed);
        let first = SessionTracker::new(1, me, clock).next_id();
        SessionId(first.0.wrapping_add(count))
    }

    /// The leader's number, if there is one.
    pub(crate) fn leader(&self) -> Option<i64> {
        let phase = self.phase();
        let phase = phase.as_ref().map(|(phase, _)| phase);
        let known = phase.filter(|phase| phase.state != ServerState::Looking);
        known.and_then(|phase| phase.leader).map(|sid| sid.0)
    }

    /// Whether this server leads and leaves clients to others. Source: `leaderServes`.
    pub(crate) fn is_reserved_leader(&self) -> bool {
        !self.config.quorum.leader_serves && self.mode() == "leader"
    }

    /// The mode as `srvr` tells it. Source: `ServerStats.Provider.getState`.
    pub(crate) fn mode(&self) -> &'static str {
        if self.is_read_only() {
            return "read-only";
        }
        match self.phase().as_ref().map(|(phase, _)| phase.state) {
            None => "standalone",
            Some(ServerState::Leading) => "leader",
            Some(ServerState::Following) => "follower",
            Some(ServerState::Observing) => "observer",
            Some(ServerState::Looking) => "leaderelection",
        }
    }

    /// The state as `mntr` tells it. Source: `QuorumPeer.getDetailedState`.
    pub(crate) fn peer_state(&self) -> &'static str {
        match self.phase().as_ref() {
            None => "standalone",
            Some((phase, _)) => match (phase.state, phase.serving) {
                (ServerState::Leading, true) => "leading - broadcast",
                (ServerState::Leading, false) => "leading - synchronization",
                (ServerState::Following, true) => "following - broadcast",
                (ServerState::Following, false) => "following - synchronization",
                (ServerState::Observing, true) => "observing - broadcast",
                (ServerState::Observing, false) => "observing - synchronization",
                (ServerState::Looking, _) => "looking",
            },
        }
    }

    /// Milliseconds since the member's phase changed.
    pub(crate) fn phase_age_ms(&self) -> i64 {
        let now = self.clock.mono_ms();
        self.phase().as_ref().map_or(0, |(_, since)| now - since)
    }

    /// Milliseconds for which a request in front of a full pipeline waits before it looks again.
    pub(crate) fn stall_ms(&self) -> u64 {
        u64::try_from(self.live.load().request_throttle_stall_time_ms)
            .unwrap_or_default()
            .max(1)
    }

    /// Whether a request of that many bytes counts as a large one.
    pub(crate) fn is_large(&self, bytes: usize) -> bool {
        let threshold = usize::try_from(self.live.load().large_request_threshold);
        threshold.is_ok_and(|threshold| threshold > 0 && bytes > threshold)
    }

    /// Whether one more large request of that many bytes may come in.
    /// Source: `ZooKeeperServer.checkRequestSizeWhenReceivingMessage`.
    pub(crate) fn has_room_for(&self, bytes: usize) -> bool {
        let max = usize::try_from(self.live.load().large_request_max_bytes).unwrap_or_default();
        self.large_bytes.load(Relaxed).saturating_add(bytes) <= max
    }

    /// Notes for the audit log what a connection is about to ask the core for.
    pub(crate) fn note_asked(
        &self,
        conn: &Conn,
        session: SessionId,
        request: (i32, &[u8]),
        auth: &[AuthId],
    ) {
        if self.audit.is_some() {
            let asked = Asked::new(request, session.0, &conn.ip, &self.auth, auth);
            conn.asked().push_back(asked);
        }
    }

    /// Notes a request for the paths that are told.
    pub(crate) fn note_path(&self, op: i32, body: &[u8]) {
        if let Some(paths) = &self.top_paths {
            paths.note(op, body, self.clock.mono_ms());
        }
    }

    /// Whether a connection with these identities may do anything.
    pub(crate) fn is_authenticated(&self, auth: &[AuthId]) -> bool {
        self.config.is_enough(auth.iter().map(|id| &*id.scheme))
    }
}
