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
use menagerie_core::processor::apply::Watches;
use menagerie_core::processor::read::WatchRegistry;
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
        Self {
            seed,
            shards: (0..SHARDS).map(table).collect(),
            recursive: AtomicUsize::new(0),
        }
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

    /// Paths that the connection watches, in any way.
    #[must_use]
    pub fn paths_of(&self, conn: ConnId) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| lock(shard).paths_of(conn)).sum()
    }

    /// Whether the connection watches `path`, in any way.
    #[must_use]
    pub fn is_watched(&self, path: &str, conn: ConnId) -> bool {
        self.shard(path).is_watched(path, conn)
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
                all.entry(conn)
                    .or_default()
                    .extend(paths.iter().map(|&path| path.to_owned()));
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

impl Watches for ShardedWatches {
    fn fire(&self, kind: WatchTableKind, path: &str, exclude: &[ConnId], out: &mut Vec<ConnId>) {
        Self::fire(self, kind, path, exclude, out);
    }
}

impl WatchRegistry for ShardedWatches {
    fn add(&self, path: &str, conn: ConnId, mode: WatchMode) {
        Self::add(self, path, conn, mode);
    }

    fn contains(&self, path: &str, conn: ConnId, kind: WatcherType) -> bool {
        Self::contains(self, path, conn, kind)
    }

    fn remove(&self, path: &str, conn: ConnId, kind: WatcherType) -> bool {
        Self::remove(self, path, conn, kind)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::thread;

    use super::*;

    fn fired(watches: &ShardedWatches, path: &str, exclude: &[ConnId]) -> Vec<u32> {
        let mut out = Vec::new();
        watches.fire(WatchTableKind::Data, path, exclude, &mut out);
        out.into_iter().map(|conn| conn.0).collect()
    }

    #[test]
    fn recursive_watchers_of_all_ancestors_are_found_across_shards() {
        let watches = ShardedWatches::new();
        let path = (0..40).fold(String::new(), |path, level| format!("{path}/n{level}"));
        watches.add("/", ConnId(1), WatchMode::PersistentRecursive);
        for (conn, ancestor) in (10..).zip(ancestors(&path)) {
            watches.add(ancestor, ConnId(conn), WatchMode::PersistentRecursive);
        }
        watches.add(&path, ConnId(2), WatchMode::Data);
        let expected: Vec<u32> = [1, 2].into_iter().chain(10..50).collect();
        assert_eq!(fired(&watches, &path, &[]), expected);
        assert_eq!(watches.recursive_len(), 41);
        assert_eq!(
            fired(&watches, "/other", &[]),
            [1, 49],
            "49 watches the root too"
        );
        let mut out = Vec::new();
        watches.fire(WatchTableKind::Child, &path, &[], &mut out);
        assert!(
            out.is_empty(),
            "events of children are not for recursive watches"
        );
    }

    #[test]
    fn connection_with_many_matching_watches_is_named_once_or_excluded() {
        let watches = ShardedWatches::new();
        for path in ["/", "/a", "/a/b"] {
            watches.add(path, ConnId(7), WatchMode::PersistentRecursive);
        }
        watches.add("/a/b", ConnId(7), WatchMode::Data);
        watches.add("/a/b", ConnId(8), WatchMode::Data);
        assert_eq!(fired(&watches, "/a/b", &[ConnId(8)]), [7]);
        assert_eq!(
            fired(&watches, "/a/b", &[]),
            [7],
            "the excluded one's watch is gone"
        );
        let mut out = vec![ConnId(7)];
        watches.fire(WatchTableKind::Data, "/a/b", &[], &mut out);
        assert_eq!(
            out,
            [ConnId(7), ConnId(7)],
            "what was in the list before does not count"
        );
    }

    #[test]
    fn closing_removes_the_watches_of_all_shards() {
        let watches = ShardedWatches::new();
        for path in 0..500 {
            watches.add(&format!("/{path}"), ConnId(1), WatchMode::Persistent);
            watches.add(
                &format!("/{path}"),
                ConnId(2),
                WatchMode::PersistentRecursive,
            );
        }
        assert_eq!(watches.len(), 1500);
        let counts = WatchCounts {
            connections: 2,
            paths: 500,
            watches: 1000,
        };
        assert_eq!(watches.data_counts(), counts);
        watches.remove_conn(ConnId(2));
        assert_eq!((watches.len(), watches.recursive_len()), (1000, 0));
        assert_eq!(watches.data_by_conn().len(), 1);
        watches.remove_conn(ConnId(1));
        assert!(watches.is_empty());
        assert_eq!(watches.data_counts(), WatchCounts::default());
    }

    #[test]
    fn questions_go_to_the_shard_of_the_path() {
        let watches = ShardedWatches::new();
        watches.add("/a", ConnId(1), WatchMode::Data);
        watches.add("/b", ConnId(1), WatchMode::PersistentRecursive);
        assert!(watches.contains("/a", ConnId(1), WatcherType::Data));
        assert!(!watches.contains("/b", ConnId(1), WatcherType::Data));
        assert!(watches.remove("/b", ConnId(1), WatcherType::Any));
        assert!(!watches.remove("/b", ConnId(1), WatcherType::Any));
        assert_eq!(watches.recursive_len(), 0);
        assert_eq!(
            watches.data_by_path(),
            BTreeMap::from([("/a".to_owned(), vec![ConnId(1)])])
        );
    }

    #[test]
    fn paths_are_spread_over_the_shards() {
        let watches = ShardedWatches::new();
        let mut per_shard = HashMap::new();
        for path in 0..6400 {
            let index = path_hash(watches.seed, &format!("/app/instance-{path}")) % SHARDS as u64;
            *per_shard.entry(index).or_insert(0) += 1;
        }
        assert_eq!(per_shard.len(), SHARDS);
        assert!(
            per_shard.values().all(|paths| (30..300).contains(paths)),
            "{per_shard:?}"
        );
    }

    #[test]
    fn poisoned_shard_goes_on_working() {
        let watches = ShardedWatches::new();
        watches.add("/a", ConnId(1), WatchMode::Data);
        thread::scope(|scope| {
            let panics = scope.spawn(|| {
                let _guard = watches.shard("/a");
                panic!("while holding the shard");
            });
            assert!(panics.join().is_err());
        });
        assert_eq!(fired(&watches, "/a", &[]), [1]);
        watches.remove_conn(ConnId(1));
    }

    #[test]
    fn threads_that_register_lose_nothing() {
        let watches = ShardedWatches::new();
        thread::scope(|scope| {
            for conn in 0..8 {
                let watches = &watches;
                scope.spawn(move || {
                    for path in 0..200 {
                        watches.add(&format!("/{path}"), ConnId(conn), WatchMode::Data);
                        let own = format!("/own/{conn}/{path}");
                        watches.add(&own, ConnId(conn), WatchMode::PersistentRecursive);
                        if path % 2 == 0 {
                            assert!(watches.remove(&own, ConnId(conn), WatcherType::Any));
                        }
                    }
                });
            }
        });
        assert_eq!(watches.recursive_len(), 800);
        for path in 0..200 {
            assert_eq!(
                fired(&watches, &format!("/{path}"), &[]),
                [0, 1, 2, 3, 4, 5, 6, 7]
            );
        }
        assert_eq!(watches.len(), 800);
    }
}
