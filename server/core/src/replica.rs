//! Owns the composition: requests become transactions, transactions that are durable are applied,
//! sessions expire, containers are reaped, snapshots are asked for. May use everything in this
//! crate. Must not do what it asks for: see [`Effects`].
//!
//! A server on its own is its own quorum: a transaction is committed when it is durable here.

use std::collections::VecDeque;

use menagerie_wire::client::PathRequest;
use menagerie_wire::jute::{self, decode_all};
use menagerie_wire::op::{ErrorCode, op_code};
use menagerie_wire::txn::{DIGEST_VERSION, TxnDigest, TxnHeader};

use crate::effect::{Body, Deliver, Effect, Effects, Reply, SubResult};
use crate::event::{Event, Now, Request};
use crate::ids::{ConnId, Cxid, SessionId, Zxid};
use crate::processor::apply::{Firing, Outcome, Watches, apply};
use crate::processor::prep::{Prep, PrepConfig, Prepared};
use crate::processor::read::{self, Reader, WatchRegistry};
use crate::reaper::{Reaper, ReaperConfig};
use crate::session::SessionTracker;
use crate::snap_policy::{SnapPolicy, SnapPolicyConfig};
use crate::tree::Tree;
use crate::txn::{LoggedTxn, Txn};

/// What a replica has to know beforehand.
#[derive(Debug, Clone)]
pub struct ReplicaConfig {
    /// What requests may do.
    pub prep: PrepConfig,
    /// Distance of expiry buckets, ms.
    pub tick_ms: i64,
    /// 1 standalone.
    pub server_id: i64,
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
}

/// The replica.
#[derive(Debug)]
pub struct Replica {
    prep: Prep,
    sessions: SessionTracker,
    pending: VecDeque<Pending>,
    last_prepared: Zxid,
    durable: Zxid,
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
        Self {
            prep: Prep::new(config.prep),
            sessions: tracker,
            pending: VecDeque::new(),
            last_prepared: last,
            durable: last,
            reaper: Reaper::new(config.reaper, now.mono_ms),
            snapshots: SnapPolicy::new(config.snapshots, config.seed),
        }
    }

    /// Feeds one event; appends what the world must do to `effects`, in order. Never blocks, never
    /// fails. Reads the tree, never changes it.
    pub fn step(&mut self, event: Event, now: Now, tree: &Tree, effects: &mut Effects) {
        match event {
            Event::Tick => self.tick(now, tree, effects),
            Event::Request(request) => self.request(request, now, tree, effects),
            Event::OpenSession { conn, timeout_ms } => {
                let id = self.sessions.next_id();
                self.sessions.track(id, timeout_ms, now.mono_ms);
                let txn = Txn::CreateSession { timeout_ms };
                let origin = Some((conn, Cxid(0)));
                let zxid = self.next_zxid();
                self.propose(
                    id,
                    zxid,
                    origin,
                    op_code::CREATE_SESSION,
                    txn,
                    now,
                    tree,
                    effects,
                );
            }
            Event::ResumeSession {
                conn,
                session,
                timeout_ms,
            } => {
                let open = self.sessions.timeout_ms(session).is_some();
                if open {
                    self.sessions.track(session, timeout_ms, now.mono_ms);
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
            Event::LogDurable { zxid } => self.durable = self.durable.max(zxid),
            Event::SnapshotDone => self.snapshots.done(),
        }
    }

    /// Notes a sign of life of a session: [`Event::Touch`] without the ceremony.
    pub fn touch(&mut self, session: SessionId, at_ms: i64) {
        self.sessions.touch(session, at_ms);
    }

    fn tick(&mut self, now: Now, tree: &Tree, effects: &mut Effects) {
        for session in self.sessions.take_expired(now.mono_ms) {
            self.request(
                server_request(session, op_code::CLOSE_SESSION, Vec::new()),
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
            self.request(request, now, tree, effects);
        }
    }

    fn request(&mut self, request: Request, now: Now, tree: &Tree, effects: &mut Effects) {
        let origin = request.conn.map(|conn| (conn, request.cxid));
        if let Some(conn) = request.conn
            && self.sessions.timeout_ms(request.session).is_none()
        {
            effects.actions.push(Effect::Dropped { conn });
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
        let zxid = Zxid(self.last_prepared.0.wrapping_add(1));
        match self.prep.prepare(&request, zxid, now, tree, &self.sessions) {
            Prepared::Refused(err) => self.pending.push_back(Pending::Refused { origin, err }),
            Prepared::Txn(txn) => {
                self.last_prepared = zxid;
                if request.op == op_code::CLOSE_SESSION {
                    self.sessions.set_closing(request.session);
                }
                let (session, op) = (request.session, request.op);
                self.propose(session, zxid, origin, op, txn, now, tree, effects);
            }
        }
    }

    const fn next_zxid(&mut self) -> Zxid {
        self.last_prepared = Zxid(self.last_prepared.0.wrapping_add(1));
        self.last_prepared
    }

    #[allow(clippy::too_many_arguments)]
    fn propose(
        &mut self,
        session: SessionId,
        zxid: Zxid,
        origin: Option<(ConnId, Cxid)>,
        op: i32,
        txn: Txn,
        now: Now,
        tree: &Tree,
        effects: &mut Effects,
    ) {
        let cxid = origin.map_or(0, |(_, cxid)| cxid.0);
        let header = TxnHeader {
            client_id: session.0,
            cxid,
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
        match self.pending.front() {
            None => false,
            Some(Pending::Txn { logged, .. }) => logged.header.zxid <= self.durable.0,
            Some(_) => true,
        }
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
            let Some(pending) = self.pending.pop_front() else {
                break;
            };
            done += 1;
            match pending {
                Pending::Txn { logged, origin, op } => {
                    self.apply_txn(tree, watches, out, &logged, origin, op);
                }
                Pending::Refused { origin, err } => {
                    if let Some((conn, cxid)) = origin {
                        let zxid = Zxid(tree.last_zxid());
                        out.reply(&Reply {
                            conn,
                            cxid,
                            zxid,
                            err,
                            body: Body::Empty,
                        });
                    }
                }
                Pending::Sync { conn, cxid, body } => deliver_sync(tree, out, conn, cxid, &body),
                Pending::Read { conn, request } => self.read(tree, watches, out, conn, &request),
            }
        }
        done
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
        watches: &impl Watches,
        out: &mut impl Deliver,
        logged: &LoggedTxn,
        origin: Option<(ConnId, Cxid)>,
        op: i32,
    ) {
        let zxid = Zxid(logged.header.zxid);
        let mut firing = Firing::new(watches, out);
        let outcome = apply(tree, &logged.header, &logged.txn, &mut firing);
        if let Some((expected, actual)) = tree.advance(zxid.0) {
            out.digest_mismatch(zxid, expected, actual);
        }
        if let Some(digest) = &logged.digest
            && tree.digest_is_exact()
            && digest.tree_digest as u64 != tree.digest()
        {
            out.digest_mismatch(zxid, digest.tree_digest as u64, tree.digest());
        }
        self.prep.applied(zxid);
        let session = SessionId(logged.header.client_id);
        match (op, origin) {
            (op_code::CREATE_SESSION, Some((conn, _))) => {
                if let Txn::CreateSession { timeout_ms } = logged.txn {
                    out.session_created(conn, session, timeout_ms);
                }
            }
            (op_code::CLOSE_SESSION, _) => {
                self.sessions.remove(session);
                out.session_closed(session, origin, zxid);
            }
            (_, Some((conn, cxid))) => deliver_reply(out, conn, cxid, zxid, logged, &outcome),
            (_, None) => {}
        }
    }

    /// When the next [`Event::Tick`] is due, on the monotonic clock. Ask again after every step.
    #[must_use]
    pub fn next_tick(&self) -> i64 {
        let expiry = self.sessions.next_expiry().unwrap_or(i64::MAX);
        expiry.min(self.reaper.next_check())
    }

    /// The sessions.
    #[must_use]
    pub const fn sessions(&self) -> &SessionTracker {
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
        Err(_) => {
            let err = ErrorCode::MarshallingError;
            out.reply(&Reply {
                conn,
                cxid,
                zxid,
                err,
                body: Body::Empty,
            });
        }
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
