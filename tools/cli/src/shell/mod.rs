//! Owns the shell: its command line, one command or many, where output goes. May use the client.
//! Must not know the commands beyond their table.

mod acl_commands;
mod args;
mod commands;
mod complete;
mod events;
mod failure;
pub(crate) mod format;
mod interactive;
mod node_commands;
mod other_commands;
mod quota_commands;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use menagerie_tls::TlsClient;
use serde_json::{Value, json};

use crate::client::{Client, Options, State};
use crate::env::Env;
use crate::tls::Properties;
use events::EventPrinter;
use failure::Failure;

/// What a command prints.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// To the standard output.
    out: String,
    /// To the standard error.
    err: String,
    /// To the standard output instead, for programs.
    json: Value,
}

impl Output {
    /// One line.
    fn text(line: &str, json: Value) -> Self {
        Self {
            out: format!("{line}\n"),
            err: String::new(),
            json,
        }
    }

    /// Lines for the standard error.
    fn error_text(text: String) -> Self {
        Self {
            out: String::new(),
            err: text + "\n",
            json: Value::Null,
        }
    }
}

/// What the command line says.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `host:port[,…][/chroot]`.
    pub(crate) server: String,
    timeout: Duration,
    read_only: bool,
    tls: Option<TlsClient>,
    wait: bool,
    json: bool,
    command: Vec<String>,
}

/// The state between commands.
pub(crate) struct Shell {
    pub(crate) settings: Settings,
    client: Option<Client>,
    pub(crate) history: Vec<String>,
    pub(crate) events: Arc<EventPrinter>,
}

/// A path that a command may use, or what is wrong with it. Source: `PathUtils.validatePath`, of
/// which the server checks the rest.
pub(crate) fn checked_path(path: &str) -> Result<&str, Failure> {
    let wrong = if path.is_empty() {
        "Path length must be > 0"
    } else if !path.starts_with('/') {
        "Path must start with / character"
    } else if path.len() > 1 && path.ends_with('/') {
        "Path must not end with / character"
    } else {
        return Ok(path);
    };
    Err(Failure::Text(wrong.to_owned()))
}

impl Shell {
    fn new(settings: Settings) -> Self {
        let events = Arc::new(EventPrinter::new(settings.json));
        Self {
            settings,
            client: None,
            history: Vec::new(),
            events,
        }
    }

    /// The client, if it is of any use.
    fn client(&self) -> Result<&Client, Failure> {
        let alive = self
            .client
            .as_ref()
            .filter(|client| client.state().is_alive());
        alive.ok_or_else(|| Failure::Text("Not connected".to_owned()))
    }

    /// Starts a session in the background.
    fn reconnect(&mut self) {
        let options = Options {
            servers: Vec::new(),
            timeout: self.settings.timeout,
            read_only: self.settings.read_only,
            tls: self.settings.tls.clone(),
        };
        let events = Arc::clone(&self.events);
        let show = move |event| events.show(&event);
        self.client = Some(Client::start(options, &self.settings.server, show));
    }

    /// Ends the session, if there is one.
    async fn disconnect(&mut self) {
        if let Some(client) = self.client.take() {
            // A session that cannot be closed expires.
            let _ = client.close().await;
        }
    }

    fn state(&self) -> State {
        self.client.as_ref().map_or(State::Closed, Client::state)
    }

    /// Runs one command and prints; its exit code.
    async fn execute(&mut self, words: &[String]) -> u8 {
        match commands::run(self, words).await {
            Ok(output) => {
                let Output { out, err, json } = output;
                if self.settings.json {
                    print_flushed(&format!("{json}\n"));
                } else {
                    eprint!("{err}");
                    print_flushed(&out);
                }
                0
            }
            Err(failure) => {
                if self.settings.json {
                    eprintln!("{}", failure_json(&failure));
                } else {
                    eprintln!("{failure}");
                }
                failure.exit_code()
            }
        }
    }

    /// Runs a line: history, `redo` and `quit` are settled here. `None` is the end.
    async fn line(&mut self, line: &str) -> Option<u8> {
        let mut line = line.trim().to_owned();
        let mut words = args::words(&line);
        if words.is_empty() {
            return Some(0);
        }
        self.history.push(line.clone());
        if words.first().is_some_and(|word| word == "redo") && words.len() > 1 {
            let number = words.get(1).and_then(|word| word.parse::<usize>().ok());
            let before = self.history.len() - 1;
            let Some(again) = number
                .filter(|n| *n < before)
                .and_then(|n| self.history.get(n))
            else {
                eprintln!("Command index out of range");
                return Some(1);
            };
            line.clone_from(again);
            words = args::words(&line);
            if let Some(last) = self.history.last_mut() {
                last.clone_from(&line);
            }
        }
        if words.first().is_some_and(|word| word == "quit") {
            self.disconnect().await;
            return None;
        }
        Some(self.execute(&words).await)
    }
}

fn failure_json(failure: &Failure) -> Value {
    match failure {
        Failure::Zk(error) => json!({
            "error": error.code.name(), "code": error.code.0, "path": error.path,
            "message": failure.to_string(),
        }),
        Failure::After(_, then) => failure_json(then),
        other => json!({ "error": "SHELL", "message": other.to_string() }),
    }
}

/// Prints; a reader that has gone ends the program quietly.
fn print_flushed(text: &str) {
    let mut out = std::io::stdout().lock();
    if out
        .write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .is_err()
    {
        std::process::exit(0);
    }
}

const USAGE: &str = "usage: menagerie-tools shell [-server host:port[,host:port…][/chroot]] \
    [-timeout ms] [-r] [-waitforconnection] [-client-configuration file] [-Dname=value] \
    [--json] [command [argument…]]";

/// Reads zkCli's options, which have one dash and end at the first other word.
fn settings(words: &[String], env: &Env) -> Result<Settings> {
    let mut settings = Settings {
        server: "localhost:2181".to_owned(),
        timeout: Duration::from_secs(30),
        read_only: false,
        tls: None,
        wait: false,
        json: false,
        command: Vec::new(),
    };
    let mut properties = Properties::of_env(env);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let mut value = || {
            rest.next()
                .with_context(|| format!("{word} needs a value\n{USAGE}"))
        };
        match word.as_str() {
            "-server" | "--server" => settings.server.clone_from(value()?),
            "-timeout" | "--timeout" => {
                let ms = value()?
                    .parse()
                    .context("-timeout takes a number of milliseconds")?;
                settings.timeout = Duration::from_millis(ms);
            }
            "-r" | "--read-only" => settings.read_only = true,
            "-waitforconnection" => settings.wait = true,
            "-client-configuration" => properties.add_file(Path::new(value()?))?,
            flag if flag.starts_with("-D") => properties.add_flags(flag),
            "--json" => settings.json = true,
            "-h" | "-help" | "--help" => bail!("{USAGE}"),
            option if option.starts_with('-') => bail!("unknown option {option}\n{USAGE}"),
            _ => {
                settings.command.push(word.clone());
                settings.command.extend(rest.cloned());
                break;
            }
        }
    }
    settings.tls = properties.client()?;
    Ok(settings)
}

/// The subcommand.
pub(crate) fn main(words: &[String]) -> Result<ExitCode> {
    let settings = settings(words, &Env::of_this_process())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start")?;
    let mut shell = Shell::new(settings);
    if !shell.settings.json {
        println!("Connecting to {}", shell.settings.server);
    }
    runtime.block_on(async {
        shell.reconnect();
        if shell.settings.wait {
            wait_for_connection(&shell).await;
        }
    });
    let code = if !shell.settings.command.is_empty() {
        let command = shell.settings.command.clone();
        runtime.block_on(shell.execute(&command))
    } else if std::io::stdin().is_terminal() {
        interactive::run(&runtime, &mut shell)?
    } else {
        piped(&runtime, &mut shell)?
    };
    // `quit` has closed the session already, with the event that tells so.
    shell.events.turn(false);
    runtime.block_on(shell.disconnect());
    Ok(ExitCode::from(code))
}

async fn wait_for_connection(shell: &Shell) {
    let start = std::time::Instant::now();
    while shell.state() == State::Connecting && start.elapsed() < shell.settings.timeout {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Commands from the standard input, without prompts.
fn piped(runtime: &tokio::runtime::Runtime, shell: &mut Shell) -> Result<u8> {
    if !shell.settings.json {
        println!("Welcome to ZooKeeper!");
    }
    let mut code = 0;
    for line in std::io::stdin().lock().lines() {
        match runtime.block_on(shell.line(&line?)) {
            Some(now) => code = now,
            None => break,
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Settings> {
        settings(&args::words(line), &Env::default())
    }

    #[test]
    fn options_end_where_the_command_begins() {
        let settings = read("-server a:1/x -timeout 5000 -r ls -s /").unwrap();
        assert_eq!(settings.server, "a:1/x");
        assert_eq!(settings.timeout, Duration::from_secs(5));
        assert!(settings.read_only);
        assert_eq!(settings.command, ["ls", "-s", "/"]);
        assert!(read("-server").is_err());
        assert!(read("-timeout soon").is_err());
        assert!(read("-nonsense ls /").is_err());
    }

    #[test]
    fn paths_are_checked_before_they_are_sent() {
        let text = |path| checked_path(path).unwrap_err().to_string();
        assert_eq!(text("t"), "Path must start with / character");
        assert_eq!(text("/t/"), "Path must not end with / character");
        assert_eq!(text(""), "Path length must be > 0");
        assert_eq!(checked_path("/"), Ok("/"));
    }
}
