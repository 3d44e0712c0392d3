//! The tools against a server that speaks TLS only.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use menagerie::ZooServer;

struct Fixture {
    server: ZooServer,
    dir: tempfile::TempDir,
}

fn stores(prefix: &str) -> Vec<(String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../server/tls/stores");
    let file = |name: &str| dir.join(name).display().to_string();
    [
        ("keyStore.location", file("key.p12")),
        ("keyStore.password", "geheim".to_owned()),
        ("trustStore.location", file("trust.jks")),
        ("trustStore.password", "geheim".to_owned()),
    ]
    .map(|(name, value)| (format!("{prefix}{name}"), value))
    .into()
}

fn flags() -> Vec<String> {
    let properties = stores("zookeeper.ssl.");
    let flags = properties
        .iter()
        .map(|(name, value)| format!("-D{name}={value}"));
    flags.collect()
}

impl Fixture {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut server = ZooServer::builder()
            .set_parameter("dataDir", dir.path().join("data").display())
            .set_parameter("clientPort", 0)
            .set_parameter("admin.enableServer", "false")
            .set_parameter("secureClientPort", 0);
        for (name, value) in stores("ssl.") {
            server = server.set_parameter(&name, value);
        }
        let server = server.start().unwrap();
        Self { server, dir }
    }

    fn port(&self) -> u16 {
        self.server.secure_addr().unwrap().port()
    }

    /// Runs the tools; exit code, output, errors.
    fn run(&self, words: &[&str], flags: &str) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_menagerie-tools"));
        command
            .args(words)
            .env("CLIENT_JVMFLAGS", flags)
            .env_remove("JVMFLAGS");
        command.env("ZOOCFGDIR", self.dir.path());
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (status.code(), text(stdout), text(stderr))
    }

    fn whoami(&self, host: &str, more: &[&str], flags: &str) -> (Option<i32>, String, String) {
        let server = format!("{host}:{}", self.port());
        let words = [
            &["shell", "-server", &server, "-timeout", "3000"],
            more,
            &["whoami"],
        ];
        self.run(&words.concat(), flags)
    }
}

#[test]
fn the_shell_takes_what_java_s_client_takes() {
    let fixture = Fixture::start();
    let identity = "x509: CN=server,O=Zoo\\, Inc.";
    let flags = flags();
    let words: Vec<&str> = flags.iter().map(String::as_str).collect();
    let secure = [&["-Dzookeeper.client.secure=true"], &words[..]].concat();
    let (code, out, err) = fixture.whoami("localhost", &secure, "");
    assert!(code == Some(0) && out.contains(identity), "{out}{err}");
    let (code, out, err) = fixture.whoami("127.0.0.1", &[], &secure.join(" "));
    assert!(code == Some(0) && out.contains(identity), "{out}{err}");
    let file = fixture.dir.path().join("client.properties");
    let lines: Vec<String> = stores("zookeeper.ssl.")
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    std::fs::write(&file, lines.concat() + "zookeeper.client.secure=true\n").unwrap();
    let named = ["-client-configuration", file.to_str().unwrap()];
    let (code, out, err) = fixture.whoami("localhost", &named, "");
    assert!(code == Some(0) && out.contains(identity), "{out}{err}");
    // Who is not where its certificate says is not believed, unless that does not matter.
    let (code, _, err) = fixture.whoami("127.0.0.2", &secure, "");
    assert!(
        code != Some(0) && err.contains("its certificate is for "),
        "{err}"
    );
    let careless = [&secure[..], &["-Dzookeeper.ssl.hostnameVerification=false"]].concat();
    let (code, out, err) = fixture.whoami("127.0.0.2", &careless, "");
    assert!(code == Some(0) && out.contains(identity), "{out}{err}");
}

#[test]
fn what_is_wrong_with_tls_is_said() {
    let fixture = Fixture::start();
    let (code, _, err) = fixture.whoami("localhost", &["-Dzookeeper.client.secure=true"], "");
    assert_ne!(code, Some(0));
    assert!(
        err.contains("zookeeper.ssl.trustStore.location is not set"),
        "{err}"
    );
}

#[test]
fn zk_server_status_asks_over_tls() {
    let fixture = Fixture::start();
    let lines = format!(
        "dataDir={}\nsecureClientPort={}\nsecureClientPortAddress=127.0.0.1\n",
        fixture.dir.path().display(),
        fixture.port()
    );
    std::fs::write(fixture.dir.path().join("zoo.cfg"), lines).unwrap();
    let status = ["script", "zkServer.sh", "status"];
    let (code, out, err) = fixture.run(&status, &flags().join(" "));
    assert!(
        code == Some(0) && out.contains("Mode: standalone"),
        "{out}{err}"
    );
    assert!(out.contains("Client SSL: true."), "{out}");
    let (code, out, err) = fixture.run(&status, "");
    assert_eq!(code, Some(1), "{out}");
    assert!(
        err.contains("zookeeper.ssl.trustStore.location is not set"),
        "{err}"
    );
}

/// Options that ask for TLS.
fn secure() -> Vec<String> {
    let wanted = "-Dzookeeper.client.secure=true".to_owned();
    [wanted].into_iter().chain(flags()).collect()
}

fn with<'a>(words: &[&'a str], more: &'a [String]) -> Vec<&'a str> {
    let more = more.iter().map(String::as_str);
    words.iter().copied().chain(more).collect()
}

#[test]
fn a_tree_is_exported_and_imported_over_tls() {
    let fixture = Fixture::start();
    let server = format!("localhost:{}", fixture.port());
    let secure = secure();
    let file = fixture.dir.path().join("tree.jsonl");
    let file = file.to_str().unwrap();
    let (code, _, err) = fixture.run(
        &with(&["shell", "-server", &server], &secure)
            .into_iter()
            .chain(["create", "/app", "here"])
            .collect::<Vec<_>>(),
        "",
    );
    assert_eq!(code, Some(0), "{err}");
    let export = ["export", "/app", "-s", &server, "-o", file];
    let (code, out, err) = fixture.run(&with(&export, &secure), "");
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(std::fs::read_to_string(file).unwrap().contains("here"));
    // As in the environment, too.
    let import = ["import", file, "-s", &server, "--to", "/copy"];
    let (code, out, err) = fixture.run(&import, &secure.join(" "));
    assert_eq!(code, Some(0), "{out}{err}");
    let (code, out, err) = fixture.run(
        &with(&["export", "/copy", "-s", &server], &secure),
        "-Dzookeeper.client.secure=false",
    );
    assert!(code == Some(0) && out.contains("here"), "{out}{err}");
    let other = format!("127.0.0.2:{}", fixture.port());
    let (code, _, err) = fixture.run(&with(&["export", "/app", "-s", &other], &secure), "");
    assert!(
        code == Some(1) && err.contains("its certificate is for "),
        "{err}"
    );
    let plain = ["export", "/app", "-s", &server];
    let (code, _, err) = fixture.run(&plain, "");
    assert!(code == Some(1) && err.contains("connection lost"), "{err}");
}

#[test]
fn health_is_asked_over_tls() {
    let fixture = Fixture::start();
    let server = format!("localhost:{}", fixture.port());
    let (code, out, err) = fixture.run(&with(&["health", &server], &secure()), "");
    assert!(code == Some(0) && out.contains("standalone"), "{out}{err}");
    let (code, out, _) = fixture.run(&["health", &server, "--timeout", "2000"], "");
    assert_eq!(code, Some(1), "{out}");
    // A server that has no other port is asked there.
    let lines = format!(
        "dataDir=/none\nsecureClientPort={}\nsecureClientPortAddress=127.0.0.1\n",
        fixture.port()
    );
    std::fs::write(fixture.dir.path().join("zoo.cfg"), lines).unwrap();
    let (code, out, err) = fixture.run(&["health"], &flags().join(" "));
    assert!(code == Some(0) && out.contains("standalone"), "{out}{err}");
    let (code, _, err) = fixture.run(&["health"], "");
    assert!(
        code == Some(1) && err.contains("zookeeper.ssl.trustStore.location is not set"),
        "{err}"
    );
}

#[test]
fn a_server_is_loaded_over_tls() {
    let fixture = Fixture::start();
    let server = format!("localhost:{}", fixture.port());
    let secure = secure();
    let load = [
        "bench", "set", "get", "-s", &server, "-c", "3", "-d", "5", "--ops", "3000", "--json",
    ];
    let (code, out, err) = fixture.run(&with(&load, &secure), "");
    assert_eq!(code, Some(0), "{out}{err}");
    assert_eq!(out.lines().count(), 2, "{out}");
    let sessions = ["bench", "sessions", "-s", &server, "--ops", "10"];
    let (code, _, err) = fixture.run(&with(&sessions, &secure), "");
    assert!(code == Some(1) && err.contains("without TLS"), "{err}");
}

#[test]
fn members_are_asked_over_tls() {
    let fixture = Fixture::start();
    let members = format!("1=localhost:{}", fixture.port());
    let watch = ["migrate", "watch", "--once", "--servers", &members];
    let (_, out, err) = fixture.run(&with(&watch, &secure()), "");
    assert!(
        out.contains("Menagerie ") && out.contains("standalone"),
        "{out}{err}"
    );
    let lines = format!(
        "clientPort=1\nsecureClientPort={}\nserver.1=localhost:2:3\n",
        fixture.port()
    );
    let file = fixture.dir.path().join("member.cfg");
    std::fs::write(&file, lines).unwrap();
    let watch = [
        "migrate",
        "watch",
        "--once",
        "--config",
        file.to_str().unwrap(),
    ];
    let (_, out, err) = fixture.run(&with(&watch, &secure()), "");
    assert!(out.contains("standalone"), "{out}{err}");
    let (_, out, _) = fixture.run(&watch, "");
    assert!(out.contains("not reached"), "{out}");
}

#[test]
fn a_backup_comes_over_https() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = ZooServer::builder()
        .set_parameter("dataDir", dir.path().join("data").display())
        .set_parameter("clientPort", 0)
        .set_parameter("admin.serverAddress", "127.0.0.1")
        .set_parameter("admin.serverPort", 0)
        .set_parameter("admin.forceHttps", "true")
        .set_parameter("admin.rateLimiterIntervalInMS", 0);
    for (name, value) in stores("ssl.quorum.") {
        server = server.set_parameter(&name, value);
    }
    let fixture = Fixture {
        server: server.start().unwrap(),
        dir,
    };
    let admin = format!("https://{}", fixture.server.admin_addr().unwrap());
    let to = fixture.dir.path().to_str().unwrap();
    let backup = ["backup", to, "--admin", &admin, "--auth", "ip:127.0.0.1"];
    let (code, out, err) = fixture.run(&with(&backup, &flags()), "");
    assert!(code == Some(0) && out.contains("snapshot."), "{out}{err}");
    let (code, _, err) = fixture.run(&backup, "");
    assert!(
        code == Some(1) && err.contains("zookeeper.ssl.trustStore.location is not set"),
        "{err}"
    );
}

#[test]
fn operators_tools_speak_tls() {
    let fixture = Fixture::start();
    let server = format!("localhost:{}", fixture.port());
    let flags = flags().join(" ") + " -Dzookeeper.client.secure=true";
    let run = |words: &[&str]| {
        let (code, out, err) = fixture.run(words, &flags);
        assert_eq!(code, Some(0), "{words:?}: {out}{err}");
        out
    };
    assert!(run(&["health", &server]).contains("standalone"));
    let plan = run(&["migrate", "plan", "--servers", &server]);
    assert!(plan.contains("Menagerie"), "{plan}");
    let create = [
        "shell",
        "-server",
        &server,
        "create",
        "/app",
        "of many words",
    ];
    run(&create);
    let file = fixture.dir.path().join("app.jsonl");
    let file = file.to_str().unwrap();
    run(&["export", "/app", "-s", &server, "-o", file]);
    run(&["import", file, "-s", &server, "--to", "/copy"]);
    let copied = run(&["shell", "-server", &server, "get", "/copy"]);
    assert!(copied.contains("of many words"), "{copied}");
    // The same from a file; and who does not speak TLS is not answered.
    let properties = fixture.dir.path().join("tools.properties");
    let lines: Vec<String> = stores("zookeeper.ssl.")
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    std::fs::write(
        &properties,
        lines.concat() + "zookeeper.client.secure=true\n",
    )
    .unwrap();
    let named = ["--client-configuration", properties.to_str().unwrap()];
    let health = [&["health", &server][..], &named].concat();
    let (code, out, err) = fixture.run(&health, "");
    assert_eq!(code, Some(0), "{out}{err}");
    let (code, _, err) = fixture.run(&["health", &server, "--timeout", "2000"], "");
    assert_eq!(code, Some(1), "{err}");
    let elsewhere = format!("127.0.0.2:{}", fixture.port());
    let (code, _, err) = fixture.run(&["export", "/app", "-s", &elsewhere], &flags);
    assert!(
        code != Some(0) && err.contains("its certificate is for "),
        "{err}"
    );
}
