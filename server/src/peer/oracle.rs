//! Owns reading the file that decides where one of two voters is alone. Must not know what it
//! decides. Source: `QuorumOracleMaj.askOracle`.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use menagerie_core::event::Event;

use super::Peers;

/// How often it is read. Apache reads it whenever it wants to know.
const INTERVAL: Duration = Duration::from_millis(100);

/// Whether the file begins with the character 1.
fn grants(path: &Path) -> io::Result<bool> {
    let mut first = [0];
    let read = File::open(path)?.read(&mut first)?;
    Ok(read == 1 && first == *b"1")
}

/// Tells the core what the file says, and whenever that changes.
pub(super) async fn watch(peers: Arc<Peers>, path: PathBuf) {
    let mut stop = peers.stop.clone();
    let mut known = None;
    loop {
        let file = path.clone();
        let read = tokio::task::spawn_blocking(move || grants(&file)).await;
        let (now, why) = match read {
            Ok(Ok(granted)) => (granted, String::new()),
            Ok(Err(error)) => (false, format!(": {error}")),
            Err(_) => return,
        };
        if known != Some(now) {
            known = Some(now);
            let verdict = if now { "may" } else { "may not" };
            tracing::info!(
                "the oracle {} says that this server {verdict} decide alone{why}",
                path.display()
            );
            peers.shared.inbox.urgent(Event::Oracle { grants: now });
        }
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_begins_with_one_grants() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("oracle");
        assert!(grants(&path).is_err());
        for (text, expected) in [
            ("1", true),
            ("1\n", true),
            ("10", true),
            ("", false),
            ("0", false),
            (" 1", false),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(grants(&path).unwrap(), expected, "{text:?}");
        }
    }
}
