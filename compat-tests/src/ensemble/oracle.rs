//! Owns ensembles of two voters with an oracle each, a file that says whether that one may go on
//! alone. Must not let both say so at a time.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use menagerie_wire::op::op_code;

use super::cluster::Cluster;
use crate::populate::create_request;
use crate::raw::Raw;

/// How long the ensemble may take for each step.
const PATIENCE: Duration = Duration::from_secs(40);

/// Everything: the follower dies, then the leader, and each time the oracle decides.
pub(super) fn all(cluster: &mut Cluster) -> Result<String> {
    for at in 0..cluster.servers.len() {
        let line = format!("oraclePath={}", file(cluster, at).display());
        cluster.servers[at].add_line(line);
        say(cluster, at, "0")?;
    }
    cluster.start_all()?;
    write(cluster, cluster.leader()?, "/together").context("together")?;
    // A leader without its follower gives up; with the oracle's permission it leads alone.
    let (leader, follower) = (cluster.leader()?, cluster.follower()?);
    cluster.servers[follower].kill()?;
    await_mode(cluster, leader, "")?;
    say(cluster, leader, "1")?;
    await_mode(cluster, leader, "leader").context("alone, after the follower was lost")?;
    write(cluster, leader, "/alone")?;
    // The other one follows whom the oracle has chosen.
    cluster.servers[follower].start()?;
    await_mode(cluster, follower, "follower").context("the oracle is for the other one")?;
    write(cluster, follower, "/again")?;
    say(cluster, leader, "0")?;
    cluster.compare()?;
    // A leader that has the permission all the time goes on without looking for another one.
    say(cluster, leader, "1")?;
    thread::sleep(Duration::from_millis(500));
    cluster.servers[follower].kill()?;
    write(cluster, leader, "/on")?;
    await_mode(cluster, leader, "leader").context("alone, permitted before")?;
    cluster.servers[follower].start()?;
    cluster.await_serving()?;
    say(cluster, leader, "0")?;
    cluster.compare()?;
    // The leader dies.
    cluster.servers[leader].kill()?;
    await_mode(cluster, follower, "")?;
    say(cluster, follower, "1")?;
    await_mode(cluster, follower, "leader").context("alone, after the leader was lost")?;
    write(cluster, follower, "/inherited")?;
    cluster.servers[leader].start()?;
    await_mode(cluster, leader, "follower").context("the old leader comes back")?;
    say(cluster, follower, "0")?;
    let nodes = cluster.compare()?;
    ensure!(nodes >= 6, "of five nodes and the root {nodes} are there");
    Ok(format!("{nodes} nodes compared"))
}

fn file(cluster: &Cluster, at: usize) -> PathBuf {
    cluster.servers[at].data_dir().join("oracle")
}

fn say(cluster: &Cluster, at: usize, text: &str) -> Result<()> {
    Ok(fs::write(file(cluster, at), text)?)
}

/// Waits until a member is what it should be; nothing means that it has no leader.
fn await_mode(cluster: &Cluster, at: usize, mode: &str) -> Result<()> {
    let begun = Instant::now();
    while cluster.mode(at) != mode {
        ensure!(
            begun.elapsed() < PATIENCE,
            "server {} is {:?} instead of {mode:?}",
            at + 1,
            cluster.mode(at)
        );
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Creates a node through a member, which may still be about to lose its clients.
fn write(cluster: &Cluster, at: usize, path: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        let made = Raw::session(cluster.servers[at].address(), 10_000)
            .and_then(|(mut raw, _)| raw.call(op_code::CREATE, &create_request(path, None, 0)));
        // A node that is there was made by an attempt whose answer was lost.
        if made
            .as_ref()
            .is_ok_and(|(header, _)| header.err == 0 || header.err == -110)
        {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "{path}: {made:?}");
        thread::sleep(Duration::from_millis(100));
    }
}
