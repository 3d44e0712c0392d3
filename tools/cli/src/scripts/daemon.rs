//! Owns starting a server that outlives its starter, and waiting for it to be ready or gone. Must
//! not wait without an end.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::pid_file;
use crate::env::Env;

/// How often one looks.
const STEP: Duration = Duration::from_millis(10);
/// What the server says on its standard output when it is ready.
const READY: &str = "menagerie ready ";

/// A server under way.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    /// Where its output goes.
    pub(super) log: PathBuf,
}

/// What became of a start.
#[derive(Debug)]
pub(super) enum Started {
    /// It serves.
    Ready,
    /// It is still at it.
    Busy,
    /// It has ended.
    Ended(ExitStatus),
}

impl Daemon {
    /// Starts `program` with one argument in a session of its own, with its output in `log`.
    ///
    /// # Errors
    /// When the log cannot be written or the program not be started.
    pub(super) fn start(program: &Path, argument: &Path, env: &Env, log: PathBuf) -> Result<Self> {
        let output =
            File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let errors = output.try_clone().context("cannot share the log")?;
        let ourselves = std::env::current_exe().context("cannot find this program")?;
        // A new session takes a process that leads no group: this program once more, on its way to
        // become the server.
        let mut command = Command::new(ourselves);
        command
            .arg0("menagerie-tools")
            .arg("become-daemon")
            .arg(program)
            .arg(argument);
        env.give_to(&mut command)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        let child = command.spawn().context("cannot start a process")?;
        Ok(Self { child, log })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the server says that it is ready.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub(super) fn wait(&mut self, patience: Duration) -> Result<Started> {
        let end = Instant::now() + patience;
        loop {
            // First of all: who has ended has said everything.
            let ended = self.child.try_wait()?;
            let text = self.output()?;
            if text.lines().any(|line| line.starts_with(READY)) && ended.is_none() {
                return Ok(Started::Ready);
            }
            if let Some(status) = ended {
                return Ok(Started::Ended(status));
            }
            if Instant::now() > end {
                return Ok(Started::Busy);
            }
            std::thread::sleep(STEP);
        }
    }

    /// What it has said.
    pub(super) fn output(&self) -> Result<String> {
        let bytes =
            fs::read(&self.log).with_context(|| format!("cannot read {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The hidden subcommand behind [`Daemon::start`].
///
/// # Errors
/// When the program cannot be executed; otherwise this does not return.
pub(crate) fn become_daemon(command_line: &[String]) -> Result<()> {
    let (program, arguments) = command_line.split_first().context("nothing to execute")?;
    rustix::process::setsid().context("cannot begin a session")?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot execute {program}"))
}

/// Waits until a process is no server any more; false when it takes too long.
pub(super) fn wait_until_gone(pid: i32, patience: Duration) -> bool {
    let end = Instant::now() + patience;
    while pid_file::is_server(pid) {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(STEP);
    }
    true
}
