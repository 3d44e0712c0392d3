//! Owns what must hold at every step: Zab's properties by the names that its paper gives them, and
//! what clients are promised.

use std::collections::BTreeMap;

use bytes::Bytes;
use menagerie_core::effect::Phase;
use menagerie_core::ids::{Sid, Zxid};
use menagerie_wire::election::ServerState;

use crate::node::Running;

/// A property that does not hold.
pub type Violation = String;

/// What all members together have delivered.
#[derive(Debug, Default)]
pub struct Checker {
    /// Every transaction that some member has delivered, in order, and the tree's digest behind it
    /// where it is known.
    order: Vec<(Zxid, Bytes, Option<u64>)>,
    /// Who was established in which epoch.
    leaders: BTreeMap<i64, Sid>,
    /// Epochs on each member's disk.
    epochs: BTreeMap<Sid, (i64, i64)>,
}

impl Checker {
    /// A member has what is in its tree as committed, from index `from` on for the first time.
    ///
    /// # Errors
    /// When it is not what others have delivered.
    pub fn delivered(&mut self, sid: Sid, node: &Running, from: usize) -> Result<(), Violation> {
        // What was in its log when it started is delivered with what comes behind.
        let from = from.min(self.order.len());
        for (at, (zxid, bytes)) in node.lineage.iter().enumerate().skip(from) {
            match self.order.get(at) {
                Some((other, expected, _)) if other != zxid || expected != bytes => {
                    return Err(format!(
                        "prefix agreement: transaction {at} of server {sid} is {zxid}, that of \
                         others is {other}"
                    ));
                }
                Some(_) => {}
                None => {
                    if self.order.last().is_some_and(|(last, ..)| last >= zxid) {
                        return Err(format!("primary order: server {sid} delivered {zxid} late"));
                    }
                    self.order.push((*zxid, bytes.clone(), None));
                }
            }
        }
        self.digest(sid, node)
    }

    /// The tree is that of its last transaction.
    ///
    /// # Errors
    /// When it is not.
    fn digest(&mut self, sid: Sid, node: &Running) -> Result<(), Violation> {
        let digest = node.tree.digest();
        let Some((zxid, _, expected)) = node
            .lineage
            .len()
            .checked_sub(1)
            .and_then(|last| self.order.get_mut(last))
        else {
            return Ok(());
        };
        if *expected.get_or_insert(digest) != digest {
            return Err(format!(
                "equal digests: the tree of server {sid} at {zxid} is another"
            ));
        }
        Ok(())
    }

    /// A member serves from now on.
    ///
    /// # Errors
    /// When two lead the same epoch, or one leads with less than was committed.
    pub fn serves(&mut self, sid: Sid, phase: &Phase, node: &Running) -> Result<(), Violation> {
        if phase.state == ServerState::Leading {
            let leader = *self.leaders.entry(phase.epoch).or_insert(sid);
            if leader != sid {
                return Err(format!(
                    "leadership: servers {leader} and {sid} both established epoch {}",
                    phase.epoch
                ));
            }
            // A leader that was stopped meanwhile may be established when the next one is long at
            // work; what counts is what was committed before its epoch.
            let lost = self.order.get(node.lineage.len());
            if let Some((lost, ..)) = lost.filter(|(lost, ..)| lost.epoch() < phase.epoch) {
                return Err(format!(
                    "leader completeness: server {sid} leads epoch {} without {lost}, which was \
                     committed",
                    phase.epoch
                ));
            }
        }
        self.delivered(sid, node, 0)
    }

    /// An epoch has reached a disk.
    ///
    /// # Errors
    /// When it goes back, or is current without having been accepted.
    pub fn epochs(&mut self, sid: Sid, accepted: i64, current: i64) -> Result<(), Violation> {
        let before = self
            .epochs
            .insert(sid, (accepted, current))
            .unwrap_or_default();
        if accepted < before.0 || current < before.1 || current > accepted {
            return Err(format!(
                "epochs: server {sid} went from {before:?} to {:?}",
                (accepted, current)
            ));
        }
        Ok(())
    }

    /// A client was told that its write is done.
    ///
    /// # Errors
    /// When nobody has delivered it.
    pub fn acknowledged(&self, zxid: Zxid) -> Result<(), Violation> {
        let found = self.order.binary_search_by_key(&zxid, |(zxid, ..)| *zxid);
        match found {
            Ok(_) => Ok(()),
            Err(_) => Err(format!(
                "durability: {zxid} was acknowledged but never delivered"
            )),
        }
    }

    /// The last transaction that was delivered.
    #[must_use]
    pub fn last(&self) -> Zxid {
        self.order
            .last()
            .map(|(zxid, ..)| *zxid)
            .unwrap_or_default()
    }

    /// How many transactions were delivered.
    #[must_use]
    pub const fn delivered_count(&self) -> usize {
        self.order.len()
    }

    /// How many epochs had a leader.
    #[must_use]
    pub fn epoch_count(&self) -> usize {
        self.leaders.len()
    }
}
