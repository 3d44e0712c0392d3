//! Owns ensembles whose servers have two addresses each, one of which stops to answer: of the leader,
//! of a follower, of everybody. Must not cut both.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::cluster::Cluster;
use super::load::Load;
use super::network::Network;
use crate::server::{Server, four_letter};

/// How long an ensemble may take to find another way.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything, under load.
pub(super) fn all(cluster: &mut Cluster, network: &Network) -> Result<String> {
    cluster.start_all()?;
    configuration(cluster, network)?;
    let addresses: Vec<SocketAddr> = cluster.servers.iter().map(Server::address).collect();
    let load = Load::start(&addresses, 6)?;
    thread::sleep(Duration::from_secs(1));
    let (leader, follower) = (cluster.leader()?, cluster.follower()?);
    for (what, cut) in [
        ("the leader's", vec![leader]),
        ("a follower's", vec![follower]),
        ("everybody's", (0..addresses.len()).collect()),
    ] {
        for at in &cut {
            network.plug(*at, 0, false)?;
        }
        // Until everybody has noticed that nothing comes any more.
        thread::sleep(Duration::from_secs(5));
        await_all(cluster).with_context(|| format!("without {what} first cable"))?;
        for at in &cut {
            network.plug(*at, 0, true)?;
        }
        await_all(cluster).with_context(|| format!("with {what} first cable again"))?;
    }
    let told = load.finish(addresses[0])?;
    cluster.compare()?;
    Ok(told)
}

/// Waits until one leads and all others follow.
fn await_all(cluster: &Cluster) -> Result<()> {
    let begun = Instant::now();
    loop {
        let modes = cluster.modes();
        let leaders = modes.iter().filter(|mode| *mode == "leader").count();
        let followers = modes.iter().filter(|mode| *mode == "follower").count();
        if leaders == 1 && leaders + followers == modes.len() {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "they are {modes:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Every member shows all addresses, in the same words.
fn configuration(cluster: &Cluster, network: &Network) -> Result<()> {
    let mut first = None;
    for (at, server) in cluster.servers.iter().enumerate() {
        let conf = four_letter(server.address(), "conf")?;
        let of = |key: &str| conf.lines().find_map(|line| line.strip_prefix(key));
        let (quorum, election) = cluster.ports[at];
        ensure!(
            of("quorumPort=") == Some(&quorum.to_string())
                && of("electionPort=") == Some(&election.to_string()),
            "server {}: {conf}",
            at + 1
        );
        let members: Vec<&str> = conf.lines().filter(|l| l.starts_with("server.")).collect();
        let members = members.join("\n");
        for address in network.addresses(at) {
            ensure!(
                members.contains(&format!("{address}:{quorum}:{election}")),
                "{conf}"
            );
        }
        match &first {
            None => first = Some(members),
            Some(first) => ensure!(*first == members, "{first}\nand {members}"),
        }
    }
    Ok(())
}
