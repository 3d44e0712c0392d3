//! Owns the changes that are prepared but not applied: the next request must see them.
//! Source: `PrepRequestProcessor.getRecordForPath`, `ZooKeeperServer.outstandingChanges`.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;
use hashbrown::HashMap;
use menagerie_wire::data::StatPersisted;
use menagerie_wire::op::ErrorCode;

use crate::acl::AclList;
use crate::ids::Zxid;
use crate::tree::{Tree, digest_excludes, node_digest, prefix_crc};

/// A node as it will be.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) zxid: Zxid,
    /// `None` when it will be gone.
    pub(super) stat: Option<StatPersisted>,
    pub(super) children: i32,
    pub(super) acl: AclList,
    pub(super) data_len: usize,
    prefix_crc: u32,
    digest: u64,
}

impl Change {
    /// The stat of a node that exists.
    pub(super) fn existing(&self) -> Result<StatPersisted, ErrorCode> {
        self.stat.ok_or(ErrorCode::NoNode)
    }
}

/// Undoes what came after it was taken.
#[derive(Debug)]
pub(super) struct Savepoint {
    len: usize,
    digest: u64,
    replaced: Vec<(Arc<str>, Option<Change>)>,
}

#[derive(Debug)]
pub(super) struct Outstanding {
    by_path: HashMap<Arc<str>, Change, SeedableRandomState>,
    order: VecDeque<(Zxid, Arc<str>)>,
    digest: u64,
    savepoint: Option<Savepoint>,
}

impl Outstanding {
    pub(super) fn new(hash_seed: u64) -> Self {
        let state = SeedableRandomState::with_seed(hash_seed, SharedSeed::global_fixed());
        Self {
            by_path: HashMap::with_hasher(state),
            order: VecDeque::new(),
            digest: 0,
            savepoint: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// The tree's digest once everything outstanding is applied.
    pub(super) fn digest(&self, tree: &Tree) -> u64 {
        if self.order.is_empty() {
            tree.digest()
        } else {
            self.digest
        }
    }

    /// The node as it will be. Source: `PrepRequestProcessor.getRecordForPath`.
    pub(super) fn get(&self, tree: &Tree, path: &str) -> Result<Change, ErrorCode> {
        if !self.by_path.is_empty()
            && let Some(change) = self.by_path.get(path)
        {
            return change
                .stat
                .is_some()
                .then(|| change.clone())
                .ok_or(ErrorCode::NoNode);
        }
        let node = tree.get(path)?;
        let excluded = !tree.digest_enabled() || digest_excludes(path);
        Ok(Change {
            zxid: Zxid(-1),
            stat: Some(*node.stat()),
            children: node.num_children(),
            acl: tree.acl_of(node).clone(),
            data_len: node.data_len(),
            prefix_crc: node.prefix_crc,
            digest: if excluded {
                0
            } else {
                node_digest(node.prefix_crc, node.stat())
            },
        })
    }

    pub(super) fn exists(&self, tree: &Tree, path: &str) -> bool {
        match self.by_path.get(path) {
            Some(change) => change.stat.is_some(),
            None => tree.lookup(path).is_some(),
        }
    }

    /// Notes that `change`, got from here, has new state.
    pub(super) fn update(&mut self, tree: &Tree, path: &str, zxid: Zxid, mut change: Change) {
        let before = change.digest;
        change.zxid = zxid;
        let included = tree.digest_enabled() && !digest_excludes(path);
        change.digest = match &change.stat {
            Some(stat) if included => node_digest(change.prefix_crc, stat),
            _ => 0,
        };
        let digest = self
            .digest(tree)
            .wrapping_sub(before)
            .wrapping_add(change.digest);
        self.push(path, change, digest);
    }

    /// As [`Outstanding::update`], with new data.
    pub(super) fn update_data(
        &mut self,
        tree: &Tree,
        path: &str,
        zxid: Zxid,
        mut change: Change,
        data: Option<&[u8]>,
    ) {
        change.data_len = data.map_or(0, <[u8]>::len);
        change.prefix_crc = if tree.digest_enabled() {
            prefix_crc(path, data)
        } else {
            0
        };
        self.update(tree, path, zxid, change);
    }

    /// Notes a node that will come to be.
    pub(super) fn add(
        &mut self,
        tree: &Tree,
        path: &str,
        zxid: Zxid,
        stat: StatPersisted,
        acl: AclList,
        data: Option<&[u8]>,
    ) {
        let change = Change {
            zxid,
            stat: Some(stat),
            children: 0,
            acl,
            data_len: 0,
            prefix_crc: 0,
            digest: 0,
        };
        self.update_data(tree, path, zxid, change, data);
    }

    /// Notes a node that will be gone.
    pub(super) fn remove(&mut self, tree: &Tree, path: &str, zxid: Zxid, mut change: Change) {
        change.stat = None;
        change.children = -1;
        self.update(tree, path, zxid, change);
    }

    fn push(&mut self, path: &str, change: Change, digest: u64) {
        let path: Arc<str> = path.into();
        self.digest = digest;
        self.order.push_back((change.zxid, Arc::clone(&path)));
        let old = self.by_path.insert(Arc::clone(&path), change);
        if let Some(savepoint) = &mut self.savepoint {
            savepoint.replaced.push((path, old));
        }
    }

    /// Paths that change, in order, and whether there will be a node of `session` then.
    pub(super) fn ephemeral_changes(&self, session: i64) -> impl Iterator<Item = (&str, bool)> {
        self.order.iter().filter_map(move |(_, path)| {
            // What was deleted and made again belongs to whoever made it last.
            let change = self.by_path.get(path)?;
            let owner = change.stat.map(|stat| stat.ephemeral_owner);
            Some((&**path, owner == Some(session)))
        })
    }

    /// Forgets the changes up to `zxid`, which the tree has now.
    pub(super) fn applied(&mut self, zxid: Zxid) {
        while self.order.front().is_some_and(|(first, _)| *first <= zxid) {
            let Some((first, path)) = self.order.pop_front() else {
                return;
            };
            if self
                .by_path
                .get(&path)
                .is_some_and(|change| change.zxid == first)
            {
                self.by_path.remove(&path);
            }
        }
    }

    /// Starts a multi.
    pub(super) fn save(&mut self, tree: &Tree) {
        let (len, digest) = (self.order.len(), self.digest(tree));
        self.savepoint = Some(Savepoint {
            len,
            digest,
            replaced: Vec::new(),
        });
    }

    /// Ends a multi; when it failed its changes are undone.
    /// Source: `PrepRequestProcessor.rollbackPendingChanges`.
    pub(super) fn finish(&mut self, failed: bool) {
        let Some(savepoint) = self.savepoint.take().filter(|_| failed) else {
            return;
        };
        for (path, old) in savepoint.replaced.into_iter().rev() {
            match old {
                Some(old) => self.by_path.insert(path, old),
                None => self.by_path.remove(&path),
            };
        }
        self.order.truncate(savepoint.len);
        self.digest = savepoint.digest;
    }
}
