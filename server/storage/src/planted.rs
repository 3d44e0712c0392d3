//! Owns the bugs of the storage crate that the simulator must find: each is one sync, check or order
//! that is missing, compiled in only with the feature `planted-bugs`, and asked for by the disk.
//! Without the feature all of this is nothing.

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// An entry whose end was never written is taken for one.
    TornEntryKept,
    /// The checksums of log entries are not looked at.
    LogChecksumIgnored,
    /// Damage in the log is always taken for its end.
    DamageTakenForEnd,
    /// The checksums of snapshots are not looked at.
    SnapshotChecksumIgnored,
    /// A commit does not sync.
    CommitNotSynced,
    /// A new log's name is not made durable.
    LogNameNotSynced,
    /// What the log has at a start is believed without making it durable.
    RecoveredNotSynced,
    /// A cut of the log is not made durable.
    CutNotSynced,
    /// A cut removes later files from the oldest on.
    CutFromTheFront,
    /// A snapshot gets its name before its contents are durable.
    SnapshotNotSynced,
    /// A small file is written where it is.
    WrittenInPlace,
    /// A small file gets its name before its contents are durable.
    SmallFileNotSynced,
    /// A small file's new name is not made durable.
    SmallNameNotSynced,
    /// A snapshot from a leader comes behind what it replaces is gone.
    ReplacedTooEarly,
}

impl Bug {
    /// Those that a few thousand seeds find.
    pub const ALL: &[Self] = &[
        Self::TornEntryKept,
        Self::LogChecksumIgnored,
        Self::DamageTakenForEnd,
        Self::SnapshotChecksumIgnored,
        Self::CommitNotSynced,
        Self::LogNameNotSynced,
        Self::RecoveredNotSynced,
        Self::CutNotSynced,
        Self::SnapshotNotSynced,
        Self::WrittenInPlace,
        Self::SmallFileNotSynced,
        Self::SmallNameNotSynced,
        Self::ReplacedTooEarly,
    ];

    /// Those that need more seeds: to be looked for by name.
    pub const RARE: &[Self] = &[Self::CutFromTheFront];
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
