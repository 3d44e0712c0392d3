//! The console's API: who may ask, what is shown to whom, what is changed and how.
#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use menagerie::ZooServer;
use menagerie_wire::client::{AuthPacket, PathWatchRequest, SetAclRequest};
use menagerie_wire::data::Acl;
use menagerie_wire::jute;
use menagerie_wire::op::op_code;
use serde_json::{Value, json};
use support::{Client, http};

/// `alice:secret`.
const ALICE: &str = "Authorization: Basic YWxpY2U6c2VjcmV0\r\n";
const BOB: &str = "Authorization: digest bob:pass\r\n";

struct Served {
    server: ZooServer,
    _dir: tempfile::TempDir,
}

struct Reply {
    status: u16,
    head: String,
    body: Value,
}

fn send(address: SocketAddr, request: &str) -> Reply {
    let reply = http::exchange(address, request.as_bytes());
    let text = || Value::String(String::from_utf8_lossy(&reply.body).into_owned());
    Reply {
        status: reply.status,
        head: reply.head,
        body: serde_json::from_slice(&reply.body).unwrap_or_else(|_| text()),
    }
}

fn encode(path: &str) -> String {
    path.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

impl Served {
    fn start(parameters: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut builder = ZooServer::builder()
            .set_parameter("dataDir", dir.path().display())
            .set_parameter("clientPort", 0)
            .set_parameter("clientPortAddress", "127.0.0.1")
            .set_parameter("admin.serverAddress", "127.0.0.1")
            .set_parameter("admin.serverPort", 0);
        for (key, value) in parameters {
            builder = builder.set_parameter(key, value);
        }
        let server = builder.start().unwrap();
        Self { server, _dir: dir }
    }

    fn admin(&self) -> SocketAddr {
        self.server.admin_addr().unwrap()
    }

    fn get(&self, path: &str, headers: &str) -> Reply {
        self.with_host(path, headers, &self.admin().to_string())
    }

    fn with_host(&self, path: &str, headers: &str, host: &str) -> Reply {
        let request = format!(
            "GET /console{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n"
        );
        send(self.admin(), &request)
    }

    fn node(&self, path: &str, headers: &str) -> Reply {
        self.get(&format!("/api/node?path={}", encode(path)), headers)
    }

    fn change(&self, what: &Value, headers: &str) -> Reply {
        self.post(
            &what.to_string(),
            &format!("Content-Type: application/json\r\n{headers}"),
        )
    }

    fn post(&self, body: &str, headers: &str) -> Reply {
        let request = format!(
            "POST /console/api/change HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            self.admin(),
            body.len()
        );
        send(self.admin(), &request)
    }

    fn client(&self) -> Client {
        Client::connect(self.server.client_addr()).unwrap()
    }
}

fn create(path: &str) -> Value {
    json!({"op": "create", "path": path, "data": "aGVsbG8=", "mode": "persistent"})
}

/// Makes `path` the own of `user:password` alone.
fn lock(client: &mut Client, path: &str, user: &str) {
    let packet = AuthPacket {
        kind: 0,
        scheme: Some("digest".into()),
        auth: Some(user.as_bytes()),
    };
    client.call(op_code::AUTH, &jute::to_vec(&packet)).unwrap();
    let request = SetAclRequest {
        path: Some(path.into()),
        acl: Some(vec![Acl::new(31, "auth", "")]),
        version: -1,
    };
    let (header, _) = client
        .call(op_code::SET_ACL, &jute::to_vec(&request))
        .unwrap();
    assert_eq!(header.err, 0);
}

#[test]
fn the_page_and_its_files_are_served_with_headers_that_keep_it_safe() {
    let served = Served::start(&[]);
    for file in ["/", "/app.js", "/style.css", "/icon.svg", "/node.js"] {
        let reply = served.get(file, "");
        assert_eq!(reply.status, 200, "{file}");
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'",
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "cache-control: no-store",
        ] {
            assert!(reply.head.contains(header), "{file}: {}", reply.head);
        }
        assert!(!reply.head.contains("unsafe-inline"), "{}", reply.head);
        assert!(!reply.head.contains("set-cookie"), "{}", reply.head);
    }
    let page = served.get("/", "").body;
    let page = page.as_str().unwrap();
    assert!(
        !page.contains("//") || !page.contains("src=\"http"),
        "loads from elsewhere"
    );
    assert_eq!(served.get("", "").status, 308);
    for climbing in [
        "/../commands/stats",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2fapp.js",
        "/app.js%00",
    ] {
        assert_eq!(served.get(climbing, "").status, 404, "{climbing}");
    }
    assert_eq!(served.get("/api/nothing", "").status, 404);
}

#[test]
fn there_is_no_console_unless_it_is_wanted() {
    let served = Served::start(&[("menagerie.console.enabled", "false")]);
    for path in ["", "/", "/api/overview"] {
        assert_eq!(served.get(path, "").status, 404, "{path}");
    }
    let moved = Served::start(&[("admin.commandURL", "/console")]);
    assert_eq!(moved.get("/ruok", "").body["command"], "ruok");
}

#[test]
fn overview_sessions_and_connections_tell_of_clients() {
    let served = Served::start(&[]);
    let mut client = served.client();
    assert_eq!(client.create("/mine", b"x", 1), 0);
    let watching = PathWatchRequest {
        path: Some("/mine".into()),
        watch: true,
    };
    client
        .call(op_code::GET_DATA, &jute::to_vec(&watching))
        .unwrap();
    let overview = served.get("/api/overview", "").body;
    let me = &overview["members"][0];
    assert_eq!(me["mode"], "standalone");
    assert_eq!(me["ephemerals"], 1);
    assert_eq!(me["connections"], 1);
    let id = format!("0x{:x}", client.session);
    let sessions = served.get("/api/sessions", "").body;
    let one = &sessions["sessions"][0];
    assert_eq!(
        (&one["id"], &one["ephemerals"], &one["watches"]),
        (&json!(id), &json!(1), &json!(1))
    );
    assert_eq!(
        served.get("/api/sessions?filter=nobody", "").body["matching"],
        0
    );
    let detail = served.get(&format!("/api/session?id={id}"), "").body;
    assert_eq!(detail["ephemerals"]["paths"], json!(["/mine"]));
    assert_eq!(detail["watches"]["paths"], json!(["/mine"]));
    assert_eq!(served.get("/api/session?id=0x77", "").status, 404);
    assert_eq!(served.get("/api/session?id=x", "").status, 400);
    let talkers = served.get("/api/connections", "").body;
    assert_eq!(talkers["connections"][0]["session"], json!(id));
    assert!(
        talkers["connections"][0]["bytes_out"].as_u64().unwrap() > 20,
        "{talkers}"
    );
    let deadline = Instant::now() + Duration::from_secs(15);
    while served.get("/api/overview", "").body["history"]
        .as_array()
        .unwrap()
        .is_empty()
    {
        assert!(Instant::now() < deadline, "no sample in 15 s");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn nodes_are_shown_as_their_acls_allow() {
    let served = Served::start(&[]);
    let mut client = served.client();
    assert_eq!(client.create("/open", b"{\"a\": 1}", 0), 0);
    assert_eq!(client.create("/closed", b"secret data", 0), 0);
    assert_eq!(client.create("/closed/inner", b"", 1), 0);
    let session = format!("0x{:x}", client.session);
    lock(&mut client, "/closed", "alice:secret");
    let open = served.node("/open", "").body;
    assert_eq!(open["data"], "eyJhIjogMX0=");
    assert_eq!(open["acl"][0]["perms"], "cdrwa");
    let closed = served.node("/closed", "").body;
    assert_eq!(closed["readable"], false);
    assert!(
        closed.get("data").is_none() && closed.get("stat").is_none() && closed.get("acl").is_none(),
        "{closed}"
    );
    assert_eq!(served.node("/closed", BOB).body["readable"], false);
    let alice = served.node("/closed", ALICE).body;
    assert_eq!(alice["data"], "c2VjcmV0IGRhdGE=");
    assert_eq!(alice["may"]["write"], true);
    assert_eq!(served.get("/api/children?path=/closed", "").status, 403);
    assert_eq!(
        served.get("/api/children?path=/closed", ALICE).body["children"][0]["name"],
        "inner"
    );
    let root = served.get("/api/children?path=/", "").body;
    let rows = root["children"].as_array().unwrap();
    let closed = rows.iter().find(|row| row["name"] == "closed").unwrap();
    assert_eq!(closed, &json!({"name": "closed", "locked": true}));
    let seen = |headers: &str| {
        let session = served
            .get(&format!("/api/session?id={session}"), headers)
            .body;
        (
            session["ephemerals"]["paths"].clone(),
            session["ephemerals"]["hidden"].clone(),
        )
    };
    assert_eq!(
        seen(""),
        (json!([]), json!(1)),
        "its parent cannot be listed"
    );
    assert_eq!(seen(ALICE), (json!(["/closed/inner"]), json!(0)));
    assert_eq!(served.node("/none", "").status, 404);
    for climbing in [
        "",
        "open",
        "/open/../closed",
        "/./open",
        "//open",
        "/open/",
        "/a\0b",
    ] {
        assert_eq!(served.node(climbing, "").status, 400, "{climbing:?}");
    }
}

#[test]
fn children_come_in_pages() {
    let served = Served::start(&[]);
    let mut client = served.client();
    client.create("/many", b"", 0);
    for number in 0..1300 {
        client.create(&format!("/many/n{number:04}"), b"", 0);
    }
    let page = |more: &str| {
        served
            .get(&format!("/api/children?path=/many{more}"), "")
            .body
    };
    let first = page("&limit=9999");
    assert_eq!(first["children"].as_array().unwrap().len(), 500);
    assert_eq!(
        (&first["total"], &first["more"]),
        (&json!(1300), &json!(true))
    );
    assert_eq!(first["children"][499]["name"], "n0499");
    let last = page("&after=n1299");
    assert_eq!(
        (&last["children"], &last["more"]),
        (&json!([]), &json!(false))
    );
    let rest = page("&after=n1199&limit=200");
    assert_eq!(rest["children"].as_array().unwrap().len(), 100);
    let some = page("&filter=99&limit=5");
    assert_eq!(
        (&some["matching"], &some["children"][0]["name"]),
        (&json!(22), &json!("n0099"))
    );
}

#[test]
fn names_and_data_that_look_like_markup_stay_data() {
    let served = Served::start(&[]);
    let mut client = served.client();
    let name = "<script>alert(1)</script>".replace('/', "∕");
    let path = format!("/{name}");
    assert_eq!(client.create(&path, b"<img src=x onerror=alert(2)>", 0), 0);
    let reply = served.node(&path, "");
    assert_eq!(reply.body["path"], json!(path));
    assert!(
        reply.head.contains("content-type: application/json"),
        "{}",
        reply.head
    );
    assert!(reply.head.contains("nosniff"));
    let error = served.get("/api/session?id=%3Cscript%3E", "");
    assert!(
        error.head.contains("content-type: application/json"),
        "{}",
        error.head
    );
}

#[test]
fn changes_need_an_identity_and_go_the_way_of_a_clients_requests() {
    let served = Served::start(&[]);
    let nobody = served.change(&create("/a"), "");
    assert_eq!(nobody.status, 401, "{}", nobody.body);
    assert_eq!(served.client().get("/a"), Err(-101));
    let created = served.change(&create("/a"), ALICE);
    assert_eq!(
        (created.status, &created.body["path"]),
        (200, &json!("/a")),
        "{}",
        created.body
    );
    assert_eq!(served.client().get("/a").unwrap(), b"hello");
    assert_eq!(served.change(&create("/a"), ALICE).status, 409);
    let sequential =
        json!({"op": "create", "path": "/a/s-", "data": "", "mode": "persistent_sequential"});
    assert_eq!(
        served.change(&sequential, ALICE).body["path"],
        "/a/s-0000000000"
    );
    let set = |version: i32| json!({"op": "set", "path": "/a", "data": "bmV3", "version": version});
    assert_eq!(served.change(&set(7), ALICE).status, 409);
    assert_eq!(served.change(&set(0), ALICE).status, 200);
    assert_eq!(served.client().get("/a").unwrap(), b"new");
    let delete =
        |path: &str, version: i32| json!({"op": "delete", "path": path, "version": version});
    assert_eq!(
        served.change(&delete("/a", 1), ALICE).status,
        409,
        "it has a child"
    );
    assert_eq!(
        served.change(&delete("/a/s-0000000000", 5), ALICE).status,
        409
    );
    assert_eq!(
        served.change(&delete("/a/s-0000000000", 0), ALICE).status,
        200
    );
    let mine = json!({"op": "acl", "path": "/a", "version": 0,
        "acl": [{"perms": "cdrwa", "scheme": "auth", "id": ""}]});
    assert_eq!(served.change(&mine, ALICE).status, 200);
    assert_eq!(served.change(&set(1), BOB).status, 403);
    assert_eq!(served.client().get("/a"), Err(-102));
    assert_eq!(served.change(&set(1), ALICE).status, 200);
    assert_eq!(
        served.get("/api/sessions", "").body["total"],
        4,
        "those of the clients above; the console's own are gone"
    );
    assert_eq!(
        served.get("/api/overview", "").body["members"][0]["outstanding"],
        0
    );
}

#[test]
fn other_sites_pages_cannot_ask() {
    let served = Served::start(&[("menagerie.console.hosts", "ops.example")]);
    let own = format!("Origin: http://{}\r\n{ALICE}", served.admin());
    assert_eq!(served.change(&create("/own"), &own).status, 200);
    let foreign = [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
    ];
    for header in foreign {
        let with = format!("{header}{ALICE}");
        assert_eq!(
            served.change(&create("/foreign"), &with).status,
            403,
            "{header}"
        );
        assert_eq!(served.get("/api/overview", header).status, 403, "{header}");
    }
    let link = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n";
    assert_eq!(
        served.get("/", link).status,
        200,
        "a link may open the page"
    );
    let form = served.post(
        &create("/foreign").to_string(),
        &format!("Content-Type: text/plain\r\n{ALICE}"),
    );
    assert_eq!(form.status, 415);
    assert_eq!(
        served.post(&create("/foreign").to_string(), ALICE).status,
        415
    );
    assert_eq!(
        served.with_host("/api/overview", "", "evil.example").status,
        421,
        "DNS rebinding"
    );
    assert_eq!(
        served
            .with_host("/api/overview", "", "ops.example:8080")
            .status,
        200
    );
    assert_eq!(
        served.with_host("/api/overview", "", "localhost").status,
        200
    );
    assert_eq!(served.client().get("/foreign"), Err(-101));
    assert_eq!(served.get("/api/change", "").status, 405);
}

#[test]
fn wrong_requests_are_refused_with_a_reason() {
    let served = Served::start(&[]);
    for wrong in [
        "Authorization: digest\r\n",
        "Authorization: digest alice\r\n",
        "Authorization: Basic !\r\n",
        "Authorization: sasl x\r\n",
        "Authorization: ip 1.2.3.4\r\n",
        "Authorization: nothing x:y\r\n",
    ] {
        assert_eq!(served.get("/api/whoami", wrong).status, 401, "{wrong}");
    }
    assert_eq!(
        served.get("/api/whoami", &format!("{ALICE}{BOB}")).status,
        400
    );
    assert_eq!(served.get("/api/whoami", ALICE).body["logged_in"], true);
    for wrong in [
        json!({"op": "burn", "path": "/a"}),
        json!({"op": "delete", "path": "/a"}),
        json!({"op": "delete", "path": "/a", "version": 0, "more": 1}),
        json!({"op": "create", "path": "/a", "data": "not base64!", "mode": "persistent"}),
        json!({"op": "create", "path": "/a", "data": "", "mode": "ephemeral"}),
        json!({"op": "create", "path": "a", "data": "", "mode": "persistent"}),
        json!({"op": "acl", "path": "/", "version": -1, "acl": [{"perms": "q", "scheme": "world", "id": "anyone"}]}),
    ] {
        let reply = served.change(&wrong, ALICE);
        assert_eq!(reply.status, 400, "{wrong}: {}", reply.body);
        assert!(reply.body["error"].as_str().is_some(), "{}", reply.body);
    }
    assert_eq!(
        served
            .post("{", &format!("Content-Type: application/json\r\n{ALICE}"))
            .status,
        400
    );
}

#[test]
fn large_and_slow_requests_do_not_hold_the_server() {
    let served = Served::start(&[("jute.maxbuffer", "100000")]);
    let large =
        json!({"op": "create", "path": "/a", "data": "A".repeat(400_000), "mode": "persistent"});
    assert_eq!(served.change(&large, ALICE).status, 413);
    let chunked = format!(
        "POST /console/api/change HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n{ALICE}Transfer-Encoding: chunked\r\n\r\n",
        served.admin()
    );
    let body = format!("{:x}\r\n{}\r\n0\r\n\r\n", 400_000, "x".repeat(400_000));
    assert_eq!(
        send(served.admin(), &format!("{chunked}{body}")).status,
        413
    );
    let near =
        json!({"op": "create", "path": "/a", "data": "A".repeat(136_000), "mode": "persistent"});
    assert_eq!(
        served.change(&near, ALICE).status,
        413,
        "more than jute.maxbuffer once decoded"
    );
    let begun = Instant::now();
    let slow = format!(
        "POST /console/api/change HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n{ALICE}Content-Length: 500\r\n\r\n{{",
        served.admin()
    );
    let reply = send(served.admin(), &slow);
    assert_eq!(reply.status, 408);
    assert!(
        begun.elapsed() < Duration::from_secs(18),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(served.get("/api/overview", "").status, 200);
}

#[test]
fn an_enforced_scheme_is_asked_for() {
    let served = Served::start(&[
        ("enforce.auth.enabled", "true"),
        ("enforce.auth.schemes", "digest"),
    ]);
    assert_eq!(served.node("/", "").status, 401);
    assert_eq!(served.node("/", ALICE).status, 200);
    assert_eq!(
        served.get("/api/overview", "").status,
        200,
        "figures are told as by the commands"
    );
}
