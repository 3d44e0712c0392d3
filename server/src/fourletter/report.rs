//! Owns the texts of four-letter words, in the formats that existing parsers read.
//! Source: the classes in `org.apache.zookeeper.server.command`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use menagerie_core::ids::{ConnId, SessionId};
use menagerie_core::replica::Replica;
use menagerie_core::tree::Tree;
use menagerie_wire::op::op_code;

use crate::client::registry::Conn;
use crate::runtime::engine::Engine;
use crate::shared::Shared;
use crate::version;

/// A number as Java prints a double.
fn double(value: f64) -> String {
    if value == value.trunc() {
        format!("{value:.1}")
    } else {
        format!("{value}")
    }
}

pub(super) fn conf(shared: &Shared) -> String {
    let port = shared.client_port.load(Relaxed);
    shared
        .config
        .conf_text(port, shared.dirs.data_size(), shared.dirs.log_size())
}

pub(super) fn dirs(shared: &Shared) -> String {
    let (data, log) = (shared.dirs.data_size(), shared.dirs.log_size());
    format!("datadir_size: {data}\nlogdir_size: {log}\n")
}

/// What a Java server says of its machine, as far as there is such a thing here.
pub(super) fn envi() -> String {
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let read = |path: &str| {
        std::fs::read_to_string(path)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let dir = std::env::current_dir().unwrap_or_default();
    let memory = |key: &str| {
        let kib = read("/proc/meminfo")
            .lines()
            .find_map(|line| {
                line.strip_prefix(key)?
                    .trim()
                    .strip_suffix(" kB")?
                    .parse::<u64>()
                    .ok()
            })
            .unwrap_or_default();
        kib / 1024
    };
    let lines = [
        ("zookeeper.version", version::full()),
        ("host.name", read("/proc/sys/kernel/hostname")),
        ("java.version", "none".to_owned()),
        ("java.vendor", "none".to_owned()),
        ("java.home", String::new()),
        ("java.class.path", String::new()),
        ("java.library.path", String::new()),
        ("java.io.tmpdir", std::env::temp_dir().display().to_string()),
        ("java.compiler", "<NA>".to_owned()),
        ("os.name", "Linux".to_owned()),
        (
            "os.arch",
            if cfg!(target_arch = "x86_64") {
                "amd64"
            } else {
                std::env::consts::ARCH
            }
            .to_owned(),
        ),
        ("os.version", read("/proc/sys/kernel/osrelease")),
        ("user.name", var("USER")),
        ("user.home", var("HOME")),
        ("user.dir", dir.display().to_string()),
        ("os.memory.free", format!("{}MB", memory("MemAvailable:"))),
        ("os.memory.max", format!("{}MB", memory("MemTotal:"))),
        ("os.memory.total", format!("{}MB", memory("MemTotal:"))),
    ];
    let mut text = "Environment:\n".to_owned();
    for (key, value) in lines {
        let _infallible = writeln!(text, "{key}={value}");
    }
    text
}

pub(super) fn hash(shared: &Shared) -> String {
    let tree = shared.read_tree();
    let mut text = String::new();
    for entry in tree.digest_log() {
        let _infallible = writeln!(text, "{:x}: {}", entry.zxid, entry.digest as i64);
    }
    text
}

/// ` /ip:port[ops](queued=…)`. Source: `ServerCnxn.dumpConnectionInfo`.
fn connection(conn: &Conn, brief: bool) -> String {
    let stats = &conn.stats;
    let interest = if stats.session.load(Relaxed) == 0 {
        0
    } else {
        1
    };
    let mut text = format!(
        " /{}[{interest}](queued={},recved={},sent={}",
        java_address(conn),
        stats.outstanding.load(Relaxed).max(0),
        stats.received.load(Relaxed),
        stats.sent.load(Relaxed)
    );
    let session = conn.session();
    if !brief && session.0 != 0 {
        let last = *conn.last_op();
        let _infallible = write!(
            text,
            ",sid=0x{:x},lop={},est={},to={}",
            session.0,
            last.op.map_or("NA", op_name),
            stats.established_ms.load(Relaxed),
            stats.timeout_ms.load(Relaxed)
        );
        if last.op.is_some() && last.cxid >= 0 {
            let _infallible = write!(text, ",lcxid=0x{:x}", last.cxid);
        }
        let _infallible = write!(
            text,
            ",lzxid=0x{:x},lresp={},llat={},minlat={},avglat={},maxlat={}",
            last.zxid,
            last.response_ms,
            last.last_latency_ms,
            last.latency.min_ms,
            last.latency
                .total_ms
                .checked_div(last.latency.count)
                .unwrap_or_default(),
            last.latency.max_ms
        );
    }
    text.push(')');
    text
}

fn java_address(conn: &Conn) -> String {
    let ip = menagerie_core::acl::ip_id(conn.remote.ip()).id;
    if conn.remote.is_ipv6() {
        format!("[{ip}]:{}", conn.remote.port())
    } else {
        format!("{ip}:{}", conn.remote.port())
    }
}

/// Source: the `lastOp` strings of `FinalRequestProcessor`.
const fn op_name(op: i32) -> &'static str {
    match op {
        op_code::PING => "PING",
        op_code::CREATE | op_code::CREATE2 | op_code::CREATE_TTL | op_code::CREATE_CONTAINER => {
            "CREA"
        }
        op_code::DELETE | op_code::DELETE_CONTAINER => "DELE",
        op_code::SET_DATA => "SETD",
        op_code::SET_ACL => "SETA",
        op_code::GET_DATA => "GETD",
        op_code::GET_CHILDREN | op_code::GET_CHILDREN2 => "GETC",
        op_code::GET_ACL => "GETA",
        op_code::EXISTS => "EXIS",
        op_code::SYNC => "SYNC",
        op_code::CHECK => "CHEC",
        op_code::MULTI => "MULT",
        op_code::MULTI_READ => "MLTR",
        op_code::RECONFIG => "RECO",
        op_code::CLOSE_SESSION => "CLOS",
        op_code::SET_WATCHES => "SETW",
        op_code::SET_WATCHES2 => "STW2",
        op_code::ADD_WATCH => "ADDW",
        op_code::CHECK_WATCHES => "CHKW",
        op_code::REMOVE_WATCHES => "REMW",
        op_code::GET_EPHEMERALS => "GETE",
        op_code::GET_ALL_CHILDREN_NUMBER => "GETACN",
        op_code::WHO_AM_I => "HOMI",
        op_code::CREATE_SESSION => "SESS",
        _ => "NA",
    }
}

pub(super) fn cons(shared: &Shared) -> String {
    let mut text = String::new();
    for conn in shared.conns.all() {
        text.push_str(&connection(&conn, false));
        text.push('\n');
    }
    text.push('\n');
    text
}

pub(super) fn stat(shared: &Shared) -> String {
    let mut text = format!("Zookeeper version: {}\nClients:\n", version::built());
    for conn in shared.conns.all() {
        text.push_str(&connection(&conn, true));
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&server_lines(shared));
    text
}

pub(super) fn srvr(shared: &Shared) -> String {
    format!(
        "Zookeeper version: {}\n{}",
        version::built(),
        server_lines(shared)
    )
}

/// Source: `ServerStats.toString`, `StatCommand`.
fn server_lines(shared: &Shared) -> String {
    let stats = &shared.stats;
    let latency = stats.latency();
    let tree = shared.read_tree();
    format!(
        "Latency min/avg/max: {}/{}/{}\nReceived: {}\nSent: {}\nConnections: {}\n\
         Outstanding: {}\nZxid: 0x{:x}\nMode: {}\nNode count: {}\n{}",
        latency.min_ms,
        double(latency.average()),
        latency.max_ms,
        stats.received.load(Relaxed),
        stats.sent.load(Relaxed),
        shared.conns.len(),
        stats.in_process.load(Relaxed).max(0),
        tree.last_zxid(),
        shared.mode(),
        tree.node_count(),
        proposal_sizes(shared)
    )
}

/// What only a leader tells.
fn proposal_sizes(shared: &Shared) -> String {
    if shared.mode() == "leader" {
        let sizes = &shared.stats.proposal_sizes;
        let (last, min, max) = (
            sizes.last.load(Relaxed),
            sizes.min.load(Relaxed),
            sizes.max.load(Relaxed),
        );
        format!("Proposal sizes last/min/max: {last}/{min}/{max}\n")
    } else {
        String::new()
    }
}

pub(super) fn wchs(shared: &Shared) -> String {
    let counts = shared.watches.data_counts();
    format!(
        "{} connections watching {} paths\nTotal watches:{}\n",
        counts.connections, counts.paths, counts.watches
    )
}

fn sessions_of(shared: &Shared, conns: impl IntoIterator<Item = ConnId>) -> BTreeSet<SessionId> {
    let slots = shared.conns.slots();
    conns
        .into_iter()
        .filter_map(|id| slots.get(id))
        .map(|conn| conn.session())
        .collect()
}

pub(super) fn wchc(shared: &Shared) -> String {
    let mut text = String::new();
    for (conn, paths) in shared.watches.data_by_conn() {
        for session in sessions_of(shared, [conn]) {
            let _infallible = writeln!(text, "{session}");
            for path in &paths {
                let _infallible = writeln!(text, "\t{path}");
            }
        }
    }
    text.push('\n');
    text
}

pub(super) fn wchp(shared: &Shared) -> String {
    let mut text = String::new();
    for (path, conns) in shared.watches.data_by_path() {
        let _infallible = writeln!(text, "{path}");
        for session in sessions_of(shared, conns) {
            let _infallible = writeln!(text, "\t{session}");
        }
    }
    text.push('\n');
    text
}

/// Source: `DumpCommand`, `SessionTrackerImpl.dumpSessions`, `DataTree.dumpEphemerals`.
pub(super) fn dump(shared: &Shared, replica: &Replica, tree: &Tree) -> String {
    let sessions = replica.sessions();
    let buckets = sessions.buckets();
    let now = shared.clock.now();
    let mut text = "SessionTracker dump:\n".to_owned();
    let _infallible = writeln!(
        text,
        "Session Sets ({})/({}):",
        buckets.len(),
        sessions.len()
    );
    for (at, ids) in buckets {
        let date = crate::java_date::format(now.wall_ms + at - now.mono_ms);
        let _infallible = writeln!(text, "{} expire at {date}:", ids.len());
        for id in ids {
            let _infallible = writeln!(text, "\t{id}");
        }
    }
    text.push_str("ephemeral nodes dump:\n");
    let owners: BTreeMap<i64, BTreeSet<String>> = tree
        .ephemeral_owners()
        .map(|owner| (owner, tree.ephemerals(owner).collect()))
        .collect();
    let _infallible = writeln!(text, "Sessions with Ephemerals ({}):", owners.len());
    for (owner, paths) in owners {
        let _infallible = writeln!(text, "0x{owner:x}:");
        for path in paths {
            let _infallible = writeln!(text, "\t{path}");
        }
    }
    text.push_str("Connections dump:\n");
    let conns = shared.conns.all();
    let tick = shared.config.tick_time_ms.max(1);
    let mut sets: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for conn in &conns {
        let timeout = i64::from(conn.stats.timeout_ms.load(Relaxed));
        let ends = (conn.stats.heard_ms.load(Relaxed) + timeout) / tick * tick + tick;
        let line = format!(
            "\tip: /{} sessionId: {}",
            java_address(conn),
            conn.session()
        );
        sets.entry(ends).or_default().push(line);
    }
    let _infallible = writeln!(text, "Connections Sets ({})/({}):", sets.len(), conns.len());
    for (at, lines) in sets {
        let date = crate::java_date::format(now.wall_ms + at - now.mono_ms);
        let _infallible = writeln!(text, "{} expire at {date}:", lines.len());
        for line in lines {
            let _infallible = writeln!(text, "{line}");
        }
    }
    text
}

/// Source: `MonitorCommand`, `ZooKeeperServer.dumpMonitorValues`.
pub(super) fn mntr(shared: &Shared, engine: &Engine, tree: &Tree) -> String {
    let replica = engine.replica();
    let stats = &shared.stats;
    let latency = stats.latency();
    let (open, max) = descriptors();
    let integer = |value: i64| value.to_string();
    let count = |value: usize| value.to_string();
    let values = [
        ("version", version::built()),
        ("server_state", shared.mode().to_owned()),
        ("peer_state", shared.peer_state().to_owned()),
        ("avg_latency", double(latency.average())),
        ("max_latency", latency.max_ms.to_string()),
        ("min_latency", latency.min_ms.to_string()),
        ("packets_received", stats.received.load(Relaxed).to_string()),
        ("packets_sent", stats.sent.load(Relaxed).to_string()),
        ("num_alive_connections", count(shared.conns.len())),
        (
            "outstanding_requests",
            integer(stats.in_process.load(Relaxed).max(0)),
        ),
        ("outstanding_changes", count(replica.outstanding_changes())),
        ("znode_count", count(tree.node_count())),
        ("watch_count", count(shared.watches.len())),
        ("ephemerals_count", count(tree.ephemeral_count())),
        (
            "approximate_data_size",
            integer(tree.approximate_data_size()),
        ),
        ("global_sessions", count(replica.sessions().len())),
        ("local_sessions", "0".to_owned()),
        ("open_file_descriptor_count", count(open)),
        ("max_file_descriptor_count", count(max)),
        (
            "last_client_response_size",
            integer(stats.last_response_size.load(Relaxed)),
        ),
        (
            "max_client_response_size",
            integer(stats.max_response_size.load(Relaxed)),
        ),
        (
            "min_client_response_size",
            integer(stats.min_response_size.load(Relaxed)),
        ),
        ("uptime", integer(shared.clock.mono_ms())),
        (
            "fsync_threshold_exceed_count",
            stats.fsync_threshold_exceeded.load(Relaxed).to_string(),
        ),
        (
            "auth_failed_count",
            stats.auth_failed.load(Relaxed).to_string(),
        ),
        (
            "digest_mismatches_count",
            stats.digest_mismatches.load(Relaxed).to_string(),
        ),
        (
            "connection_rejected",
            stats.connections_rejected.load(Relaxed).to_string(),
        ),
        ("snap_count", stats.snapshots.load(Relaxed).to_string()),
        (
            "large_requests_rejected",
            stats.large_requests_rejected.load(Relaxed).to_string(),
        ),
        (
            "stale_sessions_expired",
            stats.stale_sessions_expired.load(Relaxed).to_string(),
        ),
        ("throttled_ops", stats.throttled.load(Relaxed).to_string()),
        ("connection_drop_probability", "0.0".to_owned()),
        ("outstanding_tls_handshake", "0".to_owned()),
        ("non_mtls_remote_conn_count", "0".to_owned()),
        ("non_mtls_local_conn_count", "0".to_owned()),
    ];
    let mut text = String::new();
    for (key, value) in values.into_iter().chain(ensemble_values(shared, engine)) {
        let _infallible = writeln!(text, "zk_{key}\t{value}");
    }
    text
}

/// Source: `LeaderZooKeeperServer.dumpMonitorValues` and its siblings for learners.
fn ensemble_values(shared: &Shared, engine: &Engine) -> Vec<(&'static str, String)> {
    let Some(member) = engine.member() else {
        return Vec::new();
    };
    let phase = member.phase();
    let mut values = vec![(
        "quorum_size",
        member.configs().newest().voters().count().to_string(),
    )];
    if phase.leader == Some(member.me()) {
        let learners: Vec<_> = member.learners().collect();
        let followers = learners.iter().filter(|l| !l.observer);
        let synced = |observer: bool| {
            let count = learners
                .iter()
                .filter(|l| l.observer == observer && l.synced)
                .count();
            count.to_string()
        };
        let sizes = &shared.stats.proposal_sizes;
        values.extend([
            ("learners", learners.len().to_string()),
            ("synced_followers", synced(false)),
            ("synced_non_voting_followers", {
                let voters = member.configs();
                let count = followers
                    .filter(|l| l.synced && !voters.is_voter(l.sid))
                    .count();
                count.to_string()
            }),
            ("synced_observers", synced(true)),
            ("pending_syncs", "0".to_owned()),
            ("leader_uptime", shared.phase_age_ms().to_string()),
            ("last_proposal_size", sizes.last.load(Relaxed).to_string()),
            ("max_proposal_size", sizes.max.load(Relaxed).to_string()),
            ("min_proposal_size", sizes.min.load(Relaxed).to_string()),
        ]);
    }
    values
}

/// Open file descriptors of this process, and how many it may have.
fn descriptors() -> (usize, usize) {
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let max = limits.lines().find_map(|line| {
        line.strip_prefix("Max open files")?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    });
    (open, max.unwrap_or(usize::MAX))
}
