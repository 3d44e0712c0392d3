//! Owns the time from starting a server to its first acknowledged write. May start processes.
//! Must leave none behind.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use menagerie_wire::client::CreateRequest;
use menagerie_wire::data::{Acl, perms};
use menagerie_wire::op::op_code;

use crate::client::blocking::Blocking;

/// Between attempts to connect.
const PAUSE: Duration = Duration::from_millis(1);
/// An ephemeral sequential node, which the end of the session removes.
const EPHEMERAL_SEQUENTIAL: i32 = 3;

/// Tries until a write is acknowledged; the time since `start`.
pub(crate) fn first_write(
    address: SocketAddr,
    start: Instant,
    limit: Duration,
    mut alive: impl FnMut() -> Result<()>,
) -> Result<Duration> {
    loop {
        let left = limit.saturating_sub(start.elapsed());
        if left.is_zero() {
            bail!("no write was acknowledged within {limit:?}");
        }
        if let Ok(took) = attempt(address, start, left) {
            return Ok(took);
        }
        alive()?;
        thread::sleep(PAUSE);
    }
}

fn attempt(address: SocketAddr, start: Instant, left: Duration) -> Result<Duration> {
    let mut connection = Blocking::open(address, left, 10_000)?;
    let create = CreateRequest {
        path: Some("/menagerie-first-write-".into()),
        data: Some(b""),
        acl: Some(vec![Acl::new(perms::ALL, "world", "anyone")]),
        flags: EPHEMERAL_SEQUENTIAL,
    };
    connection.call(op_code::CREATE, &create)?.ok("create")?;
    let took = start.elapsed();
    connection.close()?;
    Ok(took)
}

/// Fails when the process has ended.
pub(crate) fn still_runs(child: &mut Child) -> Result<()> {
    match child.try_wait()? {
        Some(status) => bail!("the server ended: {status}"),
        None => Ok(()),
    }
}

/// Starts `command` by way of the shell, waits for the first acknowledged write, and ends it.
pub(crate) fn with_command(
    command: &str,
    address: SocketAddr,
    limit: Duration,
) -> Result<Duration> {
    let start = Instant::now();
    let mut child = Command::new("sh")
        .args(["-c", &format!("exec {command}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let took = first_write(address, start, limit, || still_runs(&mut child));
    child.kill().context("cannot end the server")?;
    child.wait()?;
    took
}
