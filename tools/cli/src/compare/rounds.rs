//! Owns the order of measurements: both servers fresh in every round, each load on one and then at
//! once on the other, who is first changing by round; then the big tree on one and on the other.
//! Must not judge.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::report::Figures;
use super::rows::{Row, Shape, Source};
use super::server::{Programs, Server, Side};
use super::stall;
use crate::bench::engine::{Load, Outcome};
use crate::bench::proc::rss_mb;
use crate::bench::stats::Report;
use crate::bench::{Target, Workload, run_workload, setup};
use crate::client::blocking::Blocking;

/// How long a server may take to come up or to answer one request.
const LIMIT: Duration = Duration::from_secs(180);
/// How long a server is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(3);
/// Apache rolls its log and takes a snapshot after half to all of so many transactions.
const SNAP_COUNT: u64 = 60_000;
/// Which part of Apache's rate in a closed loop the open loop has.
const OPEN_PART: f64 = 0.55;
/// `snapCount` that keeps snapshots out of the way while the big tree is loaded.
const NO_SNAPSHOTS: u64 = 1_000_000_000;

/// The size of a comparison.
pub(crate) struct Settings {
    /// Repetitions.
    pub(crate) rounds: usize,
    /// Of each load.
    pub(crate) duration: Duration,
    /// Before it.
    pub(crate) warmup: Duration,
    /// Nodes of the big tree.
    pub(crate) big: u64,
    /// Event loops of the load generator.
    pub(crate) threads: usize,
}

impl Settings {
    /// A load on servers of which one may be measured as a process.
    pub(super) fn load(
        &self,
        addresses: Vec<SocketAddr>,
        server_pid: Option<u32>,
        connections: usize,
        depth: usize,
    ) -> Load {
        Load {
            addresses: addresses.into_iter().map(Into::into).collect(),
            connections,
            depth,
            rate: None,
            threads: self.threads,
            warmup: self.warmup,
            duration: self.duration,
            max_ops: None,
            stop: Arc::new(AtomicBool::new(false)),
            timeout: LIMIT,
            session_ms: 40_000,
            server_pid,
        }
    }

    fn load_one(&self, server: &Server<'_>, connections: usize, depth: usize) -> Result<Load> {
        let pid = Some(server.pid()?);
        Ok(self.load(vec![server.address()], pid, connections, depth))
    }

    pub(super) fn target(&self, preload: u64) -> Target {
        Target {
            root: "/menagerie-bench".to_owned(),
            size: 100,
            znodes: preload,
            preload,
            reads: 90,
            multi_ops: 10,
        }
    }
}

/// Measures `rows` of `sides` and adds them to `figures`.
pub(crate) fn run(
    settings: &Settings,
    programs: &Programs,
    sides: &[Side],
    rows: &[&'static Row],
    directory: &Path,
    figures: &mut Figures,
) -> Result<()> {
    let (big, small): (Vec<_>, Vec<_>) = rows.iter().copied().partition(|r| r.source.is_big());
    for round in 0..settings.rounds {
        let order = order(sides, round);
        eprintln!("round {} of {}", round + 1, settings.rounds);
        if !small.is_empty() {
            small_round(settings, programs, &order, &small, directory, figures)?;
        }
        for &side in order.iter().filter(|_| !big.is_empty()) {
            let result = big_round(settings, programs, side, &big, directory, figures);
            if let Err(error) = result {
                note(figures, side, "big tree", &error);
            }
        }
    }
    Ok(())
}

/// Who is first changes by round.
pub(super) fn order(sides: &[Side], round: usize) -> Vec<Side> {
    let mut order = sides.to_vec();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

fn note(figures: &mut Figures, side: Side, what: &str, error: &anyhow::Error) {
    figures
        .failures
        .push(format!("{} {what}: {error:#}", side.name()));
}

/// Adds a figure to the rows that show it.
pub(super) fn add(
    figures: &mut Figures,
    rows: &[&'static Row],
    source: Source,
    side: Side,
    value: f64,
) {
    for row in rows.iter().filter(|row| row.source == source) {
        eprintln!(
            "  {:<10} {:<22} {value:.2} {}",
            side.name(),
            row.id,
            row.unit
        );
        figures.add(row, side, value);
    }
}

pub(super) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn wants(rows: &[&Row], source: Source) -> bool {
    rows.iter().any(|row| row.source == source)
}

/// Everything that needs no big tree, on fresh servers.
fn small_round(
    settings: &Settings,
    programs: &Programs,
    order: &[Side],
    rows: &[&'static Row],
    directory: &Path,
    figures: &mut Figures,
) -> Result<()> {
    let mut servers = Vec::new();
    for &side in order {
        let mut server = Server::new(side, programs, directory, None)?;
        match server.start(LIMIT) {
            Ok(took) => add(figures, rows, Source::FirstWriteEmpty, side, ms(took)),
            Err(error) => {
                note(figures, side, "start", &error);
                continue;
            }
        }
        if wants(rows, Source::IdleMemory) {
            thread::sleep(SETTLE);
            add(
                figures,
                rows,
                Source::IdleMemory,
                side,
                rss_mb(server.pid()?)?,
            );
        }
        servers.push(server);
    }
    let shapes = shapes(rows);
    if !shapes.is_empty() {
        let warm = Shape(Workload::Mixed, 16, 16);
        for server in &servers {
            if let Err(error) = one_load(settings, server, warm) {
                note(figures, server.side(), "warm-up", &error);
            }
        }
    }
    let mut done = Vec::new();
    for shape in shapes {
        for server in &servers {
            let side = server.side();
            match one_load(settings, server, shape) {
                Ok(report) => {
                    done.push((side, shape, report.per_second));
                    add(
                        figures,
                        rows,
                        Source::Throughput(shape),
                        side,
                        report.per_second,
                    );
                    let cpu = report.server_cpu_us_per_op.unwrap_or_default();
                    add(figures, rows, Source::CpuPerOp(shape), side, cpu);
                }
                Err(error) => note(figures, side, shape.0.name(), &error),
            }
        }
    }
    for shape in rows.iter().filter_map(|row| row.source.open_loop()) {
        let Some(rate) = equal_rate(&done, shape) else {
            continue;
        };
        for server in &servers {
            let load = settings.load_one(server, shape.1, shape.2)?;
            if let Err(error) = open_load(settings, load, server.side(), rows, shape, rate, figures)
            {
                note(figures, server.side(), "open loop", &error);
            }
        }
    }
    servers.iter_mut().try_for_each(Server::stop)
}

/// The rate at which both sides' latencies are compared: part of what Apache has done in a closed
/// loop, or of what there is without Apache.
pub(super) fn equal_rate(done: &[(Side, Shape, f64)], shape: Shape) -> Option<f64> {
    let of = |side: Side| move |(s, sh, _): &&(Side, Shape, f64)| *s == side && *sh == shape;
    let apache = done.iter().find(of(Side::Apache));
    let found = apache.or_else(|| done.iter().find(of(Side::Menagerie)));
    found.map(|(_, _, per_second)| per_second * OPEN_PART)
}

/// An open loop at `rate`.
pub(super) fn open_load(
    settings: &Settings,
    load: Load,
    side: Side,
    rows: &[&'static Row],
    shape: Shape,
    rate: f64,
    figures: &mut Figures,
) -> Result<()> {
    let load = Load {
        rate: Some(rate),
        ..load
    };
    let outcome = run_workload(shape.0, &load, &settings.target(1000))?;
    let report = checked(shape, &outcome)?;
    let p99 = report.write_us.as_ref().map_or(0.0, |l| l.p99());
    add(figures, rows, Source::OpenP99(shape), side, p99);
    let per_second = report.per_second;
    add(figures, rows, Source::OpenRate(shape), side, per_second);
    Ok(())
}

/// The loads behind `rows`, each once, in order.
fn shapes(rows: &[&Row]) -> Vec<Shape> {
    let mut found: Vec<Shape> = Vec::new();
    for row in rows {
        if let Source::Throughput(shape) | Source::CpuPerOp(shape) | Source::OpenP99(shape) =
            row.source
            && !found.contains(&shape)
        {
            found.push(shape);
        }
    }
    found
}

fn one_load(settings: &Settings, server: &Server<'_>, shape: Shape) -> Result<Report> {
    let Shape(workload, connections, depth) = shape;
    let load = settings.load_one(server, connections, depth)?;
    let outcome = run_workload(workload, &load, &settings.target(1000))?;
    checked(shape, &outcome)
}

/// The report of a load in which everything went well.
pub(super) fn checked(shape: Shape, outcome: &Outcome) -> Result<Report> {
    let Shape(workload, connections, depth) = shape;
    let report = Report::new(
        workload.name(),
        connections,
        depth,
        &outcome.counts,
        &outcome.window,
    );
    ensure!(
        report.errors.is_empty(),
        "error replies: {:?}",
        report.errors
    );
    ensure!(report.ops > 0, "nothing was answered");
    Ok(report)
}

/// Everything that needs the big tree, on one server.
fn big_round(
    settings: &Settings,
    programs: &Programs,
    side: Side,
    rows: &[&'static Row],
    directory: &Path,
    figures: &mut Figures,
) -> Result<()> {
    let target = settings.target(settings.big);
    let stalls = wants(rows, Source::SnapshotStall) || wants(rows, Source::OutsideStall);
    let mut server = Server::new(side, programs, directory, Some(NO_SNAPSHOTS))?;
    server.start(LIMIT)?;
    let mut connection = Blocking::open(&server.address().into(), LIMIT, 40_000)?;
    setup::working_set(&mut connection, &target.root, settings.big, &target.data())
        .context("loading the big tree")?;
    connection.close()?;
    thread::sleep(SETTLE);
    add(
        figures,
        rows,
        Source::BigMemory,
        side,
        rss_mb(server.pid()?)?,
    );
    server.stop()?;
    // Both have now a log only. Apache takes a snapshot of what it has read when it starts, so a
    // start in between puts both where a server is that has been restarted before.
    server.start(LIMIT)?;
    thread::sleep(SETTLE);
    server.stop()?;
    server.configure(Some(SNAP_COUNT))?;
    let took = server.start(LIMIT)?;
    add(figures, rows, Source::FirstWriteBig, side, ms(took));
    thread::sleep(SETTLE);
    add(
        figures,
        rows,
        Source::BigMemoryRestarted,
        side,
        rss_mb(server.pid()?)?,
    );
    if stalls {
        let load = settings.load_one(&server, 4, 4)?;
        let stall = stall::measure(&load, &target, &server.files())?;
        add(figures, rows, Source::SnapshotStall, side, stall.during);
        add(figures, rows, Source::OutsideStall, side, stall.outside);
    }
    server.stop()
}
