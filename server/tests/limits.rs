//! What a session and an address may ask for, against an embedded server: rates that are kept without a
//! session being lost, watches that are refused in their turn.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    missing_docs
)]

mod support;

use std::time::{Duration, Instant};

use menagerie::ZooServer;
use menagerie_wire::client::{PathVersionRequest, PathWatchRequest, SetWatches};
use menagerie_wire::jute;
use menagerie_wire::op::{ErrorCode, op_code};
use support::{Client, create_body};

fn start(parameters: &[(&str, u32)]) -> (ZooServer, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = ZooServer::builder()
        .set_parameter("dataDir", dir.path().display())
        .set_parameter("clientPort", 0)
        .set_parameter("clientPortAddress", "127.0.0.1")
        .set_parameter("tickTime", 500)
        .set_parameter("admin.enableServer", false);
    for (key, value) in parameters {
        builder = builder.set_parameter(&format!("menagerie.limit.{key}"), value);
    }
    (builder.start().unwrap(), dir)
}

fn watching(path: &str) -> Vec<u8> {
    jute::to_vec(&PathWatchRequest {
        path: Some(path.into()),
        watch: true,
    })
}

/// Sends so many reads at once; how long it takes until all are answered.
fn reads(client: &mut Client, count: usize) -> Duration {
    let begin = Instant::now();
    let body = jute::to_vec(&PathWatchRequest {
        path: Some("/".into()),
        watch: false,
    });
    for _ in 0..count {
        client.send(op_code::GET_DATA, &body).unwrap();
    }
    for _ in 0..count {
        assert_eq!(client.receive().unwrap().0.err, 0);
    }
    begin.elapsed()
}

#[test]
fn requests_of_a_session_are_read_at_its_rate_and_none_is_lost() {
    let (server, _dir) = start(&[("session.requestsPerSecond", 10)]);
    // Its time-out is shorter than what it has to wait.
    let mut client = Client::attach(server.client_addr(), 0, &[0; 16], 1000).unwrap();
    assert_eq!(client.timeout_ms, 1000);
    let took = reads(&mut client, 35);
    // Eleven at once, and one every tenth of a second.
    assert!(took >= Duration::from_millis(2300), "{took:?}");
    // Another one is not held up by it.
    let mut other = Client::connect(server.client_addr()).unwrap();
    let took = reads(&mut other, 10);
    assert!(took < Duration::from_secs(2), "{took:?}");
    server.stop().unwrap();
}

#[test]
fn writes_count_too_and_so_do_bytes() {
    let (server, _dir) = start(&[("session.bytesPerSecond", 10_000)]);
    let mut client = Client::connect(server.client_addr()).unwrap();
    let begin = Instant::now();
    let data = vec![b'x'; 5000];
    for i in 0..6 {
        let body = create_body(&format!("/n{i}"), &data, 0);
        client.send(op_code::CREATE, &body).unwrap();
    }
    for _ in 0..6 {
        assert_eq!(client.receive().unwrap().0.err, 0);
    }
    // Two at once and one over; each of the others waits half a second.
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(1400), "{took:?}");
    server.stop().unwrap();
}

#[test]
fn sessions_of_an_address_share_its_rate() {
    let (server, _dir) = start(&[("address.requestsPerSecond", 20)]);
    let address = server.client_addr();
    let begin = Instant::now();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Client::connect(address).unwrap();
                reads(&mut client, 20)
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    // Eighty at twenty a second, of which a second's worth was free.
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(2500), "{took:?}");
    server.stop().unwrap();
}

#[test]
fn a_watch_too_many_is_refused_and_the_session_goes_on() {
    let (server, _dir) = start(&[("session.watches", 2)]);
    let mut client = Client::connect(server.client_addr()).unwrap();
    let refused = ErrorCode::QuotaExceeded.0;
    let ask = |client: &mut Client, op, path| client.call(op, &watching(path)).unwrap().0.err;
    assert_eq!(ask(&mut client, op_code::GET_DATA, "/"), 0);
    assert_eq!(ask(&mut client, op_code::EXISTS, "/a"), -101);
    assert_eq!(ask(&mut client, op_code::EXISTS, "/b"), refused);
    assert_eq!(
        ask(&mut client, op_code::GET_CHILDREN2, "/zookeeper"),
        refused
    );
    // The same path again, and reading without a watch.
    assert_eq!(ask(&mut client, op_code::GET_CHILDREN2, "/"), 0);
    assert!(client.get("/zookeeper").is_ok());

    // Behind a write that the core still has, the refusal comes second.
    let create = client
        .send(op_code::CREATE, &create_body("/c", b"", 0))
        .unwrap();
    let exists = client.send(op_code::EXISTS, &watching("/c")).unwrap();
    let after = client.send(op_code::GET_DATA, &watching("/")).unwrap();
    let mut answers = Vec::new();
    while answers.len() < 3 {
        let header = client.receive().unwrap().0;
        // The children of the root have changed, which was watched.
        if header.xid > 0 {
            answers.push((header.xid, header.err));
        }
    }
    assert_eq!(answers, [(create, 0), (exists, refused), (after, 0)]);

    // A watch that has fired makes room.
    let delete = |path: &str| {
        jute::to_vec(&PathVersionRequest {
            path: Some(path.into()),
            version: -1,
        })
    };
    client
        .send(op_code::CREATE, &create_body("/a", b"", 0))
        .unwrap();
    assert_eq!(client.receive().unwrap().0.xid, -1);
    assert_eq!(client.receive().unwrap().0.err, 0);
    assert_eq!(ask(&mut client, op_code::EXISTS, "/c"), 0);
    assert_eq!(ask(&mut client, op_code::EXISTS, "/d"), refused);
    let mut other = Client::connect(server.client_addr()).unwrap();
    assert_eq!(other.call(op_code::DELETE, &delete("/a")).unwrap().0.err, 0);

    // All that a session watched comes along to another connection.
    let password = client.password.clone();
    let mut again =
        Client::attach(server.client_addr(), client.session, &password, 10_000).unwrap();
    let back = jute::to_vec(&SetWatches {
        relative_zxid: i64::MAX,
        data: Some(vec!["/".into(), "/c".into()]),
        exist: Some(Vec::new()),
        child: Some(Vec::new()),
    });
    assert_eq!(again.call(op_code::SET_WATCHES, &back).unwrap().0.err, 0);
    assert_eq!(ask(&mut again, op_code::EXISTS, "/e"), refused);
    server.stop().unwrap();
}
