//! Owns the load: threads with an event loop each, and the window in which replies count. May use
//! epoll by way of mio. Must not know workloads beyond their templates.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use mio::{Events, Interest, Poll, Token};

use super::conn::{Conn, Mix, Within};
use super::proc::{cpu_seconds, rss_mb};
use super::stats::{Counts, Window};
use crate::client::blocking::Blocking;

/// How long outstanding requests may take after the end of a run.
const DRAIN: Duration = Duration::from_secs(15);

/// How much load, on what, for how long.
#[derive(Clone)]
pub(crate) struct Load {
    /// Connections go to these in turn.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Sockets.
    pub(crate) connections: usize,
    /// Requests outstanding on each.
    pub(crate) depth: usize,
    /// Event loops.
    pub(crate) threads: usize,
    /// Not counted.
    pub(crate) warmup: Duration,
    /// Counted.
    pub(crate) duration: Duration,
    /// Ends the run earlier, after that many replies, those of the warm-up included.
    pub(crate) max_ops: Option<u64>,
    /// Ends the run earlier when set.
    pub(crate) stop: Arc<AtomicBool>,
    /// Connect and drain time-out.
    pub(crate) timeout: Duration,
    /// Session time-out asked for, ms.
    pub(crate) session_ms: i32,
    /// Whose CPU time and memory to report.
    pub(crate) server_pid: Option<u32>,
}

impl Load {
    /// The address for connection `number`.
    pub(crate) fn address(&self, number: usize) -> Result<SocketAddr> {
        let at = number % self.addresses.len().max(1);
        self.addresses.get(at).copied().context("no address")
    }

    /// When replies count, from the start of the run.
    fn within(&self) -> Within {
        let ns = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        Within {
            from: ns(self.warmup),
            to: ns(self.warmup + self.duration),
        }
    }
}

/// What a run yields.
pub(crate) struct Outcome {
    /// Everything counted.
    pub(crate) counts: Counts,
    /// Around it.
    pub(crate) window: Window,
    /// When time 0 was.
    pub(crate) start: Instant,
}

/// The clock and end of a run, shared by its threads.
#[derive(Clone)]
pub(crate) struct Run {
    /// Time 0.
    pub(crate) start: Instant,
    /// When replies count.
    pub(crate) within: Within,
    /// Ends the run.
    pub(crate) stop: Arc<AtomicBool>,
}

impl Run {
    /// ns since time 0.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Whether no more requests are to be sent.
    pub(crate) fn over(&self, now: u64) -> bool {
        now >= self.within.to || self.stop.load(Ordering::Relaxed)
    }
}

/// What a thread of a run yields: its counts, and when the last reply came, ns.
pub(crate) type Share = Result<(Counts, u64)>;

/// Runs `mix` as `load` says.
pub(crate) fn run(load: &Load, mix: Mix) -> Result<Outcome> {
    let mut connections = Vec::with_capacity(load.connections);
    for number in 0..load.connections {
        let open = Blocking::open(load.address(number)?, load.timeout, load.session_ms)?;
        let stream = open.into_stream();
        stream.set_nonblocking(true)?;
        let socket = mio::net::TcpStream::from_std(stream);
        connections.push(Conn::new(socket, number as u64, load.depth));
    }
    let threads = load.threads.clamp(1, load.connections.max(1));
    let mut shares: Vec<Vec<Conn>> = (0..threads).map(|_| Vec::new()).collect();
    for (number, connection) in connections.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(number % threads) {
            share.push(connection);
        }
    }
    let mix = Arc::new(mix);
    let (depth, budget) = (
        load.depth,
        load.max_ops.map(|ops| ops.div_ceil(threads as u64)),
    );
    measure(load, shares, move |run, share| {
        drive(run, share, &mix, depth, budget)
    })
}

/// Tells the main thread that a share is done, also when it ends by a panic. It is counted before
/// the wake-up: the thread itself is finished only some time later.
struct Signal<'a> {
    done: &'a AtomicUsize,
    main: &'a thread::Thread,
}

impl Drop for Signal<'_> {
    fn drop(&mut self) {
        self.done.fetch_add(1, Ordering::Release);
        self.main.unpark();
    }
}

/// Starts one thread per share, samples the processes at the edges of the window, and adds up.
pub(crate) fn measure<S: Send>(
    load: &Load,
    shares: Vec<S>,
    work: impl Fn(&Run, S) -> Share + Sync,
) -> Result<Outcome> {
    let cpu = |pid: Option<u32>| pid.map(cpu_seconds).transpose();
    let myself = std::process::id();
    let run = Run {
        start: Instant::now(),
        within: load.within(),
        stop: Arc::clone(&load.stop),
    };
    let main = thread::current();
    let (share_count, done) = (shares.len(), AtomicUsize::new(0));
    thread::scope(|scope| {
        let (run, work, main, done) = (&run, &work, &main, &done);
        let workers: Vec<_> = shares
            .into_iter()
            .map(|share| {
                scope.spawn(move || {
                    let _signal = Signal { done, main };
                    work(run, share)
                })
            })
            .collect();
        let wait_until = |at: Duration| {
            while run.start.elapsed() < at && done.load(Ordering::Acquire) < share_count {
                thread::park_timeout(at.saturating_sub(run.start.elapsed()));
            }
        };
        wait_until(load.warmup);
        let before = (cpu(load.server_pid), cpu(Some(myself)));
        wait_until(load.warmup + load.duration);
        let after = (cpu(load.server_pid), cpu(Some(myself)));
        let server_rss = load.server_pid.map(rss_mb).transpose();

        let mut counts = Counts::new()?;
        let mut last = 0;
        for worker in workers {
            let (share, last_reply) = worker
                .join()
                .map_err(|_| anyhow!("a load thread panicked"))??;
            counts.merge(&share)?;
            last = last.max(last_reply);
        }
        let end = last.min(run.within.to);
        let length = Duration::from_nanos(end.saturating_sub(run.within.from));
        let server_cpu = after
            .0?
            .zip(before.0?)
            .map(|(after, before)| after - before);
        let client_cpu = after
            .1?
            .zip(before.1?)
            .map_or(0.0, |(after, before)| after - before);
        let window = Window {
            length,
            server_cpu,
            client_cpu,
            server_rss: server_rss?,
        };
        Ok(Outcome {
            counts,
            window,
            start: run.start,
        })
    })
}

/// One thread's loop.
fn drive(
    run: &Run,
    mut connections: Vec<Conn>,
    mix: &Mix,
    depth: usize,
    budget: Option<u64>,
) -> Share {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    for (token, connection) in connections.iter_mut().enumerate() {
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(connection.socket(), Token(token), interest)?;
    }
    let mut counts = Counts::new()?;
    let mut left = budget.unwrap_or(u64::MAX);
    let mut take = |wanted: usize| {
        let granted = u64::try_from(wanted).unwrap_or(u64::MAX).min(left);
        left -= granted;
        usize::try_from(granted).unwrap_or(wanted)
    };
    for connection in &mut connections {
        connection.issue(mix, take(depth), run.now());
        connection.flush()?;
    }
    let mut last = run.now();
    let mut over_since: Option<Instant> = None;
    while connections.iter().any(|c| c.outstanding() > 0) {
        poll.poll(&mut events, Some(Duration::from_millis(100)))
            .or_else(interrupted)?;
        for event in &events {
            let Some(connection) = connections.get_mut(event.token().0) else {
                continue;
            };
            if event.is_readable() {
                let replies = connection.receive(&mut counts, run.within, || run.now())?;
                if replies > 0 {
                    let now = run.now();
                    if last >= run.within.from && now < run.within.to {
                        counts.worst_gap = counts.worst_gap.max(now - last);
                    }
                    last = now;
                    if !run.over(now) {
                        connection.issue(mix, take(replies), now);
                    }
                }
            }
            connection.flush()?;
        }
        if run.over(run.now()) {
            let since = *over_since.get_or_insert_with(Instant::now);
            ensure!(
                since.elapsed() < DRAIN,
                "outstanding requests were not answered"
            );
        }
    }
    Ok((counts, last))
}

/// A poll cut short by a signal is no error.
pub(crate) fn interrupted(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::Interrupted {
        Ok(())
    } else {
        Err(error)
    }
}
