//! Owns a connection's task: it reads frames, serves reads itself, hands everything else to the
//! core, and flushes the outbox. Must not wait for anything but its socket and its outbox.
//!
//! A session's requests are served in their order: while the core has one of them, later ones go
//! to the core as well, reads included.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use menagerie_core::acl::AuthId;
use menagerie_core::event::{Event, Request};
use menagerie_core::ids::{Cxid, SessionId};
use menagerie_core::processor::read::{self, Reader};
use menagerie_core::processor::reply;
use menagerie_core::tree::Tree;
use menagerie_tls::Stream;
use menagerie_wire::client::RequestHeader;
use menagerie_wire::frame::{self, FrameError, LENGTH_SIZE};
use menagerie_wire::jute::{self, decode_prefix};
use menagerie_wire::op::{ErrorCode, op_code};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::late::Late;
use super::limits::Limits;
use super::noting::Noting;
use super::outbox::Outgoing;
use super::registry::Conn;
use crate::metrics::Notes;
use crate::sasl::{ClientExchange, Pending};
use crate::shared::Shared;
use crate::traces::{self, Asked, Started};

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
    /// TLS where there is none.
    #[error("it speaks TLS, and this port does not: see secureClientPort, client.portUnification")]
    Tls,
    /// The server closes it.
    #[error("closed by the server")]
    Closed,
}

/// A request that the core has.
#[derive(Debug)]
pub(super) struct InFlight {
    op: i32,
    cxid: i32,
    started_ms: i64,
    /// Bytes of the request if it is a large one, else 0.
    large: usize,
    /// What it asks for, if that is to be told when it takes long.
    body: Option<Bytes>,
    traced: Started,
}

/// The task's state.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) conn: Arc<Conn>,
    pub(crate) stream: Stream,
    pub(crate) input: BytesMut,
    pub(crate) outgoing: Outgoing,
    pub(super) in_flight: VecDeque<InFlight>,
    replies: Vec<u8>,
    /// What was read, on its way to where that is told.
    read: RefCell<Notes>,
    events: Vec<Event>,
    session: SessionId,
    pub(super) auth: Arc<[AuthId]>,
    pub(super) sasl: ClientExchange,
    pub(super) limits: Limits,
    /// When the requests at hand were taken.
    traced: Started,
    /// A step of SASL that happens elsewhere, and the request's xid. Behind it nothing is read: who
    /// the client is, is not known yet.
    pub(super) sasl_pending: Option<(Pending, i32)>,
    /// No more requests are read: the session is closing or the connection refused.
    pub(super) deaf: bool,
    /// Frames at hand were left alone because the server had enough to do; no byte from the client
    /// will tell when that is over.
    held: bool,
    /// Since when requests wait in front of the pipeline.
    pub(super) stalled_since: Option<i64>,
    /// Whether the frames at hand have waited too long.
    pub(super) refusing: bool,
    /// Whether the next request is one to refuse, which replies of the core must come before.
    pub(super) behind: bool,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, conn: Arc<Conn>, stream: Stream) -> Self {
        let auth = conn.auth();
        let limits = Limits::new(Arc::clone(&conn.spent));
        Self {
            shared,
            conn,
            stream,
            input: BytesMut::with_capacity(READ_BUFFER),
            outgoing: Outgoing::default(),
            in_flight: VecDeque::new(),
            replies: Vec::new(),
            read: RefCell::default(),
            events: Vec::new(),
            session: SessionId(0),
            auth,
            sasl: ClientExchange::default(),
            limits,
            traced: Started::unknown(),
            sasl_pending: None,
            deaf: false,
            held: false,
            stalled_since: None,
            refusing: false,
            behind: false,
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
        if let Some((pending, xid)) = &mut self.sasl_pending {
            let xid = *xid;
            let stepped = tokio::select! {
                biased;
                () = self.conn.outbox.ready() => return Ok(()),
                stepped = pending => stepped,
            };
            self.sasl_pending = None;
            let (config, auth) = (&self.shared.config, &self.shared.auth);
            let outcome = self.sasl.resume(config, auth, stepped);
            return self.answer_sasl(xid, outcome);
        }
        if self.deaf || self.must_wait() {
            self.conn.outbox.ready().await;
            return Ok(());
        }
        if self.is_stalled() {
            let stall = Duration::from_millis(self.shared.stall_ms());
            let _stall_is_over = tokio::time::timeout(stall, self.conn.outbox.ready()).await;
            return Ok(());
        }
        let now_ms = self.shared.clock.mono_ms();
        self.look_at_limits(now_ms);
        if let Some(pause) = self.limits.pause() {
            self.shared.stats.limited.fetch_add(1, Relaxed);
            // What it sends to say that it is alive is not read either.
            self.conn.stats.heard_ms.store(now_ms, Relaxed);
            let _pause_is_over = tokio::time::timeout(pause, self.conn.outbox.ready()).await;
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
                bytes => {
                    self.shared.stats.metrics.bytes_received_count.add(bytes);
                    self.conn.stats.bytes_in.fetch_add(bytes as u64, Relaxed);
                    self.conn.stats.heard_ms.store(self.shared.clock.mono_ms(), Relaxed);
                    Ok(())
                }
            },
        }
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
        self.look_at_limits(started_ms);
        self.traced = Started::now();
        self.behind = false;
        while !self.is_busy() && self.limits.pause().is_none() {
            match self.next_frame() {
                Ok(None) => break,
                Err(end) => {
                    result = Err(end);
                    break;
                }
                Ok(Some(len)) if !self.in_flight.is_empty() && self.is_refused(len) => {
                    self.behind = true;
                }
                Ok(Some(len)) => {
                    if let Err(end) = self.frame_group(&shared, len, started_ms) {
                        result = Err(end);
                        break;
                    }
                }
            }
        }
        self.held = result.is_ok() && (self.must_wait() || self.limits.pause().is_some());
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
        self.limits.take(header.op, LENGTH_SIZE + len);
        self.input.advance(len - body_len);
        Ok((header, body_len))
    }

    /// Serves the frame at the front, and as many reads behind it as one guard allows.
    fn frame_group(&mut self, shared: &Shared, len: usize, started_ms: i64) -> Result<(), End> {
        let (header, body_len) = self.take_header(len)?;
        if self.turned_away(header, body_len) {
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
            && self.limits.pause().is_none()
            && let Some(len) = self.next_frame()?
        {
            let (header, body_len) = self.take_header(len)?;
            if !self.is_local_read(header.op) || self.is_watch_too_many(header.op, body_len) {
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
        self.read.get_mut().flush();
        let served = served as u64;
        self.shared.stats.instant_reads.fetch_add(served, Relaxed);
        match other {
            Some((header, body_len)) if self.turned_away(header, body_len) => {
                self.input.advance(body_len);
                Ok(())
            }
            Some((header, body_len)) => {
                let body = self.input.split_to(body_len).freeze();
                self.hand_over(header, body, started_ms)
            }
            None => Ok(()),
        }
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
        self.shared.note_path(op, body);
        read::serve(
            tree,
            &Noting::new(&self.shared, &self.read),
            &reader,
            xid,
            op,
            body,
            &mut self.replies,
        );
        if traces::is_on() && op != op_code::PING {
            self.trace(self.traced, op, xid, body);
        }
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
                body: None,
                traced: Started::unknown(),
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
                self.shared
                    .note_asked(&self.conn, session, (op, &body), &auth);
                self.shared.note_path(op, &body);
                let large = if self.shared.is_large(body.len()) {
                    body.len()
                } else {
                    0
                };
                self.shared.large_bytes.fetch_add(large, Relaxed);
                let told = self.shared.live.load().slow_request_ms > 0 || traces::is_on();
                let kept = told.then(|| body.clone());
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
                    body: kept,
                    traced: self.traced,
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
    pub(super) fn refuse(&mut self, xid: i32, zxid: i64, err: ErrorCode) {
        self.deaf = true;
        self.conn.outbox.push(|out| {
            reply::header_only(&mut out.bytes, xid, zxid, err);
            out.packets += 1;
            out.close = true;
        });
    }

    /// Notes the requests that the core is done with.
    fn settle(&mut self, done: usize) {
        if done == 0 {
            return;
        }
        let now_ms = self.shared.clock.mono_ms();
        let zxid = self.shared.read_tree().last_zxid();
        let slow_ms = u64::from(self.shared.live.load().slow_request_ms);
        for _ in 0..done {
            let Some(request) = self.in_flight.pop_front() else {
                break;
            };
            let latency_ms = u64::try_from(now_ms - request.started_ms).unwrap_or(0);
            let is_read = read::is_read(request.op);
            self.shared.stats.add_latency(latency_ms, is_read);
            self.shared.large_bytes.fetch_sub(request.large, Relaxed);
            if traces::is_on() {
                let body = request.body.as_deref().unwrap_or_default();
                self.trace(request.traced, request.op, request.cxid, body);
            }
            if slow_ms > 0 && latency_ms >= slow_ms {
                self.tell_late(&request, latency_ms, now_ms);
            }
            self.note(request, zxid, latency_ms);
        }
        let done = i64::try_from(done).unwrap_or(i64::MAX);
        self.conn.stats.outstanding.fetch_sub(done, Relaxed);
        self.shared.stats.in_process.fetch_sub(done, Relaxed);
    }

    fn trace(&self, started: Started, op: i32, cxid: i32, body: &[u8]) {
        let asked = Asked {
            op,
            body,
            cxid,
            session: self.session,
            remote: self.conn.remote,
        };
        traces::request(started, &asked);
    }

    fn tell_late(&self, request: &InFlight, took_ms: u64, now_ms: i64) {
        let late = Late {
            op: request.op,
            body: request.body.as_deref().unwrap_or_default(),
            cxid: request.cxid,
            session: self.session,
            took_ms,
            now_ms,
        };
        self.shared.stats.late.note(late, &self.conn.remote);
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
                let bytes = out.bytes.len() as u64;
                self.conn.stats.bytes_out.fetch_add(bytes, Relaxed);
                tokio::select! {
                    biased;
                    sent = send(&mut self.stream, &self.outgoing.bytes) => sent?,
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

/// Sends all of `bytes`; TLS keeps what it has no room for until it is flushed.
pub(crate) async fn send(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
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
