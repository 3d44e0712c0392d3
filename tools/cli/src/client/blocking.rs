//! Owns a plain blocking connection with one session: handshake, call, pipelined calls. Must not
//! reconnect or answer watches; the shell's client does that.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use menagerie_wire::client::{ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader};
use menagerie_wire::jute::{append, decode_all, decode_prefix};
use menagerie_wire::op::{ErrorCode, op_code, xid};
use serde::Serialize;

use crate::socket::{Endpoint, Socket, connect};

/// Replies longer than this are taken for garbage rather than read.
const MAX_REPLY: usize = 256 << 20;

/// Appends a length-prefixed frame whose content `fill` writes.
pub(crate) fn frame(buffer: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    fill(buffer);
    let length = u32::try_from(buffer.len() - start - 4).unwrap_or(u32::MAX);
    if let Some(prefix) = buffer.get_mut(start..start + 4) {
        prefix.copy_from_slice(&length.to_be_bytes());
    }
}

/// Appends a whole request.
pub(crate) fn request<T: Serialize>(buffer: &mut Vec<u8>, xid: i32, op: i32, body: &T) {
    frame(buffer, |out| {
        append(out, &RequestHeader { xid, op });
        append(out, body);
    });
}

/// The frame that asks for a new session.
pub(crate) fn connect_frame(timeout_ms: i32) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, |out| {
        append(
            out,
            &ConnectRequest {
                protocol_version: 0,
                last_zxid_seen: 0,
                time_out: timeout_ms,
                session_id: 0,
                passwd: Some(&[0; 16]),
                read_only: Some(false),
            },
        );
    });
    out
}

/// A reply: its error code and its body.
pub(crate) struct Reply {
    /// The header's error.
    pub(crate) code: ErrorCode,
    /// What follows the header.
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The body, or the error with `what` named.
    pub(crate) fn ok(self, what: &str) -> Result<Vec<u8>> {
        ensure!(self.code == ErrorCode::Ok, "{what}: {}", self.code.name());
        Ok(self.body)
    }
}

/// One connection with its session.
pub(crate) struct Blocking {
    stream: Socket,
    next_xid: i32,
    out: Vec<u8>,
}

impl Blocking {
    /// Connects and opens a session; `timeout` bounds the connect and every read.
    pub(crate) fn open(server: &Endpoint, timeout: Duration, session_ms: i32) -> Result<Self> {
        let stream = connect(server, timeout)
            .with_context(|| format!("cannot connect to {}", server.address))?;
        Self::over(stream, timeout, session_ms)
    }

    /// Opens a session on a connected socket.
    pub(crate) fn over(stream: Socket, timeout: Duration, session_ms: i32) -> Result<Self> {
        stream.set_patience(timeout)?;
        let mut this = Self {
            stream,
            next_xid: 1,
            out: Vec::new(),
        };
        this.stream.write_all(&connect_frame(session_ms))?;
        let answer = this
            .read_frame()
            .context("no answer to the connect request")?;
        let response: ConnectResponse<'_> = decode_all(&answer)?;
        ensure!(response.time_out > 0, "the server refused the session");
        Ok(this)
    }

    /// The socket, for a loop of one's own.
    pub(crate) fn into_stream(self) -> Socket {
        self.stream
    }

    fn read_frame(&mut self) -> Result<Vec<u8>> {
        let mut prefix = [0; 4];
        self.stream
            .read_exact(&mut prefix)
            .context("connection lost")?;
        let length = u32::from_be_bytes(prefix) as usize;
        if length > MAX_REPLY {
            bail!("a frame of {length} bytes");
        }
        let mut content = vec![0; length];
        self.stream
            .read_exact(&mut content)
            .context("connection lost")?;
        Ok(content)
    }

    /// Reads replies until one is to a request, skipping events and pings.
    fn read_reply(&mut self) -> Result<Reply> {
        loop {
            let content = self.read_frame()?;
            let (header, body): (ReplyHeader, &[u8]) = decode_prefix(&content)?;
            if header.xid != xid::NOTIFICATION && header.xid != xid::PING {
                return Ok(Reply {
                    code: ErrorCode(header.err),
                    body: body.to_vec(),
                });
            }
        }
    }

    /// Sends one request and waits for its reply.
    pub(crate) fn call<T: Serialize>(&mut self, op: i32, body: &T) -> Result<Reply> {
        self.out.clear();
        request(&mut self.out, self.next_xid, op, body);
        self.next_xid += 1;
        self.stream.write_all(&self.out)?;
        self.read_reply()
    }

    /// Sends requests with up to `depth` outstanding. `next` appends one request with the given
    /// xid and returns false when there are none left; `done` sees every reply in order.
    pub(crate) fn pipeline(
        &mut self,
        depth: usize,
        mut next: impl FnMut(&mut Vec<u8>, i32) -> bool,
        mut done: impl FnMut(Reply) -> Result<()>,
    ) -> Result<()> {
        let mut outstanding = 0;
        let mut more = true;
        loop {
            self.out.clear();
            while more && outstanding < depth {
                more = next(&mut self.out, self.next_xid);
                if more {
                    self.next_xid += 1;
                    outstanding += 1;
                }
            }
            self.stream.write_all(&self.out)?;
            if outstanding == 0 {
                return Ok(());
            }
            done(self.read_reply()?)?;
            outstanding -= 1;
        }
    }

    /// Closes the session and waits for the server's answer.
    pub(crate) fn close(mut self) -> Result<()> {
        self.call(op_code::CLOSE_SESSION, &())?
            .ok("closeSession")
            .map(drop)
    }
}
