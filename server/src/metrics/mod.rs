//! Owns values that are told in several numbers each: least, most, average, percentiles since the
//! last reset for `mntr`, and what is scraped, which knows no reset. Must not know what is measured.
//! Source: `AvgMinMaxCounter`, `AvgMinMaxPercentileCounter`, `SimpleCounter`,
//! `PrometheusMetricsProvider`.

mod buckets;
#[cfg(test)]
mod cost;
mod keyed;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use buckets::{Buckets, Recent};
pub(crate) use keyed::{Keyed, Notes, java_len, namespace};

/// Numbers that only grow.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    total: AtomicU64,
    /// What the total was when `srst` last came.
    before: AtomicU64,
}

impl Counter {
    pub(crate) fn add(&self, count: usize) {
        self.total.fetch_add(count as u64, Relaxed);
    }

    /// Since the last reset.
    pub(crate) fn get(&self) -> u64 {
        self.total().saturating_sub(self.before.load(Relaxed))
    }

    /// Since the start: what is scraped must never go back.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }

    pub(crate) fn reset(&self) {
        self.before.store(self.total(), Relaxed);
    }
}

/// What has been measured so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Totals {
    pub(crate) count: u64,
    pub(crate) sum: u64,
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl Totals {
    pub(crate) fn add(&mut self, value: u64, times: u64) {
        self.min = if self.count == 0 {
            value
        } else {
            self.min.min(value)
        };
        self.max = self.max.max(value);
        self.count += times;
        self.sum = self.sum.saturating_add(value.saturating_mul(times));
    }

    /// Adds what has been measured elsewhere.
    pub(crate) fn merge(&mut self, other: Self) {
        if self.count == 0 {
            *self = other;
        } else if other.count > 0 {
            self.min = self.min.min(other.min);
            self.max = self.max.max(other.max);
            self.count += other.count;
            self.sum = self.sum.saturating_add(other.sum);
        }
    }

    /// To four digits, as ZooKeeper rounds.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn average(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        (self.sum as f64 / self.count as f64 * 10_000.0).round() / 10_000.0
    }
}

/// Whole milliseconds.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is scraped of measurements: all since the start, and quantiles of the last minutes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scraped {
    pub(crate) count: u64,
    pub(crate) sum: u64,
    /// A quantile and its value; none without measurements in that time.
    pub(crate) quantiles: Vec<(f64, Option<u64>)>,
}

#[derive(Debug, Default)]
struct Measured {
    /// Since the last reset.
    totals: Totals,
    /// Count and sum before that.
    before: (u64, u64),
    recent: Recent,
}

impl Measured {
    fn add(&mut self, value: u64, times: u64) {
        self.totals.add(value, times);
        self.recent.add(value, times);
    }

    fn reset(&mut self) {
        let totals = std::mem::take(&mut self.totals);
        self.before.0 += totals.count;
        self.before.1 = self.before.1.saturating_add(totals.sum);
    }

    fn scrape(&mut self, quantiles: &[f64]) -> Scraped {
        let now = Instant::now();
        let values = quantiles.iter().map(|q| (*q, self.recent.at(*q, now)));
        Scraped {
            quantiles: values.collect(),
            count: self.before.0 + self.totals.count,
            sum: self.before.1.saturating_add(self.totals.sum),
        }
    }
}

/// Measurements.
#[derive(Debug, Default)]
pub(crate) struct Summary(Mutex<Measured>);

impl Summary {
    pub(crate) fn add(&self, value: u64) {
        lock(&self.0).add(value, 1);
    }

    /// Adds values, each so many times.
    pub(crate) fn add_all(&self, values: &[(u64, u64)]) {
        if !values.is_empty() {
            let mut measured = lock(&self.0);
            values
                .iter()
                .for_each(|(v, times)| measured.add(*v, *times));
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        lock(&self.0).totals
    }

    /// Source: `PrometheusMetricsProvider`, detail level BASIC.
    pub(crate) fn scrape(&self) -> Scraped {
        lock(&self.0).scrape(&[0.5])
    }

    pub(crate) fn reset(&self) {
        lock(&self.0).reset();
    }
}

#[derive(Debug, Default)]
struct Spread {
    measured: Measured,
    /// Since the last reset.
    buckets: Buckets,
}

/// Measurements of which percentiles are told.
#[derive(Debug, Default)]
pub(crate) struct Distribution(Mutex<Spread>);

/// The percentiles that `mntr` tells, and the part of the measurements that is not above.
pub(crate) const PERCENTILES: [(&str, f64); 4] =
    [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)];

impl Distribution {
    pub(crate) fn add(&self, value: u64, times: u64) {
        if times == 0 {
            return;
        }
        let mut spread = lock(&self.0);
        spread.measured.add(value, times);
        spread.buckets.add(value, times);
    }

    /// What has been measured, and the values of [`PERCENTILES`].
    pub(crate) fn read(&self) -> (Totals, [u64; 4]) {
        let spread = lock(&self.0);
        let totals = spread.measured.totals;
        let at = PERCENTILES.map(|(_, part)| {
            let value = Buckets::quantile(&[&spread.buckets], part);
            value.map_or(0, |value| value.clamp(totals.min, totals.max))
        });
        (totals, at)
    }

    /// Source: `PrometheusMetricsProvider`, detail level ADVANCED.
    pub(crate) fn scrape(&self) -> Scraped {
        lock(&self.0).measured.scrape(&[0.5, 0.9, 0.99])
    }

    pub(crate) fn reset(&self) {
        let mut spread = lock(&self.0);
        spread.measured.reset();
        spread.buckets = Buckets::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_rounded_as_zookeeper_rounds_them() {
        let summary = Summary::default();
        assert_eq!(summary.totals(), Totals::default());
        for value in [5, 1, 1] {
            summary.add(value);
        }
        let totals = summary.totals();
        assert_eq!((totals.count, totals.sum), (3, 7));
        assert_eq!((totals.min, totals.max), (1, 5));
        assert!((totals.average() - 2.3333).abs() < 1e-9);
        summary.reset();
        assert_eq!(summary.totals().count, 0);
    }

    #[test]
    fn percentiles_are_those_of_the_values() {
        let latency = Distribution::default();
        assert_eq!(latency.read().1, [0; 4]);
        latency.add(0, 940);
        latency.add(12, 50);
        latency.add(1000, 10);
        let (totals, at) = latency.read();
        assert_eq!((totals.count, totals.sum), (1000, 10_600));
        assert_eq!(at[..3], [0, 12, 12]);
        assert!((896..=1000).contains(&at[3]), "{at:?}");
        latency.reset();
        latency.add(9000, 1);
        assert_eq!(latency.read().1, [9000; 4]);
    }

    #[test]
    fn what_is_scraped_never_goes_back() {
        let counter = Counter::default();
        counter.add(3);
        counter.reset();
        counter.add(2);
        assert_eq!((counter.get(), counter.total()), (2, 5));
        let latency = Distribution::default();
        assert_eq!(latency.scrape().quantiles[0], (0.5, None));
        latency.add(7, 10);
        latency.reset();
        latency.add(9, 1);
        let scraped = latency.scrape();
        assert_eq!((scraped.count, scraped.sum), (11, 79));
        let values = scraped.quantiles;
        assert_eq!(values, [(0.5, Some(7)), (0.9, Some(7)), (0.99, Some(9))]);
    }
}
