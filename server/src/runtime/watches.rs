//! Owns the server's watches: [`WatchTable`]s by path, each behind a mutex, so that reads on many
//! threads register watches under their shared hold of the tree. May use `core::watch`. Must not
//! know the tree, and must not call anything while it holds a table.
//!
//! Registering happens under the tree's read guard, firing under its write guard: an event and a
//! registration never race, whatever the tables' locks do.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use menagerie_core::ids::ConnId;
use menagerie_core::watch::{
    WatchCounts, WatchMode, WatchTable, WatchTableKind, WatcherType, ancestors, path_hash,
    tidy_watchers,
};

/// Tables. Many more than threads, so that two of them seldom want the same one.
const SHARDS: usize = 64;

/// Who watches what on this server.
#[derive(Debug)]
pub struct ShardedWatches {
    seed: u64,
    shards: Box<[Mutex<WatchTable>]>,
    /// Recursive watches in all tables: while there are none, an event looks at one table only.
    recursive: AtomicUsize,
}

impl Default for ShardedWatches {
    fn default() -> Self {
        Self::new()
    }
}

impl ShardedWatches {
    /// Nothing is watched. Paths are hashed with a seed of this process's own.
    #[must_use]
    pub fn new() -> Self {
        let seed = RandomState::new().build_hasher().finish();
        let table = |_| Mutex::new(WatchTable::with_seed(seed.rotate_left(32)));
        Self { seed, shards: (0..SHARDS).map(table).collect(), recursive: AtomicUsize::new(0) }
    }

    fn shard(&self, path: &str) -> MutexGuard<'_, WatchTable> {
        let index = path_hash(self.seed, path) % SHARDS as u64;
        lock(&self.shards[usize::try_from(index).unwrap_or_default()])
    }

    /// Runs `change` on a table and carries its recursive watches over to the total.
    fn changing<T>(
        &self,
        mut table: MutexGuard<'_, WatchTable>,
        change: impl FnOnce(&mut WatchTable) -> T,
    ) -> T {
        let before = table.recursive_len();
        let result = change(&mut table);
        let after = table.recursive_len();
        if after > before {
            self.recursive.fetch_add(after - before, Ordering::SeqCst);
        } else if before > after {
            self.recursive.fetch_sub(before - after, Ordering::SeqCst);
        }
        result
    }

    /// Sets a watch; see [`WatchTable::add`].
    pub fn add(&self, path: &str, conn: ConnId, mode: WatchMode) {
        self.changing(self.shard(path), |table| table.add(path, conn, mode));
    }

    /// Answers `checkWatches`; see [`WatchTable::contains`].
    #[must_use]
    pub fn contains(&self, path: &str, conn: ConnId, kind: WatcherType) -> bool {
        self.shard(path).contains(path, conn, kind)
    }

    /// Answers `removeWatches`; see [`WatchTable::remove`].
    pub fn remove(&self, path: &str, conn: ConnId, kind: WatcherType) -> bool {
        self.changing(self.shard(path), |table| table.remove(path, conn, kind))
    }

    /// Removes all of a connection's watches, as it closes.
    pub fn remove_conn(&self, conn: ConnId) {
        for shard in &self.shards {
            self.changing(lock(shard), |table| table.remove_conn(conn));
        }
    }

    /// Appends whom an event at `path` is for, in order and each once, but for those in
    /// `exclude`; removes their one-shot watches, `exclude`'s too. For data events these are also
    /// the recursive watchers of all ancestors. Source: `WatchManager.triggerWatch`.
    pub fn fire(
        &self,
        kind: WatchTableKind,
        path: &str,
        exclude: &[ConnId],
        out: &mut Vec<ConnId>,
    ) {
        let start = out.len();
        self.shard(path).fire(kind, path, out);
        if kind == WatchTableKind::Data && self.recursive.load(Ordering::SeqCst) > 0 {
            for ancestor in ancestors(path) {
                self.shard(ancestor).recursive_at(ancestor, out);
            }
        }
        if out.len() > start {
            tidy_watchers(out, start, exclude);
        }
    }

    /// Recursive watches.
    #[must_use]
    pub fn recursive_len(&self) -> usize {
        self.recursive.load(Ordering::SeqCst)
    }

    /// Watches of both kinds of table, `mntr`'s `zk_watch_count`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Whether nothing is watched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers of `wchs`. Visits all watches, one table after the other.
    #[must_use]
    pub fn data_counts(&self) -> WatchCounts {
        let mut counts = WatchCounts::default();
        let (mut conns, mut all) = (Vec::new(), BTreeSet::new());
        for shard in &self.shards {
            let table = lock(shard);
            counts.paths += table.data_paths();
            counts.watches += table.data_len();
            table.data_conns(&mut conns);
            drop(table);
            all.extend(conns.drain(..));
        }
        counts.connections = all.len();
        counts
    }

    /// The data watches by connection, for `wchc`. Copies all paths.
    #[must_use]
    pub fn data_by_conn(&self) -> BTreeMap<ConnId, BTreeSet<String>> {
        let mut all = BTreeMap::<ConnId, BTreeSet<String>>::new();
        for shard in &self.shards {
            lock(shard).visit_data_conns(|conn, paths| {
                all.entry(conn).or_default().extend(paths.iter().map(|&path| path.to_owned()));
            });
        }
        all
    }

    /// The data watches by path, for `wchp`. Copies all paths.
    #[must_use]
    pub fn data_by_path(&self) -> BTreeMap<String, Vec<ConnId>> {
        let mut all = BTreeMap::new();
        for shard in &self.shards {
            lock(shard).visit_data_paths(|path, conns| {
                all.insert(path.to_owned(), conns.to_vec());
            });
        }
        all
    }
}

/// A panic of another thread inside a table leaves at worst a watch too many or too few there; the
/// server lives on.
fn lock(shard: &Mutex<WatchTable>) -> MutexGuard<'_, WatchTable> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
