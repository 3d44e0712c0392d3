//! Owns a tree as values, as it goes to a learner or into the model of a disk.

use bytes::Bytes;
use menagerie_core::ids::{SessionId, Zxid};
use menagerie_core::tree::{SnapshotCursor, Tree, TreeOptions};
use menagerie_wire::data::{Acl, StatPersisted};

/// A tree as values.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// As of when.
    pub zxid: Zxid,
    acls: Vec<(i64, Vec<Acl<'static>>)>,
    nodes: Vec<(String, Option<Vec<u8>>, i64, StatPersisted)>,
    /// The sessions with their time-outs.
    pub sessions: Vec<(SessionId, i32)>,
    /// The transactions that made it, for the checker.
    pub lineage: Vec<(Zxid, Bytes)>,
}

impl Snapshot {
    /// Takes one.
    #[must_use]
    pub fn of(tree: &Tree, sessions: Vec<(SessionId, i32)>, lineage: Vec<(Zxid, Bytes)>) -> Self {
        let owned = |acl: Acl<'_>| {
            let (scheme, id) = (
                acl.id.scheme.unwrap_or_default(),
                acl.id.id.unwrap_or_default(),
            );
            Acl::new(acl.perms, scheme.into_owned(), id.into_owned())
        };
        let acls = tree.snapshot_acls().map(|(id, list)| {
            let acls = menagerie_core::acl::acl_to_wire(list).into_iter();
            (id, acls.map(owned).collect())
        });
        let mut nodes = Vec::new();
        SnapshotCursor::new(tree).advance(tree, |node| {
            let data = node.data.map(<[u8]>::to_vec);
            nodes.push((node.path.to_owned(), data, node.acl_id, *node.stat));
            true
        });
        Self {
            zxid: Zxid(tree.last_zxid()),
            acls: acls.collect(),
            nodes,
            sessions,
            lineage,
        }
    }

    /// The tree that it is of.
    ///
    /// # Panics
    /// When the nodes do not form a tree, which is a fault of the simulator.
    #[must_use]
    pub fn tree(&self) -> Tree {
        let mut tree = Tree::for_loading(TreeOptions::default());
        for (id, acls) in &self.acls {
            tree.load_acl(*id, acls);
        }
        for (path, data, acl, stat) in &self.nodes {
            let loaded = tree.load_node(path, data.as_deref(), *acl, *stat);
            assert!(loaded.is_ok(), "{path} has no parent in the snapshot");
        }
        tree.finish_loading(self.zxid.0, None);
        tree
    }
}
