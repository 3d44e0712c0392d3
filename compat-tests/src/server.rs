//! Owns a server under test: configuration, data directory, start, stop, kill, restart on the same
//! port and data. May start processes. Must not speak the client protocol beyond `srvr`.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use menagerie_ports::free_address;
use rustix::process::Signal;

use crate::guard;
use crate::programs::Programs;

/// How long a server may take to serve.
const START: Duration = Duration::from_secs(60);
/// How long a server may take to end after SIGTERM.
const STOP: Duration = Duration::from_secs(20);

/// How often a server that ends for a reason of its own is started again.
const MOST_REVIVALS: usize = 3;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Apache ZooKeeper.
    Apache,
    /// Apache ZooKeeper of the release before, 3.8.
    #[value(name = "apache-3.8")]
    Apache38,
    /// This project's server.
    Menagerie,
}

impl Kind {
    /// For people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Apache => "Apache",
            Self::Apache38 => "Apache 3.8",
            Self::Menagerie => "Menagerie",
        }
    }
}

/// What a server is configured with, besides directory and port.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// Lines of zoo.cfg, `key=value`.
    pub(crate) lines: Vec<String>,
    /// Java flags, `-Dkey=value`: arguments for Apache, `JVMFLAGS` for Menagerie.
    pub(crate) flags: Vec<String>,
}

impl Settings {
    /// Settings from string slices.
    pub(crate) fn new(lines: &[&str], flags: &[&str]) -> Self {
        let own = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect();
        Self {
            lines: own(lines),
            flags: own(flags),
        }
    }
}

/// A data directory and the process that serves it.
#[derive(Debug)]
pub(crate) struct Server {
    kind: Kind,
    programs: Programs,
    settings: Settings,
    /// Removed at the end, unless the directory came from outside.
    _own: Option<tempfile::TempDir>,
    home: PathBuf,
    address: SocketAddr,
    /// The network namespace that it runs in, if not this one.
    host: Option<String>,
    running: Option<Child>,
    /// How often it was started again by [`Self::revive`].
    revived: usize,
}

impl Server {
    /// A server with an empty directory of its own, not started yet.
    pub(crate) fn new(kind: Kind, programs: &Programs, settings: Settings) -> Result<Self> {
        let own = tempfile::Builder::new()
            .prefix("menagerie-compat-")
            .tempdir()?;
        let mut server = Self::at(kind, programs, settings, own.path())?;
        server._own = Some(own);
        Ok(server)
    }

    /// A server whose data is below `home`, which must exist.
    pub(crate) fn at(
        kind: Kind,
        programs: &Programs,
        settings: Settings,
        home: &Path,
    ) -> Result<Self> {
        if kind == Kind::Menagerie {
            programs.require_menagerie()?;
        }
        Ok(Self {
            kind,
            programs: programs.clone(),
            settings,
            _own: None,
            home: home.to_owned(),
            address: free_address()?,
            host: None,
            running: None,
            revived: 0,
        })
    }

    /// A started server; see [`Self::new`].
    pub(crate) fn started(kind: Kind, programs: &Programs, settings: Settings) -> Result<Self> {
        let mut server = Self::new(kind, programs, settings)?;
        server.start()?;
        Ok(server)
    }

    /// Where programs are.
    pub(crate) const fn programs(&self) -> &Programs {
        &self.programs
    }

    /// What it is configured with.
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Other settings, from the first start on.
    pub(crate) fn configure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// One more line of its configuration, from the next start on; of several with one key the last
    /// counts.
    pub(crate) fn add_line(&mut self, line: impl Into<String>) {
        self.settings.lines.push(line.into());
    }

    /// It runs in a network namespace, where it has that address.
    pub(crate) fn live_at(&mut self, host: String, address: SocketAddr) {
        self.host = Some(host);
        self.address = address;
    }

    /// The program's command, in its namespace.
    fn command(&self, program: &Path) -> Result<Command> {
        let Some(host) = &self.host else {
            return guard::dying_with_us(program);
        };
        let mut command = guard::dying_with_us(Path::new("ip"))?;
        command.args(["netns", "exec", host]).arg(program);
        Ok(command)
    }

    /// It listens somewhere else now.
    pub(crate) const fn move_to(&mut self, address: SocketAddr) {
        self.address = address;
    }

    /// Another program serves the data from the next start on.
    pub(crate) const fn become_kind(&mut self, kind: Kind) {
        self.kind = kind;
    }

    /// Which program it is.
    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            guard::send(pid, signal);
        }
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `dataDir`.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.home.join("data")
    }

    /// The process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(Child::id)
    }

    /// `dataLogDir`, for those who configure one.
    pub(crate) fn log_dir(&self) -> PathBuf {
        self.home.join("log")
    }

    /// Everything the server has printed since its first start.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.home.join("server.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Starts the process without waiting until it serves.
    pub(crate) fn spawn(&mut self) -> Result<()> {
        ensure!(self.running.is_none(), "already running");
        let config = self.home.join("zoo.cfg");
        // A server that can be reconfigured writes its own configuration.
        if !self
            .settings
            .lines
            .iter()
            .any(|line| line == "reconfigEnabled=true")
            || !config.exists()
        {
            self.write_config(&config)?;
        }
        self.spawn_with(&config)
    }

    fn write_config(&self, config: &Path) -> Result<()> {
        let mut text = format!(
            "dataDir={}\nclientPortAddress={}\nclientPort={}\n",
            self.data_dir().display(),
            self.address.ip(),
            self.address.port()
        );
        for line in &self.settings.lines {
            text.push_str(line);
            text.push('\n');
        }
        Ok(fs::write(config, text)?)
    }

    fn spawn_with(&mut self, config: &Path) -> Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.home.join("server.log"))?;
        let mut command = match self.kind {
            Kind::Apache | Kind::Apache38 => {
                let mut command = self.command(&self.programs.java)?;
                command
                    .args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
                    .arg("-Dzookeeper.admin.enableServer=false")
                    .args(&self.settings.flags)
                    .args(["-cp", &self.programs.class_path_of(self.kind)?])
                    .arg(
                        if self
                            .settings
                            .lines
                            .iter()
                            .any(|line| line.starts_with("server."))
                        {
                            "org.apache.zookeeper.server.quorum.QuorumPeerMain"
                        } else {
                            "org.apache.zookeeper.server.ZooKeeperServerMain"
                        },
                    );
                command
            }
            Kind::Menagerie => {
                let mut command = self.command(&self.programs.menagerie)?;
                command.env("JVMFLAGS", self.settings.flags.join(" "));
                command
            }
        };
        let child = command
            .arg(config)
            .current_dir(&self.home)
            .env_remove("SERVER_JVMFLAGS")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        self.running = Some(child);
        Ok(())
    }

    /// Starts it and waits until it serves.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.spawn()?;
        self.await_serving()
    }

    /// Waits until it serves.
    pub(crate) fn await_serving(&mut self) -> Result<()> {
        let begin = Instant::now();
        while !serves(self.address) {
            if self.revive()? {
                continue;
            }
            if let Some(status) = self.exited()? {
                bail!(
                    "{} ended with {status}: {}",
                    self.kind.name(),
                    // Other threads may go on for a while after the one that ended it.
                    self.last_lines(60)
                );
            }
            if begin.elapsed() > START {
                bail!("{} does not serve: {}", self.kind.name(), self.log_tail());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Starts an Apache server again that has ended for a reason of its own, as whatever supervises
    /// it would: a learner whose leader goes reads its log into the tree while another thread still
    /// applies what was committed; when that throws, `QuorumPeer.run` ends and so does the process,
    /// with status 0. Source: `Follower.shutdown`, `ZooKeeperServer.shutdown`.
    pub(crate) fn revive(&mut self) -> Result<bool> {
        if !matches!(self.kind, Kind::Apache | Kind::Apache38) || self.pid().is_none() {
            return Ok(false);
        }
        if !self.exited()?.is_some_and(|status| status.success()) {
            return Ok(false);
        }
        let log = self.last_lines(200);
        let Some((before, _)) = log.rsplit_once("Follower.shutdown(") else {
            return Ok(false);
        };
        let thrown = before.lines().rev().find(|l| !l.trim().starts_with("at "));
        self.revived += 1;
        ensure!(
            self.revived <= MOST_REVIVALS,
            "{} ends again and again: {log}",
            self.kind.name()
        );
        eprintln!(
            "{} at {} ended by itself and is started again: {}",
            self.kind.name(),
            self.address,
            thrown.unwrap_or_default().trim()
        );
        self.running = None;
        self.spawn()?;
        Ok(true)
    }

    /// The exit status if the process has ended by itself.
    pub(crate) fn exited(&mut self) -> Result<Option<ExitStatus>> {
        let Some(child) = self.running.as_mut() else {
            bail!("not started");
        };
        Ok(child.try_wait()?)
    }

    /// Waits until the process ends by itself.
    pub(crate) fn wait_exit(&mut self, limit: Duration) -> Result<ExitStatus> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.exited()? {
                self.running = None;
                return Ok(status);
            }
            ensure!(
                begin.elapsed() < limit,
                "{} goes on running",
                self.kind.name()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it with SIGTERM.
    pub(crate) fn stop(&mut self) -> Result<()> {
        if let Some(child) = &self.running {
            guard::send(child.id(), Signal::TERM);
            self.wait_exit(STOP)?;
        }
        Ok(())
    }

    /// Ends it with SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.running.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// The end of its output, for messages.
    pub(crate) fn log_tail(&self) -> String {
        self.last_lines(6)
    }

    /// The last lines of its output.
    fn last_lines(&self, count: usize) -> String {
        last_lines(&self.log(), count)
    }
}

/// The last lines of a text, for messages.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    let tail = lines.get(lines.len().saturating_sub(count)..);
    tail.unwrap_or_default().join("\n    ")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn serves(address: SocketAddr) -> bool {
    four_letter(address, "srvr").is_ok_and(|answer| answer.contains("Mode:"))
}

/// What a server answers to a four-letter word.
pub(crate) fn four_letter(address: SocketAddr, word: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
