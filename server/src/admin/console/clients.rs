//! Owns what the console shows of clients: sessions with what they own and watch, connections by
//! what they ask for. Paths that the person could not list are counted, not shown.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use menagerie_core::acl::AuthId;
use menagerie_core::ids::{ConnId, SessionId};
use serde_json::{Value, json};

use super::nodes::may_know;
use crate::client::registry::Conn;
use crate::fourletter::{java_address, op_name};
use crate::shared::Shared;

/// Sessions that are listed at a time.
const SESSIONS: usize = 200;
/// Paths that are listed of a session, of each kind.
const PATHS: usize = 500;
/// Connections that are listed.
const TALKERS: usize = 50;
/// Rates are taken over at least this time.
const WINDOW: Duration = Duration::from_millis(1500);

/// Sessions whose id or address contains `filter`.
pub(super) async fn sessions(shared: &Arc<Shared>, filter: &str) -> Option<Value> {
    let question = |engine: &crate::runtime::engine::Engine, tree: &menagerie_core::tree::Tree| {
        let all = engine.replica().all_sessions();
        let local = all.local().map(|local| local.all()).unwrap_or_default();
        let owners: HashMap<i64, usize> = tree
            .ephemeral_owners()
            .map(|owner| (owner, tree.ephemerals(owner).count()))
            .collect();
        (all.global().all(), local, owners)
    };
    let (global, local, owners) = shared.inbox.ask(question).await?;
    let watches = shared.watches.data_by_conn();
    let kinds = [(global, false), (local, true)];
    let all = kinds
        .into_iter()
        .flat_map(|(list, local)| list.into_iter().map(move |(id, ms)| (id, ms, local)));
    let (mut rows, mut total, mut matching) = (Vec::new(), 0_usize, 0_usize);
    let now = shared.clock.mono_ms();
    for (id, timeout_ms, local) in all {
        total += 1;
        let conn = shared.conns.of_session(id);
        let name = format!("0x{:x}", id.0);
        let address = conn.as_ref().map(|conn| java_address(conn));
        let matches = filter.is_empty()
            || name.contains(filter)
            || address
                .as_ref()
                .is_some_and(|address| address.contains(filter));
        if !matches {
            continue;
        }
        matching += 1;
        if rows.len() >= SESSIONS {
            continue;
        }
        let heard = conn
            .as_ref()
            .map(|conn| now - conn.stats.heard_ms.load(Relaxed));
        rows.push(json!({
            "id": name, "timeout_ms": timeout_ms, "local": local, "address": address,
            "heard_ms_ago": heard.map(|ms| ms.max(0)),
            "ephemerals": owners.get(&id.0).copied().unwrap_or(0),
            "watches": conn.and_then(|conn| watches.get(&conn.id).map(|paths| paths.len())).unwrap_or(0),
        }));
    }
    Some(json!({"total": total, "matching": matching, "sessions": rows}))
}

/// One session: its ephemeral nodes, and its watches if its client is connected here.
pub(super) async fn session(shared: &Arc<Shared>, id: SessionId, ids: &[AuthId]) -> Option<Value> {
    let timeout = shared
        .inbox
        .ask(move |engine, _| engine.replica().all_sessions().timeout_ms(id))
        .await?;
    let Some(timeout_ms) = timeout else {
        return Some(Value::Null);
    };
    let conn = shared.conns.of_session(id);
    let watched: Vec<String> = match &conn {
        Some(conn) => {
            let mut all = shared.watches.data_by_conn();
            all.remove(&conn.id)
                .unwrap_or_default()
                .into_iter()
                .collect()
        }
        None => Vec::new(),
    };
    let tree = shared.read_tree();
    let mut ephemerals: Vec<String> = tree.ephemerals(id.0).collect();
    ephemerals.sort_unstable();
    let visible = |paths: Vec<String>| {
        let total = paths.len();
        let mut known: Vec<String> = paths
            .into_iter()
            .filter(|path| may_know(shared, &tree, path, ids))
            .collect();
        let hidden = total - known.len();
        known.truncate(PATHS);
        json!({"total": total, "hidden": hidden, "paths": known})
    };
    Some(json!({
        "id": format!("0x{:x}", id.0), "timeout_ms": timeout_ms,
        "address": conn.as_ref().map(|conn| java_address(conn)),
        "established": conn.as_ref().map(|conn| conn.stats.established_ms.load(Relaxed)),
        "ephemerals": visible(ephemerals), "watches": visible(watched),
    }))
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    requests: u64,
    bytes_in: u64,
    bytes_out: u64,
}

fn counts(conn: &Conn) -> Counts {
    let stats = &conn.stats;
    Counts {
        requests: stats.received.load(Relaxed),
        bytes_in: stats.bytes_in.load(Relaxed),
        bytes_out: stats.bytes_out.load(Relaxed),
    }
}

#[derive(Debug)]
struct Seen {
    at: Instant,
    counts: HashMap<ConnId, Counts>,
    answer: Value,
}

/// Who asks for most. Rates are those since the last look that is long enough ago.
#[derive(Debug, Default)]
pub(super) struct Talkers(Mutex<Option<Seen>>);

impl Talkers {
    pub(super) fn read(&self, shared: &Shared) -> Value {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.as_ref();
        if let Some(before) = before.filter(|before| before.at.elapsed() < WINDOW) {
            return before.answer.clone();
        }
        let all = shared.conns.all();
        let now: HashMap<ConnId, Counts> = all.iter().map(|conn| (conn.id, counts(conn))).collect();
        let seconds = before.map(|before| before.at.elapsed().as_secs_f64());
        let mut rows: Vec<(Counts, &Arc<Conn>)> = all
            .iter()
            .map(|conn| {
                let now = now.get(&conn.id).copied().unwrap_or_default();
                let old = before.and_then(|before| before.counts.get(&conn.id));
                let old = old.copied().unwrap_or_default();
                let added = Counts {
                    requests: now.requests.saturating_sub(old.requests),
                    bytes_in: now.bytes_in.saturating_sub(old.bytes_in),
                    bytes_out: now.bytes_out.saturating_sub(old.bytes_out),
                };
                (added, conn)
            })
            .collect();
        // By requests as well as by bytes: one huge read a second is a talker too.
        let by_requests = |row: &(Counts, &Arc<Conn>)| Reverse((row.0.requests, row.0.bytes_out));
        let by_bytes = |row: &(Counts, &Arc<Conn>)| Reverse(row.0.bytes_in + row.0.bytes_out);
        rows.sort_by_key(by_bytes);
        let some = rows.len().min(TALKERS / 2);
        rows[some..].sort_by_key(by_requests);
        rows.truncate(TALKERS);
        rows.sort_by_key(by_requests);
        let shown = rows
            .into_iter()
            .map(|(added, conn)| talker(conn, added, seconds));
        let answer = json!({"total": all.len(), "connections": shown.collect::<Vec<_>>()});
        *seen = Some(Seen {
            at: Instant::now(),
            counts: now,
            answer: answer.clone(),
        });
        answer
    }
}

#[allow(clippy::cast_precision_loss)]
fn talker(conn: &Conn, added: Counts, seconds: Option<f64>) -> Value {
    let totals = counts(conn);
    let last = *conn.last_op();
    let session = conn.session();
    let per_s = |count: u64| seconds.map(|seconds| (count as f64 / seconds * 10.0).round() / 10.0);
    json!({
        "address": java_address(conn),
        "session": (session.0 != 0).then(|| format!("0x{:x}", session.0)),
        "requests_per_s": per_s(added.requests),
        "in_per_s": per_s(added.bytes_in), "out_per_s": per_s(added.bytes_out),
        "requests": totals.requests, "bytes_in": totals.bytes_in, "bytes_out": totals.bytes_out,
        "outstanding": conn.stats.outstanding.load(Relaxed).max(0),
        "last": last.op.map(op_name),
        "average_ms": last.latency.average(), "max_ms": last.latency.max,
    })
}
