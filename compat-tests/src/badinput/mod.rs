//! Owns the test of bad input: each case must be answered as told, and none may bring the server
//! down or leave a session, a file handle or a connection behind. May start Menagerie. Must not
//! need Apache's server.

mod online;
mod start;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::programs::Programs;
use crate::raw::Raw;
use crate::server::{Kind, Server, Settings, four_letter};

/// How long what a client has left behind may stay.
const SETTLE: Duration = Duration::from_secs(15);

/// Longest request in bytes in the servers of these tests.
const FRAME: usize = 1_048_575;

/// Runs every case; false when one fails.
pub(crate) fn run(programs: &Programs) -> Result<bool> {
    let mut totals = Totals::default();
    let mut server = Server::started(Kind::Menagerie, programs, settings(&[]))?;
    for (name, case) in online::CASES {
        totals.note(name, against(&mut server, *case));
    }
    let bigger = settings(&["-Djute.maxbuffer=134217728"]);
    let mut server = Server::started(Kind::Menagerie, programs, bigger)?;
    for (name, case) in online::BIG_CASES {
        totals.note(name, against(&mut server, *case));
    }
    for (name, case) in start::CASES {
        totals.note(name, case(programs));
    }
    println!("{} passed, {} failed", totals.passed, totals.failed);
    Ok(totals.failed == 0)
}

fn settings(flags: &[&str]) -> Settings {
    let lines = [
        "tickTime=200",
        "maxClientCnxns=0",
        "nio.sessionlessCnxnTimeout=1000",
        "4lw.commands.whitelist=*",
    ];
    Settings::new(&lines, flags)
}

#[derive(Default)]
struct Totals {
    passed: usize,
    failed: usize,
}

impl Totals {
    fn note(&mut self, name: &str, result: Result<()>) {
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("ok {name}");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAIL {name}: {error:#}");
            }
        }
    }
}

/// Runs a case and checks that the server is afterwards as it was before.
fn against(server: &mut Server, case: fn(SocketAddr) -> Result<()>) -> Result<()> {
    // The first session opens the log.
    let (warm, _) = Raw::session(server.address(), 10_000)?;
    warm.close_session()?;
    let before = handles(server)?;
    case(server.address())?;
    if let Some(status) = server.exited()? {
        bail!("the server ended with {status}: {}", server.log_tail());
    }
    if let Some(line) = server.log().lines().find(|line| line.contains("panicked")) {
        bail!("{line}");
    }
    let begin = Instant::now();
    loop {
        let after = handles(server)?;
        // The four-letter word's own connection is one; nobody else may have one or a session.
        let counts = (
            number(server, "zk_num_alive_connections")?,
            number(server, "zk_global_sessions")?,
        );
        if after <= before && counts == (1, 0) {
            return Ok(());
        }
        ensure!(
            begin.elapsed() < SETTLE,
            "left behind: {before} file handles became {after}, connections and sessions {counts:?}"
        );
        thread::sleep(Duration::from_millis(50));
    }
}

/// Open file handles of the server.
fn handles(server: &Server) -> Result<usize> {
    let pid = server.pid().context("not running")?;
    Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

fn number(server: &Server, key: &str) -> Result<i64> {
    let text = four_letter(server.address(), "mntr")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('\t'));
    let value = line.with_context(|| format!("mntr has no {key}"))?;
    value
        .trim()
        .parse()
        .with_context(|| format!("{key} is {value:?}"))
}
