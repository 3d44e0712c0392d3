//! Owns reading from the log on disk what a learner lacks. Must not read more than a snapshot would
//! be. Source: `LearnerHandler.syncFollower`, `ZKDatabase.getProposalsFromTxnLog`.

use bytes::Bytes;
use menagerie_core::ids::Zxid;
use menagerie_storage::StorageError;
use menagerie_storage::txnlog::read::LogIter;

use crate::shared::Shared;

/// The transactions behind `from`, which must be in the log, up to `upto`. `None` when they are not
/// all there, or are larger than the part of a snapshot that `snapshotSizeFactor` allows.
pub(super) fn read(shared: &Shared, from: Zxid, upto: Zxid) -> Option<Vec<(Zxid, Bytes)>> {
    match try_read(shared, from, upto) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::warn!(%error, "cannot read the log for a learner; it gets a snapshot");
            None
        }
    }
}

fn try_read(
    shared: &Shared,
    from: Zxid,
    upto: Zxid,
) -> Result<Option<Vec<(Zxid, Bytes)>>, StorageError> {
    let factor = shared.config.quorum.snapshot_size_factor;
    let newest = shared.dirs.snapshots()?.into_iter().next();
    let size = newest.and_then(|(_, path)| path.metadata().ok());
    #[allow(clippy::cast_precision_loss)]
    let limit = size.map_or(0.0, |size| size.len() as f64) * factor;
    let mut log = LogIter::open(&shared.dirs, from.0)?;
    match log.next_entry()? {
        Some(first) if first.header.zxid == from.0 => {}
        _ => return Ok(None),
    }
    let mut entries = Vec::new();
    let mut bytes = 0.0;
    while let Some(entry) = log.next_entry()? {
        let zxid = Zxid(entry.header.zxid);
        if zxid > upto {
            break;
        }
        #[allow(clippy::cast_precision_loss)]
        let len = entry.bytes.len() as f64;
        bytes += len;
        if bytes > limit {
            return Ok(None);
        }
        entries.push((zxid, Bytes::copy_from_slice(entry.bytes)));
    }
    let complete = entries.last().is_some_and(|(last, _)| *last == upto);
    Ok(complete.then_some(entries))
}
