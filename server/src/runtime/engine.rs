//! Owns the choice between a server on its own and a member of an ensemble, which the core thread
//! drives in the same way.

use menagerie_core::effect::{Deliver, Effects};
use menagerie_core::event::{Event, Now};
use menagerie_core::member::Member;
use menagerie_core::processor::apply::Watches;
use menagerie_core::processor::read::WatchRegistry;
use menagerie_core::replica::Replica;
use menagerie_core::tree::Tree;

/// The core.
#[derive(Debug)]
pub(crate) enum Engine {
    /// A server on its own.
    Alone(Box<Replica>),
    /// A member of an ensemble.
    Member(Box<Member>),
}

impl Engine {
    pub(crate) fn step(&mut self, event: Event, now: Now, tree: &Tree, effects: &mut Effects) {
        match self {
            Self::Alone(replica) => replica.step(event, now, tree, effects),
            Self::Member(member) => member.step(event, now, tree, effects),
        }
    }

    /// Ends a batch of events.
    pub(crate) fn finish(&mut self, now: Now, tree: &Tree, effects: &mut Effects) {
        if let Self::Member(member) = self {
            member.finish(now, tree, effects);
        }
    }

    pub(crate) fn next_tick(&self) -> i64 {
        match self {
            Self::Alone(replica) => replica.next_tick(),
            Self::Member(member) => member.next_tick(),
        }
    }

    pub(crate) fn has_committed(&self) -> bool {
        self.replica().has_committed()
    }

    pub(crate) fn apply_committed(
        &mut self,
        tree: &mut Tree,
        watches: &(impl Watches + WatchRegistry),
        out: &mut impl Deliver,
        limit: usize,
    ) -> usize {
        match self {
            Self::Alone(replica) => replica.apply_committed(tree, watches, out, limit),
            Self::Member(member) => member.apply_committed(tree, watches, out, limit),
        }
    }

    pub(crate) fn replica(&self) -> &Replica {
        match self {
            Self::Alone(replica) => replica,
            Self::Member(member) => member.replica(),
        }
    }

    pub(crate) fn replica_mut(&mut self) -> &mut Replica {
        match self {
            Self::Alone(replica) => replica,
            Self::Member(member) => member.replica_mut(),
        }
    }

    pub(crate) fn member(&self) -> Option<&Member> {
        match self {
            Self::Alone(_) => None,
            Self::Member(member) => Some(member),
        }
    }

    pub(crate) fn member_mut(&mut self) -> Option<&mut Member> {
        match self {
            Self::Alone(_) => None,
            Self::Member(member) => Some(member),
        }
    }

    /// Whether it knows when the ensemble's sessions expire: alone, or as the leader.
    pub(crate) fn judges_sessions(&self) -> bool {
        self.member().is_none_or(Member::is_established)
    }

    /// Whether everything that was begun is done.
    pub(crate) fn is_idle(&self) -> bool {
        match self {
            Self::Alone(replica) => replica.pending_len() == 0,
            // What others have to confirm may never come; it is in the log.
            Self::Member(member) => !member.is_established() || member.replica().pending_len() == 0,
        }
    }
}
