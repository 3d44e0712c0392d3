//! Owns the two epochs on disk. Source: `QuorumPeer.loadDataBase`.

use menagerie_core::event::EpochKind;
use menagerie_core::ids::Zxid;
use menagerie_storage::epoch::{self, ACCEPTED_EPOCH, CURRENT_EPOCH};
use menagerie_storage::{DataDirs, StorageError};

const fn name(kind: EpochKind) -> &'static str {
    match kind {
        EpochKind::Accepted => ACCEPTED_EPOCH,
        EpochKind::Current => CURRENT_EPOCH,
    }
}

/// Makes an epoch durable.
///
/// # Errors
/// When the system cannot.
pub fn save_epoch(dirs: &DataDirs, kind: EpochKind, epoch: i64) -> Result<(), StorageError> {
    epoch::write_on(&**dirs.disk(), &dirs.data, name(kind), epoch)
}

/// acceptedEpoch and currentEpoch; files that are missing are made from `last`, the log's last
/// transaction.
///
/// # Errors
/// When the system cannot, or the files contradict each other.
pub fn load_epochs(dirs: &DataDirs, last: Zxid) -> Result<(i64, i64), StorageError> {
    let number = |kind: EpochKind| -> Result<i64, StorageError> {
        if let Some(number) = epoch::read_on(&**dirs.disk(), &dirs.data, name(kind))? {
            return Ok(number);
        }
        save_epoch(dirs, kind, last.epoch())?;
        Ok(last.epoch())
    };
    let (accepted, current) = (number(EpochKind::Accepted)?, number(EpochKind::Current)?);
    if accepted < current {
        let reason = format!("acceptedEpoch is {accepted}, before currentEpoch {current}");
        let path = dirs.data.join(ACCEPTED_EPOCH);
        return Err(StorageError::Unusable { path, reason });
    }
    if last.epoch() > current {
        tracing::warn!(
            %last,
            current,
            "the log is ahead of currentEpoch: the server stopped while it took over a leader's \
             history, and will take it over again"
        );
    }
    Ok((accepted, current))
}
