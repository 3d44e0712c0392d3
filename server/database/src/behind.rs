//! Owns reading from the log on disk what a learner lacks. Must not read more than a snapshot would
//! be. Source: `LearnerHandler.syncFollower`, `ZKDatabase.getProposalsFromTxnLog`.

use bytes::Bytes;
use menagerie_core::ids::Zxid;
use menagerie_storage::disk::Access;
use menagerie_storage::txnlog::read::LogIter;
use menagerie_storage::{DataDirs, StorageError};

/// Whether nothing can be missing between two entries of a log. Apache's server leaves the old log
/// where it is when it gets a snapshot from a leader.
fn follows(before: Zxid, zxid: Zxid) -> bool {
    if before.epoch() == zxid.epoch() {
        return zxid.0 <= before.0 + 1;
    }
    zxid.counter() == 1
}

/// The transactions behind `from`, which must be in the log, up to `upto`. `None` when they are not
/// all there, or are larger than `factor` times the newest snapshot.
///
/// # Errors
/// When the log cannot be read.
pub fn read_behind(
    dirs: &DataDirs,
    from: Zxid,
    upto: Zxid,
    factor: f64,
) -> Result<Option<Vec<(Zxid, Bytes)>>, StorageError> {
    let newest = dirs.snapshots()?.into_iter().next();
    let open = |path: &std::path::Path| dirs.disk().open(path, Access::Read);
    let size = newest.and_then(|(_, path)| open(&path).and_then(|file| file.len()).ok());
    #[allow(clippy::cast_precision_loss)]
    let limit = size.map_or(0.0, |size| size as f64) * factor;
    let mut log = LogIter::open(dirs, from.0)?;
    match log.next_entry()? {
        Some(first) if first.header.zxid == from.0 => {}
        _ => return Ok(None),
    }
    let mut entries: Vec<(Zxid, Bytes)> = Vec::new();
    let mut bytes = 0.0;
    while let Some(entry) = log.next_entry()? {
        let zxid = Zxid(entry.header.zxid);
        if zxid > upto {
            break;
        }
        let before = entries.last().map_or(from, |(before, _)| *before);
        if !follows(before, zxid) {
            return Ok(None);
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
