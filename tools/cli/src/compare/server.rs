//! Owns a server process under test: its configuration, data directory, start and stop. May start
//! processes. Must not load them.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use menagerie_ports::free_address;
use rustix::process::Signal;

use super::guard;
use crate::bench::first_write::{first_write, still_runs};

/// How long a server may take to end after SIGTERM.
const STOP: Duration = Duration::from_secs(30);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Apache ZooKeeper.
    Apache,
    /// This project's server.
    Menagerie,
}

impl Side {
    /// For people and file names.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Apache => "apache",
            Self::Menagerie => "menagerie",
        }
    }
}

/// How to run the servers.
pub(crate) struct Programs {
    /// `java`.
    pub(crate) java: PathBuf,
    /// Java's class path with Apache ZooKeeper on it.
    pub(crate) class_path: String,
    /// Java's heap limit, as in `-Xmx`.
    pub(crate) heap: String,
    /// Our server.
    pub(crate) menagerie: PathBuf,
}

/// What to run of Apache's for a single server.
const STANDALONE: &[&str] = &["org.apache.zookeeper.server.ZooKeeperServerMain"];

impl Programs {
    /// Starts a server on the `zoo.cfg` in `home`, its output in `server.log` beside it.
    /// `apache` is what to run of
    /// Apache's: flags and a class.
    pub(super) fn spawn(&self, side: Side, apache: &[&str], home: &Path) -> Result<Child> {
        let mut command = match side {
            Side::Apache => {
                let mut command = guard::dying_with_us(&self.java)?;
                command
                    .arg(format!("-Xmx{}", self.heap))
                    .args(["-cp", &self.class_path])
                    .args(apache);
                command
            }
            Side::Menagerie => guard::dying_with_us(&self.menagerie)?,
        };
        let log = File::options()
            .create(true)
            .append(true)
            .open(home.join("server.log"))?;
        command
            .arg(home.join("zoo.cfg"))
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        guard::watch_child(child.id());
        Ok(child)
    }
}

/// A directory with a configuration and data, and the process that uses it.
pub(crate) struct Server<'p> {
    side: Side,
    programs: &'p Programs,
    home: PathBuf,
    address: SocketAddr,
    running: Option<Child>,
}

impl<'p> Server<'p> {
    /// Prepares an empty data directory below `parent`; `snap_count` sets `snapCount`.
    pub(crate) fn new(
        side: Side,
        programs: &'p Programs,
        parent: &Path,
        snap_count: Option<u64>,
    ) -> Result<Self> {
        let home = parent.join(side.name());
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        fs::create_dir_all(&home)?;
        let address = free_address()?;
        let this = Self {
            side,
            programs,
            home,
            address,
            running: None,
        };
        this.configure(snap_count)?;
        Ok(this)
    }

    /// Writes the configuration, which counts from the next start.
    pub(crate) fn configure(&self, snap_count: Option<u64>) -> Result<()> {
        let mut text = format!(
            "tickTime=2000\ndataDir={}\nclientPortAddress={}\nclientPort={}\nmaxClientCnxns=0\n\
             forceSync=yes\nadmin.enableServer=false\n",
            self.data_dir().display(),
            self.address.ip(),
            self.address.port()
        );
        if let Some(count) = snap_count {
            text += &format!("snapCount={count}\n");
        }
        fs::write(self.home.join("zoo.cfg"), text).context("cannot write zoo.cfg")
    }

    fn data_dir(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Where logs and snapshots are.
    pub(crate) fn files(&self) -> PathBuf {
        self.data_dir().join("version-2")
    }

    /// Which server this is.
    pub(crate) const fn side(&self) -> Side {
        self.side
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.running
            .as_ref()
            .map(Child::id)
            .context("the server does not run")
    }

    /// Starts it; the time to its first acknowledged write.
    pub(crate) fn start(&mut self, limit: Duration) -> Result<Duration> {
        ensure!(self.running.is_none(), "already running");
        let start = Instant::now();
        let child = self.programs.spawn(self.side, STANDALONE, &self.home)?;
        let child = self.running.insert(child);
        let took = first_write(self.address, start, limit, || still_runs(child));
        took.with_context(|| format!("{} did not come up: {}", self.side.name(), self.log_tail()))
    }

    fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.home.join("server.log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines
            .get(lines.len().saturating_sub(5)..)
            .unwrap_or_default()
            .join(" | ")
    }

    /// Ends it with SIGTERM, and with SIGKILL if that does not help.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.running.take() else {
            return Ok(());
        };
        guard::send(child.id(), Signal::TERM);
        let start = Instant::now();
        while child.try_wait()?.is_none() {
            if start.elapsed() > STOP {
                child.kill()?;
                child.wait()?;
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        guard::forget_child(child.id());
        Ok(())
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
            guard::forget_child(child.id());
        }
        let _ = fs::remove_dir_all(&self.home);
    }
}
