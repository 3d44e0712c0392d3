//! Owns what an ensemble goes through.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use menagerie_wire::op::op_code;
use rustix::process::Signal;

use super::clients::{self, Clients};
use super::cluster::Cluster;
use super::load::Load;
use crate::populate::{create_request, populate};
use crate::raw::Raw;
use crate::server::{Kind, Server};

/// Everything, on an ensemble that has not been started; what to tell of it.
pub(super) fn all(cluster: &mut Cluster) -> Result<String> {
    begin(cluster)?;
    for (index, server) in cluster.servers.iter().enumerate() {
        populate(server.address(), &format!("m{index}"))?;
    }
    let nodes = cluster.compare()?;
    behind(cluster, "diff", 20)?;
    behind(cluster, "snap", 900)?;
    ahead(cluster)?;
    sessions_move(cluster)?;
    wiped(cluster)?;
    stopped(cluster)?;
    let told = leaders_die(cluster)?;
    all_die(cluster)?;
    Ok(format!("{nodes} nodes compared; {told}"))
}

/// The last voter leads, as it has the highest number and nobody has any history.
fn begin(cluster: &mut Cluster) -> Result<()> {
    cluster.start_all()?;
    let (leader, wanted) = (cluster.leader()?, cluster.last_voter());
    if leader != wanted {
        // Some were quicker; the next election is decided by number.
        cluster.servers[leader].stop()?;
        cluster.leader()?;
        cluster.start_all()?;
    }
    Ok(())
}

fn write(address: SocketAddr, tag: &str, count: usize) -> Result<()> {
    let (mut raw, _) = Raw::session(address, 10_000)?;
    raw.call(
        op_code::CREATE,
        &create_request(&format!("/{tag}"), None, 0),
    )?;
    for number in 0..count {
        let path = format!("/{tag}/{number}");
        let (header, _) = raw.call(op_code::CREATE, &create_request(&path, Some(b"data"), 0))?;
        ensure!(header.err == 0, "{path}: error {}", header.err);
    }
    raw.close_session()
}

/// A follower is killed, misses transactions, and comes back.
fn behind(cluster: &mut Cluster, tag: &str, count: usize) -> Result<()> {
    let (leader, follower) = (cluster.leader()?, cluster.follower()?);
    cluster.servers[follower].kill()?;
    write(cluster.servers[leader].address(), tag, count)?;
    cluster.servers[follower].start()?;
    cluster.compare()?;
    Ok(())
}

/// A leader is alone with a transaction when it is killed; it has to forget it.
fn ahead(cluster: &mut Cluster) -> Result<()> {
    let leader = cluster.leader()?;
    let address = cluster.servers[leader].address();
    let (mut raw, _) = Raw::session(address, 10_000)?;
    let others = |server: &&Server| server.address() != address;
    let signal = |cluster: &Cluster, signal| {
        cluster
            .servers
            .iter()
            .filter(others)
            .for_each(|server| server.signal(signal));
    };
    signal(cluster, Signal::STOP);
    for number in 0..3 {
        let path = format!("/lost{number}");
        let mut frame = menagerie_wire::jute::to_vec(&(raw.take_xid(), op_code::CREATE));
        menagerie_wire::jute::append(&mut frame, &create_request(&path, None, 0));
        raw.send(&frame);
    }
    thread::sleep(Duration::from_millis(300));
    cluster.servers[leader].kill()?;
    signal(cluster, Signal::CONT);
    let next = cluster.leader()?;
    write(cluster.servers[next].address(), "ahead", 5)?;
    cluster.servers[leader].start()?;
    cluster.compare()?;
    let (mut raw, _) = Raw::session(cluster.servers[leader].address(), 10_000)?;
    // Whether the followers had it in their sockets is open; that all agree is not.
    raw.ping()?;
    raw.close_session()
}

/// A session goes from member to member with its ephemeral node, and is gone everywhere once closed.
fn sessions_move(cluster: &mut Cluster) -> Result<()> {
    let addresses: Vec<SocketAddr> = cluster.servers.iter().map(Server::address).collect();
    let (mut raw, granted) = Raw::session(addresses[0], 20_000)?;
    raw.call(op_code::CREATE, &create_request("/moving", None, 1))?;
    // A connection that was left behind must not act for the session any more.
    if let Some(next) = addresses.get(1) {
        let (mut moved, _) = Raw::resume(*next, granted.session_id, &granted.passwd)?;
        moved.call(op_code::CREATE, &create_request("/moved", None, 1))?;
        let late = raw.call(op_code::CREATE, &create_request("/late", None, 0));
        ensure!(
            late.is_err(),
            "the connection left behind was answered: {late:?}"
        );
        moved.abandon();
    }
    raw.abandon();
    for address in &addresses {
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
    for address in &addresses {
        let (mut raw, _) = Raw::session(*address, 10_000)?;
        let read = menagerie_wire::client::PathWatchRequest {
            path: Some("/moving".into()),
            watch: false,
        };
        let (header, _) = raw.call(op_code::EXISTS, &read)?;
        ensure!(
            header.err == -101,
            "the ephemeral node outlived its session at {address}"
        );
        raw.close_session()?;
    }
    Ok(())
}

/// A follower loses its whole data.
fn wiped(cluster: &mut Cluster) -> Result<()> {
    let follower = cluster.follower()?;
    let server = &mut cluster.servers[follower];
    server.kill()?;
    std::fs::remove_dir_all(server.data_dir().join("version-2"))?;
    server.start()?;
    cluster.compare()?;
    Ok(())
}

/// A leader is stopped, not killed; the others go on without it, and it finds its way back.
fn stopped(cluster: &mut Cluster) -> Result<()> {
    let leader = cluster.leader()?;
    cluster.servers[leader].signal(Signal::STOP);
    let begun = Instant::now();
    let next = loop {
        let others = (0..cluster.servers.len()).filter(|at| *at != leader);
        if let Some(next) = others.into_iter().find(|at| cluster.mode(*at) == "leader") {
            break next;
        }
        ensure!(
            begun.elapsed() < Duration::from_secs(40),
            "nobody follows a stopped leader"
        );
        thread::sleep(Duration::from_millis(50));
    };
    write(cluster.servers[next].address(), "stopped", 20)?;
    cluster.servers[leader].signal(Signal::CONT);
    cluster.compare()?;
    Ok(())
}

/// Leaders are killed under load.
fn leaders_die(cluster: &mut Cluster) -> Result<String> {
    let addresses: Vec<SocketAddr> = cluster.servers.iter().map(Server::address).collect();
    let load = Load::start(&addresses, 6)?;
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(700));
        let leader = cluster.leader()?;
        cluster.servers[leader].kill()?;
        cluster.leader()?;
        thread::sleep(Duration::from_millis(300));
        cluster.servers[leader].start()?;
    }
    thread::sleep(Duration::from_millis(500));
    cluster.await_serving()?;
    let told = load.finish(addresses[0])?;
    cluster.compare()?;
    Ok(told)
}

fn all_die(cluster: &mut Cluster) -> Result<()> {
    let before = cluster.compare()?;
    for server in &mut cluster.servers {
        server.kill()?;
    }
    cluster.start_all()?;
    let after = cluster.compare()?;
    ensure!(
        after >= before,
        "{before} nodes before everyone was killed, {after} afterwards"
    );
    Ok(())
}

/// Three Apache members become three Menagerie members and Apache members again, one at a time,
/// under load.
pub(super) fn migration(cluster: &mut Cluster) -> Result<String> {
    let folders = clients::build()?;
    cluster.start_all()?;
    populate(cluster.servers[0].address(), "before")?;
    let addresses: Vec<SocketAddr> = cluster.servers.iter().map(Server::address).collect();
    let load = Load::start(&addresses, 6)?;
    let clients = Clients::start(&folders, &addresses)?;
    thread::sleep(Duration::from_secs(3));
    for kind in [Kind::Menagerie, Kind::Apache] {
        // The leader last, as one would do it by hand.
        let leader = cluster.leader()?;
        let order = (0..addresses.len())
            .filter(|at| *at != leader)
            .chain([leader]);
        for at in order.collect::<Vec<_>>() {
            cluster.servers[at].stop()?;
            cluster.servers[at].become_kind(kind);
            cluster.servers[at].start()?;
            cluster.await_serving()?;
            thread::sleep(Duration::from_millis(500));
        }
    }
    let said = clients.finish()?;
    let told = load.finish(addresses[0])?;
    cluster.compare()?;
    Ok(format!("{told}; {said}"))
}
