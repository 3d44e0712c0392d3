//! Owns the members' processes and what can be asked of all of them at once.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use menagerie_ports::free_address;

use super::Member;
use super::network::Network;
use crate::agree;
use crate::guarantee;
use crate::programs::Programs;
use crate::server::{Server, Settings, four_letter};
use crate::walk::SUPER;

/// How long an ensemble may take to agree on something.
const PATIENCE: Duration = Duration::from_secs(40);

/// An ensemble.
pub(super) struct Cluster {
    pub(super) servers: Vec<Server>,
    pub(super) observers: Vec<bool>,
    /// Quorum port and election port of each.
    pub(super) ports: Vec<(u16, u16)>,
}

impl Cluster {
    /// Members that are configured and not started.
    pub(super) fn new(members: &[Member], programs: &Programs) -> Result<Self> {
        let mut lines = vec![
            "tickTime=500".to_owned(),
            "initLimit=20".to_owned(),
            "syncLimit=8".to_owned(),
            "4lw.commands.whitelist=*".to_owned(),
            "maxClientCnxns=0".to_owned(),
            "snapCount=300".to_owned(),
        ];
        let mut ports = Vec::new();
        for (index, (_, observer)) in members.iter().enumerate() {
            let (quorum, election) = (free_address()?, free_address()?);
            let role = if *observer { "observer" } else { "participant" };
            let line = format!(
                "server.{}=127.0.0.1:{}:{}:{role}",
                index + 1,
                quorum.port(),
                election.port()
            );
            lines.push(line);
            ports.push((quorum.port(), election.port()));
        }
        let flags = vec![
            SUPER.to_owned(),
            "-Dzookeeper.extendedTypesEnabled=true".to_owned(),
            "-Dzookeeper.preAllocSize=64".to_owned(),
        ];
        let mut servers = Vec::new();
        for (index, (kind, observer)) in members.iter().enumerate() {
            let mut lines = lines.clone();
            if *observer {
                lines.push("peerType=observer".to_owned());
            }
            let settings = Settings {
                lines,
                flags: flags.clone(),
            };
            let server = Server::new(*kind, programs, settings)?;
            fs::create_dir_all(server.data_dir())?;
            fs::write(server.data_dir().join("myid"), format!("{}\n", index + 1))?;
            servers.push(server);
        }
        let observers = members.iter().map(|(_, observer)| *observer).collect();
        Ok(Self {
            servers,
            observers,
            ports,
        })
    }

    /// Servers whose followers serve the observers: each at an address of its own, as that port is
    /// the same for all.
    pub(super) fn with_observer_masters(members: &[Member], programs: &Programs) -> Result<Self> {
        let mut cluster = Self::new(members, programs)?;
        let port = free_address()?.port();
        let lines: Vec<String> = members
            .iter()
            .enumerate()
            .map(|(at, (_, observer))| {
                let role = if *observer { "observer" } else { "participant" };
                cluster.line_apart(at, role)
            })
            .collect();
        for server in &mut cluster.servers {
            let mut settings = server.settings().clone();
            settings.lines.retain(|line| !line.starts_with("server."));
            settings.lines.extend(lines.iter().cloned());
            settings.lines.push(format!("observerMasterPort={port}"));
            settings.lines.push("reconfigEnabled=true".to_owned());
            server.configure(settings);
        }
        Ok(cluster)
    }

    /// The line of a server that has an address of its own.
    pub(super) fn line_apart(&self, at: usize, role: &str) -> String {
        let (quorum, election) = self.ports[at];
        let client = self.servers[at].address();
        let host = at + 2;
        format!(
            "server.{}=127.0.0.{host}:{quorum}:{election}:{role};{client}",
            at + 1
        )
    }

    /// Servers that each have a host of their own on a network, clients reach them by their last
    /// cable.
    pub(super) fn on_network(
        members: &[Member],
        programs: &Programs,
        network: &Network,
    ) -> Result<Self> {
        let mut cluster = Self::new(members, programs)?;
        let ports = cluster.ports.clone();
        for (at, server) in cluster.servers.iter_mut().enumerate() {
            let mut settings = server.settings().clone();
            settings.lines.retain(|line| !line.starts_with("server."));
            for (other, (quorum, election)) in ports.iter().enumerate() {
                let addresses = network.addresses(other).into_iter();
                let addresses: Vec<String> = addresses
                    .map(|address| format!("{address}:{quorum}:{election}"))
                    .collect();
                let line = format!("server.{}={}", other + 1, addresses.join("|"));
                settings.lines.push(line);
            }
            let addresses = network.addresses(at);
            if addresses.len() > 1 {
                // Apache's server reads it from there only when it reads server lines.
                let flag = "-Dzookeeper.multiAddress.enabled=true";
                settings.flags.push(flag.to_owned());
            }
            server.configure(settings);
            let address = addresses.last().context("no cable")?;
            let address = (*address, server.address().port()).into();
            server.live_at(network.host(at), address);
        }
        Ok(cluster)
    }

    /// Servers that can be reconfigured: of the first `members`, who know each other; those behind
    /// know these and themselves.
    pub(super) fn reconfigurable(
        members: &[Member],
        programs: &Programs,
        first: usize,
    ) -> Result<Self> {
        let mut cluster = Self::new(members, programs)?;
        let line = |at: usize, server: &Server, (quorum, election): (u16, u16)| {
            let client = server.address();
            format!("server.{}=127.0.0.1:{quorum}:{election};{client}", at + 1)
        };
        let all: Vec<String> = cluster
            .servers
            .iter()
            .zip(&cluster.ports)
            .enumerate()
            .map(|(at, (server, ports))| line(at, server, *ports))
            .collect();
        for (at, server) in cluster.servers.iter_mut().enumerate() {
            let mut settings = server.settings().clone();
            settings.lines.retain(|line| !line.starts_with("server."));
            settings.lines.push("reconfigEnabled=true".to_owned());
            settings.lines.extend(all[..first].iter().cloned());
            if at >= first {
                settings.lines.push(all[at].clone());
            }
            server.configure(settings);
        }
        Ok(cluster)
    }

    /// The last voter.
    pub(super) fn last_voter(&self) -> usize {
        self.observers
            .iter()
            .rposition(|observer| !observer)
            .unwrap_or(0)
    }

    pub(super) fn start_all(&mut self) -> Result<()> {
        for server in &mut self.servers {
            if server.pid().is_none() {
                server.spawn()?;
            }
        }
        self.await_serving()
    }

    /// Waits until every member that runs serves.
    pub(super) fn await_serving(&mut self) -> Result<()> {
        for server in &mut self.servers {
            if server.pid().is_some() {
                server.await_serving()?;
            }
        }
        Ok(())
    }

    /// What each member says that it is: `leader`, `follower`, `observer`, or nothing.
    pub(super) fn modes(&self) -> Vec<String> {
        (0..self.servers.len()).map(|at| self.mode(at)).collect()
    }

    /// What one member says that it is.
    pub(super) fn mode(&self, at: usize) -> String {
        let server = &self.servers[at];
        if server.pid().is_none() {
            return String::new();
        }
        let answer = four_letter(server.address(), "srvr").unwrap_or_default();
        let line = answer.lines().find_map(|line| line.strip_prefix("Mode: "));
        line.unwrap_or_default().to_owned()
    }

    /// The member that leads, once there is one.
    pub(super) fn leader(&self) -> Result<usize> {
        let begun = Instant::now();
        loop {
            let modes = self.modes();
            if let Some(leader) = modes.iter().position(|mode| mode == "leader") {
                return Ok(leader);
            }
            ensure!(begun.elapsed() < PATIENCE, "nobody leads: {modes:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A voter that does not lead.
    pub(super) fn follower(&self) -> Result<usize> {
        let leader = self.leader()?;
        (0..self.servers.len())
            .find(|at| *at != leader && !self.observers[*at] && self.servers[*at].pid().is_some())
            .ok_or_else(|| anyhow!("no follower"))
    }

    /// A voter that neither leads nor is number `but`.
    pub(super) fn follower_but(&self, but: usize) -> Result<usize> {
        let leader = self.leader()?;
        (0..self.servers.len())
            .find(|at| *at != leader && *at != but && !self.observers[*at])
            .ok_or_else(|| anyhow!("no other follower"))
    }

    /// Fails unless all members that run hold the same. How many nodes there are that belong to no
    /// session.
    pub(super) fn compare(&mut self) -> Result<usize> {
        for server in &mut self.servers {
            if server.revive()? {
                server.await_serving()?;
            }
        }
        let running = self.servers.iter().filter(|s| s.pid().is_some());
        let running: Vec<SocketAddr> = running.map(Server::address).collect();
        agree::compare(&running)
    }

    /// The error with what the members last said.
    pub(super) fn explain(&self, error: &anyhow::Error) -> anyhow::Error {
        let mut text = format!("{error:#}\n  {:?}", self.modes());
        for (index, server) in self.servers.iter().enumerate() {
            guarantee::look_for_panic(&mut text, &server.log());
            let _infallible = write!(
                text,
                "\n  server {} ({}):\n    {}",
                index + 1,
                server.kind().name(),
                server.log_tail()
            );
            for line in of_digests(server) {
                let _infallible = write!(text, "\n    of digests: {line}");
            }
        }
        anyhow!(text)
    }
}

/// What a server has said of digests that do not match.
fn of_digests(server: &Server) -> Vec<String> {
    let log = server.log();
    let lines = log
        .lines()
        .filter(|line| line.to_lowercase().contains("digest"));
    lines
        .filter(|line| line.contains("match"))
        .map(str::to_owned)
        .collect()
}
