//! The admin server's command `restore` in an ensemble: everybody gets what its leader was given, and
//! whoever does not lead says who does.
#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use menagerie::ZooServer;
use support::http::{self, Reply};
use support::{Client, PATIENCE, members, word};

const ADMIN: &str = "Authorization: digest super:secret\r\n";

/// Three members; the first has number 1.
struct Trio {
    servers: Vec<ZooServer>,
    lines: Vec<String>,
}

impl Trio {
    fn start(dir: &Path) -> Self {
        let lines = members::lines_of_three();
        let servers = (1..=3).map(|me| member(dir, me, &lines)).collect();
        Self { servers, lines }
    }

    /// The leader's place, once it has both others.
    fn leader(&self) -> usize {
        let begun = Instant::now();
        loop {
            let synced = |server: &ZooServer| {
                let told = word(server.client_addr(), "mntr");
                told.contains("zk_server_state\tleader\n")
                    && told.contains("zk_synced_followers\t2\n")
            };
            if let Some(at) = self.servers.iter().position(synced) {
                return at;
            }
            assert!(begun.elapsed() < PATIENCE, "nobody leads");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn admin(&self, at: usize) -> SocketAddr {
        self.servers[at].admin_addr().unwrap()
    }

    fn snapshot(&self, at: usize) -> Vec<u8> {
        let path = "/commands/snapshot?streaming=true";
        let reply = http::request(self.admin(at), "GET", path, ADMIN, b"");
        assert_eq!(reply.status, 200, "{}", reply.head);
        reply.body
    }

    fn restore(&self, at: usize, snapshot: &[u8]) -> Reply {
        http::request(self.admin(at), "POST", "/commands/restore", ADMIN, snapshot)
    }

    /// Gives the snapshot to whoever leads, and to the next one if a machine that is busy with other
    /// things let another one be elected.
    fn restore_all(&self, snapshot: &[u8]) {
        for _ in 0..3 {
            let reply = self.restore(self.leader(), snapshot);
            if reply.status == 200 {
                return;
            }
            let told = reply.text();
            assert!(told.contains("send the snapshot there"), "{told}");
        }
        panic!("three times another one was elected");
    }

    fn client(&self, at: usize) -> Client {
        let begun = Instant::now();
        loop {
            match Client::connect(self.servers[at].client_addr()) {
                Ok(client) => return client,
                Err(error) => assert!(begun.elapsed() < PATIENCE, "server {}: {error}", at + 1),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The last zxid of every member, once all have the same, and as many nodes.
    fn agreed(&self) -> i64 {
        let begun = Instant::now();
        loop {
            let all: Vec<(Option<String>, Option<String>)> = (self.servers.iter())
                .map(|server| {
                    let told = word(server.client_addr(), "srvr");
                    let of = |key: &str| {
                        let line = told.lines().find_map(|line| line.strip_prefix(key));
                        line.map(str::to_owned)
                    };
                    (of("Zxid: 0x"), of("Node count: "))
                })
                .collect();
            if let [(Some(zxid), Some(_)), rest @ ..] = &all[..]
                && rest.iter().all(|told| told == &all[0])
            {
                return i64::from_str_radix(zxid, 16).unwrap();
            }
            assert!(begun.elapsed() < PATIENCE, "{all:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn stop(self) -> Vec<String> {
        for server in self.servers {
            server.stop().unwrap();
        }
        self.lines
    }
}

fn member(dir: &Path, me: usize, lines: &[String]) -> ZooServer {
    members::builder(dir, me, lines)
        .set_parameter("initLimit", 20)
        .set_parameter("syncLimit", 10)
        .set_parameter("admin.serverAddress", "127.0.0.1")
        .set_parameter("admin.serverPort", 0)
        .set_parameter("admin.rateLimiterIntervalInMS", 0)
        .start()
        .unwrap()
}

#[test]
fn all_members_get_what_the_leader_restores_and_keep_it() {
    let dir = tempfile::tempdir().unwrap();
    let trio = Trio::start(dir.path());
    let leader = trio.leader();
    let follower = (leader + 1) % 3;
    let mut client = trio.client(follower);
    assert_eq!(client.create("/kept", b"as it was", 0), 0);
    let copy = trio.snapshot(leader);
    assert_eq!(client.set("/kept", b"spoilt"), 0);
    assert_eq!(client.create("/new", b"", 0), 0);

    let refused = trio.restore(follower, &copy);
    assert_eq!(refused.status, 409);
    let told = refused.json()["error"].to_string();
    assert!(
        told.contains(&format!("server {} leads", leader + 1)),
        "{told}"
    );
    assert_eq!(client.get("/kept").unwrap(), b"spoilt");
    for wrong in [&copy[..copy.len() / 2], b"no snapshot"] {
        assert_eq!(trio.restore(leader, wrong).status, 500);
    }
    assert_eq!(
        client.get("/kept").unwrap(),
        b"spoilt",
        "its connection is still there"
    );

    for round in 0..3 {
        trio.restore_all(&copy);
        // Zxids go on, for whoever remembers one.
        let mut again = Vec::new();
        for at in 0..3 {
            let mut client = trio.client(at);
            assert_eq!(client.get("/kept").unwrap(), b"as it was", "round {round}");
            assert_eq!(client.get("/new"), Err(-101));
            again.push(client);
        }
        assert_eq!(again[0].create("/new", b"another", 0), 0);
        assert_eq!(again[1].set("/kept", b"spoilt again"), 0);
        trio.agreed();
    }

    let lines = trio.stop();
    let servers = (1..=3).map(|me| member(dir.path(), me, &lines)).collect();
    let trio = Trio { servers, lines };
    trio.leader();
    for at in 0..3 {
        assert_eq!(trio.client(at).get("/kept").unwrap(), b"spoilt again");
    }
    trio.agreed();
    trio.stop();
}

#[test]
fn a_new_ensemble_goes_on_behind_what_it_is_given() {
    let old = tempfile::tempdir().unwrap();
    let mut trio = Trio::start(old.path());
    for _ in 0..3 {
        let leader = trio.leader();
        trio.servers.remove(leader).stop().unwrap();
        let again = member(old.path(), leader + 1, &trio.lines);
        trio.servers.insert(leader, again);
    }
    let leader = trio.leader();
    let mut client = trio.client(leader);
    assert_eq!(client.create("/kept", b"from before", 0), 0);
    let before = trio.agreed();
    let copy = trio.snapshot(leader);
    trio.stop();

    let new = tempfile::tempdir().unwrap();
    let trio = Trio::start(new.path());
    trio.restore_all(&copy);
    for at in 0..3 {
        assert_eq!(trio.client(at).get("/kept").unwrap(), b"from before");
    }
    assert_eq!(trio.client(0).create("/after", b"", 0), 0);
    let after = trio.agreed();
    assert!(
        after >> 32 > before >> 32,
        "{after:x} is not behind {before:x}"
    );
    // The session of before is open, as its client may come back.
    let back = Client::attach(
        trio.servers[leader].client_addr(),
        client.session,
        &client.password,
        10_000,
    );
    assert_eq!(back.unwrap().session, client.session);
    trio.stop();
}

#[test]
fn what_is_restored_outlives_the_leader_that_got_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut trio = Trio::start(dir.path());
    let leader = trio.leader();
    assert_eq!(trio.client(0).create("/kept", b"as it was", 0), 0);
    let copy = trio.snapshot(leader);
    assert_eq!(trio.client(0).delete("/kept"), 0);
    trio.restore_all(&copy);
    let leader = trio.leader();
    trio.servers.remove(leader).stop().unwrap();
    for at in 0..2 {
        assert_eq!(trio.client(at).get("/kept").unwrap(), b"as it was");
    }
    // Without a quorum nothing is promised.
    trio.servers.remove(0).stop().unwrap();
    let begun = Instant::now();
    while word(trio.servers[0].client_addr(), "mntr").contains("zk_server_state") {
        assert!(begun.elapsed() < PATIENCE, "it still serves");
        std::thread::sleep(Duration::from_millis(20));
    }
    let reply = trio.restore(0, &copy).text();
    assert!(reply.contains("not currently serving requests"), "{reply}");
    trio.stop();
}
