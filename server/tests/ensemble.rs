//! Three members in one process: they find a leader, go on without one of them, and stop in good
//! order.
#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use menagerie::ZooServer;
use support::{members, word};

const PATIENCE: Duration = Duration::from_secs(20);

fn start(dir: &std::path::Path, me: usize, lines: &[String]) -> ZooServer {
    members::builder(dir, me, lines)
        .set_parameter("initLimit", 10)
        .set_parameter("syncLimit", 5)
        .set_parameter("readonlymode.enabled", true)
        .start()
        .unwrap()
}

/// The members' modes, sorted, once `done` likes them.
fn modes(servers: &[ZooServer], done: impl Fn(&[String]) -> bool) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let mut modes: Vec<String> = servers
            .iter()
            .map(|server| {
                let answer = word(server.client_addr(), "srvr");
                let mode = answer.lines().find_map(|line| line.strip_prefix("Mode: "));
                mode.unwrap_or("none").to_owned()
            })
            .collect();
        modes.sort();
        if done(&modes) || begun.elapsed() > PATIENCE {
            return modes;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn three_members_find_a_leader_and_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let lines = members::lines_of_three();
    let mut servers: Vec<ZooServer> = (1..=3).map(|me| start(dir.path(), me, &lines)).collect();
    let all = |modes: &[String]| modes.iter().all(|mode| mode != "none");
    assert_eq!(modes(&servers, all), ["follower", "follower", "leader"]);

    let leads = |server: &ZooServer| word(server.client_addr(), "srvr").contains("Mode: leader");
    let leader = servers.iter().position(leads).unwrap();
    let mntr = word(servers[leader].client_addr(), "mntr");
    assert!(mntr.contains("zk_server_state\tleader\n"), "{mntr}");
    assert!(mntr.contains("zk_synced_followers\t2\n"), "{mntr}");
    assert!(mntr.contains("zk_quorum_size\t3\n"), "{mntr}");
    servers.remove(leader).stop().unwrap();
    let one_leads = |modes: &[String]| modes == ["follower", "leader"];
    assert_eq!(modes(&servers, one_leads), ["follower", "leader"]);

    // One of three is no quorum: it does not serve.
    servers.remove(0).stop().unwrap();
    let nobody = |modes: &[String]| modes == ["none"];
    assert_eq!(modes(&servers, nobody), ["none"]);
    assert_eq!(word(servers[0].client_addr(), "ruok"), "imok");
    assert_eq!(word(servers[0].client_addr(), "isro"), "null");
    let reads = |modes: &[String]| modes == ["read-only"];
    assert_eq!(modes(&servers, reads), ["read-only"]);
    assert_eq!(word(servers[0].client_addr(), "isro"), "ro");
    servers.remove(0).stop().unwrap();
}

/// A member's data are gone; who it is stays.
fn wipe(dir: &std::path::Path, me: usize) {
    std::fs::remove_dir_all(dir.join(me.to_string())).unwrap();
}

#[test]
fn a_member_without_a_database_has_no_vote_where_that_is_a_loss() {
    let dir = tempfile::tempdir().unwrap();
    let mut lines = members::lines_of_three();
    lines.push("db.autocreate=false".to_owned());
    let initialize = |me: usize| dir.path().join(me.to_string()).join("initialize");
    for me in [1, 2] {
        std::fs::create_dir_all(dir.path().join(me.to_string())).unwrap();
        std::fs::write(initialize(me), "").unwrap();
    }
    let mut servers: Vec<ZooServer> = (1..=3).map(|me| start(dir.path(), me, &lines)).collect();
    let whole = |modes: &[String]| modes == ["follower", "follower", "leader"];
    assert!(whole(&modes(&servers, whole)));
    // Two began the database, the third got it from them.
    assert!(!initialize(1).exists() && !initialize(2).exists());
    let third = servers.remove(2);
    assert!(!word(third.client_addr(), "srvr").contains("Mode: leader"));
    third.stop().unwrap();

    // It loses what it has, and one of the others is down: those two are no quorum, and what it does not
    // have it does not show either.
    servers.remove(1).stop().unwrap();
    wipe(dir.path(), 3);
    servers.push(start(dir.path(), 3, &lines));
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(modes(&servers, |_| true), ["none", "read-only"]);
    // Started anew it still knows that it has none.
    servers.remove(1).stop().unwrap();
    servers.push(start(dir.path(), 3, &lines));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(modes(&servers, |_| true), ["none", "read-only"]);

    // Two with the database are, and bring it up; then it counts.
    servers.push(start(dir.path(), 2, &lines));
    assert!(whole(&modes(&servers, whole)));
    servers.remove(0).stop().unwrap();
    let two = |modes: &[String]| modes == ["follower", "leader"];
    assert!(two(&modes(&servers, two)));
    for server in servers {
        server.stop().unwrap();
    }
}

#[test]
fn a_server_alone_does_not_start_without_its_database() {
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        ZooServer::builder()
            .data_dir(dir.path())
            .set_parameter("clientPort", 0)
            .set_parameter("db.autocreate", false)
            .set_parameter("admin.enableServer", false)
            .start()
    };
    let error = start().unwrap_err().to_string();
    assert!(error.contains("db.autocreate=false"), "{error}");
    assert!(start().is_err(), "trying leaves no database behind");
    std::fs::write(dir.path().join("initialize"), "").unwrap();
    start().unwrap().stop().unwrap();
    assert!(!dir.path().join("initialize").exists());
    start().unwrap().stop().unwrap();
    std::fs::remove_dir_all(dir.path().join("version-2")).unwrap();
    assert!(start().is_err());
}
