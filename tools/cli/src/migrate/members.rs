//! Owns who the members are, and what they say of themselves when they are asked in words of four
//! letters. Every wait is short. Must not judge.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use menagerie_tls::TlsClient;
use menagerie_wire::text::cfg::{Role, ServerSpec};

use crate::tls::TlsArgs;
use crate::word;
use crate::zoo_cfg::{CLIENT_PORT, ZooCfg};

/// How long a member may take to answer a word.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the members are named.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Targets {
    /// A member's zoo.cfg: its server lines name the members
    #[arg(long, short)]
    pub(crate) config: Option<PathBuf>,
    /// The members' client addresses instead: [N=]host:port, with commas between
    #[arg(
        long,
        short,
        conflicts_with = "config",
        required_unless_present = "config"
    )]
    pub(crate) servers: Option<String>,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
}

/// A member as it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What its line says; nothing without one.
    pub(crate) role: Option<Role>,
}

impl Known {
    pub(crate) fn at(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// Which server it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Software {
    /// Apache's, and its version.
    Apache(String),
    /// Menagerie, and its version.
    Menagerie(String),
}

impl fmt::Display for Software {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apache(version) => write!(f, "Apache {version}"),
            Self::Menagerie(version) => write!(f, "Menagerie {version}"),
        }
    }
}

/// What a member says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) software: Software,
    pub(crate) mode: String,
    pub(crate) zxid: i64,
    pub(crate) nodes: i64,
    pub(crate) connections: i64,
    /// What `mntr` tells, if it is allowed.
    pub(crate) figures: Option<BTreeMap<String, String>>,
    /// Digests by zxid, if `hash` is allowed.
    pub(crate) digests: Option<BTreeMap<i64, String>>,
}

/// A member, and what it says, or why it says nothing.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) known: Known,
    pub(crate) said: std::result::Result<Said, String>,
}

impl Member {
    pub(crate) fn is_observer(&self) -> bool {
        let says = self.said.as_ref().is_ok_and(|said| said.mode == "observer");
        says || self.known.role == Some(Role::Observer)
    }
}

impl Targets {
    /// The members, in the order of their numbers.
    pub(crate) fn members(&self) -> Result<Vec<Known>> {
        let secure = self.tls.client()?.is_some();
        let members = match (&self.config, &self.servers) {
            (Some(path), _) => {
                from_config(&ZooCfg::read(path)?, &path.display().to_string(), secure)?
            }
            (None, Some(list)) => from_list(list)?,
            (None, None) => bail!("name the members: --config zoo.cfg or --servers host:port,…"),
        };
        let mut seen = BTreeMap::new();
        for member in &members {
            if let Some(other) = seen.insert(member.at(), &member.name) {
                bail!(
                    "{} and {other} are both at {}: name their client addresses with --servers",
                    member.name,
                    member.at()
                );
            }
        }
        Ok(members)
    }

    /// The option as it was given.
    pub(crate) fn option(&self) -> String {
        match (&self.config, &self.servers) {
            (Some(path), _) => format!("--config {}", path.display()),
            (None, servers) => format!("--servers {}", servers.as_deref().unwrap_or_default()),
        }
    }
}

fn from_list(list: &str) -> Result<Vec<Known>> {
    let mut members = Vec::new();
    for (index, text) in list.split(',').map(str::trim).enumerate() {
        let (name, address) = match text.split_once('=') {
            Some((number, address)) => (number.to_owned(), address),
            None => ((index + 1).to_string(), text),
        };
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                let port = port
                    .parse()
                    .with_context(|| format!("{text}: {port:?} is no port"))?;
                (host, port)
            }
            _ => (address, CLIENT_PORT),
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        ensure!(!host.is_empty(), "{text:?} names no host");
        members.push(Known {
            name: format!("server {name}"),
            host,
            port,
            role: None,
        });
    }
    Ok(members)
}

fn from_config(file: &ZooCfg, name: &str, secure: bool) -> Result<Vec<Known>> {
    let mut lines = file.server_lines();
    if let Some(dynamic) = file.get("dynamicConfigFile") {
        lines.extend(ZooCfg::read(std::path::Path::new(dynamic))?.server_lines());
    }
    ensure!(
        !lines.is_empty(),
        "{name} has no server lines: it is no member of an ensemble"
    );
    let client_port = file.get("clientPort").and_then(|port| port.parse().ok());
    // Server lines tell no ports for TLS.
    let secure_port = file
        .get("secureClientPort")
        .and_then(|port| port.parse().ok())
        .filter(|_| secure);
    let mut members = Vec::new();
    for (sid, line) in lines {
        let spec: ServerSpec = line
            .parse()
            .with_context(|| format!("{name}: server.{sid}"))?;
        let first = spec.addresses.first().map(|address| address.host.clone());
        let wildcard = |host: &str| matches!(host, "" | "0.0.0.0" | "::");
        let (host, port) = match &spec.client {
            Some(client) if !wildcard(&client.host) => (Some(client.host.clone()), client.port),
            Some(client) => (first, client.port),
            // All members usually have the same clientPort.
            None => (first, client_port.unwrap_or(CLIENT_PORT)),
        };
        let host = host.filter(|host| !host.is_empty());
        members.push(Known {
            name: format!("server {sid}"),
            host: host.unwrap_or_else(|| "localhost".to_owned()),
            port: secure_port.unwrap_or(port),
            role: Some(spec.role),
        });
    }
    Ok(members)
}

/// Asks all of them at the same time.
pub(crate) fn look(known: &[Known], tls: Option<&TlsClient>) -> Vec<Member> {
    thread::scope(|scope| {
        let asked: Vec<_> = known
            .iter()
            .map(|known| (known, scope.spawn(move || ask(known, tls))))
            .collect();
        asked
            .into_iter()
            .map(|(known, asked)| Member {
                known: known.clone(),
                said: asked
                    .join()
                    .unwrap_or_else(|_| Err("was not asked".to_owned())),
            })
            .collect()
    })
}

/// The answer to a word that may not be allowed.
fn allowed(known: &Known, tls: Option<&TlsClient>, word: &str) -> Option<String> {
    let answer = word::ask_over(tls, &known.host, known.port, word, PATIENCE).ok()?;
    let refused =
        answer.contains("not in the whitelist") || answer.contains("not currently serving");
    (!refused).then_some(answer)
}

fn ask(known: &Known, tls: Option<&TlsClient>) -> std::result::Result<Said, String> {
    let answer = word::ask_over(tls, &known.host, known.port, "srvr", PATIENCE);
    let text = answer.map_err(|error| format!("not reached: {error}"))?;
    let mut said = read_srvr(&text)?;
    said.figures = allowed(known, tls, "mntr").map(|text| {
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        lines
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    });
    said.digests = allowed(known, tls, "hash").map(|text| read_hash(&text));
    Ok(said)
}

fn read_srvr(text: &str) -> std::result::Result<Said, String> {
    if text.contains("not currently serving requests") {
        return Err("has no leader".to_owned());
    }
    if text.contains("not in the whitelist") {
        return Err("does not allow srvr: add it to 4lw.commands.whitelist".to_owned());
    }
    let line = |key: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(key)).map(str::trim)
    };
    let wrong = || {
        format!(
            "its answer to srvr is not understood: {:?}",
            text.lines().next().unwrap_or("")
        )
    };
    let number = |key| line(key).and_then(|value| value.parse().ok());
    let zxid =
        line("Zxid:").and_then(|text| i64::from_str_radix(text.trim_start_matches("0x"), 16).ok());
    Ok(Said {
        software: software(line("Zookeeper version:").ok_or_else(wrong)?),
        mode: line("Mode:").ok_or_else(wrong)?.to_owned(),
        zxid: zxid.ok_or_else(wrong)?,
        nodes: number("Node count:").ok_or_else(wrong)?,
        connections: number("Connections:").unwrap_or(0),
        figures: None,
        digests: None,
    })
}

fn software(version: &str) -> Software {
    let name = version.split(',').next().unwrap_or(version);
    match name.split_once("-menagerie-") {
        Some((_, own)) => Software::Menagerie(own.to_owned()),
        None => Software::Apache(name.split('-').next().unwrap_or(name).to_owned()),
    }
}

/// Lines of zxid in hexadecimal, colon, digest.
fn read_hash(text: &str) -> BTreeMap<i64, String> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    let read = pairs.filter_map(|(zxid, digest)| {
        let zxid = i64::from_str_radix(zxid.trim().trim_start_matches("0x"), 16).ok()?;
        Some((zxid, digest.trim().to_owned()))
    });
    read.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_from_lists_and_files() {
        let at = |list: &str| -> Vec<String> {
            let members = from_list(list).unwrap();
            members
                .iter()
                .map(|m| format!("{} {}", m.name, m.at()))
                .collect()
        };
        assert_eq!(
            at("a:1,5=b,[::1]:7"),
            ["server 1 a:1", "server 5 b:2181", "server 3 [::1]:7"]
        );
        assert!(from_list("a:x").is_err() && from_list("").is_err());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zoo.cfg");
        let text = "clientPort=2182\nserver.1=a:1:2\nserver.2=b:1:2:observer;0.0.0.0:5\nserver.3=c:1:2;d:6\n";
        std::fs::write(&path, text).unwrap();
        let targets = |config| Targets {
            config: Some(config),
            servers: None,
            tls: TlsArgs::default(),
        };
        let members = targets(path.clone()).members().unwrap();
        let told: Vec<String> = members
            .iter()
            .map(|m| format!("{} {:?}", m.at(), m.role.unwrap()))
            .collect();
        assert_eq!(
            told,
            ["a:2182 Participant", "b:5 Observer", "d:6 Participant"]
        );
        std::fs::write(&path, "clientPort=2182\nserver.1=a:1:2\nserver.2=a:3:4\n").unwrap();
        assert!(
            targets(path)
                .members()
                .unwrap_err()
                .to_string()
                .contains("--servers")
        );
    }

    #[test]
    fn answers_are_understood() {
        let text = "Zookeeper version: 3.8.4-9316c2a, built on 2024\nConnections: 2\nZxid: 0x2a\nMode: follower\nNode count: 7\n";
        let said = read_srvr(text).unwrap();
        assert_eq!(said.software, Software::Apache("3.8.4".into()));
        assert_eq!((said.zxid, said.nodes), (42, 7));
        let ours = software("3.9.5-menagerie-0.1.0, built on x");
        assert_eq!(ours, Software::Menagerie("0.1.0".into()));
        assert!(read_srvr("srvr is not executed because it is not in the whitelist.").is_err());
        assert!(read_srvr("HTTP/1.1 400").is_err());
        assert_eq!(read_hash("80: -5\n100: 7\nx\n")[&256], "7");
    }
}
