//! Owns the load generator's command line and the order of a run: prepare, measure, clean up. May
//! use everything below. Must not know how servers are started; `compare` does.

pub(crate) mod conn;
pub(crate) mod engine;
pub(crate) mod first_write;
pub(crate) mod frames;
pub(crate) mod pace;
pub(crate) mod proc;
pub(crate) mod sessions;
pub(crate) mod setup;
pub(crate) mod stats;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};

use crate::client::blocking::Blocking;
use crate::socket::endpoints;
use crate::tls::TlsArgs;
use crate::zoo_cfg::CLIENT_PORT;
use conn::Mix;
use engine::{Load, Outcome};
use frames::{FAN_OUT, Template};
use stats::Report;

/// What to do to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// setData on random nodes
    Set,
    /// getData on random nodes
    Get,
    /// create of persistent nodes
    Create,
    /// getData and setData, see --reads
    Mixed,
    /// multi of --multi-ops setData
    Multi,
    /// open and close sessions
    Sessions,
    /// start the server, measure the time to the first acknowledged write; needs --start-cmd
    FirstWrite,
}

impl Workload {
    /// Its name in reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Get => "get",
            Self::Create => "create",
            Self::Mixed => "mixed",
            Self::Multi => "multi",
            Self::Sessions => "sessions",
            Self::FirstWrite => "first-write",
        }
    }
}

/// Loads a ZooKeeper server and reports throughput and latencies.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What to run, one after the other
    #[arg(value_enum, default_values = ["set", "get"])]
    workloads: Vec<Workload>,
    /// host:port[,host:port…]; connections are spread over all of them
    #[arg(short, long, default_value = "127.0.0.1:2181")]
    server: String,
    /// Connections, each with a session
    #[arg(short, long, default_value_t = 16)]
    connections: usize,
    /// Requests outstanding on each connection
    #[arg(short, long, default_value_t = 16)]
    depth: usize,
    /// Send at that rate over all connections, replies or not, instead of --depth; latencies count
    /// from when a request was due: 30000/s
    #[arg(long, value_parser = pace::parse_rate)]
    rate: Option<f64>,
    /// How long to measure: 10s, 500ms, 2m
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// Time before the measurement that does not count
    #[arg(long, default_value = "2s", value_parser = parse_duration)]
    warmup: Duration,
    /// End after that many operations, warm-up included
    #[arg(long)]
    ops: Option<u64>,
    /// Bytes of data per node
    #[arg(long, default_value_t = 100)]
    size: usize,
    /// Nodes that set, get, mixed and multi work on
    #[arg(long, default_value_t = 1000)]
    znodes: u64,
    /// Make that many nodes first (at least --znodes)
    #[arg(long, default_value_t = 0)]
    preload: u64,
    /// Percentage of reads in mixed
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(0..=100))]
    reads: u64,
    /// Operations in each multi
    #[arg(long, default_value_t = 10)]
    multi_ops: usize,
    /// Event loops of the load generator
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Where the nodes go
    #[arg(long, default_value = "/menagerie-bench")]
    root: String,
    /// Leave the nodes for the next run
    #[arg(long)]
    keep: bool,
    /// Report CPU time and memory of this process
    #[arg(long)]
    server_pid: Option<u32>,
    /// Starts the server for first-write; should not go into the background
    #[arg(long)]
    start_cmd: Option<String>,
    /// Time-out of connecting and of single requests outside the measurement
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    timeout: Duration,
    /// Print one JSON object per workload
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tls: TlsArgs,
}

/// Reads `10s`, `500ms`, `2m`, `1h` or plain seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number
        .trim()
        .parse()
        .map_err(|_| format!("not a duration: {text}"))?;
    let factor = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("unknown unit {unit:?}; use ms, s, m or h")),
    };
    Duration::try_from_secs_f64(number * factor).map_err(|e| e.to_string())
}

/// What a workload works on.
#[derive(Clone)]
pub(crate) struct Target {
    /// Where the nodes are.
    pub(crate) root: String,
    /// Bytes per node.
    pub(crate) size: usize,
    /// Nodes used.
    pub(crate) znodes: u64,
    /// Nodes made.
    pub(crate) preload: u64,
    /// Percentage of reads in mixed.
    pub(crate) reads: u64,
    /// Operations per multi.
    pub(crate) multi_ops: usize,
}

impl Target {
    /// Data for every node: printable, and not the same byte over and over.
    pub(crate) fn data(&self) -> Vec<u8> {
        (b'a'..=b'z')
            .chain(b'0'..=b'9')
            .cycle()
            .take(self.size)
            .collect()
    }

    fn mix(&self, workload: Workload) -> Mix {
        let (root, data) = (self.root.as_str(), self.data());
        let read = matches!(workload, Workload::Get | Workload::Mixed);
        let write = match workload {
            Workload::Set | Workload::Mixed => Some(Template::set_data(root, &data)),
            Workload::Create => Some(Template::create(root, &data)),
            Workload::Multi => Some(Template::multi_set(root, &data, self.multi_ops)),
            Workload::Get | Workload::Sessions | Workload::FirstWrite => None,
        };
        Mix {
            read: read.then(|| Template::get_data(root)),
            write,
            read_percent: self.reads,
            creates: workload == Workload::Create,
            znodes: self.znodes.max(1),
        }
    }
}

/// Prepares what `workload` needs and runs it.
pub(crate) fn run_workload(workload: Workload, load: &Load, target: &Target) -> Result<Outcome> {
    match workload {
        Workload::Sessions => return sessions::run(load),
        Workload::FirstWrite => anyhow::bail!("first-write needs a command that starts the server"),
        _ => {}
    }
    let mut connection = Blocking::open(load.address(0)?, load.timeout, load.session_ms)?;
    if workload == Workload::Create {
        setup::create_dirs(&mut connection, &target.root, load.connections)?;
    } else {
        let count = target.preload.max(target.znodes);
        setup::working_set(&mut connection, &target.root, count, &target.data())?;
    }
    connection.close()?;
    engine::run(load, target.mix(workload))
}

/// Removes the nodes that runs have made.
pub(crate) fn clean_up(load: &Load, root: &str) -> Result<()> {
    let mut connection = Blocking::open(load.address(0)?, load.timeout, load.session_ms)?;
    setup::clean(&mut connection, root)?;
    connection.close()
}

/// The subcommand.
pub(crate) fn main(args: &BenchArgs) -> Result<ExitCode> {
    ensure!(
        args.connections > 0 && args.depth > 0,
        "at least one connection and one request"
    );
    ensure!(args.connections < 10_000, "at most 9999 connections");
    let most = 10_000 * FAN_OUT;
    ensure!(
        args.preload.max(args.znodes) <= most,
        "at most {most} nodes"
    );
    ensure!(
        args.root.starts_with('/') && args.root.len() > 1,
        "--root must be a path below /"
    );
    ensure!(
        args.rate.is_none() || !args.workloads.contains(&Workload::Sessions),
        "--rate is for requests, not for sessions"
    );
    let load = Load {
        addresses: endpoints(&args.server, CLIENT_PORT, args.tls.client()?.as_ref())?,
        connections: args.connections,
        depth: args.depth,
        rate: args.rate,
        threads: args.threads,
        warmup: if args.ops.is_some() {
            Duration::ZERO
        } else {
            args.warmup
        },
        duration: if args.ops.is_some() {
            Duration::from_secs(86_400)
        } else {
            args.duration
        },
        max_ops: args.ops,
        stop: Arc::new(AtomicBool::new(false)),
        timeout: args.timeout,
        session_ms: 30_000,
        server_pid: args.server_pid,
    };
    let target = Target {
        root: args.root.trim_end_matches('/').to_owned(),
        size: args.size,
        znodes: args.znodes,
        preload: args.preload,
        reads: args.reads,
        multi_ops: args.multi_ops,
    };
    let mut failed = false;
    let mut used_nodes = false;
    for &workload in &args.workloads {
        if workload == Workload::FirstWrite {
            let command = args
                .start_cmd
                .as_deref()
                .context("first-write needs --start-cmd")?;
            let server = load.address(0)?;
            ensure!(
                server.tls.is_none(),
                "the first write is measured without TLS only"
            );
            let took = first_write::with_command(command, server.address, args.timeout)?;
            print_first_write(took, args.json);
            continue;
        }
        used_nodes |= workload != Workload::Sessions;
        let outcome = run_workload(workload, &load, &target)
            .with_context(|| format!("workload {}", workload.name()))?;
        let depth = if workload == Workload::Sessions {
            1
        } else {
            args.depth
        };
        let mut report = Report::new(
            workload.name(),
            args.connections,
            depth,
            &outcome.counts,
            &outcome.window,
        );
        report.rate = args.rate;
        failed |= !report.errors.is_empty();
        if args.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            print!("{}", report.text());
        }
    }
    if used_nodes && !args.keep {
        clean_up(&load, &target.root)?;
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn print_first_write(took: Duration, json: bool) {
    let ms = took.as_secs_f64() * 1000.0;
    if json {
        println!(
            "{}",
            serde_json::json!({ "workload": "first-write", "ms": ms })
        );
    } else {
        println!("first-write: {ms:.1} ms from the start of the process to the acknowledgement");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("3"), Ok(Duration::from_secs(3)));
        assert!(parse_duration("3 weeks").is_err());
        assert!(parse_duration("-1s").is_err());
        assert!(parse_duration("").is_err());
    }
}
