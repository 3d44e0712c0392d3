//! Owns which paths each connection watches, so that its watches can be found when it closes.
//! Must not know modes.
//!
//! A server has many tables and a connection a few paths in each, so a connection is 8 bytes: its
//! number, and where its list is. The only path of a list stands there in its place.

use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::paths::{PathId, Paths};
use crate::ids::ConnId;

/// Paths in a short list.
const SHORT: usize = 4;
/// Numbers in a long list that may not count before sweeping is considered.
const SLACK: usize = 16;

/// Where a connection's list is: the kind in the two highest bits, a number in the others.
#[derive(Debug, Clone, Copy)]
struct Place(u32);

enum Kind {
    /// The number is the only path's.
    Single(PathId),
    /// The number is the index of a short list.
    Short(usize),
    /// The number is the index of a long list.
    Long(usize),
}

impl Place {
    const SHORT: u32 = 1 << 30;
    const LONG: u32 = 2 << 30;
    const NUMBER: u32 = Self::SHORT - 1;

    fn new(kind: &Kind) -> Self {
        let number = |index: usize| u32::try_from(index).expect("as many lists as paths at most");
        Self(match kind {
            Kind::Single(id) => id.0,
            Kind::Short(index) => Self::SHORT | number(*index),
            Kind::Long(index) => Self::LONG | number(*index),
        })
    }

    const fn kind(self) -> Kind {
        let number = self.0 & Self::NUMBER;
        match self.0 & !Self::NUMBER {
            0 => Kind::Single(PathId(number)),
            Self::SHORT => Kind::Short(number as usize),
            _ => Kind::Long(number as usize),
        }
    }
}

/// Up to [`SHORT`] paths, then [`PathId::NONE`].
type Short = [PathId; SHORT];

/// `ids` holds every path that the connection watches, and maybe others and repetitions.
#[derive(Debug, Default)]
struct Long {
    ids: Vec<PathId>,
    /// Paths that the connection watches.
    live: usize,
}

/// Values by index; freed ones are reused.
#[derive(Debug)]
struct Slab<T> {
    values: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    fn put(&mut self, value: T) -> usize {
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.values.get_mut(index as usize)
        {
            *slot = value;
            return index as usize;
        }
        if self.values.len() == self.values.capacity() {
            self.values.reserve_exact((self.values.len() / 4).max(16));
        }
        self.values.push(value);
        self.values.len() - 1
    }

    /// Takes a value out and leaves `rest` in its place.
    fn take(&mut self, index: usize, rest: T) -> Option<T> {
        let slot = self.values.get_mut(index)?;
        self.free.push(u32::try_from(index).ok()?);
        Some(std::mem::replace(slot, rest))
    }
}

#[derive(Debug)]
pub(super) struct Conns {
    hash: FixedState,
    index: HashTable<(ConnId, Place)>,
    short: Slab<Short>,
    long: Slab<Long>,
}

fn used(short: &Short) -> &[PathId] {
    let len = short.iter().take_while(|id| **id != PathId::NONE).count();
    short.get(..len).unwrap_or_default()
}

/// The ids as a short list, if they fit.
fn shortened(ids: &[PathId]) -> Option<Short> {
    let mut short = [PathId::NONE; SHORT];
    short.get_mut(..ids.len())?.copy_from_slice(ids);
    Some(short)
}

impl Conns {
    pub(super) fn with_seed(seed: u64) -> Self {
        Self {
            hash: FixedState::with_seed(seed),
            index: HashTable::new(),
            short: Slab::default(),
            long: Slab::default(),
        }
    }

    /// Notes that the connection watches a path that it did not watch before.
    pub(super) fn link(&mut self, conn: ConnId, id: PathId) {
        let hash = self.hash.hash_one(conn);
        let Some((_, place)) = self.index.find_mut(hash, |(other, _)| *other == conn) else {
            let state = &self.hash;
            let place = Place::new(&Kind::Single(id));
            self.index
                .insert_unique(hash, (conn, place), |(conn, _)| state.hash_one(conn));
            return;
        };
        match place.kind() {
            Kind::Single(first) => {
                let short = [first, id, PathId::NONE, PathId::NONE];
                *place = Place::new(&Kind::Short(self.short.put(short)));
            }
            Kind::Short(index) => {
                let Some(short) = self.short.values.get_mut(index) else {
                    return;
                };
                if let Some(slot) = short.iter_mut().find(|slot| **slot == PathId::NONE) {
                    *slot = id;
                    return;
                }
                let mut ids = Vec::with_capacity(2 * SHORT);
                ids.extend_from_slice(short);
                ids.push(id);
                self.short.take(index, [PathId::NONE; SHORT]);
                let long = Long {
                    live: ids.len(),
                    ids,
                };
                *place = Place::new(&Kind::Long(self.long.put(long)));
            }
            Kind::Long(index) => {
                if let Some(long) = self.long.values.get_mut(index) {
                    long.ids.push(id);
                    long.live += 1;
                }
            }
        }
    }

    /// Notes that the connection does not watch the path any more; `paths` knows it already.
    pub(super) fn unlink(&mut self, conn: ConnId, id: PathId, paths: &Paths) {
        let hash = self.hash.hash_one(conn);
        let Ok(mut entry) = self.index.find_entry(hash, |(other, _)| *other == conn) else {
            return;
        };
        let place = &mut entry.get_mut().1;
        match place.kind() {
            Kind::Single(_) => {
                entry.remove();
            }
            Kind::Short(index) => {
                let Some(short) = self.short.values.get_mut(index) else {
                    return;
                };
                let Some(at) = short.iter().position(|other| *other == id) else {
                    return;
                };
                short[at..].rotate_left(1);
                short[SHORT - 1] = PathId::NONE;
                if let [only] = *used(short) {
                    *place = Place::new(&Kind::Single(only));
                    self.short.take(index, [PathId::NONE; SHORT]);
                }
            }
            Kind::Long(index) => {
                let Some(long) = self.long.values.get_mut(index) else {
                    return;
                };
                long.live = long.live.saturating_sub(1);
                if long.live == 0 {
                    self.long.take(index, Long::default());
                    entry.remove();
                } else if long.ids.len() > 2 * long.live + SLACK {
                    long.sweep(conn, paths);
                    if let Some(short) = shortened(&long.ids) {
                        self.long.take(index, Long::default());
                        *place = Place::new(&match *used(&short) {
                            [only] => Kind::Single(only),
                            _ => Kind::Short(self.short.put(short)),
                        });
                    }
                }
            }
        }
    }

    /// Forgets the connection and returns its paths, maybe with others and repetitions.
    pub(super) fn take(&mut self, conn: ConnId) -> Vec<PathId> {
        let hash = self.hash.hash_one(conn);
        let Ok(entry) = self.index.find_entry(hash, |(other, _)| *other == conn) else {
            return Vec::new();
        };
        let ((_, place), _) = entry.remove();
        let ids = match place.kind() {
            Kind::Single(only) => vec![only],
            Kind::Short(index) => {
                let short = self.short.take(index, [PathId::NONE; SHORT]);
                short.as_ref().map(used).unwrap_or_default().to_vec()
            }
            Kind::Long(index) => self
                .long
                .take(index, Long::default())
                .map(|long| long.ids)
                .unwrap_or_default(),
        };
        if self.index.is_empty() && self.index.capacity() > 1024 {
            self.index = HashTable::new();
            (self.short, self.long) = (Slab::default(), Slab::default());
        }
        ids
    }

    /// Paths that the connection watches.
    pub(super) fn paths_of(&self, conn: ConnId) -> usize {
        let hash = self.hash.hash_one(conn);
        let found = self.index.find(hash, |(other, _)| *other == conn);
        match found.map(|(_, place)| place.kind()) {
            None => 0,
            Some(Kind::Single(_)) => 1,
            Some(Kind::Short(index)) => self.short.values.get(index).map_or(0, |s| used(s).len()),
            Some(Kind::Long(index)) => self.long.values.get(index).map_or(0, |long| long.live),
        }
    }

    fn ids<'a>(&'a self, place: &'a Place) -> Vec<PathId> {
        match place.kind() {
            Kind::Single(only) => vec![only],
            Kind::Short(index) => self
                .short
                .values
                .get(index)
                .map(used)
                .unwrap_or_default()
                .to_vec(),
            Kind::Long(index) => self
                .long
                .values
                .get(index)
                .map(|long| long.ids.clone())
                .unwrap_or_default(),
        }
    }

    /// All connections, in no order, each with the numbers of its paths and maybe others.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnId, Vec<PathId>)> {
        self.index
            .iter()
            .map(|(conn, place)| (*conn, self.ids(place)))
    }
}

impl Long {
    /// Takes out what the connection does not watch.
    fn sweep(&mut self, conn: ConnId, paths: &Paths) {
        let watched = |id| {
            paths
                .watchers(id)
                .is_some_and(|watchers| !watchers.modes(conn).is_empty())
        };
        self.ids.sort_unstable();
        self.ids.dedup();
        self.ids.retain(|id| watched(*id));
        self.ids.shrink_to(2 * self.live);
    }
}
