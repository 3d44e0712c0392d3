//! Owns how often values of about the same size were seen, and what follows for their quantiles.
//! Must not know what is measured.

use std::time::{Duration, Instant};

/// Buckets of a power of two: a quantile is wrong by an eighth at most.
const PARTS: usize = 8;
/// Values below have a bucket each.
const EXACT: u64 = 16;
/// Buckets up to the largest value there is.
const BUCKETS: usize = 16 + (64 - 4) * PARTS;
/// What is recent is at least that old when it is forgotten, and not twice as old.
const WINDOW: Duration = Duration::from_secs(300);

/// How often each was seen. Memory is taken with the first value.
#[derive(Debug, Default)]
pub(super) struct Buckets(Option<Box<[u64; BUCKETS]>>);

impl Buckets {
    pub(super) fn add(&mut self, value: u64, times: u64) {
        let buckets = self.0.get_or_insert_with(|| Box::new([0; BUCKETS]));
        if let Some(count) = buckets.get_mut(index(value)) {
            *count += times;
        }
    }

    /// The value that this part of all, from 0 to 1, does not exceed; none if there is nothing.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation
    )]
    pub(super) fn quantile(all: &[&Self], part: f64) -> Option<u64> {
        let filled = || all.iter().filter_map(|buckets| buckets.0.as_deref());
        let count: u64 = filled().flatten().sum();
        // Thousandths are exact enough, and do not round up what is exact.
        let thousandths = (part * 1000.0).round() as u64;
        let rank = (u128::from(count) * u128::from(thousandths)).div_ceil(1000);
        let mut seen = 0;
        let found = (0..BUCKETS).find(|bucket| {
            let here = filled().filter_map(|buckets| buckets.get(*bucket));
            seen += here.map(|count| u128::from(*count)).sum::<u128>();
            seen >= rank
        });
        found.filter(|_| count > 0).map(lowest)
    }
}

/// Values of the last minutes.
#[derive(Debug, Default)]
pub(super) struct Recent {
    current: Buckets,
    before: Buckets,
    since: Option<Instant>,
}

impl Recent {
    pub(super) fn add(&mut self, value: u64, times: u64) {
        self.current.add(value, times);
    }

    /// The quantile now. Whoever asks moves the window on: measuring should not look at a clock.
    pub(super) fn at(&mut self, part: f64, now: Instant) -> Option<u64> {
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= WINDOW {
            self.before = std::mem::take(&mut self.current);
            self.since = Some(now);
        }
        Buckets::quantile(&[&self.current, &self.before], part)
    }
}

fn index(value: u64) -> usize {
    if value < EXACT {
        return usize::try_from(value).unwrap_or_default();
    }
    let power = value.ilog2();
    let part = (value >> (power - 3)) & 7;
    16 + (power as usize - 4) * PARTS + usize::try_from(part).unwrap_or_default()
}

/// The lowest value of a bucket.
const fn lowest(bucket: usize) -> u64 {
    if bucket < 16 {
        return bucket as u64;
    }
    let (power, part) = ((bucket - 16) / PARTS + 4, (bucket - 16) % PARTS);
    (8 + part as u64) << (power - 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_the_bucket_that_begins_at_or_below_it() {
        let values = (0..200).chain((7..64).flat_map(|power| {
            let value = 1_u64 << power;
            [value - 1, value, value + value / 3]
        }));
        for value in values.chain([u64::MAX]) {
            let low = lowest(index(value));
            assert!(low <= value && value - low <= value / 8, "{value}: {low}");
            assert!(index(value) < BUCKETS);
        }
    }

    #[test]
    fn a_quantile_is_of_the_last_minutes() {
        let begin = Instant::now();
        let mut recent = Recent::default();
        assert_eq!(recent.at(0.5, begin), None);
        recent.add(100, 1);
        recent.add(3, 2);
        assert_eq!(recent.at(0.5, begin + WINDOW), Some(3));
        assert_eq!(recent.at(0.99, begin + WINDOW), Some(96));
        recent.add(8, 1);
        assert_eq!(recent.at(0.5, begin + WINDOW * 2), Some(8));
        assert_eq!(recent.at(0.5, begin + WINDOW * 3), None);
    }
}
