//! Owns the periodic purge of old files. Source: `DatadirCleanupManager`.

use std::sync::Arc;
use std::time::Duration;

use menagerie_storage::{DataDirs, purge};
use tokio::sync::watch;

use crate::shared::Shared;

/// Purges at the start and every `autopurge.purgeInterval` hours, until `stop` changes.
pub(crate) async fn run(shared: Arc<Shared>, dirs: DataDirs, mut stop: watch::Receiver<bool>) {
    let hours = u64::try_from(shared.config.autopurge_purge_interval_h).unwrap_or_default();
    if hours == 0 {
        return;
    }
    let retain = usize::try_from(shared.config.autopurge_snap_retain_count).unwrap_or_default();
    loop {
        let dirs = dirs.clone();
        match tokio::task::spawn_blocking(move || purge::purge(&dirs, retain)).await {
            Ok(Ok(removed)) if removed.is_empty() => {}
            Ok(Ok(removed)) => {
                tracing::info!(files = removed.len(), "purged old snapshots and logs")
            }
            Ok(Err(error)) => tracing::warn!(%error, "cannot purge old files"),
            Err(error) => tracing::error!(%error, "the purge ended by a panic"),
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(hours.saturating_mul(3600))) => {}
            _ = stop.changed() => return,
        }
    }
}
