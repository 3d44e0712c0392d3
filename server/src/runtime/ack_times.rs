//! Owns how long each voter takes to acknowledge a leader's proposals, for one of every so many
//! (`leader.ackLoggingFrequency`). Must not decide anything. Source: `Leader.processAck`.
//!
//! Apache's leader looks no further once a quorum has acknowledged, so that who is slower than the
//! quorum is not seen. Here all are.

use std::collections::VecDeque;

use menagerie_core::ids::{Sid, Zxid};

use crate::metrics::{Distribution, Keyed};

/// Proposals that acknowledgements are waited for; older ones are forgotten.
const SAMPLES_MAX: usize = 1024;

/// A proposal that is measured.
#[derive(Debug)]
struct Sample {
    zxid: Zxid,
    since_ms: i64,
    /// Whether the leader's own disk has it.
    own: bool,
}

/// The proposals that are measured.
#[derive(Debug)]
pub(crate) struct AckTimes {
    /// Below 1 none is.
    every: i64,
    samples: VecDeque<Sample>,
}

impl AckTimes {
    pub(crate) const fn new(every: i64) -> Self {
        Self {
            every,
            samples: VecDeque::new(),
        }
    }

    /// Somebody else leads now.
    pub(crate) fn clear(&mut self) {
        self.samples.clear();
    }

    pub(crate) fn proposed(&mut self, zxid: Zxid, now_ms: i64) {
        if self.every <= 0 || zxid.0 % self.every != 0 {
            return;
        }
        if self.samples.len() >= SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample {
            zxid,
            since_ms: now_ms,
            own: false,
        });
    }

    /// A follower has this one.
    pub(crate) fn acked(&self, zxid: Zxid, by: Sid, now_ms: i64, latencies: &Keyed<Distribution>) {
        let found = self.samples.binary_search_by_key(&zxid, |s| s.zxid);
        if let Some(sample) = found.ok().and_then(|at| self.samples.get(at)) {
            add(latencies, by, now_ms - sample.since_ms);
        }
    }

    /// The leader's own disk has all up to this one.
    pub(crate) fn durable(
        &mut self,
        upto: Zxid,
        me: Sid,
        now_ms: i64,
        latencies: &Keyed<Distribution>,
    ) {
        for sample in self.samples.iter_mut().rev() {
            if sample.own {
                break;
            }
            if sample.zxid <= upto {
                sample.own = true;
                add(latencies, me, now_ms - sample.since_ms);
            }
        }
    }
}

fn add(latencies: &Keyed<Distribution>, by: Sid, took_ms: i64) {
    let took_ms = u64::try_from(took_ms).unwrap_or(0);
    latencies.of(&by.0.to_string()).add(took_ms, 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_so_many_proposals_is_measured_for_everybody_who_has_it() {
        let (mut times, latencies) = (AckTimes::new(10), Keyed::default());
        for zxid in 1..=25 {
            times.proposed(Zxid(zxid), zxid * 100);
        }
        times.durable(Zxid(15), Sid(1), 1005, &latencies);
        times.durable(Zxid(25), Sid(1), 2007, &latencies);
        times.durable(Zxid(25), Sid(1), 9000, &latencies);
        times.acked(Zxid(9), Sid(2), 1009, &latencies);
        times.acked(Zxid(10), Sid(2), 1009, &latencies);
        let read = |sid: &str| latencies.of(sid).read().0;
        assert_eq!((read("1").count, read("1").sum), (2, 12));
        assert_eq!((read("2").count, read("2").max), (1, 9));
        times.clear();
        times.acked(Zxid(20), Sid(2), 5000, &latencies);
        assert_eq!(read("2").count, 1);
    }

    #[test]
    fn nothing_is_measured_when_turned_off() {
        let mut times = AckTimes::new(0);
        times.proposed(Zxid(0), 0);
        assert!(times.samples.is_empty());
        let mut times = AckTimes::new(1);
        (0..5000).for_each(|zxid| times.proposed(Zxid(zxid), 0));
        assert_eq!(times.samples.len(), SAMPLES_MAX);
    }
}
