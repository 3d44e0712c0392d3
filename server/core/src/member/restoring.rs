//! Owns how an ensemble takes over a tree that an operator brings: its leader has it on disk as if it
//! were the last transaction of its epoch, gives up, and is elected again with it, as nobody has a
//! later zxid; everybody else then lacks what only a snapshot holds. Whoever is elected instead takes
//! it back, as anything that a leader proposed and no quorum has. Must not read or write files.

use super::leading::EPOCH_MAX;
use super::{Io, Member};
use crate::effect::Effects;
use crate::event::Now;
use crate::ids::{SessionId, Sid, Zxid};
use crate::tree::Tree;

/// Transactions that clients may still have proposed before the tree is on disk: they are not in
/// it, so its zxid must be behind theirs.
const AHEAD: i64 = 1 << 24;

/// Where a tree goes in a leader's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The tree's last zxid.
    pub zxid: Zxid,
    /// The leader's epoch; in another one, it has no place any more.
    epoch: i64,
    /// The epoch of what is in the tree, which the next one must be behind: clients do not go back
    /// behind a zxid that they have seen.
    above: i64,
}

/// Why a member cannot take over a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoPlace {
    /// Another one leads.
    #[error(
        "server {0} leads this ensemble: send the snapshot to that one, once, and the others get the \
         tree from it"
    )]
    Learns(Sid),
    /// Nobody does.
    #[error("the ensemble has no leader at the moment; try again when it has one")]
    NoLeader,
    /// The configuration that is on its way would be lost.
    #[error("a reconfiguration is under way; try again when it is done")]
    Reconfigures,
    /// The tree's zxid leaves none for what comes behind it.
    #[error("the snapshot's last zxid {0} leaves no epoch for what comes behind it")]
    NoEpoch(Zxid),
    /// The next epoch has zxids again.
    #[error("epoch {0} has hardly a zxid left; try again in the next one")]
    NoZxid(i64),
    /// Since it was asked, another epoch has begun, or too much was written.
    #[error(
        "the leader has changed, or clients wrote very much, while the snapshot was being written to \
         the disk; try again, without clients"
    )]
    Overtaken,
}

impl Member {
    /// Where a tree with what happened up to `last` would go.
    ///
    /// # Errors
    /// When this member does not lead, or not on.
    pub fn place(&self, last: Zxid) -> Result<Place, NoPlace> {
        if !self.is_established() {
            let leader = self.phase().leader.filter(|leader| *leader != self.me());
            return Err(leader.map_or(NoPlace::NoLeader, NoPlace::Learns));
        }
        if self.moving.is_some() || self.configs.next().is_some() {
            return Err(NoPlace::Reconfigures);
        }
        // The next epoch is behind that one.
        if last.epoch() >= EPOCH_MAX {
            return Err(NoPlace::NoEpoch(last));
        }
        let epoch = self.current_epoch;
        let last_written = self.history.last().max(Zxid::first_of(epoch));
        let zxid = Zxid(last_written.0 + AHEAD);
        if zxid.epoch() != epoch {
            return Err(NoPlace::NoZxid(epoch));
        }
        let above = last.epoch();
        Ok(Place { zxid, epoch, above })
    }

    /// Whether a place that was found is still there.
    ///
    /// # Errors
    /// When it is not.
    pub fn has_place(&self, place: Place) -> Result<(), NoPlace> {
        let there_now = self.place(Zxid::first_of(place.above))?;
        if there_now.epoch == place.epoch && self.history.last() < place.zxid {
            Ok(())
        } else {
            Err(NoPlace::Overtaken)
        }
    }

    /// Gives up the lead for `tree`, which is on the disk and is served from now on; to be followed by
    /// [`Member::finish`]. The place must be there.
    pub fn take_place(
        &mut self,
        place: Place,
        sessions: Vec<(SessionId, i32)>,
        now: Now,
        tree: &Tree,
        effects: &mut Effects,
    ) {
        let mut io = Io {
            now,
            tree,
            out: effects,
        };
        self.seen_epoch = self.seen_epoch.max(place.above);
        self.look("an operator restores another tree", &mut io);
        let reason = "the database is replaced by an operator's";
        self.drop_clients(reason, &mut io);
        self.history.reset(place.zxid);
        self.durable = place.zxid;
        self.replica.restart(place.zxid, sessions, now);
    }
}
