//! Owns telling of requests that took long: which, whose, on which path. May decode requests. Must not
//! flood the log.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use menagerie_core::ids::SessionId;
use menagerie_wire::client::PathRequest;
use menagerie_wire::jute::decode_prefix;
use menagerie_wire::multi::{MultiOp, MultiRequest};
use menagerie_wire::op::op_code;

use crate::fourletter::op_name;

/// Lines a second.
const LINES: u64 = 10;
/// Of a path that is longer, only the beginning is told.
const PATH_MAX: usize = 256;

/// Requests that took long.
#[derive(Debug, Default)]
pub(crate) struct LateRequests {
    pub(crate) count: AtomicU64,
    /// The second of the last line, and the lines in it.
    second: AtomicI64,
    lines: AtomicU64,
    left_out: AtomicU64,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Late<'a> {
    pub(crate) op: i32,
    pub(crate) body: &'a [u8],
    pub(crate) cxid: i32,
    pub(crate) session: SessionId,
    pub(crate) took_ms: u64,
    /// When it was answered, on the server's monotonic clock.
    pub(crate) now_ms: i64,
}

impl LateRequests {
    /// Counts the request, and logs it unless there were many just now.
    pub(crate) fn note(&self, late: Late<'_>, remote: &dyn std::fmt::Display) {
        self.count.fetch_add(1, Relaxed);
        let Some(left_out) = self.may_tell(late.now_ms) else {
            return;
        };
        let path = path_of(late.op, late.body).unwrap_or_default();
        let op = op_name(late.op);
        let (session, took_ms, cxid) = (late.session, late.took_ms, late.cxid);
        if left_out > 0 {
            tracing::warn!(left_out, "slow requests were not logged one by one");
        }
        tracing::warn!(took_ms, op, path, %session, cxid, %remote, "slow request");
    }

    /// How many were left out before, if this one may be told.
    fn may_tell(&self, now_ms: i64) -> Option<u64> {
        let second = now_ms / 1000;
        if self.second.swap(second, Relaxed) != second {
            self.lines.store(0, Relaxed);
        }
        if self.lines.fetch_add(1, Relaxed) >= LINES {
            self.left_out.fetch_add(1, Relaxed);
            return None;
        }
        Some(self.left_out.swap(0, Relaxed))
    }
}

/// The path that a request is for; of a multi, the first and how many follow. Control characters are
/// escaped: a client must not forge lines.
pub(crate) fn path_of(op: i32, body: &[u8]) -> Option<String> {
    if op == op_code::MULTI {
        let (request, _) = decode_prefix::<MultiRequest<'_>>(body).ok()?;
        let more = request.ops.len().saturating_sub(1);
        let first = match request.ops.first()? {
            MultiOp::Create(_, request) => &request.path,
            MultiOp::CreateTtl(request) => &request.path,
            MultiOp::Delete(request) | MultiOp::Check(request) => &request.path,
            MultiOp::SetData(request) => &request.path,
            _ => return None,
        };
        let first = shown(first.as_deref()?);
        return Some(format!("{first} and {more} more"));
    }
    // It comes first in every request that has one.
    if matches!(
        op,
        op_code::RECONFIG | op_code::CLOSE_SESSION | op_code::PING
    ) {
        return None;
    }
    let (request, _) = decode_prefix::<PathRequest<'_>>(body).ok()?;
    Some(shown(request.path.as_deref()?))
}

fn shown(path: &str) -> String {
    let end = path.floor_char_boundary(PATH_MAX);
    let rest = if end < path.len() { "…" } else { "" };
    format!("{}{rest}", path[..end].escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;
    use menagerie_wire::jute;

    fn path(path: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let path = Some(path.into());
        jute::append(&mut bytes, &PathRequest { path });
        bytes
    }

    #[test]
    fn the_path_is_found_and_cannot_forge_lines() {
        let found = |text: &str| path_of(op_code::SET_DATA, &path(text));
        assert_eq!(found("/a/b").as_deref(), Some("/a/b"));
        assert_eq!(found("/a\n2026 WARN").as_deref(), Some("/a\\n2026 WARN"));
        let long = found(&"ü".repeat(300)).unwrap();
        assert_eq!(long.chars().count(), 129, "{long}");
        assert_eq!(path_of(op_code::SET_DATA, &[0, 0]), None);
        assert_eq!(path_of(op_code::RECONFIG, &path("x")), None);
    }

    #[test]
    fn a_flood_is_summed_up() {
        let late = LateRequests::default();
        let told = (0..100).filter(|_| late.may_tell(5500).is_some()).count();
        assert_eq!(told, 10);
        assert_eq!(late.may_tell(6000), Some(90));
        assert_eq!(late.may_tell(6001), Some(0));
    }
}
