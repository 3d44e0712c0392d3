//! `menagerie-tools export`, `import` and `backup` against live servers.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use menagerie::ZooServer;

struct Served {
    server: ZooServer,
    dir: tempfile::TempDir,
}

fn serve(parameters: &[(&str, &str)]) -> Served {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = ZooServer::builder()
        .set_parameter("dataDir", dir.path().display())
        .set_parameter("clientPort", 0)
        .set_parameter("clientPortAddress", "127.0.0.1")
        .set_parameter("admin.serverAddress", "127.0.0.1")
        .set_parameter("admin.serverPort", 0)
        .set_parameter("admin.rateLimiterIntervalInMS", 0)
        .set_parameter("extendedTypesEnabled", true);
    for (key, value) in parameters {
        builder = builder.set_parameter(key, value);
    }
    Served {
        server: builder.start().unwrap(),
        dir,
    }
}

/// Whether it succeeded, and what it said on both.
fn tool(arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_menagerie-tools"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let _ended_early = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

impl Served {
    fn shell(&self, input: &str) -> String {
        let (good, text) = tool(&["shell", "-server", &self.server.connect_string()], input);
        assert!(good, "{text}");
        text
    }

    fn run(&self, command: &str, arguments: &[&str]) -> (bool, String) {
        let server = self.server.connect_string();
        tool(&[&[command, "--server", &server], arguments].concat(), "")
    }

    fn good(&self, command: &str, arguments: &[&str]) -> String {
        let (good, text) = self.run(command, arguments);
        assert!(good, "{text}");
        text
    }
}

fn fill(served: &Served) {
    let mut commands = String::from(
        "create /app top\ncreate /app/a one\ncreate /app/a/deep two\ncreate -c /app/box\ncreate -t 600000 /app/short three\n\
         create /app/q\ncreate -s /app/q/n- x\ncreate -s /app/q/n- y\ncreate -s /app/q/n- z\ndelete /app/q/n-0000000000\n\
         create /app/mine secret\naddauth digest alice:secret\nsetAcl /app/mine auth::cdrwa\n",
    );
    for number in 0..300 {
        commands.push_str(&format!("create /app/a/n{number:03} data-{number}\n"));
    }
    served.shell(&commands);
}

#[test]
fn a_subtree_goes_to_another_server_and_comes_out_the_same() {
    let (from, to) = (serve(&[]), serve(&[]));
    fill(&from);
    let file = from.dir.path().join("export.jsonl");
    let file = file.to_str().unwrap();
    let (good, text) = from.run("export", &["/app", "-o", file]);
    assert!(!good && text.contains("/app/mine: NOAUTH"), "{text}");
    assert!(!Path::new(file).exists(), "half an export has no name");
    let alice = ["--auth", "digest:alice:secret"];
    let text = from.good("export", &[&["/app", "-o", file], &alice[..]].concat());
    assert!(text.starts_with("exported 309 nodes"), "{text}");
    let text = to.good("import", &[&[file, "--dry-run"], &alice[..]].concat());
    assert!(
        text.starts_with("309 nodes would be created; 0 exist"),
        "{text}"
    );
    assert!(
        to.shell("ls /\n").contains("[zookeeper]"),
        "a dry run writes nothing"
    );
    let text = to.good("import", &[&[file], &alice[..]].concat());
    assert!(
        text.starts_with("309 of 309 nodes created, 0 existed"),
        "{text}"
    );
    assert!(text.contains("note: /app/q has sequential names"), "{text}");
    let again = to.dir.path().join("again.jsonl");
    to.good(
        "export",
        &[&["/app", "-o", again.to_str().unwrap()], &alice[..]].concat(),
    );
    let nodes = |path: &str| {
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
        lines[..lines.len() - 1].to_vec()
    };
    assert_eq!(nodes(file), nodes(again.to_str().unwrap()));
    assert!(to.shell("get /app/q/n-0000000002\n").contains('z'));
    assert!(to.shell("get /app/a/n299\n").contains("data-299"));
}

#[test]
fn what_exists_is_left_replaced_or_in_the_way() {
    let served = serve(&[]);
    served.shell("create /x old\ncreate /x/a old\n");
    let file = served.dir.path().join("x.jsonl");
    let file = file.to_str().unwrap();
    served.good("export", &["/x", "-o", file]);
    served.shell("set /x/a changed\ndelete /x/a\ncreate /x/a newer\ncreate /x/other 1\n");
    let (good, text) = served.run("import", &[file]);
    assert!(
        !good && text.contains("2 exist already, /x, /x/a for one; nothing was written"),
        "{text}"
    );
    let text = served.good("import", &[file, "--skip"]);
    assert!(
        text.contains("0 of 2 nodes created, 2 existed and were left"),
        "{text}"
    );
    assert!(served.shell("get /x/a\n").contains("newer"));
    served.good("import", &[file, "--overwrite"]);
    assert!(served.shell("get /x/a\n").contains("old"));
    assert!(
        served.shell("get /x/other\n").contains('1'),
        "it touches no other node"
    );
    let text = served.good("import", &[file, "--to", "/y"]);
    assert!(text.contains("2 of 2 nodes created"), "{text}");
    assert!(served.shell("get /y/a\n").contains("old"));
    let (good, text) = served.run("import", &[file, "--to", "/no/parent"]);
    assert!(
        !good && text.contains("/no/parent: its parent does not exist"),
        "{text}"
    );
}

#[test]
fn ephemerals_are_left_out_and_binary_data_kept() {
    let (from, to) = (serve(&[]), serve(&[]));
    from.shell("create /b\n");
    let address = from.server.connect_string();
    let mut shell = Command::new(env!("CARGO_BIN_EXE_menagerie-tools"))
        .args(["shell", "-server", &address])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    stdin.write_all(b"create -e /b/eph x\n").unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !from.shell("ls /b\n").contains("eph") {
        assert!(std::time::Instant::now() < end, "no ephemeral node in 20 s");
    }
    let (good, text) = tool(&["export", "/", "--server", &address], "");
    drop(stdin);
    shell.wait().unwrap();
    assert!(good, "{text}");
    assert!(text.contains("\"ephemerals_left_out\":1"), "{text}");
    assert!(text.contains("1 ephemeral nodes left out"), "{text}");
    assert!(!text.contains("\"/zookeeper"), "{text}");
    let export: String = text
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| format!("{line}\n"))
        .collect();
    let server = to.server.connect_string();
    let (good, text) = tool(&["import", "-", "--server", &server], &export);
    assert!(good && text.contains("1 of 2 nodes created"), "{text}");
    assert!(to.shell("ls /\n").contains("[b, zookeeper]"));
}

#[test]
fn exports_that_are_not_whole_are_refused_before_anything_is_written() {
    let (from, to) = (serve(&[]), serve(&[]));
    from.shell("create /x old\ncreate /x/a old\ncreate /x/b old\n");
    let (good, export) = tool(
        &["export", "/x", "--server", &from.server.connect_string()],
        "",
    );
    assert!(good);
    let lines: Vec<&str> = export
        .lines()
        .filter(|line| line.starts_with('{'))
        .collect();
    let whole = lines.join("\n") + "\n";
    let server = to.server.connect_string();
    for (wrong, why) in [
        (
            lines[..lines.len() - 1].join("\n") + "\n",
            "manifest at its end is missing",
        ),
        (whole.replace("\"/b\"", "\"/c\""), "its digest is"),
        (whole[..whole.len() - 1].to_owned(), "cut off"),
        (format!("{whole}{}\n", lines[1]), "behind the manifest"),
        (
            [&lines[1..2], &lines[3..]].concat().join("\n") + "\n",
            "no first line",
        ),
        (whole.replace("\"path\"", "\"way\""), "line 2"),
        (String::new(), "manifest at its end is missing"),
    ] {
        let (good, text) = tool(&["import", "-", "--server", &server], &wrong);
        assert!(!good && text.contains(why), "{why}: {text}");
    }
    assert!(to.shell("ls /\n").contains("[zookeeper]"));
    assert!(tool(&["import", "-", "--server", &server], &whole).0);
}

#[test]
fn a_backup_is_a_snapshot_that_a_server_starts_from() {
    let served = serve(&[]);
    fill(&served);
    let admin = served.server.admin_addr().unwrap().to_string();
    let target = tempfile::tempdir().unwrap();
    let folder = target.path().join("version-2");
    std::fs::create_dir(&folder).unwrap();
    let to = folder.to_str().unwrap();
    let (good, text) = tool(&["backup", to, "--admin", &admin], "");
    assert!(!good && text.contains("give an identity"), "{text}");
    let auth = ["--auth", "digest:super:secret"];
    let (good, text) = tool(
        &[&["backup", to, "--admin", &admin, "--exact"], &auth[..]].concat(),
        "",
    );
    assert!(good && text.contains("its digest is right"), "{text}");
    let (good, text) = tool(
        &[
            &["backup", "-", "--admin", &admin, "--url", "/none"],
            &auth[..],
        ]
        .concat(),
        "",
    );
    assert!(!good && text.contains("404"), "{text}");
    let left: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
    let builder = ZooServer::builder()
        .set_parameter("dataDir", target.path().display())
        .set_parameter("clientPort", 0)
        .set_parameter("clientPortAddress", "127.0.0.1")
        .set_parameter("admin.enableServer", false);
    let server = builder.start().unwrap();
    let (good, text) = tool(
        &["shell", "-server", &server.connect_string()],
        "get /app/a/n299\n",
    );
    assert!(good && text.contains("data-299"), "{text}");
}
