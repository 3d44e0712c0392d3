//! Owns an ensemble in containers on a network of its own: start, what befalls a member, who leads, and
//! what the members' logs say at the end. Must not know who uses the ensemble.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::engine::{Engine, docker};
use super::images::MENAGERIE;
use crate::agree;
use crate::guarantee;
use crate::raw::Raw;
use crate::server::four_letter;
use crate::walk::{self, SUPER};

/// How many members an ensemble has.
pub(super) const MEMBERS: usize = 3;
/// How long an ensemble may take to agree on something.
const PATIENCE: Duration = Duration::from_secs(40);
/// The clients' port.
const PORT: u16 = 2181;

/// An ensemble `zoo1`, `zoo2`, `zoo3`.
#[derive(Debug)]
pub(super) struct Ensemble {
    /// The network's name.
    pub(super) network: String,
    /// The host's address on the network.
    pub(super) gateway: Ipv4Addr,
    prefix: String,
    addresses: Vec<Ipv4Addr>,
    next: u8,
    down: Vec<bool>,
}

impl Ensemble {
    /// An ensemble that serves, on a network whose name and addresses nobody else uses.
    pub(super) fn start(engine: &Engine, what: &str, tick_ms: u32) -> Result<Self> {
        let (network, gateway) = network(engine, what)?;
        let [a, b, c, _] = gateway.octets();
        let ensemble = Self {
            prefix: engine.name(what),
            network,
            gateway,
            addresses: (0..MEMBERS)
                .map(|at| Ipv4Addr::new(a, b, c, 11 + u8::try_from(at).unwrap_or_default()))
                .collect(),
            next: 100,
            down: vec![false; MEMBERS],
        };
        let servers: Vec<String> = (1..=MEMBERS)
            .map(|id| format!("server.{id}=zoo{id}:2888:3888;{PORT}"))
            .collect();
        for at in 0..MEMBERS {
            let environment = [
                format!("ZOO_MY_ID={}", at + 1),
                format!("ZOO_SERVERS={}", servers.join(" ")),
                format!("ZOO_TICK_TIME={tick_ms}"),
                "ZOO_INIT_LIMIT=20".to_owned(),
                "ZOO_SYNC_LIMIT=8".to_owned(),
                "ZOO_MAX_CLIENT_CNXNS=0".to_owned(),
                "ZOO_4LW_COMMANDS_WHITELIST=*".to_owned(),
                "ZOO_CFG_EXTRA=extendedTypesEnabled=true".to_owned(),
                format!("JVMFLAGS={SUPER}"),
            ];
            let (name, alias) = (ensemble.name(at), format!("zoo{}", at + 1));
            let (label, address) = (engine.label(), ensemble.addresses[at].to_string());
            let mut arguments = vec![
                "run",
                "-d",
                "--name",
                &name,
                "--hostname",
                &alias,
                "--label",
                &label,
                "--network",
                &ensemble.network,
                "--network-alias",
                &alias,
                "--ip",
                &address,
            ];
            for line in &environment {
                arguments.extend(["-e", line.as_str()]);
            }
            arguments.push(MENAGERIE);
            docker(&arguments)?;
        }
        match ensemble.await_serving() {
            Ok(()) => Ok(ensemble),
            Err(error) => Err(ensemble.explain(&error)),
        }
    }

    /// A member's container.
    pub(super) fn name(&self, at: usize) -> String {
        format!("{}-zoo{}", self.prefix, at + 1)
    }

    /// What clients connect to.
    pub(super) fn connect_string() -> String {
        let all: Vec<String> = (1..=MEMBERS).map(|id| format!("zoo{id}:{PORT}")).collect();
        all.join(",")
    }

    /// Where a member listens.
    pub(super) fn address(&self, at: usize) -> SocketAddr {
        (self.addresses[at], PORT).into()
    }

    /// What a member says it is; empty when it does not answer.
    fn mode(&self, at: usize) -> String {
        if self.down[at] {
            return String::new();
        }
        let answer = four_letter(self.address(at), "srvr").unwrap_or_default();
        let line = answer.lines().find_map(|line| line.strip_prefix("Mode: "));
        line.unwrap_or_default().to_owned()
    }

    /// Waits until all members that should serve do, one as leader.
    pub(super) fn await_serving(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let modes: Vec<String> = (0..MEMBERS).map(|at| self.mode(at)).collect();
            let all = modes
                .iter()
                .zip(&self.down)
                .all(|(mode, down)| *down || !mode.is_empty());
            if all && modes.iter().filter(|mode| *mode == "leader").count() == 1 {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < PATIENCE,
                "the members do not serve: {modes:?}"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The member that leads, once one does.
    pub(super) fn leader(&self) -> Result<usize> {
        let begun = Instant::now();
        loop {
            if let Some(at) = (0..MEMBERS).find(|at| self.mode(*at) == "leader") {
                return Ok(at);
            }
            ensure!(begun.elapsed() < PATIENCE, "nobody leads");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// A member that does not lead.
    pub(super) fn follower(&self) -> Result<usize> {
        let leader = self.leader()?;
        Ok((leader + 1) % MEMBERS)
    }

    /// Waits until another member than `old` leads, while that one is cut off.
    pub(super) fn await_other_leader(&mut self, old: usize) -> Result<()> {
        let was = std::mem::replace(&mut self.down[old], true);
        let found = self.leader();
        self.down[old] = was;
        found.map(drop)
    }

    /// `docker stop`.
    pub(super) fn stop(&mut self, at: usize) -> Result<()> {
        self.down[at] = true;
        docker(&["stop", "-t", "20", &self.name(at)]).map(drop)
    }

    /// `docker kill`.
    pub(super) fn kill(&mut self, at: usize) -> Result<()> {
        self.down[at] = true;
        docker(&["kill", &self.name(at)]).map(drop)
    }

    /// `docker start`.
    pub(super) fn start_again(&mut self, at: usize) -> Result<()> {
        docker(&["start", &self.name(at)])?;
        self.down[at] = false;
        Ok(())
    }

    /// `docker pause`.
    pub(super) fn pause(&mut self, at: usize) -> Result<()> {
        self.down[at] = true;
        docker(&["pause", &self.name(at)]).map(drop)
    }

    /// `docker unpause`.
    pub(super) fn unpause(&mut self, at: usize) -> Result<()> {
        docker(&["unpause", &self.name(at)])?;
        self.down[at] = false;
        Ok(())
    }

    /// `docker network disconnect`.
    pub(super) fn disconnect(&mut self, at: usize) -> Result<()> {
        self.down[at] = true;
        docker(&["network", "disconnect", &self.network, &self.name(at)]).map(drop)
    }

    /// `docker network connect`, under the same address or under another.
    pub(super) fn connect(&mut self, at: usize, moved: bool) -> Result<()> {
        if moved {
            let [a, b, c, _] = self.addresses[at].octets();
            self.next += 1;
            self.addresses[at] = Ipv4Addr::new(a, b, c, self.next);
        }
        let (address, alias) = (self.addresses[at].to_string(), format!("zoo{}", at + 1));
        docker(&[
            "network",
            "connect",
            "--ip",
            &address,
            "--alias",
            &alias,
            &self.network,
            &self.name(at),
        ])?;
        self.down[at] = false;
        Ok(())
    }

    /// A node's data, as the leader has it.
    pub(super) fn data(&self, path: &str) -> Result<String> {
        let (mut raw, _) = Raw::session(self.address(self.leader()?), 10_000)?;
        walk::become_super(&mut raw)?;
        let nodes = walk::walk(&mut raw, path)?;
        raw.close_session()?;
        let node = nodes.iter().find(|node| node.path == path);
        let data = node.and_then(|node| node.data.clone());
        let data = data.with_context(|| format!("{path} has no data"))?;
        Ok(String::from_utf8_lossy(&data).into_owned())
    }

    /// Fails unless all members hold the same.
    pub(super) fn compare(&self) -> Result<usize> {
        let all: Vec<SocketAddr> = (0..MEMBERS).map(|at| self.address(at)).collect();
        agree::compare(&all)
    }

    /// The error with what the members last said.
    pub(super) fn explain(&self, error: &anyhow::Error) -> anyhow::Error {
        let mut text = format!("{error:#}");
        for at in 0..MEMBERS {
            let log = docker_logs(&self.name(at));
            guarantee::look_for_panic(&mut text, &log);
            let _infallible = write!(text, "\n  zoo{} ({:?}):\n    {log}", at + 1, self.mode(at));
        }
        anyhow!(text)
    }
}

/// The last lines of a container's log.
pub(super) fn docker_logs(name: &str) -> String {
    let mut command = std::process::Command::new("docker");
    command.args(["logs", "--tail", "12", name]);
    match super::engine::run(command, super::engine::QUICK) {
        Ok(said) => said.all(),
        Err(error) => format!("{error:#}"),
    }
}

/// A network on addresses that are free; its name and the host's address on it.
fn network(engine: &Engine, what: &str) -> Result<(String, Ipv4Addr)> {
    let (name, label) = (engine.name(what), engine.label());
    let mut failure = None;
    // Other runs on this machine have networks as well.
    for third in 0..64_u8 {
        let third = third.wrapping_add(u8::try_from(std::process::id() % 251).unwrap_or_default());
        let subnet = format!("10.213.{third}.0/24");
        let gateway = Ipv4Addr::new(10, 213, third, 1);
        let made = docker(&[
            "network",
            "create",
            "--label",
            &label,
            "--subnet",
            &subnet,
            "--gateway",
            &gateway.to_string(),
            &name,
        ]);
        match made {
            Ok(_) => return Ok((name, gateway)),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.context("no network")?)
}
