//! Owns which paths each connection watches, so that its watches can be found when it closes.
//! Must not know modes.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::paths::{PathId, Paths};
use crate::ids::ConnId;

/// Path numbers that fit in place.
const INLINE: usize = 3;
/// Numbers that may be swept before sweeping is considered.
const SLACK: usize = 16;

/// The numbers of a connection's paths. In a server with many tables a connection has a few paths
/// in each, so those few need no allocation.
#[derive(Debug)]
enum PathIds {
    Inline { len: u8, ids: [PathId; INLINE] },
    Heap(Box<Listed>),
}

/// `ids` holds every path that the connection watches, and maybe others and repetitions.
#[derive(Debug)]
struct Listed {
    ids: Vec<PathId>,
    /// Paths that the connection watches.
    live: usize,
}

#[derive(Debug)]
pub(super) struct Conns {
    map: HashMap<ConnId, PathIds, FixedState>,
}

impl PathIds {
    fn as_slice(&self) -> &[PathId] {
        match self {
            Self::Inline { len, ids } => ids.get(..usize::from(*len)).unwrap_or_default(),
            Self::Heap(listed) => &listed.ids,
        }
    }

    fn push(&mut self, id: PathId) {
        match self {
            Self::Inline { len, ids } => {
                if let Some(slot) = ids.get_mut(usize::from(*len)) {
                    *slot = id;
                    *len += 1;
                } else {
                    let mut all = Vec::with_capacity(2 * INLINE);
                    all.extend_from_slice(ids);
                    all.push(id);
                    let live = all.len();
                    *self = Self::Heap(Box::new(Listed { ids: all, live }));
                }
            }
            Self::Heap(listed) => {
                listed.ids.push(id);
                listed.live += 1;
            }
        }
    }

    /// Takes a path off and says whether none is left.
    fn drop_one(&mut self, id: PathId, still_watched: impl Fn(PathId) -> bool) -> bool {
        match self {
            Self::Inline { len, ids } => {
                let used = ids.get_mut(..usize::from(*len)).unwrap_or_default();
                if let Some(at) = used.iter().position(|other| *other == id) {
                    used[at..].rotate_left(1);
                    *len -= 1;
                }
                *len == 0
            }
            Self::Heap(listed) => {
                listed.live = listed.live.saturating_sub(1);
                if listed.live == 0 {
                    return true;
                }
                if listed.ids.len() > 2 * listed.live + SLACK {
                    listed.sweep(still_watched);
                    if let Some(inline) = listed.inline() {
                        *self = inline;
                    }
                }
                false
            }
        }
    }
}

impl Listed {
    fn sweep(&mut self, still_watched: impl Fn(PathId) -> bool) {
        self.ids.sort_unstable();
        self.ids.dedup();
        self.ids.retain(|id| still_watched(*id));
        self.ids.shrink_to(2 * self.live);
    }

    fn inline(&self) -> Option<PathIds> {
        let first = *self.ids.first()?;
        let mut ids = [first; INLINE];
        ids.get_mut(..self.ids.len())?.copy_from_slice(&self.ids);
        Some(PathIds::Inline {
            len: u8::try_from(self.ids.len()).ok()?,
            ids,
        })
    }
}

impl Conns {
    pub(super) fn with_seed(seed: u64) -> Self {
        Self {
            map: HashMap::with_hasher(FixedState::with_seed(seed)),
        }
    }

    /// Notes that the connection watches a path that it did not watch before.
    pub(super) fn link(&mut self, conn: ConnId, id: PathId) {
        match self.map.entry(conn) {
            Entry::Occupied(mut entry) => entry.get_mut().push(id),
            Entry::Vacant(entry) => {
                entry.insert(PathIds::Inline {
                    len: 1,
                    ids: [id; INLINE],
                });
            }
        }
    }

    /// Notes that the connection does not watch the path any more; `paths` knows it already.
    pub(super) fn unlink(&mut self, conn: ConnId, id: PathId, paths: &Paths) {
        let Entry::Occupied(mut entry) = self.map.entry(conn) else {
            return;
        };
        let still_watched = |id| {
            paths
                .watchers(id)
                .is_some_and(|watchers| !watchers.modes(conn).is_empty())
        };
        if entry.get_mut().drop_one(id, still_watched) {
            entry.remove();
        }
    }

    /// Forgets the connection and returns its paths, maybe with others and repetitions.
    pub(super) fn take(&mut self, conn: ConnId) -> Vec<PathId> {
        let ids = self.map.remove(&conn);
        if self.map.is_empty() && self.map.capacity() > 1024 {
            self.map.shrink_to_fit();
        }
        match ids {
            None => Vec::new(),
            Some(PathIds::Heap(listed)) => listed.ids,
            Some(inline) => inline.as_slice().to_vec(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnId, &[PathId])> {
        self.map.iter().map(|(conn, ids)| (*conn, ids.as_slice()))
    }
}
