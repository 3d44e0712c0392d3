//! Owns tree equality: members that have delivered the same have the same tree, by its digest.

use menagerie_core::ids::{Sid, Zxid};
use menagerie_core::tree::Tree;

use super::Violation;

/// The digest behind so many transactions, where one is known.
#[derive(Debug, Default)]
pub struct TreeEquality(Vec<Option<u64>>);

impl TreeEquality {
    /// A member has delivered so many transactions.
    ///
    /// # Errors
    /// When its tree is another than others' were.
    pub fn check(&mut self, sid: Sid, delivered: usize, tree: &Tree) -> Result<(), Violation> {
        if self.0.len() <= delivered {
            self.0.resize(delivered + 1, None);
        }
        // A snapshot is written while the tree goes on, so one that was just loaded may have more
        // than its zxid says, until that is replayed.
        if !tree.digest_is_exact() {
            return Ok(());
        }
        let digest = tree.digest();
        if *self.0[delivered].get_or_insert(digest) == digest {
            return Ok(());
        }
        Err(format!(
            "tree equality: the tree of server {sid} at {} is another",
            Zxid(tree.last_zxid())
        ))
    }
}

#[cfg(test)]
mod tests {
    use menagerie_core::acl::AclList;
    use menagerie_core::tree::{NewNode, TreeOptions};

    use super::*;

    #[test]
    fn another_tree_is_found() {
        let mut equality = TreeEquality::default();
        let mut tree = Tree::new(TreeOptions::default());
        equality.check(Sid(1), 0, &tree).unwrap();
        equality.check(Sid(2), 0, &tree).unwrap();
        let node = NewNode {
            path: "/a",
            data: None,
            acl: &AclList::open(),
            owner: 0,
            parent_cversion: -1,
            zxid: 1,
            time: 1,
        };
        tree.create(&node).unwrap();
        equality.check(Sid(1), 1, &tree).unwrap();
        assert!(equality.check(Sid(2), 0, &tree).is_err());
    }
}
