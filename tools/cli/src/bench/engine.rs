//! Owns the load: threads with an event loop each, and the window in which replies count. May use
//! epoll by way of mio. Must not know workloads beyond their templates.

use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::conn::{Conn, Mix, Within};
use super::pace::{BEHIND_MAX, Pace};
use super::proc::{cpu_seconds, rss_mb};
use super::stats::{Counts, Window};
use crate::client::blocking::Blocking;
use crate::socket::Endpoint;

/// How long outstanding requests may take after the end of a run.
const DRAIN: Duration = Duration::from_secs(15);

/// How much load, on what, for how long.
#[derive(Clone)]
pub(crate) struct Load {
    /// Connections go to these in turn.
    pub(crate) addresses: Vec<Endpoint>,
    /// Sockets.
    pub(crate) connections: usize,
    /// Requests outstanding on each.
    pub(crate) depth: usize,
    /// Arrivals per second over all connections: an open loop, in which `depth` means nothing.
    pub(crate) rate: Option<f64>,
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
    pub(crate) fn address(&self, number: usize) -> Result<&Endpoint> {
        let at = number % self.addresses.len().max(1);
        self.addresses.get(at).context("no address")
    }

    /// When replies count, from the start of the run.
    fn within(&self) -> Within {
        let ns = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        Within {
            from: ns(self.warmup),
            to: ns(self.warmup + self.duration),
            by_due: false,
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
        let socket = open.into_stream().into_events()?;
        connections.push(Conn::new(socket, number as u64, load.depth));
    }
    let threads = load.threads.clamp(1, load.connections.max(1));
    let mut shares = Vec::with_capacity(threads);
    for number in 0..threads {
        let pace = load.rate.map(|rate| Pace::new(rate, number, threads));
        shares.push((Vec::new(), pace.transpose()?));
    }
    for (number, connection) in connections.into_iter().enumerate() {
        if let Some((share, _)) = shares.get_mut(number % threads) {
            share.push(connection);
        }
    }
    let mix = Arc::new(mix);
    let (depth, budget) = (
        load.depth,
        load.max_ops.map(|ops| ops.div_ceil(threads as u64)),
    );
    measure(load, shares, move |run, (connections, pace)| {
        let left = budget.unwrap_or(u64::MAX);
        match pace {
            None => closed_loop(run, connections, &mix, depth, left),
            Some(pace) => open_loop(run, connections, &mix, pace, left),
        }
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

/// One thread's event loop.
struct Loop<'a> {
    run: &'a Run,
    poll: Poll,
    connections: Vec<Conn>,
    counts: Counts,
    /// When the last reply came, ns.
    last: u64,
    over_since: Option<Instant>,
}

impl<'a> Loop<'a> {
    fn new(run: &'a Run, mut connections: Vec<Conn>) -> Result<Self> {
        let poll = Poll::new()?;
        for (token, connection) in connections.iter_mut().enumerate() {
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(connection.socket(), Token(token), interest)?;
        }
        Ok(Self {
            run,
            poll,
            connections,
            counts: Counts::new()?,
            last: run.now(),
            over_since: None,
        })
    }

    fn is_owed(&self) -> bool {
        self.connections.iter().any(|c| c.outstanding() > 0)
    }

    fn wait(&mut self, events: &mut Events) -> Result<()> {
        self.poll
            .poll(events, Some(Duration::from_millis(100)))
            .or_else(interrupted)?;
        Ok(())
    }

    /// Reads what has come for a connection; the number of replies, and when.
    fn receive(&mut self, connection: usize, by: Within) -> Result<(usize, u64)> {
        let Some(connection) = self.connections.get_mut(connection) else {
            return Ok((0, self.last));
        };
        let run = self.run;
        let replies = connection.receive(&mut self.counts, by, || run.now())?;
        if replies > 0 {
            let now = run.now();
            if self.last >= run.within.from && now < run.within.to {
                self.counts.worst_gap = self.counts.worst_gap.max(now - self.last);
            }
            self.last = now;
        }
        Ok((replies, self.last))
    }

    /// After the end, replies may take so long and no longer.
    fn check_drain(&mut self) -> Result<()> {
        if self.run.over(self.run.now()) {
            let since = *self.over_since.get_or_insert_with(Instant::now);
            ensure!(
                since.elapsed() < DRAIN,
                "outstanding requests were not answered"
            );
        }
        Ok(())
    }
}

/// Every reply is followed by a request.
fn closed_loop(run: &Run, connections: Vec<Conn>, mix: &Mix, depth: usize, mut left: u64) -> Share {
    let mut looping = Loop::new(run, connections)?;
    let mut events = Events::with_capacity(1024);
    let mut take = |wanted: usize| {
        let granted = u64::try_from(wanted).unwrap_or(u64::MAX).min(left);
        left -= granted;
        usize::try_from(granted).unwrap_or(wanted)
    };
    for connection in &mut looping.connections {
        connection.issue(mix, take(depth), run.now());
        connection.flush()?;
    }
    while looping.is_owed() {
        looping.wait(&mut events)?;
        for event in &events {
            let at = event.token().0;
            let (mut replies, mut now) = (0, 0);
            if event.is_readable() {
                (replies, now) = looping.receive(at, run.within)?;
            }
            let Some(connection) = looping.connections.get_mut(at) else {
                continue;
            };
            if replies > 0 && !run.over(now) {
                connection.issue(mix, take(replies), now);
            }
            connection.flush()?;
        }
        looping.check_drain()?;
    }
    Ok((looping.counts, looping.last))
}

/// Requests leave when they are due, over the connections in turn. Those that were due within the
/// window count, whenever they are answered.
fn open_loop(run: &Run, connections: Vec<Conn>, mix: &Mix, mut pace: Pace, mut left: u64) -> Share {
    let mut looping = Loop::new(run, connections)?;
    let mut events = Events::with_capacity(1024);
    let timer = Token(looping.connections.len());
    let fd = pace.timer().as_raw_fd();
    (looping.poll.registry()).register(&mut SourceFd(&fd), timer, Interest::READABLE)?;
    let (mut answered, mut turn) = (0_u64, 0);
    let by = Within {
        by_due: true,
        ..run.within
    };
    while looping.is_owed() || left > 0 && !run.over(run.now()) {
        looping.wait(&mut events)?;
        for event in &events {
            if event.token() == timer {
                pace.rearm();
                continue;
            }
            let at = event.token().0;
            if event.is_readable() {
                answered += looping.receive(at, by)?.0 as u64;
            }
            if let Some(connection) = looping.connections.get_mut(at) {
                connection.flush()?;
            }
        }
        let now = run.now();
        while left > 0
            && !run.over(now)
            && let Some(due) = pace.due(now)
        {
            left -= 1;
            let count = looping.connections.len();
            if let Some(connection) = looping.connections.get_mut(turn % count) {
                connection.issue(mix, 1, due);
            }
            turn += 1;
        }
        for connection in &mut looping.connections {
            connection.flush()?;
        }
        ensure!(
            pace.given() - answered < BEHIND_MAX,
            "{BEHIND_MAX} requests are not answered: too high a rate"
        );
        looping.check_drain()?;
    }
    Ok((looping.counts, looping.last))
}

/// A poll cut short by a signal is no error.
pub(crate) fn interrupted(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::Interrupted {
        Ok(())
    } else {
        Err(error)
    }
}
