//! Owns what a member writes besides its log: epochs, the cut that a leader asks for, a leader's
//! snapshot. Each is durable when it returns, and a crash within leaves a state to go on from.

use std::collections::BTreeMap;

use menagerie_core::event::{EpochKind, Event};
use menagerie_core::ids::{SessionId, Zxid};
use menagerie_core::tree::Tree;
use menagerie_storage::StorageError;
use menagerie_storage::epoch::{self, ACCEPTED_EPOCH, CURRENT_EPOCH};
use menagerie_storage::txnlog::{TxnLog, recover};

use super::load;
use super::log_thread::Errand;
use super::snapshots;
use crate::shared::Shared;

/// Does it; the event that tells the core.
pub(super) fn run(
    shared: &Shared,
    log: &mut TxnLog,
    errand: Errand,
) -> Result<Event, StorageError> {
    match errand {
        Errand::Epoch(kind, epoch) => {
            let name = match kind {
                EpochKind::Accepted => ACCEPTED_EPOCH,
                EpochKind::Current => CURRENT_EPOCH,
            };
            epoch::write(&shared.dirs.data, name, epoch)?;
            Ok(Event::EpochDurable { kind, epoch })
        }
        Errand::Truncate { zxid, reload } => {
            log.roll()?;
            truncate(shared, zxid, reload)
        }
        Errand::Install {
            zxid,
            tree,
            sessions,
        } => {
            log.roll()?;
            install(shared, zxid, *tree, &sessions)?;
            Ok(Event::SnapshotInstalled { zxid, sessions })
        }
    }
}

/// Nothing is touched unless it is certain that the tree can be read again afterwards.
fn truncate(shared: &Shared, zxid: Zxid, reload: bool) -> Result<Event, StorageError> {
    let dirs = &shared.dirs;
    let failed = |reason: String| Event::TruncateFailed { zxid, reason };
    let all = dirs.snapshots()?;
    if !all.iter().any(|(at, _)| *at <= zxid.0) {
        return Ok(failed("every snapshot is newer".to_owned()));
    }
    if !recover::holds(dirs, zxid.0)? {
        return Ok(failed("the log does not hold that transaction".to_owned()));
    }
    for (at, path) in all {
        if at > zxid.0 {
            recover::remove_file(dirs, &path)?;
        }
    }
    recover::truncate(dirs, zxid.0)?;
    if !reload {
        return Ok(Event::Truncated {
            zxid,
            reloaded: None,
        });
    }
    match load::restore(&shared.config, dirs, shared.hash_seed, 0) {
        Ok(restored) => {
            replace_tree(shared, restored.tree);
            let sessions: BTreeMap<SessionId, i32> = restored.sessions;
            let reloaded = Some(sessions.into_iter().collect());
            Ok(Event::Truncated { zxid, reloaded })
        }
        Err(error) => Err(StorageError::Unusable {
            path: dirs.data.clone(),
            reason: error.to_string(),
        }),
    }
}

/// What is in the log behind the snapshot goes first: it is not the leader's. What is before it may
/// not be either, and goes when the snapshot is safe.
fn install(
    shared: &Shared,
    zxid: Zxid,
    tree: Tree,
    sessions: &[(SessionId, i32)],
) -> Result<(), StorageError> {
    let dirs = &shared.dirs;
    recover::remove_behind(dirs, zxid.0)?;
    replace_tree(shared, tree);
    snapshots::save(shared, dirs, sessions, false)?;
    for (_, path) in dirs.logs()? {
        recover::remove_file(dirs, &path)?;
    }
    for (at, path) in dirs.snapshots()? {
        if at != zxid.0 {
            recover::remove_file(dirs, &path)?;
        }
    }
    Ok(())
}

fn replace_tree(shared: &Shared, mut tree: Tree) {
    shared.set_config_node(&mut tree);
    let mut old = shared
        .tree
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let old_tree = std::mem::replace(&mut *old, tree);
    drop(old);
    drop(old_tree);
}
