//! Owns the znodes: paths, data, stats, children, ACLs, ephemerals, quotas' statistics, digest and
//! size. May use `acl`, `quota`. Must not know requests, sessions' time-outs or watches.
//!
//! A change either happens completely or returns an error code and changes nothing, except where
//! replay on a fuzzy snapshot needs a part of it; those places cite their source.

mod cursor;
mod digest;
mod index;
mod load;
mod node;
mod quota_stats;

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use menagerie_wire::data::{Stat, StatPersisted};
use menagerie_wire::op::ErrorCode;

use crate::acl::{AclEntry, AclId, AclList, AclTable};
use crate::quota::QuotaTrie;

pub use cursor::{SnapshotCursor, SnapshotNode};
pub use digest::{excluded as digest_excludes, node_digest, prefix_crc};
use index::PathIndex;
use node::Name;
pub use node::{
    CONFIG_NODE, CONTAINER_OWNER, Owner, OwnerRules, TTL_MAX, Znode, ZnodeId, client_stat,
};

/// Nodes per chunk; chunks never move, so growth copies nothing.
const CHUNK: usize = 4096;
/// Zxids between two entries of the digest log. Source: `DataTree.DIGEST_LOG_INTERVAL`.
const DIGEST_LOG_INTERVAL: i64 = 128;
/// Entries of the digest log. Source: `DataTree.DIGEST_LOG_LIMIT`.
const DIGEST_LOG_LIMIT: usize = 1024;

/// A node's parent path; `""` stands for the root. The path has a slash.
#[must_use]
pub fn parent_path(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| &path[..slash])
}

/// What the constructor needs to know.
#[derive(Debug, Clone, Copy)]
pub struct TreeOptions {
    /// How owner values are read.
    pub owner_rules: OwnerRules,
    /// Whether the digest is maintained.
    pub digest_enabled: bool,
    /// Seed of the path hash; any number, different per process.
    pub hash_seed: u64,
}

impl Default for TreeOptions {
    fn default() -> Self {
        Self {
            owner_rules: OwnerRules::default(),
            digest_enabled: true,
            hash_seed: 0,
        }
    }
}

/// A node to create.
#[derive(Debug)]
pub struct NewNode<'a> {
    /// Its full, valid path.
    pub path: &'a str,
    /// Its data.
    pub data: Option<&'a [u8]>,
    /// Its ACL.
    pub acl: &'a [AclEntry],
    /// Its owner value, see [`OwnerRules`].
    pub owner: i64,
    /// The parent's creation counter after this; −1 for one more than now.
    pub parent_cversion: i32,
    /// The transaction.
    pub zxid: i64,
    /// Its time, ms.
    pub time: i64,
}

/// A checksum of the tree at some zxid, for comparison with other replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZxidDigest {
    /// The last transaction covered.
    pub zxid: i64,
    /// The tree's digest.
    pub digest: u64,
}

/// The tree.
#[derive(Debug)]
pub struct Tree {
    options: TreeOptions,
    chunks: Vec<Vec<Option<Znode>>>,
    free: Vec<u32>,
    len: usize,
    index: PathIndex,
    acls: AclTable,
    ephemerals: HashMap<i64, HashSet<ZnodeId, FixedState>, FixedState>,
    containers: HashSet<ZnodeId, FixedState>,
    ttls: HashSet<ZnodeId, FixedState>,
    quotas: QuotaTrie,
    digest: u64,
    /// The digest in the snapshot that was loaded, until replay has reached its zxid: before that
    /// the tree is a mixture of times and its digest means nothing.
    snapshot_digest: Option<ZxidDigest>,
    digest_distrusted: bool,
    digest_log: std::collections::VecDeque<ZxidDigest>,
    data_bytes: i64,
    last_zxid: i64,
}

impl Tree {
    /// A fresh tree: `/`, `/zookeeper`, its `quota` and `config`. Source: `DataTree.DataTree`.
    #[must_use]
    pub fn new(options: TreeOptions) -> Self {
        let mut tree = Self::without_nodes(options);
        tree.insert_root(Some(&[]), AclId::OPEN, StatPersisted::default());
        for path in ["/zookeeper", "/zookeeper/quota", CONFIG_NODE] {
            let parent = tree.lookup(parent_path(path)).unwrap_or(ZnodeId::ROOT);
            tree.insert_child(
                path,
                parent,
                Some(&[]),
                AclId::OPEN,
                StatPersisted::default(),
            );
        }
        let read_only = [AclEntry::world(menagerie_wire::data::perms::READ)];
        // The version −1 of an unconditional change is what the node keeps.
        let _always_there = tree.set_acl(CONFIG_NODE, &read_only, -1);
        tree
    }

    fn without_nodes(options: TreeOptions) -> Self {
        Self {
            options,
            chunks: Vec::new(),
            free: Vec::new(),
            len: 0,
            index: PathIndex::new(options.hash_seed),
            acls: AclTable::with_seed(options.hash_seed),
            ephemerals: HashMap::with_hasher(FixedState::default()),
            containers: HashSet::with_hasher(FixedState::default()),
            ttls: HashSet::with_hasher(FixedState::default()),
            quotas: QuotaTrie::new(),
            digest: 0,
            snapshot_digest: None,
            digest_distrusted: false,
            digest_log: std::collections::VecDeque::new(),
            data_bytes: 0,
            last_zxid: 0,
        }
    }

    // --- looking -------------------------------------------------------------------------------

    /// The node at `path`; `""` is the root too, as in ZooKeeper's node table.
    #[must_use]
    pub fn lookup(&self, path: &str) -> Option<ZnodeId> {
        if path == "/" || path.is_empty() {
            return Some(ZnodeId::ROOT);
        }
        self.index
            .find(self.index.hash(path), |id| self.has_path(id, path))
    }

    fn has_path(&self, id: ZnodeId, path: &str) -> bool {
        let mut rest = path.as_bytes();
        let mut id = id;
        while id != ZnodeId::ROOT {
            let node = self.node(id);
            let Some(before) = rest.strip_suffix(node.name.as_bytes()) else {
                return false;
            };
            let Some(parent) = before.strip_suffix(b"/") else {
                return false;
            };
            rest = parent;
            id = node.parent;
        }
        rest.is_empty()
    }

    /// The node with that id, which must be alive: ids come from this tree, under the same borrow.
    #[must_use]
    pub fn node(&self, id: ZnodeId) -> &Znode {
        self.try_node(id).expect("a znode id outlived its node")
    }

    fn try_node(&self, id: ZnodeId) -> Option<&Znode> {
        let index = id.0 as usize;
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)?.as_ref()
    }

    fn node_mut(&mut self, id: ZnodeId) -> &mut Znode {
        let index = id.0 as usize;
        self.chunks[index / CHUNK][index % CHUNK]
            .as_mut()
            .expect("a znode id outlived its node")
    }

    /// The node at `path`.
    ///
    /// # Errors
    /// `NONODE`.
    pub fn get(&self, path: &str) -> Result<&Znode, ErrorCode> {
        self.lookup(path)
            .map(|id| self.node(id))
            .ok_or(ErrorCode::NoNode)
    }

    /// The full path of a living node; `/` for the root.
    #[must_use]
    pub fn path_of(&self, id: ZnodeId) -> String {
        let mut names = Vec::new();
        let mut at = id;
        while at != ZnodeId::ROOT {
            let node = self.node(at);
            names.push(node.name.as_str());
            at = node.parent;
        }
        if names.is_empty() {
            return "/".to_owned();
        }
        let mut path = String::with_capacity(names.iter().map(|name| name.len() + 1).sum());
        for name in names.iter().rev() {
            path.push('/');
            path.push_str(name);
        }
        path
    }

    /// The node's stat as clients see it.
    #[must_use]
    pub fn stat_of(&self, node: &Znode) -> Stat {
        client_stat(
            &node.stat,
            self.owner_of(node),
            node.data_len(),
            node.num_children(),
        )
    }

    /// Who owns the node.
    #[must_use]
    pub const fn owner_of(&self, node: &Znode) -> Owner {
        self.options.owner_rules.read(node.stat.ephemeral_owner)
    }

    /// How owner values are read.
    #[must_use]
    pub const fn owner_rules(&self) -> OwnerRules {
        self.options.owner_rules
    }

    /// The node's ACL.
    #[must_use]
    pub fn acl_of(&self, node: &Znode) -> &AclList {
        self.acls.get(node.acl)
    }

    /// Paths below `path`, or the whole tree's less the root's two names for `/`.
    /// Source: `DataTree.getAllChildrenNumber`.
    #[must_use]
    pub fn all_children_number(&self, path: &str) -> i32 {
        let count = match path {
            "/" => self.len - 1,
            "" => self.len,
            _ => self.lookup(path).map_or(0, |id| self.count_below(id)),
        };
        i32::try_from(count).unwrap_or(i32::MAX)
    }

    fn count_below(&self, id: ZnodeId) -> usize {
        let mut count = 0;
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            let children = self.node(id).children();
            count += children.len();
            open.extend_from_slice(children);
        }
        count
    }

    /// Paths of the session's ephemeral nodes, in no order.
    pub fn ephemerals(&self, session: i64) -> impl Iterator<Item = String> + '_ {
        self.ephemerals
            .get(&session)
            .into_iter()
            .flatten()
            .map(|&id| self.path_of(id))
    }

    /// Sessions that own ephemeral nodes.
    pub fn ephemeral_owners(&self) -> impl Iterator<Item = i64> + '_ {
        self.ephemerals.keys().copied()
    }

    /// Ephemeral nodes of all sessions.
    #[must_use]
    pub fn ephemeral_count(&self) -> usize {
        self.ephemerals.values().map(HashSet::len).sum()
    }

    /// Container nodes, in no order.
    pub fn containers(&self) -> impl Iterator<Item = ZnodeId> + '_ {
        self.containers.iter().copied()
    }

    /// Nodes with a time to live, in no order.
    pub fn ttls(&self) -> impl Iterator<Item = ZnodeId> + '_ {
        self.ttls.iter().copied()
    }

    /// Nodes, as ZooKeeper counts them: the root twice.
    #[must_use]
    pub const fn node_count(&self) -> usize {
        self.len + 1
    }

    /// Characters of paths plus bytes of data. Source: `DataTree.approximateDataSize`.
    #[must_use]
    pub const fn approximate_data_size(&self) -> i64 {
        self.data_bytes
    }

    /// The last transaction applied.
    #[must_use]
    pub const fn last_zxid(&self) -> i64 {
        self.last_zxid
    }

    /// The digest of the whole tree.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// Whether the digest is maintained.
    #[must_use]
    pub const fn digest_enabled(&self) -> bool {
        self.options.digest_enabled
    }

    /// The digests of every 128th zxid, newest last.
    pub fn digest_log(&self) -> impl Iterator<Item = ZxidDigest> + '_ {
        self.digest_log.iter().copied()
    }

    /// The quotas in force.
    #[must_use]
    pub const fn quotas(&self) -> &QuotaTrie {
        &self.quotas
    }

    // --- changing ------------------------------------------------------------------------------

    /// Creates a node. On a node that exists its ACL is replaced all the same, since on a fuzzy
    /// snapshot that is how the node gets an ACL that the snapshot lacks.
    /// Source: `DataTree.createNode`.
    ///
    /// # Errors
    /// `NONODE` when the parent is missing, `NODEEXISTS`.
    pub fn create(&mut self, new: &NewNode<'_>) -> Result<ZnodeId, ErrorCode> {
        let parent_name = parent_path(new.path);
        let parent = self.lookup(parent_name).ok_or(ErrorCode::NoNode)?;
        let acl = self.acls.intern(new.acl);
        if let Some(existing) = self.lookup(new.path) {
            let old = std::mem::replace(&mut self.node_mut(existing).acl, acl);
            self.acls.release(old);
            return Err(ErrorCode::NodeExists);
        }
        let cversion = match new.parent_cversion {
            -1 => self.node(parent).stat.cversion.wrapping_add(1),
            given => given,
        };
        self.raise_cversion(parent_name, parent, cversion, new.zxid);
        let stat = StatPersisted {
            czxid: new.zxid,
            mzxid: new.zxid,
            ctime: new.time,
            mtime: new.time,
            ephemeral_owner: new.owner,
            pzxid: new.zxid,
            ..StatPersisted::default()
        };
        let id = self.insert_child(new.path, parent, new.data, acl, stat);
        self.register_owner(id);
        self.quota_after_create(new.path, parent_name, new.data.map_or(0, <[u8]>::len));
        Ok(id)
    }

    /// Raises the creation counter of `parent`, never lowers it: on replay the snapshot may hold
    /// a later one. Source: `DataTree.createNode`, `DataTree.setCversionPzxid`.
    pub(crate) fn raise_cversion(&mut self, path: &str, parent: ZnodeId, cversion: i32, zxid: i64) {
        if cversion > self.node(parent).stat.cversion {
            self.change(path, parent, |node| {
                node.stat.cversion = cversion;
                node.stat.pzxid = zxid;
            });
        }
    }

    /// Deletes a node and returns the ACL it had. The parent's pzxid is raised even when the node
    /// is gone already. Source: `DataTree.deleteNode`.
    ///
    /// # Errors
    /// `NONODE`; `NOTEMPTY`, which a prepared transaction cannot meet.
    pub fn delete(&mut self, path: &str, zxid: i64) -> Result<AclList, ErrorCode> {
        let parent_name = parent_path(path);
        let parent = self.lookup(parent_name).ok_or(ErrorCode::NoNode)?;
        if zxid > self.node(parent).stat.pzxid {
            self.change(parent_name, parent, |node| node.stat.pzxid = zxid);
        }
        let id = self
            .lookup(path)
            .filter(|&id| id != ZnodeId::ROOT)
            .ok_or(ErrorCode::NoNode)?;
        if !self.node(id).children().is_empty() {
            return Err(ErrorCode::NotEmpty);
        }
        let acl = self.acl_of(self.node(id)).clone();
        let node = self.remove_leaf(path, id);
        self.quota_after_delete(path, parent_name, node.data_len());
        Ok(acl)
    }

    /// Sets data and returns the node. Source: `DataTree.setData`.
    ///
    /// # Errors
    /// `NONODE`.
    pub fn set_data(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        version: i32,
        zxid: i64,
        time: i64,
    ) -> Result<ZnodeId, ErrorCode> {
        let id = self.lookup(path).ok_or(ErrorCode::NoNode)?;
        let old_len = self.node(id).data_len();
        self.replace_data(path, id, data, |stat| {
            stat.mtime = time;
            stat.mzxid = zxid;
            stat.version = version;
        });
        self.quota_after_set(path, old_len, data.map_or(0, <[u8]>::len));
        Ok(id)
    }

    /// Sets the ACL and returns the node. Source: `DataTree.setACL`.
    ///
    /// # Errors
    /// `NONODE`.
    pub fn set_acl(
        &mut self,
        path: &str,
        acl: &[AclEntry],
        version: i32,
    ) -> Result<ZnodeId, ErrorCode> {
        let id = self.lookup(path).ok_or(ErrorCode::NoNode)?;
        let acl = self.acls.intern(acl);
        let old = self.node(id).acl;
        self.change(path, id, |node| {
            node.acl = acl;
            node.stat.aversion = version;
        });
        self.acls.release(old);
        Ok(id)
    }

    /// Takes away the list of a session's ephemeral nodes and returns their paths, sorted: every
    /// replica must delete them in the same order.
    pub(crate) fn take_ephemerals(&mut self, session: i64) -> Vec<String> {
        let mut paths: Vec<String> = self.ephemerals(session).collect();
        paths.sort_unstable();
        paths
    }

    /// Notes that transaction `zxid` has been applied and keeps the digest log.
    /// Returns a pair of differing digests when the loaded snapshot's digest, now reached, does
    /// not match: (expected, actual). Source: `DataTree.compareSnapshotDigests`.
    pub fn advance(&mut self, zxid: i64) -> Option<(u64, u64)> {
        self.last_zxid = self.last_zxid.max(zxid);
        if let Some(expected) = self.snapshot_digest {
            if zxid < expected.zxid {
                return None;
            }
            self.snapshot_digest = None;
            let mismatch = zxid == expected.zxid && expected.digest != self.digest;
            return mismatch.then_some((expected.digest, self.digest));
        }
        if self.options.digest_enabled && zxid % DIGEST_LOG_INTERVAL == 0 {
            if self.digest_log.len() == DIGEST_LOG_LIMIT {
                self.digest_log.pop_front();
            }
            self.digest_log.push_back(ZxidDigest {
                zxid,
                digest: self.digest,
            });
        }
        None
    }

    /// Whether the digest means something now; see [`Tree::advance`] and
    /// [`Tree::distrust_digest`].
    #[must_use]
    pub const fn digest_is_exact(&self) -> bool {
        self.options.digest_enabled && self.snapshot_digest.is_none() && !self.digest_distrusted
    }

    /// The tree comes from a snapshot that was taken while it changed, and nobody told when the
    /// changes ended: its digest means nothing until it first agrees with a recorded one.
    pub const fn distrust_digest(&mut self) {
        self.digest_distrusted = true;
    }

    /// A recorded digest for what the tree is now; see [`Tree::distrust_digest`].
    pub const fn digest_recorded(&mut self, digest: u64) {
        if self.digest == digest {
            self.digest_distrusted = false;
        }
    }

    /// Takes over the text of the configuration in force, which no transaction did.
    /// Source: `ZKDatabase.initConfigInZKDatabase`.
    pub fn set_config(&mut self, text: &str, version: i64, time_ms: i64) {
        let path = CONFIG_NODE;
        let zxid = self.last_zxid;
        let _always_there = self.set_data(path, Some(text.as_bytes()), -1, version, time_ms);
        self.last_zxid = zxid;
    }

    // --- the machinery -------------------------------------------------------------------------

    fn digest_of(&self, path: &str, node: &Znode) -> u64 {
        if !self.options.digest_enabled || digest::excluded(path) {
            return 0;
        }
        node_digest(node.prefix_crc, &node.stat)
    }

    /// Changes a node and moves the tree's digest along.
    fn change(&mut self, path: &str, id: ZnodeId, edit: impl FnOnce(&mut Znode)) {
        let before = self.digest_of(path, self.node(id));
        edit(self.node_mut(id));
        let after = self.digest_of(path, self.node(id));
        self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
    }

    fn replace_data(
        &mut self,
        path: &str,
        id: ZnodeId,
        data: Option<&[u8]>,
        edit: impl FnOnce(&mut StatPersisted),
    ) {
        let crc = self.prefix_crc_for(path, data);
        let grown = data_len(data) - signed(self.node(id).data_len());
        self.change(path, id, |node| {
            node.data = data.map(Arc::from);
            node.prefix_crc = crc;
            edit(&mut node.stat);
        });
        self.data_bytes += grown;
    }

    fn prefix_crc_for(&self, path: &str, data: Option<&[u8]>) -> u32 {
        if self.options.digest_enabled {
            prefix_crc(path, data)
        } else {
            0
        }
    }

    fn insert_root(&mut self, data: Option<&[u8]>, acl: AclId, stat: StatPersisted) {
        let root = self.new_node(
            "",
            ZnodeId::ROOT,
            data,
            acl,
            stat,
            self.prefix_crc_for("", data),
        );
        let id = self.place(root);
        debug_assert_eq!(id, ZnodeId::ROOT);
        self.count_in("", id);
        // Under its other name, `/`, it counts once more.
        self.data_bytes += 1;
    }

    fn insert_child(
        &mut self,
        path: &str,
        parent: ZnodeId,
        data: Option<&[u8]>,
        acl: AclId,
        stat: StatPersisted,
    ) -> ZnodeId {
        let name = path.rsplit('/').next().unwrap_or_default();
        let node = self.new_node(
            name,
            parent,
            data,
            acl,
            stat,
            self.prefix_crc_for(path, data),
        );
        let id = self.place(node);
        let siblings = self.node_mut(parent).children.get_or_insert_default();
        siblings.push(id);
        let slot = siblings.len() - 1;
        self.node_mut(id).slot = u32::try_from(slot).unwrap_or(u32::MAX);
        self.index.insert(self.index.hash(path), id);
        self.count_in(path, id);
        id
    }

    fn new_node(
        &self,
        name: &str,
        parent: ZnodeId,
        data: Option<&[u8]>,
        acl: AclId,
        stat: StatPersisted,
        prefix_crc: u32,
    ) -> Znode {
        let (name, data) = (Name::new(name), data.map(Arc::from));
        Znode {
            name,
            data,
            stat,
            parent,
            slot: 0,
            acl,
            prefix_crc,
            children: None,
        }
    }

    fn count_in(&mut self, path: &str, id: ZnodeId) {
        let node = self.node(id);
        let (digest, bytes) = (
            self.digest_of(path, node),
            node_bytes(path, node.data_len()),
        );
        self.digest = self.digest.wrapping_add(digest);
        self.data_bytes += bytes;
        self.len += 1;
    }

    fn place(&mut self, node: Znode) -> ZnodeId {
        if let Some(id) = self.free.pop() {
            self.chunks[id as usize / CHUNK][id as usize % CHUNK] = Some(node);
            return ZnodeId(id);
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let full_chunks = self.chunks.len() - 1;
        let chunk = &mut self.chunks[full_chunks];
        chunk.push(Some(node));
        let index = full_chunks * CHUNK + chunk.len() - 1;
        ZnodeId(u32::try_from(index).expect("more than 2^32 znodes"))
    }

    fn remove_leaf(&mut self, path: &str, id: ZnodeId) -> Znode {
        let node = self.node(id);
        let (digest, bytes) = (
            self.digest_of(path, node),
            node_bytes(path, node.data_len()),
        );
        self.unregister_owner(id);
        self.index.remove(self.index.hash(path), id);
        let (parent, slot) = (self.node(id).parent, self.node(id).slot as usize);
        let siblings = self.node_mut(parent).children.get_or_insert_default();
        siblings.swap_remove(slot);
        let moved = siblings.get(slot).copied();
        if siblings.is_empty() {
            self.node_mut(parent).children = None;
        } else if siblings.capacity() > 64 && siblings.len() < siblings.capacity() / 4 {
            let half = siblings.capacity() / 2;
            siblings.shrink_to(half);
        }
        if let Some(moved) = moved {
            self.node_mut(moved).slot = u32::try_from(slot).unwrap_or(u32::MAX);
        }
        self.digest = self.digest.wrapping_sub(digest);
        self.data_bytes -= bytes;
        self.len -= 1;
        self.free.push(id.0);
        let index = id.0 as usize;
        let node = self.chunks[index / CHUNK][index % CHUNK].take();
        let node = node.expect("the node was looked up above");
        self.acls.release(node.acl);
        node
    }

    fn register_owner(&mut self, id: ZnodeId) {
        match self.owner_of(self.node(id)) {
            Owner::Persistent => {}
            Owner::Session(session) => {
                self.ephemerals.entry(session).or_default().insert(id);
            }
            Owner::Container => {
                self.containers.insert(id);
            }
            Owner::Ttl(_) => {
                self.ttls.insert(id);
            }
        }
    }

    fn unregister_owner(&mut self, id: ZnodeId) {
        match self.owner_of(self.node(id)) {
            Owner::Persistent => {}
            Owner::Session(session) => {
                if let Some(ids) = self.ephemerals.get_mut(&session) {
                    ids.remove(&id);
                    if ids.is_empty() {
                        self.ephemerals.remove(&session);
                    }
                }
            }
            Owner::Container => {
                self.containers.remove(&id);
            }
            Owner::Ttl(_) => {
                self.ttls.remove(&id);
            }
        }
    }
}

fn signed(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

fn data_len(data: Option<&[u8]>) -> i64 {
    signed(data.map_or(0, <[u8]>::len))
}

fn node_bytes(path: &str, data_len: usize) -> i64 {
    signed(path.chars().count()) + signed(data_len)
}

#[cfg(test)]
mod tests;
