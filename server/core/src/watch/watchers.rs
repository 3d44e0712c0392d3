//! Owns the watchers of one path. Must not know paths.

use std::collections::BTreeMap;
use std::ops::BitOr;

use crate::ids::ConnId;

/// Watchers in a sorted list; more are kept as bitmaps.
const FEW_MAX: usize = 64;
/// Bitmaps with fewer watchers become a list again. Half of [`FEW_MAX`], lest one connection that
/// comes and goes converts each time.
const MANY_MIN: usize = FEW_MAX / 2;
/// Connections per word of a bitmap.
const WORD: u32 = u64::BITS;

/// A set of watch modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Modes(u8);

impl Modes {
    pub(super) const NONE: Self = Self(0);
    pub(super) const DATA_ONCE: Self = Self(1);
    pub(super) const CHILD_ONCE: Self = Self(2);
    pub(super) const PERSISTENT: Self = Self(4);
    pub(super) const RECURSIVE: Self = Self(8);
    pub(super) const ALL: Self = Self(15);
    /// What is in ZooKeeper's table of data watches.
    pub(super) const DATA_TABLE: Self =
        Self(Self::DATA_ONCE.0 | Self::PERSISTENT.0 | Self::RECURSIVE.0);
    /// What is in ZooKeeper's table of child watches.
    pub(super) const CHILD_TABLE: Self = Self(Self::CHILD_ONCE.0 | Self::PERSISTENT.0);

    /// Number of modes.
    const COUNT: usize = 4;

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    const fn single(index: usize) -> Self {
        Self(1 << index)
    }
}

impl BitOr for Modes {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Who watches a path, and how. 16 bytes, and nothing on the heap for a single watcher.
#[derive(Debug, Default)]
pub(super) enum Watchers {
    #[default]
    None,
    One(ConnId, Modes),
    Few(Box<Few>),
    Many(Box<Many>),
}

/// Sorted by connection, no empty modes.
#[derive(Debug, Default)]
pub(super) struct Few {
    list: Vec<(ConnId, Modes)>,
}

impl Watchers {
    pub(super) const fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The connection's modes here.
    pub(super) fn modes(&self, conn: ConnId) -> Modes {
        match self {
            Self::None => Modes::NONE,
            Self::One(only, modes) => {
                if *only == conn {
                    *modes
                } else {
                    Modes::NONE
                }
            }
            Self::Few(few) => few.find(conn).map_or(Modes::NONE, |(_, modes)| modes),
            Self::Many(many) => many.modes(conn),
        }
    }

    /// Whether anybody watches in one of `modes`.
    pub(super) fn any(&self, modes: Modes) -> bool {
        match self {
            Self::None => false,
            Self::One(_, only) => only.intersects(modes),
            Self::Few(few) => few.list.iter().any(|(_, own)| own.intersects(modes)),
            Self::Many(many) => many.maps(modes).any(|map| !map.is_empty()),
        }
    }

    /// Appends the connections that watch in one of `modes`, in order.
    pub(super) fn having(&self, modes: Modes, out: &mut Vec<ConnId>) {
        match self {
            Self::None => {}
            Self::One(conn, own) => out.extend(own.intersects(modes).then_some(*conn)),
            Self::Few(few) => {
                let hits = few.list.iter().filter(|(_, own)| own.intersects(modes));
                out.extend(hits.map(|(conn, _)| *conn));
            }
            Self::Many(many) => many.having(modes, out),
        }
    }

    /// Replaces the connection's modes; none removes it.
    pub(super) fn set(&mut self, conn: ConnId, modes: Modes) {
        match self {
            Self::None => {
                if !modes.is_empty() {
                    *self = Self::One(conn, modes);
                }
            }
            Self::One(only, own) if *only == conn => {
                if modes.is_empty() {
                    *self = Self::None;
                } else {
                    *own = modes;
                }
            }
            Self::One(only, own) => {
                if !modes.is_empty() {
                    let mut few = Box::new(Few {
                        list: vec![(*only, *own)],
                    });
                    few.set(conn, modes);
                    *self = Self::Few(few);
                }
            }
            Self::Few(few) => {
                few.set(conn, modes);
                self.fit();
            }
            Self::Many(many) => {
                many.set(conn, modes);
                self.fit();
            }
        }
    }

    /// Appends whoever watches in a mode of `table`, in order, and takes the mode `one_shot` away
    /// from them. Connections without any mode after that are appended to `gone`. Returns how
    /// many have no mode of `table` any more.
    pub(super) fn fire(
        &mut self,
        table: Modes,
        one_shot: Modes,
        out: &mut Vec<ConnId>,
        gone: &mut Vec<ConnId>,
    ) -> usize {
        self.having(table, out);
        let left = match self {
            Self::None => return 0,
            Self::One(conn, modes) => {
                let fired = modes.intersects(one_shot);
                let left = fired && !modes.without(one_shot).intersects(table);
                *modes = modes.without(one_shot);
                if modes.is_empty() {
                    gone.push(*conn);
                    *self = Self::None;
                }
                return usize::from(left);
            }
            Self::Few(few) => few.take(table, one_shot, gone),
            Self::Many(many) => many.take(table, one_shot, gone),
        };
        self.fit();
        left
    }

    /// Chooses the representation for the number of watchers.
    fn fit(&mut self) {
        match self {
            Self::None | Self::One(..) => {}
            Self::Few(few) if few.list.len() > FEW_MAX => {
                let mut many = Box::<Many>::default();
                for &(conn, modes) in &few.list {
                    many.set(conn, modes);
                }
                *self = Self::Many(many);
            }
            Self::Few(few) => match few.list.as_slice() {
                [] => *self = Self::None,
                [(conn, modes)] => *self = Self::One(*conn, *modes),
                list if few.list.capacity() > 8 && list.len() < few.list.capacity() / 4 => {
                    few.list.shrink_to_fit();
                }
                _ => {}
            },
            Self::Many(many) if many.len < MANY_MIN => {
                *self = Self::Few(Box::new(Few {
                    list: many.to_list(),
                }));
                self.fit();
            }
            Self::Many(_) => {}
        }
    }
}

impl Few {
    fn find(&self, conn: ConnId) -> Option<(ConnId, Modes)> {
        let at = self
            .list
            .binary_search_by_key(&conn, |(conn, _)| *conn)
            .ok()?;
        self.list.get(at).copied()
    }

    fn set(&mut self, conn: ConnId, modes: Modes) {
        match self.list.binary_search_by_key(&conn, |(conn, _)| *conn) {
            Ok(at) if modes.is_empty() => {
                self.list.remove(at);
            }
            Ok(at) => {
                if let Some(entry) = self.list.get_mut(at) {
                    entry.1 = modes;
                }
            }
            Err(_) if modes.is_empty() => {}
            Err(at) => self.list.insert(at, (conn, modes)),
        }
    }

    fn take(&mut self, table: Modes, one_shot: Modes, gone: &mut Vec<ConnId>) -> usize {
        let mut left = 0;
        self.list.retain_mut(|(conn, modes)| {
            if !modes.intersects(one_shot) {
                return true;
            }
            *modes = modes.without(one_shot);
            left += usize::from(!modes.intersects(table));
            if modes.is_empty() {
                gone.push(*conn);
            }
            !modes.is_empty()
        });
        left
    }
}

/// Per mode, words of 64 connections: cheap where connection numbers are dense, and bounded by
/// a map entry per watcher where they are not. No word is zero.
#[derive(Debug, Default)]
pub(super) struct Many {
    words: [BTreeMap<u32, u64>; Modes::COUNT],
    /// Connections with a mode.
    len: usize,
}

const fn place(conn: ConnId) -> (u32, u64) {
    (conn.0 / WORD, 1 << (conn.0 % WORD))
}

fn for_bits(key: u32, mut word: u64, mut visit: impl FnMut(ConnId)) {
    while word != 0 {
        visit(ConnId(key * WORD + word.trailing_zeros()));
        word &= word - 1;
    }
}

impl Many {
    fn maps(&self, modes: Modes) -> impl Iterator<Item = &BTreeMap<u32, u64>> {
        let chosen = move |(index, _): &(usize, _)| Modes::single(*index).intersects(modes);
        self.words
            .iter()
            .enumerate()
            .filter(chosen)
            .map(|(_, map)| map)
    }

    /// The word `key` of the union of `modes`.
    fn word(&self, key: u32, modes: Modes) -> u64 {
        self.maps(modes)
            .filter_map(|map| map.get(&key))
            .fold(0, |all, word| all | word)
    }

    fn modes(&self, conn: ConnId) -> Modes {
        let (key, bit) = place(conn);
        let mut modes = Modes::NONE;
        for (index, map) in self.words.iter().enumerate() {
            if map.get(&key).is_some_and(|word| word & bit != 0) {
                modes = modes | Modes::single(index);
            }
        }
        modes
    }

    fn union(&self, modes: Modes) -> BTreeMap<u32, u64> {
        let mut union = BTreeMap::new();
        for map in self.maps(modes) {
            for (&key, &word) in map {
                *union.entry(key).or_default() |= word;
            }
        }
        union
    }

    fn having(&self, modes: Modes, out: &mut Vec<ConnId>) {
        let mut maps = self.maps(modes).filter(|map| !map.is_empty());
        let (first, second) = (maps.next(), maps.next());
        match (first, second) {
            (None, _) => {}
            (Some(only), None) => {
                only.iter()
                    .for_each(|(&key, &word)| for_bits(key, word, |conn| out.push(conn)));
            }
            _ => {
                for (key, word) in self.union(modes) {
                    for_bits(key, word, |conn| out.push(conn));
                }
            }
        }
    }

    fn set(&mut self, conn: ConnId, modes: Modes) {
        let had = !self.modes(conn).is_empty();
        let (key, bit) = place(conn);
        for (index, map) in self.words.iter_mut().enumerate() {
            if modes.intersects(Modes::single(index)) {
                *map.entry(key).or_default() |= bit;
            } else if let Some(word) = map.get_mut(&key) {
                *word &= !bit;
                if *word == 0 {
                    map.remove(&key);
                }
            }
        }
        self.len = self.len + usize::from(!modes.is_empty()) - usize::from(had);
    }

    fn take(&mut self, table: Modes, one_shot: Modes, gone: &mut Vec<ConnId>) -> usize {
        let mut left = 0;
        let before = gone.len();
        for index in 0..Modes::COUNT {
            if !Modes::single(index).intersects(one_shot) {
                continue;
            }
            let Some(map) = self.words.get_mut(index) else {
                continue;
            };
            for (key, word) in std::mem::take(map) {
                left += (word & !self.word(key, table)).count_ones() as usize;
                for_bits(key, word & !self.word(key, Modes::ALL), |conn| {
                    gone.push(conn)
                });
            }
        }
        self.len -= gone.len() - before;
        left
    }

    fn to_list(&self) -> Vec<(ConnId, Modes)> {
        let mut conns = Vec::with_capacity(self.len);
        self.having(Modes::ALL, &mut conns);
        conns
            .into_iter()
            .map(|conn| (conn, self.modes(conn)))
            .collect()
    }
}
