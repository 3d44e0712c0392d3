//! Owns the promise that no server and no data directory outlives the comparison: on return, on an
//! error, on a signal, and (servers) when this process is killed. Must not start anything.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use tokio::signal::unix::{SignalKind, signal};

/// What a signal must clean up.
struct Held {
    children: Vec<u32>,
    directories: Vec<PathBuf>,
}

static HELD: Mutex<Held> = Mutex::new(Held {
    children: Vec::new(),
    directories: Vec::new(),
});

fn held<T>(act: impl FnOnce(&mut Held) -> T) -> T {
    act(&mut HELD.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Sends a signal to a process that this one has started.
pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // It may have ended already; then there is nothing to do.
    let _ = pid.map(|pid| kill_process(pid, signal));
}

/// Puts a child under the guard.
pub(crate) fn watch_child(pid: u32) {
    held(|h| h.children.push(pid));
}

/// Takes a child that has been waited for out of the guard.
pub(crate) fn forget_child(pid: u32) {
    held(|h| h.children.retain(|p| *p != pid));
}

/// Puts a directory under the guard, against signals; its owner removes it otherwise.
pub(crate) fn watch_directory(path: &Path) {
    held(|h| h.directories.push(path.to_owned()));
}

/// From now on SIGINT and SIGTERM clean up before they end the process.
pub(crate) fn install() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        )
    };
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        held(|h| {
            h.children.iter().for_each(|pid| send(*pid, Signal::KILL));
            for directory in &h.directories {
                // A file that a dying server has just made may defeat the first attempt.
                let _ = std::fs::remove_dir_all(directory)
                    .or_else(|_| std::fs::remove_dir_all(directory));
            }
        });
        exit(130);
    });
    Ok(())
}

/// The command that runs `program` so that it dies with this process, whatever happens to it.
pub(crate) fn dying_with_us(program: &Path) -> Result<Command> {
    let ourselves = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(ourselves);
    command.arg("exec-guarded").arg(program);
    Ok(command)
}

/// The hidden subcommand behind [`dying_with_us`]: becomes the given program.
pub(crate) fn exec_guarded(command_line: &[String]) -> Result<()> {
    let (program, arguments) = command_line.split_first().context("nothing to execute")?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot execute {program}"))
}
