//! Owns the official clients at work while servers come and go: each counts under its own rules and
//! judges itself when it is told to end. Must not know what happens to the servers.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::guard;
use crate::programs::compat_dir;

/// How long a client may take to come to its end.
const END: Duration = Duration::from_secs(60);

struct Client {
    folder: &'static str,
    build: &'static str,
    run: &'static str,
}

const CLIENTS: &[Client] = &[
    Client {
        folder: "python",
        build: "(test -x .venv/bin/pip || python3 -m venv .venv) && \
                .venv/bin/pip install -q --disable-pip-version-check -r requirements.txt",
        run: ".venv/bin/python steady.py",
    },
    Client {
        folder: "go",
        build: "mkdir -p target && go build -o target/suite .",
        run: "target/suite steady",
    },
    Client {
        folder: "java/curator",
        build: "mvn -q -B package",
        run: "java -Xmx256m -Dorg.slf4j.simpleLogger.defaultLogLevel=off \
              -cp target/classes:$(cat target/classpath.txt) SteadyLock",
    },
];

/// The clients, at work.
pub(super) struct Clients {
    running: Vec<Child>,
}

/// Builds what needs building, before any server runs.
pub(super) fn build() -> Result<()> {
    for client in CLIENTS {
        let status = Command::new("sh")
            .args(["-c", client.build])
            .current_dir(compat_dir().join(client.folder))
            .stdin(Stdio::null())
            .status()?;
        ensure!(status.success(), "{}: {status}", client.build);
    }
    Ok(())
}

impl Clients {
    /// Starts all of them.
    pub(super) fn start(addresses: &[SocketAddr]) -> Result<Self> {
        let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let start = |client: &Client| {
            guard::dying_with_us(Path::new("sh"))?
                .args(["-c", &format!("exec {}", client.run)])
                .current_dir(compat_dir().join(client.folder))
                .env("ZK_ADDR", list.join(","))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .with_context(|| format!("cannot run {}", client.run))
        };
        let running = CLIENTS.iter().map(start).collect::<Result<_>>()?;
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
