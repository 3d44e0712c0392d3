//! The `menagerie` binary: reads its configuration, serves until it is told to stop.

mod doctor;
mod logging;
mod notify;
mod parent;
mod signals;

use std::io::Write as _;
use std::process::ExitCode;

use logging::Logging;
use menagerie::ZooServer;
use menagerie::config::{Config, ConfigError, LogSettings, Severity, Warning};
use notify::Notify;
use parent::Parent;
use signals::{HangUps, Signals, Stop};

/// Exit code for wrong arguments or configuration. Source: `ExitCode.INVALID_INVOCATION`.
const INVALID_INVOCATION: u8 = 2;
/// Exit code for a failure while starting or running. Source: `ExitCode.UNEXPECTED_ERROR`.
const UNEXPECTED_ERROR: u8 = 1;

const USAGE: &str = "\
Usage: menagerie [--stop-with-stdin] [zoo.cfg]
       menagerie [--stop-with-stdin] port dataDir [tickTime] [maxClientCnxns]
       menagerie doctor [zoo.cfg]

A ZooKeeper server. Without arguments it listens on port 2181 and keeps its data in ./data.
Java flags in SERVER_JVMFLAGS and JVMFLAGS are read for -Dzookeeper.* properties.
RUST_LOG sets what is logged, for instance RUST_LOG=debug.
SIGHUP makes a running server read its configuration again and take over what it can.
doctor says what is wrong or risky about a configuration, its directories and its neighbours, and what
to do about it; it ends with 0 if the server would start, else with 1.
--stop-with-stdin stops the server when its standard input ends: a program that holds the other end
of a pipe takes the server along, however the program itself ends.";

fn main() -> ExitCode {
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
    if args.first().is_some_and(|arg| arg == "doctor") {
        args.remove(0);
        Logging::start(&LogSettings::default());
        return doctor::run(&args);
    }
    let parent = match args.iter().position(|arg| arg == "--stop-with-stdin") {
        Some(at) => {
            args.remove(at);
            Parent::behind_stdin()
        }
        None => Parent::default(),
    };
    let read = read(&args);
    let settings = read.as_ref().map(|(config, _)| config.log.clone());
    let logging = Logging::start(&settings.unwrap_or_default());
    let config = match read {
        Ok((config, warnings)) => {
            tell(&warnings);
            config
        }
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::from(INVALID_INVOCATION);
        }
    };
    // First of all: a process without handlers dies of SIGTERM, and as process 1 does not hear it.
    let signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "cannot wait for signals");
            return ExitCode::from(UNEXPECTED_ERROR);
        }
    };
    #[cfg(feature = "opentelemetry")]
    let _traces = match menagerie::Traces::from_env() {
        Ok(traces) => traces,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::from(INVALID_INVOCATION);
        }
    };
    match ZooServer::builder().config(config).start() {
        Ok(server) => serve(server, signals, &parent, Again { args, logging }),
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(UNEXPECTED_ERROR)
        }
    }
}

fn read(args: &[String]) -> Result<(Config, Vec<Warning>), ConfigError> {
    Config::from_args(args, &|name| std::env::var(name).ok())
}

fn tell(warnings: &[Warning]) {
    for warning in warnings {
        match warning.severity {
            Severity::Notice => tracing::info!("{warning}"),
            _ => tracing::warn!("{warning}"),
        }
    }
}

/// What it takes to read the configuration once more.
struct Again {
    args: Vec<String>,
    logging: Logging,
}

impl Again {
    /// Takes over what of the configuration a running server can. One that is wrong changes nothing.
    fn read(&mut self, server: &ZooServer) {
        let (config, warnings) = match read(&self.args) {
            Ok(read) => read,
            Err(error) => {
                tracing::error!("the configuration stays as it is: {error}");
                return;
            }
        };
        tell(&warnings);
        let reloaded = server.reload(&config);
        self.logging.change(&config.log);
        let taken = reloaded.taken.join(", ");
        tracing::info!(taken, "the configuration has been read again");
        if !reloaded.waiting.is_empty() {
            let keys = reloaded.waiting.join(", ");
            tracing::warn!(keys, "these settings have changed and need a restart");
        }
    }
}

/// Standard output may be closed; the server serves all the same.
fn say(line: &str) {
    let _closed = writeln!(std::io::stdout(), "{line}");
    let _closed = std::io::stdout().flush();
}

fn serve(server: ZooServer, signals: Signals, parent: &Parent, again: Again) -> ExitCode {
    tracing::info!("serving ZooKeeper clients on {}", server.client_addr());
    let notify = Notify::from_env(&|name| std::env::var(name).ok());
    let signals = signals.started();
    let secure = server.secure_addr().map(|address| address.port());
    say(&format!(
        "menagerie ready clientPort={}{}",
        server.client_port(),
        secure.map_or_else(String::new, |port| format!(" secureClientPort={port}"))
    ));
    notify.send(&format!(
        "READY=1\nSTATUS=Serving ZooKeeper clients on {}",
        server.client_addr()
    ));
    let ended = wait(&server, signals, parent, &notify, again);
    if let Err(error) = &ended {
        tracing::error!(%error, "cannot wait for signals");
    }
    notify.send("STOPPING=1");
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

/// Returns when the process is told to end, whoever started it is gone, or the server cannot go on.
fn wait(
    server: &ZooServer,
    (mut stop, mut hang_ups): (Stop, HangUps),
    parent: &Parent,
    notify: &Notify,
    mut again: Again,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let reading = async {
            loop {
                hang_ups.next().await;
                again.read(server);
            }
        };
        tokio::select! {
            () = stop.asked() => {}
            () = reading => {}
            () = parent.gone() => {
                tracing::info!("standard input has ended: finishing what was begun");
            }
            () = server.failed() => {}
            () = feed_watchdog(server, notify) => {}
        }
        Ok(())
    })
}

/// Tells the service manager that the server is alive for as long as it is.
async fn feed_watchdog(server: &ZooServer, notify: &Notify) {
    let Some(period) = notify.watchdog_period() else {
        return std::future::pending().await;
    };
    let mut due = tokio::time::interval(period);
    loop {
        due.tick().await;
        match tokio::time::timeout(period, server.answers()).await {
            Ok(true) => notify.send("WATCHDOG=1"),
            Ok(false) => {}
            Err(_) => tracing::warn!("the core does not answer within {period:?}"),
        }
    }
}
