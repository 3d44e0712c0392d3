//! Owns an open loop's schedule: when each request is due, whatever became of those before it, and
//! the timer that wakes the event loop for them. Must not send anything.
//!
//! Latencies count from the time at which a request was due, so that a server that stalls is charged
//! for every request that would have come meanwhile.

use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Result, ensure};

/// How often the timer looks for requests that are due; by so much they may leave late.
const TICK: Duration = Duration::from_micros(100);
/// Requests due and not answered, above which the server is taken to be overwhelmed.
pub(crate) const BEHIND_MAX: u64 = 2_000_000;

/// One event loop's part of the schedule.
pub(crate) struct Pace {
    interval_ns: f64,
    first_ns: f64,
    given: u64,
    timer: OwnedFd,
}

impl Pace {
    /// The part of event loop `number` out of `loops`, which take turns.
    pub(crate) fn new(per_second: f64, number: usize, loops: usize) -> Result<Self> {
        ensure!(per_second.is_finite() && per_second > 0.0, "a rate above 0");
        let between_ns = 1e9 / per_second;
        #[allow(clippy::cast_precision_loss)]
        let (number, loops) = (number as f64, loops as f64);
        Ok(Self {
            interval_ns: between_ns * loops,
            first_ns: between_ns * number,
            given: 0,
            timer: timer(TICK)?,
        })
    }

    /// The timer, to be registered.
    pub(crate) const fn timer(&self) -> &OwnedFd {
        &self.timer
    }

    /// The timer has fired.
    pub(crate) fn rearm(&self) {
        let _times_fired = rustix::io::read(&self.timer, &mut [0; 8]);
    }

    /// When the next request is due, if that is not after `now`; both ns from the start of the run.
    pub(crate) fn due(&mut self, now: u64) -> Option<u64> {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let due = self.interval_ns.mul_add(self.given as f64, self.first_ns) as u64;
        (due <= now).then(|| {
            self.given += 1;
            due
        })
    }

    /// Requests given so far.
    pub(crate) const fn given(&self) -> u64 {
        self.given
    }
}

#[cfg(target_os = "linux")]
fn timer(period: Duration) -> Result<OwnedFd> {
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
    let period = Timespec::try_from(period)?;
    let times = Itimerspec {
        it_interval: period,
        it_value: period,
    };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times)?;
    Ok(timer)
}

#[cfg(not(target_os = "linux"))]
fn timer(_: Duration) -> Result<OwnedFd> {
    anyhow::bail!("a fixed rate needs Linux's timers")
}

/// Reads `30000` or `30000/s`.
pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).trim();
    match number.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err(format!("not a rate: {text}; for example 30000/s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_equal_intervals_whatever_became_of_those_before() {
        let mut pace = Pace::new(1000.0, 0, 1).unwrap();
        assert_eq!(pace.due(0), Some(0));
        assert_eq!(pace.due(999_999), None);
        // After a pause of three intervals three are due, each at its own time.
        let late: Vec<u64> = std::iter::from_fn(|| pace.due(3_000_000)).collect();
        assert_eq!(late, [1_000_000, 2_000_000, 3_000_000]);
        assert_eq!(pace.given(), 4);
    }

    #[test]
    fn event_loops_take_turns() {
        let mut paces: Vec<_> = (0..2).map(|n| Pace::new(1000.0, n, 2).unwrap()).collect();
        let mut due: Vec<u64> = Vec::new();
        for pace in &mut paces {
            due.extend(std::iter::from_fn(|| pace.due(3_000_000)));
        }
        due.sort_unstable();
        assert_eq!(due, [0, 1_000_000, 2_000_000, 3_000_000]);
    }

    #[test]
    fn rates_are_positive_numbers() {
        assert_eq!(parse_rate("30000/s"), Ok(30_000.0));
        assert_eq!(parse_rate("0.5"), Ok(0.5));
        assert!(parse_rate("0").is_err());
        assert!(parse_rate("-3/s").is_err());
        assert!(parse_rate("fast").is_err());
    }
}
