//! Owns the composition: requests become transactions, transactions that are committed are applied,
//! sessions expire, containers are reaped, snapshots are asked for. May use everything in this
//! crate. Must not do what it asks for: see [`Effects`].
//!
//! A server on its own is its own quorum: a transaction is committed when it is durable here. In an
//! ensemble the `member` above says what is committed.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use menagerie_wire::client::PathRequest;
use menagerie_wire::jute::{self, decode_all};
use menagerie_wire::op::{ErrorCode, op_code};
use menagerie_wire::txn::{DIGEST_VERSION, TxnDigest, TxnHeader};

use crate::effect::{Body, Deliver, Effect, Effects, Reply, SubResult};
use crate::event::{Event, Now, Request};
use crate::ids::{ConnId, Cxid, SessionId, Sid, Zxid};
use crate::processor::apply::{Firing, Outcome, Watches, apply};
use crate::processor::eager;
use crate::processor::prep::{Prep, PrepConfig, Prepared};
use crate::processor::read::{self, Reader, WatchRegistry};
use crate::quorum::Membership;
use crate::reaper::{Reaper, ReaperConfig};
use crate::session::SessionTracker;
use crate::sessions::{SessionRules, Sessions, Standing};
use crate::snap_policy::{SnapPolicy, SnapPolicyConfig};
use crate::tree::Tree;
use crate::txn::{LoggedTxn, Txn};
use follow::{Claimed, Waiting};
use local::Closing;

mod follow;
mod local;

/// What a replica has to know beforehand.
#[derive(Debug, Clone)]
pub struct ReplicaConfig {
    /// What requests may do.
    pub prep: PrepConfig,
    /// Distance of expiry buckets, ms.
    pub tick_ms: i64,
    /// 1 standalone.
    pub server_id: i64,
    /// Whether what is durable here is committed.
    pub alone: bool,
    /// How sessions begin; a server alone makes nothing of it.
    pub sessions: SessionRules,
    /// When containers and expired nodes go.
    pub reaper: ReaperConfig,
    /// When snapshots are taken.
    pub snapshots: SnapPolicyConfig,
    /// Seed of the replica's own randomness.
    pub seed: u64,
}

/// What waits for its turn to be applied, in the order in which it was prepared.
#[derive(Debug)]
enum Pending {
    Txn {
        logged: LoggedTxn,
        origin: Option<(ConnId, Cxid)>,
        op: i32,
    },
    Refused {
        origin: Option<(ConnId, Cxid)>,
        err: ErrorCode,
        /// 0 where there was no question of a transaction, else the tree's then.
        zxid: Option<Zxid>,
    },
    Sync {
        conn: ConnId,
        cxid: Cxid,
        body: bytes::Bytes,
    },
    Read {
        conn: ConnId,
        request: Request,
    },
    /// The end of a session that only this server knows.
    CloseLocal {
        session: SessionId,
        origin: Option<(ConnId, Cxid)>,
    },
    /// A leader's epoch begins.
    Epoch(Zxid),
    /// A configuration came into force without a transaction.
    Config(Membership),
}

/// What a learner answers by itself.
#[derive(Debug)]
enum Ready {
    Read(ConnId, Request),
    Refused(ConnId, Cxid, ErrorCode),
}

impl Ready {
    const fn conn(&self) -> ConnId {
        match self {
            Self::Read(conn, _) | Self::Refused(conn, ..) => *conn,
        }
    }
}

/// Where a transaction comes from.
struct Source {
    session: SessionId,
    cxid: Cxid,
    /// Who gets the reply, when it is one of this server's clients.
    origin: Option<(ConnId, Cxid)>,
    op: i32,
}

/// The replica.
#[derive(Debug)]
pub struct Replica {
    prep: Prep,
    sessions: Sessions,
    pending: VecDeque<Pending>,
    me: Sid,
    last_prepared: Zxid,
    committed: Zxid,
    alone: bool,
    /// The time at the last step.
    now_ms: i64,
    wall_ms: i64,
    /// Requests of a follower's clients, by session, in their order.
    waiting: HashMap<SessionId, VecDeque<Waiting>, FixedState>,
    /// Sessions with a sync request at the leader, in the order of the requests.
    syncing: VecDeque<SessionId>,
    /// Sync requests that the leader has answered, and what must be applied first.
    synced: VecDeque<(Zxid, SessionId)>,
    /// What need not wait for any transaction.
    ready: VecDeque<Ready>,
    /// Local sessions that nothing keeps from being closed.
    closing: VecDeque<Closing>,
    reaper: Reaper,
    snapshots: SnapPolicy,
}

impl Replica {
    /// A replica that goes on from `tree`, with the sessions that were open.
    #[must_use]
    pub fn new(
        config: ReplicaConfig,
        tree: &Tree,
        sessions: impl IntoIterator<Item = (SessionId, i32)>,
        now: Now,
    ) -> Self {
        let mut tracker = SessionTracker::new(config.tick_ms, config.server_id, now.wall_ms);
        for (id, timeout_ms) in sessions {
            tracker.track(id, timeout_ms, now.mono_ms);
            tracker.reserve_above(id);
        }
        let last = Zxid(tree.last_zxid());
        let (me, alone, tick_ms) = (Sid(config.server_id), config.alone, config.tick_ms);
        Self {
            prep: Prep::new(config.prep),
            sessions: Sessions::new(tracker, config.sessions, tick_ms, me, alone),
            pending: VecDeque::new(),
            me,
            last_prepared: last,
            committed: last,
            alone,
            now_ms: now.mono_ms,
            wall_ms: now.wall_ms,
            waiting: HashMap::with_hasher(FixedState::default()),
            syncing: VecDeque::new(),
            synced: VecDeque::new(),
            ready: VecDeque::new(),
            closing: VecDeque::new(),
            reaper: Reaper::new(config.reaper, now.mono_ms),
            snapshots: SnapPolicy::new(config.snapshots, config.seed),
        }
    }

    /// Feeds one event; appends what the world must do to `effects`, in order. Never blocks, never
    /// fails. Reads the tree, never changes it.
    pub fn step(&mut self, event: Event, now: Now, tree: &Tree, effects: &mut Effects) {
        self.set_now(now);
        match event {
            Event::Tick => self.tick(now, tree, effects),
            Event::Request(request) => self.request(request, self.me, now, tree, effects),
            Event::OpenSession { conn, timeout_ms } => {
                if self.open_local(conn, timeout_ms, effects) {
                    return;
                }
                let sessions = self.sessions.global_mut();
                let id = sessions.next_id();
                sessions.track(id, timeout_ms, now.mono_ms);
                let txn = Txn::CreateSession { timeout_ms };
                let zxid = self.next_zxid();
                let source = Source {
                    session: id,
                    cxid: Cxid(0),
                    origin: Some((conn, Cxid(0))),
                    op: op_code::CREATE_SESSION,
                };
                self.propose(source, zxid, txn, now, tree, effects);
            }
            Event::ResumeSession {
                conn,
                session,
                timeout_ms,
            } => {
                if self.resume_local(conn, session, timeout_ms, effects) {
                    return;
                }
                let sessions = self.sessions.global_mut();
                let open = sessions.timeout_ms(session).is_some();
                if open {
                    sessions.track(session, timeout_ms, now.mono_ms);
                    sessions.set_owner(session, self.me);
                }
                let timeout_ms = open.then_some(timeout_ms);
                effects.actions.push(Effect::SessionResumed {
                    conn,
                    session,
                    timeout_ms,
                });
            }
            Event::Touch { session, at_ms } => {
                self.sessions.touch(session, at_ms);
            }
            Event::LogDurable { zxid } if self.alone => {
                self.commit(zxid);
            }
            Event::SnapshotDone => self.snapshots.done(),
            // The rest is about the ensemble.
            _ => {}
        }
    }

    /// Notes a sign of life of a session: [`Event::Touch`] without the ceremony.
    pub fn touch(&mut self, session: SessionId, at_ms: i64) {
        self.sessions.touch(session, at_ms);
    }

    fn tick(&mut self, now: Now, tree: &Tree, effects: &mut Effects) {
        for session in self.sessions.take_expired_local(now.mono_ms) {
            self.close_local_behind_pending(session, None);
        }
        for session in self.sessions.global_mut().take_expired(now.mono_ms) {
            self.request(
                server_request(session, op_code::CLOSE_SESSION, Vec::new()),
                self.me,
                now,
                tree,
                effects,
            );
        }
        for path in self.reaper.due(tree, now) {
            let body = jute::to_vec(&PathRequest {
                path: Some(path.into()),
            });
            let request = server_request(SessionId(0), op_code::DELETE_CONTAINER, body);
            self.request(request, self.me, now, tree, effects);
        }
    }

    /// A request that another member has passed on.
    pub fn forwarded(
        &mut self,
        request: Request,
        from: Sid,
        now: Now,
        tree: &Tree,
        effects: &mut Effects,
    ) {
        self.request(request, from, now, tree, effects);
    }

    fn request(
        &mut self,
        request: Request,
        owner: Sid,
        now: Now,
        tree: &Tree,
        effects: &mut Effects,
    ) {
        let origin = request.conn.map(|conn| (conn, request.cxid));
        if let Some(conn) = request.conn
            && self.sessions.timeout_ms(request.session).is_none()
        {
            effects.actions.push(Effect::Dropped { conn });
            return;
        }
        if request.op == op_code::CREATE_SESSION {
            self.open_for_learner(&request, now, tree, effects);
            return;
        }
        if request.op == op_code::SYNC {
            if let Some((conn, cxid)) = origin {
                self.pending.push_back(Pending::Sync {
                    conn,
                    cxid,
                    body: request.body,
                });
            }
            return;
        }
        if let Some(conn) = request.conn
            && read::is_read(request.op)
        {
            self.pending.push_back(Pending::Read { conn, request });
            return;
        }
        if request.conn.is_some() {
            if request.op == op_code::CLOSE_SESSION && self.sessions.is_local(request.session) {
                self.close_local_behind_pending(request.session, origin);
                return;
            }
            if let Some(err) = self.eager_refusal(&request, tree) {
                let zxid = Some(Zxid(0));
                self.pending
                    .push_back(Pending::Refused { origin, err, zxid });
                return;
            }
            if let Standing::Upgrade(timeout_ms) = self.sessions.standing(&request) {
                self.upgrade(request.session, timeout_ms, now, tree, effects);
            }
        }
        let zxid = Zxid(self.last_prepared.0.wrapping_add(1));
        let moved = match request.op {
            op_code::CLOSE_SESSION | op_code::DELETE_CONTAINER => Ok(()),
            _ => self.sessions.global_mut().claim(request.session, owner),
        };
        let prepared = match moved {
            Ok(()) => self.prep.prepare(&request, zxid, now, tree, &self.sessions),
            Err(code) => Prepared::Txn(Txn::Error(code)),
        };
        let txn = match prepared {
            Prepared::Refused(err) if origin.is_some() || self.alone => {
                self.pending.push_back(Pending::Refused {
                    origin,
                    err,
                    zxid: None,
                });
                return;
            }
            // Only a transaction reaches another member's client.
            Prepared::Refused(err) => Txn::Error(err),
            Prepared::Txn(txn) => txn,
        };
        self.last_prepared = zxid;
        if request.op == op_code::CLOSE_SESSION {
            self.sessions.global_mut().set_closing(request.session);
        }
        let source = Source {
            session: request.session,
            cxid: request.cxid,
            origin,
            op: request.op,
        };
        self.propose(source, zxid, txn, now, tree, effects);
    }

    /// A client of another member gets its session; that member has chosen the id.
    fn open_for_learner(
        &mut self,
        request: &Request,
        now: Now,
        tree: &Tree,
        effects: &mut Effects,
    ) {
        let Some(timeout_ms) = request.body.first_chunk().copied().map(i32::from_be_bytes) else {
            return;
        };
        let sessions = self.sessions.global_mut();
        sessions.track(request.session, timeout_ms, now.mono_ms);
        let zxid = self.next_zxid();
        let source = Source {
            session: request.session,
            cxid: request.cxid,
            origin: None,
            op: request.op,
        };
        self.propose(
            source,
            zxid,
            Txn::CreateSession { timeout_ms },
            now,
            tree,
            effects,
        );
    }

    const fn next_zxid(&mut self) -> Zxid {
        self.last_prepared = Zxid(self.last_prepared.0.wrapping_add(1));
        self.last_prepared
    }

    fn propose(
        &mut self,
        source: Source,
        zxid: Zxid,
        txn: Txn,
        now: Now,
        tree: &Tree,
        effects: &mut Effects,
    ) {
        let Source {
            session,
            cxid,
            origin,
            op,
        } = source;
        let header = TxnHeader {
            client_id: session.0,
            cxid: cxid.0,
            zxid: zxid.0,
            time: now.wall_ms,
            op: txn.op(),
        };
        // ZooKeeper records none with a single error.
        let digest = (tree.digest_enabled() && !matches!(txn, Txn::Error(_))).then(|| TxnDigest {
            version: DIGEST_VERSION,
            tree_digest: self.prep.digest(tree) as i64,
        });
        let logged = LoggedTxn {
            header,
            txn,
            digest,
        };
        let start = effects.log.bytes.len();
        logged.encode(&mut effects.log.bytes);
        let end = effects.log.bytes.len();
        effects.log.ends.push((zxid, end));
        self.pending.push_back(Pending::Txn { logged, origin, op });
        if self.snapshots.logged(end - start) {
            effects.actions.push(Effect::SaveSnapshot);
        }
    }

    /// The world takes a snapshot without having been asked to.
    pub const fn snapshot_started(&mut self) {
        self.snapshots.started();
    }

    /// Whether something can be applied.
    #[must_use]
    pub fn has_committed(&self) -> bool {
        !self.ready.is_empty()
            || !self.closing.is_empty()
            || self.is_sync_due()
            || self.has_committed_txn()
    }

    fn has_committed_txn(&self) -> bool {
        match self.pending.front() {
            None => false,
            Some(Pending::Txn { logged, .. }) => logged.header.zxid <= self.committed.0,
            Some(Pending::Epoch(zxid)) => *zxid <= self.committed,
            Some(_) => true,
        }
    }

    /// What the leader had when it answered is applied.
    fn is_sync_due(&self) -> bool {
        let next = self.pending.front().and_then(|pending| match pending {
            Pending::Txn { logged, .. } => Some(Zxid(logged.header.zxid)),
            _ => None,
        });
        let applied = |upto: Zxid| next.is_none_or(|next| next > upto);
        self.synced.front().is_some_and(|(upto, _)| applied(*upto))
    }

    /// Applies at most `limit` of what is committed. Events and replies go to `out` one by one,
    /// in order, while the caller still holds `tree` exclusively. Returns how many were applied.
    pub fn apply_committed(
        &mut self,
        tree: &mut Tree,
        watches: &(impl Watches + WatchRegistry),
        out: &mut impl Deliver,
        limit: usize,
    ) -> usize {
        let mut done = 0;
        while done < limit && self.has_committed() {
            done += 1;
            match self.ready.pop_front() {
                Some(Ready::Read(conn, request)) => {
                    self.read(tree, watches, out, conn, &request);
                    continue;
                }
                Some(Ready::Refused(conn, cxid, err)) => {
                    deliver_refusal(out, conn, cxid, Zxid(0), err);
                    continue;
                }
                None => {}
            }
            if let Some(closing) = self.closing.pop_front() {
                self.finish_close(tree, out, closing);
                continue;
            }
            if self.is_sync_due() {
                if let Some((_, session)) = self.synced.pop_front() {
                    self.finish_sync(tree, watches, out, session);
                }
                continue;
            }
            let Some(pending) = self.pending.pop_front() else {
                break;
            };
            match pending {
                Pending::Txn { logged, origin, op } => {
                    self.apply_txn(tree, watches, out, &logged, origin, op);
                }
                Pending::Refused { origin, err, zxid } => {
                    if let Some((conn, cxid)) = origin {
                        let zxid = zxid.unwrap_or(Zxid(tree.last_zxid()));
                        deliver_refusal(out, conn, cxid, zxid, err);
                    }
                }
                Pending::Sync { conn, cxid, body } => deliver_sync(tree, out, conn, cxid, &body),
                Pending::Read { conn, request } => self.read(tree, watches, out, conn, &request),
                Pending::CloseLocal { session, origin } => {
                    self.finish_close(tree, out, (session, origin));
                }
                Pending::Epoch(zxid) => {
                    tree.advance(zxid.0);
                }
                Pending::Config(config) => self.apply_config(tree, watches, out, &config),
            }
        }
        done
    }

    /// Why a client's write does not even go its way, with `enableEagerACLCheck`.
    fn eager_refusal(&self, request: &Request, tree: &Tree) -> Option<ErrorCode> {
        let config = self.prep.config();
        if !config.eager_acl_check || self.alone {
            return None;
        }
        eager::refusal(&config.auth, request, tree)
    }

    /// A read behind writes of its session.
    fn read(
        &self,
        tree: &Tree,
        watches: &impl WatchRegistry,
        out: &mut impl Deliver,
        conn: ConnId,
        request: &Request,
    ) {
        let config = &self.prep.config().auth;
        let reader = Reader {
            conn,
            session: request.session,
            auth: &request.auth,
            config,
        };
        out.read(conn, request.cxid, &mut |bytes| {
            read::serve(
                tree,
                watches,
                &reader,
                request.cxid.0,
                request.op,
                &request.body,
                bytes,
            );
        });
    }

    fn apply_txn(
        &mut self,
        tree: &mut Tree,
        watches: &(impl Watches + WatchRegistry),
        out: &mut impl Deliver,
        logged: &LoggedTxn,
        origin: Option<(ConnId, Cxid)>,
        op: i32,
    ) {
        let session = SessionId(logged.header.client_id);
        let claimed = if origin.is_some() {
            None
        } else {
            self.claim(session, logged)
        };
        let (origin, op) = match &claimed {
            Some(Claimed { conn, cxid, op, .. }) => (Some((*conn, *cxid)), *op),
            None => (origin, op),
        };
        let zxid = Zxid(logged.header.zxid);
        let mut firing = Firing::new(watches, out);
        let mut outcome = apply(tree, &logged.header, &logged.txn, &mut firing);
        if let (Outcome::Failed(code), Some(refusal)) =
            (&mut outcome, claimed.as_ref().and_then(|c| c.refusal))
        {
            // The leader does not know why.
            *code = refusal;
        }
        if let Some((expected, actual)) = tree.advance(zxid.0) {
            out.digest_mismatch(zxid, expected, actual);
        }
        if let Some(digest) = &logged.digest {
            tree.digest_recorded(digest.tree_digest as u64);
        }
        if let Some(digest) = &logged.digest
            && tree.digest_is_exact()
            && digest.tree_digest as u64 != tree.digest()
        {
            out.digest_mismatch(zxid, digest.tree_digest as u64, tree.digest());
        }
        self.prep.applied(zxid);
        match (&logged.txn, origin) {
            (Txn::CreateSession { timeout_ms }, origin) => {
                self.sessions.committed(session, *timeout_ms, self.now_ms);
                if let Some((conn, _)) = origin {
                    out.session_created(conn, session, *timeout_ms);
                }
            }
            (Txn::CloseSession { .. }, _) => {
                self.sessions.remove(session);
                out.session_closed(session, origin, zxid);
            }
            (_, Some((conn, cxid))) if op == op_code::CLOSE_SESSION => {
                out.session_closed(session, Some((conn, cxid)), zxid);
            }
            (_, Some((conn, _))) if outcome == Outcome::Failed(ErrorCode::SessionMoved) => {
                out.session_moved(conn);
            }
            (_, Some((conn, cxid))) => deliver_reply(out, conn, cxid, zxid, logged, &outcome),
            (_, None) => {}
        }
        if claimed.is_some() {
            self.serve_waiting(tree, watches, out, session);
        }
    }

    /// When the next [`Event::Tick`] is due, on the monotonic clock. Ask again after every step.
    #[must_use]
    pub fn next_tick(&self) -> i64 {
        let expiry = self.sessions.global().next_expiry().unwrap_or(i64::MAX);
        let local = self.sessions.next_local_expiry();
        expiry.min(local).min(self.reaper.next_check())
    }

    /// The last zxid that was given or received.
    #[must_use]
    pub const fn last_prepared(&self) -> Zxid {
        self.last_prepared
    }

    /// Tells the time, for sessions that are found in transactions.
    pub const fn set_now(&mut self, now: Now) {
        (self.now_ms, self.wall_ms) = (now.mono_ms, now.wall_ms);
    }

    /// The sessions that the ensemble knows, or all of a server alone.
    #[must_use]
    pub const fn sessions(&self) -> &SessionTracker {
        self.sessions.global()
    }

    /// All sessions of this server.
    #[must_use]
    pub const fn all_sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Requests prepared and not applied.
    #[must_use]
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// Nodes that requests prepared and not applied will change.
    #[must_use]
    pub fn outstanding_changes(&self) -> usize {
        self.prep.outstanding_len()
    }

    /// Takes the paths with the quotas that requests would have exceeded since this was last asked.
    pub fn take_exceeded_quotas(&mut self) -> impl Iterator<Item = Box<str>> + '_ {
        self.prep.take_exceeded()
    }

    /// What requests may do.
    #[must_use]
    pub fn prep_config(&self) -> &PrepConfig {
        self.prep.config()
    }
}

fn server_request(session: SessionId, op: i32, body: Vec<u8>) -> Request {
    Request {
        conn: None,
        session,
        cxid: Cxid(0),
        op,
        body: body.into(),
        auth: std::sync::Arc::from([]),
    }
}

fn deliver_refusal(out: &mut impl Deliver, conn: ConnId, cxid: Cxid, zxid: Zxid, err: ErrorCode) {
    out.reply(&Reply {
        conn,
        cxid,
        zxid,
        err,
        body: Body::Empty,
    });
}

fn deliver_sync(tree: &Tree, out: &mut impl Deliver, conn: ConnId, cxid: Cxid, body: &[u8]) {
    let zxid = Zxid(tree.last_zxid());
    match decode_all::<PathRequest<'_>>(body) {
        Ok(request) => {
            let body = Body::Path(request.path.as_deref());
            out.reply(&Reply {
                conn,
                cxid,
                zxid,
                err: ErrorCode::Ok,
                body,
            });
        }
        Err(_) => deliver_refusal(out, conn, cxid, zxid, ErrorCode::MarshallingError),
    }
}

fn deliver_reply(
    out: &mut impl Deliver,
    conn: ConnId,
    cxid: Cxid,
    zxid: Zxid,
    logged: &LoggedTxn,
    outcome: &Outcome,
) {
    let results: Vec<SubResult<'_>>;
    let (err, body) = match (outcome, &logged.txn) {
        (Outcome::Failed(code), _) => (*code, Body::Empty),
        (Outcome::Created(None), Txn::Create { path, .. }) => {
            (ErrorCode::Ok, Body::Path(Some(path)))
        }
        (Outcome::Created(Some(stat)), Txn::Create { path, .. }) => {
            (ErrorCode::Ok, Body::PathStat(path, *stat))
        }
        (
            Outcome::Changed(stat),
            Txn::SetData {
                op: op_code::RECONFIG,
                data,
                ..
            },
        ) => (
            ErrorCode::Ok,
            Body::DataStat(data.as_deref().unwrap_or_default(), *stat),
        ),
        (Outcome::Changed(stat), _) => (ErrorCode::Ok, Body::Stat(*stat)),
        (Outcome::Multi(outcomes), Txn::Multi(parts)) => {
            results = outcomes.iter().zip(parts).map(sub_result).collect();
            (ErrorCode::Ok, Body::Multi(&results))
        }
        _ => (ErrorCode::Ok, Body::Empty),
    };
    out.reply(&Reply {
        conn,
        cxid,
        zxid,
        err,
        body,
    });
}

fn sub_result<'a>((outcome, txn): (&'a Outcome, &'a Txn)) -> SubResult<'a> {
    match (outcome, txn) {
        (Outcome::Failed(code), _) => SubResult::Error(*code),
        (Outcome::Created(None), Txn::Create { path, .. }) => SubResult::Create(path),
        (Outcome::Created(Some(stat)), Txn::Create { path, .. }) => SubResult::Create2(path, *stat),
        (Outcome::Changed(stat), _) => SubResult::SetData(*stat),
        (_, Txn::Check { .. }) => SubResult::Check,
        _ => SubResult::Delete,
    }
}
