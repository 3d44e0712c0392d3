//! Owns the bugs that the simulator must find: each is one wrong decision at one place of the core,
//! compiled in only with the feature `planted-bugs`. Without the feature all of this is nothing.

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A learner acknowledges what is not on its disk yet.
    AckBeforeSync,
    /// A leader counts itself before its disk has the proposal.
    OwnAckBeforeSync,
    /// A leader commits what it has only proposed.
    CommitWithoutQuorum,
    /// A learner acknowledges NEWLEADER without having written currentEpoch.
    NewLeaderAckedTooEarly,
    /// A learner accepts an epoch without writing acceptedEpoch.
    AcceptedEpochNotWritten,
    /// A learner writes currentEpoch before it has the leader's history.
    CurrentEpochTooEarly,
    /// A learner does not truncate.
    TruncSkipped,
    /// A learner truncates its log and keeps the tree.
    TruncKeepsTree,
    /// A learner truncates its log and keeps what waits to be applied.
    TruncKeepsPending,
    /// Elections do not look at zxids.
    VoteIgnoresZxid,
    /// Elections look at server numbers only.
    VoteIgnoresHistory,
    /// A leader chooses an epoch without a quorum.
    EpochWithoutQuorum,
    /// A leader serves without a quorum that has its history.
    EstablishWithoutQuorum,
    /// A DIFF lacks its first transaction.
    DiffSkipsOne,
    /// Nothing follows a snapshot but what comes later.
    SnapForgetsRest,
    /// Sync requests do not wait for what was proposed before.
    SyncDoesNotWait,
}

impl Bug {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::AckBeforeSync,
        Self::OwnAckBeforeSync,
        Self::CommitWithoutQuorum,
        Self::NewLeaderAckedTooEarly,
        Self::AcceptedEpochNotWritten,
        Self::CurrentEpochTooEarly,
        Self::TruncSkipped,
        Self::TruncKeepsTree,
        Self::TruncKeepsPending,
        Self::VoteIgnoresZxid,
        Self::VoteIgnoresHistory,
        Self::EpochWithoutQuorum,
        Self::EstablishWithoutQuorum,
        Self::DiffSkipsOne,
        Self::SnapForgetsRest,
        Self::SyncDoesNotWait,
    ];
}

/// The bug of this run, if any.
#[derive(Debug, Clone, Copy, Default)]
pub struct Planted {
    #[cfg(feature = "planted-bugs")]
    bug: Option<Bug>,
}

impl Planted {
    /// Plants a bug.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub const fn new(bug: Option<Bug>) -> Self {
        Self { bug }
    }

    /// Whether this is the bug.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn has(self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Never.
    #[cfg(not(feature = "planted-bugs"))]
    #[must_use]
    pub const fn has(self, _: Bug) -> bool {
        false
    }
}
