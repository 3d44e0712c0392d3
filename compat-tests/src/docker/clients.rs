//! Owns the official clients in containers: the programs that run natively as well, each in a container
//! of its own, once through or patiently at work. Must not know what happens to the members.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Component, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::engine::{Engine, docker, wait};
use super::images::CLIENTS;
use super::members::Ensemble;
use crate::control;
use crate::guarantee;
use crate::guard;
use crate::programs::compat_dir;
use crate::suites;

/// How long a patient client may take to begin, to check, and to end.
const ANSWER: Duration = Duration::from_secs(100);
/// How long a client's tests may take.
const CALM: Duration = Duration::from_secs(240);

/// A client: shell commands in its suite's folder.
pub(super) struct Client {
    /// The suite's name too.
    pub(super) name: &'static str,
    folder: &'static str,
    /// Its tests.
    calm: &'static str,
    /// The program that goes on while things fail.
    patient: &'static str,
    /// Whether the library looks a name up again; else only a new client finds a member that moved.
    pub(super) looks_up_again: bool,
}

/// Every client; a new one is a new row.
pub(super) const ALL: &[Client] = &[
    Client {
        name: "java",
        folder: "java/client",
        calm: "java -Xmx256m -cp target/classes:$(cat target/classpath.txt) ClientSuite",
        patient: "java -Xmx128m -XX:TieredStopAtLevel=1 -Dsun.net.inetaddr.ttl=1 \
                  -cp target/classes:$(cat target/classpath.txt) Patient",
        looks_up_again: true,
    },
    Client {
        name: "java34",
        folder: "java/client34",
        calm: "java -Xmx256m -cp target/classes:$(cat target/classpath.txt) Client34Suite",
        patient: "java -Xmx128m -XX:TieredStopAtLevel=1 -Dsun.net.inetaddr.ttl=1 \
                  -cp target/classes:$(cat target/classpath.txt) Patient",
        // Since 3.4.13 it does, which in turn cannot run on today's Java.
        looks_up_again: false,
    },
    Client {
        name: "curator",
        folder: "java/curator",
        calm: "java -Xmx256m -cp target/classes:$(cat target/classpath.txt) CuratorSuite",
        patient: "java -Xmx128m -XX:TieredStopAtLevel=1 -Dsun.net.inetaddr.ttl=1 \
                  -cp target/classes:$(cat target/classpath.txt) PatientCurator",
        looks_up_again: true,
    },
    // kazoo is Python only, so any Python finds it where another has installed it.
    Client {
        name: "python",
        folder: "python",
        calm: "env PYTHONPATH=$(echo .venv/lib/python3*/site-packages) python3 suite.py",
        patient: "env PYTHONPATH=$(echo .venv/lib/python3*/site-packages) python3 patient.py",
        looks_up_again: true,
    },
    Client {
        name: "go",
        folder: "go",
        calm: "target/suite",
        patient: "target/suite patient",
        // DNSHostProvider does so in Init only.
        looks_up_again: false,
    },
    Client {
        name: "c",
        folder: "c",
        calm: "./suite",
        patient: "./patient",
        looks_up_again: true,
    },
    Client {
        name: "node",
        folder: "node",
        calm: "node suite.mjs",
        patient: "node patient.mjs",
        looks_up_again: true,
    },
];

/// Builds what the clients need; the folders that containers have to see.
pub(super) fn prepare(clients: &[&'static Client]) -> Result<Vec<PathBuf>> {
    let mut folders = vec![compat_dir()];
    for client in clients {
        let folder = suites::prepare(client.name)?;
        if let Ok(class_path) = fs::read_to_string(folder.join("target/classpath.txt")) {
            folders.push(common_folder(class_path.trim())?);
        }
    }
    folders.sort();
    folders.dedup();
    Ok(folders)
}

/// The folder that all jars of a class path are in, Maven's repository.
pub(super) fn common_folder(class_path: &str) -> Result<PathBuf> {
    let jars = || class_path.split(':').map(PathBuf::from);
    let mut common: Vec<Component<'_>> = Vec::new();
    let all: Vec<PathBuf> = jars().collect();
    for (at, jar) in all.iter().enumerate() {
        let parts: Vec<Component<'_>> = jar.components().collect();
        if at == 0 {
            common = parts[..parts.len().saturating_sub(1)].to_vec();
        }
        let same = common
            .iter()
            .zip(&parts)
            .take_while(|(a, b)| a == b)
            .count();
        common.truncate(same);
    }
    ensure!(
        common.len() > 1,
        "the jars have no folder in common: {class_path}"
    );
    Ok(common.iter().collect())
}

/// The command that runs a client's program in a container.
fn container(
    engine: &Engine,
    ensemble: &Ensemble,
    client: &Client,
    what: &str,
    folders: &[PathBuf],
    environment: &[(&str, String)],
) -> Result<(String, Command)> {
    let name = engine.name(&format!("{}-{what}", client.name));
    let mut command = guard::dying_with_us("docker".as_ref())?;
    command
        .args(["run", "--rm", "-i", "--init", "--name", &name])
        .args(["--label", &engine.label(), "--network", &ensemble.network])
        .arg("--workdir")
        .arg(compat_dir().join(client.folder));
    for folder in folders {
        let folder = folder.display();
        command.args(["-v", &format!("{folder}:{folder}:ro")]);
    }
    for (key, value) in environment {
        command.args(["-e", &format!("{key}={value}")]);
    }
    let run = if what == "calm" {
        client.calm
    } else {
        client.patient
    };
    command.args([CLIENTS, "sh", "-c", &format!("exec {run}")]);
    Ok((name, command))
}

/// Runs a client's tests against one member, which they may have restarted and killed; what came of it.
pub(super) fn calm(
    engine: &Engine,
    ensemble: &Arc<Mutex<Ensemble>>,
    client: &Client,
    member: usize,
    folders: &[PathBuf],
) -> Result<String> {
    let lever = Lever::start(ensemble, member)?;
    let ensemble = ensemble.lock().unwrap_or_else(PoisonError::into_inner);
    let environment = [
        ("ZK_ADDR", format!("zoo{}:2181", member + 1)),
        ("ZK_CONTROL", lever.address.to_string()),
        ("ZK_ENSEMBLE", super::members::MEMBERS.to_string()),
    ];
    let (name, command) = container(engine, &ensemble, client, "calm", folders, &environment)?;
    drop(ensemble);
    let mut wrong = Vec::new();
    let judged = suites::judge(command, CALM, |line| {
        println!("[{}] {line}", client.name);
        if line.starts_with("FAIL ") {
            wrong.push(line.to_owned());
        }
    });
    if judged.is_err() {
        let _gone = docker(&["rm", "-f", &name]);
    }
    let (passed, failed) = judged?;
    ensure!(failed == 0, "{}", wrong.join("; "));
    Ok(format!("{passed} tests"))
}

/// A port where a client's tests may ask for a member to be restarted or killed.
struct Lever {
    address: SocketAddr,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Lever {
    fn start(ensemble: &Arc<Mutex<Ensemble>>, member: usize) -> Result<Self> {
        let gateway: Ipv4Addr = ensemble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .gateway;
        let listener = TcpListener::bind((gateway, 0)).with_context(|| {
            format!("cannot listen on {gateway}, the host's address on Docker's network")
        })?;
        let address = listener.local_addr()?;
        let end = Arc::new(AtomicBool::new(false));
        let (ensemble, told) = (Arc::clone(ensemble), Arc::clone(&end));
        let thread = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if told.load(Ordering::Acquire) {
                    break;
                }
                let done = control::obey(&stream, |word| {
                    let mut ensemble = ensemble.lock().unwrap_or_else(PoisonError::into_inner);
                    match word {
                        "restart" => ensemble.stop(member)?,
                        "kill" => ensemble.kill(member)?,
                        other => bail!("unknown command {other:?}"),
                    }
                    ensemble.start_again(member)?;
                    ensemble.await_serving()
                });
                if let Err(error) = done {
                    let _gone = writeln!(&stream, "error: {error:#}");
                }
            }
        });
        Ok(Self {
            address,
            end,
            thread: Some(thread),
        })
    }
}

impl Drop for Lever {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Release);
        // Wakes the thread from accept.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A client at work.
pub(super) struct Patient {
    pub(super) client: &'static Client,
    container: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Patient {
    /// Starts a client's program; it may not work yet.
    pub(super) fn start(
        engine: &Engine,
        ensemble: &Ensemble,
        client: &'static Client,
        folders: &[PathBuf],
    ) -> Result<Self> {
        let environment = [("ZK_ADDR", Ensemble::connect_string())];
        let (container, mut command) =
            container(engine, ensemble, client, "patient", folders, &environment)?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run docker")?;
        let lines = suites::lines_of(child.stdout.take().context("no output")?);
        Ok(Self {
            client,
            container,
            input: child.stdin.take(),
            child,
            lines,
        })
    }

    fn line(&mut self) -> Result<String> {
        match self.lines.recv_timeout(ANSWER) {
            Ok(line) => Ok(line),
            Err(_) => match self.child.try_wait()? {
                Some(status) => bail!("the program ended, {status}"),
                None => bail!("no answer within {} s", ANSWER.as_secs()),
            },
        }
    }

    /// Waits until it works.
    pub(super) fn ready(&mut self) -> Result<()> {
        let line = self.line()?;
        ensure!(line == "ready", "{line}");
        Ok(())
    }

    /// Asks it to compare what it knows with what is there.
    pub(super) fn ask(&mut self, name: &str) -> Result<()> {
        let input = self.input.as_mut().context("ended already")?;
        writeln!(input, "check {name}").context("the program is gone")
    }

    /// What it says of that.
    pub(super) fn answer(&mut self, name: &str) -> Result<String> {
        let line = self.line()?;
        match line.strip_prefix(&format!("ok {name}: ")) {
            Some(said) => Ok(said.to_owned()),
            None if line.starts_with("FAIL") => Err(guarantee::broken(line)),
            None => Err(anyhow!(line)),
        }
    }

    /// Ends it; it must be content.
    pub(super) fn finish(mut self) -> Result<()> {
        drop(self.input.take());
        let totals = self.line()?;
        let status = wait(&mut self.child, ANSWER)?;
        ensure!(status.success(), "{totals}, ended with {status}");
        Ok(())
    }
}

impl Drop for Patient {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _gone = docker(&["rm", "-f", &self.container]);
            let _gone = self.child.kill();
            let _gone = self.child.wait();
        }
    }
}
