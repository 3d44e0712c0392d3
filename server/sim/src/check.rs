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
    /// Every transaction that some member has delivered, and the tree's digest behind it.
    order: BTreeMap<Zxid, (Bytes, u64)>,
    /// Who was established in which epoch.
    leaders: BTreeMap<i64, Sid>,
    /// Epochs on each member's disk.
    epochs: BTreeMap<Sid, (i64, i64)>,
    /// The highest zxid that a client was told of as written.
    acknowledged: Zxid,
}

impl Checker {
    /// A member has applied entries, in order.
    ///
    /// # Errors
    /// When they are not those that others have delivered.
    pub fn delivered(
        &mut self,
        sid: Sid,
        node: &Running,
        entries: &[(Zxid, Bytes)],
    ) -> Result<(), Violation> {
        let before = node.seen;
        let (Some((first, _)), Some((last, _))) = (entries.first(), entries.last()) else {
            return Ok(());
        };
        let known: Vec<_> = self.order.range(Zxid(before.0 + 1)..=*last).collect();
        for (at, (zxid, bytes)) in entries.iter().enumerate() {
            match known.get(at) {
                Some((other, (expected, _))) if *other != zxid || expected != bytes => {
                    return Err(format!(
                        "prefix agreement: server {sid} delivered {zxid} where another delivered \
                         {other}"
                    ));
                }
                Some(_) => {}
                None if self
                    .order
                    .keys()
                    .next_back()
                    .is_some_and(|last| last >= zxid) =>
                {
                    return Err(format!(
                        "total order: server {sid} delivered {zxid}, which nobody else did, before \
                         others that were delivered (from {first} on)"
                    ));
                }
                None => {}
            }
        }
        if known.len() > entries.len() {
            return Err(format!(
                "prefix agreement: server {sid} left out transactions between {before} and {last}"
            ));
        }
        let digest = node.tree.digest();
        match self.order.get(last) {
            Some((_, expected)) if *expected != 0 && *expected != digest => {
                return Err(format!("equal digests: server {sid} differs behind {last}"));
            }
            _ => {}
        }
        for (zxid, bytes) in entries {
            let digest = if zxid == last { digest } else { 0 };
            let entry = self.order.entry(*zxid).or_insert((bytes.clone(), 0));
            if entry.1 == 0 {
                entry.1 = digest;
            }
        }
        Ok(())
    }

    /// A member does something else from now on.
    ///
    /// # Errors
    /// When two lead the same epoch, or one serves with less than was committed.
    pub fn phase(&mut self, sid: Sid, phase: &Phase, node: &Running) -> Result<(), Violation> {
        if !phase.serving {
            return Ok(());
        }
        if phase.state == ServerState::Leading {
            let leader = *self.leaders.entry(phase.epoch).or_insert(sid);
            if leader != sid {
                return Err(format!(
                    "leadership: servers {leader} and {sid} both established epoch {}",
                    phase.epoch
                ));
            }
            if let Some(lost) = self
                .order
                .keys()
                .next_back()
                .filter(|last| **last > node.seen)
            {
                return Err(format!(
                    "leader completeness: server {sid} leads epoch {} without {lost}, which was \
                     committed; it has {}",
                    phase.epoch, node.seen
                ));
            }
        }
        Ok(())
    }

    /// The tree of a member that serves is that of its last transaction.
    ///
    /// # Errors
    /// When it is not.
    pub fn digest(&self, sid: Sid, node: &Running) -> Result<(), Violation> {
        let last = self.order.range(..=node.seen).next_back();
        match last {
            Some((zxid, (_, expected))) if *expected != 0 && *expected != node.tree.digest() => {
                Err(format!(
                    "equal digests: server {sid} serves a tree that is not that of {zxid}"
                ))
            }
            _ => Ok(()),
        }
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
    pub fn acknowledged(&mut self, zxid: Zxid) -> Result<(), Violation> {
        if !self.order.contains_key(&zxid) {
            return Err(format!(
                "durability: {zxid} was acknowledged but never delivered"
            ));
        }
        self.acknowledged = self.acknowledged.max(zxid);
        Ok(())
    }

    /// The last transaction that was delivered.
    #[must_use]
    pub fn last(&self) -> Zxid {
        self.order.keys().next_back().copied().unwrap_or_default()
    }

    /// How many transactions were delivered.
    #[must_use]
    pub fn delivered_count(&self) -> usize {
        self.order.len()
    }

    /// How many epochs had a leader.
    #[must_use]
    pub fn epoch_count(&self) -> usize {
        self.leaders.len()
    }
}
