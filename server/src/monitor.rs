//! Owns what the server tells of itself in numbers, under ZooKeeper's names, whoever asks: `mntr`,
//! the admin server, a metrics provider. May look at everything. Must not format anything. What
//! Apache's server tells and this one does not is in compat-tests/MNTR.md.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use menagerie_core::quota::{StatsTrack, limits_path, stats_path};
use menagerie_core::session::SessionTracker;
use menagerie_core::tree::Tree;
use menagerie_wire::election::ServerState;

use crate::metrics::{Counter, Distribution, PERCENTILES, Totals};
use crate::process;
use crate::runtime::engine::Engine;
use crate::shared::Shared;
use crate::stats::ServerStats;
use crate::version;

/// What is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Double(f64),
}

/// How a metrics provider publishes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Not at all: it is no number.
    Info,
    /// Goes up and down.
    Gauge,
    /// Only grows.
    Counter,
}

/// One of the things told, without the prefix `zk_`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    pub(crate) value: Value,
}

fn info(key: &'static str, text: impl Into<String>) -> Reading {
    let value = Value::Text(text.into());
    let kind = Kind::Info;
    Reading { key, kind, value }
}

fn gauge(key: &'static str, value: impl TryInto<i64>) -> Reading {
    let value = Value::Integer(value.try_into().unwrap_or(i64::MAX));
    let kind = Kind::Gauge;
    Reading { key, kind, value }
}

fn double(key: &'static str, value: f64) -> Reading {
    let value = Value::Double(value);
    let kind = Kind::Gauge;
    Reading { key, kind, value }
}

fn counter(key: &'static str, value: u64) -> Reading {
    let value = Value::Integer(i64::try_from(value).unwrap_or(i64::MAX));
    let kind = Kind::Counter;
    Reading { key, kind, value }
}

/// Asks the core for [`readings`] and [`quotas`]; none when the server is ending.
pub(crate) async fn ask(shared: &Arc<Shared>) -> Option<(Vec<Reading>, Vec<QuotaReading>)> {
    let its = Arc::clone(shared);
    let question = move |engine: &Engine, tree: &Tree| {
        let readings = readings(&its, engine, tree);
        (readings, quotas(tree))
    };
    shared.inbox.ask(question).await
}

/// Source: `ZooKeeperServer.dumpMonitorValues`.
pub(crate) fn readings(shared: &Shared, engine: &Engine, tree: &Tree) -> Vec<Reading> {
    let replica = engine.replica();
    let stats = &shared.stats;
    let latency = stats.latency();
    let (open, max) = process::descriptors();
    let local = replica.all_sessions().local();
    let local = local.map_or(0, SessionTracker::len);
    let sizes = &stats.response_sizes;
    let handshakes = shared.tls.clients.as_ref().map_or(0, |tls| tls.under_way());
    let mut readings = vec![
        info("version", version::built()),
        info("server_state", shared.mode()),
        info("peer_state", shared.peer_state()),
        double("avg_latency", latency.average()),
        gauge("max_latency", latency.max),
        gauge("min_latency", latency.min),
        gauge("packets_received", stats.received.load(Relaxed)),
        gauge("packets_sent", stats.sent.load(Relaxed)),
        gauge("num_alive_connections", shared.conns.len()),
        gauge(
            "outstanding_requests",
            stats.in_process.load(Relaxed).max(0),
        ),
        gauge("outstanding_changes", replica.outstanding_changes()),
        gauge("znode_count", tree.node_count()),
        gauge("watch_count", shared.watches.len()),
        gauge("ephemerals_count", tree.ephemeral_count()),
        gauge("approximate_data_size", tree.approximate_data_size()),
        gauge("global_sessions", replica.sessions().len()),
        gauge("local_sessions", local),
        gauge("open_file_descriptor_count", open),
        gauge("max_file_descriptor_count", max),
        gauge("last_client_response_size", sizes.last.load(Relaxed)),
        gauge("max_client_response_size", sizes.max.load(Relaxed)),
        gauge("min_client_response_size", sizes.min.load(Relaxed)),
        gauge("uptime", shared.clock.mono_ms()),
        gauge(
            "fsync_threshold_exceed_count",
            stats.fsync_threshold_exceeded.load(Relaxed),
        ),
        gauge("auth_failed_count", stats.auth_failed.load(Relaxed)),
        counter(
            "digest_mismatches_count",
            stats.digest_mismatches.load(Relaxed),
        ),
        counter(
            "connection_rejected",
            stats.connections_rejected.load(Relaxed),
        ),
        counter(
            "large_requests_rejected",
            stats.large_requests_rejected.load(Relaxed),
        ),
        counter(
            "stale_sessions_expired",
            stats.stale_sessions_expired.load(Relaxed),
        ),
        counter("throttled_ops", stats.throttled.load(Relaxed)),
        double("connection_drop_probability", 0.0),
        gauge("outstanding_tls_handshake", handshakes),
        gauge(
            "non_mtls_remote_conn_count",
            stats.plain_remote.load(Relaxed),
        ),
        gauge("non_mtls_local_conn_count", stats.plain_local.load(Relaxed)),
    ];
    readings.extend(of_ensemble(shared, engine));
    readings
}

/// A sum of what quotas allow or of what there is, for the first component of their paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QuotaReading {
    pub(crate) top: String,
    /// `count_limit`, `count_usage`, `bytes_limit` or `bytes_usage`.
    pub(crate) what: &'static str,
    pub(crate) value: i64,
}

/// Source: `QuotaMetricsUtils`.
pub(crate) fn quotas(tree: &Tree) -> Vec<QuotaReading> {
    let track = |path: String| {
        let data = tree.get(&path).ok()?.data()?;
        Some(StatsTrack::parse(&String::from_utf8_lossy(data)))
    };
    let hard = |hard: i64, soft: i64| if hard > -1 { hard } else { soft };
    let mut sums: BTreeMap<(&str, &'static str), i64> = BTreeMap::new();
    for path in tree.quotas().iter() {
        let Some(top) = path.split('/').nth(1).filter(|top| !top.is_empty()) else {
            continue;
        };
        let mut add = |what, value: i64| {
            let sum = sums.entry((top, what)).or_default();
            *sum = sum.saturating_add(value);
        };
        if let Some(limits) = track(limits_path(path)) {
            add("count_limit", hard(limits.count_hard_limit(), limits.count));
            add("bytes_limit", hard(limits.byte_hard_limit(), limits.bytes));
        }
        if let Some(stats) = track(stats_path(path)) {
            add("count_usage", stats.count);
            add("bytes_usage", stats.bytes);
        }
    }
    let reading = |((top, what), value): ((&str, &'static str), i64)| QuotaReading {
        top: top.to_owned(),
        what,
        value,
    };
    sums.into_iter().map(reading).collect()
}

/// What is measured, under the keys of `mntr` without the prefix.
/// Source: `DefaultMetricsProvider.dump`.
pub(crate) fn measured(stats: &ServerStats) -> Vec<(String, Value)> {
    stats.count_instant_reads();
    let metrics = &stats.metrics;
    let mut all = Vec::new();
    for (key, count) in metrics.counters() {
        all.push((key.to_owned(), whole(count.get())));
    }
    for (set, counts) in metrics.keyed_counters() {
        let of = |(key, count): (Box<str>, Arc<Counter>)| (format!("{key}_{set}"), count.get());
        let counts = counts.all().into_iter().map(of);
        all.extend(counts.map(|(key, count)| (key, whole(count))));
    }
    for (key, summary) in metrics.summaries() {
        add_totals(&mut all, key, &summary.totals());
    }
    for (set, summaries) in metrics.keyed_summaries() {
        for (key, summary) in summaries.all() {
            add_totals(&mut all, &format!("{key}_{set}"), &summary.totals());
        }
    }
    for (key, distribution) in metrics.distributions() {
        add_distribution(&mut all, key, distribution);
    }
    for (set, distributions) in metrics.keyed_distributions() {
        for (key, distribution) in distributions.all() {
            add_distribution(&mut all, &format!("{key}_{set}"), &distribution);
        }
    }
    all
}

fn whole(value: u64) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn add_totals(all: &mut Vec<(String, Value)>, key: &str, totals: &Totals) {
    all.extend([
        (format!("avg_{key}"), Value::Double(totals.average())),
        (format!("min_{key}"), whole(totals.min)),
        (format!("max_{key}"), whole(totals.max)),
        (format!("cnt_{key}"), whole(totals.count)),
        (format!("sum_{key}"), whole(totals.sum)),
    ]);
}

fn add_distribution(all: &mut Vec<(String, Value)>, key: &str, distribution: &Distribution) {
    let (totals, at) = distribution.read();
    add_totals(all, key, &totals);
    for ((name, _), value) in PERCENTILES.iter().zip(at) {
        all.push((format!("{name}_{key}"), whole(value)));
    }
}

/// Source: `LeaderZooKeeperServer.dumpMonitorValues`, `ObserverZooKeeperServer.dumpMonitorValues`.
fn of_ensemble(shared: &Shared, engine: &Engine) -> Vec<Reading> {
    let Some(member) = engine.member() else {
        return Vec::new();
    };
    let phase = member.phase();
    let mut values = vec![gauge(
        "quorum_size",
        member.configs().newest().voters().count(),
    )];
    if phase.leader == Some(member.me()) {
        let learners: Vec<_> = member.learners().collect();
        let followers = learners.iter().filter(|l| !l.observer);
        let synced = |observer: bool| {
            let synced = learners.iter().filter(|l| l.synced);
            synced.filter(|l| l.observer == observer).count()
        };
        let sizes = &shared.stats.proposal_sizes;
        values.extend([
            gauge("learners", learners.len()),
            gauge("synced_followers", synced(false)),
            gauge("synced_non_voting_followers", {
                let voters = member.configs();
                let without = followers.filter(|l| l.synced && !voters.is_voter(l.sid));
                without.count()
            }),
            gauge("synced_observers", synced(true)),
            gauge("pending_syncs", member.pending_syncs()),
            gauge("leader_uptime", shared.phase_age_ms()),
            gauge("last_proposal_size", sizes.last.load(Relaxed)),
            gauge("max_proposal_size", sizes.max.load(Relaxed)),
            gauge("min_proposal_size", sizes.min.load(Relaxed)),
        ]);
    } else if phase.state == ServerState::Observing {
        let master = member.master().map_or(-1, |sid| sid.0);
        values.push(gauge("observer_master_id", master));
    } else if member.is_hosting() {
        // Source: `QuorumPeer.getSynced_observers_metric`.
        let synced = member.guests().filter(|guest| guest.synced).count();
        values.push(gauge("synced_observers", synced));
    }
    values
}
