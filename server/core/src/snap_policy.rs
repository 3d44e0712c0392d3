//! Owns when a snapshot is due. Must not take it. Source: `SyncRequestProcessor.shouldSnapshot`.

use crate::random::Random;

/// Settings.
#[derive(Debug, Clone, Copy)]
pub struct SnapPolicyConfig {
    /// `snapCount`: at the latest after so many transactions.
    pub count: u64,
    /// `snapSizeLimitInKb` in bytes: at the latest after so much log; 0 is off.
    pub bytes: u64,
}

impl Default for SnapPolicyConfig {
    fn default() -> Self {
        Self {
            count: 100_000,
            bytes: 4_294_967_296,
        }
    }
}

/// Counts towards the next snapshot. The thresholds vary between half and whole, so that the
/// members of an ensemble do not all take theirs at once.
#[derive(Debug)]
pub(crate) struct SnapPolicy {
    config: SnapPolicyConfig,
    random: Random,
    count: u64,
    bytes: u64,
    at_count: u64,
    at_bytes: u64,
    running: bool,
}

impl SnapPolicy {
    pub(crate) const fn new(config: SnapPolicyConfig, seed: u64) -> Self {
        let mut policy = Self {
            config,
            random: Random::new(seed),
            count: 0,
            bytes: 0,
            at_count: 0,
            at_bytes: 0,
            running: false,
        };
        policy.draw();
        policy
    }

    const fn draw(&mut self) {
        let half = if self.config.count / 2 == 0 {
            1
        } else {
            self.config.count / 2
        };
        self.at_count = half + self.random.next() % half;
        let half = if self.config.bytes / 2 == 0 {
            1
        } else {
            self.config.bytes / 2
        };
        self.at_bytes = half + self.random.next() % half;
    }

    /// A transaction of that size was logged; true when a snapshot is due. While one is being
    /// taken, another that falls due is skipped, as in ZooKeeper.
    pub(crate) const fn logged(&mut self, bytes: usize) -> bool {
        self.count += 1;
        self.bytes += bytes as u64;
        let due =
            self.count > self.at_count || (self.config.bytes > 0 && self.bytes > self.at_bytes);
        if !due {
            return false;
        }
        (self.count, self.bytes) = (0, 0);
        self.draw();
        if self.running {
            return false;
        }
        self.running = true;
        true
    }

    pub(crate) const fn started(&mut self) {
        self.running = true;
    }

    pub(crate) const fn done(&mut self) {
        self.running = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_falls_due_between_half_and_whole_of_the_count() {
        let mut policy = SnapPolicy::new(
            SnapPolicyConfig {
                count: 100,
                bytes: 0,
            },
            7,
        );
        for _ in 0..20 {
            let after = (1..=101).find(|_| policy.logged(10)).unwrap();
            assert!((50..=101).contains(&after), "{after}");
            assert!(!(0..200).any(|_| policy.logged(10)), "one at a time");
            policy.done();
            policy.count = 0;
        }
    }
}
