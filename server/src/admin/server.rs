//! Owns what is told of the server itself: settings, connections, sessions, watches, figures.
//! Must not format text. Source: the classes within `Commands`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::http::StatusCode;
use menagerie_core::ids::{ConnId, SessionId};
use menagerie_core::session::SessionTracker;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use crate::client::registry::Conn;
use crate::fourletter::{java_address, op_name};
use crate::monitor;
use crate::shared::Shared;
use crate::stats::Sizes;
use crate::version;

/// Source: `ConfCommand`.
pub(super) fn configuration(shared: &Shared) -> Answer {
    let config = shared.live.load();
    let me = config.ensemble.as_ref().map_or(0, |ensemble| ensemble.me);
    Answer::of([
        ("client_port", plain_port(shared)),
        ("data_dir", path(&config.snapshot_files_dir())),
        ("data_log_dir", path(&config.log_files_dir())),
        ("tick_time", config.tick_time_ms.into()),
        ("max_client_cnxns", config.max_client_cnxns.into()),
        ("min_session_timeout", config.min_session_timeout_ms.into()),
        ("max_session_timeout", config.max_session_timeout_ms.into()),
        ("server_id", me.into()),
        (
            "client_port_listen_backlog",
            config.client_port_listen_backlog.into(),
        ),
    ])
}

/// -1 where clients must speak TLS. Source: `ZooKeeperServer.getConf`.
fn plain_port(shared: &Shared) -> Value {
    if shared.config.has_plain_port() {
        shared.client_port.load(Relaxed).into()
    } else {
        (-1).into()
    }
}

fn path(path: &std::path::Path) -> Value {
    let absolute = std::path::absolute(path);
    let path = absolute.unwrap_or_else(|_| path.to_owned());
    path.display().to_string().into()
}

/// Source: `InitialConfigurationCommand`. Passwords in it are not shown, which ZooKeeper does.
pub(super) fn initial_configuration(shared: &Shared) -> Answer {
    let text = shared.config.shown_initial_config();
    Answer::of([("initial_configuration", text.into())])
}

pub(super) fn dirs(shared: &Shared) -> Answer {
    Answer::of([
        ("datadir_size", shared.dirs.data_size().into()),
        ("logdir_size", shared.dirs.log_size().into()),
    ])
}

/// Source: `DigestCommand`.
pub(super) fn hash(shared: &Shared) -> Answer {
    let tree = shared.read_tree();
    let digests = tree.digest_log().map(|entry| {
        json!({
            "zxid": entry.zxid,
            "digest": entry.digest as i64,
            "digest_version": menagerie_wire::txn::DIGEST_VERSION,
        })
    });
    Answer::of([("digests", digests.collect())])
}

/// Source: `ServerCnxn.getConnectionInfo`.
fn connection(conn: &Conn, brief: bool) -> Value {
    let stats = &conn.stats;
    let session = conn.session();
    let mut info = json!({
        "remote_socket_address": java_address(conn),
        "interest_ops": i32::from(session.0 != 0),
        "outstanding_requests": stats.outstanding.load(Relaxed).max(0),
        "packets_received": stats.received.load(Relaxed),
        "packets_sent": stats.sent.load(Relaxed),
    });
    if brief {
        return info;
    }
    let last = *conn.last_op();
    let average = last.latency.sum.checked_div(last.latency.count);
    let more = json!({
        "session_id": session.0,
        "last_operation": last.op.map_or("NA", op_name),
        "established": stats.established_ms.load(Relaxed),
        "session_timeout": stats.timeout_ms.load(Relaxed),
        "last_cxid": last.cxid,
        "last_zxid": last.zxid,
        "last_response_time": last.response_ms,
        "last_latency": last.last_latency_ms,
        "min_latency": last.latency.min,
        "avg_latency": average.unwrap_or_default(),
        "max_latency": last.latency.max,
    });
    if let (Value::Object(info), Value::Object(more)) = (&mut info, more) {
        info.extend(more);
    }
    info
}

fn all_connections(shared: &Shared, secure: bool, brief: bool) -> Value {
    let all = shared.conns.of_port(secure);
    all.iter().map(|conn| connection(conn, brief)).collect()
}

/// Source: `ConsCommand`.
pub(super) fn connections(shared: &Shared) -> Answer {
    Answer::of([
        ("connections", all_connections(shared, false, false)),
        ("secure_connections", all_connections(shared, true, false)),
    ])
}

fn sizes(sizes: &Sizes) -> Value {
    json!({
        "last_buffer_size": sizes.last.load(Relaxed),
        "min_buffer_size": sizes.min.load(Relaxed),
        "max_buffer_size": sizes.max.load(Relaxed),
    })
}

/// Source: `SrvrCommand`.
pub(super) fn stats(shared: &Shared) -> Answer {
    let stats = &shared.stats;
    let latency = stats.latency();
    let (last_zxid, nodes) = {
        let tree = shared.read_tree();
        (tree.last_zxid(), tree.node_count())
    };
    let responses = sizes(&stats.response_sizes);
    let server = json!({
        "packets_sent": stats.sent.load(Relaxed),
        "packets_received": stats.received.load(Relaxed),
        "fsync_threshold_exceed_count": stats.fsync_threshold_exceeded.load(Relaxed),
        "client_response_stats": responses,
        "uptime": shared.clock.mono_ms(),
        "data_dir_size": shared.dirs.data_size(),
        "log_dir_size": shared.dirs.log_size(),
        "provider_null": false,
        "last_processed_zxid": last_zxid,
        "outstanding_requests": stats.in_process.load(Relaxed).max(0),
        "server_state": shared.mode(),
        "avg_latency": latency.average(),
        "max_latency": latency.max,
        "min_latency": latency.min,
        "num_alive_client_connections": shared.conns.len(),
        "auth_failed_count": stats.auth_failed.load(Relaxed),
        "non_mtlsremote_conn_count": stats.plain_remote.load(Relaxed),
        "non_mtlslocal_conn_count": stats.plain_local.load(Relaxed),
    });
    let mut answer = Answer::of([
        ("version", version::built().into()),
        ("read_only", shared.is_read_only().into()),
        ("server_stats", server),
        ("client_response", responses),
    ]);
    if shared.mode() == "leader" {
        let proposals = sizes(&stats.proposal_sizes);
        answer.fields.insert("proposal_stats".to_owned(), proposals);
    }
    answer.fields.insert("node_count".to_owned(), nodes.into());
    answer
}

/// Source: `StatCommand`.
pub(super) fn all_stats(shared: &Shared) -> Answer {
    let mut answer = stats(shared);
    let connections = all_connections(shared, false, true);
    answer.fields.insert("connections".to_owned(), connections);
    let secure = all_connections(shared, true, true);
    answer
        .fields
        .insert("secure_connections".to_owned(), secure);
    answer
}

/// Source: `WatchSummaryCommand`.
pub(super) fn watch_summary(shared: &Shared) -> Answer {
    let counts = shared.watches.data_counts();
    Answer::of([
        ("num_connections", counts.connections.into()),
        ("num_paths", counts.paths.into()),
        ("num_total_watches", counts.watches.into()),
    ])
}

fn session_of(shared: &Shared, conn: ConnId) -> Option<SessionId> {
    shared.conns.slots().get(conn).map(|conn| conn.session())
}

/// Source: `WatchCommand`.
pub(super) fn watches(shared: &Shared) -> Answer {
    let mut sessions: Map<String, Value> = Map::new();
    for (conn, paths) in shared.watches.data_by_conn() {
        if let Some(session) = session_of(shared, conn) {
            sessions.insert(session.0.to_string(), paths.into_iter().collect());
        }
    }
    Answer::of([("session_id_to_watched_paths", sessions.into())])
}

/// Source: `WatchesByPathCommand`.
pub(super) fn watches_by_path(shared: &Shared) -> Answer {
    let mut paths: Map<String, Value> = Map::new();
    for (path, conns) in shared.watches.data_by_path() {
        let sessions = conns
            .into_iter()
            .filter_map(|conn| session_of(shared, conn));
        paths.insert(path, sessions.map(|session| session.0).collect());
    }
    Answer::of([("path_to_session_ids", paths.into())])
}

/// Source: `DumpCommand`. A learner does not know when sessions expire, and says what it knows.
pub(super) async fn dump(shared: &Arc<Shared>) -> Answer {
    let asked = shared.inbox.ask(|engine, tree| {
        let sessions = engine.replica().all_sessions();
        let mut expiry: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        let global = engine.judges_sessions().then(|| sessions.global());
        let all = [sessions.local(), global];
        for (at, ids) in all.into_iter().flatten().flat_map(SessionTracker::buckets) {
            let ids = ids.into_iter().map(|id| id.0);
            expiry.entry(at).or_default().extend(ids);
        }
        let owners = tree.ephemeral_owners();
        let ephemerals = owners.map(|owner| {
            let paths: Value = tree.ephemerals(owner).collect();
            (owner.to_string(), paths)
        });
        let ephemerals: Map<String, Value> = ephemerals.collect();
        (expiry, ephemerals)
    });
    let Some((expiry, ephemerals)) = asked.await else {
        return ending();
    };
    let expiry = expiry
        .into_iter()
        .map(|(at, ids)| (at.to_string(), ids.into()));
    let expiry: Map<String, Value> = expiry.collect();
    Answer::of([
        ("expiry_time_to_session_ids", expiry.into()),
        ("session_id_to_ephemeral_paths", ephemerals.into()),
    ])
}

/// The answer of a server that is ending.
pub(super) fn ending() -> Answer {
    Answer {
        status: StatusCode::SERVICE_UNAVAILABLE,
        ..Answer::wrong("the server is ending")
    }
}

fn json_of(value: monitor::Value) -> Value {
    match value {
        monitor::Value::Text(text) => text.into(),
        monitor::Value::Integer(number) => number.into(),
        monitor::Value::Double(number) => number.into(),
    }
}

/// Source: `MonitorCommand`.
pub(super) async fn monitor(shared: &Arc<Shared>) -> Answer {
    let Some((readings, quotas)) = monitor::ask(shared).await else {
        return ending();
    };
    let mut fields: Map<String, Value> = Map::new();
    for reading in readings {
        fields.insert(reading.key.to_owned(), json_of(reading.value));
    }
    for quota in quotas {
        let key = format!("{}_quota_{}_per_namespace", quota.top, quota.what);
        fields.insert(key, quota.value.into());
    }
    for (key, value) in monitor::measured(&shared.stats) {
        fields.insert(key, json_of(value));
    }
    Answer {
        fields,
        ..Answer::default()
    }
}

/// Closes that part of all connections, so that clients spread anew. Sessions stay.
/// Source: `ShedConnectionsCommand` of later versions.
pub(super) fn shed(shared: &Shared, parameters: &HashMap<String, String>) -> Answer {
    let percentage = parameters
        .get("percentage")
        .map(|text| text.parse::<usize>());
    let Some(Ok(percentage @ 0..=100)) = percentage else {
        return Answer {
            status: StatusCode::BAD_REQUEST,
            ..Answer::wrong("shed_connections requires percentage, a whole number from 0 to 100")
        };
    };
    let all = shared.conns.all();
    let count = all.len() * percentage / 100;
    for conn in all.iter().take(count) {
        conn.abort();
    }
    tracing::info!(count, percentage, "connections shed as an operator asked");
    Answer::of([
        ("percentage_requested", percentage.into()),
        ("connections_shed", count.into()),
    ])
}
