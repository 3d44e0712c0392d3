//! Owns walking the tree in slices for a snapshot, while it changes between the slices.
//! Must not hold references into the tree across slices.
//!
//! The snapshot carries the zxid at its start. Nodes created later are left out: replay makes
//! them. Nodes deleted meanwhile may be missing: replay deletes what is not there without harm.
//! Parents come before their children, whatever happens in between, because a frame of the walk is
//! given up when its parent is no longer the node it was.

use menagerie_wire::data::StatPersisted;

use super::{Tree, ZnodeId};

#[derive(Debug)]
struct Frame {
    parent: ZnodeId,
    /// With the id, tells the node from a later one that took its place.
    parent_czxid: i64,
    path_len: usize,
    children: Vec<ZnodeId>,
    next: usize,
}

/// Where a snapshot has come to.
#[derive(Debug)]
pub struct SnapshotCursor {
    start_zxid: i64,
    frames: Vec<Frame>,
    path: String,
    started: bool,
}

/// A node as the snapshot records it.
#[derive(Debug)]
pub struct SnapshotNode<'a> {
    /// `""` for the root.
    pub path: &'a str,
    /// Its data.
    pub data: Option<&'a [u8]>,
    /// Its ACL's id in the snapshot's table.
    pub acl_id: i64,
    /// Its state.
    pub stat: &'a StatPersisted,
}

impl SnapshotCursor {
    /// A walk over the tree as it is at its last zxid.
    #[must_use]
    pub fn new(tree: &Tree) -> Self {
        let start_zxid = tree.last_zxid();
        Self {
            start_zxid,
            frames: Vec::new(),
            path: String::new(),
            started: false,
        }
    }

    /// The zxid that names the snapshot.
    #[must_use]
    pub const fn start_zxid(&self) -> i64 {
        self.start_zxid
    }

    /// Hands the next nodes to `write` until it returns false; returns false when all are done.
    pub fn advance(
        &mut self,
        tree: &Tree,
        mut write: impl FnMut(SnapshotNode<'_>) -> bool,
    ) -> bool {
        if !self.started {
            self.started = true;
            let more = self.emit(tree, ZnodeId::ROOT, &mut write);
            self.enter(tree, ZnodeId::ROOT);
            if !more {
                return true;
            }
        } else {
            self.frames
                .retain(|frame| is_same(tree, frame.parent, frame.parent_czxid));
        }
        while let Some(frame) = self.frames.last_mut() {
            let Some(&id) = frame.children.get(frame.next) else {
                self.frames.pop();
                continue;
            };
            frame.next += 1;
            let (parent, path_len) = (frame.parent, frame.path_len);
            let Some(node) = tree.try_node(id).filter(|node| {
                id != ZnodeId::ROOT && node.parent == parent && node.stat.czxid <= self.start_zxid
            }) else {
                continue;
            };
            self.path.truncate(path_len);
            self.path.push('/');
            self.path.push_str(node.name());
            let more = self.emit(tree, id, &mut write);
            if !node.children().is_empty() {
                self.enter(tree, id);
            }
            if !more {
                return true;
            }
        }
        false
    }

    fn emit(
        &self,
        tree: &Tree,
        id: ZnodeId,
        write: &mut impl FnMut(SnapshotNode<'_>) -> bool,
    ) -> bool {
        let node = tree.node(id);
        write(SnapshotNode {
            path: &self.path,
            data: node.data.as_deref(),
            acl_id: tree.acls.snapshot_id(node.acl),
            stat: &node.stat,
        })
    }

    fn enter(&mut self, tree: &Tree, id: ZnodeId) {
        let node = tree.node(id);
        self.frames.push(Frame {
            parent: id,
            parent_czxid: node.stat.czxid,
            path_len: self.path.len(),
            children: node.children().to_vec(),
            next: 0,
        });
    }
}

fn is_same(tree: &Tree, id: ZnodeId, czxid: i64) -> bool {
    tree.try_node(id)
        .is_some_and(|node| node.stat.czxid == czxid)
}

impl Tree {
    /// The ACLs in use with their ids in snapshots, except the open one, which has a fixed id.
    pub fn snapshot_acls(&self) -> impl Iterator<Item = (i64, &crate::acl::AclList)> + '_ {
        self.acls.snapshot_entries()
    }
}
