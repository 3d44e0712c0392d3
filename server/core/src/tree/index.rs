//! Owns the way from a path to its node: 256 hash tables of (tag, id) pairs, so that no single
//! resize is long. Must not hold paths: a match is verified by walking up the parents.

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher as _;

use super::node::ZnodeId;

const TABLES: usize = 256;

#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: u32,
    id: ZnodeId,
}

/// Hash of a path under the tree's seed.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathHash(u64);

impl PathHash {
    const fn table(self) -> usize {
        (self.0 >> 56) as usize
    }

    #[allow(clippy::cast_possible_truncation)]
    const fn tag(self) -> u32 {
        self.0 as u32
    }
}

/// Spreads a tag over 64 bits: the tables use the high bits as well as the low ones.
const fn spread(tag: u32) -> u64 {
    (tag as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[derive(Debug)]
pub(super) struct PathIndex {
    tables: Vec<HashTable<Entry>>,
    state: SeedableRandomState,
}

impl PathIndex {
    /// `seed` keeps clients from choosing paths that collide.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            tables: (0..TABLES).map(|_| HashTable::new()).collect(),
            state: SeedableRandomState::with_seed(seed, SharedSeed::global_fixed()),
        }
    }

    pub(super) fn hash(&self, path: &str) -> PathHash {
        PathHash(self.state.hash_one(path.as_bytes()))
    }

    /// The id for which `matches` says that it has the path.
    pub(super) fn find(
        &self,
        hash: PathHash,
        mut matches: impl FnMut(ZnodeId) -> bool,
    ) -> Option<ZnodeId> {
        let tag = hash.tag();
        self.tables[hash.table()]
            .find(spread(tag), |entry| entry.tag == tag && matches(entry.id))
            .map(|entry| entry.id)
    }

    pub(super) fn insert(&mut self, hash: PathHash, id: ZnodeId) {
        let tag = hash.tag();
        self.tables[hash.table()]
            .insert_unique(spread(tag), Entry { tag, id }, |entry| spread(entry.tag));
    }

    pub(super) fn remove(&mut self, hash: PathHash, id: ZnodeId) {
        let tag = hash.tag();
        if let Ok(entry) = self.tables[hash.table()].find_entry(spread(tag), |entry| entry.id == id)
        {
            entry.remove();
        }
    }
}
