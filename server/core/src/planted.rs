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
    /// A member that has lost its database votes as one of a new ensemble.
    BlankVotes,
    /// Elections do not look at zxids.
    VoteIgnoresZxid,
    /// Elections look at server numbers only.
    VoteIgnoresHistory,
    /// A leader counts who had accepted its epoch before, maybe for another leader.
    AnyAcceptorCounts,
    /// A leader serves before it has written that its epoch is the current one.
    EstablishBeforeEpochWritten,
    /// A leader serves without a quorum that has its history.
    EstablishWithoutQuorum,
    /// A DIFF lacks its first transaction.
    DiffSkipsOne,
    /// Nothing follows a snapshot but what comes later.
    SnapForgetsRest,
    /// Sync requests do not wait for what was proposed before.
    SyncDoesNotWait,
    /// A reconfiguration is committed without those who come.
    NewVotersNotAsked,
    /// What is proposed behind a reconfiguration is committed without those who go.
    OldVotersNotAsked,
    /// A learner forgets a configuration that is proposed.
    ProposedConfigForgotten,
    /// A learner puts a configuration into force that is only proposed.
    ProposedConfigInForce,
    /// A follower tells its observers what is only proposed.
    ObserversToldTooEarly,
    /// A follower answers its observers' sync requests itself.
    SyncAnsweredByMaster,
    /// A leader vouches for sessions that it does not know.
    AnySessionIsValid,
    /// A learner passes on the create of an ephemeral node before the leader has opened its session.
    UpgradeForgotten,
    /// A learner keeps sessions that only it knows for ever.
    LocalSessionsStay,
}

impl Bug {
    /// Those that a few thousand seeds find.
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
        Self::BlankVotes,
        Self::VoteIgnoresZxid,
        Self::VoteIgnoresHistory,
        Self::EstablishBeforeEpochWritten,
        Self::EstablishWithoutQuorum,
        Self::DiffSkipsOne,
        Self::SnapForgetsRest,
        Self::SyncDoesNotWait,
        Self::NewVotersNotAsked,
        Self::OldVotersNotAsked,
        Self::ProposedConfigForgotten,
        Self::ProposedConfigInForce,
        Self::ObserversToldTooEarly,
        Self::SyncAnsweredByMaster,
        Self::AnySessionIsValid,
        Self::UpgradeForgotten,
        Self::LocalSessionsStay,
    ];

    /// Those that need more seeds, as what they break takes several rare faults in a row: to be looked
    /// for by name.
    pub const RARE: &[Self] = &[Self::AnyAcceptorCounts];
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
