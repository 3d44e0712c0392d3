//! Owns building a tree from a snapshot's parts. Must not read files.

use menagerie_wire::data::{Acl, StatPersisted};

use super::{Tree, TreeOptions, ZnodeId, ZxidDigest, parent_path};

/// Why a snapshot's contents do not make a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A node comes before its parent.
    #[error("node {0} has no parent in the snapshot")]
    Orphan(String),
    /// A node comes before the root.
    #[error("the first node is {0}, not the root")]
    NoRoot(String),
}

impl Tree {
    /// A tree without any node, to be filled with [`Tree::load_acl`] and [`Tree::load_node`].
    #[must_use]
    pub fn for_loading(options: TreeOptions) -> Self {
        Self::without_nodes(options)
    }

    /// Takes over an ACL under the id that the snapshot gives it.
    pub fn load_acl(&mut self, id: i64, acl: &[Acl<'_>]) {
        self.acls.load(id, acl);
    }

    /// Takes over a node. A node that comes twice, as fuzzy snapshots may have it, is the later.
    ///
    /// # Errors
    /// When the parent has not come before.
    pub fn load_node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_id: i64,
        stat: StatPersisted,
    ) -> Result<(), LoadError> {
        let acl = self.acls.loaded(acl_id);
        if path.is_empty() || path == "/" {
            if self.len == 0 {
                self.insert_root(data, acl, stat);
            } else {
                self.reload_node("", ZnodeId::ROOT, data, acl, stat);
            }
            return Ok(());
        }
        if self.len == 0 {
            return Err(LoadError::NoRoot(path.to_owned()));
        }
        if let Some(id) = self.lookup(path) {
            self.reload_node(path, id, data, acl, stat);
            return Ok(());
        }
        let parent = self
            .lookup(parent_path(path))
            .filter(|_| path.contains('/'));
        let parent = parent.ok_or_else(|| LoadError::Orphan(path.to_owned()))?;
        let id = self.insert_child(path, parent, data, acl, stat);
        self.register_owner(id);
        Ok(())
    }

    fn reload_node(
        &mut self,
        path: &str,
        id: ZnodeId,
        data: Option<&[u8]>,
        acl: crate::acl::AclId,
        stat: StatPersisted,
    ) {
        self.unregister_owner(id);
        self.replace_data(path, id, data, |old| *old = stat);
        let old = std::mem::replace(&mut self.node_mut(id).acl, acl);
        self.acls.release(old);
        self.register_owner(id);
    }

    /// Ends loading: drops ACLs that no node uses, arms quotas and recomputes their statistics.
    /// `zxid` is the one in the file's name; `digest` what the file recorded.
    /// Returns (expected, actual) when the digest can be checked at once and differs.
    pub fn finish_loading(&mut self, zxid: i64, digest: Option<ZxidDigest>) -> Option<(u64, u64)> {
        if self.len == 0 {
            self.insert_root(Some(&[]), crate::acl::AclId::OPEN, StatPersisted::default());
        }
        self.acls.purge_unused();
        self.setup_quotas();
        self.last_zxid = zxid;
        let digest = digest.filter(|_| self.options.digest_enabled)?;
        if digest.zxid > zxid {
            self.snapshot_digest = Some(digest);
            return None;
        }
        let mismatch = digest.zxid == zxid && digest.digest != self.digest;
        mismatch.then_some((digest.digest, self.digest))
    }
}
