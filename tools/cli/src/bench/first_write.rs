//! Owns the time from starting a server to its first acknowledged write. May start processes and
//! threads. Must leave no process behind.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use menagerie_wire::client::CreateRequest;
use menagerie_wire::data::{Acl, perms};
use menagerie_wire::op::op_code;

use crate::client::blocking::Blocking;
use crate::socket::Socket;

/// Between attempts to connect.
const PAUSE: Duration = Duration::from_millis(1);
/// How long to wait for an answer before another connection is tried beside the first one: Apache
/// ZooKeeper may never answer a connection that came while it was starting.
const PATIENCE: Duration = Duration::from_millis(15);
/// The longest such wait; each is half as long again as the one before.
const MOST_PATIENCE: Duration = Duration::from_secs(2);
/// An ephemeral sequential node, which the end of the session removes.
const EPHEMERAL_SEQUENTIAL: i32 = 3;

/// Tries until a write is acknowledged; the time since `start`.
pub(crate) fn first_write(
    address: SocketAddr,
    start: Instant,
    limit: Duration,
    mut alive: impl FnMut() -> Result<()>,
) -> Result<Duration> {
    let (sender, results) = channel();
    let mut patience = PATIENCE;
    let mut open: Vec<TcpStream> = Vec::new();
    loop {
        let left = limit.saturating_sub(start.elapsed());
        if left.is_zero() {
            bail!("no write was acknowledged within {limit:?}");
        }
        let Ok(stream) = TcpStream::connect_timeout(&address, left) else {
            alive()?;
            thread::sleep(PAUSE);
            continue;
        };
        open.push(stream.try_clone()?);
        attempt(stream, start, left, sender.clone());
        match results.recv_timeout(patience) {
            Ok(Ok(took)) => {
                // What still waits for an answer need not; the last one closes its session.
                open.pop();
                open.iter()
                    .for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
                return Ok(took);
            }
            Ok(Err(_)) => thread::sleep(PAUSE),
            Err(RecvTimeoutError::Timeout) => patience = (patience * 3 / 2).min(MOST_PATIENCE),
            Err(RecvTimeoutError::Disconnected) => bail!("no attempt is left"),
        }
        alive()?;
    }
}

/// Writes through `stream` in a thread of its own and reports when that was acknowledged.
fn attempt(stream: TcpStream, start: Instant, left: Duration, to: Sender<Result<Duration>>) {
    thread::spawn(move || {
        let written = write_once(stream, start, left);
        let (result, connection) =
            written.map_or_else(|e| (Err(e), None), |(t, c)| (Ok(t), Some(c)));
        // Nobody listens any more when another attempt was faster.
        drop(to.send(result));
        // The session's node goes with the session, now or when it expires.
        drop(connection.map(Blocking::close));
    });
}

fn write_once(stream: TcpStream, start: Instant, left: Duration) -> Result<(Duration, Blocking)> {
    let mut connection = Blocking::over(Socket::Plain(stream), left, 10_000)?;
    let create = CreateRequest {
        path: Some("/menagerie-first-write-".into()),
        data: Some(b""),
        acl: Some(vec![Acl::new(perms::ALL, "world", "anyone")]),
        flags: EPHEMERAL_SEQUENTIAL,
    };
    connection.call(op_code::CREATE, &create)?.ok("create")?;
    Ok((start.elapsed(), connection))
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
    let occupied = TcpStream::connect_timeout(&address, Duration::from_secs(1));
    if !matches!(&occupied, Err(e) if e.kind() == io::ErrorKind::ConnectionRefused) {
        bail!("something answers at {address} already");
    }
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
