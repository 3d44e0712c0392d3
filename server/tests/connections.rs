//! Bad and odd clients against an embedded server: none brings it down or leaves anything behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    missing_docs
)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use menagerie::ZooServer;
use menagerie_wire::client::{PathWatchRequest, RequestHeader};
use menagerie_wire::jute;
use menagerie_wire::op::op_code;
use support::{Client, PATIENCE, create_body, send, word};

struct Embedded {
    server: ZooServer,
    _dir: tempfile::TempDir,
}

impl Embedded {
    fn start(parameters: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut builder = ZooServer::builder()
            .set_parameter("dataDir", dir.path().display())
            .set_parameter("clientPort", 0)
            .set_parameter("clientPortAddress", "127.0.0.1")
            .set_parameter("tickTime", 500)
            .set_parameter("maxClientCnxns", 0)
            .set_parameter("4lw.commands.whitelist", "*");
        for (key, value) in parameters {
            builder = builder.set_parameter(key, value);
        }
        Self {
            server: builder.start().unwrap(),
            _dir: dir,
        }
    }

    fn address(&self) -> SocketAddr {
        self.server.client_addr()
    }

    fn mntr(&self, key: &str) -> i64 {
        let text = word(self.address(), "mntr");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("zk_{key}\t")));
        line.unwrap().parse().unwrap()
    }

    /// The server works and has no connection but the one that asks.
    fn is_well(&self) {
        let mut client = Client::connect(self.address()).unwrap();
        assert!(client.get("/zookeeper").is_ok());
        drop(client);
        let end = Instant::now() + PATIENCE;
        while self.mntr("num_alive_connections") > 1 {
            assert!(Instant::now() < end, "connections are left behind");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(self.mntr("outstanding_requests"), 0);
    }
}

fn closed(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut rest = Vec::new();
    stream
        .read_to_end(&mut rest)
        .map_or(true, |_| rest.is_empty())
}

#[test]
fn garbage_half_frames_and_huge_lengths_close_the_connection_only() {
    let server = Embedded::start(&[]);
    let cases: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &[0xff; 64],
        &[0x7f, 0xff, 0xff, 0xff, 1, 2, 3],
        &[0x80, 0, 0, 0],
        &[0, 0, 0, 4, 1, 2, 3, 4],
        &[0, 0, 0, 0],
    ];
    for bytes in cases {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(bytes).unwrap();
        assert!(closed(&mut stream), "{bytes:02x?}");
    }
    for cut in [0, 1, 3, 4, 10, 30] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(&vec![0; cut]).unwrap();
        drop(stream);
    }
    server.is_well();
}

#[test]
fn a_frame_over_the_limit_closes_and_one_at_the_limit_is_served() {
    let server = Embedded::start(&[("jute.maxbuffer", "4096")]);
    let mut client = Client::connect(server.address()).unwrap();
    let overhead = create_body("/a", b"", 0).len() + 8;
    assert_eq!(client.create("/a", &vec![1; 4096 - overhead], 0), 0);
    let body = create_body("/b", &vec![1; 4097 - overhead], 0);
    client.send(op_code::CREATE, &body).unwrap();
    assert!(client.receive().is_err());
    server.is_well();
}

#[test]
fn a_slow_writer_is_served_and_a_silent_stranger_is_not_kept() {
    let server = Embedded::start(&[("nio.sessionlessCnxnTimeout", "700")]);
    let mut client = Client::connect(server.address()).unwrap();
    let mut frame = jute::to_vec(&RequestHeader {
        xid: 9,
        op: op_code::CREATE,
    });
    frame.extend_from_slice(&create_body("/slow", b"x", 0));
    let mut bytes = u32::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(&frame);
    for byte in bytes {
        client.stream.write_all(&[byte]).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    let (header, _) = client.receive().unwrap();
    assert_eq!((header.xid, header.err), (9, 0));
    let mut stranger = TcpStream::connect(server.address()).unwrap();
    assert!(closed(&mut stranger));
    drop(client);
    server.is_well();
}

#[test]
fn malformed_requests_get_an_error_and_the_connection_lives() {
    let server = Embedded::start(&[]);
    let mut client = Client::connect(server.address()).unwrap();
    for op in [
        op_code::CREATE,
        op_code::GET_DATA,
        op_code::SET_DATA,
        op_code::MULTI,
        op_code::SET_WATCHES2,
    ] {
        for body in [
            &[][..],
            &[0xff],
            &[0x7f, 0xff, 0xff, 0xff],
            &[0, 0, 0, 9, b'/'],
        ] {
            let (header, _) = client.call(op, body).unwrap();
            assert_eq!(header.err, -5, "op {op} body {body:02x?}");
        }
    }
    let mut invalid = 6_u32.to_be_bytes().to_vec();
    invalid.extend_from_slice(b"/\xff\xfe\xc3()");
    invalid.push(0);
    let (header, _) = client.call(op_code::GET_DATA, &invalid).unwrap();
    assert_eq!(header.err, -101, "invalid UTF-8 is a name like another");
    assert!(client.get("/zookeeper").is_ok());
    drop(client);
    server.is_well();
}

#[test]
fn a_multi_of_a_hundred_thousand_operations_is_one_transaction() {
    let server = Embedded::start(&[("jute.maxbuffer", "40000000")]);
    let mut client = Client::connect(server.address()).unwrap();
    let mut body = Vec::new();
    for i in 0..100_000 {
        body.extend_from_slice(&1_i32.to_be_bytes());
        body.push(0);
        body.extend_from_slice(&(-1_i32).to_be_bytes());
        body.extend_from_slice(&create_body(&format!("/m{i}"), b"", 0));
    }
    body.extend_from_slice(&(-1_i32).to_be_bytes());
    body.push(1);
    body.extend_from_slice(&(-1_i32).to_be_bytes());
    let (header, _) = client.call(op_code::MULTI, &body).unwrap();
    assert_eq!(header.err, 0);
    assert_eq!(client.get("/m99999"), Ok(Vec::new()));
    assert_eq!(server.mntr("znode_count"), 100_005);
}

#[test]
fn reads_and_writes_of_a_session_keep_their_order_when_pipelined() {
    let server = Embedded::start(&[]);
    let mut client = Client::connect(server.address()).unwrap();
    assert_eq!(client.create("/order", b"", 0), 0);
    let get = jute::to_vec(&PathWatchRequest {
        path: Some("/order".into()),
        watch: false,
    });
    let mut sent = Vec::new();
    // More than the server takes from one connection at a time.
    for i in 0..1000_u32 {
        let data = i.to_be_bytes();
        let set = menagerie_wire::client::SetDataRequest {
            path: Some("/order".into()),
            data: Some(&data),
            version: -1,
        };
        sent.push((
            client.send(op_code::SET_DATA, &jute::to_vec(&set)).unwrap(),
            None,
        ));
        for _ in 0..3 {
            sent.push((client.send(op_code::GET_DATA, &get).unwrap(), Some(data)));
        }
    }
    for (xid, expected) in sent {
        let (header, body) = client.receive().unwrap();
        assert_eq!((header.xid, header.err), (xid, 0));
        if let Some(data) = expected {
            assert_eq!(
                &body[4..8],
                data,
                "a read sees its session's writes and no later ones"
            );
        }
    }
}

#[test]
fn an_event_comes_before_the_reply_that_reveals_the_change() {
    let server = Embedded::start(&[]);
    let mut watcher = Client::connect(server.address()).unwrap();
    let mut writer = Client::connect(server.address()).unwrap();
    assert_eq!(writer.create("/seen", b"0", 0), 0);
    let watch = jute::to_vec(&PathWatchRequest {
        path: Some("/seen".into()),
        watch: true,
    });
    let plain = jute::to_vec(&PathWatchRequest {
        path: Some("/seen".into()),
        watch: false,
    });
    for round in 1..200_u8 {
        let (header, _) = watcher.call(op_code::GET_DATA, &watch).unwrap();
        assert_eq!(header.err, 0);
        assert_eq!(writer.set("/seen", &[round]), 0);
        watcher.send(op_code::GET_DATA, &plain).unwrap();
        let (first, _) = watcher.receive().unwrap();
        assert_eq!(first.xid, -1, "the event comes first");
        let (second, body) = watcher.receive().unwrap();
        assert!(second.zxid >= first.zxid);
        assert_eq!(body[4], round);
    }
}

#[test]
fn limits_on_connections_are_kept() {
    let server = Embedded::start(&[("maxClientCnxns", "3")]);
    let clients: Vec<_> = (0..3)
        .map(|_| Client::connect(server.address()).unwrap())
        .collect();
    assert!(Client::connect(server.address()).is_err());
    drop(clients);
    let end = Instant::now() + PATIENCE;
    while Client::connect(server.address()).is_err() {
        assert!(Instant::now() < end, "the places are not given back");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_session_that_moves_takes_the_place_of_its_old_connection() {
    let server = Embedded::start(&[]);
    let mut old = Client::connect(server.address()).unwrap();
    assert_eq!(old.create("/mine", b"", 1), 0);
    let mut new = Client::attach(server.address(), old.session, &old.password, 8000).unwrap();
    assert_eq!(new.session, old.session);
    assert!(old.receive().is_err(), "the old connection is closed");
    assert_eq!(new.get("/mine"), Ok(Vec::new()));
    assert_eq!(new.delete("/mine"), 0);
}

#[test]
fn a_client_that_never_reads_is_cut_off_and_its_session_lives() {
    let server = Embedded::start(&[]);
    let mut client = Client::connect(server.address()).unwrap();
    assert_eq!(client.create("/big", &vec![7; 900_000], 0), 0);
    let get = jute::to_vec(&PathWatchRequest {
        path: Some("/big".into()),
        watch: false,
    });
    let (session, password) = (client.session, client.password.clone());
    let mut frame = jute::to_vec(&RequestHeader {
        xid: 1,
        op: op_code::GET_DATA,
    });
    frame.extend_from_slice(&get);
    client
        .stream
        .set_write_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    for _ in 0..300 {
        if send(&mut client.stream, &frame).is_err() {
            break;
        }
    }
    let mut again = Client::attach(server.address(), session, &password, 8000).unwrap();
    assert_eq!(again.session, session);
    assert_eq!(again.get("/big").map(|data| data.len()), Ok(900_000));
    drop((client, again));
    server.is_well();
}

#[test]
fn several_servers_live_in_one_process() {
    let servers: Vec<_> = (0..3).map(|_| Embedded::start(&[])).collect();
    for (i, server) in servers.iter().enumerate() {
        let mut client = Client::connect(server.address()).unwrap();
        assert_eq!(client.create(&format!("/{i}"), b"", 0), 0);
        assert_eq!(client.get(&format!("/{}", (i + 1) % 3)), Err(-101));
    }
    for server in servers {
        server.server.stop().unwrap();
    }
}
