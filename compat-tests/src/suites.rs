//! Owns running the official clients' suites: one row each, built, run against a server of its
//! own, its lines counted. Must not know what a suite tests.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::control::Controlled;
use crate::guard;
use crate::observe::{Proxy, Seen};
use crate::programs::{Programs, compat_dir};
use crate::server::{Kind, Settings};

/// A client and how to run its tests.
struct Suite {
    name: &'static str,
    /// Below `compat-tests`.
    folder: &'static str,
    /// Shell commands that prepare it; nothing to do the second time.
    build: &'static [&'static str],
    /// The shell command that runs it.
    run: &'static str,
    /// Seconds it may run.
    limit: u64,
}

const MAVEN: &[&str] = &["mvn -q -B package"];

/// Every suite; a new one is a new row.
const SUITES: &[Suite] = &[
    Suite {
        name: "java",
        folder: "java/client",
        build: MAVEN,
        run: "java -cp target/classes:$(cat target/classpath.txt) ClientSuite",
        limit: 240,
    },
    Suite {
        name: "java34",
        folder: "java/client34",
        build: MAVEN,
        run: "java -cp target/classes:$(cat target/classpath.txt) Client34Suite",
        limit: 180,
    },
    Suite {
        name: "curator",
        folder: "java/curator",
        build: MAVEN,
        run: "java -cp target/classes:$(cat target/classpath.txt) CuratorSuite",
        limit: 240,
    },
    Suite {
        name: "python",
        folder: "python",
        build: &[
            "test -x .venv/bin/pip || python3 -m venv .venv",
            ".venv/bin/pip install -q --disable-pip-version-check -r requirements.txt",
        ],
        run: ".venv/bin/python suite.py",
        limit: 240,
    },
    Suite {
        name: "go",
        folder: "go",
        build: &["mkdir -p target && go build -o target/suite ."],
        run: "target/suite",
        limit: 180,
    },
    Suite {
        name: "c",
        folder: "c",
        build: &["make -s"],
        run: "./suite",
        limit: 180,
    },
    Suite {
        name: "node",
        folder: "node",
        build: &["test -d node_modules || npm ci --silent"],
        run: "node suite.mjs",
        limit: 180,
    },
];

/// Options of the suites.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run these only.
    names: Vec<String>,
    /// The server to test.
    #[arg(long, value_enum, default_value_t = Kind::Menagerie)]
    against: Kind,
    /// Print the suites and stop.
    #[arg(long)]
    list: bool,
}

/// What came of a suite.
struct Outcome {
    name: &'static str,
    passed: u64,
    failed: u64,
    took: Duration,
    reason: String,
}

impl Outcome {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            passed: 0,
            failed: 0,
            took: Duration::ZERO,
            reason: String::new(),
        }
    }
}

/// Runs the suites; false when a test fails or a suite cannot run.
pub(crate) fn run(options: &Options, programs: &Programs) -> Result<bool> {
    if options.list {
        SUITES
            .iter()
            .for_each(|suite| println!("{:<10} {}", suite.name, suite.folder));
        return Ok(true);
    }
    for name in &options.names {
        ensure!(
            SUITES.iter().any(|s| s.name == name),
            "there is no suite {name:?}"
        );
    }
    let wanted = |name: &str| options.names.is_empty() || options.names.iter().any(|n| n == name);
    let mut outcomes = Vec::new();
    for suite in SUITES.iter().filter(|suite| wanted(suite.name)) {
        println!("\n-- {}: {}", suite.name, suite.run);
        let begin = Instant::now();
        let mut outcome = Outcome::new(suite.name);
        if let Err(error) = one(suite, options.against, programs, &mut outcome) {
            println!("{error:#}");
            outcome.reason = error.to_string();
            outcome.failed = outcome.failed.max(1);
        }
        outcome.took = begin.elapsed();
        outcomes.push(outcome);
    }
    Ok(summary(&outcomes, options.against))
}

/// Runs every suite against Menagerie through a proxy; what each has asked and been answered. Fails
/// when a test does.
pub(crate) fn observe(programs: &Programs) -> Result<Vec<(&'static str, Seen)>> {
    let mut all = Vec::new();
    for suite in SUITES {
        println!("\n-- {}: {}", suite.name, suite.run);
        build(suite)?;
        let server = Controlled::start(Kind::Menagerie, programs, settings())?;
        let proxy = Proxy::start(server.address)?;
        let mut outcome = Outcome::new(suite.name);
        follow(suite, proxy.address, server.control, &mut outcome)?;
        ensure!(
            outcome.failed == 0,
            "{}: {} tests fail",
            suite.name,
            outcome.failed
        );
        all.push((suite.name, proxy.seen()));
    }
    Ok(all)
}

fn summary(outcomes: &[Outcome], against: Kind) -> bool {
    println!(
        "\n{:<10} {:>8} {:>8} {:>8}  against {}",
        "client",
        "passed",
        "failed",
        "seconds",
        against.name()
    );
    let (mut passed, mut failed) = (0, 0);
    for outcome in outcomes {
        let seconds = outcome.took.as_secs_f64();
        println!(
            "{:<10} {:>8} {:>8} {seconds:>8.1}  {}",
            outcome.name, outcome.passed, outcome.failed, outcome.reason
        );
        passed += outcome.passed;
        failed += outcome.failed;
    }
    println!("{passed} passed, {failed} failed");
    failed == 0 && outcomes.iter().all(|o| o.reason.is_empty())
}

/// Builds what a suite's folder has; the folder.
pub(crate) fn prepare(name: &str) -> Result<PathBuf> {
    let suite = SUITES.iter().find(|suite| suite.name == name);
    let suite = suite.with_context(|| format!("there is no suite {name:?}"))?;
    build(suite)?;
    Ok(compat_dir().join(suite.folder))
}

fn build(suite: &Suite) -> Result<()> {
    let folder = compat_dir().join(suite.folder);
    ensure!(folder.is_dir(), "{} is missing", folder.display());
    for command in suite.build {
        let status = Command::new("sh")
            .args(["-c", command])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .status()?;
        ensure!(status.success(), "{command}: {status}");
    }
    Ok(())
}

/// Quick ticks, so that sessions expire while a test waits.
fn settings() -> Settings {
    let lines = [
        "tickTime=500",
        "maxClientCnxns=0",
        "extendedTypesEnabled=true",
        "4lw.commands.whitelist=*",
    ];
    Settings::new(&lines, &[])
}

fn one(suite: &Suite, kind: Kind, programs: &Programs, outcome: &mut Outcome) -> Result<()> {
    build(suite)?;
    let server = Controlled::start(kind, programs, settings())?;
    let result = follow(suite, server.address, server.control, outcome);
    let log = server.finish();
    if result.is_err() || outcome.failed > 0 {
        println!("the end of the server's log:\n    {log}");
    }
    result
}

/// Runs the suite against a server.
fn follow(
    suite: &Suite,
    address: SocketAddr,
    control: SocketAddr,
    outcome: &mut Outcome,
) -> Result<()> {
    let mut command = guard::dying_with_us(Path::new("sh"))?;
    command
        .args(["-c", &format!("exec {}", suite.run)])
        .current_dir(compat_dir().join(suite.folder))
        .env("ZK_ADDR", address.to_string())
        .env("ZK_CONTROL", control.to_string());
    let limit = Duration::from_secs(suite.limit);
    let (passed, failed) = judge(command, limit, |line| println!("{line}"))
        .with_context(|| format!("cannot run {}", suite.run))?;
    outcome.passed += passed;
    outcome.failed += failed;
    Ok(())
}

/// Runs a suite's program and reads its lines: `ok NAME`, `FAIL NAME: WHY`, and at the end the totals,
/// which must be what the lines say, so that a suite that dies in the middle does not pass. How many
/// tests passed and failed.
pub(crate) fn judge(
    mut command: Command,
    limit: Duration,
    mut tell: impl FnMut(&str),
) -> Result<(u64, u64)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = lines_of(child.stdout.take().context("no output")?);
    let end = Instant::now() + limit;
    let (mut passed, mut failed, mut totals) = (0, 0, None);
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                tell(&line);
                if line.starts_with("ok ") {
                    passed += 1;
                } else if line.starts_with("FAIL ") {
                    failed += 1;
                } else if line.ends_with(" failed") {
                    totals = Some(line);
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                child.kill()?;
                child.wait()?;
                bail!("not done within {} s", limit.as_secs());
            }
        }
    }
    let status = child.wait()?;
    let expected = format!("{passed} passed, {failed} failed");
    let totals = totals.with_context(|| format!("ended without totals, {status}"))?;
    ensure!(
        totals.trim() == expected,
        "says {totals:?}, but printed {expected}"
    );
    ensure!(passed + failed > 0, "ran no test");
    ensure!(status.success() || failed > 0, "ended with {status}");
    Ok((passed, failed))
}

/// The lines of an output, as they come.
pub(crate) fn lines_of(output: ChildStdout) -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
