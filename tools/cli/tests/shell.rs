//! The shell against a server in this process: output and exit codes as scripts see them.
#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use menagerie::ZooServer;

struct Fixture {
    server: ZooServer,
    _dir: tempfile::TempDir,
}

impl Fixture {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = ZooServer::builder()
            .set_parameter("dataDir", dir.path().display())
            .set_parameter("clientPort", 0)
            .set_parameter("clientPortAddress", "127.0.0.1")
            .start()
            .unwrap();
        Self { server, _dir: dir }
    }

    fn shell(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_menagerie-tools"));
        let address = self.server.client_addr().to_string();
        command.args(["shell", "-server", &address]).args(words);
        command
    }

    /// Runs one command; exit code, what follows the connection's event, and the errors.
    fn run(&self, words: &[&str]) -> (i32, String, String) {
        let Output {
            status,
            stdout,
            stderr,
        } = self.shell(words).output().unwrap();
        let out = String::from_utf8(stdout).unwrap();
        let event = "WatchedEvent state:SyncConnected type:None path:null zxid: -1\n";
        let result = out.split_once(event).map_or(out.as_str(), |(_, rest)| rest);
        (
            status.code().unwrap(),
            result.to_owned(),
            String::from_utf8(stderr).unwrap(),
        )
    }
}

#[test]
fn one_command_prints_its_result_and_exits_with_its_code() {
    let fixture = Fixture::start();
    let ok = |out: &str, err: &str| (0, out.to_owned(), err.to_owned());
    let failed = |err: &str| (1, String::new(), err.to_owned());
    assert_eq!(
        fixture.run(&["create", "/a", "one"]),
        ok("", "Created /a\n")
    );
    assert_eq!(
        fixture.run(&["create", "/a", "one"]),
        failed("Node already exists: /a\n")
    );
    assert_eq!(fixture.run(&["get", "/a"]), ok("one\n", ""));
    assert_eq!(
        fixture.run(&["get", "/nope"]),
        failed("Node does not exist: /nope\n")
    );
    assert_eq!(
        fixture.run(&["set", "-v", "7", "/a", "x"]),
        failed("version No is not valid : /a\n")
    );
    assert_eq!(fixture.run(&["ls", "/"]), ok("[a, zookeeper]\n", ""));
    assert_eq!(
        fixture.run(&["getAcl", "/a"]),
        ok("'world,'anyone\n: cdrwa\n", "")
    );
    assert_eq!(
        fixture.run(&["whoami"]),
        ok("Auth scheme: User\nip: 127.0.0.1\n", "")
    );
    assert_eq!(fixture.run(&["setquota", "-n", "5", "/a"]), ok("", ""));
    let quota = "absolute path is /zookeeper/quota/a/zookeeper_limits\n\
                 Output quota for /a count=5,bytes=-1\nOutput stat for /a count=1,bytes=3\n";
    assert_eq!(fixture.run(&["listquota", "/a"]), ok(quota, ""));
    let (code, _, err) = fixture.run(&["frobnicate"]);
    assert_eq!(code, 127);
    assert!(
        err.ends_with("Command not found: Command not found frobnicate\n"),
        "{err}"
    );
}

#[test]
fn json_is_for_programs() {
    let fixture = Fixture::start();
    let (code, out, _) = fixture.run(&["--json", "create", "/j", "{}"]);
    assert_eq!((code, out.as_str()), (0, "{\"path\":\"/j\"}\n"));
    let (_, out, _) = fixture.run(&["--json", "get", "/j"]);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["data"], "{}");
    let (code, out, err) = fixture.run(&["--json", "delete", "/nope"]);
    assert_eq!((code, out.as_str()), (1, ""));
    let error: serde_json::Value = serde_json::from_str(&err).unwrap();
    assert_eq!(error["error"], "NONODE");
    assert_eq!(error["path"], "/nope");
}

#[test]
fn commands_from_a_pipe_share_a_session_and_its_watches() {
    let fixture = Fixture::start();
    let mut child = fixture
        .shell(&[])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = "create -e /e 1\nget -w /e\ngetEphemerals\nset /e 2\nredo 2\nquit\n";
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let (_, after) = out.split_once("path:null zxid: -1\n").unwrap();
    let expected = "1\n[/e]\n\nWATCHER::\n\nWatchedEvent state:SyncConnected \
                    type:NodeDataChanged path:/e zxid: 3\n[/e]\n\nWATCHER::\n\nWatchedEvent \
                    state:Closed type:None path:null zxid: -1\n";
    assert_eq!(after, expected);
    let (code, out, _) = fixture.run(&["ls", "/"]);
    assert_eq!((code, out.as_str()), (0, "[zookeeper]\n"));
}

#[test]
fn a_chroot_hides_what_is_above_it() {
    let fixture = Fixture::start();
    fixture.run(&["create", "/app"]);
    let address = format!("{}/app", fixture.server.client_addr());
    let inside = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_menagerie-tools"));
        let output = command
            .args(["shell", "-server", &address])
            .args(words)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    inside(&["create", "/x", "1"]);
    assert!(inside(&["ls", "/"]).ends_with("[x]\n"));
    assert_eq!(fixture.run(&["get", "/app/x"]).1, "1\n");
}

#[test]
fn nobody_there_is_a_connection_loss() {
    let fixture = Fixture::start();
    let address = fixture.server.client_addr().to_string();
    let Fixture { server, _dir } = fixture;
    server.stop().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_menagerie-tools"));
    let output = command
        .args(["shell", "-server", &address, "ls", "/"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(err, "KeeperErrorCode = ConnectionLoss for /\n");
}
