//! Owns who watches what: one [`WatchTable`] is a plain value that knows the watches of many
//! connections on many paths, in all modes. May use `ids`. Must not know nodes, sessions, ACLs or
//! events' bytes, and must not deliver anything: it names connections.
//!
//! A path is interned to a `u32`. Beside it stands who watches it and in which modes: one watcher
//! in place, up to 64 in a sorted list, more as bitmaps of 64 connections per word, so that no
//! operation on one connection costs more than a logarithm of the watchers. Each connection has a
//! list of its paths' numbers, which may hold numbers that no longer count: they are swept when
//! they outnumber the others.
//!
//! ZooKeeper has two tables, of data and of child watches; here they are one, since a persistent
//! watch is in both. Counts and questions are still per table.
//!
//! Bytes per watch, in 64 tables, as `examples/watch_memory.rs` counts them:
//!
//! | watches | bytes | of them the path |
//! |---|---|---|
//! | a million paths, one connection | 85 | 36 |
//! | a million paths, ten thousand connections | 96 | 36 |
//! | a million paths, a million connections | 100 | 36 |
//! | one path, ten thousand connections | 17 | |
//! | one path, a hundred thousand connections | 12 | |
//! | 100 paths, each by the same ten thousand connections | 14 | |
//! | 20,000 paths, each by 50 of ten thousand connections | 27 | |

mod conns;
mod paths;
#[cfg(test)]
mod tests;
mod watchers;

use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;

use crate::ids::ConnId;
use conns::Conns;
use paths::Paths;
use watchers::Modes;

/// How a watch was set, which decides what it hears and whether it stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchMode {
    /// By `getData` or `exists`: fires once, on the node's creation, deletion and data.
    Data,
    /// By `getChildren`: fires once, on the node's children and its deletion.
    Child,
    /// By `addWatch`: what [`WatchMode::Data`] and [`WatchMode::Child`] hear, and it stays.
    Persistent,
    /// By `addWatch`: data events of the node and all below, and it stays.
    PersistentRecursive,
}

/// The table whose watchers an event is for. Source: `DataTree.dataWatches`, `childWatches`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchTableKind {
    /// Creation, deletion, change of data.
    Data,
    /// Change of children, deletion.
    Child,
}

/// What `checkWatches` and `removeWatches` ask about. Source: `Watcher.WatcherType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum WatcherType {
    /// One-shot child watches.
    Children = 1,
    /// One-shot data watches.
    Data = 2,
    /// Watches of every mode.
    Any = 3,
    /// Persistent watches.
    Persistent = 4,
    /// Persistent recursive watches.
    PersistentRecursive = 5,
}

/// A number that is no [`WatcherType`]; the request fails with `MARSHALLINGERROR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a watcher type")]
pub struct UnknownWatcherType(pub i32);

impl TryFrom<i32> for WatcherType {
    type Error = UnknownWatcherType;

    fn try_from(value: i32) -> Result<Self, UnknownWatcherType> {
        Ok(match value {
            1 => Self::Children,
            2 => Self::Data,
            3 => Self::Any,
            4 => Self::Persistent,
            5 => Self::PersistentRecursive,
            other => return Err(UnknownWatcherType(other)),
        })
    }
}

impl WatchMode {
    const fn modes(self) -> Modes {
        match self {
            Self::Data => Modes::DATA_ONCE,
            Self::Child => Modes::CHILD_ONCE,
            Self::Persistent => Modes::PERSISTENT,
            Self::PersistentRecursive => Modes::RECURSIVE,
        }
    }
}

impl WatcherType {
    /// The modes that count for the question. Source: `DataTree.containsWatcher`, `removeWatch`.
    const fn modes(self) -> Modes {
        match self {
            Self::Children => Modes::CHILD_ONCE,
            Self::Data => Modes::DATA_ONCE,
            Self::Any => Modes::ALL,
            Self::Persistent => Modes::PERSISTENT,
            Self::PersistentRecursive => Modes::RECURSIVE,
        }
    }
}

impl WatchTableKind {
    const fn table(self) -> Modes {
        match self {
            Self::Data => Modes::DATA_TABLE,
            Self::Child => Modes::CHILD_TABLE,
        }
    }

    const fn one_shot(self) -> Modes {
        match self {
            Self::Data => Modes::DATA_ONCE,
            Self::Child => Modes::CHILD_ONCE,
        }
    }
}

/// The paths above `path`, nearest first, `/` last; none for `/` itself.
/// Source: `PathParentIterator`.
pub fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let start = path.trim_end_matches('/').len();
    let mut rest = path.get(..start).unwrap_or_default();
    std::iter::from_fn(move || {
        let slash = rest.rfind('/')?;
        rest = rest.get(..slash).unwrap_or_default();
        Some(if rest.is_empty() { "/" } else { rest })
    })
}

/// A path's hash under `seed`, for choosing among several tables.
#[must_use]
pub fn path_hash(seed: u64, path: &str) -> u64 {
    FixedState::with_seed(seed).hash_one(path)
}

/// Removes from `out[start..]` repetitions and whatever is in `exclude`, and sorts it.
pub fn tidy_watchers(out: &mut Vec<ConnId>, start: usize, exclude: &[ConnId]) {
    let mut tail = out.split_off(start.min(out.len()));
    tail.sort_unstable();
    tail.dedup();
    if !exclude.is_empty() && !tail.is_empty() {
        let mut sorted = exclude.to_vec();
        sorted.sort_unstable();
        tail.retain(|conn| sorted.binary_search(conn).is_err());
    }
    out.append(&mut tail);
}

/// How much is being watched in one table. Source: `WatchManager.toString`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WatchCounts {
    /// Connections that hold a watch.
    pub connections: usize,
    /// Paths that are watched.
    pub paths: usize,
    /// Pairs of connection and path.
    pub watches: usize,
}

/// Who watches what.
#[derive(Debug)]
pub struct WatchTable {
    hash: FixedState,
    paths: Paths,
    conns: Conns,
    /// Pairs of connection and path in the data table.
    data_len: usize,
    /// Pairs of connection and path in the child table.
    child_len: usize,
    recursive_len: usize,
    /// Scratch, kept to save an allocation per event.
    gone: Vec<ConnId>,
}

impl Default for WatchTable {
    fn default() -> Self {
        Self::new()
    }
}

impl WatchTable {
    /// An empty table with a fixed hash seed, for simulations and tests.
    #[must_use]
    pub fn new() -> Self {
        Self::with_seed(0)
    }

    /// An empty table. Clients choose the paths, so a server takes a seed of its process's own.
    #[must_use]
    pub fn with_seed(seed: u64) -> Self {
        Self {
            hash: FixedState::with_seed(seed),
            paths: Paths::default(),
            conns: Conns::with_seed(seed),
            data_len: 0,
            child_len: 0,
            recursive_len: 0,
            gone: Vec::new(),
        }
    }

    /// Sets a watch; one that is there already stays as it is. The caller sees to it that the
    /// connection is open: a closed one's watch would stay until its number is used again.
    pub fn add(&mut self, path: &str, conn: ConnId, mode: WatchMode) {
        let id = self.paths.intern(&self.hash, path);
        let Some(watchers) = self.paths.watchers_mut(id) else {
            return;
        };
        let old = watchers.modes(conn);
        let new = old | mode.modes();
        if new == old {
            return;
        }
        watchers.set(conn, new);
        if old.is_empty() {
            self.conns.link(conn, id);
        }
        self.account(old, new);
    }

    /// Appends the connections that watch exactly `path` in that table, in order and each once,
    /// and removes their one-shot watches. For [`WatchTableKind::Data`] recursive watches on this
    /// very path are among them. Source: `WatchManager.triggerWatch`.
    pub fn fire(&mut self, kind: WatchTableKind, path: &str, out: &mut Vec<ConnId>) {
        let Some(id) = self.paths.find(&self.hash, path) else {
            return;
        };
        let Some(watchers) = self.paths.watchers_mut(id) else {
            return;
        };
        let mut gone = std::mem::take(&mut self.gone);
        let left = watchers.fire(kind.table(), kind.one_shot(), out, &mut gone);
        match kind {
            WatchTableKind::Data => self.data_len -= left,
            WatchTableKind::Child => self.child_len -= left,
        }
        if watchers.is_empty() {
            self.paths.free(&self.hash, id);
        }
        for conn in gone.drain(..) {
            self.conns.unlink(conn, id, &self.paths);
        }
        gone.shrink_to(1024);
        self.gone = gone;
    }

    /// Appends the connections with a recursive watch on `ancestor`, for an event further down.
    pub fn recursive_at(&self, ancestor: &str, out: &mut Vec<ConnId>) {
        if self.recursive_len == 0 {
            return;
        }
        let Some(id) = self.paths.find(&self.hash, ancestor) else {
            return;
        };
        if let Some(watchers) = self.paths.watchers(id) {
            watchers.having(Modes::RECURSIVE, out);
        }
    }

    /// [`WatchTable::fire`], recursive watches on all ancestors included, without `exclude`:
    /// everybody whom an event at `path` is for when there is one table only.
    pub fn fire_all(
        &mut self,
        kind: WatchTableKind,
        path: &str,
        exclude: &[ConnId],
        out: &mut Vec<ConnId>,
    ) {
        let start = out.len();
        self.fire(kind, path, out);
        if kind == WatchTableKind::Data && self.recursive_len > 0 {
            for ancestor in ancestors(path) {
                self.recursive_at(ancestor, out);
            }
        }
        tidy_watchers(out, start, exclude);
    }

    /// Whether the connection has a watch of that type on `path`; [`WatcherType::Children`] and
    /// [`WatcherType::Data`] mean one-shot ones only. Source: `DataTree.containsWatcher`.
    #[must_use]
    pub fn contains(&self, path: &str, conn: ConnId, kind: WatcherType) -> bool {
        let found = self
            .paths
            .find(&self.hash, path)
            .and_then(|id| self.paths.watchers(id));
        found.is_some_and(|watchers| watchers.modes(conn).intersects(kind.modes()))
    }

    /// Removes the connection's watches of that type on `path` and says whether there were any.
    /// Source: `DataTree.removeWatch`.
    pub fn remove(&mut self, path: &str, conn: ConnId, kind: WatcherType) -> bool {
        let Some(id) = self.paths.find(&self.hash, path) else {
            return false;
        };
        let Some(watchers) = self.paths.watchers_mut(id) else {
            return false;
        };
        let old = watchers.modes(conn);
        let new = old.without(kind.modes());
        if new == old {
            return false;
        }
        watchers.set(conn, new);
        if watchers.is_empty() {
            self.paths.free(&self.hash, id);
        }
        if new.is_empty() {
            self.conns.unlink(conn, id, &self.paths);
        }
        self.account(old, new);
        true
    }

    /// Removes all of a connection's watches, as it closes.
    pub fn remove_conn(&mut self, conn: ConnId) {
        for id in self.conns.take(conn) {
            let Some(watchers) = self.paths.watchers_mut(id) else {
                continue;
            };
            let old = watchers.modes(conn);
            if old.is_empty() {
                continue;
            }
            watchers.set(conn, Modes::NONE);
            if watchers.is_empty() {
                self.paths.free(&self.hash, id);
            }
            self.account(old, Modes::NONE);
        }
    }

    /// Paths that the connection watches, in any way.
    #[must_use]
    pub fn paths_of(&self, conn: ConnId) -> usize {
        self.conns.paths_of(conn)
    }

    /// Whether the connection watches `path`, in any way.
    #[must_use]
    pub fn is_watched(&self, path: &str, conn: ConnId) -> bool {
        let found = self.paths.find(&self.hash, path);
        let watchers = found.and_then(|id| self.paths.watchers(id));
        watchers.is_some_and(|watchers| !watchers.modes(conn).is_empty())
    }

    fn account(&mut self, old: Modes, new: Modes) {
        let shift = |count: &mut usize, table: Modes| {
            *count =
                *count + usize::from(new.intersects(table)) - usize::from(old.intersects(table));
        };
        shift(&mut self.data_len, Modes::DATA_TABLE);
        shift(&mut self.child_len, Modes::CHILD_TABLE);
        shift(&mut self.recursive_len, Modes::RECURSIVE);
    }

    /// Recursive watches.
    #[must_use]
    pub const fn recursive_len(&self) -> usize {
        self.recursive_len
    }

    /// Watches of both tables, as `mntr` counts them: a persistent watch is two.
    /// Source: `DataTree.getWatchCount`.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.data_len + self.child_len
    }

    /// Whether nothing is watched.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pairs of connection and path in the data table, the last number of `wchs`.
    #[must_use]
    pub const fn data_len(&self) -> usize {
        self.data_len
    }

    /// Paths watched in the data table. Visits all paths.
    #[must_use]
    pub fn data_paths(&self) -> usize {
        self.paths
            .iter()
            .filter(|(_, watchers)| watchers.any(Modes::DATA_TABLE))
            .count()
    }

    /// What `wchs` shows of the data table. Visits all watches.
    #[must_use]
    pub fn data_counts(&self) -> WatchCounts {
        let mut conns = Vec::new();
        self.data_conns(&mut conns);
        WatchCounts {
            connections: conns.len(),
            paths: self.data_paths(),
            watches: self.data_len,
        }
    }

    /// Appends the connections with a watch in the data table, each once, in no order.
    pub fn data_conns(&self, out: &mut Vec<ConnId>) {
        let watches_data = |conn, id| {
            let watchers = self.paths.watchers(id);
            watchers.is_some_and(|watchers| watchers.modes(conn).intersects(Modes::DATA_TABLE))
        };
        let conns = self.conns.iter();
        out.extend(
            conns
                .filter(|(conn, ids)| ids.iter().any(|&id| watches_data(*conn, id)))
                .map(|(conn, _)| conn),
        );
    }

    /// Calls `visit` for every path watched in the data table, in no order, with its watchers in
    /// theirs; the source of `wchp`. Source: `WatchManager.dumpWatches`.
    pub fn visit_data_paths(&self, mut visit: impl FnMut(&str, &[ConnId])) {
        let mut conns = Vec::new();
        for (path, watchers) in self.paths.iter() {
            conns.clear();
            watchers.having(Modes::DATA_TABLE, &mut conns);
            if !conns.is_empty() {
                visit(path, &conns);
            }
        }
    }

    /// Calls `visit` for every connection with watches in the data table, in no order, with the
    /// paths in theirs; the source of `wchc`. Source: `WatchManager.dumpWatches`.
    pub fn visit_data_conns(&self, mut visit: impl FnMut(ConnId, &[&str])) {
        for (conn, ids) in self.conns.iter() {
            let mut paths: Vec<&str> = ids
                .iter()
                .filter_map(|&id| self.paths.entry(id))
                .filter(|(_, watchers)| watchers.modes(conn).intersects(Modes::DATA_TABLE))
                .map(|(path, _)| path)
                .collect();
            paths.sort_unstable();
            paths.dedup();
            if !paths.is_empty() {
                visit(conn, &paths);
            }
        }
    }
}
