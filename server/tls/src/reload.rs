//! Owns reading stores anew when their files change. Must not stop what runs: what cannot be read
//! leaves everything as it was. Source: `X509Util.enableCertFileReloading`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::Tls;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// What shows that a file is another one.
type Mark = Option<(SystemTime, u64)>;

fn marks(files: &[PathBuf]) -> Vec<Mark> {
    let mark = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(mark).collect()
}

/// Looks at the files until `stop` changes.
pub async fn watch(tls: Arc<Tls>, mut stop: watch::Receiver<bool>) {
    let files = tls.files();
    let mut read = marks(&files);
    let mut seen = read.clone();
    loop {
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let now = marks(&files);
        // Only what has not changed since the last look is written to its end.
        let settled = now == seen;
        seen.clone_from(&now);
        if now == read || !settled {
            continue;
        }
        read = now;
        let reading = Arc::clone(&tls);
        let prefix = tls.prefix();
        match tokio::task::spawn_blocking(move || reading.reload()).await {
            Ok(Ok(())) => tracing::info!("the stores of {prefix}* have changed and are in use"),
            Ok(Err(error)) => {
                tracing::error!(%error, "the stores of {prefix}* have changed; the old ones stay in use");
            }
            Err(error) => tracing::error!(%error, "the stores of {prefix}* could not be read"),
        }
    }
}
