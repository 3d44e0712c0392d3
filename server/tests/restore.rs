//! The admin server's command `restore`: what it takes, what it refuses, and that nothing is lost.
#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use menagerie::ZooServer;
use serde_json::Value;
use support::Client;
use support::http::{self, Reply};

const ADMIN: &str = "Authorization: digest super:secret\r\n";

fn send(address: SocketAddr, method: &str, command: &str, headers: &str, body: &[u8]) -> Reply {
    http::request(
        address,
        method,
        &format!("/commands/{command}"),
        headers,
        body,
    )
}

fn start(dir: &Path, parameters: &[(&str, &str)]) -> ZooServer {
    let mut builder = ZooServer::builder()
        .set_parameter("dataDir", dir.display())
        .set_parameter("clientPort", 0)
        .set_parameter("clientPortAddress", "127.0.0.1")
        .set_parameter("admin.serverAddress", "127.0.0.1")
        .set_parameter("admin.serverPort", 0)
        .set_parameter("admin.rateLimiterIntervalInMS", 0);
    for (key, value) in parameters {
        builder = builder.set_parameter(key, value);
    }
    builder.start().unwrap()
}

fn snapshot(server: &ZooServer) -> Vec<u8> {
    let address = server.admin_addr().unwrap();
    let reply = send(address, "GET", "snapshot?streaming=true", ADMIN, b"");
    assert_eq!(reply.status, 200, "{}", reply.head);
    reply.body
}

fn restore(server: &ZooServer, body: &[u8]) -> Reply {
    send(server.admin_addr().unwrap(), "POST", "restore", ADMIN, body)
}

fn client(server: &ZooServer) -> Client {
    Client::connect(server.client_addr()).unwrap()
}

fn zxid(server: &ZooServer) -> i64 {
    let reply = send(server.admin_addr().unwrap(), "GET", "server_stats", "", b"");
    reply.json()["server_stats"]["last_processed_zxid"]
        .as_i64()
        .unwrap()
}

#[test]
fn a_tree_comes_back_as_it_was_and_survives_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &[]);
    let mut first = client(&server);
    assert_eq!(first.create("/kept", b"as it was", 0), 0);
    assert_eq!(first.create("/gone-later", b"x", 0), 0);
    let copy = snapshot(&server);
    assert_eq!(first.set("/kept", b"spoilt"), 0);
    assert_eq!(first.delete("/gone-later"), 0);
    assert_eq!(first.create("/new", b"", 0), 0);
    let before = zxid(&server);
    let reply = restore(&server, &copy);
    assert_eq!(
        reply.status,
        200,
        "{}",
        String::from_utf8_lossy(&reply.body)
    );
    let answer = reply.json();
    assert_eq!(
        (&answer["command"], &answer["error"]),
        (&"restore".into(), &Value::Null)
    );
    assert!(
        answer["last_zxid"].as_i64().unwrap() > before,
        "no client sees a zxid go back"
    );
    assert_eq!(answer["at_one_zxid"], true);
    assert!(first.receive().is_err(), "clients look anew");
    let mut second = client(&server);
    assert_eq!(second.get("/kept").unwrap(), b"as it was");
    assert_eq!(second.get("/gone-later").unwrap(), b"x");
    assert_eq!(second.get("/new"), Err(-101));
    assert_eq!(second.create("/after", b"goes on", 0), 0);
    // The session in the snapshot is taken up again, as it was open then.
    let again =
        Client::attach(server.client_addr(), first.session, &first.password, 10_000).unwrap();
    assert_eq!(again.session, first.session);
    server.stop().unwrap();
    let server = start(dir.path(), &[]);
    let mut third = client(&server);
    assert_eq!(third.get("/kept").unwrap(), b"as it was");
    assert_eq!(third.get("/after").unwrap(), b"goes on");
    assert_eq!(third.get("/new"), Err(-101));
    let leftovers = std::fs::read_dir(dir.path().join("version-2")).unwrap();
    let names: Vec<String> = leftovers
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        !names.iter().any(|name| name.starts_with("restore.")),
        "{names:?}"
    );
}

#[test]
fn compressed_snapshots_and_another_servers_are_taken() {
    for method in ["gz", "snappy"] {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let source = start(from.path(), &[("snapshot.compression.method", method)]);
        let mut writer = client(&source);
        for number in 0..50 {
            writer.create(&format!("/n{number}"), &[b'x'; 500], 0);
        }
        let copy = snapshot(&source);
        let target = start(to.path(), &[]);
        assert_eq!(restore(&target, &copy).status, 200, "{method}");
        assert_eq!(client(&target).get("/n49").unwrap(), [b'x'; 500]);
        assert!(zxid(&target) >= zxid(&source) - 1);
    }
}

#[test]
fn what_is_cut_off_or_foreign_is_refused_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &[]);
    let mut writer = client(&server);
    writer.create("/kept", b"here", 0);
    let copy = snapshot(&server);
    let before = zxid(&server);
    let mut wrong: Vec<Vec<u8>> = (0..copy.len())
        .step_by(7)
        .map(|end| copy[..end].to_vec())
        .collect();
    wrong.push(copy[..copy.len() - 1].to_vec());
    wrong.push(b"ZKSN".to_vec());
    wrong.push(b"<html>not a snapshot</html>".to_vec());
    wrong.push(vec![0x1f, 0x8b, 8, 0, 0]);
    for at in (16..copy.len() - 30).step_by(11) {
        let mut flipped = copy.clone();
        flipped[at] ^= 0x40;
        wrong.push(flipped);
    }
    for body in &wrong {
        let reply = restore(&server, body);
        let expected = if body.is_empty() { 400 } else { 500 };
        assert_eq!(
            reply.status,
            expected,
            "{} bytes of {}",
            body.len(),
            copy.len()
        );
        assert!(
            reply.json()["error"].as_str().is_some(),
            "{} bytes",
            body.len()
        );
    }
    assert_eq!(
        writer.get("/kept").unwrap(),
        b"here",
        "its connection and session live on"
    );
    assert_eq!(writer.create("/more", b"", 0), 0);
    assert_eq!(zxid(&server), before + 1);
    server.stop().unwrap();
    let server = start(dir.path(), &[]);
    assert_eq!(client(&server).get("/kept").unwrap(), b"here");
}

#[test]
fn it_asks_for_an_identity_a_setting_and_patience() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &[("admin.rateLimiterIntervalInMS", "60000")]);
    let address = server.admin_addr().unwrap();
    let copy = snapshot(&server);
    assert_eq!(send(address, "POST", "restore", "", &copy).status, 401);
    assert_eq!(send(address, "GET", "restore", ADMIN, b"").status, 405);
    assert_eq!(restore(&server, &copy).status, 200);
    assert_eq!(restore(&server, &copy).status, 429);
    drop(server);
    let off = start(dir.path(), &[("admin.restore.enabled", "false")]);
    assert_eq!(restore(&off, &copy).status, 503);
}

#[test]
fn what_became_of_restores_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &[("admin.rateLimiterIntervalInMS", "1500")]);
    let copy = snapshot(&server);
    assert_eq!(restore(&server, &copy).status, 200);
    assert_eq!(restore(&server, &copy).status, 429);
    std::thread::sleep(Duration::from_millis(1600));
    assert_eq!(restore(&server, b"no snapshot").status, 500);
    let told = send(server.admin_addr().unwrap(), "GET", "monitor", "", b"").json();
    for key in [
        "cnt_restore_time",
        "restore_rate_limited_count",
        "restore_error_count",
    ] {
        assert_eq!(told[key], 1, "{key}");
    }
    server.stop().unwrap();
}

#[test]
fn writers_go_on_while_trees_are_restored() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &[]);
    client(&server).create("/base", b"", 0);
    let copy = snapshot(&server);
    let address = server.client_addr();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            std::thread::spawn(move || {
                let (mut written, mut lost) = (0, 0);
                for round in 0..400 {
                    let Ok(mut client) = Client::connect(address) else {
                        continue;
                    };
                    let frame = support::create_body(&format!("/w{writer}-{round}"), b"x", 0);
                    match client.call(menagerie_wire::op::op_code::CREATE, &frame) {
                        Ok(_) => written += 1,
                        Err(_) => lost += 1,
                    }
                }
                (written, lost)
            })
        })
        .collect();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(restore(&server, &copy).status, 200);
    }
    let written: u32 = writers
        .into_iter()
        .map(|writer| writer.join().unwrap().0)
        .sum();
    assert!(written > 100, "{written}");
    let overview = send(server.admin_addr().unwrap(), "GET", "server_stats", "", b"").json();
    assert_eq!(overview["server_stats"]["outstanding_requests"], 0);
    server.stop().unwrap();
    let server = start(dir.path(), &[]);
    assert_eq!(client(&server).get("/base").unwrap(), b"");
}
