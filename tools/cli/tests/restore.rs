//! `menagerie-tools restore`: a database as it was, from a server's files.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use menagerie::ZooServer;

fn serve(dir: &Path) -> ZooServer {
    let builder = ZooServer::builder()
        .set_parameter("dataDir", dir.display())
        .set_parameter("clientPort", 0)
        .set_parameter("clientPortAddress", "127.0.0.1")
        .set_parameter("admin.enableServer", false)
        .set_parameter("preAllocSize", 64)
        .set_parameter("snapCount", 60);
    builder.start().unwrap()
}

fn tool(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_menagerie-tools"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

fn shell(server: &ZooServer, input: &str) -> String {
    let address = server.connect_string();
    let output = tool(&["shell", "-server", &address], input);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn zxid(server: &ZooServer) -> i64 {
    let text = shell(server, "get -s /a\n");
    let line = text.lines().find_map(|l| l.strip_prefix("mZxid = 0x"));
    i64::from_str_radix(line.unwrap(), 16).unwrap()
}

fn restore(from: &Path, to: &Path, more: &[&str]) -> (bool, String) {
    let (from, to) = (from.display().to_string(), to.display().to_string());
    let output = tool(&[&["restore", &from, &to], more].concat(), "");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// Rounds of writes, in each `/a` has its number and `/n<number>` is made.
fn write(server: &ZooServer, rounds: std::ops::Range<usize>) {
    let lines: Vec<String> = rounds
        .map(|n| format!("set /a {n}\ncreate /n{n} {n}\n"))
        .collect();
    shell(server, &lines.concat());
}

#[test]
fn a_database_is_restored_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    let server = serve(&from);
    shell(&server, "create /a 0\n");
    write(&server, 1..100);
    let middle = zxid(&server);
    std::thread::sleep(Duration::from_millis(30));
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    write(&server, 100..200);

    // The server goes on meanwhile.
    let (by_zxid, by_time, all) = (
        dir.path().join("zxid"),
        dir.path().join("time"),
        dir.path().join("all"),
    );
    let (good, text) = restore(&from, &by_zxid, &["--zxid", &middle.to_string()]);
    assert!(good, "{text}");
    assert!(text.contains(&format!("as of zxid 0x{middle:x}")), "{text}");
    let millis = time.as_millis().to_string();
    let (good, text) = restore(&from, &by_time, &["--time", &millis, "--json"]);
    assert!(good, "{text}");
    assert!(text.starts_with("{\"zxid\":\"0x"), "{text}");
    let (good, text) = restore(&from, &all, &[]);
    assert!(good, "{text}");
    server.stop().unwrap();

    for (home, last) in [(&by_zxid, 99), (&by_time, 99), (&all, 199)] {
        let server = serve(home);
        let data = shell(&server, "get /a\n");
        let value = data.lines().last().unwrap();
        assert_eq!(value, last.to_string(), "{}", home.display());
        let names = shell(&server, "ls /\n");
        let has = |n: usize| names.contains(&format!("n{n},")) || names.contains(&format!("n{n}]"));
        // The round's number is set before its node is made.
        assert!(has(last - 1) && !has(last + 1), "{names}");
        server.stop().unwrap();
    }
}

#[test]
fn what_cannot_be_restored_leaves_nothing_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let server = serve(&from);
    shell(&server, "create /a 0\n");
    write(&server, 1..10);
    server.stop().unwrap();
    let (good, text) = restore(&from, &to, &["--zxid", "0x999"]);
    assert!(!good && text.contains("the logs end with 0x"), "{text}");
    assert!(!to.join("version-2").exists());
    let (good, text) = restore(&from, &to, &["--time", "1000"]);
    assert!(!good && text.contains("the oldest transaction"), "{text}");
    let (good, text) = restore(&dir.path().join("none"), &to, &[]);
    assert!(!good && text.contains("none"), "{text}");
    std::fs::write(to.join("something"), "x").unwrap();
    let (good, text) = restore(&from, &to, &[]);
    assert!(!good && text.contains("is not empty"), "{text}");
}
