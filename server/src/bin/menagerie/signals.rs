//! Owns SIGTERM, SIGINT and SIGHUP, from before the server starts. Must not stop a server that serves:
//! it says that it is time to.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::{io, process, thread};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// The installed handlers.
#[derive(Debug)]
pub(crate) struct Signals {
    serving: Arc<AtomicBool>,
    asked: watch::Receiver<bool>,
    hang_ups: watch::Receiver<u64>,
}

/// Tells when the process is to end.
#[derive(Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

/// Tells when the configuration is to be read again.
#[derive(Debug)]
pub(crate) struct HangUps(watch::Receiver<u64>);

impl Signals {
    /// Installs the handlers. Until [`Signals::started`], a signal ends the process at once: nothing
    /// has been acknowledged, and what is on disk survives worse.
    ///
    /// # Errors
    /// When the system cannot.
    pub(crate) fn install() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let (mut terminate, mut interrupt) = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
            )
        };
        // At a terminal it means that the terminal is gone, and ends the process as ever.
        let hang_up = if io::stdin().is_terminal() {
            None
        } else {
            let _inside = runtime.enter();
            Some(signal(SignalKind::hangup())?)
        };
        let (count, hang_ups) = watch::channel(0);
        let (ask, asked) = watch::channel(false);
        let serving = Arc::new(AtomicBool::new(false));
        let is_serving = Arc::clone(&serving);
        thread::Builder::new()
            .name("menagerie-signal".to_owned())
            .spawn(move || {
                let name = runtime.block_on(async {
                    tokio::select! {
                        _ = terminate.recv() => "SIGTERM",
                        _ = interrupt.recv() => "SIGINT",
                        () = count_hang_ups(hang_up, count) => "SIGHUP",
                    }
                });
                if is_serving.load(SeqCst) {
                    tracing::info!("{name}: finishing what was begun");
                    let _server_ended = ask.send(true);
                } else {
                    tracing::info!("{name}: stopped while starting");
                    process::exit(0);
                }
            })?;
        Ok(Self {
            serving,
            asked,
            hang_ups,
        })
    }

    /// From now on a signal is for the server to end in good order.
    pub(crate) fn started(self) -> (Stop, HangUps) {
        self.serving.store(true, SeqCst);
        (Stop(self.asked), HangUps(self.hang_ups))
    }
}

/// Never returns.
async fn count_hang_ups(signal: Option<Signal>, count: watch::Sender<u64>) {
    if let Some(mut signal) = signal {
        while signal.recv().await.is_some() {
            count.send_modify(|count| *count += 1);
        }
    }
    std::future::pending().await
}

impl HangUps {
    /// Resolves when there was one since the last time.
    pub(crate) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Stop {
    /// Resolves when a signal has come.
    pub(crate) async fn asked(&mut self) {
        if self.0.wait_for(|asked| *asked).await.is_err() {
            // The thread does not end without having asked, unless it panicked.
            std::future::pending::<()>().await;
        }
    }
}
