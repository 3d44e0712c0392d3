//! Owns requests that this server makes for people who have no client: each has a session of its own
//! for as long as it takes, and goes the way of any client's request, so that it is checked, logged
//! and passed on like one. Must not touch sockets or the tree.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use menagerie_core::acl::AuthId;
use menagerie_core::event::{Event, Request};
use menagerie_core::ids::{Cxid, SessionId};
use menagerie_core::sessions::SessionRules;
use menagerie_wire::client::ReplyHeader;
use menagerie_wire::frame::LENGTH_SIZE;
use menagerie_wire::jute::decode_prefix;
use menagerie_wire::op::{ErrorCode, op_code};

use super::outbox::Outgoing;
use super::registry::Conn;
use super::throttle::Asks;
use crate::shared::Shared;

/// How long a session, and then the answer, may take.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long the end of the session may take before nobody waits for it any more.
const FAREWELL: Duration = Duration::from_secs(2);
/// The session's time-out as it is asked for, ms.
const TIMEOUT_MS: i32 = 10_000;
/// Bytes of a request besides its body, generously.
const HEADROOM: usize = 1024;

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unanswered {
    /// There is no leader, or this server leads and serves nobody.
    #[error("this server serves no writes at the moment")]
    NotServing,
    /// The connection limits or the throttle are in the way.
    #[error("the server takes no more connections from your address at the moment")]
    TooMany,
    /// An enforced scheme is missing.
    #[error("this server wants clients to authenticate by another scheme")]
    SchemeMissing,
    /// Longer than `jute.maxbuffer` allows.
    #[error("the request is longer than jute.maxbuffer allows")]
    TooLong,
    /// Nobody knows whether it was done.
    #[error("no answer in time; whether the change was made is not known")]
    NoAnswer,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) zxid: i64,
    pub(crate) err: ErrorCode,
    pub(crate) body: Vec<u8>,
}

/// Makes one request with these identities, besides that of the address.
pub(crate) async fn request(
    shared: &Arc<Shared>,
    remote: SocketAddr,
    ids: Vec<AuthId>,
    op: i32,
    body: Vec<u8>,
) -> Result<Answered, Unanswered> {
    if body.len() + HEADROOM > shared.config.jute_max_buffer {
        return Err(Unanswered::TooLong);
    }
    let mut inside = Inside::open(shared, remote, ids)?;
    inside.establish().await?;
    let answered = inside.ask(op, Bytes::from(body)).await?;
    inside.end().await;
    Ok(answered)
}

/// A connection without a socket.
struct Inside {
    shared: Arc<Shared>,
    conn: Arc<Conn>,
    session: Option<SessionId>,
    /// Requests that the core has.
    waiting: i64,
    next: i32,
}

impl Inside {
    fn open(
        shared: &Arc<Shared>,
        remote: SocketAddr,
        ids: Vec<AuthId>,
    ) -> Result<Self, Unanswered> {
        if !shared.is_serving() || shared.is_reserved_leader() {
            return Err(Unanswered::NotServing);
        }
        let asks = match shared.config.session_rules() {
            SessionRules::Global => Asks::New,
            _ => Asks::NewLocal,
        };
        if !shared.live.throttle().admit(asks, shared.clock.mono_ms()) {
            return Err(Unanswered::TooMany);
        }
        let config = shared.live.load();
        let opened = shared
            .conns
            .open(remote, false, config.max_client_cnxns, config.max_cnxns);
        let conn = opened.map_err(|_| Unanswered::TooMany)?;
        conn.add_auth(ids);
        let now = shared.clock.now();
        conn.stats.established_ms.store(now.wall_ms, Relaxed);
        conn.stats.heard_ms.store(now.mono_ms, Relaxed);
        let inside = Self {
            shared: Arc::clone(shared),
            conn,
            session: None,
            waiting: 0,
            next: 0,
        };
        if !shared.is_authenticated(&inside.conn.auth()) {
            return Err(Unanswered::SchemeMissing);
        }
        Ok(inside)
    }

    /// Takes from the outbox until `enough` is satisfied.
    async fn take(
        &mut self,
        patience: Duration,
        enough: impl Fn(&Outgoing) -> bool,
    ) -> Result<Outgoing, Unanswered> {
        let waited = tokio::time::timeout(patience, async {
            let mut all = Outgoing::default();
            loop {
                self.conn.outbox.ready().await;
                let mut more = Outgoing::default();
                self.conn.outbox.take(&mut more);
                all.bytes.append(&mut more.bytes);
                all.done += more.done;
                all.established = more.established.or(all.established);
                all.close |= more.close;
                all.abort |= more.abort;
                if all.abort || enough(&all) {
                    return all;
                }
            }
        });
        let taken = waited.await.map_err(|_| Unanswered::NoAnswer)?;
        if taken.abort {
            return Err(Unanswered::NoAnswer);
        }
        Ok(taken)
    }

    async fn establish(&mut self) -> Result<(), Unanswered> {
        let config = self.shared.live.load();
        let timeout_ms =
            TIMEOUT_MS.clamp(config.min_session_timeout_ms, config.max_session_timeout_ms);
        self.shared.inbox.request(Event::OpenSession {
            conn: self.conn.id,
            timeout_ms,
        });
        let taken = self.take(PATIENCE, |out| out.established.is_some()).await;
        // Nothing was asked for yet: whatever went wrong, nothing has changed.
        let established = taken.ok().and_then(|out| out.established);
        match established {
            Some((session, timeout_ms)) if timeout_ms > 0 => {
                self.session = Some(session);
                Ok(())
            }
            _ => Err(Unanswered::NotServing),
        }
    }

    fn send(&mut self, op: i32, body: Bytes) {
        let Some(session) = self.session else { return };
        self.next += 1;
        self.waiting += 1;
        self.shared.stats.in_process.fetch_add(1, Relaxed);
        self.conn.stats.outstanding.fetch_add(1, Relaxed);
        self.conn.stats.received.fetch_add(1, Relaxed);
        let now = self.shared.clock.mono_ms();
        self.conn.stats.heard_ms.store(now, Relaxed);
        let auth = self.conn.auth();
        self.shared
            .note_asked(&self.conn, session, (op, &body), &auth);
        self.shared.inbox.request(Event::Request(Request {
            conn: Some(self.conn.id),
            session,
            cxid: Cxid(self.next),
            op,
            body,
            auth,
        }));
    }

    fn settle(&mut self, done: usize) {
        let done = i64::try_from(done).unwrap_or(i64::MAX).min(self.waiting);
        self.waiting -= done;
        self.shared.stats.in_process.fetch_sub(done, Relaxed);
        self.conn.stats.outstanding.fetch_sub(done, Relaxed);
    }

    async fn ask(&mut self, op: i32, body: Bytes) -> Result<Answered, Unanswered> {
        let started = self.shared.clock.mono_ms();
        self.send(op, body);
        let taken = self
            .take(PATIENCE, |out| out.done > 0 && !out.bytes.is_empty())
            .await?;
        self.settle(taken.done);
        let took = u64::try_from(self.shared.clock.mono_ms() - started).unwrap_or(0);
        self.shared.stats.add_latency(took, false);
        let frame = taken.bytes.get(LENGTH_SIZE..).unwrap_or_default();
        let (header, body) =
            decode_prefix::<ReplyHeader>(frame).map_err(|_| Unanswered::NoAnswer)?;
        Ok(Answered {
            zxid: header.zxid,
            err: ErrorCode(header.err),
            body: body.to_vec(),
        })
    }

    /// Closes the session, and waits a little so that whoever looks next does not find it.
    async fn end(mut self) {
        self.send(op_code::CLOSE_SESSION, Bytes::new());
        self.session = None;
        if let Ok(taken) = self.take(FAREWELL, |out| out.close).await {
            self.settle(taken.done);
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // Given up half-way: the session must not outlive its purpose.
        if self.session.is_some() {
            self.send(op_code::CLOSE_SESSION, Bytes::new());
        }
        self.settle(usize::MAX);
        self.shared.conns.close(&self.conn);
    }
}
