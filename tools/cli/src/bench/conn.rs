//! Owns one loaded connection: its buffers, what is outstanding, and the turn from replies to new
//! requests. May use a non-blocking socket. Must not allocate per request or read the clock.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};

use anyhow::{Context as _, Result, bail, ensure};
use menagerie_wire::op::xid;

use super::frames::{FAN_OUT, Template};
use super::stats::Counts;
use crate::socket::EventSocket;

/// Replies longer than this are taken for garbage.
const MAX_REPLY: usize = 64 << 20;
/// Bytes of a reply header.
const HEADER: usize = 16;

/// What requests a run is made of.
pub(crate) struct Mix {
    /// Reads, if any.
    pub(crate) read: Option<Template>,
    /// Writes, if any.
    pub(crate) write: Option<Template>,
    /// Share of reads.
    pub(crate) read_percent: u64,
    /// Whether writes create nodes instead of using the working set.
    pub(crate) creates: bool,
    /// Size of the working set.
    pub(crate) znodes: u64,
}

/// One connection under load.
pub(crate) struct Conn {
    socket: EventSocket,
    number: u64,
    input: Vec<u8>,
    filled: usize,
    output: Vec<u8>,
    written: usize,
    /// For every outstanding request: when it was sent, or due, ns, shifted left by one; lowest bit: write.
    sent: VecDeque<u64>,
    next_xid: i32,
    next_reply: i32,
    random: u64,
    created: u64,
}

/// When replies count.
#[derive(Clone, Copy)]
pub(crate) struct Within {
    /// From, ns.
    pub(crate) from: u64,
    /// To, ns.
    pub(crate) to: u64,
    /// Whether that is about when requests were due, not when they were answered.
    pub(crate) by_due: bool,
}

const fn following(xid: i32) -> i32 {
    if xid == i32::MAX { 1 } else { xid + 1 }
}

impl Conn {
    /// Around a socket on which a session has been opened.
    pub(crate) fn new(socket: EventSocket, number: u64, depth: usize) -> Self {
        Self {
            socket,
            number,
            input: vec![0; 64 << 10],
            filled: 0,
            output: Vec::with_capacity(64 << 10),
            written: 0,
            sent: VecDeque::with_capacity(depth),
            next_xid: 1,
            next_reply: 1,
            random: 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(number + 1) | 1,
            created: 0,
        }
    }

    /// The socket, to register it.
    pub(crate) const fn socket(&mut self) -> &mut EventSocket {
        &mut self.socket
    }

    /// Requests without a reply.
    pub(crate) fn outstanding(&self) -> usize {
        self.sent.len()
    }

    /// Reads what is there and counts it; returns the number of replies.
    pub(crate) fn receive(
        &mut self,
        counts: &mut Counts,
        within: Within,
        now: impl Fn() -> u64,
    ) -> Result<usize> {
        let mut replies = 0;
        loop {
            if self.filled == self.input.len() {
                ensure!(
                    self.filled < MAX_REPLY,
                    "a reply of more than {MAX_REPLY} bytes"
                );
                self.input.resize(self.filled * 2, 0);
            }
            let room = self.input.len() - self.filled;
            match self
                .socket
                .read(self.input.get_mut(self.filled..).unwrap_or_default())
            {
                Ok(0) => bail!("the server closed connection {}", self.number),
                Ok(n) => {
                    self.filled += n;
                    replies += self.consume(counts, within, now())?;
                    if n < room {
                        return Ok(replies);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(replies),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e).context("reading failed"),
            }
        }
    }

    /// Takes whole frames off the front of the input.
    fn consume(&mut self, counts: &mut Counts, within: Within, now: u64) -> Result<usize> {
        let mut replies = 0;
        let mut parsed = 0;
        let Self {
            input,
            filled,
            sent,
            next_reply,
            ..
        } = self;
        let filled_input = input.get(..*filled).unwrap_or_default();
        while let Some((prefix, rest)) = filled_input
            .get(parsed..)
            .and_then(<[u8]>::split_first_chunk::<4>)
        {
            let length = u32::from_be_bytes(*prefix) as usize;
            ensure!(
                (HEADER..=MAX_REPLY).contains(&length),
                "a frame of {length} bytes"
            );
            let Some(frame) = rest.get(..length) else {
                break;
            };
            parsed += 4 + length;
            let (got, error) = summary(frame);
            if got == xid::NOTIFICATION || got == xid::PING {
                continue;
            }
            ensure!(got == *next_reply, "reply {got} where {next_reply} was due");
            *next_reply = following(got);
            let stamp = sent.pop_front().context("a reply without a request")?;
            replies += 1;
            let at = if within.by_due { stamp >> 1 } else { now };
            if (within.from..within.to).contains(&at) {
                counts.record(stamp & 1 == 1, stamp >> 1, now);
                if error != 0 {
                    counts.error(error);
                }
            }
        }
        input.copy_within(parsed..*filled, 0);
        *filled -= parsed;
        Ok(replies)
    }

    /// Puts `count` requests into the output, sent (or due) at `now`.
    pub(crate) fn issue(&mut self, mix: &Mix, count: usize, now: u64) {
        for _ in 0..count {
            let read = match (&mix.read, &mix.write) {
                (Some(_), Some(_)) => self.draw() % 100 < mix.read_percent,
                (read, _) => read.is_some(),
            };
            let Some(template) = (if read { &mix.read } else { &mix.write }) else {
                return;
            };
            let xid = self.next_xid;
            let Self {
                output,
                random,
                created,
                number,
                ..
            } = self;
            template.emit(output, xid, || {
                if mix.creates && !read {
                    *created += 1;
                    return (*number, *created - 1);
                }
                let index = draw(random) % mix.znodes;
                (index / FAN_OUT, index)
            });
            self.next_xid = following(xid);
            self.sent.push_back(now << 1 | u64::from(!read));
        }
    }

    /// Writes as much of the output as the socket takes.
    pub(crate) fn flush(&mut self) -> Result<()> {
        while self.written < self.output.len() {
            match self
                .socket
                .write(self.output.get(self.written..).unwrap_or_default())
            {
                Ok(n) => self.written += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e).context("writing failed"),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }

    fn draw(&mut self) -> u64 {
        draw(&mut self.random)
    }
}

/// xorshift64*.
fn draw(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
}

/// The xid and the error of a reply. A failed multi has error 0 in its header and −1 as the type
/// of every result, followed by that result's error.
fn summary(frame: &[u8]) -> (i32, i32) {
    let int = |at: usize| {
        let bytes = frame.get(at..).and_then(<[u8]>::first_chunk::<4>);
        bytes.map_or(0, |b| i32::from_be_bytes(*b))
    };
    let mut error = int(12);
    // Type −1 and not `done`: the first result of a multi that failed. No other body begins so:
    // a Stat begins with a czxid and getData's data is never null here.
    if error == 0 && int(16) == -1 && frame.get(20) == Some(&0) && frame.len() > 25 {
        error = match int(25) {
            0 => -2,
            code => code,
        };
    }
    (int(0), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use menagerie_wire::client::ReplyHeader;
    use menagerie_wire::jute::append;
    use menagerie_wire::multi::{MultiResponse, MultiResult};

    fn reply(err: i32, results: Vec<MultiResult<'_>>) -> Vec<u8> {
        let mut out = Vec::new();
        append(
            &mut out,
            &ReplyHeader {
                xid: 5,
                zxid: 9,
                err,
            },
        );
        append(&mut out, &MultiResponse { results });
        out
    }

    #[test]
    fn a_failed_multi_is_an_error() {
        assert_eq!(
            summary(&reply(0, vec![MultiResult::Error(-101)])),
            (5, -101)
        );
        let failed_later = vec![MultiResult::Error(0), MultiResult::Error(-101)];
        assert_eq!(summary(&reply(0, failed_later)), (5, -2));
        assert_eq!(summary(&reply(0, vec![MultiResult::Delete])), (5, 0));
        assert_eq!(summary(&reply(0, vec![])), (5, 0));
        assert_eq!(summary(&reply(-5, vec![])), (5, -5));
    }
}
