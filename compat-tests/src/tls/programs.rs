//! Owns what the clients in Java, Python and Go make of TLS: the same commands against both servers, the
//! same answers. Must not speak the protocol itself.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::{Side, same};
use crate::certs::{Authority, PASSWORD};
use crate::programs::Programs;
use crate::suites;

/// What alice does with Java's shell.
const SHELL: &str = "whoami
create /hers hers auth::cdrwa
getAcl /hers
get /hers
create /open
ls /
quit
";

/// What bob sees of it, in Python.
const PYTHON: &str = r#"
import sys
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError
from kazoo.security import ACL, Id

address, ca, cert, key = sys.argv[1:]
zk = KazooClient(hosts=address, use_ssl=True, ca=ca, certfile=cert, keyfile=key, timeout=10)
zk.start(timeout=15)
try:
    zk.get("/hers")
    print("bob reads what is hers")
except NoAuthError:
    print("bob must not read what is hers")
subject = "CN=bob,O=Zoo\\, Inc."
zk.create("/his", b"his", acl=[ACL(31, Id("x509", subject))])
print(zk.get("/his")[0], zk.get_acls("/his")[0])
print(sorted(zk.get_children("/")))
zk.stop()
"#;

/// Java's shell, kazoo, then Go's client, on both servers.
pub(super) fn all(programs: &Programs, authority: &Authority) -> Result<String> {
    let python = suites::prepare("python")?.join(".venv/bin/python");
    let go = suites::prepare("go")?.join("target/suite");
    let sides = Side::both(programs, &authority.settings("ssl", "server", "p12"))?;
    let shell = same("Java's shell", &sides, |side| {
        java(programs, authority, side)
    })?;
    for expected in ["x509: CN=alice,O=Zoo\\, Inc.", "hers", "[hers, "] {
        let is_there = shell.iter().any(|line| line.starts_with(expected));
        ensure!(is_there, "{expected} is not in {shell:#?}");
    }
    let kazoo = same("kazoo", &sides, |side| {
        let mut command = Command::new(&python);
        command.arg("-c").arg(PYTHON);
        command.arg(format!("localhost:{}", side.secure.port()));
        let files = ["ca.pem", "bob.crt", "bob.key"].map(|name| authority.path(name));
        output(command.args(files), "")
    })?;
    let in_go = same("Go's client", &sides, |side| {
        let mut command = Command::new(&go);
        command.arg("secured");
        let files = ["ca.pem", "bob.crt", "bob.key"].map(|name| authority.path(name));
        command.env("ZK_ADDR", format!("localhost:{}", side.secure.port()));
        output(command.args(files), "")
    })?;
    for lines in [&kazoo, &in_go] {
        let refused = lines
            .iter()
            .any(|line| line == "bob must not read what is hers");
        ensure!(refused, "{lines:?}");
    }
    Ok(format!(
        "{} lines of Java's shell, {} of kazoo, {} of Go's client",
        shell.len(),
        kazoo.len(),
        in_go.len()
    ))
}

fn java(programs: &Programs, authority: &Authority, side: &Side) -> Result<Vec<String>> {
    let mut command = Command::new(&programs.java);
    command.args(["-cp", &programs.class_path]);
    command.args([
        "-Dzookeeper.client.secure=true",
        "-Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
    ]);
    for setting in authority.settings("zookeeper.ssl", "alice", "jks") {
        command.arg(format!("-D{setting}"));
    }
    command.arg("org.apache.zookeeper.ZooKeeperMain");
    let port = side.secure.port();
    command.args([
        "-server",
        &format!("localhost:{port}"),
        "-waitforconnection",
        "-timeout",
        "10000",
    ]);
    let lines = output(&mut command, SHELL)?;
    // Whether the server's end of the connection or the client's own comes first at the end is
    // chance: with the former the shell says "Disconnected", in a paragraph of its own.
    let is_chance =
        |line: &str| line.is_empty() || line == "WATCHER::" || line.contains("state:Disconnected");
    // Apache's identities have no order.
    let mut kept: Vec<String> = lines
        .into_iter()
        .filter(|line| !line.contains(&port.to_string()) && !is_chance(line))
        .collect();
    kept.sort_unstable();
    Ok(kept)
}

fn output(command: &mut Command, input: &str) -> Result<Vec<String>> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
    child
        .stdin
        .take()
        .context("no input")?
        .write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success() || !input.is_empty(),
        "{command:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr).replace(PASSWORD, "…")
    );
    Ok(text.lines().map(str::to_owned).collect())
}
