//! The real binary: what it takes over when its configuration is read again, and what it logs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    missing_docs
)]

mod support;

use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;

use support::{Client, PATIENCE, Process, command, send_signal, word, write_config};

struct Logged {
    process: Process,
    dir: tempfile::TempDir,
}

impl Logged {
    fn start(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = write_config(dir.path(), more);
        let log = File::create(dir.path().join("log")).unwrap();
        let process = Process::run_logging(&mut command(&config), log.into());
        Self { process, dir }
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir().join("log")).unwrap()
    }

    /// Waits until the log has as many of those.
    fn await_log(&self, text: &str, count: usize) {
        let begin = Instant::now();
        while self.log().matches(text).count() < count {
            assert!(begin.elapsed() < PATIENCE, "no {text:?} in {}", self.log());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Writes another configuration and has it read; `count` is how often that was done.
    fn reload(&self, more: &str, count: usize) {
        write_config(self.dir(), more);
        send_signal(&self.process.child, "HUP");
        self.await_log("the configuration has been read again", count);
    }
}

#[test]
fn a_hang_up_takes_over_what_can_be() {
    let server = Logged::start("4lw.commands.whitelist=conf\n");
    let address = server.process.address;
    assert!(word(address, "ruok").contains("not in the whitelist"));
    let mut client = Client::connect(address).unwrap();

    server.reload(
        "maxClientCnxns=2\nsnapCount=7000\n4lw.commands.whitelist=conf,ruok\n",
        1,
    );
    assert_eq!(word(address, "ruok"), "imok");
    assert!(word(address, "conf").contains("maxClientCnxns=2"));
    let log = server.log();
    assert!(
        log.contains("taken=\"maxClientCnxns, 4lw.commands.whitelist\""),
        "{log}"
    );
    assert!(log.contains("need a restart keys=\"snapCount\""), "{log}");
    // Who is there stays; a third is one too many.
    assert!(client.get("/").is_ok());
    let second = Client::connect(address).unwrap();
    assert!(Client::connect(address).is_err());
    drop(second);

    // A configuration that is wrong changes nothing.
    write_config(server.dir(), "maxClientCnxns=many\n");
    send_signal(&server.process.child, "HUP");
    server.await_log("the configuration stays as it is", 1);
    assert!(client.get("/").is_ok());
    fs::remove_file(server.dir().join("zoo.cfg")).unwrap();
    send_signal(&server.process.child, "HUP");
    server.await_log("the configuration stays as it is", 2);

    server.reload("", 2);
    assert_eq!(word(address, "ruok"), "imok");
    assert!(word(address, "conf").contains("maxClientCnxns=0"));
    assert_eq!(server.process.terminate(), Some(0));
}

#[test]
fn the_level_of_the_log_changes_and_changes_back() {
    let server = Logged::start("");
    let connect = || drop(Client::connect(server.process.address).unwrap());
    let debug = || server.log().matches("DEBUG").count();
    connect();
    assert_eq!(debug(), 0);
    server.reload("menagerie.log.level=debug\n", 1);
    connect();
    server.await_log("DEBUG", 1);
    server.reload("", 2);
    let before = debug();
    connect();
    send_signal(&server.process.child, "HUP");
    server.await_log("the configuration has been read again", 3);
    assert_eq!(debug(), before);
}

#[test]
fn the_log_can_be_json_and_tells_slow_requests() {
    // A lone write waits for company.
    let server =
        Logged::start("menagerie.log.format=json\nmenagerie.slowRequestMs=20\nflushDelay=60\n");
    let mut client = Client::connect(server.process.address).unwrap();
    assert_eq!(client.create("/slow", b"", 0), 0);
    server.await_log("slow request", 1);
    let lines: Vec<serde_json::Value> = server
        .log()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines.iter().all(|line| line["level"].is_string()));
    let slow = |line: &&serde_json::Value| line["path"] == "/slow";
    let slow = lines.iter().find(slow).unwrap();
    assert_eq!(slow["message"], "slow request");
    assert_eq!(slow["session"], format!("0x{:x}", client.session));
    assert!(slow["took_ms"].as_u64().unwrap() >= 20, "{slow}");
    assert_eq!(slow["op"], "CREA");
    assert_eq!(slow["cxid"], 1);
}
