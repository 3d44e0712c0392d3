//! Owns zkServer.sh: start, stop, look at a server. May start the server's program. Must not judge
//! the configuration: the server does.
//!
//! What is said and the exit codes are those of Apache's script, with three exceptions: `start`
//! waits until the server is ready, `stop` until it is gone, and a wrong command is an error.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::daemon::{self, Daemon, Started};
use super::pid_file::{self, PidFile};
use super::place::Place;
use crate::env::Env;
use crate::tls::Properties;
use crate::word;
use crate::zoo_cfg::ZooCfg;

/// How long a start may take until one stops looking; the server goes on.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long a stop may take.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// How long an answer of the server may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// How much of a server's last words is shown.
const LAST_LINES: usize = 5;

/// A script with its configuration at hand.
struct Server {
    place: Place,
    config: PathBuf,
}

/// The script.
///
/// # Errors
/// What cannot be read, written or started.
pub(super) fn main(place: Place, words: &[String]) -> Result<ExitCode> {
    let (dir, words) = match words {
        [flag, dir, rest @ ..] if flag == "--config" => (Some(dir.as_str()), rest),
        _ => (None, words),
    };
    let Some((command, rest)) = words.split_first() else {
        return Ok(usage(&place.script));
    };
    if command == "version" {
        return version(&place);
    }
    if ![
        "start",
        "start-foreground",
        "stop",
        "restart",
        "status",
        "print-cmd",
    ]
    .contains(&command.as_str())
    {
        return Ok(usage(&place.script));
    }
    let config_dir = place.config_dir(dir);
    let mut place = place;
    let config = place.config(&config_dir, rest.first().map(String::as_str));
    place.read_java_env(&config_dir);
    eprintln!("Using config: {}", config.display());
    let server = Server { place, config };
    match command.as_str() {
        "start" => server.start(),
        "start-foreground" => server.start_foreground(),
        "stop" => server.stop(),
        "restart" => {
            let stopped = server.stop()?;
            if stopped != ExitCode::SUCCESS {
                return Ok(stopped);
            }
            server.start()
        }
        "status" => server.status(),
        _ => server.print_command(),
    }
}

fn usage(script: &str) -> ExitCode {
    eprintln!(
        "Usage: {script} [--config <conf-dir>] \
         {{start|start-foreground|stop|version|restart|status|print-cmd}} [<conf-file>]"
    );
    ExitCode::FAILURE
}

fn version(place: &Place) -> Result<ExitCode> {
    let program = place.server_program()?;
    let output = Command::new(&program)
        .arg("--version")
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    // Scripts that look for a version look for these words.
    println!(
        "{}",
        text.trim()
            .replace("ZooKeeper ", "Apache ZooKeeper, version ")
    );
    Ok(ExitCode::from(u8::from(!output.status.success())))
}

/// Prints without an end of line, so that what comes of it follows.
fn begin(text: &str) {
    print!("{text} ... ");
    let _closed = std::io::stdout().flush();
}

impl Server {
    fn read_config(&self) -> Result<ZooCfg> {
        ZooCfg::read(&self.config)
    }

    fn pid_file(&self, config: &ZooCfg) -> Result<PidFile> {
        if let Some(path) = self.place.env.get("ZOOPIDFILE") {
            return Ok(PidFile { path: path.into() });
        }
        let Some(data_dir) = config.data_dir() else {
            bail!("{} has no dataDir", self.config.display());
        };
        let path = data_dir.join("zookeeper_server.pid");
        Ok(PidFile { path })
    }

    /// The file with the server's output. Its name has the user and the host, as Apache's.
    fn log_file(&self) -> PathBuf {
        let env = &self.place.env;
        let user = env
            .get("USER")
            .or_else(|| env.get("LOGNAME"))
            .unwrap_or_default();
        let host = env.get("HOSTNAME").unwrap_or_else(host_name);
        self.place
            .log_dir()
            .join(format!("zookeeper-{user}-server-{host}.out"))
    }

    fn start(&self) -> Result<ExitCode> {
        let program = self.place.server_program()?;
        let config = self.read_config()?;
        if let Some(complaint) = missing_directory(&config, &self.place.env) {
            println!("{complaint}");
            return Ok(ExitCode::FAILURE);
        }
        let pid_file = self.pid_file(&config)?;
        begin("Starting zookeeper");
        let running = pid_file.read().unwrap_or_default();
        if let Some(pid) = running.filter(|pid| pid_file::is_server(*pid)) {
            println!("already running as process {pid}.");
            return Ok(ExitCode::FAILURE);
        }
        let log = self.log_file();
        for parent in [pid_file.path.parent(), log.parent()].into_iter().flatten() {
            std::fs::create_dir_all(parent)
                .with_context(|| format!("cannot create {}", parent.display()))?;
        }
        let mut daemon = Daemon::start(&program, &self.config, &self.place.env, log)?;
        if let Err(error) = pid_file.write(daemon.pid()) {
            println!("FAILED TO WRITE PID");
            eprintln!("{}: {error}", pid_file.path.display());
            daemon.kill();
            return Ok(ExitCode::FAILURE);
        }
        match daemon.wait(START_PATIENCE)? {
            Started::Ready => println!("STARTED"),
            Started::Busy => {
                println!("STARTED");
                eprintln!(
                    "not ready after {} s; see {}",
                    START_PATIENCE.as_secs(),
                    daemon.log.display()
                );
            }
            Started::Ended(status) => {
                println!("FAILED TO START");
                let said = daemon.output()?;
                let lines: Vec<&str> = said.lines().collect();
                for line in lines.iter().skip(lines.len().saturating_sub(LAST_LINES)) {
                    eprintln!("{line}");
                }
                eprintln!("{status}; see {}", daemon.log.display());
                pid_file.remove()?;
                return Ok(ExitCode::FAILURE);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn start_foreground(&self) -> Result<ExitCode> {
        let program = self.place.server_program()?;
        let mut command = Command::new(&program);
        let error = self
            .place
            .env
            .give_to(&mut command)
            .arg(&self.config)
            .exec();
        Err(error).with_context(|| format!("cannot execute {}", program.display()))
    }

    fn print_command(&self) -> Result<ExitCode> {
        println!(
            "\"{}\" \"{}\" > \"{}\" 2>&1 < /dev/null",
            self.place.server_program()?.display(),
            self.config.display(),
            self.log_file().display()
        );
        Ok(ExitCode::SUCCESS)
    }

    fn stop(&self) -> Result<ExitCode> {
        let pid_file = self.pid_file(&self.read_config()?)?;
        begin("Stopping zookeeper");
        let read = pid_file.read();
        let pid = read.with_context(|| format!("cannot use {}", pid_file.path.display()))?;
        let Some(pid) = pid else {
            println!(
                "no zookeeper to stop (could not find file {})",
                pid_file.path.display()
            );
            return Ok(ExitCode::SUCCESS);
        };
        if pid_file::is_server(pid) {
            pid_file::terminate(pid).with_context(|| format!("cannot stop process {pid}"))?;
            if !daemon::wait_until_gone(pid, STOP_PATIENCE) {
                println!("STILL RUNNING");
                eprintln!(
                    "process {pid} has not ended after {} s",
                    STOP_PATIENCE.as_secs()
                );
                return Ok(ExitCode::FAILURE);
            }
        } else {
            eprintln!("process {pid} is gone, or no server");
        }
        pid_file.remove()?;
        println!("STOPPED");
        Ok(ExitCode::SUCCESS)
    }

    fn status(&self) -> Result<ExitCode> {
        let (address, said) = self.read_config()?.client_address();
        for sentence in said {
            println!("{sentence}");
        }
        let Some(address) = address else {
            return Ok(ExitCode::FAILURE);
        };
        println!(
            "Client port found: {}. Client address: {}. Client SSL: {}.",
            address.port, address.host, address.tls
        );
        let answer = if address.tls {
            ask_secure(&self.place.env, &address.host, &address.port)
        } else {
            ask(&address.host, &address.port)
        };
        let mode = answer.as_deref().unwrap_or_default();
        if let Some(mode) = mode.lines().find(|line| line.contains("Mode")) {
            println!("{mode}");
            return Ok(ExitCode::SUCCESS);
        }
        println!("Error contacting service. It is probably not running.");
        eprintln!("{}", answer.unwrap_or_else(|error| error).trim());
        Ok(ExitCode::FAILURE)
    }
}

fn ask(host: &str, port: &str) -> Result<String, String> {
    let port = port.parse().map_err(|_| format!("{port:?} is no port"))?;
    word::ask(host, port, "srvr", ANSWER_PATIENCE).map_err(|e| format!("{host}:{port}: {e}"))
}

/// With the stores that `CLIENT_JVMFLAGS` or `JVMFLAGS` name.
fn ask_secure(env: &Env, host: &str, port: &str) -> Result<String, String> {
    let port = port.parse().map_err(|_| format!("{port:?} is no port"))?;
    let tls = Properties::of_env(env).secure_client();
    let tls = tls.map_err(|error| error.to_string())?;
    word::ask_secure(&tls, host, port, "srvr", ANSWER_PATIENCE)
        .map_err(|error| format!("{host}:{port}: {error}"))
}

/// What is missing when directories must not be created.
fn missing_directory(config: &ZooCfg, env: &Env) -> Option<String> {
    env.get("ZOO_DATADIR_AUTOCREATE_DISABLE")?;
    let kinds = [
        ("data", config.data_dir()),
        ("txnlog", config.data_log_dir()),
    ];
    kinds.into_iter().find_map(|(kind, dir)| {
        let dir = dir.filter(|dir| !dir.join("version-2").is_dir())?;
        Some(format!(
            "ZooKeeper {kind} directory is missing at {} fix the path or run initialize",
            dir.display()
        ))
    })
}

fn host_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    name.replace('/', "_")
}
