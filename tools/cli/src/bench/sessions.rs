//! Owns the workload that opens and closes sessions: connect, handshake, closeSession, its reply,
//! again. May use epoll by way of mio. Must not send anything else.
//!
//! A session is done when the reply to closeSession is there. The socket is then reset instead of
//! waiting for the server's end of the stream: that is the generator's time, not the server's, and
//! nothing is left behind in TIME_WAIT, which after some ten thousand sessions slows connecting.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use menagerie_wire::op::op_code;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};
use rustix::net::sockopt::set_socket_linger;

use super::engine::{Load, Outcome, Run, Share, interrupted, measure};
use super::stats::Counts;
use crate::client::blocking::{connect_frame, request};

/// What a slot waits for.
enum Stage {
    /// Room to send the connect request.
    Connecting,
    /// The session.
    Opening,
    /// The reply to closeSession.
    Closing,
    /// Nothing any more.
    Closed,
}

/// One session after the other.
struct Slot {
    address: SocketAddr,
    socket: TcpStream,
    stage: Stage,
    began: u64,
    input: Vec<u8>,
}

/// The two frames that every session sends.
struct Frames {
    open: Vec<u8>,
    close: Vec<u8>,
}

/// Opens and closes sessions, `load.connections` at a time.
pub(crate) fn run(load: &Load) -> Result<Outcome> {
    let threads = load.threads.clamp(1, load.connections.max(1));
    let mut shares: Vec<Vec<SocketAddr>> = vec![Vec::new(); threads];
    for number in 0..load.connections {
        if let Some(share) = shares.get_mut(number % threads) {
            let server = load.address(number)?;
            ensure!(
                server.tls.is_none(),
                "sessions are opened and closed without TLS only"
            );
            share.push(server.address);
        }
    }
    let mut close = Vec::new();
    request(&mut close, 1, op_code::CLOSE_SESSION, &());
    let frames = Frames {
        open: connect_frame(load.session_ms),
        close,
    };
    let budget = load.max_ops.map(|ops| ops.div_ceil(threads as u64));
    measure(load, shares, |run, share| {
        drive(run, &share, &frames, budget)
    })
}

fn drive(run: &Run, addresses: &[SocketAddr], frames: &Frames, budget: Option<u64>) -> Share {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut counts = Counts::new()?;
    let mut left = budget.unwrap_or(u64::MAX);
    let mut slots = Vec::with_capacity(addresses.len());
    for (token, address) in addresses
        .iter()
        .enumerate()
        .take(usize::try_from(left).unwrap_or(usize::MAX))
    {
        slots.push(Some(Slot::open(
            *address,
            poll.registry(),
            Token(token),
            run.now(),
            frames,
        )?));
        left -= 1;
    }
    let mut open = slots.len();
    let mut last = run.now();
    while open > 0 {
        poll.poll(&mut events, Some(Duration::from_millis(100)))
            .or_else(interrupted)?;
        for event in &events {
            let Some(place) = slots.get_mut(event.token().0) else {
                continue;
            };
            let Some(slot) = place else { continue };
            if !slot.advance(frames)? {
                continue;
            }
            let now = run.now();
            if (run.within.from..run.within.to).contains(&now) {
                counts.record(true, slot.began, now);
                counts.worst_gap = counts.worst_gap.max(now - last.max(run.within.from));
            }
            last = now;
            if run.over(now) || left == 0 {
                *place = None;
                open -= 1;
            } else {
                left -= 1;
                *slot = Slot::open(slot.address, poll.registry(), event.token(), now, frames)?;
            }
        }
        let deadline = run.within.to.saturating_add(15_000_000_000);
        ensure!(run.now() < deadline, "sessions were not closed in time");
    }
    Ok((counts, last))
}

impl Slot {
    /// Connects and, where the connection is there at once as on one machine, asks for a session.
    fn open(
        address: SocketAddr,
        registry: &Registry,
        token: Token,
        now: u64,
        frames: &Frames,
    ) -> Result<Self> {
        let mut socket = TcpStream::connect(address).context("cannot connect")?;
        let stage = match socket.write(&frames.open) {
            Ok(n) => {
                ensure!(n == frames.open.len(), "no room for a connect request");
                Stage::Opening
            }
            Err(e) if is_not_yet(&e) => Stage::Connecting,
            Err(e) => return Err(e).context("cannot send the connect request"),
        };
        let interest = match stage {
            Stage::Connecting => Interest::READABLE | Interest::WRITABLE,
            _ => Interest::READABLE,
        };
        registry.register(&mut socket, token, interest)?;
        Ok(Self {
            address,
            socket,
            stage,
            began: now,
            input: Vec::new(),
        })
    }

    /// Goes as far as it can; true when the session is closed.
    fn advance(&mut self, frames: &Frames) -> Result<bool> {
        if matches!(self.stage, Stage::Connecting) {
            if let Some(error) = self.socket.take_error()? {
                return Err(error).context("cannot connect");
            }
            match self.socket.write(&frames.open) {
                Ok(n) => ensure!(n == frames.open.len(), "no room for a connect request"),
                Err(e) if is_not_yet(&e) => return Ok(false),
                Err(e) => return Err(e).context("cannot send the connect request"),
            }
            self.stage = Stage::Opening;
        }
        loop {
            let mut chunk = [0; 512];
            match self.socket.read(&mut chunk) {
                Ok(0) => bail!("the server closed a connection before its session was closed"),
                Ok(n) => {
                    self.input
                        .extend_from_slice(chunk.get(..n).unwrap_or_default());
                    self.on_input(frames)?;
                    if matches!(self.stage, Stage::Closed) {
                        set_socket_linger(&self.socket, Some(Duration::ZERO))?;
                        return Ok(true);
                    }
                    if n < chunk.len() {
                        // That was all there is; what comes next is another event.
                        return Ok(false);
                    }
                }
                Err(e) if is_not_yet(&e) => return Ok(false),
                Err(e) => return Err(e).context("reading failed"),
            }
        }
    }

    fn on_input(&mut self, frames: &Frames) -> Result<()> {
        while let Some((prefix, rest)) = self.input.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*prefix) as usize;
            let Some(frame) = rest.get(..length) else {
                return Ok(());
            };
            match self.stage {
                Stage::Opening => {
                    let granted = frame.get(4..8).is_some_and(|t| t != [0; 4]);
                    ensure!(granted, "the server refused a session");
                    let n = self
                        .socket
                        .write(&frames.close)
                        .context("cannot send closeSession")?;
                    ensure!(n == frames.close.len(), "no room for closeSession");
                    self.stage = Stage::Closing;
                }
                Stage::Closing => self.stage = Stage::Closed,
                Stage::Connecting | Stage::Closed => bail!("a frame that was not asked for"),
            }
            self.input.drain(..4 + length);
        }
        Ok(())
    }
}

fn is_not_yet(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, NotConnected, WouldBlock};
    matches!(error.kind(), WouldBlock | Interrupted | NotConnected)
}
