//! Owns the comparison of ensembles: three members of either server, the same loads on one ensemble
//! and then at once on the other. May use everything of `bench`. Must leave nothing behind.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use menagerie_ports::free_address;
use rustix::process::Signal;

use super::guard;
use super::report::Figures;
use super::rounds::{Settings, add, checked, equal_rate, ms, open_load, order};
use super::rows::{Goal, Row, Shape, Source};
use super::server::{Programs, Side};
use crate::bench::engine::Load;
use crate::bench::first_write::{first_write, still_runs};
use crate::bench::proc::cpu_seconds;
use crate::bench::stats::Report;
use crate::bench::{Workload, run_workload};

/// How long an ensemble may take to serve.
const LIMIT: Duration = Duration::from_secs(60);
/// What to run of Apache's for a member.
const MEMBER: &[&str] = &[
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
    "org.apache.zookeeper.server.quorum.QuorumPeerMain",
];
/// Members of each ensemble.
const MEMBERS: usize = 3;
/// How often a leader is killed in each round.
const KILLS: usize = 3;

const PIPELINED: Shape = Shape(Workload::Set, 15, 16);
const ONE: Shape = Shape(Workload::Set, 1, 1);
const READS: Shape = Shape(Workload::Get, 15, 16);
const SESSIONS: Shape = Shape(Workload::Sessions, 16, 1);

const fn row(
    id: &'static str,
    title: &'static str,
    unit: &'static str,
    source: Source,
    goal: Goal,
) -> Row {
    Row {
        id,
        title,
        unit,
        source,
        goal,
    }
}

/// What is compared. The sources that are for a server's life stand for an ensemble's here.
pub(super) const ROWS: &[Row] = &[
    row(
        "ensemble-set",
        "setData, 15 connections × 16 outstanding, over all members",
        "ops/s",
        Source::Throughput(PIPELINED),
        Goal::TimesAtLeast(5.0),
    ),
    row(
        "ensemble-set-cpu",
        "CPU of all three members per setData",
        "µs",
        Source::CpuPerOp(PIPELINED),
        Goal::PartAtMost(1.0 / 6.0),
    ),
    row(
        "ensemble-set-p99",
        "p99 of setData under that load",
        "µs",
        Source::WriteP99(PIPELINED),
        Goal::None,
    ),
    row(
        "ensemble-open-p99",
        "p99 of setData at 55 % of Apache's rate, open loop, 15 connections",
        "µs",
        Source::OpenP99(PIPELINED),
        Goal::PartAtMost(1.0 / 3.0),
    ),
    row(
        "ensemble-open-rate",
        "setData answered in that run",
        "ops/s",
        Source::OpenRate(PIPELINED),
        Goal::None,
    ),
    row(
        "ensemble-set-1x1",
        "setData, 1 × 1",
        "ops/s",
        Source::Throughput(ONE),
        Goal::TimesAtLeast(1.5),
    ),
    row(
        "ensemble-get",
        "getData, 15 × 16, over all members",
        "ops/s",
        Source::Throughput(READS),
        Goal::TimesAtLeast(5.0),
    ),
    row(
        "ensemble-sessions",
        "Sessions opened and closed, 16 at a time",
        "1/s",
        Source::Throughput(SESSIONS),
        Goal::TimesAtLeast(5.0),
    ),
    row(
        "ensemble-cold",
        "From a cold start to a write through every member",
        "ms",
        Source::FirstWriteEmpty,
        Goal::PartAtMost(0.25),
    ),
    row(
        "ensemble-failover",
        "From the leader's kill -9 to a write on a member that is left",
        "ms",
        Source::FailOver,
        Goal::PartAtMost(1.0 / 3.0),
    ),
];

struct Member {
    home: PathBuf,
    address: SocketAddr,
    running: Option<Child>,
}

struct Ensemble<'p> {
    side: Side,
    programs: &'p Programs,
    members: Vec<Member>,
}

impl<'p> Ensemble<'p> {
    fn new(side: Side, programs: &'p Programs, parent: &Path) -> Result<Self> {
        let mut lines = String::new();
        for number in 1..=MEMBERS {
            let (quorum, election) = (free_address()?.port(), free_address()?.port());
            lines += &format!("server.{number}=127.0.0.1:{quorum}:{election}\n");
        }
        let mut members = Vec::new();
        for number in 1..=MEMBERS {
            let home = parent.join(format!("{}-{number}", side.name()));
            if home.exists() {
                fs::remove_dir_all(&home)?;
            }
            fs::create_dir_all(home.join("data"))?;
            let address = free_address()?;
            let text = format!(
                "tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir={}\nclientPortAddress={}\n\
                 clientPort={}\nmaxClientCnxns=0\nforceSync=yes\nadmin.enableServer=false\n\
                 4lw.commands.whitelist=*\n{lines}",
                home.join("data").display(),
                address.ip(),
                address.port()
            );
            fs::write(home.join("zoo.cfg"), text)?;
            fs::write(home.join("data/myid"), number.to_string())?;
            members.push(Member {
                home,
                address,
                running: None,
            });
        }
        Ok(Self {
            side,
            programs,
            members,
        })
    }

    fn spawn(&mut self, at: usize) -> Result<()> {
        if let Some(member) = self.members.get_mut(at) {
            member.running = Some(self.programs.spawn(self.side, MEMBER, &member.home)?);
        }
        Ok(())
    }

    /// Starts all; the time until a write was acknowledged by every one.
    fn start(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        for at in 0..MEMBERS {
            self.spawn(at)?;
        }
        let waiting: Vec<_> = self
            .addresses()
            .into_iter()
            .map(|address| thread::spawn(move || first_write(address, begun, LIMIT, || Ok(()))))
            .collect();
        let mut longest = Duration::ZERO;
        for waiting in waiting {
            let took = waiting
                .join()
                .map_err(|_| anyhow::anyhow!("a thread panicked"))??;
            longest = longest.max(took);
        }
        for member in &mut self.members {
            if let Some(child) = &mut member.running {
                still_runs(child)?;
            }
        }
        Ok(longest)
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.members.iter().map(|m| m.address).collect()
    }

    fn leader(&self) -> Result<usize> {
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            for (at, member) in self.members.iter().enumerate() {
                let answer = four_letter(member.address, "srvr");
                if answer.is_ok_and(|answer| answer.contains("Mode: leader")) {
                    return Ok(at);
                }
            }
            thread::sleep(Duration::from_millis(20));
        }
        anyhow::bail!("{} has no leader", self.side.name())
    }

    /// Kills the leader; the time until a write was acknowledged by one of the others.
    fn fail_over(&mut self) -> Result<Duration> {
        let leader = self.leader()?;
        let left = self
            .members
            .iter()
            .enumerate()
            .find(|(at, _)| *at != leader);
        let address = left
            .map(|(_, member)| member.address)
            .context("one member only")?;
        if let Some(mut child) = self.members.get_mut(leader).and_then(|m| m.running.take()) {
            guard::forget_child(child.id());
            child.kill()?;
            child.wait()?;
        }
        let took = first_write(address, Instant::now(), LIMIT, || Ok(()))?;
        self.spawn(leader)?;
        let address = self
            .members
            .get(leader)
            .map(|m| m.address)
            .context("no member")?;
        first_write(address, Instant::now(), LIMIT, || Ok(()))?;
        Ok(took)
    }

    fn cpu(&self) -> Result<f64> {
        let children = self
            .members
            .iter()
            .filter_map(|member| member.running.as_ref());
        children.map(|child| cpu_seconds(child.id())).sum()
    }
}

fn four_letter(address: SocketAddr, word: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

impl Drop for Ensemble<'_> {
    fn drop(&mut self) {
        for member in &mut self.members {
            if let Some(mut child) = member.running.take() {
                guard::send(child.id(), Signal::KILL);
                let _ = child.wait();
                guard::forget_child(child.id());
            }
            let _ = fs::remove_dir_all(&member.home);
        }
    }
}

/// Measures `rows` of `sides` and adds them to `figures`.
pub(super) fn run(
    settings: &Settings,
    programs: &Programs,
    sides: &[Side],
    rows: &[&'static Row],
    directory: &Path,
    figures: &mut Figures,
) -> Result<()> {
    for round in 0..settings.rounds {
        eprintln!("round {} of {}", round + 1, settings.rounds);
        let order = order(sides, round);
        let mut ensembles = Vec::new();
        for &side in &order {
            let mut ensemble = Ensemble::new(side, programs, directory)?;
            let took = ensemble.start()?;
            add(figures, rows, Source::FirstWriteEmpty, side, ms(took));
            one_load(settings, &ensemble, Shape(Workload::Mixed, 15, 16))?;
            ensembles.push(ensemble);
        }
        let mut done = Vec::new();
        for shape in [PIPELINED, ONE, READS, SESSIONS] {
            for ensemble in &ensembles {
                let (report, cpu) = one_load(settings, ensemble, shape)?;
                let side = ensemble.side;
                done.push((side, shape, report.per_second));
                add(
                    figures,
                    rows,
                    Source::Throughput(shape),
                    side,
                    report.per_second,
                );
                add(figures, rows, Source::CpuPerOp(shape), side, cpu);
                let p99 = report
                    .write_us
                    .as_ref()
                    .map_or(0.0, |latency| latency.p99());
                add(figures, rows, Source::WriteP99(shape), side, p99);
            }
        }
        if let Some(rate) = equal_rate(&done, PIPELINED) {
            for ensemble in &ensembles {
                let load = settings.load(ensemble.addresses(), None, PIPELINED.1, PIPELINED.2);
                open_load(
                    settings,
                    load,
                    ensemble.side,
                    rows,
                    PIPELINED,
                    rate,
                    figures,
                )?;
            }
        }
        for _ in 0..KILLS {
            for ensemble in &mut ensembles {
                let took = ensemble.fail_over()?;
                add(figures, rows, Source::FailOver, ensemble.side, ms(took));
            }
        }
    }
    Ok(())
}

/// A load over all members; the members' CPU time per operation in µs.
fn one_load(settings: &Settings, ensemble: &Ensemble<'_>, shape: Shape) -> Result<(Report, f64)> {
    let Shape(workload, connections, depth) = shape;
    let load = Load {
        // The CPU time is taken around the whole load.
        warmup: Duration::ZERO,
        duration: settings.warmup + settings.duration,
        timeout: LIMIT,
        ..settings.load(ensemble.addresses(), None, connections, depth)
    };
    let target = settings.target(1000);
    let before = ensemble.cpu()?;
    let outcome = run_workload(workload, &load, &target)?;
    let used = ensemble.cpu()? - before;
    let report = checked(shape, &outcome)?;
    #[allow(clippy::cast_precision_loss)]
    let per_op = used * 1e6 / report.ops as f64;
    Ok((report, per_op))
}
