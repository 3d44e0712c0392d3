//! Owns reading from the log on disk what a learner lacks, as far as the settings allow it.

use bytes::Bytes;
use menagerie_core::ids::Zxid;

use crate::shared::Shared;

/// The transactions behind `from`, which must be in the log, up to `upto`. `None` when they are not
/// all there, or are larger than the part of a snapshot that `snapshotSizeFactor` allows.
pub(super) fn read(shared: &Shared, from: Zxid, upto: Zxid) -> Option<Vec<(Zxid, Bytes)>> {
    let factor = shared.config.quorum.snapshot_size_factor;
    match menagerie_database::read_behind(&shared.dirs, from, upto, factor) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::warn!(%error, "cannot read the log for a learner; it gets a snapshot");
            None
        }
    }
}
