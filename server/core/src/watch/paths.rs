//! Owns the watched paths and their numbers. Must not know connections.

use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::watchers::Watchers;

/// A path's number, reused after nobody watches the path any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PathId(pub(super) u32);

impl PathId {
    /// No path.
    pub(super) const NONE: Self = Self(u32::MAX);
    /// The number of paths that a table can hold; two bits are left for [`super::conns`].
    const LIMIT: usize = 1 << 30;
}

/// A watched path. A slot without watchers is free or about to be filled.
#[derive(Debug, Default)]
struct Slot {
    path: Box<str>,
    watchers: Watchers,
}

#[derive(Debug, Default)]
pub(super) struct Paths {
    slots: Vec<Slot>,
    free: Vec<PathId>,
    index: HashTable<PathId>,
}

impl Paths {
    fn slot(&self, id: PathId) -> Option<&Slot> {
        self.slots.get(id.0 as usize)
    }

    pub(super) fn find(&self, hash: &FixedState, path: &str) -> Option<PathId> {
        let is_it = |id: &PathId| self.slot(*id).is_some_and(|slot| &*slot.path == path);
        self.index.find(hash.hash_one(path), is_it).copied()
    }

    /// The path's number, a new one if nobody watches it yet: the caller adds a watcher at once.
    pub(super) fn intern(&mut self, hash: &FixedState, path: &str) -> PathId {
        if let Some(id) = self.find(hash, path) {
            return id;
        }
        let id = self.free.pop().unwrap_or_else(|| self.grow());
        if let Some(slot) = self.slots.get_mut(id.0 as usize) {
            slot.path = path.into();
        }
        let slots = &self.slots;
        self.index.insert_unique(hash.hash_one(path), id, |id| {
            hash.hash_one(slots.get(id.0 as usize).map_or("", |slot| &slot.path))
        });
        id
    }

    fn grow(&mut self) -> PathId {
        if self.slots.len() == self.slots.capacity() {
            // A quarter more at a time: doubling would leave half of a million slots unused.
            self.slots.reserve_exact((self.slots.len() / 4).max(16));
        }
        assert!(
            self.slots.len() < PathId::LIMIT,
            "more than 2^30 watched paths in a table"
        );
        self.slots.push(Slot::default());
        PathId(u32::try_from(self.slots.len() - 1).expect("it is below the limit"))
    }

    /// Gives the number back; nobody watches the path.
    pub(super) fn free(&mut self, hash: &FixedState, id: PathId) {
        let Some(slot) = self.slots.get_mut(id.0 as usize) else {
            return;
        };
        debug_assert!(slot.watchers.is_empty());
        let path = std::mem::take(&mut slot.path);
        if let Ok(entry) = self
            .index
            .find_entry(hash.hash_one(&*path), |other| *other == id)
        {
            entry.remove();
        }
        self.free.push(id);
        if self.index.is_empty() && self.slots.len() > 1024 {
            *self = Self::default();
        }
    }

    pub(super) fn watchers(&self, id: PathId) -> Option<&Watchers> {
        self.slot(id).map(|slot| &slot.watchers)
    }

    pub(super) fn watchers_mut(&mut self, id: PathId) -> Option<&mut Watchers> {
        self.slots
            .get_mut(id.0 as usize)
            .map(|slot| &mut slot.watchers)
    }

    pub(super) fn entry(&self, id: PathId) -> Option<(&str, &Watchers)> {
        self.slot(id).map(|slot| (&*slot.path, &slot.watchers))
    }

    /// All watched paths, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Watchers)> {
        let used = self.slots.iter().filter(|slot| !slot.watchers.is_empty());
        used.map(|slot| (&*slot.path, &slot.watchers))
    }
}
