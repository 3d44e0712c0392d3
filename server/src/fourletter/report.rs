//! Owns the texts of four-letter words, in the formats that existing parsers read.
//! Source: the classes in `org.apache.zookeeper.server.command`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use menagerie_core::event::Now;
use menagerie_core::ids::{ConnId, SessionId};
use menagerie_core::session::SessionTracker;
use menagerie_core::tree::Tree;
use menagerie_wire::op::op_code;

use crate::client::registry::Conn;
use crate::process;
use crate::runtime::engine::Engine;
use crate::shared::Shared;
use crate::version;

/// A number as Java prints a double.
pub(super) fn double(value: f64) -> String {
    if value == value.trunc() {
        format!("{value:.1}")
    } else {
        format!("{value}")
    }
}

pub(super) fn conf(shared: &Shared) -> String {
    let plain = shared.config.has_plain_port();
    let port = plain.then(|| shared.client_port.load(Relaxed));
    let configs = shared.configs();
    let members = configs.as_ref().map(|configs| configs.committed.members());
    shared.live.load().conf_text(
        members,
        (port, shared.secure_port()),
        shared.dirs.data_size(),
        shared.dirs.log_size(),
    )
}

pub(super) fn dirs(shared: &Shared) -> String {
    let (data, log) = (shared.dirs.data_size(), shared.dirs.log_size());
    format!("datadir_size: {data}\nlogdir_size: {log}\n")
}

pub(super) fn envi() -> String {
    let mut text = "Environment:\n".to_owned();
    for (key, value) in environment_lines() {
        let _infallible = writeln!(text, "{key}={value}");
    }
    text
}

/// What a Java server says of its machine, as far as there is such a thing here.
pub(crate) fn environment_lines() -> [(&'static str, String); 18] {
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let read = |path: &str| {
        std::fs::read_to_string(path)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let dir = std::env::current_dir().unwrap_or_default();
    let memory = |key: &str| process::memory_kib(key).unwrap_or_default() / 1024;
    [
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
    ]
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
            last.latency.min,
            last.latency
                .sum
                .checked_div(last.latency.count)
                .unwrap_or_default(),
            last.latency.max
        );
    }
    text.push(')');
    text
}

/// A client's address as Java writes it.
pub(crate) fn java_address(conn: &Conn) -> String {
    let ip = menagerie_core::acl::ip_id(conn.remote.ip()).id;
    if conn.remote.is_ipv6() {
        format!("[{ip}]:{}", conn.remote.port())
    } else {
        format!("{ip}:{}", conn.remote.port())
    }
}

/// What `cons` calls an operation. Source: the `lastOp` strings of `FinalRequestProcessor`.
pub(crate) const fn op_name(op: i32) -> &'static str {
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

/// Those of the port that is asked. Source: `ConsCommand`, which has one factory.
pub(super) fn cons(shared: &Shared, secure: bool) -> String {
    let mut text = String::new();
    for conn in shared.conns.of_port(secure) {
        text.push_str(&connection(&conn, false));
        text.push('\n');
    }
    text.push('\n');
    text
}

pub(super) fn stat(shared: &Shared, secure: bool) -> String {
    let mut text = format!("Zookeeper version: {}\nClients:\n", version::built());
    for conn in shared.conns.of_port(secure) {
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
        latency.min,
        double(latency.average()),
        latency.max,
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

/// Sessions by the time at which they expire.
fn session_sets(text: &mut String, sessions: &SessionTracker, now: Now) {
    let buckets = sessions.buckets();
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
}

/// Source: `DumpCommand`, `LeaderSessionTracker.dumpSessions`, `LearnerSessionTracker.dumpSessions`,
/// `SessionTrackerImpl.dumpSessions`, `DataTree.dumpEphemerals`.
pub(super) fn dump(shared: &Shared, engine: &Engine, tree: &Tree) -> String {
    let sessions = engine.replica().all_sessions();
    let now = shared.clock.now();
    let mut text = "SessionTracker dump:\n".to_owned();
    let leads = engine.judges_sessions();
    if let Some(local) = sessions.local() {
        text.push_str("Local ");
        session_sets(&mut text, local, now);
        text.push_str(if leads { "Global " } else { "" });
    }
    if leads {
        session_sets(&mut text, sessions.global(), now);
    } else {
        // Only the leader knows when they expire.
        let all = sessions.global().all();
        let _infallible = writeln!(text, "Global Sessions({}):", all.len());
        for (id, timeout_ms) in all {
            let _infallible = writeln!(text, "{id}\t{timeout_ms}ms");
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
