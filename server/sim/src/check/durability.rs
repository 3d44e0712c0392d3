//! Owns durability: what a client was told of is delivered, and what a member was told to be on its
//! disk is there when it starts again.

use std::collections::BTreeMap;

use menagerie_core::ids::{Sid, Zxid};

use super::Violation;
use super::prefix_consistency::Order;
use crate::disk::{Done, Restored, Task};

/// A client was told that its write is done.
///
/// # Errors
/// When nobody has delivered it.
pub fn acknowledged(order: &Order, zxid: Zxid) -> Result<(), Violation> {
    if order.has(zxid) {
        return Ok(());
    }
    Err(format!(
        "durability: {zxid} was acknowledged but never delivered"
    ))
}

/// Up to where each member's log is durable.
#[derive(Debug, Default)]
pub struct Durability(BTreeMap<Sid, Zxid>);

impl Durability {
    /// A member's disk has done something.
    pub fn done(&mut self, sid: Sid, done: &Done) {
        let upto = match done {
            // The beginning of an epoch is no transaction: a log may be cut there, and a tree be as of it.
            Done::Cut { zxid, .. } if zxid.counter() == 0 => Zxid(0),
            Done::Logged(zxid) | Done::Cut { zxid, .. } => *zxid,
            Done::Installed(snapshot) => {
                let last = snapshot.lineage.last();
                last.map(|(zxid, _)| *zxid).unwrap_or_default()
            }
            _ => return,
        };
        self.0.insert(sid, upto);
    }

    /// A member's disk does these, in part or as a whole: the log may end earlier, or be another,
    /// whether or not the member hears of it.
    pub fn doing<'a>(&mut self, sid: Sid, tasks: impl IntoIterator<Item = &'a Task>) {
        let upto = self.0.entry(sid).or_default();
        for task in tasks {
            if matches!(task, Task::Truncate(..) | Task::Install(_)) {
                *upto = Zxid(0);
            }
        }
    }

    /// A member's disk is empty.
    pub fn wiped(&mut self, sid: Sid) {
        self.0.remove(&sid);
    }

    /// A member starts.
    ///
    /// # Errors
    /// When it has less than was durable.
    pub fn restored(&self, sid: Sid, restored: &Restored) -> Result<(), Violation> {
        let upto = self.0.get(&sid).copied().unwrap_or_default();
        let has = |zxid: Zxid| {
            let found = restored
                .lineage
                .binary_search_by_key(&zxid, |(zxid, _)| *zxid);
            found.is_ok()
        };
        if upto == Zxid(0) || has(upto) {
            return Ok(());
        }
        let last = restored.lineage.last().map(|(zxid, _)| *zxid);
        Err(format!(
            "durability: server {sid} starts with {last:?}, but {upto} was on its disk"
        ))
    }
}
