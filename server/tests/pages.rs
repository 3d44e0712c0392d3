//! What an embedded server serves over HTTP: the admin server's commands and what Prometheus
//! scrapes.
#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use menagerie::ZooServer;
use menagerie_wire::client::{PathWatchRequest, SetAclRequest};
use menagerie_wire::data::Acl;
use menagerie_wire::jute;
use menagerie_wire::op::op_code;
use serde_json::json;
use support::Client;
use support::http::{self, Reply};

const PROMETHEUS: &str = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";

struct Served {
    server: ZooServer,
    _dir: tempfile::TempDir,
}

fn ask(address: SocketAddr, method: &str, path: &str, headers: &str) -> Reply {
    http::request(address, method, path, headers, b"")
}

impl Served {
    fn start(parameters: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut builder = ZooServer::builder()
            .set_parameter("dataDir", dir.path().display())
            .set_parameter("clientPort", 0)
            .set_parameter("clientPortAddress", "127.0.0.1")
            .set_parameter("admin.serverAddress", "127.0.0.1")
            .set_parameter("admin.serverPort", 0)
            .set_parameter("metricsProvider.className", PROMETHEUS)
            .set_parameter("metricsProvider.httpHost", "127.0.0.1")
            .set_parameter("metricsProvider.httpPort", 0);
        for (key, value) in parameters {
            builder = builder.set_parameter(key, value);
        }
        let server = builder.start().unwrap();
        Self { server, _dir: dir }
    }

    fn get(&self, command: &str) -> Reply {
        let path = format!("/commands/{command}");
        ask(self.server.admin_addr().unwrap(), "GET", &path, "")
    }

    fn scrape(&self) -> String {
        ask(self.server.metrics_addr().unwrap(), "GET", "/metrics", "").text()
    }
}

fn value_of(text: &str, name: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}"))
        .parse()
        .unwrap()
}

#[test]
fn every_command_answers_under_all_its_names() {
    let served = Served::start(&[]);
    let list = served.get("").text();
    let names = list.lines().filter_map(|line| {
        let rest = line.strip_prefix("<a href=\"/commands/")?;
        Some(rest.split('"').next().unwrap())
    });
    let mut count = 0;
    for name in names {
        let reply = served.get(name);
        let answer = reply.json();
        assert_eq!(answer["command"], name);
        let expected = match name {
            "restore" | "snapshot" | "shed_connections" => 401,
            _ => 200,
        };
        assert_eq!(reply.status, expected, "{name}");
        count += 1;
    }
    assert_eq!(count, 29);
    for (alias, name) in [
        ("mntr", "monitor"),
        ("srvr", "server_stats"),
        ("wchp", "watches_by_path"),
    ] {
        assert_eq!(served.get(alias).json()["command"], name);
    }
    let unknown = served.get("foo");
    assert_eq!(unknown.status, 200);
    assert_eq!(
        unknown.json(),
        json!({"command": "foo", "error": "Unknown command: foo"})
    );
    let elsewhere = ask(served.server.admin_addr().unwrap(), "GET", "/other", "");
    assert_eq!(elsewhere.status, 404);
    let post = ask(
        served.server.admin_addr().unwrap(),
        "POST",
        "/commands/ruok",
        "",
    );
    assert_eq!(post.status, 405);
}

#[test]
fn commands_tell_of_clients_and_their_watches() {
    let served = Served::start(&[]);
    let mut client = Client::connect(served.server.client_addr()).unwrap();
    client.create("/a", b"x", 1);
    let watching = PathWatchRequest {
        path: Some("/a".into()),
        watch: true,
    };
    client
        .call(op_code::GET_DATA, &jute::to_vec(&watching))
        .unwrap();
    let connections = served.get("connections").json();
    let one = &connections["connections"][0];
    assert_eq!(one["session_id"], client.session);
    assert_eq!(one["last_operation"], "GETD");
    let session = client.session.to_string();
    let dump = served.get("dump").json();
    assert_eq!(
        dump["session_id_to_ephemeral_paths"][&session],
        json!(["/a"])
    );
    let expiry = dump["expiry_time_to_session_ids"].as_object().unwrap();
    assert_eq!(expiry.values().next().unwrap(), &json!([client.session]));
    let watches = served.get("watches").json();
    assert_eq!(
        watches["session_id_to_watched_paths"][&session],
        json!(["/a"])
    );
    let by_path = served.get("watches_by_path").json();
    assert_eq!(
        by_path["path_to_session_ids"]["/a"],
        json!([client.session])
    );
    let stats = served.get("stats").json();
    assert_eq!(stats["server_stats"]["num_alive_client_connections"], 1);
    assert_eq!(
        stats["connections"][0]["packets_received"],
        one["packets_received"]
    );
    let monitor = served.get("monitor").json();
    assert_eq!(monitor["ephemerals_count"], 1);
    assert!(monitor["avg_latency"].is_f64());
}

#[test]
fn the_trace_mask_is_set_by_a_number_only() {
    let served = Served::start(&[]);
    let set = |query: &str| served.get(&format!("set_trace_mask{query}")).json();
    assert_eq!(set("?traceMask=5")["tracemask"], 5);
    assert!(set("")["error"].as_str().unwrap().contains("requires long"));
    assert!(
        set("?traceMask=x")["error"]
            .as_str()
            .unwrap()
            .contains("requires long")
    );
    assert_eq!(served.get("get_trace_mask").json()["tracemask"], 5);
}

#[test]
fn a_snapshot_is_for_who_may_do_everything_with_the_root() {
    let served = Served::start(&[]);
    let mut client = Client::connect(served.server.client_addr()).unwrap();
    client.create("/big", &vec![7; 200_000], 0);
    let admin = served.server.admin_addr().unwrap();
    let path = "/commands/snapshot?streaming=true";
    let with = |auth: &str| ask(admin, "GET", path, &format!("Authorization: {auth}\r\n"));
    for auth in ["digest", "digest  u:p", "world anyone", "other x"] {
        let refused = with(auth);
        assert_eq!(refused.status, 401, "{auth}");
        assert_eq!(refused.json()["error"], "Not authenticated");
    }
    let taken = with("digest u:p");
    assert_eq!(taken.status, 200, "{}", taken.head);
    let head = &taken.head;
    assert!(head.contains("\r\nlast_zxid: 0x2\r\n"), "{head}");
    assert!(
        head.contains("content-type: application/octet-stream"),
        "{head}"
    );
    let size = head.split("snapshot_size: ").nth(1).unwrap();
    let size: usize = size.lines().next().unwrap().parse().unwrap();
    assert!(taken.body.starts_with(b"ZKSN"));
    assert!(taken.body.len() == size && size > 200_000, "{size}");
    let again = with("digest u:p");
    assert_eq!(again.status, 429);
    assert_eq!(again.json()["command"], "snapshot");
    assert_eq!(served.get("last_snapshot").json()["zxid"], "2");
    let counted = value_of(&served.scrape(), "snapshot_rate_limited_count");
    assert!((counted - 1.0).abs() < 1e-9);
    let nobody = SetAclRequest {
        path: Some("/".into()),
        acl: Some(vec![Acl::new(31, "digest", "somebody:else")]),
        version: -1,
    };
    client
        .call(op_code::SET_ACL, &jute::to_vec(&nobody))
        .unwrap();
    assert_eq!(with("digest u:p").status, 403);
}

#[test]
fn connections_are_shed() {
    let served = Served::start(&[]);
    let clients: Vec<_> = (0..4)
        .map(|_| Client::connect(served.server.client_addr()).unwrap())
        .collect();
    let admin = served.server.admin_addr().unwrap();
    let shed = |query: &str| {
        let path = format!("/commands/shed_connections{query}");
        ask(admin, "POST", &path, "Authorization: digest u:p\r\n")
    };
    assert_eq!(shed("").status, 400);
    assert_eq!(shed("?percentage=101").status, 400);
    assert_eq!(shed("?percentage=50").json()["connections_shed"], 2);
    let begun = Instant::now();
    loop {
        let open = served.get("connections").json()["connections"]
            .as_array()
            .unwrap()
            .len();
        if open == 2 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{open} are open");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(clients);
}

#[test]
fn what_is_scraped_grows_whatever_is_reset() {
    let served = Served::start(&[]);
    let mut client = Client::connect(served.server.client_addr()).unwrap();
    for n in 0..20 {
        client.create(&format!("/n{n}"), b"", 0);
    }
    let before = served.scrape();
    assert!(before.contains("# TYPE znode_count gauge\n"), "{before}");
    assert!(
        before.contains("# TYPE bytes_received_count counter\n"),
        "{before}"
    );
    assert!(
        before.contains("# TYPE updatelatency summary\n"),
        "{before}"
    );
    assert!(
        before.contains("updatelatency{quantile=\"0.99\"} "),
        "{before}"
    );
    assert!(
        before.contains("election_time{quantile=\"0.5\"} NaN\n"),
        "{before}"
    );
    assert!(value_of(&before, "updatelatency_count") >= 20.0);
    assert!(value_of(&before, "fsynctime_count") >= 1.0);
    assert!(value_of(&before, "process_resident_memory_bytes") > 1e6);
    served.get("stat_reset");
    let after = served.scrape();
    for name in [
        "updatelatency_count",
        "bytes_received_count",
        "fsynctime_sum",
    ] {
        assert!(value_of(&after, name) >= value_of(&before, name), "{name}");
    }
    assert_eq!(served.get("monitor").json()["cnt_updatelatency"], 0);
}

#[test]
fn a_port_in_use_is_done_without_unless_it_was_asked_for() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let dir = tempfile::tempdir().unwrap();
    let builder = || {
        ZooServer::builder()
            .set_parameter("dataDir", dir.path().display())
            .set_parameter("clientPort", 0)
            .set_parameter("admin.enableServer", false)
    };
    let server = builder().start().unwrap();
    assert_eq!((server.admin_addr(), server.metrics_addr()), (None, None));
    server.stop().unwrap();
    let builder = builder()
        .set_parameter("metricsProvider.className", PROMETHEUS)
        .set_parameter("metricsProvider.httpHost", "127.0.0.1")
        .set_parameter("metricsProvider.httpPort", &port);
    let error = builder.start().unwrap_err().to_string();
    assert!(error.contains(&port), "{error}");
}

#[test]
fn who_says_nothing_does_not_keep_others_out() {
    let served = Served::start(&[("admin.idleTimeout", "300")]);
    let admin = served.server.admin_addr().unwrap();
    let silent: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(admin).unwrap())
        .collect();
    assert_eq!(served.get("ruok").status, 200);
    drop(silent);
    let mut odd = TcpStream::connect(admin).unwrap();
    odd.write_all(&[0; 64]).unwrap();
    let mut rest = Vec::new();
    odd.read_to_end(&mut rest).unwrap();
    assert_eq!(served.get("ruok").status, 200);
}
