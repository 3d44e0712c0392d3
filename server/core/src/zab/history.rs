//! Owns the recent part of the log in memory, and the plan by which a learner is brought to the
//! leader's history. May use `ids`. Must not read files: what is older comes from the log itself.
//! Source: `ZKDatabase.committedLog`, `LearnerHandler.syncFollower`.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::ids::Zxid;

/// How a learner gets what it lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncPlan {
    /// It has the beginning of the history; it gets the entries from that index of the history on.
    Diff {
        /// Index into the history of the first entry to send.
        from: usize,
    },
    /// It has more than the history, or something else; it goes back to `zxid` first.
    Trunc {
        /// The last transaction that it keeps.
        zxid: Zxid,
        /// Index into the history of the first entry to send.
        from: usize,
    },
    /// It is too far behind for the entries in memory; the log on disk may still do.
    Older,
    /// It needs the whole tree.
    Snap,
}

/// The entries of the log that are in memory, in order, and how far they are committed.
#[derive(Debug)]
pub struct History {
    entries: VecDeque<(Zxid, Bytes)>,
    /// Committed entries that are kept. Source: `ZKDatabase.commitLogCount`.
    limit: usize,
    committed: Zxid,
    /// Up to where the tree has it.
    applied: Zxid,
    last: Zxid,
}

impl History {
    /// The history that ends at `last`, all of it committed, without entries in memory.
    #[must_use]
    pub const fn new(last: Zxid, limit: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            limit,
            committed: last,
            applied: last,
            last,
        }
    }

    /// Appends an entry that is not committed yet. False when it does not come behind the last.
    pub fn push(&mut self, zxid: Zxid, entry: Bytes) -> bool {
        if zxid <= self.last {
            return false;
        }
        self.entries.push_back((zxid, entry));
        self.last = zxid;
        true
    }

    /// Puts back entries that were in the log when the server started; all of them are committed
    /// as far as this history knows.
    pub fn restore(&mut self, entries: impl IntoIterator<Item = (Zxid, Bytes)>) {
        for (zxid, entry) in entries {
            let last = self.entries.back().map_or(Zxid(0), |(last, _)| *last);
            if zxid > last && zxid <= self.last {
                self.entries.push_back((zxid, entry));
            }
        }
        self.trim();
    }

    /// Everything up to `zxid`, which is in the history, is committed.
    pub fn commit(&mut self, zxid: Zxid) {
        self.committed = self.committed.max(zxid.min(self.last));
    }

    /// The tree has everything up to `zxid`: what is committed and applied may be forgotten.
    pub fn applied(&mut self, zxid: Zxid) {
        self.applied = self.applied.max(zxid);
        self.trim();
    }

    fn trim(&mut self) {
        let done = self.committed.min(self.applied);
        while self.entries.len() > self.limit && self.entries[0].0 <= done {
            self.entries.pop_front();
        }
    }

    /// Forgets what comes behind `zxid`; everything left counts as committed.
    pub fn truncate(&mut self, zxid: Zxid) {
        while self.entries.back().is_some_and(|(last, _)| *last > zxid) {
            self.entries.pop_back();
        }
        self.last = zxid;
        self.committed = self.committed.min(zxid);
        self.applied = self.applied.min(zxid);
    }

    /// Starts over behind a snapshot.
    pub fn reset(&mut self, zxid: Zxid) {
        *self = Self::new(zxid, self.limit);
    }

    /// The last entry's zxid.
    #[must_use]
    pub const fn last(&self) -> Zxid {
        self.last
    }

    /// Up to where it is committed.
    #[must_use]
    pub const fn committed(&self) -> Zxid {
        self.committed
    }

    /// The first entry in memory.
    #[must_use]
    pub fn first(&self) -> Option<Zxid> {
        self.entries.front().map(|(zxid, _)| *zxid)
    }

    /// The entries from an index on.
    pub fn from(&self, index: usize) -> impl Iterator<Item = &(Zxid, Bytes)> {
        self.entries.range(index.min(self.entries.len())..)
    }

    /// The index of the first entry behind `zxid`.
    #[must_use]
    pub fn after(&self, zxid: Zxid) -> usize {
        self.entries.partition_point(|(at, _)| *at <= zxid)
    }

    /// Entries with `after < zxid <= upto`.
    pub fn between(&self, after: Zxid, upto: Zxid) -> impl Iterator<Item = &(Zxid, Bytes)> {
        self.from(self.after(after))
            .take_while(move |(zxid, _)| *zxid <= upto)
    }

    /// How a learner whose history ends at `peer` is brought up to this one.
    #[must_use]
    pub fn plan(&self, peer: Zxid, force_snapshot: bool) -> SyncPlan {
        if force_snapshot {
            return SyncPlan::Snap;
        }
        let last = self.committed;
        if peer == last {
            return SyncPlan::Diff {
                from: self.after(last),
            };
        }
        let first = self.first().filter(|first| *first <= last);
        let new_epoch = peer.counter() == 0;
        if peer > last && !new_epoch {
            return SyncPlan::Trunc {
                zxid: last,
                from: self.after(last),
            };
        }
        match first {
            Some(first) if first <= peer && peer <= last => self.scan(peer),
            _ if peer < last => SyncPlan::Older,
            _ => SyncPlan::Snap,
        }
    }

    /// Source: `LearnerHandler.queueCommittedProposals`.
    fn scan(&self, peer: Zxid) -> SyncPlan {
        let next = self.after(peer);
        let before = next
            .checked_sub(1)
            .and_then(|index| self.entries.get(index));
        if before.is_some_and(|(zxid, _)| *zxid == peer) || peer.counter() == 0 {
            return SyncPlan::Diff { from: next };
        }
        let after = self.entries.get(next).map(|(zxid, _)| *zxid);
        match (before, after) {
            (Some((before, _)), Some(after)) if after.epoch() == peer.epoch() => SyncPlan::Trunc {
                zxid: *before,
                from: next,
            },
            _ => SyncPlan::Snap,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(committed: &[i64], outstanding: &[i64]) -> History {
        let mut history = History::new(Zxid(0), 6);
        for zxid in committed.iter().chain(outstanding) {
            assert!(history.push(Zxid(*zxid), Bytes::new()));
        }
        history.commit(Zxid(committed.last().copied().unwrap_or(0)));
        history
    }

    const E1: i64 = 1 << 32;
    const E2: i64 = 2 << 32;

    #[test]
    fn plans_are_those_of_apache() {
        let h = history(&[E1 + 1, E1 + 2, E1 + 4, E2 + 1, E2 + 2], &[E2 + 3]);
        let diff = |from| SyncPlan::Diff { from };
        let trunc = |zxid, from| SyncPlan::Trunc {
            zxid: Zxid(zxid),
            from,
        };
        for (peer, plan) in [
            (E2 + 2, diff(5)),
            (E2 + 3, trunc(E2 + 2, 5)),
            (E2 + 9, trunc(E2 + 2, 5)),
            (E2, diff(3)),
            (E1 + 1, diff(1)),
            (E1 + 3, trunc(E1 + 2, 2)),
            (E1 + 5, SyncPlan::Snap),
            (E1, SyncPlan::Older),
            (0, SyncPlan::Older),
            (3 << 32, SyncPlan::Snap),
        ] {
            assert_eq!(h.plan(Zxid(peer), false), plan, "0x{peer:x}");
            assert_eq!(h.plan(Zxid(peer), true), SyncPlan::Snap);
        }
        assert_eq!(history(&[], &[]).plan(Zxid(0), false), diff(0));
    }

    #[test]
    fn what_is_not_committed_stays() {
        let mut h = History::new(Zxid(0), 2);
        for zxid in 1..=6 {
            h.push(Zxid(zxid), Bytes::new());
        }
        assert!(!h.push(Zxid(6), Bytes::new()));
        assert_eq!(h.first(), Some(Zxid(1)));
        h.commit(Zxid(3));
        assert_eq!(h.first(), Some(Zxid(1)));
        h.applied(Zxid(5));
        assert_eq!(h.first(), Some(Zxid(4)));
        h.commit(Zxid(6));
        h.applied(Zxid(6));
        assert_eq!(h.first(), Some(Zxid(5)));
        h.truncate(Zxid(5));
        assert_eq!((h.last(), h.committed()), (Zxid(5), Zxid(5)));
        h.reset(Zxid(9));
        assert_eq!((h.last(), h.first()), (Zxid(9), None));
    }
}
