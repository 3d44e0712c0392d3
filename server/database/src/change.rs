//! Owns what a leader asks a learner's files for: to end earlier, or to hold the leader's tree. Each is
//! durable when it returns.

use menagerie_core::ids::{SessionId, Zxid};
use menagerie_core::tree::Tree;
use menagerie_storage::planted::Bug;
use menagerie_storage::txnlog::recover;
use menagerie_storage::{DataDirs, StorageError};

use crate::save::{SaveOptions, Saving};

/// How a cut went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// The log ends there now.
    Done,
    /// It cannot, and nothing was touched.
    Impossible(String),
}

/// Ends the log at `zxid`. Nothing is touched unless it is certain that the tree can be read again
/// afterwards. The log must have been rolled.
///
/// # Errors
/// When the system cannot; a part may have been done, and the files must be loaded anew.
pub fn cut(dirs: &DataDirs, zxid: Zxid) -> Result<Cut, StorageError> {
    let all = dirs.snapshots()?;
    if !all.iter().any(|(at, _)| *at <= zxid.0) {
        return Ok(Cut::Impossible("every snapshot is newer".to_owned()));
    }
    if !recover::holds(dirs, zxid.0)? {
        return Ok(Cut::Impossible(
            "the log does not hold that transaction".to_owned(),
        ));
    }
    for (at, path) in all {
        if at > zxid.0 {
            recover::remove_file(dirs, &path)?;
        }
    }
    recover::truncate(dirs, zxid.0)?;
    Ok(Cut::Done)
}

/// Replaces everything by `tree`. What is in the log behind it goes first: it is not the leader's.
/// What is before it may not be either, and goes when the snapshot is safe. The log must have been
/// rolled.
///
/// # Errors
/// When the system cannot; a part may have been done, and the files must be loaded anew.
pub fn replace(
    dirs: &DataDirs,
    tree: &Tree,
    sessions: &[(SessionId, i32)],
    options: &SaveOptions,
) -> Result<(), StorageError> {
    let zxid = tree.last_zxid();
    recover::remove_behind(dirs, zxid)?;
    if dirs.disk().planted().has(Bug::ReplacedTooEarly) {
        for (_, path) in dirs.logs()?.into_iter().chain(dirs.snapshots()?) {
            recover::remove_file(dirs, &path)?;
        }
    }
    Saving::whole(dirs, tree, sessions, options)?;
    remove_all_but(dirs, |at| at == zxid)
}

/// Removes what is older than the snapshot at `zxid`, of which the log does not tell: what comes
/// behind would seem to follow what was before. The log must have been rolled.
///
/// # Errors
/// When the system cannot.
pub fn remove_before(dirs: &DataDirs, zxid: Zxid) -> Result<(), StorageError> {
    remove_all_but(dirs, |at| at >= zxid.0)
}

/// Removes all logs, and the snapshots that do not stay.
fn remove_all_but(dirs: &DataDirs, stays: impl Fn(i64) -> bool) -> Result<(), StorageError> {
    for (_, path) in dirs.logs()? {
        recover::remove_file(dirs, &path)?;
    }
    for (at, path) in dirs.snapshots()? {
        if !stays(at) {
            recover::remove_file(dirs, &path)?;
        }
    }
    Ok(())
}
