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
use super::network::Network;
use super::sessions;
use crate::guarantee;
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
    idle(cluster)?;
    ahead(cluster)?;
    sessions::all(cluster)?;
    let follower = cluster.follower()?;
    wiped(cluster, follower)?;
    let leader = cluster.leader()?;
    wiped(cluster, leader)?;
    stopped(cluster)?;
    let told = leaders_die(cluster)?;
    all_die(cluster)?;
    Ok(format!("{nodes} nodes compared; {told}"))
}

/// The last voter leads, as it has the highest number and nobody has any history.
pub(super) fn begin(cluster: &mut Cluster) -> Result<()> {
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

pub(super) fn write(address: SocketAddr, tag: &str, count: usize) -> Result<()> {
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

/// The leader is killed, misses what the next one is told, and comes back; how many nodes there are
/// then.
pub(super) fn next_leader(cluster: &mut Cluster) -> Result<usize> {
    let leader = cluster.leader()?;
    cluster.servers[leader].kill()?;
    let next = cluster.leader()?;
    write(cluster.servers[next].address(), "next", 400)?;
    cluster.servers[leader].start()?;
    cluster.compare()
}

/// A follower comes back and nothing happens: nobody may hold against it that it acknowledges nothing.
/// Once is enough, with Menagerie alone.
fn idle(cluster: &mut Cluster) -> Result<()> {
    let ours = |server: &Server| server.kind() == Kind::Menagerie;
    if cluster.servers.len() > 3 || !cluster.servers.iter().all(ours) {
        return Ok(());
    }
    let (leader, follower) = (cluster.leader()?, cluster.follower()?);
    write(cluster.servers[leader].address(), "idle", 3)?;
    cluster.servers[follower].kill()?;
    cluster.servers[follower].start()?;
    // More than syncLimit.
    thread::sleep(Duration::from_secs(7));
    let log = cluster.servers[leader].log();
    let complaint = log.lines().find(|l| l.contains("has not acknowledged"));
    ensure!(complaint.is_none(), "{}", complaint.unwrap_or_default());
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

/// A member loses its whole data. Everybody has to have it before, as two that know nothing would
/// agree on nothing.
fn wiped(cluster: &mut Cluster, at: usize) -> Result<()> {
    let before = cluster.compare()?;
    let server = &mut cluster.servers[at];
    server.kill()?;
    std::fs::remove_dir_all(server.data_dir().join("version-2"))?;
    server.start()?;
    let after = cluster.compare()?;
    // Sessions may have expired meanwhile, with their ephemeral nodes.
    ensure!(
        after * 2 > before,
        "{before} nodes became {after} when server {} was wiped",
        at + 1
    );
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

pub(super) fn all_die(cluster: &mut Cluster) -> Result<()> {
    let before = cluster.compare()?;
    for server in &mut cluster.servers {
        server.kill()?;
    }
    cluster.start_all()?;
    let after = cluster.compare()?;
    if after < before {
        let text = format!("{before} nodes before everyone was killed, {after} afterwards");
        return Err(guarantee::broken(text));
    }
    Ok(())
}

/// Three Apache members become three Menagerie members and Apache members again, one at a time,
/// under load.
pub(super) fn migration(cluster: &mut Cluster) -> Result<String> {
    let folders = clients::build(clients::STEADY)?;
    cluster.start_all()?;
    populate(cluster.servers[0].address(), "before")?;
    let addresses: Vec<SocketAddr> = cluster.servers.iter().map(Server::address).collect();
    let load = Load::start(&addresses, 6)?;
    let clients = Clients::start(clients::STEADY, &folders, &addresses)?;
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

/// Every member is stopped and started again, one at a time and the leader last, twice, under load.
pub(super) fn rolling(cluster: &mut Cluster) -> Result<String> {
    let folders = clients::build(clients::STEADY)?;
    cluster.start_all()?;
    let addresses: Vec<SocketAddr> = cluster.servers.iter().map(Server::address).collect();
    let load = Load::start(&addresses, 6)?;
    let clients = Clients::start(clients::STEADY, &folders, &addresses)?;
    thread::sleep(Duration::from_secs(1));
    for _ in 0..2 {
        let leader = cluster.leader()?;
        let followers = (0..addresses.len()).filter(|at| *at != leader);
        for at in followers.chain([leader]).collect::<Vec<_>>() {
            cluster.servers[at].stop()?;
            cluster.servers[at].start()?;
            cluster.await_serving()?;
            thread::sleep(Duration::from_millis(300));
        }
    }
    let said = clients.finish()?;
    let told = load.finish(addresses[0])?;
    cluster.compare()?;
    Ok(format!("{told}; {said}"))
}

/// Members die, are killed together and are stopped, while clients write, compare and swap, and read
/// behind a sync; what they saw has to be linearizable. A leader is not stopped and left to go on: it
/// would answer a sync before it learns that it leads no more, which ZooKeeper allows.
pub(super) fn history(cluster: &mut Cluster) -> Result<String> {
    let folders = clients::build(clients::HISTORY)?;
    cluster.start_all()?;
    let addresses: Vec<SocketAddr> = cluster.servers.iter().map(Server::address).collect();
    let clients = Clients::start(clients::HISTORY, &folders, &addresses)?;
    let pause = |ms| thread::sleep(Duration::from_millis(ms));
    pause(1500);
    for round in 0..4 {
        let leader = cluster.leader()?;
        cluster.servers[leader].kill()?;
        cluster.leader()?;
        pause(700);
        cluster.servers[leader].start()?;
        let follower = cluster.follower()?;
        if round % 2 == 0 {
            cluster.servers[follower].kill()?;
            pause(300);
            cluster.servers[follower].start()?;
        } else {
            cluster.servers[follower].signal(Signal::STOP);
            pause(1500);
            cluster.servers[follower].signal(Signal::CONT);
        }
        pause(700);
    }
    for server in &mut cluster.servers {
        server.kill()?;
    }
    cluster.start_all()?;
    pause(1500);
    let said = clients.finish()?;
    cluster.compare()?;
    Ok(said)
}

/// The network fails between members in every direction, under load.
pub(super) fn partitions(cluster: &mut Cluster, network: &Network) -> Result<String> {
    cluster.start_all()?;
    let addresses: Vec<SocketAddr> = cluster.servers.iter().map(Server::address).collect();
    let load = Load::start(&addresses, 6)?;
    let pause = |ms| thread::sleep(Duration::from_millis(ms));
    let others = |of: usize| (0..addresses.len()).filter(move |at| *at != of);
    // A leader that hears nobody and reaches nobody; one that only hears; one that is only heard.
    for (out, back) in [(true, true), (true, false), (false, true)] {
        pause(700);
        let leader = cluster.leader()?;
        for other in others(leader) {
            if out {
                network.cut(leader, other)?;
            }
            if back {
                network.cut(other, leader)?;
            }
        }
        let begun = Instant::now();
        while !others(leader).any(|at| cluster.mode(at) == "leader") {
            ensure!(
                begun.elapsed() < Duration::from_secs(40),
                "nobody leads without server {}",
                leader + 1
            );
            pause(50);
        }
        pause(500);
        for other in others(leader) {
            if out {
                network.heal(leader, other)?;
            }
            if back {
                network.heal(other, leader)?;
            }
        }
        cluster.await_serving()?;
    }
    let follower = cluster.follower()?;
    network.plug(follower, 0, false)?;
    pause(3000);
    network.plug(follower, 0, true)?;
    pause(1000);
    cluster.await_serving()?;
    let told = load.finish(addresses[0])?;
    cluster.compare()?;
    Ok(told)
}
