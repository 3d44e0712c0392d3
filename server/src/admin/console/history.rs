//! Owns the figures of the last minutes, for plots: one sample every two seconds. Must not look at
//! the tree's content.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::shared::Shared;

/// Time between samples.
const STEP: Duration = Duration::from_secs(2);
/// Samples that are kept: ten minutes.
const KEPT: usize = 300;

/// Sums that only grow, but for resets.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    received: u64,
    reads: (u64, u64),
    writes: (u64, u64),
    syncs: (u64, u64),
    zxid: i64,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    number: u64,
    wall_ms: i64,
    requests_per_s: f64,
    changes_per_s: f64,
    read_ms: f64,
    write_ms: f64,
    fsync_ms: f64,
    outstanding: i64,
    connections: usize,
}

#[derive(Debug, Default)]
struct Kept {
    samples: VecDeque<Sample>,
    next: u64,
}

/// The last minutes.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<Kept>);

fn sums(shared: &Shared) -> Sums {
    let stats = &shared.stats;
    stats.count_instant_reads();
    let of = |totals: crate::metrics::Totals| (totals.count, totals.sum);
    Sums {
        received: stats.received.load(Relaxed),
        reads: of(stats.metrics.readlatency.read().0),
        writes: of(stats.metrics.updatelatency.read().0),
        syncs: of(stats.metrics.fsynctime.totals()),
        zxid: shared.read_tree().last_zxid(),
    }
}

/// What was added since; everything when the sums were reset in between.
#[allow(clippy::cast_precision_loss)]
fn average(before: (u64, u64), now: (u64, u64)) -> f64 {
    let added = |before: u64, now: u64| if now >= before { now - before } else { now };
    let (count, sum) = (added(before.0, now.0), added(before.1, now.1));
    if count == 0 {
        0.0
    } else {
        sum as f64 / count as f64
    }
}

#[allow(clippy::cast_precision_loss)]
fn rate(before: u64, now: u64, seconds: f64) -> f64 {
    let added = if now >= before { now - before } else { now };
    if seconds > 0.0 {
        added as f64 / seconds
    } else {
        0.0
    }
}

impl History {
    fn add(&self, shared: &Shared, before: Sums, now: Sums, seconds: f64) {
        // Another epoch begins its numbers anew.
        let same_epoch = now.zxid >> 32 == before.zxid >> 32;
        let changes = if same_epoch {
            now.zxid - before.zxid
        } else {
            now.zxid & 0xffff_ffff
        };
        let changes = u64::try_from(changes).unwrap_or(0);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = kept.next;
        kept.next += 1;
        if kept.samples.len() == KEPT {
            kept.samples.pop_front();
        }
        kept.samples.push_back(Sample {
            number,
            wall_ms: shared.clock.now().wall_ms,
            requests_per_s: rate(before.received, now.received, seconds),
            changes_per_s: rate(0, changes, seconds),
            read_ms: average(before.reads, now.reads),
            write_ms: average(before.writes, now.writes),
            fsync_ms: average(before.syncs, now.syncs),
            outstanding: shared.stats.in_process.load(Relaxed).max(0),
            connections: shared.conns.len(),
        });
    }

    /// Samples from number `from` on.
    pub(super) fn since(&self, from: u64) -> Value {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let round = |value: f64| (value * 100.0).round() / 100.0;
        let wanted = kept.samples.iter().filter(|sample| sample.number >= from);
        let shown = wanted.map(|sample| {
            json!({
                "n": sample.number, "t": sample.wall_ms,
                "requests": round(sample.requests_per_s), "changes": round(sample.changes_per_s),
                "read": round(sample.read_ms), "write": round(sample.write_ms),
                "fsync": round(sample.fsync_ms), "outstanding": sample.outstanding,
                "connections": sample.connections,
            })
        });
        shown.collect()
    }
}

/// Takes samples until the server stops.
pub(super) async fn run(
    shared: Arc<Shared>,
    history: Arc<History>,
    mut stop: watch::Receiver<bool>,
) {
    let mut ticks = tokio::time::interval(STEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut before = sums(&shared);
    let mut at = Instant::now();
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        let now = sums(&shared);
        let seconds = at.elapsed().as_secs_f64();
        if seconds < 0.5 {
            continue;
        }
        history.add(&shared, before, now, seconds);
        (before, at) = (now, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_of_what_was_added_also_after_a_reset() {
        let is = |value: f64, expected: f64| assert!((value - expected).abs() < 1e-9, "{value}");
        is(average((10, 100), (12, 130)), 15.0);
        is(average((10, 100), (10, 100)), 0.0);
        is(average((10, 100), (2, 8)), 4.0);
        is(rate(100, 160, 2.0), 30.0);
        is(rate(100, 10, 2.0), 5.0);
    }
}
