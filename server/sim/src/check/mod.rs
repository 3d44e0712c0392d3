//! Owns what must hold at every step, one file for each property: Zab's by the names that its paper
//! gives them, and what clients are promised. A checker hears what members and clients do and says
//! what does not hold. Must not change anything.
//!
//! The paper's agreement and total order are one thing here: [`prefix_consistency`], since there is
//! one sequence that everybody delivers a beginning of.

pub mod durability;
pub mod ephemerals;
pub mod epochs;
pub mod global_primary_order;
pub mod integrity;
pub mod leadership;
pub mod linearizability;
pub mod local_primary_order;
pub mod local_sessions;
pub mod prefix_consistency;
pub mod primary_integrity;
pub mod session_order;
pub mod tree_equality;
pub mod watch_order;

use bytes::Bytes;
use menagerie_core::effect::Phase;
use menagerie_core::ids::{Sid, Zxid};
use menagerie_wire::election::ServerState;

use crate::node::Running;

/// A property that does not hold.
pub type Violation = String;

/// What holds for all members together.
#[derive(Debug, Default)]
pub struct Checker {
    /// Every transaction that some member has delivered, in order.
    order: prefix_consistency::Order,
    leadership: leadership::Leadership,
    integrity: integrity::Integrity,
    trees: tree_equality::TreeEquality,
    ephemerals: ephemerals::Ephemerals,
    /// What was told to be on disks.
    pub durability: durability::Durability,
    /// What disks have of epochs.
    pub epochs: epochs::Epochs,
}

impl Checker {
    /// Entries go into a member's log.
    ///
    /// # Errors
    /// When others have something else there.
    pub fn logged<'a>(
        &mut self,
        sid: Sid,
        entries: impl Iterator<Item = (Zxid, &'a [u8])>,
    ) -> Result<(), Violation> {
        for (zxid, bytes) in entries {
            self.integrity.logged(sid, zxid, bytes)?;
        }
        Ok(())
    }

    /// A member has what is in its tree as committed, from index `from` on for the first time.
    ///
    /// # Errors
    /// When it is not what others have delivered, or not what was broadcast.
    pub fn delivered(&mut self, sid: Sid, node: &Running, from: usize) -> Result<(), Violation> {
        // What was in its log when it started is delivered with what comes behind.
        let from = from.min(self.order.len());
        for (at, (zxid, bytes)) in node.lineage.iter().enumerate().skip(from) {
            if self.order.agree(sid, at, *zxid, bytes)? {
                continue;
            }
            self.first_delivery(sid, *zxid, bytes)?;
            self.order.push(*zxid, bytes.clone());
        }
        self.trees.check(sid, node.lineage.len(), &node.tree)?;
        self.ephemerals.check(sid, &node.tree)
    }

    fn first_delivery(&mut self, sid: Sid, zxid: Zxid, bytes: &Bytes) -> Result<(), Violation> {
        let before = self.order.last();
        global_primary_order::check(sid, before, zxid)?;
        primary_integrity::check(sid, zxid, self.leadership.newest())?;
        let leader = self.leadership.of(zxid.epoch());
        self.integrity.delivered(sid, zxid, bytes, leader)?;
        local_primary_order::check(sid, before, zxid, self.integrity.broadcast_before(zxid))?;
        self.ephemerals.delivered(zxid, bytes);
        Ok(())
    }

    /// A member serves from now on.
    ///
    /// # Errors
    /// When two lead the same epoch, or one leads with less than was committed.
    pub fn serves(&mut self, sid: Sid, phase: &Phase, node: &Running) -> Result<(), Violation> {
        if phase.state == ServerState::Leading {
            // A leader that was stopped meanwhile may be established when the next one is long at
            // work; what counts is what was committed before its epoch.
            let lost = self.order.get(node.lineage.len());
            primary_integrity::established(sid, phase.epoch, lost)?;
            // What it had in its log when it started is delivered with this, too.
            self.delivered(sid, node, 0)?;
            return self.leadership.established(sid, phase.epoch);
        }
        self.delivered(sid, node, 0)
    }

    /// A client was told that its write is done.
    ///
    /// # Errors
    /// When nobody has delivered it.
    pub fn acknowledged(&self, zxid: Zxid) -> Result<(), Violation> {
        durability::acknowledged(&self.order, zxid)
    }

    /// Everything that was delivered.
    #[must_use]
    pub const fn order(&self) -> &prefix_consistency::Order {
        &self.order
    }

    /// How many epochs had a leader.
    #[must_use]
    pub fn epoch_count(&self) -> usize {
        self.leadership.count()
    }
}
