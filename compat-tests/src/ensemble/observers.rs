//! Owns an ensemble whose followers serve the observers: what clients of observers do reaches the
//! leader and comes back, whichever follower is between, and whichever dies.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use menagerie_wire::client::{GetDataResponse, PathRequest, PathWatchRequest, SetDataRequest};
use menagerie_wire::jute::decode_all;
use menagerie_wire::op::op_code;

use super::cluster::Cluster;
use super::load::Load;
use super::reconfig::{Change, await_mode, change};
use super::scenarios::{all_die, begin, write};
use super::sessions;
use crate::populate::{create_request, populate};
use crate::raw::Raw;
use crate::server::{Server, four_letter};

/// How long observers may take to find another follower.
const PATIENCE: Duration = Duration::from_secs(30);
/// A short session's time-out, and for how long it is kept alive.
const SHORT_MS: i32 = 1500;
const KEPT: Duration = Duration::from_secs(5);

/// Everything, on an ensemble that has not been started; what to tell of it.
pub(super) fn all(cluster: &mut Cluster) -> Result<String> {
    begin(cluster)?;
    settle(cluster).context("at first")?;
    for (index, server) in cluster.servers.iter().enumerate() {
        populate(server.address(), &format!("m{index}"))?;
    }
    cluster.compare()?;
    see_each_other(cluster, "first").context("reading what others wrote")?;
    sessions::all(cluster).context("what clients may rely on")?;
    sessions_live(cluster).context("sessions of observers")?;
    masters_die(cluster).context("followers that die")?;
    roles_change(cluster).context("observers that become voters")?;
    observers_miss(cluster).context("observers that missed something")?;
    let told = leaders_die(cluster).context("leaders that die")?;
    all_die(cluster)?;
    settle(cluster).context("after everyone was killed")?;
    let nodes = cluster.compare()?;
    Ok(format!("{nodes} nodes compared; {told}"))
}

/// A number that a member tells of itself.
fn number(cluster: &Cluster, at: usize, key: &str) -> Option<i64> {
    let mntr = four_letter(cluster.servers[at].address(), "mntr").ok()?;
    let line = mntr.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().parse::<f64>().ok().map(|value| value as i64)
}

fn running(cluster: &Cluster, observers: bool) -> impl Iterator<Item = usize> + '_ {
    let all = 0..cluster.servers.len();
    all.filter(move |at| {
        cluster.observers[*at] == observers && cluster.servers[*at].pid().is_some()
    })
}

/// The follower behind which an observer is, as an index.
fn master(cluster: &Cluster, observer: usize) -> Option<usize> {
    let id = number(cluster, observer, "zk_observer_master_id")?;
    usize::try_from(id).ok()?.checked_sub(1)
}

/// Waits until every observer that runs is behind a follower, as both say, and none at the leader.
fn settle(cluster: &mut Cluster) -> Result<()> {
    cluster.await_serving()?;
    let begun = Instant::now();
    loop {
        let leader = cluster.leader()?;
        let masters: Vec<Option<usize>> = running(cluster, true)
            .map(|observer| master(cluster, observer))
            .collect();
        let served: Vec<(usize, i64)> = running(cluster, false)
            .map(|at| {
                let count = number(cluster, at, "zk_synced_observers");
                (at, count.unwrap_or(-1))
            })
            .collect();
        let agree = served.iter().all(|(at, count)| {
            let mine = masters.iter().filter(|master| **master == Some(*at));
            i64::try_from(mine.count()) == Ok(*count)
        });
        let behind = masters.iter().all(|master| {
            master.is_some_and(|master| master != leader && !cluster.observers[master])
        });
        if agree && behind && !masters.is_empty() {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "server {} leads, the observers' masters are {masters:?} (counted from 0), and of their \
             observers say {served:?}",
            leader + 1
        );
        thread::sleep(Duration::from_millis(100));
    }
}

/// What is written through one member is read behind a sync at every other.
fn see_each_other(cluster: &Cluster, tag: &str) -> Result<()> {
    let addresses: Vec<SocketAddr> = cluster
        .servers
        .iter()
        .filter(|server| server.pid().is_some())
        .map(Server::address)
        .collect();
    let path = format!("/seen-{tag}");
    let mut raws = Vec::new();
    for address in &addresses {
        raws.push(Raw::session(*address, 10_000)?.0);
    }
    raws[0].call(op_code::CREATE, &create_request(&path, Some(b"-"), 0))?;
    for writer in 0..raws.len() {
        for round in 0..5 {
            let text = format!("{writer}-{round}");
            let request = SetDataRequest {
                path: Some(path.as_str().into()),
                data: Some(text.as_bytes()),
                version: -1,
            };
            // The node is not there before a sync, if it was made through another member.
            sync(&mut raws[writer], &path)?;
            let (header, _) = raws[writer].call(op_code::SET_DATA, &request)?;
            ensure!(header.err == 0, "{path}: error {}", header.err);
            for (reader, raw) in raws.iter_mut().enumerate() {
                sync(raw, &path)?;
                let request = PathWatchRequest {
                    path: Some(path.as_str().into()),
                    watch: false,
                };
                let (header, body) = raw.call(op_code::GET_DATA, &request)?;
                ensure!(header.err == 0, "{path}: error {} at {reader}", header.err);
                let answer = decode_all::<GetDataResponse<'_>>(&body)?;
                ensure!(
                    answer.data == Some(text.as_bytes()),
                    "server {} wrote {text}, server {} read {:?} behind a sync",
                    writer + 1,
                    reader + 1,
                    answer.data.map(String::from_utf8_lossy)
                );
            }
        }
    }
    for raw in raws {
        raw.close_session()?;
    }
    Ok(())
}

fn sync(raw: &mut Raw, path: &str) -> Result<()> {
    let request = PathRequest {
        path: Some(path.into()),
    };
    let (header, _) = raw.call(op_code::SYNC, &request)?;
    ensure!(header.err == 0, "sync: error {}", header.err);
    Ok(())
}

fn exists(address: SocketAddr, path: &str) -> Result<bool> {
    let (mut raw, _) = Raw::session(address, 10_000)?;
    sync(&mut raw, "/")?;
    let request = PathWatchRequest {
        path: Some(path.into()),
        watch: false,
    };
    let (header, _) = raw.call(op_code::EXISTS, &request)?;
    raw.close_session()?;
    Ok(header.err == 0)
}

/// A session whose client only pings an observer lives on; one whose client is silent ends, and its
/// ephemeral node everywhere.
fn sessions_live(cluster: &Cluster) -> Result<()> {
    let leader = cluster.servers[cluster.leader()?].address();
    for observer in running(cluster, true) {
        let address = cluster.servers[observer].address();
        let (mut raw, _) = Raw::session(address, SHORT_MS)?;
        let path = format!("/pinged-{observer}");
        let (header, _) = raw.call(op_code::CREATE, &create_request(&path, None, 1))?;
        ensure!(header.err == 0, "{path}: error {}", header.err);
        let begun = Instant::now();
        while begun.elapsed() < KEPT {
            thread::sleep(Duration::from_millis(200));
            raw.ping().with_context(|| {
                format!("server {}: a session that was kept alive", observer + 1)
            })?;
        }
        ensure!(exists(leader, &path)?, "{path} is gone");
        raw.abandon();
        let begun = Instant::now();
        while exists(address, &path)? {
            ensure!(
                begun.elapsed() < PATIENCE,
                "{path} outlives its session at server {}",
                observer + 1
            );
            thread::sleep(Duration::from_millis(200));
        }
        ensure!(!exists(leader, &path)?, "{path} is still at the leader");
    }
    Ok(())
}

/// Each follower dies in turn: the observers go on behind another one, with their clients' sessions.
fn masters_die(cluster: &mut Cluster) -> Result<()> {
    let leader = cluster.leader()?;
    let followers: Vec<usize> = running(cluster, false).filter(|at| *at != leader).collect();
    for dies in followers {
        let mut sessions = Vec::new();
        for observer in running(cluster, true) {
            let address = cluster.servers[observer].address();
            let (mut raw, granted) = Raw::session(address, 20_000)?;
            let path = format!("/held-{dies}-{observer}");
            let (header, _) = raw.call(op_code::CREATE, &create_request(&path, None, 1))?;
            ensure!(header.err == 0, "{path}: error {}", header.err);
            sessions.push((address, granted, path));
            raw.abandon();
        }
        cluster.servers[dies].kill()?;
        settle(cluster).with_context(|| format!("without server {}", dies + 1))?;
        let behind = running(cluster, true).filter_map(|observer| master(cluster, observer));
        ensure!(
            behind.into_iter().all(|master| master != dies),
            "observers are behind server {}, which is dead",
            dies + 1
        );
        see_each_other(cluster, &format!("without-{dies}"))?;
        for (address, granted, path) in sessions {
            let (mut raw, resumed) = Raw::resume(address, granted.session_id, &granted.passwd)?;
            ensure!(
                resumed.is_some_and(|resumed| resumed.session_id == granted.session_id),
                "the session of {path} is lost"
            );
            let late = format!("{path}-late");
            let (header, _) = raw.call(op_code::CREATE, &create_request(&late, None, 1))?;
            ensure!(header.err == 0, "{late}: error {}", header.err);
            raw.close_session()?;
            ensure!(!exists(address, &path)?, "{path} outlives its session");
        }
        cluster.servers[dies].start()?;
        settle(cluster)?;
        cluster.compare()?;
    }
    Ok(())
}

/// An observer that learns through a follower gets a vote and follows the leader itself, serves the
/// others, and goes back.
fn roles_change(cluster: &mut Cluster) -> Result<()> {
    let observers: Vec<usize> = running(cluster, true).collect();
    for observer in observers {
        for (role, mode) in [("participant", "follower"), ("observer", "observer")] {
            let line = cluster.line_apart(observer, role);
            let joining = Change {
                joining: Some(&line),
                ..Change::default()
            };
            change(cluster, 0, joining)?;
            await_mode(cluster, observer, mode)?;
            cluster.await_serving()?;
            see_each_other(cluster, &format!("{role}-{observer}"))?;
        }
        settle(cluster)?;
    }
    cluster.compare()?;
    Ok(())
}

/// Observers come back after little and after much was written, and without their data.
fn observers_miss(cluster: &mut Cluster) -> Result<()> {
    let leader = cluster.leader()?;
    let address = cluster.servers[leader].address();
    let observers: Vec<usize> = running(cluster, true).collect();
    for (tag, count) in [("few", 20), ("many", 900), ("wiped", 5)] {
        for observer in &observers {
            cluster.servers[*observer].kill()?;
        }
        write(address, tag, count)?;
        for observer in &observers {
            let server = &mut cluster.servers[*observer];
            if tag == "wiped" {
                std::fs::remove_dir_all(server.data_dir().join("version-2"))?;
            }
            server.start()?;
        }
        settle(cluster).context(tag)?;
        cluster.compare().context(tag)?;
    }
    Ok(())
}

/// Leaders are killed while clients write through observers and followers.
fn leaders_die(cluster: &mut Cluster) -> Result<String> {
    let addresses: Vec<SocketAddr> = cluster.servers.iter().map(Server::address).collect();
    let load = Load::start(&addresses, 6)?;
    for _ in 0..2 {
        thread::sleep(Duration::from_millis(1000));
        let leader = cluster.leader()?;
        cluster.servers[leader].kill()?;
        let begun = Instant::now();
        while !running(cluster, true).any(|observer| cluster.mode(observer) == "observer") {
            ensure!(
                begun.elapsed() < PATIENCE,
                "no observer goes on without server {}",
                leader + 1
            );
            thread::sleep(Duration::from_millis(50));
        }
        thread::sleep(Duration::from_millis(500));
        cluster.servers[leader].start()?;
        settle(cluster)?;
    }
    let any = *addresses.first().ok_or_else(|| anyhow!("no servers"))?;
    let told = load.finish(any)?;
    cluster.compare()?;
    Ok(told)
}
