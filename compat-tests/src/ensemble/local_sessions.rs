//! Owns what sessions go through that only one member knows, the same on every kind of member: they
//! are opened, used, moved, closed and forgotten, and become the ensemble's when they create an
//! ephemeral node. Source: `LearnerSessionTracker`, `LeaderSessionTracker`, `QuorumZooKeeperServer`.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use menagerie_wire::client::{CreateRequest, PathRequest, PathWatchRequest, SetDataRequest};
use menagerie_wire::jute::{decode_all, decode_prefix};
use menagerie_wire::multi::{MultiOp, MultiRequest, MultiResponse, MultiResult};
use menagerie_wire::op::{ErrorCode, op_code, xid};

use super::cluster::Cluster;
use crate::populate::create_request;
use crate::raw::{Granted, Incoming, Raw};
use crate::server::{Kind, four_letter};

/// How long members may take to agree on something.
const PATIENCE: Duration = Duration::from_secs(20);
/// The shortest time-out at a tick of 500 ms.
const SHORT_MS: i32 = 1000;
/// A time-out that does not pass.
const LONG_MS: i32 = 10_000;

/// Makes members that are not started open local sessions, which may become the ensemble's or not.
pub(super) fn configure(cluster: &mut Cluster, upgrade: bool) {
    for server in &mut cluster.servers {
        server.add_line("localSessionsEnabled=true");
        server.add_line(format!("localSessionsUpgradingEnabled={upgrade}"));
    }
}

/// Everything that depends on upgrading being allowed.
pub(super) fn upgradable(cluster: &mut Cluster) -> Result<String> {
    cluster.start_all()?;
    for at in 0..cluster.servers.len() {
        let what = || format!("at server {} ({})", at + 1, cluster.mode(at));
        known_to_one(cluster, at).with_context(what)?;
        does_not_move(cluster, at).with_context(what)?;
        expires(cluster, at).with_context(what)?;
        is_upgraded(cluster, at).with_context(what)?;
        upgraded_expires(cluster, at).with_context(what)?;
        is_kept_alive(cluster, at).with_context(what)?;
        in_a_multi(cluster, at, true).with_context(what)?;
    }
    leader_changes(cluster).context("another leader")?;
    cluster.compare()?;
    Ok(format!("{} members", cluster.servers.len()))
}

/// Everything that depends on upgrading being forbidden.
pub(super) fn fixed(cluster: &mut Cluster) -> Result<String> {
    cluster.start_all()?;
    for at in 0..cluster.servers.len() {
        let what = || format!("at server {} ({})", at + 1, cluster.mode(at));
        known_to_one(cluster, at).with_context(what)?;
        does_not_move(cluster, at).with_context(what)?;
        refuses_ephemerals(cluster, at).with_context(what)?;
        in_a_multi(cluster, at, false).with_context(what)?;
    }
    cluster.compare()?;
    Ok(format!("{} members", cluster.servers.len()))
}

fn address(cluster: &Cluster, at: usize) -> SocketAddr {
    cluster.servers[at].address()
}

/// A figure of `mntr`.
fn figure(cluster: &Cluster, at: usize, key: &str) -> Result<i64> {
    let mntr = four_letter(address(cluster, at), "mntr")?;
    let prefix = format!("zk_{key}\t");
    let value = mntr.lines().find_map(|line| line.strip_prefix(&prefix));
    let value = value.with_context(|| format!("mntr has no {key}"))?;
    Ok(value.parse()?)
}

/// Local and global sessions as a member counts them.
fn counts(cluster: &Cluster, at: usize) -> Result<(i64, i64)> {
    let local = figure(cluster, at, "local_sessions")?;
    Ok((local, figure(cluster, at, "global_sessions")?))
}

/// Waits until a member counts that many local and global sessions.
fn await_counts(cluster: &Cluster, at: usize, wanted: (i64, i64)) -> Result<()> {
    let begun = Instant::now();
    loop {
        let found = counts(cluster, at)?;
        if found == wanted {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "server {} counts {found:?} local and global sessions, not {wanted:?}",
            at + 1
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until all members have that many global sessions.
fn await_global(cluster: &Cluster, wanted: i64) -> Result<()> {
    for at in 0..cluster.servers.len() {
        let (local, _) = counts(cluster, at)?;
        await_counts(cluster, at, (local, wanted))?;
    }
    Ok(())
}

/// The last transaction, once all members have it; a write goes first, as followers learn a new
/// epoch's zxid with its first transaction.
fn settled(cluster: &Cluster) -> Result<i64> {
    let at = address(cluster, 0);
    let (mut raw, _) = Raw::session(at, LONG_MS)?;
    let (header, _) = raw.call(op_code::CREATE, &create_request("/settle-", None, 2))?;
    ensure!(header.err == 0, "error {}", header.err);
    raw.close_session()?;
    let begun = Instant::now();
    loop {
        let zxids: Vec<i64> = (0..cluster.servers.len())
            .map(|at| last_zxid(cluster, at))
            .collect::<Result<_>>()?;
        if zxids
            .iter()
            .all(|zxid| *zxid >= header.zxid && *zxid == zxids[0])
        {
            return Ok(zxids[0]);
        }
        ensure!(begun.elapsed() < PATIENCE, "members stay apart: {zxids:x?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn last_zxid(cluster: &Cluster, at: usize) -> Result<i64> {
    let srvr = four_letter(address(cluster, at), "srvr")?;
    let zxid = srvr.lines().find_map(|line| line.strip_prefix("Zxid: 0x"));
    let zxid = zxid.with_context(|| format!("no zxid in {srvr:?}"))?;
    Ok(i64::from_str_radix(zxid, 16)?)
}

fn create(raw: &mut Raw, path: &str, flags: i32) -> Result<(ErrorCode, i64)> {
    let (header, _) = raw.call(op_code::CREATE, &create_request(path, None, flags))?;
    Ok((ErrorCode(header.err), header.zxid))
}

fn exists(raw: &mut Raw, path: &str, watch: bool) -> Result<ErrorCode> {
    let sync = PathRequest {
        path: Some("/".into()),
    };
    let (header, _) = raw.call(op_code::SYNC, &sync)?;
    ensure!(header.err == 0, "sync: error {}", header.err);
    let path = Some(path.into());
    let (header, _) = raw.call(op_code::EXISTS, &PathWatchRequest { path, watch })?;
    Ok(ErrorCode(header.err))
}

/// Whether a node is there, at every member alike.
fn everywhere(cluster: &Cluster, path: &str, wanted: ErrorCode) -> Result<()> {
    for at in 0..cluster.servers.len() {
        let (mut raw, _) = Raw::session(address(cluster, at), LONG_MS)?;
        let found = exists(&mut raw, path, false)?;
        ensure!(
            found == wanted,
            "{path} at server {}: {}",
            at + 1,
            found.name()
        );
        raw.close_session()?;
    }
    Ok(())
}

/// Whether the session can be had at a member.
fn is_open(cluster: &Cluster, at: usize, granted: &Granted) -> Result<Option<Raw>> {
    let (raw, answer) = Raw::resume(address(cluster, at), granted.session_id, &granted.passwd)?;
    let answer = answer.context("closed instead of a connect response")?;
    ensure!(
        answer.session_id == granted.session_id || answer.session_id == 0,
        "{answer:?}"
    );
    Ok((answer.session_id != 0).then_some(raw))
}

/// No transaction opens or closes it; only its member counts it; it reads, writes and watches.
fn known_to_one(cluster: &Cluster, at: usize) -> Result<()> {
    let before = settled(cluster)?;
    let (mut raw, granted) = Raw::session(address(cluster, at), LONG_MS)?;
    let (mut watcher, _) = Raw::session(address(cluster, at), LONG_MS)?;
    ensure!(
        granted.session_id >> 56 == i64::try_from(at)? + 1,
        "session {:x}",
        granted.session_id
    );
    for other in 0..cluster.servers.len() {
        let local = if other == at { 2 } else { 0 };
        await_counts(cluster, other, (local, 0))?;
    }
    let zxid = last_zxid(cluster, cluster.leader()?)?;
    ensure!(zxid == before, "{before:x} became {zxid:x} with a session");
    dumped(cluster, at, &granted)?;

    let path = format!("/local{at}");
    let found = exists(&mut watcher, &path, true)?;
    ensure!(found == ErrorCode::NoNode, "{}", found.name());
    let (code, zxid) = create(&mut raw, &path, 0)?;
    ensure!(code == ErrorCode::Ok, "create: {}", code.name());
    ensure!(zxid == before + 1, "{zxid:x} behind {before:x}");
    let Incoming::Frame(event) = watcher.receive(PATIENCE) else {
        anyhow::bail!("no event for a local session's watch");
    };
    let (event_xid, _) = decode_prefix::<i32>(&event)?;
    ensure!(event_xid == xid::NOTIFICATION, "xid {event_xid}");
    let write = SetDataRequest {
        path: Some(path.as_str().into()),
        data: Some(b"by a local session"),
        version: 0,
    };
    let (header, _) = raw.call(op_code::SET_DATA, &write)?;
    ensure!(header.err == 0 && header.zxid == before + 2, "{header:?}");
    everywhere(cluster, &path, ErrorCode::Ok)?;
    await_counts(cluster, at, (2, 0))?;

    raw.close_session()?;
    watcher.close_session()?;
    await_counts(cluster, at, (0, 0))?;
    let zxid = last_zxid(cluster, cluster.leader()?)?;
    ensure!(zxid == before + 2, "{:x} became {zxid:x}", before + 2);
    for other in 0..cluster.servers.len() {
        ensure!(
            is_open(cluster, other, &granted)?.is_none(),
            "closed, and still open at server {}",
            other + 1
        );
    }
    Ok(())
}

/// `dump` at its member has it among the local ones, elsewhere not at all.
fn dumped(cluster: &Cluster, at: usize, granted: &Granted) -> Result<()> {
    for other in 0..cluster.servers.len() {
        let dump = four_letter(address(cluster, other), "dump")?;
        let mut lines = dump.lines().skip(1);
        let local = lines.next().unwrap_or_default();
        ensure!(local.starts_with("Local Session Sets ("), "{dump}");
        let is_global = |line: &str| {
            if cluster.mode(other) == "leader" {
                // Apache counts sets that are empty by now.
                line.starts_with("Global Session Sets (") && line.ends_with(")/(0):")
            } else {
                line == "Global Sessions(0):"
            }
        };
        ensure!(lines.any(is_global), "{dump}");
        let line = format!("\n\t0x{:x}\n", granted.session_id);
        ensure!(dump.contains(&line) == (other == at), "{dump}");
    }
    Ok(())
}

/// Other members do not know it; at its own it can be had again and again.
fn does_not_move(cluster: &Cluster, at: usize) -> Result<()> {
    let (mut raw, granted) = Raw::session(address(cluster, at), LONG_MS)?;
    for other in (0..cluster.servers.len()).filter(|other| *other != at) {
        ensure!(
            is_open(cluster, other, &granted)?.is_none(),
            "it can be had at server {}",
            other + 1
        );
    }
    let (code, _) = create(&mut raw, &format!("/stays{at}-"), 2)?;
    ensure!(code == ErrorCode::Ok, "create: {}", code.name());
    raw.abandon();
    for _ in 0..2 {
        let again = is_open(cluster, at, &granted)?;
        let mut again = again.context("it cannot be had again where it was opened")?;
        again.ping()?;
        again.abandon();
    }
    let last = is_open(cluster, at, &granted)?.context("it is gone")?;
    last.close_session()
}

/// Without a sign of life its member closes it, without a transaction.
fn expires(cluster: &Cluster, at: usize) -> Result<()> {
    let before = settled(cluster)?;
    let (raw, granted) = Raw::session(address(cluster, at), SHORT_MS)?;
    let (mut silent, _) = Raw::session(address(cluster, at), SHORT_MS)?;
    raw.abandon();
    await_counts(cluster, at, (0, 0))?;
    ensure!(
        silent.receive(PATIENCE) == Incoming::Closed,
        "the connection of a session that has expired stays open"
    );
    let zxid = last_zxid(cluster, cluster.leader()?)?;
    ensure!(zxid == before, "{before:x} became {zxid:x} by an expiry");
    ensure!(is_open(cluster, at, &granted)?.is_none(), "still open");
    Ok(())
}

/// An ephemeral node makes it the ensemble's: two transactions, and it can go anywhere.
fn is_upgraded(cluster: &Cluster, at: usize) -> Result<()> {
    let before = settled(cluster)?;
    let (mut raw, granted) = Raw::session(address(cluster, at), LONG_MS)?;
    let path = format!("/upgraded{at}");
    let (code, zxid) = create(&mut raw, &path, 1)?;
    ensure!(code == ErrorCode::Ok, "create: {}", code.name());
    ensure!(zxid == before + 2, "{zxid:x} behind {before:x}");
    await_counts(cluster, at, (0, 1))?;
    await_global(cluster, 1)?;
    // Once is enough.
    let (code, zxid) = create(&mut raw, &format!("{path}-"), 3)?;
    ensure!(code == ErrorCode::Ok, "create: {}", code.name());
    ensure!(zxid == before + 3, "{zxid:x} behind {before:x}");
    raw.abandon();
    for other in 0..cluster.servers.len() {
        let moved = is_open(cluster, other, &granted)?;
        let mut moved = moved.with_context(|| format!("not open at server {}", other + 1))?;
        let (code, _) = create(&mut moved, &format!("{path}-on{other}"), 1)?;
        ensure!(code == ErrorCode::Ok, "create: {}", code.name());
        moved.abandon();
    }
    let last = is_open(cluster, (at + 1) % cluster.servers.len(), &granted)?;
    last.context("it is gone")?.close_session()?;
    await_global(cluster, 0)?;
    everywhere(cluster, &path, ErrorCode::NoNode)?;
    everywhere(cluster, &format!("{path}-on0"), ErrorCode::NoNode)
}

/// The leader judges whether it is alive from then on; its nodes go with it.
fn upgraded_expires(cluster: &Cluster, at: usize) -> Result<()> {
    let (mut raw, granted) = Raw::session(address(cluster, at), SHORT_MS)?;
    let path = format!("/expiring{at}");
    let (code, _) = create(&mut raw, &path, 1)?;
    ensure!(code == ErrorCode::Ok, "create: {}", code.name());
    raw.abandon();
    await_global(cluster, 0)?;
    everywhere(cluster, &path, ErrorCode::NoNode)?;
    for other in 0..cluster.servers.len() {
        ensure!(is_open(cluster, other, &granted)?.is_none(), "still open");
    }
    Ok(())
}

/// Pings keep it alive before and after it is upgraded, for its member and for the leader.
fn is_kept_alive(cluster: &Cluster, at: usize) -> Result<()> {
    let (mut raw, _) = Raw::session(address(cluster, at), SHORT_MS)?;
    let path = format!("/alive{at}");
    for upgraded in [false, true] {
        if upgraded {
            let (code, _) = create(&mut raw, &path, 1)?;
            ensure!(code == ErrorCode::Ok, "create: {}", code.name());
        }
        for _ in 0..10 {
            thread::sleep(Duration::from_millis(250));
            raw.ping()?;
        }
        let expected = if upgraded { (0, 1) } else { (1, 0) };
        await_counts(cluster, at, expected)?;
    }
    everywhere(cluster, &path, ErrorCode::Ok)?;
    raw.close_session()?;
    await_global(cluster, 0)
}

/// Several operations, one of which creates an ephemeral node.
fn in_a_multi(cluster: &Cluster, at: usize, upgrade: bool) -> Result<()> {
    let before = settled(cluster)?;
    let (mut raw, _) = Raw::session(address(cluster, at), LONG_MS)?;
    let paths = [format!("/multi{at}"), format!("/multi{at}e")];
    let request = |flags: i32| {
        let one = |path: &str, flags: i32| -> MultiOp<'static> {
            let CreateRequest { acl, .. } = create_request("/", None, 0);
            let path = path.to_owned();
            MultiOp::Create(
                op_code::CREATE,
                CreateRequest {
                    path: Some(path.into()),
                    data: None,
                    acl,
                    flags,
                },
            )
        };
        let ops = vec![one(&paths[0], 0), one(&paths[1], flags), one("/", 0)];
        MultiRequest { ops }
    };
    let codes = |body: &[u8]| -> Result<Vec<i32>> {
        let response = decode_all::<MultiResponse<'_>>(body)?;
        let code = |result: &MultiResult<'_>| match result {
            MultiResult::Error(code) => *code,
            _ => 0,
        };
        Ok(response.results.iter().map(code).collect())
    };
    // None of it needs more than a local session.
    let (header, body) = raw.call(op_code::MULTI, &request(0))?;
    ensure!(header.err == 0, "multi: error {}", header.err);
    ensure!(codes(&body)? == [0, 0, -110], "{:?}", codes(&body)?);
    ensure!(header.zxid == before + 1, "{:x}", header.zxid);
    await_counts(cluster, at, (1, 0))?;
    let (header, body) = raw.call(op_code::MULTI, &request(1))?;
    ensure!(header.err == 0, "multi: error {}", header.err);
    if upgrade {
        // It is upgraded though the rest fails.
        ensure!(codes(&body)? == [0, 0, -110], "{:?}", codes(&body)?);
        ensure!(header.zxid == before + 3, "{:x}", header.zxid);
        await_counts(cluster, at, (0, 1))?;
    } else {
        // Only the leader's own clients learn the reason.
        let leads = cluster.mode(at) == "leader";
        let reason = if leads { -120 } else { -112 };
        ensure!(codes(&body)? == [0, reason, -2], "{:?}", codes(&body)?);
        ensure!(header.zxid == before + 2, "{:x}", header.zxid);
        await_counts(cluster, at, (1, 0))?;
    }
    everywhere(cluster, &paths[0], ErrorCode::NoNode)?;
    raw.close_session()?;
    await_global(cluster, 0)
}

/// An ephemeral node cannot be had, anything else can.
fn refuses_ephemerals(cluster: &Cluster, at: usize) -> Result<()> {
    let before = settled(cluster)?;
    let (mut raw, _) = Raw::session(address(cluster, at), LONG_MS)?;
    for (number, flags) in [1, 3].into_iter().enumerate() {
        let path = format!("/refused{at}");
        let (code, zxid) = create(&mut raw, &path, flags)?;
        ensure!(
            code == ErrorCode::EphemeralOnLocalSession,
            "flags {flags}: {}",
            code.name()
        );
        let expected = before + 1 + i64::try_from(number)?;
        ensure!(zxid == expected, "{zxid:x}, not {expected:x}");
        everywhere(cluster, &path, ErrorCode::NoNode)?;
    }
    let (header, _) = raw.call(
        op_code::CREATE2,
        &create_request(&format!("/refused{at}"), None, 1),
    )?;
    ensure!(header.err == -120, "create2: error {}", header.err);
    let (header, _) = raw.call(
        op_code::CREATE_CONTAINER,
        &create_request(&format!("/refused{at}"), None, 1),
    )?;
    ensure!(header.err == -112, "createContainer: error {}", header.err);
    let (code, _) = create(&mut raw, &format!("/granted{at}"), 0)?;
    ensure!(code == ErrorCode::Ok, "create: {}", code.name());
    await_counts(cluster, at, (1, 0))?;
    raw.close_session()
}

/// The leader is lost. What is the ensemble's lives on; local sessions do at members of ours, and
/// end at Apache's, which forget them with the role.
fn leader_changes(cluster: &mut Cluster) -> Result<()> {
    settled(cluster)?;
    let leader = cluster.leader()?;
    let others: Vec<usize> = (0..cluster.servers.len())
        .filter(|at| *at != leader)
        .collect();
    let mut sessions = Vec::new();
    for &at in &others {
        let (mut local, granted) = Raw::session(address(cluster, at), LONG_MS)?;
        local.ping()?;
        let (mut upgraded, other) = Raw::session(address(cluster, at), LONG_MS)?;
        let path = format!("/survives{at}");
        let (code, _) = create(&mut upgraded, &path, 1)?;
        ensure!(code == ErrorCode::Ok, "create: {}", code.name());
        sessions.push((at, granted, other, path));
        local.abandon();
        upgraded.abandon();
    }
    cluster.servers[leader].kill()?;
    cluster.leader()?;
    cluster.await_serving()?;
    for (at, local, upgraded, path) in &sessions {
        let what = || format!("server {} ({})", at + 1, cluster.mode(*at));
        let survives = cluster.servers[*at].kind() == Kind::Menagerie;
        let raw = is_open(cluster, *at, local)?;
        ensure!(raw.is_some() == survives, "the local session of {}", what());
        if let Some(mut raw) = raw {
            let (code, _) = create(&mut raw, &format!("/after{at}"), 0)?;
            ensure!(code == ErrorCode::Ok, "create: {}", code.name());
            raw.close_session()?;
        }
        let raw = is_open(cluster, *at, upgraded)?;
        let mut raw = raw.with_context(|| format!("an upgraded session of {}", what()))?;
        let found = exists(&mut raw, path, false)?;
        ensure!(found == ErrorCode::Ok, "{path}: {}", found.name());
        raw.close_session()?;
    }
    cluster.servers[leader].start()?;
    await_global(cluster, 0)
}
