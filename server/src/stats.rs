//! Owns the server's counters. Must not format them. Source: `ServerStats`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Latencies of requests, ms. Source: `AvgMinMaxCounter`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) total_ms: u64,
    pub(crate) min_ms: u64,
    pub(crate) max_ms: u64,
}

impl Latency {
    pub(crate) fn add(&mut self, ms: u64, times: u64) {
        self.min_ms = if self.count == 0 {
            ms
        } else {
            self.min_ms.min(ms)
        };
        self.max_ms = self.max_ms.max(ms);
        self.count += times;
        self.total_ms += ms * times;
    }

    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn average(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        // ZooKeeper rounds to four digits.
        (self.total_ms as f64 / self.count as f64 * 10_000.0).round() / 10_000.0
    }
}

/// Sizes of proposals in bytes; -1 before the first. Source: `BufferStats`.
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
}

/// Counters that `srst` resets, and some that stay.
#[derive(Debug, Default)]
pub(crate) struct ServerStats {
    pub(crate) proposal_sizes: Sizes,
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) latency: Mutex<Latency>,
    /// Requests read whose replies are not made yet.
    pub(crate) in_process: AtomicI64,
    pub(crate) last_response_size: AtomicI64,
    pub(crate) min_response_size: AtomicI64,
    pub(crate) max_response_size: AtomicI64,
    pub(crate) fsync_threshold_exceeded: AtomicU64,
    pub(crate) auth_failed: AtomicU64,
    pub(crate) digest_mismatches: AtomicU64,
    pub(crate) connections_rejected: AtomicU64,
    pub(crate) snapshots: AtomicU64,
    pub(crate) large_requests_rejected: AtomicU64,
    pub(crate) throttled: AtomicU64,
    pub(crate) stale_sessions_expired: AtomicU64,
}

impl ServerStats {
    /// Notes requests that took so long.
    pub(crate) fn add_latency(&self, ms: u64, times: u64) {
        if times > 0 {
            let mut latency = self.latency.lock().unwrap_or_else(|e| e.into_inner());
            latency.add(ms, times);
        }
    }

    pub(crate) fn latency(&self) -> Latency {
        *self.latency.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Notes the size of a response, bytes.
    pub(crate) fn add_response(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.last_response_size.store(bytes, Relaxed);
        self.max_response_size.fetch_max(bytes, Relaxed);
        let min = self.min_response_size.load(Relaxed);
        if min == 0 || bytes < min {
            self.min_response_size.store(bytes, Relaxed);
        }
    }

    /// `srst`. Source: `ServerStats.reset`.
    pub(crate) fn reset(&self) {
        *self.latency.lock().unwrap_or_else(|e| e.into_inner()) = Latency::default();
        for counter in [&self.received, &self.sent, &self.fsync_threshold_exceeded] {
            counter.store(0, Relaxed);
        }
        for size in [
            &self.last_response_size,
            &self.min_response_size,
            &self.max_response_size,
        ] {
            size.store(0, Relaxed);
        }
    }
}
