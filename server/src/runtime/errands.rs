//! Owns what a member writes besides its log: epochs, the cut that a leader asks for, a leader's
//! snapshot. Each is durable when it returns, and a crash within leaves a state to go on from.

use std::sync::atomic::Ordering::Relaxed;

use menagerie_core::event::Event;
use menagerie_core::ids::Zxid;
use menagerie_core::tree::Tree;
use menagerie_database::Cut;
use menagerie_storage::StorageError;
use menagerie_storage::txnlog::TxnLog;

use super::log_thread::Errand;
use super::snapshots;
use crate::shared::Shared;

/// Does it; the event that tells the core, if it waits for one.
pub(super) fn run(
    shared: &Shared,
    log: &mut TxnLog,
    errand: Errand,
) -> Result<Option<Event>, StorageError> {
    match errand {
        Errand::RegainVote => {
            menagerie_database::set_blank(&shared.dirs, false)?;
            shared.blank.store(false, Relaxed);
            Ok(None)
        }
        Errand::Epoch(kind, epoch) => {
            menagerie_database::save_epoch(&shared.dirs, kind, epoch)?;
            Ok(Some(Event::EpochDurable { kind, epoch }))
        }
        Errand::Truncate { zxid, reload } => {
            log.roll()?;
            truncate(shared, zxid, reload).map(Some)
        }
        Errand::Forget { before, tree } => {
            log.roll()?;
            menagerie_database::remove_before(&shared.dirs, before)?;
            drop(tree);
            Ok(None)
        }
        Errand::Install {
            zxid,
            tree,
            sessions,
        } => {
            log.roll()?;
            let mut tree = *tree;
            shared.set_config_node(&mut tree);
            let options = snapshots::options(&shared.config);
            menagerie_database::replace(&shared.dirs, &tree, &sessions, &options)?;
            replace_tree(shared, tree);
            Ok(Some(Event::SnapshotInstalled { zxid, sessions }))
        }
    }
}

fn truncate(shared: &Shared, zxid: Zxid, reload: bool) -> Result<Event, StorageError> {
    let dirs = &shared.dirs;
    if let Cut::Impossible(reason) = menagerie_database::cut(dirs, zxid)? {
        return Ok(Event::TruncateFailed { zxid, reason });
    }
    if !reload {
        return Ok(Event::Truncated {
            zxid,
            reloaded: None,
        });
    }
    let options = shared.config.load_options(shared.hash_seed, 0);
    match menagerie_database::restore(dirs, &options) {
        Ok(restored) => {
            replace_tree(shared, restored.tree);
            let reloaded = Some(restored.sessions.into_iter().collect());
            Ok(Event::Truncated { zxid, reloaded })
        }
        Err(error) => Err(StorageError::Unusable {
            path: dirs.data.clone(),
            reason: error.to_string(),
        }),
    }
}

fn replace_tree(shared: &Shared, mut tree: Tree) {
    shared.set_config_node(&mut tree);
    drop(shared.swap_tree(tree));
}
