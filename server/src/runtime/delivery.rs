//! Owns bringing what was applied to the connections: events first, then the reply, all while the
//! tree is held exclusively. Wakes nobody until the guard is gone.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use menagerie_core::acl;
use menagerie_core::effect::{Deliver, Fired, Reply};
use menagerie_core::ids::{ConnId, Cxid, SessionId, Zxid};
use menagerie_core::processor::reply;
use menagerie_wire::data::perms;
use menagerie_wire::op::{ErrorCode, EventType};

use crate::audit::Asked;
use crate::client::noting::note_write;
use crate::client::outbox::Outgoing;
use crate::client::registry::Conn;
use crate::metrics::Notes;
use crate::shared::Shared;

/// The connections that got something in this batch.
pub(crate) struct Delivery<'a> {
    shared: &'a Shared,
    touched: Vec<Arc<Conn>>,
    event: Vec<u8>,
    /// What was written, on its way to where that is told.
    written: Notes,
}

impl<'a> Delivery<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            touched: Vec::new(),
            event: Vec::new(),
            written: Notes::default(),
        }
    }

    /// Wakes the tasks of the connections that got something.
    pub(crate) fn wake_all(&mut self) {
        for conn in self.touched.drain(..) {
            conn.outbox.wake();
        }
    }

    /// Adds up what was written.
    pub(crate) fn flush_notes(&mut self) {
        self.written.flush();
    }

    /// Adds to a connection's outbox, if the connection is still there.
    pub(crate) fn push(&mut self, id: ConnId, add: impl FnOnce(&mut Outgoing)) {
        let slots = self.shared.conns.slots();
        if let Some(conn) = slots.get(id) {
            conn.outbox.push(add);
            if conn.outbox.list() {
                self.touched.push(Arc::clone(conn));
            }
        }
    }

    /// What the audit log has to know of the connection's oldest request, which is done now.
    pub(crate) fn take_asked(&self, id: ConnId) -> Option<Asked> {
        self.shared.audit.as_ref()?;
        let slots = self.shared.conns.slots();
        slots.get(id)?.asked().pop_front().flatten()
    }

    /// Answers a request for an existing session, or for one that only this server knows.
    pub(crate) fn resumed(&mut self, conn: ConnId, session: SessionId, timeout_ms: Option<i32>) {
        if let Some(timeout_ms) = timeout_ms {
            self.established(conn, session, timeout_ms);
        } else {
            self.push(conn, |out| out.established = Some((SessionId(0), 0)));
        }
    }

    fn established(&mut self, id: ConnId, session: SessionId, timeout_ms: i32) {
        let conn = self.shared.conns.slots().get(id).cloned();
        if let Some(conn) = conn {
            self.shared.conns.bind(session, &conn, timeout_ms);
        }
        self.push(id, |out| out.established = Some((session, timeout_ms)));
    }
}

impl Deliver for Delivery<'_> {
    fn reply(&mut self, reply: &Reply<'_>) {
        if let (Some(audit), Some(asked)) = (&self.shared.audit, self.take_asked(reply.conn)) {
            audit.replied(&asked, reply);
        }
        self.push(reply.conn, |out| {
            reply::reply(&mut out.bytes, reply);
            out.packets += 1;
            out.done += 1;
        });
    }

    fn read(&mut self, conn: ConnId, _: Cxid, write: &mut dyn FnMut(&mut Vec<u8>)) {
        self.take_asked(conn);
        self.push(conn, |out| {
            write(&mut out.bytes);
            out.packets += 1;
            out.done += 1;
        });
    }

    /// An event goes only to who may read the node. Source: `NIOServerCnxn.process`.
    fn fired(&mut self, fired: &Fired<'_>) {
        let metrics = &self.shared.stats.metrics;
        let count = match fired.event {
            EventType::NodeCreated => &metrics.node_created_watch_count,
            EventType::NodeDeleted => &metrics.node_deleted_watch_count,
            EventType::NodeDataChanged => &metrics.node_changed_watch_count,
            EventType::NodeChildrenChanged => &metrics.node_children_watch_count,
        };
        if !fired.conns.is_empty() {
            count.add(fired.conns.len() as u64);
        }
        self.event.clear();
        reply::event(&mut self.event, fired.event, fired.path, fired.zxid.0);
        let event = std::mem::take(&mut self.event);
        for &id in fired.conns {
            let auth = self.shared.conns.slots().get(id).map(|conn| conn.auth());
            let Some(auth) = auth else { continue };
            if acl::check(&self.shared.auth, fired.acl, perms::READ, &auth).is_ok() {
                self.push(id, |out| {
                    out.bytes.extend_from_slice(&event);
                    out.packets += 1;
                });
            }
        }
        self.event = event;
    }

    fn session_created(&mut self, conn: ConnId, session: SessionId, timeout_ms: i32) {
        self.established(conn, session, timeout_ms);
    }

    fn session_closed(
        &mut self,
        session: SessionId,
        requester: Option<(ConnId, Cxid)>,
        zxid: Zxid,
    ) {
        if let Some((conn, cxid)) = requester {
            self.take_asked(conn);
            self.push(conn, |out| {
                reply::header_only(&mut out.bytes, cxid.0, zxid.0, ErrorCode::Ok);
                out.packets += 1;
                out.done += 1;
                out.close = true;
            });
        }
        let other = self.shared.conns.of_session(session);
        if let Some(conn) = other.filter(|conn| requester.is_none_or(|(id, _)| id != conn.id)) {
            self.push(conn.id, |out| out.abort = true);
        }
        // In an ensemble most of these were closed by clients of other members.
        if requester.is_none() && self.shared.config.ensemble.is_some() {
            tracing::debug!(%session, "session closed");
        } else if requester.is_none() {
            self.shared
                .stats
                .stale_sessions_expired
                .fetch_add(1, Relaxed);
            tracing::info!(%session, "session expired");
        }
    }

    fn ephemeral_gone(&mut self, session: SessionId, path: &str, existed: bool) {
        if let Some(audit) = &self.shared.audit {
            audit.ephemeral_gone(session.0, path, existed);
        }
    }

    fn wrote(&mut self, path: &str, bytes: usize) {
        note_write(&self.shared.stats.metrics, &mut self.written, path, bytes);
    }

    /// Source: `FinalRequestProcessor.processRequest`, case `SessionMovedException`.
    fn session_moved(&mut self, conn: ConnId) {
        tracing::debug!(%conn, "closing a connection whose session has moved");
        self.push(conn, |out| out.abort = true);
    }

    fn digest_mismatch(&mut self, zxid: Zxid, expected: u64, actual: u64) {
        self.shared.stats.digest_mismatches.fetch_add(1, Relaxed);
        tracing::error!(%zxid, expected = format_args!("{expected:x}"),
            actual = format_args!("{actual:x}"), "the tree's digest differs from the recorded one");
    }
}
