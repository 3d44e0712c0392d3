//! Owns the health check: whether a server answers, and whether it serves. Must not need a session,
//! a shell or nc.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::env::Env;
use crate::tls::TlsArgs;
use crate::word;
use crate::zoo_cfg::{CLIENT_PORT, ZooCfg};

/// What to check.
#[derive(Debug, clap::Args)]
pub(crate) struct HealthArgs {
    /// host:port, host or port; if not given, this machine and the port that zoo.cfg in $ZOOCFGDIR
    /// or $ZOO_CONF_DIR names, else 2181
    server: Option<String>,
    /// Milliseconds until an answer must be there
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// A server that answers is healthy even if it serves nobody, for want of a leader
    #[arg(long)]
    alive: bool,
    #[command(flatten)]
    tls: TlsArgs,
}

/// What a server says of itself.
#[derive(Debug, PartialEq, Eq)]
enum Health {
    /// Healthy, and why one thinks so.
    Good(String),
    /// Not, and why.
    Bad(String),
}

/// The subcommand `health`.
pub(crate) fn main(args: &HealthArgs) -> Result<ExitCode> {
    let properties = args.tls.properties()?;
    let wanted = properties.client()?;
    let server = args.server.as_deref();
    let at = target(server, &Env::of_this_process(), wanted.is_some())?;
    let tls = match wanted {
        // A server that takes TLS only is asked over TLS without being told so.
        None if at.tls => Some(properties.secure_client()?),
        wanted => wanted,
    };
    let (host, port) = (at.host, at.port);
    let patience = Duration::from_millis(args.timeout);
    let ask = |word: &str| {
        let asked = word::ask_over(tls.as_ref(), &host, port, word, patience);
        asked.map_err(|error| format!("{word}: {error}"))
    };
    Ok(match judge(ask, args.alive) {
        Health::Good(what) => {
            println!("{host}:{port}: {what}");
            ExitCode::SUCCESS
        }
        Health::Bad(why) => {
            eprintln!("{host}:{port}: {why}");
            ExitCode::FAILURE
        }
    })
}

/// Asks `srvr`, which is allowed unless somebody forbids it and says more, and `ruok` where it is
/// not: a server logs each word that it refuses.
fn judge(ask: impl Fn(&str) -> Result<String, String>, alive: bool) -> Health {
    let refused =
        |answer: &str| answer.contains("is not executed because it is not in the whitelist");
    let srvr = match ask("srvr") {
        Ok(answer) => answer,
        Err(error) => return Health::Bad(error),
    };
    if let Some(mode) = srvr.lines().find_map(|line| line.strip_prefix("Mode: ")) {
        return Health::Good(mode.to_owned());
    }
    let said = srvr.trim();
    if said.contains("not currently serving requests") {
        return match alive {
            true => Health::Good(said.to_owned()),
            false => Health::Bad(said.to_owned()),
        };
    }
    if !refused(said) {
        return Health::Bad(format!("srvr: answered {said:?}"));
    }
    match ask("ruok") {
        Err(error) => Health::Bad(error),
        Ok(answer) if answer.trim() == "imok" => Health::Good("imok".to_owned()),
        Ok(answer) if !refused(&answer) => {
            Health::Bad(format!("ruok: answered {:?}", answer.trim()))
        }
        Ok(_) if alive => Health::Good("it answers".to_owned()),
        Ok(_) => Health::Bad(
            "4lw.commands.whitelist has neither srvr nor ruok, so that nobody can tell".to_owned(),
        ),
    }
}

/// A server that is meant.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    host: String,
    port: u16,
    /// Whether it is known to take TLS only.
    tls: bool,
}

impl Target {
    fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
            tls: false,
        }
    }
}

/// The host and the port that are meant.
fn target(server: Option<&str>, env: &Env, secure: bool) -> Result<Target> {
    let Some(server) = server else {
        return Ok(configured(env, secure));
    };
    if let Ok(port) = server.parse() {
        return Ok(Target::new("localhost", port));
    }
    let (host, port) = match server.rsplit_once(':') {
        // More colons than one: an address of IPv6, which has no port unless it is in brackets.
        Some((host, _)) if host.contains(':') && !host.ends_with(']') => (server, None),
        Some((host, port)) => (host, Some(port)),
        None => (server, None),
    };
    let port = match port {
        Some(port) => port
            .parse()
            .with_context(|| format!("{server}: {port:?} is no port"))?,
        None => CLIENT_PORT,
    };
    let host = host.trim_matches(['[', ']']);
    if host.is_empty() {
        bail!("{server}: no host");
    }
    Ok(Target::new(host, port))
}

/// Where the server of this machine, or of this container, listens; for TLS if that is wanted or
/// nothing else is there.
fn configured(env: &Env, secure: bool) -> Target {
    let directory = env.get("ZOOCFGDIR").or_else(|| env.get("ZOO_CONF_DIR"));
    let name = env.get("ZOOCFG").unwrap_or_else(|| "zoo.cfg".to_owned());
    let file = directory.and_then(|dir| ZooCfg::read(&Path::new(&dir).join(name)).ok());
    let address = file.and_then(|file| match secure {
        true => file.secure_address().or_else(|| file.client_address().0),
        false => file.client_address().0,
    });
    let Some(address) = address else {
        return Target::new("localhost", CLIENT_PORT);
    };
    let every = matches!(address.host.as_str(), "0.0.0.0" | "::");
    Target {
        host: if every {
            "localhost".to_owned()
        } else {
            address.host
        },
        port: address.port.parse().unwrap_or(CLIENT_PORT),
        tls: address.tls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &str = "x is not executed because it is not in the whitelist.\n";
    const NO_LEADER: &str = "This ZooKeeper instance is not currently serving requests\n";
    const LEADER: &str = "Zookeeper version: 3.9.5\nMode: leader\nNode count: 5\n";

    fn verdict(ruok: &str, srvr: &str, alive: bool) -> Health {
        let answers = |word: &str| Ok(if word == "ruok" { ruok } else { srvr }.to_owned());
        judge(answers, alive)
    }

    #[test]
    fn healthy_is_who_serves_or_with_alive_who_answers() {
        let good = |what: &str| Health::Good(what.to_owned());
        let bad = |what: &str| Health::Bad(what.to_owned());
        assert_eq!(verdict("imok", LEADER, false), good("leader"));
        assert_eq!(verdict(REFUSED, LEADER, false), good("leader"));
        assert_eq!(verdict("imok", REFUSED, false), good("imok"));
        assert_eq!(verdict("imok", NO_LEADER, false), bad(NO_LEADER.trim()));
        assert_eq!(verdict(REFUSED, NO_LEADER, false), bad(NO_LEADER.trim()));
        assert_eq!(verdict(REFUSED, NO_LEADER, true), good(NO_LEADER.trim()));
        assert_eq!(verdict("imok", NO_LEADER, true), good(NO_LEADER.trim()));
        assert!(matches!(verdict(REFUSED, REFUSED, false), Health::Bad(_)));
        assert_eq!(verdict(REFUSED, REFUSED, true), good("it answers"));
        assert!(matches!(verdict("", REFUSED, true), Health::Bad(_)));
        assert!(matches!(
            verdict("imok", "HTTP/1.1 400", true),
            Health::Bad(_)
        ));
        assert!(matches!(verdict(REFUSED, "", true), Health::Bad(_)));
        assert_eq!(judge(|_| Err("gone".into()), true), bad("gone"));
    }

    #[test]
    fn a_server_is_a_host_a_port_or_both() {
        let env = Env::default();
        let at = |server: &str| target(Some(server), &env, false).ok();
        let is = |host: &str, port| Some(Target::new(host, port));
        assert_eq!(at("h:1"), is("h", 1));
        assert_eq!(at("h"), is("h", 2181));
        assert_eq!(at("2182"), is("localhost", 2182));
        assert_eq!(at("[::1]:5"), is("::1", 5));
        assert_eq!(at("::1"), is("::1", 2181));
        assert_eq!(at("h:x"), None);
        assert_eq!(at(":1"), None);
        assert_eq!(target(None, &env, false).ok(), is("localhost", 2181));
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("zoo.cfg"), "clientPort=77\n").unwrap();
        let env = Env::from([("ZOO_CONF_DIR", dir.path().to_str().unwrap())]);
        assert_eq!(target(None, &env, false).ok(), is("localhost", 77));
        let lines = "clientPort=77\nsecureClientPort=78\nsecureClientPortAddress=::\n";
        std::fs::write(dir.path().join("zoo.cfg"), lines).unwrap();
        assert_eq!(target(None, &env, false).ok(), is("localhost", 77));
        let secure = Target {
            tls: true,
            ..Target::new("localhost", 78)
        };
        assert_eq!(target(None, &env, true).unwrap(), secure);
        std::fs::write(dir.path().join("zoo.cfg"), "secureClientPort=78\n").unwrap();
        assert_eq!(target(None, &env, false).unwrap(), secure);
    }
}
