//! Owns the table of connections, by id, by session, by address. Must not touch sockets.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use menagerie_core::acl::{self, AuthId};
use menagerie_core::ids::{ConnId, SessionId};

use super::limits::Spent;
use super::outbox::Outbox;
use crate::audit::Asked;
use crate::metrics::Totals;

/// What is known of a connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) id: ConnId,
    pub(crate) remote: SocketAddr,
    /// Whether it came over the port for TLS.
    pub(crate) secure: bool,
    pub(crate) outbox: Outbox,
    pub(crate) auth: RwLock<Arc<[AuthId]>>,
    /// What the audit log has to know of each request that the core has; empty without one.
    asked: Mutex<VecDeque<Option<Asked>>>,
    /// Its address as Java writes it.
    pub(crate) ip: Arc<str>,
    pub(crate) stats: ConnStats,
    /// What its address has taken of what it may.
    pub(crate) spent: Arc<Spent>,
}

/// A connection's figures. Source: `ServerCnxn`.
#[derive(Debug, Default)]
pub(crate) struct ConnStats {
    /// 0 while there is none.
    pub(crate) session: AtomicI64,
    pub(crate) timeout_ms: AtomicI32,
    /// When the client was last heard, on the server's monotonic clock.
    pub(crate) heard_ms: AtomicI64,
    /// Wall clock, ms.
    pub(crate) established_ms: AtomicI64,
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) outstanding: AtomicI64,
    /// Whether the session is one of a server without a leader, which can only read.
    pub(crate) read_only: AtomicBool,
    pub(crate) last: Mutex<LastOp>,
}

/// The last request that was answered.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LastOp {
    /// `None` before the first.
    pub(crate) op: Option<i32>,
    pub(crate) cxid: i32,
    pub(crate) zxid: i64,
    /// Wall clock, ms.
    pub(crate) response_ms: i64,
    pub(crate) last_latency_ms: u64,
    pub(crate) latency: Totals,
}

impl Conn {
    pub(crate) fn auth(&self) -> Arc<[AuthId]> {
        Arc::clone(&self.auth.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds identities that it does not have yet.
    pub(crate) fn add_auth(&self, ids: Vec<AuthId>) {
        let mut auth = self.auth.write().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<AuthId> = auth.to_vec();
        for id in ids {
            if !all.contains(&id) {
                all.push(id);
            }
        }
        *auth = all.into();
    }

    pub(crate) fn session(&self) -> SessionId {
        SessionId(self.stats.session.load(Relaxed))
    }

    pub(crate) fn last_op(&self) -> MutexGuard<'_, LastOp> {
        self.stats
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn asked(&self) -> MutexGuard<'_, VecDeque<Option<Asked>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the connection.
    pub(crate) fn abort(&self) {
        self.outbox.push_and_wake(|out| out.abort = true);
    }
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// `maxCnxns` are open.
    TooMany,
    /// `maxClientCnxns` are open from that address.
    TooManyFromAddress,
}

#[derive(Debug, Default)]
struct Counts {
    /// Of each port, as in ZooKeeper, where each has a factory of its own.
    by_address: HashMap<(IpAddr, bool), usize>,
    by_session: HashMap<SessionId, ConnId>,
    /// Of addresses with connections.
    spent: HashMap<IpAddr, Arc<Spent>>,
}

/// All connections of a server.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    slots: RwLock<Slots>,
    counts: Mutex<Counts>,
}

/// Connections by id. Ids are not used again soon: a reply for a connection that is gone must not
/// reach another.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    conns: HashMap<ConnId, Arc<Conn>>,
    next: u32,
}

impl Slots {
    pub(crate) fn get(&self, id: ConnId) -> Option<&Arc<Conn>> {
        self.conns.get(&id)
    }

    fn next_id(&mut self) -> ConnId {
        loop {
            let id = ConnId(self.next);
            self.next = self.next.wrapping_add(1);
            if !self.conns.contains_key(&id) {
                return id;
            }
        }
    }
}

impl Registry {
    pub(crate) fn slots(&self) -> RwLockReadGuard<'_, Slots> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a connection, unless a limit (0 is none) is reached.
    pub(crate) fn open(
        &self,
        remote: SocketAddr,
        secure: bool,
        per_address: usize,
        total: usize,
    ) -> Result<Arc<Conn>, Refusal> {
        let mut counts = self.counts();
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if total > 0 && slots.conns.len() >= total {
            return Err(Refusal::TooMany);
        }
        let same = counts.by_address.entry((remote.ip(), secure)).or_default();
        if per_address > 0 && *same >= per_address {
            return Err(Refusal::TooManyFromAddress);
        }
        *same += 1;
        let spent = Arc::clone(counts.spent.entry(remote.ip()).or_default());
        let id = slots.next_id();
        let ip = acl::ip_id(remote.ip());
        let conn = Arc::new(Conn {
            id,
            remote,
            secure,
            outbox: Outbox::default(),
            ip: ip.id.clone().into(),
            asked: Mutex::default(),
            auth: RwLock::new(Arc::from([ip])),
            stats: ConnStats::default(),
            spent,
        });
        slots.conns.insert(id, Arc::clone(&conn));
        Ok(conn)
    }

    /// Lets a connection go.
    pub(crate) fn close(&self, conn: &Conn) {
        let mut counts = self.counts();
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots.conns.remove(&conn.id);
        if let Some(same) = counts.by_address.get_mut(&(conn.remote.ip(), conn.secure)) {
            *same -= 1;
            if *same == 0 {
                counts.by_address.remove(&(conn.remote.ip(), conn.secure));
            }
        }
        let ip = conn.remote.ip();
        let others = |secure| counts.by_address.contains_key(&(ip, secure));
        if !others(true) && !others(false) {
            counts.spent.remove(&ip);
        }
        let session = conn.session();
        if counts.by_session.get(&session) == Some(&conn.id) {
            counts.by_session.remove(&session);
        }
    }

    /// Makes `conn` the session's connection.
    pub(crate) fn bind(&self, session: SessionId, conn: &Conn, timeout_ms: i32) {
        conn.stats.session.store(session.0, Relaxed);
        conn.stats.timeout_ms.store(timeout_ms, Relaxed);
        self.counts().by_session.insert(session, conn.id);
    }

    /// The session's connection.
    pub(crate) fn of_session(&self, session: SessionId) -> Option<Arc<Conn>> {
        let id = *self.counts().by_session.get(&session)?;
        self.slots().get(id).cloned()
    }

    /// Connections open.
    pub(crate) fn len(&self) -> usize {
        self.slots().conns.len()
    }

    /// Begins the figures of every connection, or of those of one port, anew.
    /// Source: `ServerCnxn.resetStats`.
    pub(crate) fn reset_stats(&self, secure: Option<bool>) {
        for conn in self.all() {
            if secure.is_some_and(|secure| secure != conn.secure) {
                continue;
            }
            *conn.last_op() = LastOp::default();
            conn.stats.received.store(0, Relaxed);
            conn.stats.sent.store(0, Relaxed);
        }
    }

    /// The connections of the secure port, or of the other one.
    pub(crate) fn of_port(&self, secure: bool) -> Vec<Arc<Conn>> {
        let mut all = self.all();
        all.retain(|conn| conn.secure == secure);
        all
    }

    /// All connections.
    pub(crate) fn all(&self) -> Vec<Arc<Conn>> {
        self.slots().conns.values().cloned().collect()
    }
}
