//! Owns noting what reads take out of the tree, on its way to the watches that they leave. Must not
//! know requests. Source: `DataTree.updateReadStat`, `DataTree.updateWriteStat`.

use std::cell::RefCell;

use menagerie_core::ids::ConnId;
use menagerie_core::processor::apply::Watches;
use menagerie_core::processor::read::WatchRegistry;
use menagerie_core::watch::{WatchMode, WatchTableKind, WatcherType};

use crate::metrics::{Notes, java_len, namespace};
use crate::runtime::watches::ShardedWatches;
use crate::shared::Shared;
use crate::stats::Metrics;

/// Bytes of a stat, which comes with everything that is read. Source: `DataTree.STAT_OVERHEAD_BYTES`.
const STAT_BYTES: u64 = 68;

/// The watches, for somebody whose reads are noted.
pub(crate) struct Noting<'a> {
    watches: &'a ShardedWatches,
    metrics: &'a Metrics,
    notes: &'a RefCell<Notes>,
}

impl<'a> Noting<'a> {
    pub(crate) const fn new(shared: &'a Shared, notes: &'a RefCell<Notes>) -> Self {
        Self {
            watches: &shared.watches,
            metrics: &shared.stats.metrics,
            notes,
        }
    }
}

/// Notes a change of a node.
pub(crate) fn note_write(metrics: &Metrics, notes: &mut Notes, path: &str, bytes: usize) {
    if let Some(top) = namespace(path) {
        let bytes = (java_len(path) + bytes) as u64;
        notes.note(&metrics.write_per_namespace, top, bytes);
    }
}

impl Watches for Noting<'_> {
    fn fire(&self, kind: WatchTableKind, path: &str, exclude: &[ConnId], out: &mut Vec<ConnId>) {
        self.watches.fire(kind, path, exclude, out);
    }
}

impl WatchRegistry for Noting<'_> {
    fn add(&self, path: &str, conn: ConnId, mode: WatchMode) {
        self.watches.add(path, conn, mode);
    }

    fn contains(&self, path: &str, conn: ConnId, kind: WatcherType) -> bool {
        self.watches.contains(path, conn, kind)
    }

    fn remove(&self, path: &str, conn: ConnId, kind: WatcherType) -> bool {
        self.watches.remove(path, conn, kind)
    }

    fn note_read(&self, path: &str, bytes: usize) {
        if let Some(top) = namespace(path) {
            let bytes = (java_len(path) + bytes) as u64 + STAT_BYTES;
            let mut notes = self.notes.borrow_mut();
            notes.note(&self.metrics.read_per_namespace, top, bytes);
        }
    }
}
