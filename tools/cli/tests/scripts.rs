//! Apache's script names, the health check and the container's entry point against the real server.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
const SCRIPTS: [&str; 6] = [
    "zkServer.sh",
    "zkCli.sh",
    "zkCleanup.sh",
    "zkTxnLogToolkit.sh",
    "zkSnapShotToolkit.sh",
    "zkSnapshotComparer.sh",
];

fn tools() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_menagerie-tools"))
}

/// Sees to it that the server's program is beside the tools: it is when the whole workspace is
/// tested, otherwise Cargo does not build it for these tests.
fn build_server() {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        if tools().with_file_name("menagerie").is_file() {
            return;
        }
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "-p", "menagerie", "--bin", "menagerie"]);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success());
    });
}

fn free_port() -> u16 {
    menagerie_ports::free_address().unwrap().port()
}

/// An installation with Apache's layout: `bin` with the scripts, `conf` with zoo.cfg.
struct Home {
    dir: tempfile::TempDir,
    port: u16,
}

impl Home {
    fn new(more: &str) -> Self {
        build_server();
        let dir = tempfile::tempdir().unwrap();
        for name in ["bin", "conf"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        for name in SCRIPTS {
            std::os::unix::fs::symlink(tools(), dir.path().join("bin").join(name)).unwrap();
        }
        let home = Self {
            dir,
            port: free_port(),
        };
        let text = format!(
            "tickTime=500\ndataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\n{more}",
            home.path("data").display(),
            home.port
        );
        fs::write(home.path("conf/zoo.cfg"), text).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn script(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(self.path("bin").join(name));
        command.args(args);
        for name in [
            "ZOOCFGDIR",
            "ZOOCFG",
            "ZOOPIDFILE",
            "ZOO_LOG_DIR",
            "JVMFLAGS",
            "SERVER_JVMFLAGS",
            "ZOO_DATADIR_AUTOCREATE_DISABLE",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// Exit code, standard output and standard error.
    fn run(&self, name: &str, args: &[&str]) -> (i32, String, String) {
        seen(&self.script(name, args).output().unwrap())
    }

    fn server(&self, args: &[&str]) -> (i32, String, String) {
        self.run("zkServer.sh", args)
    }

    fn cli(&self, words: &[&str]) -> (i32, String, String) {
        let address = format!("127.0.0.1:{}", self.port);
        self.run("zkCli.sh", &[&["-server", &address], words].concat())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _stopped = self.server(&["stop"]);
    }
}

fn seen(output: &Output) -> (i32, String, String) {
    (
        output.status.code().unwrap(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

fn health(args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(tools());
    seen(&command.arg("health").args(args).output().unwrap())
}

/// A process that is killed when dropped.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn wait_for_port(port: u16) {
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "nobody listens on {port}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_server_is_started_looked_at_and_stopped() {
    let home = Home::new("");
    let config = home.path("bin/../conf/zoo.cfg");
    let using = format!("Using config: {}\n", config.display());
    let (code, out, err) = home.server(&["status"]);
    let found = format!(
        "Client port found: {}. Client address: 127.0.0.1. Client SSL: false.\n",
        home.port
    );
    assert_eq!(code, 1);
    assert_eq!(
        out,
        format!("{found}Error contacting service. It is probably not running.\n")
    );
    assert!(err.starts_with(&using), "{err}");

    assert_eq!(
        home.server(&["start"]),
        (0, "Starting zookeeper ... STARTED\n".into(), using.clone())
    );
    assert_eq!(
        home.server(&["status"]),
        (0, format!("{found}Mode: standalone\n"), using.clone())
    );
    let pid = fs::read_to_string(home.path("data/zookeeper_server.pid")).unwrap();
    let (code, out, _) = home.server(&["start"]);
    assert_eq!(code, 1);
    assert_eq!(
        out,
        format!("Starting zookeeper ... already running as process {pid}.\n")
    );
    // A session of its own, and operators look for zoo.cfg in the command line.
    let session = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let session = session
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .nth(3);
    assert_eq!(session, Some(pid.as_str()));
    let command_line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(command_line.contains("zoo.cfg"), "{command_line}");

    assert_eq!(home.cli(&["create", "/a", "1"]).0, 0);
    let (code, out, _) = home.server(&["restart"]);
    assert_eq!(code, 0);
    assert_eq!(
        out,
        "Stopping zookeeper ... STOPPED\nStarting zookeeper ... STARTED\n"
    );
    let (code, out, _) = home.cli(&["get", "/a"]);
    assert_eq!((code, out.lines().last()), (0, Some("1")));
    assert_eq!(
        home.server(&["stop"]),
        (0, "Stopping zookeeper ... STOPPED\n".into(), using.clone())
    );
    let missing = home.path("data/zookeeper_server.pid");
    let sentence = format!(
        "Stopping zookeeper ... no zookeeper to stop (could not find file {})\n",
        missing.display()
    );
    assert_eq!(home.server(&["stop"]), (0, sentence, using));
}

#[test]
fn why_a_start_fails_is_said() {
    let home = Home::new("syncLimit=x\n");
    let (code, out, err) = home.server(&["start"]);
    assert_eq!(code, 1);
    assert_eq!(out, "Starting zookeeper ... FAILED TO START\n");
    assert!(err.contains("zoo.cfg:5: syncLimit=x"), "{err}");
    assert!(!home.path("data/zookeeper_server.pid").exists());

    // A number in the file that another process has now.
    fs::write(home.path("data/zookeeper_server.pid"), "1").unwrap();
    let (code, out, err) = home.server(&["stop"]);
    assert_eq!(
        (code, out.as_str()),
        (0, "Stopping zookeeper ... STOPPED\n")
    );
    assert!(err.contains("process 1 is gone, or no server"), "{err}");

    let (code, _, err) = home.server(&["start", "nowhere.cfg"]);
    assert_eq!(code, 1);
    assert!(
        err.contains("cannot read") && err.contains("nowhere.cfg"),
        "{err}"
    );
    let mut command = home.script("zkServer.sh", &["start"]);
    command.env("ZOO_DATADIR_AUTOCREATE_DISABLE", "1");
    let (code, out, _) = seen(&command.output().unwrap());
    assert_eq!(code, 1);
    assert!(
        out.starts_with("ZooKeeper data directory is missing at "),
        "{out}"
    );
    for words in [vec![], vec!["strat"]] {
        let (code, out, err) = home.server(&words);
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(
            err.starts_with("Usage: ") && err.contains("start-foreground"),
            "{err}"
        );
    }
}

#[test]
fn variables_and_java_env_reach_the_server() {
    let home = Home::new("");
    let conf = home.path("elsewhere");
    fs::rename(home.path("conf"), &conf).unwrap();
    fs::rename(conf.join("zoo.cfg"), conf.join("our.cfg")).unwrap();
    let flags = "export JVMFLAGS=\"-Dzookeeper.4lw.commands.whitelist=ruok,conf $JVMFLAGS\"\n";
    fs::write(conf.join("java.env"), flags).unwrap();
    let (logs, pid_file) = (home.path("logs"), home.path("run/zk.pid"));
    let run = |args: &[&str]| {
        let mut command = home.script("zkServer.sh", &["--config", conf.to_str().unwrap()]);
        command
            .args(args)
            .env("ZOOCFG", "our.cfg")
            .env("ZOO_LOG_DIR", &logs)
            .env("ZOOPIDFILE", &pid_file)
            .env("USER", "someone")
            .env("SERVER_JVMFLAGS", "-Dzookeeper.maxCnxns=7");
        seen(&command.output().unwrap())
    };
    assert_eq!(run(&["start"]).0, 0);
    assert!(pid_file.is_file());
    let names: Vec<String> = fs::read_dir(&logs)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 1);
    assert!(
        names[0].starts_with("zookeeper-someone-server-") && names[0].ends_with(".out"),
        "{names:?}"
    );
    let address = format!("127.0.0.1:{}", home.port);
    let said = format!("{address}: standalone\n");
    assert_eq!(health(&[&address, "--alive"]), (0, said, String::new()));
    let (_, out, _) = run(&["print-cmd"]);
    assert!(
        out.contains("/menagerie\" \"") && out.contains("our.cfg\" > \""),
        "{out}"
    );
    // The other way to name the file.
    let (code, out, _) = run(&["status", conf.join("our.cfg").to_str().unwrap()]);
    assert_eq!((code, out.lines().last()), (0, Some("Mode: standalone")));
    assert_eq!(run(&["stop"]).0, 0);
    assert!(!pid_file.exists());
}

#[test]
fn in_the_foreground_the_script_becomes_the_server() {
    let home = Home::new("");
    let mut command = home.script("zkServer.sh", &["start-foreground"]);
    let mut server = Guard(
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    wait_for_port(home.port);
    let exe = fs::read_link(format!("/proc/{}/exe", server.0.id())).unwrap();
    assert_eq!(exe.file_name().unwrap(), "menagerie");
    let pid = rustix::process::Pid::from_child(&server.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
    let (code, out, _) = home.server(&["version"]);
    assert_eq!(code, 0);
    assert!(out.contains("Apache ZooKeeper, version 3.9.5"), "{out}");
}

#[test]
fn the_toolkits_read_what_the_server_has_written() {
    let home = Home::new("snapCount=10\n");
    assert_eq!(home.server(&["start"]).0, 0);
    let mut many = String::new();
    for i in 0..60 {
        many += &format!("create /n{i} data{i}\n");
    }
    let mut shell = home.script(
        "zkCli.sh",
        &["-server", &format!("127.0.0.1:{}", home.port)],
    );
    let mut shell = shell
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut shell.stdin.take().unwrap(), many.as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
    assert_eq!(home.server(&["stop"]).0, 0);

    let files = |start: &str| {
        let mut paths: Vec<PathBuf> = fs::read_dir(home.path("data/version-2"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|p| p.file_name().unwrap().to_str().unwrap().starts_with(start))
            .collect();
        let zxid = |p: &Path| i64::from_str_radix(p.extension().unwrap().to_str().unwrap(), 16);
        paths.sort_by_key(|path| zxid(path).unwrap());
        paths
    };
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (logs, snapshots) = (files("log."), files("snapshot."));
    assert!(snapshots.len() > 3, "{snapshots:?}");
    let (code, out, _) = home.run("zkTxnLogToolkit.sh", &["-d", &text(&logs[0])]);
    assert_eq!(code, 0);
    assert!(out.contains("create") && out.contains("/n0"), "{out}");
    let newest = text(snapshots.last().unwrap());
    let (code, out, _) = home.run("zkSnapShotToolkit.sh", &["-d", &newest]);
    assert_eq!(code, 0);
    assert!(out.contains("/n0"), "{out}");
    let (code, out, _) = home.run("zkSnapShotToolkit.sh", &["-json", &newest]);
    assert_eq!(code, 0);
    assert!(out.lines().any(|line| line.starts_with('{')), "{out}");
    let pair = ["-l", &text(&snapshots[0]), "-r", &newest];
    let (code, out, _) = home.run("zkSnapshotComparer.sh", &pair);
    assert_eq!(code, 0);
    assert!(out.contains("/n0"), "{out}");
    assert_eq!(home.run("zkSnapshotComparer.sh", &["-l", &newest]).0, 2);

    let (code, _, err) = home.run("zkCleanup.sh", &["-n", "2"]);
    assert_eq!(code, 1);
    assert!(err.contains("at least 3"), "{err}");
    assert_eq!(home.run("zkCleanup.sh", &[]).0, 1);
    assert_eq!(home.run("zkCleanup.sh", &["-n", "3"]).0, 0);
    assert_eq!(files("snapshot."), snapshots[snapshots.len() - 3..]);

    // Whole transactions are not cut; a torn end only when that is agreed to.
    let log = text(files("log.").last().unwrap());
    let whole = fs::read(&log).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let mut damaged = whole.clone();
    damaged[used - 5] ^= 0x20;
    fs::write(&log, &damaged).unwrap();
    let (code, out, _) = home.run("zkTxnLogToolkit.sh", &["-r", "-y", &log]);
    assert_eq!(code, 1);
    assert!(out.contains("--force cuts anyway"), "{out}");
    let torn = &whole[..used - 5];
    fs::write(&log, torn).unwrap();
    let recover = |answer: &str| {
        let mut command = home.script("zkTxnLogToolkit.sh", &["-r", &log]);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), answer.as_bytes()).unwrap();
        child.wait().unwrap().code()
    };
    assert_eq!(recover("n\n"), Some(1));
    assert_eq!(fs::read(&log).unwrap(), torn);
    assert_eq!(recover("y\n"), Some(0));
    assert!(fs::read(&log).unwrap().len() < torn.len());
    fs::write(&log, torn).unwrap();
    assert_eq!(home.run("zkTxnLogToolkit.sh", &["-r", "-y", &log]).0, 0);
    assert_eq!(home.run("zkTxnLogToolkit.sh", &[&log]).0, 0);
    assert_eq!(home.run("zkTxnLogToolkit.sh", &[]).0, 2);
}

#[test]
fn health_is_told_by_the_exit_code() {
    let home = Home::new("4lw.commands.whitelist=ruok\n");
    let address = format!("127.0.0.1:{}", home.port);
    let (code, _, err) = health(&[&address]);
    assert_eq!(code, 1);
    assert!(err.starts_with(&format!("{address}: srvr: ")), "{err}");
    assert_eq!(home.server(&["start"]).0, 0);
    let said = format!("{address}: standalone\n");
    assert_eq!(health(&[&address]), (0, said.clone(), String::new()));
    let mut command = Command::new(tools());
    command.arg("health").env("ZOO_CONF_DIR", home.path("conf"));
    command.env_remove("ZOOCFGDIR").env_remove("ZOOCFG");
    assert_eq!(seen(&command.output().unwrap()), (0, said, String::new()));

    // Somebody who accepts and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let begin = Instant::now();
    let (code, _, err) = health(&[&address, "--timeout", "300"]);
    assert_eq!(code, 1);
    assert!(err.contains("no answer in time"), "{err}");
    assert!(begin.elapsed() < PATIENCE);
}

#[test]
fn a_member_without_a_leader_is_alive_and_not_healthy() {
    let (quorum, election) = (free_port(), free_port());
    let home = Home::new(&format!(
        "initLimit=5\nsyncLimit=2\nserver.1=127.0.0.1:{quorum}:{election}\n\
         server.2=127.0.0.1:1:2\nserver.3=127.0.0.1:3:4\n"
    ));
    fs::create_dir(home.path("data")).unwrap();
    fs::write(home.path("data/myid"), "1").unwrap();
    assert_eq!(home.server(&["start"]).0, 0);
    let address = format!("127.0.0.1:{}", home.port);
    let (code, _, err) = health(&[&address]);
    assert_eq!(code, 1);
    assert!(err.contains("not currently serving requests"), "{err}");
    assert_eq!(health(&[&address, "--alive"]).0, 0);
    let (code, out, _) = home.server(&["status"]);
    assert_eq!(code, 1);
    assert!(out.ends_with("It is probably not running.\n"), "{out}");
}

#[test]
fn a_container_configures_itself_from_the_environment() {
    build_server();
    let dir = tempfile::tempdir().unwrap();
    let (port, path) = (free_port(), |name: &str| dir.path().join(name));
    let container = |more: &[(&str, &str)], command: &[&str]| {
        let mut container = Command::new(tools());
        // As an ordinary user would: root would hand the directories over.
        container
            .arg("container")
            .args(command)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("ZOO_CONF_DIR", path("conf"))
            .env("ZOO_DATA_DIR", path("data"))
            .env("ZOO_DATA_LOG_DIR", path("datalog"))
            .env("ZOO_LOG_DIR", path("logs"))
            .envs(more.iter().copied());
        container
    };
    let refused = container(&[("ZOO_ENABLE_AUTH", "yes")], &["true"])
        .output()
        .unwrap();
    let (code, _, err) = seen(&refused);
    assert_eq!(code, 1);
    assert!(
        err.contains("ZOO_ENABLE_AUTH=yes: users of SASL stand in a JAAS file"),
        "{err}"
    );
    assert!(!path("conf").exists());

    let client_port = format!("clientPort={port} clientPortAddress=127.0.0.1");
    let variables = [
        ("ZOO_SERVERS", "server.1=localhost:2888:3888"),
        ("ZOO_CFG_EXTRA", client_port.as_str()),
        ("ZOO_MY_ID", "7"),
        ("JVMFLAGS", "-Xmx1g -Dzookeeper.4lw.commands.whitelist=ruok"),
    ];
    // Any command finds the files and ZOOCFGDIR.
    let output = container(&variables, &["sh", "-c", "cat $ZOOCFGDIR/zoo.cfg"]).output();
    let (code, out, _) = seen(&output.unwrap());
    assert_eq!(code, 0);
    let end =
        format!("server.1=localhost:2888:3888\nclientPort={port}\nclientPortAddress=127.0.0.1\n");
    assert!(
        out.contains("tickTime=2000\n") && out.ends_with(&end),
        "{out}"
    );
    assert_eq!(fs::read_to_string(path("data/myid")).unwrap(), "7\n");

    // What is there stays.
    let config = fs::read_to_string(path("conf/zoo.cfg")).unwrap();
    fs::write(path("conf/zoo.cfg"), config.replace("=2000", "=1000")).unwrap();
    let mut server = container(&variables, &["zkServer.sh", "start-foreground"]);
    if rustix::process::geteuid().is_root() {
        server.uid(65534).gid(65534);
        let chown = Command::new("chown")
            .arg("-R")
            .arg("65534:65534")
            .arg(dir.path())
            .status();
        assert!(chown.unwrap().success());
    }
    let server = server
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Guard(server);
    wait_for_port(port);
    let address = format!("127.0.0.1:{port}");
    assert_eq!(health(&[&address, "--alive"]).0, 0);
    assert!(
        fs::read_to_string(path("conf/zoo.cfg"))
            .unwrap()
            .contains("tickTime=1000")
    );
    let pid = rustix::process::Pid::from_child(&server.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
}
