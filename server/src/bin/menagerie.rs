//! The `menagerie` binary: reads its configuration, serves until it is told to stop.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use menagerie::ZooServer;
use menagerie::config::{Config, Severity};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Exit code for wrong arguments or configuration. Source: `ExitCode.INVALID_INVOCATION`.
const INVALID_INVOCATION: u8 = 2;
/// Exit code for a failure while starting or running. Source: `ExitCode.UNEXPECTED_ERROR`.
const UNEXPECTED_ERROR: u8 = 1;

const USAGE: &str = "\
Usage: menagerie [zoo.cfg]
       menagerie port dataDir [tickTime] [maxClientCnxns]

A ZooKeeper server. Without arguments it listens on port 2181 and keeps its data in ./data.
Java flags in SERVER_JVMFLAGS and JVMFLAGS are read for -Dzookeeper.* properties.
RUST_LOG sets what is logged, for instance RUST_LOG=debug.";

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "-h" || arg == "--help") {
        say(USAGE);
        return ExitCode::SUCCESS;
    }
    if args.iter().any(|arg| arg == "-V" || arg == "--version") {
        say(concat!(
            "menagerie ",
            env!("CARGO_PKG_VERSION"),
            ", compatible with ZooKeeper 3.9.5"
        ));
        return ExitCode::SUCCESS;
    }
    if args
        .first()
        .is_some_and(|arg| arg == "start" || arg == "start-foreground")
    {
        args.remove(0);
    }
    let config = match Config::from_args(&args, &|name| std::env::var(name).ok()) {
        Ok((config, warnings)) => {
            for warning in warnings {
                match warning.severity {
                    Severity::Notice => tracing::info!("{warning}"),
                    _ => tracing::warn!("{warning}"),
                }
            }
            config
        }
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::from(INVALID_INVOCATION);
        }
    };
    match ZooServer::builder().config(config).start() {
        Ok(server) => serve(server),
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(UNEXPECTED_ERROR)
        }
    }
}

/// Standard output may be closed; the server serves all the same.
fn say(line: &str) {
    let _closed = writeln!(std::io::stdout(), "{line}");
    let _closed = std::io::stdout().flush();
}

fn serve(server: ZooServer) -> ExitCode {
    tracing::info!("serving ZooKeeper clients on {}", server.client_addr());
    say(&format!(
        "menagerie ready clientPort={}",
        server.client_port()
    ));
    let ended = wait(&server);
    if let Err(error) = &ended {
        tracing::error!(%error, "cannot wait for signals");
    }
    match server.stop() {
        Ok(()) if ended.is_ok() => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Ok(()) => ExitCode::from(UNEXPECTED_ERROR),
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(UNEXPECTED_ERROR)
        }
    }
}

/// Returns when the process is told to end or the server cannot go on.
fn wait(server: &ZooServer) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: finishing what was begun"),
            _ = interrupt.recv() => tracing::info!("SIGINT: finishing what was begun"),
            () = server.failed() => {}
        }
        Ok(())
    })
}
