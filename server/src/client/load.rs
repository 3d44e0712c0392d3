//! Owns what a connection does when it is asked for too much: when it leaves requests unread, and which
//! it answers with an error at once. Must not read the socket.

use std::sync::atomic::Ordering::Relaxed;

use menagerie_core::processor::reply;
use menagerie_wire::client::RequestHeader;
use menagerie_wire::frame::LENGTH_SIZE;
use menagerie_wire::jute::decode_prefix;
use menagerie_wire::op::{ErrorCode, op_code};

use super::conn::Connection;

/// Requests of one connection that the core may have at once; above it the socket is not read.
const PIPELINE_MAX: usize = 1000;

impl Connection {
    /// Whether no further request is taken now, whatever there is.
    pub(super) fn is_busy(&self) -> bool {
        self.deaf || self.sasl_pending.is_some() || self.must_wait()
    }

    /// Whether the server has enough to do: then who waits for a reply is not read.
    /// Source: `ZooKeeperServer.shouldThrottle`.
    pub(super) fn must_wait(&self) -> bool {
        let waiting = self.in_flight.len();
        waiting >= PIPELINE_MAX
            || waiting > 0 && self.behind
            || waiting > 0
                && self.shared.stats.in_process.load(Relaxed)
                    > self.shared.live.load().global_outstanding_limit
    }

    /// Whether requests wait in front of the pipeline, which then is full of others. They wait in
    /// the socket and in the buffer, so that none has to be kept. Source: `RequestThrottler`.
    pub(super) fn is_stalled(&mut self) -> bool {
        let max = self.shared.live.load().request_throttle_max_requests;
        if max <= 0 || self.shared.stats.in_process.load(Relaxed) < max {
            return false;
        }
        self.shared.stats.throttled.fetch_add(1, Relaxed);
        self.stalled_since
            .get_or_insert(self.shared.clock.mono_ms());
        true
    }

    /// Whether the requests at hand have waited so long that they are refused.
    pub(super) fn is_stale(&mut self, now_ms: i64) -> bool {
        let limit = self.shared.live.load().throttled_op_wait_time_ms;
        let since = self.stalled_since.take();
        limit > 0 && since.is_some_and(|since| now_ms - since > limit)
    }

    /// Notes the time, and what the client may ask for.
    pub(super) fn look_at_limits(&mut self, now_ms: i64) {
        let allowances = self.shared.live.load().allowances;
        self.limits.look(allowances, now_ms);
    }

    /// Whether the frame at the front will be answered with an error without being looked at.
    pub(super) fn is_refused(&mut self, len: usize) -> bool {
        if !self.refusing && !self.limits.has_watch_limit() {
            return false;
        }
        let frame = &self.input[LENGTH_SIZE..LENGTH_SIZE + len];
        let Ok((header, body)) = decode_prefix::<RequestHeader>(frame) else {
            return false;
        };
        let watched = (&self.shared.watches, self.conn.id);
        self.refusing && may_be_refused(header.op)
            || self.limits.is_watch_too_many(header.op, body, &watched)
    }

    /// Whether the request is refused without being looked at.
    pub(super) fn turned_away(&mut self, header: RequestHeader, body_len: usize) -> bool {
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
        let err = if self.refusing && may_be_refused(op) {
            ErrorCode::ThrottledOp
        } else if self.is_watch_too_many(op, body_len) {
            self.shared.stats.watches_refused.fetch_add(1, Relaxed);
            ErrorCode::QuotaExceeded
        } else {
            return false;
        };
        let zxid = self.shared.read_tree().last_zxid();
        self.conn.outbox.push(|out| {
            reply::header_only(&mut out.bytes, xid, zxid, err);
            out.packets += 1;
        });
        true
    }

    /// Whether the request at the front would leave a watch more than a session may have.
    pub(super) fn is_watch_too_many(&mut self, op: i32, body_len: usize) -> bool {
        let watched = (&self.shared.watches, self.conn.id);
        let body = &self.input[..body_len];
        self.limits.is_watch_too_many(op, body, &watched)
    }
}

/// Whether a request may be answered that the server has too much to do.
const fn may_be_refused(op: i32) -> bool {
    !matches!(
        op,
        op_code::PING | op_code::CLOSE_SESSION | op_code::AUTH | op_code::SASL
    )
}
