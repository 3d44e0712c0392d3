//! Owns a blocking connection that speaks frames: handshake in every variant, arbitrary bytes,
//! replies and events as they come. May use `menagerie-wire`. Must not hide anything a server
//! sends, nor retry.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use menagerie_wire::client::{ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader};
use menagerie_wire::jute::{append, decode_prefix, to_vec};
use menagerie_wire::op::{op_code, xid};

/// How long a reply may take before it counts as missing.
pub(crate) const REPLY: Duration = Duration::from_secs(10);

/// What came from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A frame without its length.
    Frame(Vec<u8>),
    /// The server has closed the connection.
    Closed,
    /// Nothing within the time.
    Silence,
}

/// A session as the server granted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Granted {
    /// Negotiated time-out in ms; 0 when refused.
    pub(crate) time_out: i32,
    /// The session.
    pub(crate) session_id: i64,
    /// Its password.
    pub(crate) passwd: Vec<u8>,
    /// The read-only byte, if one came.
    pub(crate) read_only: Option<bool>,
    /// Length of the whole response.
    pub(crate) length: usize,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
    closed: bool,
    next_xid: i32,
}

impl Raw {
    /// Connects; sends nothing.
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(REPLY))?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
            closed: false,
            next_xid: 1,
        })
    }

    /// Connects and begins a session.
    pub(crate) fn session(address: SocketAddr, time_out: i32) -> Result<(Self, Granted)> {
        let mut raw = Self::open(address)?;
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: 0,
            time_out,
            session_id: 0,
            passwd: Some(&[0; 16]),
            read_only: Some(false),
        };
        match raw.handshake(&request)? {
            Some(granted) if granted.session_id != 0 => Ok((raw, granted)),
            other => bail!("no session: {other:?}"),
        }
    }

    /// Connects and takes up a session.
    pub(crate) fn resume(
        address: SocketAddr,
        session_id: i64,
        passwd: &[u8],
    ) -> Result<(Self, Option<Granted>)> {
        let mut raw = Self::open(address)?;
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: 0,
            time_out: 30_000,
            session_id,
            passwd: Some(passwd),
            read_only: Some(false),
        };
        let granted = raw.handshake(&request)?;
        Ok((raw, granted))
    }

    /// Sends a connect request; `None` when the server closes instead of answering.
    pub(crate) fn handshake(&mut self, request: &ConnectRequest<'_>) -> Result<Option<Granted>> {
        self.send(&to_vec(request));
        match self.receive(REPLY) {
            Incoming::Frame(frame) => Self::granted(&frame).map(Some),
            Incoming::Closed => Ok(None),
            Incoming::Silence => bail!("no connect response"),
        }
    }

    /// Reads a connect response.
    pub(crate) fn granted(frame: &[u8]) -> Result<Granted> {
        let (response, rest) = decode_prefix::<ConnectResponse<'_>>(frame)
            .map_err(|e| anyhow::anyhow!("connect response: {e}"))?;
        Ok(Granted {
            time_out: response.time_out,
            session_id: response.session_id,
            passwd: response.passwd.unwrap_or_default().to_vec(),
            read_only: rest.first().map(|byte| *byte != 0),
            length: frame.len(),
        })
    }

    /// Sends a frame: its length and then `body`. A connection that is closed shows when reading.
    pub(crate) fn send(&mut self, body: &[u8]) {
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let mut frame = length.to_be_bytes().to_vec();
        frame.extend_from_slice(body);
        self.send_bytes(&frame);
    }

    /// Sends bytes as they are.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        // A reset shows as `Closed` at the next read, behind everything that came before it.
        let _ = self.stream.write_all(bytes);
    }

    /// The xid of the next request.
    pub(crate) fn take_xid(&mut self) -> i32 {
        let xid = self.next_xid;
        self.next_xid += 1;
        xid
    }

    /// Waits for the next frame.
    pub(crate) fn receive(&mut self, limit: Duration) -> Incoming {
        let begin = Instant::now();
        loop {
            if let Some(frame) = self.take_frame() {
                return Incoming::Frame(frame);
            }
            if self.closed {
                return Incoming::Closed;
            }
            let left = limit.saturating_sub(begin.elapsed());
            if left.is_zero() || !self.fill(left) {
                return Incoming::Silence;
            }
        }
    }

    fn take_frame(&mut self) -> Option<Vec<u8>> {
        let prefix: [u8; 4] = self.buffer.get(..4)?.try_into().ok()?;
        let end = 4 + usize::try_from(u32::from_be_bytes(prefix)).ok()?;
        let frame = self.buffer.get(4..end)?.to_vec();
        self.buffer.drain(..end);
        Some(frame)
    }

    /// Reads once; false when nothing came within `limit`.
    fn fill(&mut self, limit: Duration) -> bool {
        let mut chunk = [0_u8; 16384];
        let _ = self.stream.set_read_timeout(Some(limit));
        match self.stream.read(&mut chunk) {
            Ok(0) => self.closed = true,
            Ok(n) => self
                .buffer
                .extend_from_slice(chunk.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                return false;
            }
            Err(_) => self.closed = true,
        }
        true
    }

    /// Sends a request and waits for its reply, which must come; events on the way are dropped.
    pub(crate) fn call<T: serde::Serialize + ?Sized>(
        &mut self,
        op: i32,
        body: &T,
    ) -> Result<(ReplyHeader, Vec<u8>)> {
        let xid = self.take_xid();
        let mut frame = to_vec(&RequestHeader { xid, op });
        append(&mut frame, body);
        self.send(&frame);
        self.reply(xid)
    }

    /// Waits for the reply with this xid.
    pub(crate) fn reply(&mut self, xid: i32) -> Result<(ReplyHeader, Vec<u8>)> {
        loop {
            match self.receive(REPLY) {
                Incoming::Frame(frame) => {
                    let (header, rest) = decode_prefix::<ReplyHeader>(&frame)
                        .map_err(|e| anyhow::anyhow!("reply header: {e}"))?;
                    if header.xid == xid {
                        let body = rest.to_vec();
                        return Ok((header, body));
                    }
                }
                Incoming::Closed => bail!("closed instead of a reply to {xid}"),
                Incoming::Silence => bail!("no reply to {xid}"),
            }
        }
    }

    /// Sends a ping and waits for its answer.
    pub(crate) fn ping(&mut self) -> Result<()> {
        self.send(&to_vec(&RequestHeader {
            xid: xid::PING,
            op: op_code::PING,
        }));
        self.reply(xid::PING).map(|_| ())
    }

    /// Closes the session and waits until the server closes the connection.
    pub(crate) fn close_session(mut self) -> Result<()> {
        let (header, _) = self.call(op_code::CLOSE_SESSION, &())?;
        anyhow::ensure!(header.err == 0, "closeSession: {}", header.err);
        match self.receive(REPLY) {
            Incoming::Closed => Ok(()),
            other => bail!("after closeSession: {other:?}"),
        }
    }

    /// Ends the connection as a client that has crashed: the session goes on.
    pub(crate) fn abandon(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
