//! Owns how much a session and an address may ask for: rates of requests and bytes, and watches. Must
//! not read sockets: it says how long they are to be left alone.
//!
//! A rate is kept by the time until which what was taken is paid for (the generic cell rate
//! algorithm): every request moves it on, and as long as it is no more than [`BURST_NS`] ahead of the
//! clock, the next one may be read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use menagerie_core::ids::ConnId;
use menagerie_wire::client::PathRequest;
use menagerie_wire::jute::decode_prefix;
use menagerie_wire::op::op_code;

use crate::config::{Allowance, Allowances};
use crate::runtime::watches::ShardedWatches;

const SECOND_NS: i64 = 1_000_000_000;
/// What may be taken at once, as the time that it takes to be paid for.
const BURST_NS: i64 = SECOND_NS;
/// Nobody is left alone for longer than that, however much was taken: clients wait for answers to their
/// pings. Many sessions of one address together can get more than its rate by this.
const DEBT_MAX_NS: i64 = 2 * SECOND_NS;

/// Until when what was taken is paid for, ns on the server's monotonic clock.
#[derive(Debug, Default)]
struct Paid(AtomicI64);

impl Paid {
    fn take(&self, amount: usize, per_second: u32, now_ns: i64) {
        if per_second == 0 {
            return;
        }
        let amount = i64::try_from(amount).unwrap_or(i64::MAX);
        let price = amount.saturating_mul(SECOND_NS) / i64::from(per_second);
        let latest = now_ns + BURST_NS + DEBT_MAX_NS;
        let move_on = |until: i64| Some(until.max(now_ns).saturating_add(price).min(latest));
        let _always_moved = self.0.fetch_update(Relaxed, Relaxed, move_on);
    }

    fn wait_ns(&self, per_second: u32, now_ns: i64) -> i64 {
        if per_second == 0 {
            return 0;
        }
        self.0.load(Relaxed) - now_ns - BURST_NS
    }
}

/// What a session or an address has taken.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    requests: Paid,
    bytes: Paid,
}

impl Spent {
    fn take(&self, allowance: Allowance, bytes: usize, now_ns: i64) {
        self.requests.take(1, allowance.requests, now_ns);
        self.bytes.take(bytes, allowance.bytes, now_ns);
    }

    fn wait_ns(&self, allowance: Allowance, now_ns: i64) -> i64 {
        let requests = self.requests.wait_ns(allowance.requests, now_ns);
        requests.max(self.bytes.wait_ns(allowance.bytes, now_ns))
    }
}

/// What a session watches.
pub(crate) trait Watched {
    /// How many paths.
    fn count(&self) -> usize;
    /// Whether that one is among them.
    fn has(&self, path: &str) -> bool;
}

impl Watched for (&ShardedWatches, ConnId) {
    fn count(&self) -> usize {
        self.0.paths_of(self.1)
    }

    fn has(&self, path: &str) -> bool {
        self.0.is_watched(path, self.1)
    }
}

/// The limits of one connection.
#[derive(Debug)]
pub(crate) struct Limits {
    rules: Allowances,
    session: Spent,
    address: Arc<Spent>,
    now_ns: i64,
    /// Watches that may be left before they are counted again.
    room: usize,
}

impl Limits {
    pub(crate) fn new(address: Arc<Spent>) -> Self {
        Self {
            rules: Allowances::default(),
            session: Spent::default(),
            address,
            now_ns: 0,
            room: 0,
        }
    }

    /// Notes what the limits are, and the time.
    pub(crate) const fn look(&mut self, rules: Allowances, now_ms: i64) {
        self.rules = rules;
        self.now_ns = now_ms.saturating_mul(1_000_000);
    }

    const fn has_rates(&self) -> bool {
        self.rules.session.is_limited() || self.rules.address.is_limited()
    }

    /// Notes a request of so many bytes. A session that only says that it is alive may always do so.
    pub(crate) fn take(&self, op: i32, bytes: usize) {
        if self.has_rates() && op != op_code::PING {
            self.session.take(self.rules.session, bytes, self.now_ns);
            self.address.take(self.rules.address, bytes, self.now_ns);
        }
    }

    /// How long nothing more is to be read.
    pub(crate) fn pause(&self) -> Option<Duration> {
        if !self.has_rates() {
            return None;
        }
        let session = self.session.wait_ns(self.rules.session, self.now_ns);
        let address = self.address.wait_ns(self.rules.address, self.now_ns);
        let wait = u64::try_from(session.max(address)).unwrap_or(0);
        // A timer that is finer than the clock would ask it in vain.
        (wait > 0).then(|| Duration::from_nanos(wait.max(1_000_000)))
    }

    pub(crate) const fn has_watch_limit(&self) -> bool {
        self.rules.watches > 0
    }

    /// Whether the request would have the session watch a path too many.
    pub(crate) fn is_watch_too_many(
        &mut self,
        op: i32,
        body: &[u8],
        watched: &impl Watched,
    ) -> bool {
        let max = self.rules.watches as usize;
        if max == 0 || !leaves_watch(op, body) {
            return false;
        }
        if self.room == 0 {
            self.room = max.saturating_sub(watched.count());
        }
        // Those that come back after a change of servers are counted when the next one comes.
        let many = matches!(op, op_code::SET_WATCHES | op_code::SET_WATCHES2);
        if self.room == 0 {
            let path = decode_prefix::<PathRequest<'_>>(body).ok();
            let path = path.and_then(|(request, _)| request.path);
            return many || !path.is_some_and(|path| watched.has(&path));
        }
        self.room = if many { 0 } else { self.room - 1 };
        false
    }
}

/// Whether a request leaves watches, if it succeeds.
fn leaves_watch(op: i32, body: &[u8]) -> bool {
    match op {
        op_code::GET_DATA | op_code::EXISTS | op_code::GET_CHILDREN | op_code::GET_CHILDREN2 => {
            body.last().is_some_and(|&watch| watch != 0)
        }
        op_code::ADD_WATCH | op_code::SET_WATCHES | op_code::SET_WATCHES2 => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(session: (u32, u32), address: (u32, u32), shared: &Arc<Spent>) -> Limits {
        let rate = |(requests, bytes)| Allowance { requests, bytes };
        let rules = Allowances {
            session: rate(session),
            address: rate(address),
            watches: 0,
        };
        let mut limits = Limits::new(Arc::clone(shared));
        limits.look(rules, 0);
        limits
    }

    /// Requests of so many bytes that get through in that many milliseconds.
    fn taken(limits: &mut Limits, bytes: usize, ms: i64) -> usize {
        let mut count = 0;
        for now in 0..ms {
            limits.look(limits.rules, now);
            while limits.pause().is_none() {
                limits.take(op_code::GET_DATA, bytes);
                count += 1;
            }
        }
        count
    }

    #[test]
    fn a_session_gets_its_rate_and_a_second_ahead() {
        let address = Arc::default();
        let mut by_requests = limits((100, 0), (0, 0), &address);
        let count = taken(&mut by_requests, 10, 5000);
        assert!((599..=602).contains(&count), "{count}");
        let mut by_bytes = limits((0, 1000), (0, 0), &address);
        let count = taken(&mut by_bytes, 10, 5000);
        assert!((599..=602).contains(&count), "{count}");
    }

    #[test]
    fn sessions_of_one_address_share() {
        let address = Arc::default();
        let mut one = limits((0, 0), (100, 0), &address);
        let mut other = limits((0, 0), (100, 0), &address);
        let elsewhere = limits((0, 0), (100, 0), &Arc::default());
        assert!(taken(&mut one, 10, 1) >= 100);
        other.look(other.rules, 0);
        assert!(other.pause().is_some());
        assert!(elsewhere.pause().is_none());
    }

    #[test]
    fn what_was_saved_up_is_a_second_at_most_and_pings_are_free() {
        let mut limits = limits((10, 0), (0, 0), &Arc::default());
        for _ in 0..1000 {
            limits.take(op_code::PING, 0);
        }
        assert_eq!(limits.pause(), None);
        limits.look(limits.rules, 3_600_000);
        let mut count = 0;
        while limits.pause().is_none() {
            limits.take(op_code::EXISTS, 0);
            count += 1;
        }
        assert_eq!(count, 11);
        let pause = limits.pause().unwrap();
        assert!(pause <= Duration::from_millis(100), "{pause:?}");
    }

    #[test]
    fn nobody_waits_longer_than_a_session_can() {
        let limits = limits((0, 1), (0, 0), &Arc::default());
        limits.take(op_code::SET_DATA, 1_000_000);
        assert_eq!(limits.pause(), Some(Duration::from_secs(2)));
    }

    struct Paths(std::cell::RefCell<Vec<String>>, std::cell::Cell<usize>);

    impl Watched for Paths {
        fn count(&self) -> usize {
            self.1.set(self.1.get() + 1);
            self.0.borrow().len()
        }

        fn has(&self, path: &str) -> bool {
            self.0.borrow().iter().any(|other| other == path)
        }
    }

    #[test]
    fn watches_are_counted_only_when_the_room_is_used_up() {
        let mut limits = limits((0, 0), (0, 0), &Arc::default());
        let there = Paths(Vec::new().into(), 0.into());
        let body = |path: &str, watch: u8| {
            let mut body = Vec::new();
            let path = Some(path.into());
            menagerie_wire::jute::append(&mut body, &PathRequest { path });
            body.push(watch);
            body
        };
        let ask = |limits: &mut Limits, op, path: &str, watch| {
            let too_many = limits.is_watch_too_many(op, &body(path, watch), &there);
            if !too_many && watch != 0 && !there.has(path) {
                there.0.borrow_mut().push(path.to_owned());
            }
            too_many
        };
        assert!(!ask(&mut limits, op_code::EXISTS, "/0", 1));
        limits.rules.watches = 3;
        assert!(!ask(&mut limits, op_code::EXISTS, "/1", 1));
        assert!(!ask(&mut limits, op_code::GET_DATA, "/2", 1));
        assert!(!ask(&mut limits, op_code::EXISTS, "/3", 0));
        assert!(ask(&mut limits, op_code::GET_CHILDREN2, "/3", 1));
        assert!(ask(&mut limits, op_code::ADD_WATCH, "/3", 1));
        // One that is there already may be left again, and reading needs no room.
        assert!(!ask(&mut limits, op_code::GET_DATA, "/1", 1));
        assert!(!ask(&mut limits, op_code::GET_DATA, "/4", 0));
        assert!(ask(&mut limits, op_code::SET_WATCHES2, "/1", 1));
        there.0.borrow_mut().clear();
        let counted = there.1.get();
        assert!(!ask(&mut limits, op_code::SET_WATCHES2, "/1", 1));
        assert!(!ask(&mut limits, op_code::EXISTS, "/5", 1));
        assert_eq!(there.1.get(), counted + 2);
    }
}
