//! Owns the server's counters. Must not format them. Source: `ServerStats`.

use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use crate::client::late::LateRequests;
use crate::metrics::{Counter, Distribution, Keyed, Summary, Totals};

/// Sizes in bytes; -1 before the first. Source: `BufferStats`.
#[derive(Debug)]
pub(crate) struct Sizes {
    pub(crate) last: AtomicI64,
    pub(crate) min: AtomicI64,
    pub(crate) max: AtomicI64,
}

impl Default for Sizes {
    fn default() -> Self {
        let none = || AtomicI64::new(-1);
        Self {
            last: none(),
            min: none(),
            max: none(),
        }
    }
}

impl Sizes {
    pub(crate) fn add(&self, size: usize) {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        self.last.store(size, Relaxed);
        self.max.fetch_max(size, Relaxed);
        let min = self.min.load(Relaxed);
        if min < 0 || size < min {
            self.min.store(size, Relaxed);
        }
    }

    fn reset(&self) {
        for size in [&self.last, &self.min, &self.max] {
            size.store(-1, Relaxed);
        }
    }
}

/// What only `mntr` tells, under ZooKeeper's names. Times are in ms. Source: `ServerMetrics`.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) bytes_received_count: Counter,
    pub(crate) response_bytes: Counter,
    pub(crate) connection_request_count: Counter,
    pub(crate) connection_revalidate_count: Counter,
    pub(crate) sessionless_connections_expired: Counter,
    /// Handshakes of TLS with clients that failed, and those that were one too many.
    pub(crate) unsuccessful_handshake: Counter,
    pub(crate) tls_handshake_exceeded: Counter,
    /// Times that this server has looked for a leader.
    pub(crate) looking_count: Counter,
    pub(crate) proposal_count: Counter,
    pub(crate) commit_count: Counter,
    pub(crate) learner_proposal_received_count: Counter,
    pub(crate) learner_commit_received_count: Counter,
    pub(crate) revalidate_count: Counter,
    /// Learners that got transactions, and a snapshot.
    pub(crate) diff_count: Counter,
    pub(crate) snap_count: Counter,
    /// Snapshots that operators asked for and did not get.
    pub(crate) snapshot_error_count: Counter,
    pub(crate) snapshot_rate_limited_count: Counter,
    /// Restores that operators asked for: those that failed, those that came too early.
    pub(crate) restore_error_count: Counter,
    pub(crate) restore_rate_limited_count: Counter,
    pub(crate) restore_time: Summary,
    pub(crate) fsynctime: Summary,
    pub(crate) sync_processor_batch_size: Summary,
    pub(crate) snapshottime: Summary,
    pub(crate) dbinittime: Summary,
    pub(crate) startup_snap_load_time: Summary,
    pub(crate) startup_txns_load_time: Summary,
    pub(crate) startup_txns_loaded: Summary,
    pub(crate) election_time: Summary,
    pub(crate) unavailable_time: Summary,
    pub(crate) leader_unavailable_time: Summary,
    pub(crate) follower_sync_time: Summary,
    pub(crate) observer_sync_time: Summary,
    pub(crate) node_created_watch_count: Summary,
    pub(crate) node_deleted_watch_count: Summary,
    pub(crate) node_changed_watch_count: Summary,
    pub(crate) node_children_watch_count: Summary,
    pub(crate) readlatency: Distribution,
    pub(crate) updatelatency: Distribution,
    pub(crate) quorum_ack_latency: Distribution,
    /// How long members took to acknowledge, by their numbers.
    pub(crate) ack_latency: Keyed<Distribution>,
    /// Bytes that were written and read, by the first component of paths.
    pub(crate) write_per_namespace: Keyed<Summary>,
    pub(crate) read_per_namespace: Keyed<Summary>,
    pub(crate) quota_exceeded_error_per_namespace: Keyed<Counter>,
}

impl Metrics {
    pub(crate) const fn counters(&self) -> [(&'static str, &Counter); 19] {
        [
            ("bytes_received_count", &self.bytes_received_count),
            ("response_bytes", &self.response_bytes),
            ("connection_request_count", &self.connection_request_count),
            (
                "connection_revalidate_count",
                &self.connection_revalidate_count,
            ),
            (
                "sessionless_connections_expired",
                &self.sessionless_connections_expired,
            ),
            ("unsuccessful_handshake", &self.unsuccessful_handshake),
            ("tls_handshake_exceeded", &self.tls_handshake_exceeded),
            ("looking_count", &self.looking_count),
            ("proposal_count", &self.proposal_count),
            ("commit_count", &self.commit_count),
            (
                "learner_proposal_received_count",
                &self.learner_proposal_received_count,
            ),
            (
                "learner_commit_received_count",
                &self.learner_commit_received_count,
            ),
            ("revalidate_count", &self.revalidate_count),
            ("diff_count", &self.diff_count),
            ("snap_count", &self.snap_count),
            ("snapshot_error_count", &self.snapshot_error_count),
            (
                "snapshot_rate_limited_count",
                &self.snapshot_rate_limited_count,
            ),
            ("restore_error_count", &self.restore_error_count),
            (
                "restore_rate_limited_count",
                &self.restore_rate_limited_count,
            ),
        ]
    }

    pub(crate) const fn summaries(&self) -> [(&'static str, &Summary); 17] {
        [
            ("fsynctime", &self.fsynctime),
            ("sync_processor_batch_size", &self.sync_processor_batch_size),
            ("snapshottime", &self.snapshottime),
            ("restore_time", &self.restore_time),
            ("dbinittime", &self.dbinittime),
            ("startup_snap_load_time", &self.startup_snap_load_time),
            ("startup_txns_load_time", &self.startup_txns_load_time),
            ("startup_txns_loaded", &self.startup_txns_loaded),
            ("election_time", &self.election_time),
            ("unavailable_time", &self.unavailable_time),
            ("leader_unavailable_time", &self.leader_unavailable_time),
            ("follower_sync_time", &self.follower_sync_time),
            ("observer_sync_time", &self.observer_sync_time),
            ("node_created_watch_count", &self.node_created_watch_count),
            ("node_deleted_watch_count", &self.node_deleted_watch_count),
            ("node_changed_watch_count", &self.node_changed_watch_count),
            ("node_children_watch_count", &self.node_children_watch_count),
        ]
    }

    pub(crate) const fn distributions(&self) -> [(&'static str, &Distribution); 3] {
        [
            ("readlatency", &self.readlatency),
            ("updatelatency", &self.updatelatency),
            ("quorum_ack_latency", &self.quorum_ack_latency),
        ]
    }

    pub(crate) const fn keyed_summaries(&self) -> [(&'static str, &Keyed<Summary>); 2] {
        [
            ("write_per_namespace", &self.write_per_namespace),
            ("read_per_namespace", &self.read_per_namespace),
        ]
    }

    pub(crate) const fn keyed_distributions(&self) -> [(&'static str, &Keyed<Distribution>); 1] {
        [("ack_latency", &self.ack_latency)]
    }

    pub(crate) const fn keyed_counters(&self) -> [(&'static str, &Keyed<Counter>); 1] {
        [(
            "quota_exceeded_error_per_namespace",
            &self.quota_exceeded_error_per_namespace,
        )]
    }
}

/// Counters that `srst` resets, and some that stay.
#[derive(Debug, Default)]
pub(crate) struct ServerStats {
    pub(crate) proposal_sizes: Sizes,
    pub(crate) response_sizes: Sizes,
    pub(crate) metrics: Metrics,
    /// When this server last began to look for a leader, on the monotonic clock.
    pub(crate) lost_at_ms: AtomicI64,
    /// Reads that were served at once, which takes no time that can be measured in ms.
    pub(crate) instant_reads: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
    /// Requests read whose replies are not made yet.
    pub(crate) in_process: AtomicI64,
    pub(crate) fsync_threshold_exceeded: AtomicU64,
    pub(crate) auth_failed: AtomicU64,
    pub(crate) digest_mismatches: AtomicU64,
    pub(crate) connections_rejected: AtomicU64,
    pub(crate) large_requests_rejected: AtomicU64,
    pub(crate) throttled: AtomicU64,
    pub(crate) watches_refused: AtomicU64,
    /// Times that a client was left unread since it, or its address, had asked for enough.
    pub(crate) limited: AtomicU64,
    pub(crate) late: LateRequests,
    pub(crate) stale_sessions_expired: AtomicU64,
    /// Connections without TLS to a server that has it, from this machine and from others.
    pub(crate) plain_local: AtomicU64,
    pub(crate) plain_remote: AtomicU64,
}

impl ServerStats {
    /// Notes a connection without TLS. Source: `NettyServerCnxnFactory.channelActive`.
    pub(crate) fn note_plain(&self, from: IpAddr) {
        let count = if from.is_loopback() {
            &self.plain_local
        } else {
            &self.plain_remote
        };
        count.fetch_add(1, Relaxed);
    }

    /// Notes a request that took so long.
    pub(crate) fn add_latency(&self, ms: u64, is_read: bool) {
        let metrics = &self.metrics;
        let kind = if is_read {
            &metrics.readlatency
        } else {
            &metrics.updatelatency
        };
        kind.add(ms, 1);
    }

    /// How long requests took. Source: `ServerStats.updateLatency`.
    pub(crate) fn latency(&self) -> Totals {
        self.count_instant_reads();
        let mut all = self.metrics.readlatency.read().0;
        all.merge(self.metrics.updatelatency.read().0);
        all
    }

    /// Puts the reads that were only counted among those that were measured.
    pub(crate) fn count_instant_reads(&self) {
        let count = self.instant_reads.swap(0, Relaxed);
        self.metrics.readlatency.add(0, count);
    }

    /// Notes the size of a response, bytes.
    pub(crate) fn add_response(&self, bytes: usize) {
        self.response_sizes.add(bytes);
        self.metrics.response_bytes.add(bytes);
    }

    /// `srst`. Source: `ServerStats.reset`, `StatResetCommand`.
    pub(crate) fn reset(&self) {
        self.count_instant_reads();
        for counter in [&self.received, &self.sent, &self.fsync_threshold_exceeded] {
            counter.store(0, Relaxed);
        }
        self.proposal_sizes.reset();
        self.response_sizes.reset();
        let metrics = &self.metrics;
        metrics.counters().iter().for_each(|(_, c)| c.reset());
        metrics.summaries().iter().for_each(|(_, s)| s.reset());
        metrics.distributions().iter().for_each(|(_, d)| d.reset());
        for (_, of) in metrics.keyed_summaries().iter().flat_map(|(_, k)| k.all()) {
            of.reset();
        }
        for (_, of) in metrics
            .keyed_distributions()
            .iter()
            .flat_map(|(_, k)| k.all())
        {
            of.reset();
        }
        for (_, of) in metrics.keyed_counters().iter().flat_map(|(_, k)| k.all()) {
            of.reset();
        }
    }
}
