//! Owns the Docker engine: the one that answers, or one started here and stopped again; its commands
//! with a limit of time each; and the removal of everything that a run has made. Must not know what
//! containers are for.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;

use crate::guard;
use crate::programs::target_dir;
use crate::server;

/// How long an ordinary command of Docker may take.
pub(super) const QUICK: Duration = Duration::from_secs(60);
/// How long the engine may take to answer, and to stop.
const ENGINE: Duration = Duration::from_secs(60);
/// Every container and network of a run has this label; its value is the number of the process.
const LABEL: &str = "menagerie-compat";

/// What a command has said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: ExitStatus,
    pub(super) out: String,
    pub(super) err: String,
}

impl Said {
    /// Both outputs, for messages.
    pub(super) fn all(&self) -> String {
        let text = format!("{}\n{}", self.out.trim(), self.err.trim());
        let lines: Vec<&str> = text.trim().lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n    ")
    }
}

/// Runs a command to its end, or ends it after `limit`.
pub(super) fn run(mut command: Command, limit: Duration) -> Result<Said> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let out = thread::spawn(move || text(out));
    let err = thread::spawn(move || text(err));
    let status = wait(&mut child, limit).with_context(|| format!("{command:?}"))?;
    Ok(Said {
        status,
        out: out.join().unwrap_or_default(),
        err: err.join().unwrap_or_default(),
    })
}

fn text(from: Option<impl std::io::Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        let _ended = from.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for the end of a process, which is killed after `limit`.
pub(super) fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if begun.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!("not done within {} s", limit.as_secs());
        }
        thread::sleep(Duration::from_millis(15));
    }
}

/// The engine, and what this run has made in it.
#[derive(Debug)]
pub(super) struct Engine {
    own: Option<Child>,
    keep: bool,
    run: u32,
}

impl Engine {
    /// The engine that answers, else a new one.
    pub(super) fn find(keep: bool) -> Result<Self> {
        let mut engine = Self {
            own: None,
            keep,
            run: std::process::id(),
        };
        if engine.answers() {
            engine.remove_left_over()?;
            return Ok(engine);
        }
        let log = work_dir()?.join("dockerd.log");
        println!(
            "-- no Docker engine answers; starting one, log in {}",
            log.display()
        );
        let file = File::create(&log).with_context(|| log.display().to_string())?;
        let child = Command::new("dockerd")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("cannot run dockerd: install docker.io")?;
        let child = engine.own.insert(child);
        let begun = Instant::now();
        let ended = |child: &mut Child| child.try_wait().ok().flatten();
        while !answers() {
            let late = begun.elapsed() > ENGINE;
            if let Some(how) = ended(child)
                .map(|status| status.to_string())
                .or_else(|| late.then(|| format!("does not answer within {} s", ENGINE.as_secs())))
            {
                bail!("dockerd: {how}\n    {}", tail(&log));
            }
            thread::sleep(Duration::from_millis(100));
        }
        // Docker drops what is forwarded between the network namespaces of other tests.
        let mut forward = Command::new("iptables");
        forward.args(["-P", "FORWARD", "ACCEPT"]);
        let said = run(forward, QUICK)?;
        ensure!(said.status.success(), "iptables: {}", said.all());
        engine.remove_left_over()?;
        Ok(engine)
    }

    fn answers(&self) -> bool {
        self.own.is_none() && answers()
    }

    /// The label of this run.
    pub(super) fn label(&self) -> String {
        format!("{LABEL}={}", self.run)
    }

    /// A name that no other run uses.
    pub(super) fn name(&self, what: &str) -> String {
        format!("{LABEL}-{}-{what}", self.run)
    }

    /// Removes what runs have left that were killed.
    fn remove_left_over(&self) -> Result<()> {
        for (list, format) in [
            ("ps -a", "{{.Label \"menagerie-compat\"}}"),
            ("network ls", "{{.Label \"menagerie-compat\"}}"),
        ] {
            let mut arguments: Vec<&str> = list.split(' ').collect();
            let filter = format!("label={LABEL}");
            arguments.extend(["--filter", &filter, "--format", format]);
            let mut runs: Vec<u32> = docker(&arguments)?
                .lines()
                .filter_map(|line| line.parse().ok())
                .collect();
            runs.dedup();
            for run in runs {
                if run != self.run && !Path::new(&format!("/proc/{run}")).exists() {
                    remove(&format!("{LABEL}={run}"));
                }
            }
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.keep {
            println!("-- kept: docker ps --filter label={}", self.label());
            return;
        }
        remove(&self.label());
        if let Some(child) = &mut self.own {
            guard::send(child.id(), Signal::TERM);
            if let Err(error) = wait(child, ENGINE) {
                println!("-- dockerd, told to stop: {error:#}");
            }
        }
    }
}

fn answers() -> bool {
    let mut command = Command::new("docker");
    command.args(["version", "--format", "{{.Server.Version}}"]);
    run(command, Duration::from_secs(10)).is_ok_and(|said| said.status.success())
}

/// Removes containers, their volumes, and networks with a label.
fn remove(label: &str) {
    let filter = format!("label={label}");
    let lists: [(&[&str], &[&str]); 2] = [
        (&["ps", "-aq"], &["rm", "-f", "-v"]),
        (&["network", "ls", "-q"], &["network", "rm"]),
    ];
    for (list, end) in lists {
        let found = docker(&[list, &["--filter", filter.as_str()]].concat());
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                println!("-- cannot clean up: {error:#}");
                continue;
            }
        };
        let found: Vec<&str> = found.lines().collect();
        if found.is_empty() {
            continue;
        }
        if let Err(error) = docker(&[end, &found].concat()) {
            println!("-- cannot clean up: {error:#}");
        }
    }
}

/// Where a run keeps its logs and what it has fetched.
pub(super) fn work_dir() -> Result<PathBuf> {
    let folder = target_dir().join("docker-suite");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

/// The end of a file, for messages.
pub(super) fn tail(path: &Path) -> String {
    let mut text = String::new();
    if let Ok(mut file) = File::open(path) {
        let _ended = file.read_to_string(&mut text);
    }
    server::last_lines(&text, 8)
}

/// A command of Docker that has to succeed within a minute; what it prints.
pub(super) fn docker(arguments: &[&str]) -> Result<String> {
    docker_within(arguments, QUICK)
}

/// A command of Docker that has to succeed within a time; what it prints.
pub(super) fn docker_within(arguments: &[&str], limit: Duration) -> Result<String> {
    let mut command = Command::new("docker");
    // Debian's docker.io comes without the other builder.
    command.args(arguments).env("DOCKER_BUILDKIT", "0");
    let said = run(command, limit)?;
    ensure!(
        said.status.success(),
        "docker {}: {}: {}",
        arguments.join(" "),
        said.status,
        said.all()
    );
    Ok(said.out.trim().to_owned())
}
