//! Owns the official clients at work while servers come and go: each counts under its own rules and
//! judges itself when it is told to end. Must not know what happens to the servers.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::guarantee;
use crate::guard;
use crate::server;
use crate::suites;

/// What a client says when it has begun.
const AT_WORK: &str = "at work";
/// How long a client may take to begin, and to come to its end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines told of what a client that failed said besides.
const LAST_LINES: usize = 40;

pub(super) struct Client {
    /// Whose programs it is among.
    suite: &'static str,
    run: &'static str,
}

/// Clients that count.
pub(super) const STEADY: &[Client] = &[
    Client {
        suite: "python",
        run: ".venv/bin/python steady.py",
    },
    Client {
        suite: "go",
        run: "target/suite steady",
    },
    Client {
        suite: "curator",
        run: "java -Xmx256m -Dorg.slf4j.simpleLogger.log.org.apache.curator=warn \
              -Dorg.slf4j.simpleLogger.log.org.apache.zookeeper.ClientCnxn=info \
              -cp target/classes:$(cat target/classpath.txt) SteadyLock",
    },
];

/// Clients whose histories have to be linearizable.
pub(super) const HISTORY: &[Client] = &[Client {
    suite: "go",
    run: "target/suite history",
}];

/// The clients, at work.
pub(super) struct Clients(Vec<Running>);

struct Running {
    suite: &'static str,
    child: Child,
    /// The lines of its standard output.
    said: Receiver<String>,
    /// What it says besides.
    log: File,
}

/// Builds what needs building, before any server runs; the clients' folders.
pub(super) fn build(clients: &[Client]) -> Result<Vec<PathBuf>> {
    clients
        .iter()
        .map(|client| suites::prepare(client.suite))
        .collect()
}

impl Clients {
    /// Starts all of them, and waits until they count.
    pub(super) fn start(
        clients: &[Client],
        folders: &[PathBuf],
        addresses: &[SocketAddr],
    ) -> Result<Self> {
        let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let list = list.join(",");
        let mut running = Vec::with_capacity(clients.len());
        for (client, folder) in clients.iter().zip(folders) {
            running.push(Running::start(client, folder, &list)?);
        }
        let mut running = Self(running);
        for client in &mut running.0 {
            let line = client.next_line()?;
            ensure!(line == AT_WORK, "{}", client.failed(&line)?);
        }
        Ok(running)
    }

    /// Ends them; what they say, when all is well.
    pub(super) fn finish(mut self) -> Result<String> {
        for client in &mut self.0 {
            drop(client.child.stdin.take());
        }
        let mut all = Vec::new();
        for client in &mut self.0 {
            let line = client.next_line()?;
            match line.strip_prefix("ok ") {
                Some(said) => all.push(said.to_owned()),
                None if line.starts_with("FAIL") => {
                    return Err(guarantee::broken(client.failed(&line)?));
                }
                None => bail!("{}", client.failed(&line)?),
            }
        }
        Ok(all.join("; "))
    }
}

impl Running {
    fn start(client: &Client, folder: &Path, addresses: &str) -> Result<Self> {
        let log = tempfile::tempfile()?;
        let mut child = guard::dying_with_us(Path::new("sh"))?
            .args(["-c", &format!("exec {}", client.run)])
            .current_dir(folder)
            .env("ZK_ADDR", addresses)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.try_clone()?)
            .spawn()
            .with_context(|| format!("cannot run {}", client.run))?;
        let output = child.stdout.take().context("no standard output")?;
        let said = suites::lines_of(output);
        Ok(Self {
            suite: client.suite,
            child,
            said,
            log,
        })
    }

    /// The next line that it says; an empty one if it has ended.
    fn next_line(&mut self) -> Result<String> {
        match self.said.recv_timeout(PATIENCE) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Disconnected) => Ok(String::new()),
            Err(RecvTimeoutError::Timeout) => {
                bail!("{}", self.failed("nothing for a minute")?)
            }
        }
    }

    /// What it said, and the last that it logged.
    fn failed(&mut self, said: &str) -> Result<String> {
        let (suite, log) = (self.suite, end_of(&mut self.log)?);
        Ok(format!(
            "the client of {suite} said {said:?}; it logged:\n    {log}"
        ))
    }
}

fn end_of(log: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    log.rewind()?;
    log.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(server::last_lines(&text, LAST_LINES))
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}
