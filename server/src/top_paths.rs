//! Owns which paths clients ask for most, in the log every few minutes. Bounds what it remembers, since
//! clients choose paths. Must not make anybody wait. Source: `RequestPathMetricsCollector`.
//!
//! A part of the requests is counted, by the first components of their paths, in slots of some
//! seconds each; the oldest slot is forgotten. Apache's server remembers every path that it sees.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use menagerie_wire::client::PathRequest;
use menagerie_wire::jute::decode_prefix;
use menagerie_wire::op::op_code;
use tokio::sync::watch;

use crate::shared::Shared;

/// Components that are told at most. Source: `RequestPathMetricsCollector.start`.
const DEPTH_TOLD: usize = 4;
/// The longest path that has a count of its own, bytes.
const PATH_BYTES_MAX: usize = 512;
/// Bytes of all paths that are remembered; what comes above is counted without its path.
const BYTES_MAX: usize = 4 << 20;
/// What a path takes besides its own bytes, about.
const ENTRY_BYTES: usize = 64;
/// Slots at most.
const SLOTS_MAX: usize = 1024;

/// `pathStats.*`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PathSettings {
    pub(crate) enabled: bool,
    /// Slots that are remembered.
    pub(crate) slots: usize,
    pub(crate) slot_s: i64,
    /// Components of a path by which is counted.
    pub(crate) depth: usize,
    /// The part of the requests that is counted, 1 for all.
    pub(crate) sample: f64,
    pub(crate) first_min: i64,
    pub(crate) every_min: i64,
    /// Paths that are told.
    pub(crate) top: usize,
}

impl Default for PathSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            slots: 60,
            slot_s: 15,
            depth: 6,
            sample: 0.1,
            first_min: 5,
            every_min: 5,
            top: 20,
        }
    }
}

/// Reads and writes are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
}

/// What requests of an operation do to their path; none if they are not counted.
/// Source: `RequestPathMetricsCollector.isWriteOp`, under which `sync` is a write.
const fn kind(op: i32) -> Option<Kind> {
    match op {
        op_code::EXISTS
        | op_code::GET_DATA
        | op_code::GET_ACL
        | op_code::GET_CHILDREN
        | op_code::GET_CHILDREN2
        | op_code::CHECK_WATCHES
        | op_code::REMOVE_WATCHES => Some(Kind::Read),
        op_code::CREATE
        | op_code::CREATE2
        | op_code::CREATE_CONTAINER
        | op_code::CREATE_TTL
        | op_code::DELETE
        | op_code::DELETE_CONTAINER
        | op_code::SET_DATA
        | op_code::SET_ACL
        | op_code::SYNC => Some(Kind::Write),
        _ => None,
    }
}

/// Counts of a stretch of time.
#[derive(Debug, Default)]
struct Slot {
    number: i64,
    reads: HashMap<Box<str>, u64>,
    writes: HashMap<Box<str>, u64>,
    /// Requests for which there was no room.
    reads_left_out: u64,
    writes_left_out: u64,
}

impl Slot {
    fn counts(&self, kind: Kind) -> (&HashMap<Box<str>, u64>, u64) {
        match kind {
            Kind::Read => (&self.reads, self.reads_left_out),
            Kind::Write => (&self.writes, self.writes_left_out),
        }
    }

    fn bytes(&self) -> usize {
        let paths = self.reads.keys().chain(self.writes.keys());
        paths.map(|path| path.len() + ENTRY_BYTES).sum()
    }
}

#[derive(Debug, Default)]
struct Slots {
    /// The newest last; none is empty.
    slots: VecDeque<Slot>,
    /// Of all their paths.
    bytes: usize,
}

impl Slots {
    fn forget(&mut self, before: i64) {
        while self.slots.front().is_some_and(|slot| slot.number < before) {
            if let Some(slot) = self.slots.pop_front() {
                self.bytes = self.bytes.saturating_sub(slot.bytes());
            }
        }
    }

    fn add(&mut self, number: i64, kind: Kind, path: &str) {
        if self.slots.back().is_none_or(|slot| slot.number != number) {
            self.slots.push_back(Slot {
                number,
                ..Slot::default()
            });
        }
        let Some(slot) = self.slots.back_mut() else {
            return;
        };
        let (counts, left_out) = match kind {
            Kind::Read => (&mut slot.reads, &mut slot.reads_left_out),
            Kind::Write => (&mut slot.writes, &mut slot.writes_left_out),
        };
        if let Some(count) = counts.get_mut(path) {
            *count += 1;
            return;
        }
        let bytes = path.len() + ENTRY_BYTES;
        if path.len() > PATH_BYTES_MAX || self.bytes + bytes > BYTES_MAX {
            *left_out += 1;
            return;
        }
        self.bytes += bytes;
        counts.insert(path.into(), 1);
    }
}

/// The paths that were asked for most, and how often.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Top {
    pub(crate) paths: Vec<(Box<str>, u64)>,
    /// Requests whose paths were not remembered.
    pub(crate) left_out: u64,
}

/// Which paths are asked for.
#[derive(Debug)]
pub(crate) struct TopPaths {
    settings: PathSettings,
    /// Requests below this, of numbers that are as good as random, are counted.
    threshold: u64,
    seen: AtomicU64,
    slots: Mutex<Slots>,
}

impl TopPaths {
    /// None unless they are wanted.
    pub(crate) fn new(settings: &PathSettings, seed: u64) -> Option<Self> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // Above the largest number, and below 0, `as` takes the nearest.
        let threshold = (settings.sample * 2_f64.powi(64)) as u64;
        settings.enabled.then(|| Self {
            settings: settings.clone(),
            threshold,
            seen: AtomicU64::new(seed),
            slots: Mutex::default(),
        })
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this request is one to count.
    fn is_sample(&self) -> bool {
        if self.threshold == u64::MAX {
            return true;
        }
        // Steps and mixing of the generator SplitMix64.
        let mut mixed = self.seen.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31) < self.threshold
    }

    /// Notes a request; `now_ms` is on the server's monotonic clock.
    pub(crate) fn note(&self, op: i32, body: &[u8], now_ms: i64) {
        let Some(kind) = kind(op).filter(|_| self.is_sample()) else {
            return;
        };
        let Ok((request, _)) = decode_prefix::<PathRequest<'_>>(body) else {
            return;
        };
        if let Some(path) = request.path.as_deref() {
            self.count(kind, path, now_ms);
        }
    }

    fn count(&self, kind: Kind, path: &str, now_ms: i64) {
        let depth = self.settings.depth.min(DEPTH_TOLD);
        let number = self.number(now_ms);
        let mut slots = self.slots();
        slots.forget(self.oldest(number));
        slots.add(number, kind, beginning(path, depth));
    }

    fn number(&self, now_ms: i64) -> i64 {
        now_ms / 1000 / self.settings.slot_s.max(1)
    }

    /// The oldest slot that counts when this one is current.
    fn oldest(&self, current: i64) -> i64 {
        let slots = self.settings.slots.min(SLOTS_MAX);
        current.saturating_sub(i64::try_from(slots).unwrap_or(i64::MAX))
    }

    /// What was asked for most of late.
    pub(crate) fn top(&self, kind: Kind, now_ms: i64) -> Top {
        let mut sums = HashMap::<Box<str>, u64>::new();
        let mut left_out = 0;
        {
            let mut slots = self.slots();
            slots.forget(self.oldest(self.number(now_ms)));
            for slot in &slots.slots {
                let (counts, others) = slot.counts(kind);
                left_out += others;
                for (path, count) in counts {
                    match sums.get_mut(path) {
                        Some(sum) => *sum += count,
                        None => {
                            sums.insert(path.clone(), *count);
                        }
                    }
                }
            }
        }
        let mut paths: Vec<_> = sums.into_iter().collect();
        paths.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        paths.truncate(self.settings.top);
        Top { paths, left_out }
    }

    fn tell(&self, now_ms: i64) {
        for (kind, what) in [(Kind::Read, "read"), (Kind::Write, "written")] {
            let Top { paths, left_out } = self.top(kind, now_ms);
            tracing::info!(paths = paths.len(), left_out, "the paths {what} most:");
            for (path, requests) in &paths {
                // A client must not forge lines.
                tracing::info!(requests, "{what}: {}", path.escape_debug());
            }
        }
    }
}

/// The first components of a path; the root has none, and stands for itself.
fn beginning(path: &str, depth: usize) -> &str {
    let mut slashes = path.match_indices('/').map(|(at, _)| at);
    match slashes.nth(depth) {
        Some(end) if depth > 0 => &path[..end],
        _ => path,
    }
}

/// Tells them every `pathStats.delay` minutes, until `stop` changes.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let Some(paths) = &shared.top_paths else {
        return;
    };
    let minutes = |minutes: i64| {
        let minutes = u64::try_from(minutes).unwrap_or_default();
        Duration::from_secs(minutes.saturating_mul(60))
    };
    let mut pause = minutes(paths.settings.first_min);
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => paths.tell(shared.clock.mono_ms()),
            _ = stop.changed() => return,
        }
        pause = minutes(paths.settings.every_min.max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use menagerie_wire::jute;

    fn paths(change: impl FnOnce(&mut PathSettings)) -> TopPaths {
        let mut settings = PathSettings {
            enabled: true,
            sample: 1.0,
            ..PathSettings::default()
        };
        change(&mut settings);
        TopPaths::new(&settings, 7).expect("it is enabled")
    }

    fn body(path: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let path = Some(path.into());
        jute::append(&mut bytes, &PathRequest { path });
        bytes
    }

    fn told(top: &Top) -> Vec<(&str, u64)> {
        top.paths.iter().map(|(path, n)| (&**path, *n)).collect()
    }

    #[test]
    fn the_most_frequent_come_first_and_reads_are_not_writes() {
        let paths = paths(|settings| settings.top = 2);
        for (op, path, times) in [
            (op_code::GET_DATA, "/a/b/c/d/e", 3),
            (op_code::EXISTS, "/a/b/c/d/f", 2),
            (op_code::GET_CHILDREN2, "/", 4),
            (op_code::GET_ACL, "/z", 1),
            (op_code::SET_DATA, "/a", 1),
            (op_code::MULTI, "/m", 9),
            (op_code::PING, "/p", 9),
        ] {
            (0..times).for_each(|_| paths.note(op, &body(path), 1000));
        }
        paths.note(op_code::GET_DATA, &[0, 0, 0, 9, b'/'], 1000);
        let reads = paths.top(Kind::Read, 1000);
        assert_eq!(told(&reads), [("/a/b/c/d", 5), ("/", 4)]);
        assert_eq!(told(&paths.top(Kind::Write, 1000)), [("/a", 1)]);
    }

    #[test]
    fn slots_are_forgotten_one_after_the_other() {
        let paths = paths(|settings| {
            settings.slots = 2;
            settings.slot_s = 10;
        });
        let write = |now_ms| paths.note(op_code::SET_DATA, &body("/w"), now_ms);
        let count = |now_ms| told(&paths.top(Kind::Write, now_ms)).first().map(|of| of.1);
        write(0);
        write(10_000);
        write(12_000);
        assert_eq!(count(29_999), Some(3));
        assert_eq!(count(30_000), Some(2));
        assert_eq!(count(40_000), None);
        assert_eq!(paths.slots().bytes, 0);
    }

    #[test]
    fn clients_cannot_make_it_remember_without_end() {
        let paths = paths(|settings| settings.depth = 1);
        let name = |number: usize| format!("/{number:0>500}");
        let room = BYTES_MAX / (501 + ENTRY_BYTES);
        for number in 0..room + 10 {
            paths.count(Kind::Read, &name(number), 0);
        }
        paths.count(Kind::Read, &name(0), 0);
        paths.count(Kind::Read, &"/x".repeat(PATH_BYTES_MAX), 0);
        paths.count(Kind::Write, &format!("/{}", "y".repeat(PATH_BYTES_MAX)), 0);
        let slots = paths.slots();
        assert_eq!(slots.slots[0].reads.len(), room + 1, "and /x");
        assert!(slots.bytes <= BYTES_MAX);
        drop(slots);
        let top = paths.top(Kind::Read, 0);
        assert_eq!((top.paths[0].1, top.paths.len()), (2, 20));
        assert_eq!(top.left_out, 10);
        assert_eq!(paths.top(Kind::Write, 0).left_out, 1);
    }

    #[test]
    fn a_part_is_counted_when_that_is_asked_for() {
        let counted = |sample| {
            let paths = paths(|settings| settings.sample = sample);
            for _ in 0..10_000 {
                paths.note(op_code::GET_DATA, &body("/r"), 0);
            }
            told(&paths.top(Kind::Read, 0)).first().map_or(0, |of| of.1)
        };
        assert!((850..1150).contains(&counted(0.1)), "{}", counted(0.1));
        let ends = [-1.0, 0.0, 1.0, 5.0].map(counted);
        assert_eq!(ends, [0, 0, 10_000, 10_000]);
        assert!(TopPaths::new(&PathSettings::default(), 7).is_none());
    }

    #[test]
    fn a_path_is_cut_behind_a_component() {
        let cut = |path, depth| beginning(path, depth);
        assert_eq!(cut("/", 4), "/");
        assert_eq!(cut("/a/b", 2), "/a/b");
        assert_eq!(cut("/a/ü/c", 2), "/a/ü");
        assert_eq!(cut("", 1), "");
    }
}
