//! Owns what clients may rely on whichever member they talk to: sessions and watches that move with
//! them, the order of their requests, their own writes, the end of ephemeral nodes. Must not look
//! into a server.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use menagerie_wire::client::{
    GetDataResponse, PathWatchRequest, ReplyHeader, RequestHeader, SetDataRequest, SetWatches2,
    WatcherEvent,
};
use menagerie_wire::jute::{append, decode_all, decode_prefix, to_vec};
use menagerie_wire::op::{EventType, op_code, xid};

use super::cluster::Cluster;
use crate::populate::create_request;
use crate::raw::{Incoming, REPLY, Raw};
use crate::server::Server;

/// Flag of an ephemeral node.
const EPHEMERAL: i32 = 1;
/// ZooKeeper's code for a node that is not there.
const NO_NODE: i32 = -101;

/// Everything, on members that serve.
pub(super) fn all(cluster: &mut Cluster) -> Result<()> {
    let addresses: Vec<SocketAddr> = cluster.servers.iter().map(Server::address).collect();
    moves(cluster, &addresses).context("a session that moves")?;
    for (at, address) in addresses.iter().enumerate() {
        sees_its_own_writes(*address, at)
            .with_context(|| format!("reads behind writes at server {}", at + 1))?;
        closes_behind_its_writes(&addresses, at)
            .with_context(|| format!("a session closed at server {}", at + 1))?;
        watches_move(&addresses, at)
            .with_context(|| format!("watches taken away from server {}", at + 1))?;
    }
    expires_everywhere(&addresses).context("sessions that expire")
}

fn watched(path: &str) -> PathWatchRequest<'_> {
    PathWatchRequest {
        path: Some(path.into()),
        watch: true,
    }
}

fn exists(raw: &mut Raw, path: &str) -> Result<bool> {
    let read = PathWatchRequest {
        path: Some(path.into()),
        watch: false,
    };
    let (header, _) = raw.call(op_code::EXISTS, &read)?;
    match header.err {
        0 => Ok(true),
        NO_NODE => Ok(false),
        other => bail!("exists {path}: error {other}"),
    }
}

fn create(raw: &mut Raw, path: &str, flags: i32) -> Result<()> {
    let (header, _) = raw.call(op_code::CREATE, &create_request(path, Some(b"0"), flags))?;
    ensure!(header.err == 0, "create {path}: error {}", header.err);
    Ok(())
}

fn set<'a>(path: &'a str, data: &'a [u8]) -> SetDataRequest<'a> {
    SetDataRequest {
        path: Some(path.into()),
        data: Some(data),
        version: -1,
    }
}

/// Sends a request without waiting for its reply.
fn ask<T: serde::Serialize + ?Sized>(raw: &mut Raw, op: i32, body: &T) -> i32 {
    let xid = raw.take_xid();
    let mut frame = to_vec(&RequestHeader { xid, op });
    append(&mut frame, body);
    raw.send(&frame);
    xid
}

/// A session goes from member to member with its ephemeral node, and is gone everywhere once closed.
fn moves(cluster: &mut Cluster, addresses: &[SocketAddr]) -> Result<()> {
    let (mut raw, granted) = Raw::session(addresses[0], 20_000)?;
    create(&mut raw, "/moving", EPHEMERAL)?;
    // A connection that was left behind must not act for the session any more.
    if let Some(next) = addresses.get(1) {
        let (mut moved, _) = Raw::resume(*next, granted.session_id, &granted.passwd)?;
        create(&mut moved, "/moved", EPHEMERAL)?;
        let late = raw.call(op_code::CREATE, &create_request("/late", None, 0));
        ensure!(
            late.is_err(),
            "the connection left behind was answered: {late:?}"
        );
        moved.abandon();
    }
    raw.abandon();
    for address in addresses {
        let (mut raw, resumed) = Raw::resume(*address, granted.session_id, &granted.passwd)?;
        ensure!(
            resumed.is_some_and(|resumed| resumed.session_id == granted.session_id),
            "the session is not known at {address}"
        );
        raw.ping()?;
        raw.abandon();
    }
    let (raw, _) = Raw::resume(addresses[0], granted.session_id, &granted.passwd)?;
    raw.close_session()?;
    cluster.compare()?;
    for address in addresses {
        let (mut raw, _) = Raw::session(*address, 10_000)?;
        ensure!(
            !exists(&mut raw, "/moving")?,
            "the ephemeral node outlived its session at {address}"
        );
        raw.close_session()?;
    }
    Ok(())
}

/// Requests that are sent without waiting are answered in their order, and each read sees the write
/// before it.
fn sees_its_own_writes(address: SocketAddr, at: usize) -> Result<()> {
    const ROUNDS: usize = 100;
    let path = format!("/own-{at}");
    let (mut raw, _) = Raw::session(address, 10_000)?;
    create(&mut raw, &path, 0)?;
    let mut asked = Vec::new();
    for round in 0..ROUNDS {
        let value = round.to_string();
        asked.push((
            ask(&mut raw, op_code::SET_DATA, &set(&path, value.as_bytes())),
            None,
        ));
        let read = PathWatchRequest {
            path: Some(path.as_str().into()),
            watch: false,
        };
        asked.push((ask(&mut raw, op_code::GET_DATA, &read), Some(value)));
    }
    for (wanted, value) in asked {
        let Incoming::Frame(frame) = raw.receive(REPLY) else {
            bail!("no reply to {wanted}");
        };
        let (header, body) = decode_prefix::<ReplyHeader>(&frame)?;
        ensure!(
            header.xid == wanted && header.err == 0,
            "{header:?} instead of the reply to {wanted}"
        );
        if let Some(value) = value {
            let reply = decode_all::<GetDataResponse<'_>>(body)?;
            ensure!(
                reply.data == Some(value.as_bytes()),
                "{:?} was read behind a write of {value}",
                reply.data.map(String::from_utf8_lossy)
            );
        }
    }
    raw.close_session()
}

/// What a session wrote before it was closed is there everywhere, and its ephemeral nodes are not.
fn closes_behind_its_writes(addresses: &[SocketAddr], at: usize) -> Result<()> {
    const COUNT: usize = 20;
    let name = |number: usize| format!("/closed-{at}-{number}");
    let (mut raw, _) = Raw::session(addresses[at], 10_000)?;
    for number in 0..COUNT {
        let flags = if number % 2 == 0 { 0 } else { EPHEMERAL };
        let path = name(number);
        ask(
            &mut raw,
            op_code::CREATE,
            &create_request(&path, None, flags),
        );
    }
    let last = ask(&mut raw, op_code::CLOSE_SESSION, &());
    let (header, _) = raw.reply(last)?;
    ensure!(header.err == 0, "closeSession: error {}", header.err);
    for address in addresses {
        let (mut raw, _) = Raw::session(*address, 10_000)?;
        sync(&mut raw)?;
        for number in 0..COUNT {
            let there = exists(&mut raw, &name(number))?;
            ensure!(
                there == (number % 2 == 0),
                "{} at {address}: there is {there}",
                name(number)
            );
        }
        raw.close_session()?;
    }
    Ok(())
}

fn sync(raw: &mut Raw) -> Result<()> {
    let root = menagerie_wire::client::PathRequest {
        path: Some("/".into()),
    };
    let (header, _) = raw.call(op_code::SYNC, &root)?;
    ensure!(header.err == 0, "sync: error {}", header.err);
    Ok(())
}

/// A client takes its watches to the next member: what changed meanwhile is told at once, the rest
/// when it changes.
fn watches_move(addresses: &[SocketAddr], at: usize) -> Result<()> {
    let (here, there) = (addresses[at], addresses[(at + 1) % addresses.len()]);
    let (changed, quiet) = (format!("/changed-{at}"), format!("/quiet-{at}"));
    let (mut raw, granted) = Raw::session(here, 20_000)?;
    create(&mut raw, &changed, 0)?;
    create(&mut raw, &quiet, 0)?;
    let mut seen = 0;
    for path in [&changed, &quiet] {
        let (header, _) = raw.call(op_code::GET_DATA, &watched(path))?;
        ensure!(header.err == 0, "getData {path}: error {}", header.err);
        seen = header.zxid;
    }
    raw.abandon();
    let (mut other, _) = Raw::session(here, 10_000)?;
    let (header, _) = other.call(op_code::SET_DATA, &set(&changed, b"1"))?;
    ensure!(header.err == 0, "setData: error {}", header.err);
    let (mut raw, resumed) = Raw::resume(there, granted.session_id, &granted.passwd)?;
    ensure!(
        resumed.is_some_and(|resumed| resumed.session_id == granted.session_id),
        "the session is not known at {there}"
    );
    // The next member may be behind; what it does not know yet fires when it does.
    let watches = SetWatches2 {
        relative_zxid: seen,
        data: Some(vec![changed.as_str().into(), quiet.as_str().into()]),
        exist: Some(Vec::new()),
        child: Some(Vec::new()),
        persistent: Some(Vec::new()),
        persistent_recursive: Some(Vec::new()),
    };
    let mut frame = to_vec(&RequestHeader {
        xid: xid::SET_WATCHES,
        op: op_code::SET_WATCHES2,
    });
    append(&mut frame, &watches);
    raw.send(&frame);
    let event = next_event(&mut raw)?;
    ensure!(event == changed, "{event} fired instead of {changed}");
    let (header, _) = other.call(op_code::SET_DATA, &set(&quiet, b"1"))?;
    ensure!(header.err == 0, "setData: error {}", header.err);
    let event = next_event(&mut raw)?;
    ensure!(event == quiet, "{event} fired instead of {quiet}");
    other.close_session()?;
    raw.close_session()
}

/// The path of the next watch event, which must be a change of data.
fn next_event(raw: &mut Raw) -> Result<String> {
    loop {
        let Incoming::Frame(frame) = raw.receive(REPLY) else {
            bail!("no watch event");
        };
        let (header, body) = decode_prefix::<ReplyHeader>(&frame)?;
        if header.xid != xid::NOTIFICATION {
            continue;
        }
        let event = decode_all::<WatcherEvent<'_>>(body)?;
        ensure!(
            event.kind == EventType::NodeDataChanged as i32,
            "an event of the kind {}",
            event.kind
        );
        return Ok(event.path.unwrap_or_default().into_owned());
    }
}

/// A client of each member falls silent: the leader notices, and its node goes at every member,
/// while the sessions of clients that only ping live on.
fn expires_everywhere(addresses: &[SocketAddr]) -> Result<()> {
    const TIME_OUT: i32 = 2000;
    let silent = |at: usize| format!("/silent-{at}");
    let mut alive = Vec::new();
    for (at, address) in addresses.iter().enumerate() {
        let (mut raw, granted) = Raw::session(*address, TIME_OUT)?;
        ensure!(
            granted.time_out == TIME_OUT,
            "granted {} ms",
            granted.time_out
        );
        create(&mut raw, &silent(at), EPHEMERAL)?;
        raw.abandon();
        let (mut raw, _) = Raw::session(*address, TIME_OUT)?;
        create(&mut raw, &format!("/alive-{at}"), EPHEMERAL)?;
        alive.push(raw);
    }
    // A member may be behind and not have the others' nodes yet, which is not their end.
    alive.iter_mut().try_for_each(sync)?;
    let begun = Instant::now();
    loop {
        let mut left = Vec::new();
        for (which, raw) in alive.iter_mut().enumerate() {
            for at in 0..addresses.len() {
                if exists(raw, &silent(at))? {
                    left.push((which, at));
                }
                ensure!(
                    exists(raw, &format!("/alive-{at}"))?,
                    "a session expired although its client asked all the time"
                );
            }
        }
        if left.is_empty() {
            break;
        }
        ensure!(
            begun.elapsed() < Duration::from_secs(20),
            "(member, node) that outlived their session: {left:?}"
        );
        thread::sleep(Duration::from_millis(100));
    }
    let early = Duration::from_millis(u64::from(TIME_OUT.unsigned_abs()) / 2);
    ensure!(
        begun.elapsed() > early,
        "expired after {:?}",
        begun.elapsed()
    );
    alive.into_iter().try_for_each(Raw::close_session)
}

/// Leaders die while clients of a follower have nothing on the way to them: these clients keep their
/// connections and watches, as long as the next leader is found soon enough, which is half a tick; so
/// the tick is the usual one here. A machine with other things to do may be too slow for that once,
/// not every time.
pub(super) fn connections_stay(cluster: &mut Cluster) -> Result<String> {
    const TRIES: usize = 5;
    for server in &mut cluster.servers {
        server.add_line("tickTime=2000");
    }
    cluster.start_all()?;
    let mut reasons = Vec::new();
    for attempt in 0..TRIES {
        let (leader, follower) = (cluster.leader()?, cluster.follower()?);
        let path = format!("/stay-{attempt}");
        let address = cluster.servers[follower].address();
        let (mut raw, granted) = Raw::session(address, 10_000)?;
        create(&mut raw, &path, EPHEMERAL)?;
        raw.call(op_code::GET_DATA, &watched(&path))?;
        cluster.servers[leader].kill()?;
        cluster.leader()?;
        let kept = (|| {
            raw.ping()?;
            let (mut other, _) = Raw::session(address, 10_000)?;
            let (header, _) = other.call(op_code::SET_DATA, &set(&path, b"1"))?;
            ensure!(header.err == 0, "setData: error {}", header.err);
            other.close_session()?;
            let event = next_event(&mut raw)?;
            ensure!(event == path, "{event} fired instead of {path}");
            raw.close_session()
        })();
        cluster.servers[leader].start()?;
        cluster.await_serving()?;
        match kept {
            Ok(()) => return Ok(format!("kept at the {}. try", attempt + 1)),
            Err(error) => reasons.push(format!("{error:#}")),
        }
        // The session must have outlived its connection.
        if let Ok((raw, Some(resumed))) = Raw::resume(address, granted.session_id, &granted.passwd)
            && resumed.session_id == granted.session_id
        {
            raw.close_session()?;
        }
    }
    bail!("no connection outlived a leader in {TRIES} tries: {reasons:?}")
}
