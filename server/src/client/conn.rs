//! Owns a connection's task: it reads frames, serves reads itself, hands everything else to the
//! core, and flushes the outbox. Must not wait for anything but its socket and its outbox.
//!
//! A session's requests are served in their order: while the core has one of them, later ones go
//! to the core as well, reads included.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use menagerie_core::acl::{self, AuthId};
use menagerie_core::event::{Event, Request};
use menagerie_core::ids::{Cxid, SessionId};
use menagerie_core::processor::read::{self, Reader};
use menagerie_core::processor::reply;
use menagerie_core::tree::Tree;
use menagerie_wire::client::{AuthPacket, ReplyHeader, RequestHeader, SaslToken};
use menagerie_wire::frame::{self, FrameError, LENGTH_SIZE};
use menagerie_wire::jute::{self, decode_all, decode_prefix};
use menagerie_wire::op::{ErrorCode, op_code};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::outbox::Outgoing;
use super::registry::Conn;
use crate::shared::Shared;

/// Requests of one connection that the core may have at once; above it the socket is not read.
const PIPELINE_MAX: usize = 1000;
/// Reads under one guard of the tree, so that a writer need not wait long.
const READS_PER_GUARD: usize = 64;
/// Room for reading; a larger frame gets what it needs.
const READ_BUFFER: usize = 16 << 10;
/// A buffer that a large reply left behind is given back.
const KEEP_BUFFER: usize = 64 << 10;

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// The other side closed, or the network did.
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    /// It closed between two frames.
    #[error("closed by the client")]
    Eof,
    /// A frame that the limits forbid.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame without a proper header.
    #[error("malformed request header: {0}")]
    Header(jute::DecodeError),
    /// Too many bytes in large requests at once.
    #[error("large request of {0} bytes refused")]
    LargeRequest(usize),
    /// The server closes it.
    #[error("closed by the server")]
    Closed,
}

/// A request that the core has.
#[derive(Debug, Clone, Copy)]
struct InFlight {
    op: i32,
    cxid: i32,
    started_ms: i64,
    /// Bytes of the request if it is a large one, else 0.
    large: usize,
}

/// The task's state.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) conn: Arc<Conn>,
    pub(crate) stream: TcpStream,
    pub(crate) input: BytesMut,
    pub(crate) outgoing: Outgoing,
    in_flight: VecDeque<InFlight>,
    replies: Vec<u8>,
    events: Vec<Event>,
    session: SessionId,
    auth: Arc<[AuthId]>,
    /// No more requests are read: the session is closing or the connection refused.
    deaf: bool,
    /// Frames at hand were left alone because the server had enough to do; no byte from the client
    /// will tell when that is over.
    held: bool,
    /// Since when requests wait in front of the pipeline.
    stalled_since: Option<i64>,
    /// Whether the frames at hand have waited too long.
    refusing: bool,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, conn: Arc<Conn>, stream: TcpStream) -> Self {
        let auth = conn.auth();
        Self {
            shared,
            conn,
            stream,
            input: BytesMut::with_capacity(READ_BUFFER),
            outgoing: Outgoing::default(),
            in_flight: VecDeque::new(),
            replies: Vec::new(),
            events: Vec::new(),
            session: SessionId(0),
            auth,
            deaf: false,
            held: false,
            stalled_since: None,
            refusing: false,
        }
    }

    /// Serves requests until the connection ends.
    pub(crate) async fn serve(&mut self, session: SessionId) -> End {
        self.session = session;
        loop {
            if let Err(end) = self.process_input() {
                // What was answered before still goes out.
                let _lost = self.flush().await;
                return end;
            }
            if let Err(end) = self.flush().await {
                return end;
            }
            if let Err(end) = self.wait().await {
                return end;
            }
        }
    }

    /// Waits for bytes from the client or from the core.
    async fn wait(&mut self) -> Result<(), End> {
        if self.deaf || self.must_wait() {
            self.conn.outbox.ready().await;
            return Ok(());
        }
        if self.is_stalled() {
            let stall = Duration::from_millis(self.shared.stall_ms());
            let _stall_is_over = tokio::time::timeout(stall, self.conn.outbox.ready()).await;
            return Ok(());
        }
        if self.held {
            return Ok(());
        }
        if self.input.capacity() - self.input.len() < READ_BUFFER / 4 {
            self.input.reserve(READ_BUFFER);
        }
        tokio::select! {
            biased;
            () = self.conn.outbox.ready() => Ok(()),
            read = self.stream.read_buf(&mut self.input) => match read? {
                0 => Err(End::Eof),
                _ => {
                    self.conn.stats.heard_ms.store(self.shared.clock.mono_ms(), Relaxed);
                    Ok(())
                }
            },
        }
    }

    /// Whether the server has enough to do: then who waits for a reply is not read.
    /// Source: `ZooKeeperServer.shouldThrottle`.
    fn must_wait(&self) -> bool {
        let waiting = self.in_flight.len();
        waiting >= PIPELINE_MAX
            || waiting > 0
                && self.shared.stats.in_process.load(Relaxed)
                    > self.shared.config.global_outstanding_limit
    }

    /// Whether requests wait in front of the pipeline, which then is full of others. They wait in
    /// the socket and in the buffer, so that none has to be kept. Source: `RequestThrottler`.
    fn is_stalled(&mut self) -> bool {
        let max = self.shared.config.request_throttle_max_requests;
        if max <= 0 || self.shared.stats.in_process.load(Relaxed) < max {
            return false;
        }
        self.shared.stats.throttled.fetch_add(1, Relaxed);
        self.stalled_since
            .get_or_insert(self.shared.clock.mono_ms());
        true
    }

    /// Whether the requests at hand have waited so long that they are refused.
    fn is_stale(&mut self, now_ms: i64) -> bool {
        let limit = self.shared.config.throttled_op_wait_time_ms;
        let since = self.stalled_since.take();
        limit > 0 && since.is_some_and(|since| now_ms - since > limit)
    }

    /// Takes all complete frames from the input.
    fn process_input(&mut self) -> Result<(), End> {
        let shared = Arc::clone(&self.shared);
        let started_ms = shared.clock.mono_ms();
        let mut result = Ok(());
        self.held = false;
        if self.is_stalled() {
            self.held = true;
            return result;
        }
        self.refusing = self.is_stale(started_ms);
        while !self.deaf && !self.must_wait() {
            match self.next_frame() {
                Ok(None) => break,
                Err(end) => {
                    result = Err(end);
                    break;
                }
                Ok(Some(len)) => {
                    if let Err(end) = self.frame_group(&shared, len, started_ms) {
                        result = Err(end);
                        break;
                    }
                }
            }
        }
        self.held = result.is_ok() && self.must_wait();
        self.submit();
        result
    }

    /// The length of the frame at the front of the input, if it is all there. The length itself is
    /// taken away by [`Connection::take_header`].
    fn next_frame(&mut self) -> Result<Option<usize>, End> {
        let max = self.shared.config.jute_max_buffer;
        let Some(bytes) = frame::frame_length(&self.input, max)? else {
            return Ok(None);
        };
        if self.shared.is_large(bytes) && !self.shared.has_room_for(bytes) {
            self.shared
                .stats
                .large_requests_rejected
                .fetch_add(1, Relaxed);
            return Err(End::LargeRequest(bytes));
        }
        if self.input.len() < LENGTH_SIZE + bytes {
            self.input.reserve(LENGTH_SIZE + bytes - self.input.len());
            return Ok(None);
        }
        Ok(Some(bytes))
    }

    fn take_header(&mut self, len: usize) -> Result<(RequestHeader, usize), End> {
        self.input.advance(LENGTH_SIZE);
        self.conn.stats.received.fetch_add(1, Relaxed);
        self.shared.stats.received.fetch_add(1, Relaxed);
        let frame = &self.input[..len];
        let (header, body) = decode_prefix::<RequestHeader>(frame).map_err(End::Header)?;
        let body_len = body.len();
        self.input.advance(len - body_len);
        Ok((header, body_len))
    }

    /// Serves the frame at the front, and as many reads behind it as one guard allows.
    fn frame_group(&mut self, shared: &Shared, len: usize, started_ms: i64) -> Result<(), End> {
        let (header, body_len) = self.take_header(len)?;
        if self.turned_away(header) {
            self.input.advance(body_len);
            return Ok(());
        }
        if !self.is_local_read(header.op) {
            let body = self.input.split_to(body_len).freeze();
            return self.hand_over(header, body, started_ms);
        }
        let tree = shared.read_tree();
        let mut served = 1;
        self.serve_read(&tree, header, body_len, started_ms);
        let mut other = None;
        while served < READS_PER_GUARD
            && !self.refusing
            && let Some(len) = self.next_frame()?
        {
            let (header, body_len) = self.take_header(len)?;
            if !self.is_local_read(header.op) {
                other = Some((header, body_len));
                break;
            }
            self.serve_read(&tree, header, body_len, started_ms);
            served += 1;
        }
        // Under the guard: a writer's events for the watches just left come behind these replies.
        let replies = &mut self.replies;
        self.conn.outbox.push(|out| {
            if out.bytes.is_empty() {
                std::mem::swap(&mut out.bytes, replies);
            } else {
                out.bytes.append(replies);
            }
            out.packets += served as u64;
        });
        drop(tree);
        self.shared.stats.add_latency(0, served as u64 - 1);
        match other {
            Some((header, body_len)) => {
                let body = self.input.split_to(body_len).freeze();
                self.hand_over(header, body, started_ms)
            }
            None => Ok(()),
        }
    }

    /// Whether the request is refused without being looked at.
    fn turned_away(&mut self, header: RequestHeader) -> bool {
        let RequestHeader { xid, op } = header;
        if matches!(op, op_code::AUTH | op_code::SASL) {
            return false;
        }
        if !self.shared.is_authenticated(&self.auth) {
            tracing::warn!(remote = %self.conn.remote,
                "closing a session that did not authenticate by a scheme that is enforced");
            self.refuse(xid, 0, ErrorCode::SessionClosedRequireSaslAuth);
            return true;
        }
        if self.refusing && !matches!(op, op_code::PING | op_code::CLOSE_SESSION) {
            let zxid = self.shared.read_tree().last_zxid();
            self.conn.outbox.push(|out| {
                reply::header_only(&mut out.bytes, xid, zxid, ErrorCode::ThrottledOp);
                out.packets += 1;
            });
            return true;
        }
        false
    }

    fn is_local_read(&self, op: i32) -> bool {
        self.in_flight.is_empty()
            && read::is_read(op)
            && (self.shared.is_serving() || self.is_read_only())
    }

    fn is_read_only(&self) -> bool {
        self.conn.stats.read_only.load(Relaxed)
    }

    /// Answers what a server without a leader cannot do. Source: `ReadOnlyRequestProcessor`.
    fn refuse_write(&mut self, header: RequestHeader) {
        let zxid = self.shared.read_tree().last_zxid();
        let closes = header.op == op_code::CLOSE_SESSION;
        self.deaf |= closes;
        let err = if closes {
            ErrorCode::Ok
        } else {
            ErrorCode::NotReadOnly
        };
        self.conn.outbox.push(|out| {
            reply::header_only(&mut out.bytes, header.xid, zxid, err);
            out.packets += 1;
            out.close = closes;
        });
    }

    fn serve_read(&mut self, tree: &Tree, header: RequestHeader, body_len: usize, started_ms: i64) {
        let reader = Reader {
            conn: self.conn.id,
            session: self.session,
            auth: &self.auth,
            config: &self.shared.auth,
        };
        let body = &self.input[..body_len];
        let RequestHeader { xid, op } = header;
        read::serve(
            tree,
            &self.shared.watches,
            &reader,
            xid,
            op,
            body,
            &mut self.replies,
        );
        self.input.advance(body_len);
        if self.replies.len() > KEEP_BUFFER {
            self.conn
                .outbox
                .push(|out| out.bytes.append(&mut self.replies));
        }
        self.note(
            InFlight {
                op,
                cxid: xid,
                started_ms,
                large: 0,
            },
            tree.last_zxid(),
            0,
        );
    }

    /// Notes the last request answered.
    fn note(&self, request: InFlight, zxid: i64, latency_ms: u64) {
        let mut last = self.conn.last_op();
        last.op = Some(request.op);
        last.cxid = request.cxid;
        last.zxid = zxid;
        last.response_ms = request.started_ms.saturating_add_unsigned(latency_ms);
        last.last_latency_ms = latency_ms;
        last.latency.add(latency_ms, 1);
    }

    /// Deals with what is not a read to be served here.
    fn hand_over(
        &mut self,
        header: RequestHeader,
        body: Bytes,
        started_ms: i64,
    ) -> Result<(), End> {
        match header.op {
            op_code::AUTH => self.authenticate(header, &body),
            op_code::SASL => self.sasl(header, &body),
            op if is_known(op) && self.is_read_only() => {
                self.refuse_write(header);
                Ok(())
            }
            op if is_known(op) => {
                if op == op_code::CLOSE_SESSION {
                    // ZooKeeper answers nothing that comes behind it.
                    self.deaf = true;
                }
                let auth = Arc::clone(&self.auth);
                let (conn, session) = (Some(self.conn.id), self.session);
                let cxid = Cxid(header.xid);
                let large = if self.shared.is_large(body.len()) {
                    body.len()
                } else {
                    0
                };
                self.shared.large_bytes.fetch_add(large, Relaxed);
                self.events.push(Event::Request(Request {
                    conn,
                    session,
                    cxid,
                    op,
                    body,
                    auth,
                }));
                self.in_flight.push_back(InFlight {
                    op,
                    cxid: header.xid,
                    started_ms,
                    large,
                });
                self.conn.stats.outstanding.fetch_add(1, Relaxed);
                self.shared.stats.in_process.fetch_add(1, Relaxed);
                Ok(())
            }
            op => {
                tracing::warn!(conn = %self.conn.id, remote = %self.conn.remote, op,
                    "unknown operation; answering UNIMPLEMENTED and closing, as ZooKeeper does");
                self.refuse(header.xid, -1, ErrorCode::Unimplemented);
                Ok(())
            }
        }
    }

    fn submit(&mut self) {
        self.shared.inbox.requests(&mut self.events);
    }

    /// Answers and closes.
    fn refuse(&mut self, xid: i32, zxid: i64, err: ErrorCode) {
        self.deaf = true;
        self.conn.outbox.push(|out| {
            reply::header_only(&mut out.bytes, xid, zxid, err);
            out.packets += 1;
            out.close = true;
        });
    }

    /// Source: `ZooKeeperServer.processPacket`, branch auth.
    fn authenticate(&mut self, header: RequestHeader, body: &[u8]) -> Result<(), End> {
        let packet: AuthPacket<'_> = decode_all(body).map_err(End::Header)?;
        let scheme = packet.scheme.as_deref().unwrap_or_default();
        let remote = self.conn.remote.ip();
        match acl::authenticate(&self.shared.auth, scheme, packet.auth, remote) {
            Ok(ids) => {
                self.conn.add_auth(ids);
                self.auth = self.conn.auth();
                self.conn.outbox.push(|out| {
                    reply::header_only(&mut out.bytes, header.xid, 0, ErrorCode::Ok);
                    out.packets += 1;
                });
            }
            Err(_) => {
                self.shared.stats.auth_failed.fetch_add(1, Relaxed);
                tracing::warn!(remote = %self.conn.remote, scheme, "authentication failed");
                self.refuse(header.xid, 0, ErrorCode::AuthFailed);
            }
        }
        Ok(())
    }

    /// A server without SASL configured answers any token with null; null itself is too much for
    /// ZooKeeper, which closes the connection. Source: `ZooKeeperServer.processSasl`.
    fn sasl(&self, header: RequestHeader, body: &[u8]) -> Result<(), End> {
        let request: SaslToken<'_> = decode_all(body).map_err(End::Header)?;
        if request.token.is_none() {
            return Err(End::Closed);
        }
        self.conn.outbox.push(|out| {
            reply::frame(&mut out.bytes, |bytes| {
                let (xid, zxid, err) = (header.xid, 0, 0);
                jute::append(bytes, &ReplyHeader { xid, zxid, err });
                jute::append(bytes, &SaslToken { token: None });
            });
            out.packets += 1;
        });
        Ok(())
    }

    /// Notes the requests that the core is done with.
    fn settle(&mut self, done: usize) {
        if done == 0 {
            return;
        }
        let now_ms = self.shared.clock.mono_ms();
        let zxid = self.shared.read_tree().last_zxid();
        for _ in 0..done {
            let Some(request) = self.in_flight.pop_front() else {
                break;
            };
            let latency_ms = u64::try_from(now_ms - request.started_ms).unwrap_or(0);
            self.shared.stats.add_latency(latency_ms, 1);
            self.shared.large_bytes.fetch_sub(request.large, Relaxed);
            self.note(request, zxid, latency_ms);
        }
        let done = i64::try_from(done).unwrap_or(i64::MAX);
        self.conn.stats.outstanding.fetch_sub(done, Relaxed);
        self.shared.stats.in_process.fetch_sub(done, Relaxed);
    }

    /// Sends what the outbox has.
    pub(crate) async fn flush(&mut self) -> Result<(), End> {
        loop {
            self.outgoing.bytes.clear();
            if self.outgoing.bytes.capacity() > KEEP_BUFFER {
                self.outgoing.bytes = Vec::new();
            }
            (self.outgoing.packets, self.outgoing.done) = (0, 0);
            self.conn.outbox.take(&mut self.outgoing);
            let out = &self.outgoing;
            if out.abort {
                return Err(End::Closed);
            }
            let (done, packets, close) = (out.done, out.packets, out.close);
            self.conn.stats.sent.fetch_add(packets, Relaxed);
            self.shared.stats.sent.fetch_add(packets, Relaxed);
            if !out.bytes.is_empty() {
                self.shared.stats.add_response(out.bytes.len());
                tokio::select! {
                    biased;
                    sent = self.stream.write_all(&self.outgoing.bytes) => sent?,
                    () = self.conn.outbox.aborted() => return Err(End::Closed),
                }
            }
            self.settle(done);
            if close {
                let _already_gone = self.stream.shutdown().await;
                return Err(End::Closed);
            }
            if self.conn.outbox.queued() == 0 {
                return Ok(());
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // What the core still has will find no connection to answer.
        let left = i64::try_from(self.in_flight.len()).unwrap_or(i64::MAX);
        self.shared.stats.in_process.fetch_sub(left, Relaxed);
        let large = self.in_flight.iter().map(|request| request.large).sum();
        self.shared.large_bytes.fetch_sub(large, Relaxed);
        self.shared.watches.remove_conn(self.conn.id);
        self.shared.conns.close(&self.conn);
    }
}

/// Whether the core knows the operation. Source: `Request.isValid`.
const fn is_known(op: i32) -> bool {
    read::is_read(op)
        || matches!(
            op,
            op_code::CREATE
                | op_code::CREATE2
                | op_code::CREATE_CONTAINER
                | op_code::CREATE_TTL
                | op_code::DELETE
                | op_code::DELETE_CONTAINER
                | op_code::SET_DATA
                | op_code::SET_ACL
                | op_code::SYNC
                | op_code::MULTI
                | op_code::RECONFIG
                | op_code::CLOSE_SESSION
        )
}
