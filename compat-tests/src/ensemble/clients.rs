//! Owns the official clients at work while servers come and go: each counts under its own rules and
//! judges itself when it is told to end. Must not know what happens to the servers.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::guard;
use crate::suites;

/// How long a client may take to come to its end.
const END: Duration = Duration::from_secs(60);

struct Client {
    /// Whose programs it is among.
    suite: &'static str,
    run: &'static str,
}

const CLIENTS: &[Client] = &[
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
        run: "java -Xmx256m -Dorg.slf4j.simpleLogger.defaultLogLevel=off \
              -cp target/classes:$(cat target/classpath.txt) SteadyLock",
    },
];

/// The clients, at work.
pub(super) struct Clients {
    running: Vec<Child>,
}

/// Builds what needs building, before any server runs; the clients' folders.
pub(super) fn build() -> Result<Vec<PathBuf>> {
    CLIENTS
        .iter()
        .map(|client| suites::prepare(client.suite))
        .collect()
}

impl Clients {
    /// Starts all of them.
    pub(super) fn start(folders: &[PathBuf], addresses: &[SocketAddr]) -> Result<Self> {
        let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let start = |(client, folder): (&Client, &PathBuf)| {
            guard::dying_with_us(Path::new("sh"))?
                .args(["-c", &format!("exec {}", client.run)])
                .current_dir(folder)
                .env("ZK_ADDR", list.join(","))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .with_context(|| format!("cannot run {}", client.run))
        };
        let running = CLIENTS
            .iter()
            .zip(folders)
            .map(start)
            .collect::<Result<_>>()?;
        Ok(Self { running })
    }

    /// Ends them; what they say, when all is well.
    pub(super) fn finish(mut self) -> Result<String> {
        for child in &mut self.running {
            drop(child.stdin.take());
        }
        let begun = Instant::now();
        let mut said = Vec::new();
        for (child, client) in self.running.iter_mut().zip(CLIENTS) {
            while child.try_wait()?.is_none() {
                ensure!(begun.elapsed() < END, "{} does not end", client.run);
                thread::sleep(Duration::from_millis(20));
            }
            let mut line = String::new();
            if let Some(mut output) = child.stdout.take() {
                output.read_to_string(&mut line)?;
            }
            let line = line.trim();
            ensure!(line.starts_with("ok "), "{}: {line:?}", client.run);
            said.push(line.trim_start_matches("ok ").to_owned());
        }
        Ok(said.join("; "))
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ended = child.kill();
            let _ended = child.wait();
        }
    }
}
