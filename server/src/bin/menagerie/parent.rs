//! Owns noticing that whoever started the server is gone: its end of the server's standard input is
//! closed then, however it ended. Must not stop anything.

use std::io::{ErrorKind, Read as _};
use std::sync::Arc;

use tokio::sync::Notify;

/// Who started the server. The default never goes.
#[derive(Debug, Default)]
pub(crate) struct Parent(Arc<Notify>);

impl Parent {
    /// Somebody who is there until standard input ends, also while the server is still starting.
    pub(crate) fn behind_stdin() -> Self {
        let parent = Self::default();
        let gone = Arc::clone(&parent.0);
        std::thread::spawn(move || {
            let mut ignored = [0; 1024];
            loop {
                match std::io::stdin().read(&mut ignored) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
            }
            gone.notify_one();
        });
        parent
    }

    /// Returns when it is gone.
    pub(crate) async fn gone(&self) {
        self.0.notified().await;
    }
}
