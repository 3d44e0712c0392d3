//! Owns what survives a crash, in two kinds: a model that is quick, and the storage crate itself over
//! blocks that a power failure loses or tears.

pub mod blocks;
pub mod files;
pub mod model;
mod snapshot;

use std::collections::VecDeque;

use bytes::Bytes;
use menagerie_core::event::EpochKind;
use menagerie_core::ids::{SessionId, Zxid};
use menagerie_core::quorum::Configs;
use menagerie_core::tree::Tree;

use files::Files;
use model::Model;
pub use snapshot::Snapshot;

/// Entries that a server keeps in memory; few, so that snapshots are needed too.
pub const RECENT: usize = 12;

/// Something to write.
#[derive(Debug)]
pub enum Task {
    /// Log entries; made durable together.
    Append(Vec<(Zxid, Bytes)>),
    /// The configurations.
    Configs(Configs),
    /// An epoch.
    Epoch(EpochKind, i64),
    /// End the log; read the tree anew if asked to.
    Truncate(Zxid, bool),
    /// Replace everything by a snapshot.
    Install(Snapshot),
    /// A snapshot of the server's own.
    Save(Snapshot),
    /// Begin a new log file.
    Roll,
    /// Note that the database is no longer a lost one.
    RegainVote,
}

/// What is done, and durable.
#[derive(Debug)]
pub enum Done {
    /// Everything up to there is in the log.
    Logged(Zxid),
    /// An epoch.
    Epoch(EpochKind, i64),
    /// The log ends there; the tree, if it was read anew.
    Cut {
        /// Where.
        zxid: Zxid,
        /// What was read.
        reloaded: Option<Box<Restored>>,
    },
    /// The log could not be cut.
    CutFailed {
        /// Where.
        zxid: Zxid,
        /// Why.
        reason: String,
    },
    /// A leader's snapshot is all there is.
    Installed(Snapshot),
    /// A snapshot is finished, or failed.
    Saved,
}

/// Why a member cannot go on with its disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The power has failed.
    Power,
    /// There is no room.
    Full,
    /// The system refused; the process ends.
    Failed(String),
    /// What is on the disk cannot be read.
    Damaged(String),
}

/// What is read at a start.
#[derive(Debug)]
pub struct Restored {
    /// With everything in the log applied.
    pub tree: Tree,
    /// The sessions that are open.
    pub sessions: Vec<(SessionId, i32)>,
    /// The end of the log.
    pub recent: Vec<(Zxid, Bytes)>,
    /// The transactions that made the tree.
    pub lineage: Vec<(Zxid, Bytes)>,
    /// acceptedEpoch.
    pub accepted: i64,
    /// currentEpoch.
    pub current: i64,
    /// The configuration files.
    pub configs: Option<Configs>,
    /// How often a digest on disk was not that of the tree.
    pub mismatches: u64,
    /// Whether the database was lost.
    pub blank: bool,
}

/// A member's disk.
#[derive(Debug)]
pub enum Disk {
    /// The model.
    Model(Box<Model>),
    /// The storage crate's files.
    Files(Box<Files>),
}

impl Disk {
    /// Reads everything, as at a start.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn load(&mut self) -> Result<Restored, Stop> {
        match self {
            Self::Model(model) => Ok(model.restore()),
            Self::Files(files) => files.load(),
        }
    }

    /// Does some of the work that waits; what is done then, in order.
    ///
    /// # Errors
    /// Why it cannot, behind what was done before.
    pub fn work(
        &mut self,
        queue: &mut VecDeque<Task>,
        rng: &mut fastrand::Rng,
    ) -> (Vec<Done>, Result<(), Stop>) {
        match self {
            Self::Model(model) => {
                let done = queue.pop_front().and_then(|task| model.perform(task));
                (done.into_iter().collect(), Ok(()))
            }
            Self::Files(files) => {
                let some = rng.usize(0..=queue.len().saturating_sub(1)) + 1;
                files.work(queue.drain(..some.min(queue.len())).collect())
            }
        }
    }

    /// The power fails while the work waits or is being done.
    pub fn lose_power(&mut self, queue: VecDeque<Task>, rng: &mut fastrand::Rng) {
        match self {
            Self::Model(model) => model.crash(queue, rng),
            Self::Files(files) => files.lose_power(queue, rng),
        }
    }

    /// The configuration files.
    #[must_use]
    pub fn configs(&self) -> Option<&Configs> {
        match self {
            Self::Model(model) => model.configs.as_ref(),
            Self::Files(files) => files.configs(),
        }
    }

    /// The entries behind `from` up to `upto`, if the log holds both.
    #[must_use]
    pub fn read(&self, from: Zxid, upto: Zxid) -> Option<Vec<(Zxid, Bytes)>> {
        match self {
            Self::Model(model) => model.read(from, upto),
            Self::Files(files) => files.read(from, upto),
        }
    }

    /// Whether the database was lost and no leader has brought it back.
    #[must_use]
    pub const fn is_blank(&self) -> bool {
        match self {
            Self::Model(_) => false,
            Self::Files(files) => files.is_blank(),
        }
    }

    /// The files, if it has any.
    pub fn files(&mut self) -> Option<&mut Files> {
        match self {
            Self::Model(_) => None,
            Self::Files(files) => Some(files),
        }
    }
}
