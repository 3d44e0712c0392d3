//! Owns which files may go. Source: `PurgeTxnLog.purge`.

use std::io::ErrorKind;
use std::path::PathBuf;

use crate::{DataDirs, StorageError};

/// The fewest snapshots that are kept.
pub const RETAIN_MIN: usize = 3;

/// The files that are not needed when the newest `retain` valid snapshots are kept: older
/// snapshots, and logs that end before the oldest of those kept, the oldest of each first. The log
/// that holds the transactions behind it is needed even though it starts before.
///
/// # Errors
/// When the directories cannot be read.
pub fn removable(dirs: &DataDirs, retain: usize) -> Result<Vec<PathBuf>, StorageError> {
    let retain = retain.max(RETAIN_MIN);
    let snapshots = dirs.snapshots()?;
    let valid = snapshots
        .iter()
        .filter(|(_, path)| crate::snapshot::read::looks_valid_on(&**dirs.disk(), path));
    let kept: Vec<i64> = valid.take(retain).map(|(zxid, _)| *zxid).collect();
    let Some(&oldest) = kept.last() else {
        return Ok(Vec::new());
    };
    let logs = dirs.logs()?;
    let needed = logs
        .iter()
        .rev()
        .map(|(start, _)| *start)
        .find(|start| *start <= oldest);
    let needed = needed.unwrap_or(oldest);
    let old_snapshots = snapshots.into_iter().rev();
    let old_snapshots = old_snapshots.filter(|(zxid, _)| *zxid < oldest);
    let old_logs = logs.into_iter().filter(|(start, _)| *start < needed);
    Ok(old_snapshots
        .chain(old_logs)
        .map(|(_, path)| path)
        .collect())
}

/// Deletes what [`removable`] names and returns it: the oldest first and durably, as a power failure
/// that brought back a log but not the one behind it would leave a hole in the history.
///
/// # Errors
/// When a directory cannot be read or a file not deleted.
pub fn purge(dirs: &DataDirs, retain: usize) -> Result<Vec<PathBuf>, StorageError> {
    let files = removable(dirs, retain)?;
    for path in &files {
        match dirs.disk().remove(path) {
            // Someone else's purge was faster.
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(StorageError::io("remove", path)(error));
            }
            _ => dirs.sync_dir(path.parent().unwrap_or(path))?,
        }
    }
    Ok(files)
}
