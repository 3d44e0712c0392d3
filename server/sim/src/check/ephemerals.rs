//! Owns ephemerals: where a session's end is delivered, its nodes are gone.

use std::collections::BTreeMap;

use bytes::Bytes;
use menagerie_core::ids::{Sid, Zxid};
use menagerie_core::tree::Tree;
use menagerie_core::txn::{LoggedTxn, Txn};

use super::Violation;

/// Sessions that have ended, and in which transaction.
#[derive(Debug, Default)]
pub struct Ephemerals(BTreeMap<i64, Zxid>);

impl Ephemerals {
    /// A transaction is delivered for the first time.
    pub fn delivered(&mut self, zxid: Zxid, bytes: &Bytes) {
        if let Ok(logged) = LoggedTxn::decode(bytes)
            && matches!(logged.txn, Txn::CloseSession { .. })
        {
            self.0.insert(logged.header.client_id, zxid);
        }
    }

    /// A member's tree.
    ///
    /// # Errors
    /// When it has a node of a session that has ended.
    pub fn check(&self, sid: Sid, tree: &Tree) -> Result<(), Violation> {
        let last = Zxid(tree.last_zxid());
        let ended = |owner: &i64| self.0.get(owner).is_some_and(|end| *end <= last);
        match tree.ephemeral_owners().find(ended) {
            None => Ok(()),
            Some(owner) => Err(format!(
                "ephemerals: server {sid} at {last} has nodes of session {owner:x}, which has ended"
            )),
        }
    }
}
