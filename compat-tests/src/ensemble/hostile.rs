//! Owns what strangers do to the ports between servers: it must neither stop a member, nor cause an
//! election, nor make memory grow.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use menagerie_wire::election::{InitialMessage, Notification, ServerState};

use super::cluster::Cluster;
use super::load::Load;
use crate::server::Server;

/// Connections of a flood.
const FLOOD: usize = 1500;
/// Resident memory that a member may gain, in kB.
const GROWTH_KB: u64 = 64 << 10;

/// Everything; what to tell of it.
pub(super) fn all(cluster: &mut Cluster) -> Result<String> {
    cluster.start_all()?;
    let leader = cluster.leader()?;
    let addresses: Vec<SocketAddr> = cluster.servers.iter().map(Server::address).collect();
    let before = memory(cluster);
    let load = Load::start(&addresses, 3)?;
    let mut cases = 0;
    for (index, (quorum, election)) in cluster.ports.clone().into_iter().enumerate() {
        let messages = to_election_port(i64::try_from(index)? + 1);
        for message in &messages {
            throw(election, message);
            cases += 1;
        }
        if index == leader {
            for message in to_quorum_port() {
                throw(quorum, &message);
                cases += 1;
            }
        }
    }
    // Port scanners that stay, and floods that go.
    let (quorum, election) = cluster.ports[leader];
    let silent: Vec<_> = (0..100)
        .flat_map(|_| [quorum, election])
        .filter_map(|port| connect(port).ok())
        .collect();
    for _ in 0..FLOOD {
        let (_a, _b) = (connect(quorum), connect(election));
    }
    thread::sleep(Duration::from_secs(1));
    ensure!(cluster.leader()? == leader, "there was an election");
    drop(silent);
    let told = load.finish(addresses[0])?;
    cluster.compare()?;
    for (index, (before, after)) in before.into_iter().zip(memory(cluster)).enumerate() {
        ensure!(
            after < before + GROWTH_KB,
            "server {} grew from {before} kB to {after} kB",
            index + 1
        );
    }
    Ok(format!(
        "{cases} messages and {} connections; {told}",
        2 * FLOOD + 200
    ))
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_secs(2))
}

/// Sends and waits a moment for what the other side makes of it.
fn throw(port: u16, message: &[u8]) {
    let Ok(mut stream) = connect(port) else {
        return;
    };
    let _closed = stream.set_read_timeout(Some(Duration::from_millis(100)));
    let _closed = stream.write_all(message);
    let begun = Instant::now();
    let mut answer = [0; 4096];
    while begun.elapsed() < Duration::from_millis(150) {
        match stream.read(&mut answer) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
}

/// Noise, the same every time.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

fn to_election_port(me: i64) -> Vec<Vec<u8>> {
    let hello = |sid: i64| {
        InitialMessage {
            sid,
            addresses: vec![("127.0.0.1".into(), 9)],
        }
        .encode(false)
    };
    let after_hello = |rest: &[u8]| [&hello(77)[..], rest].concat();
    let framed = |body: &[u8]| {
        let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
        [&len.to_be_bytes()[..], body].concat()
    };
    let vote = |leader: i64, state: ServerState, epoch: i64| {
        let notification = Notification {
            state,
            leader,
            zxid: i64::MAX,
            round: i64::MAX,
            peer_epoch: epoch,
            version: 2,
            config: noise(100),
        };
        framed(&notification.encode())
    };
    let mut liar = vote(77, ServerState::Leading, i64::MAX);
    let end = liar.len() - 104;
    liar[end..end + 4].copy_from_slice(&i32::MAX.to_be_bytes());
    vec![
        noise(1000),
        noise(7),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        hello(me),
        hello(i64::MIN),
        hello(i64::MAX),
        hello(77)[..12].to_vec(),
        [&hello(77)[..16], &i32::MAX.to_be_bytes()].concat(),
        [&hello(77)[..16], &(-1_i32).to_be_bytes()].concat(),
        after_hello(&i32::MAX.to_be_bytes()),
        after_hello(&0_i32.to_be_bytes()),
        after_hello(&framed(&noise(27))),
        after_hello(&framed(&noise(60))),
        after_hello(&vote(77, ServerState::Looking, i64::MAX)),
        after_hello(&vote(1, ServerState::Leading, -5)),
        after_hello(&liar),
        7_i64.to_be_bytes().to_vec(),
    ]
}

fn to_quorum_port() -> Vec<Vec<u8>> {
    use menagerie_core::ids::{Sid, Zxid};
    use menagerie_core::zab::packet::Packet;

    let bytes = |packets: &[Packet]| {
        let mut bytes = Vec::new();
        packets.iter().for_each(|packet| packet.encode(&mut bytes));
        bytes
    };
    let info = |sid: i64, accepted_epoch: i64, config_version: i64| Packet::Info {
        observer: false,
        accepted_epoch,
        sid: Sid(sid),
        config_version,
    };
    let entry = Bytes::from(noise(50));
    let mut long = 11_i32.to_be_bytes().to_vec();
    long.extend([0; 8]);
    long.extend(i32::MAX.to_be_bytes());
    let mut ids = 1_i32.to_be_bytes().to_vec();
    ids.extend([0; 8]);
    ids.extend((-1_i32).to_be_bytes());
    ids.extend(i32::MAX.to_be_bytes());
    vec![
        noise(2000),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc".to_vec(),
        long,
        ids,
        bytes(&[Packet::Ack(Zxid(1))]),
        bytes(&[Packet::UpToDate]),
        bytes(&[info(88, i64::from(i32::MAX), 0)]),
        bytes(&[info(88, 0, i64::MAX)]),
        bytes(&[info(88, 0, 0)])[..20].to_vec(),
        bytes(&[
            info(-3, 0, 0),
            Packet::AckEpoch {
                zxid: Zxid(i64::MAX),
                epoch: Some(9999),
            },
        ]),
        bytes(&[
            info(88, 0, 0),
            Packet::AckEpoch {
                zxid: Zxid(0),
                epoch: None,
            },
            Packet::Ack(Zxid(i64::MAX)),
        ]),
        bytes(&[
            info(88, 0, 0),
            Packet::Proposal {
                zxid: Zxid(5),
                entry,
            },
        ]),
        bytes(&[info(88, 0, 0), Packet::Snap(Zxid(5))]),
    ]
}

/// Resident memory of each member, in kB.
fn memory(cluster: &Cluster) -> Vec<u64> {
    let of = |server: &Server| {
        let pid = server.pid()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse().ok()
    };
    cluster
        .servers
        .iter()
        .map(|server| of(server).unwrap_or(0))
        .collect()
}
