//! Owns the promise that no process started here outlives this one, however it ends. May call
//! Linux. Must not start anything by itself.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

/// The hidden subcommand that [`exec_guarded`] is.
pub(crate) const SUBCOMMAND: &str = "exec-guarded";

/// The command that runs `program` so that it dies when the thread that starts it ends: start
/// servers from threads that live as long as they are needed.
pub(crate) fn dying_with_us(program: &Path) -> Result<Command> {
    let ourselves = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(ourselves);
    command.arg(SUBCOMMAND).arg(program);
    Ok(command)
}

/// Becomes the given program. The death signal is set here and not between fork and exec, which
/// would need unsafe code; it survives the exec.
pub(crate) fn exec_guarded(command_line: &[String]) -> Result<()> {
    let (program, arguments) = command_line.split_first().context("nothing to execute")?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot execute {program}"))
}

/// Sends a signal to a child; one that has ended already is left alone.
pub(crate) fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}
