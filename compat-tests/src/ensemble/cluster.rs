//! Owns the members' processes and what can be asked of all of them at once.

use std::fmt::Write as _;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use super::Member;
use crate::programs::Programs;
use crate::raw::Raw;
use crate::server::{Server, Settings, four_letter, free_address};
use crate::walk::{SUPER, become_super, walk};

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

    /// Waits until all members that run have the same transactions, and compares their trees and
    /// digests. Sessions may expire meanwhile, so what differs once must differ again.
    pub(super) fn compare(&self) -> Result<usize> {
        let mut result = self.compare_once();
        for _ in 0..2 {
            if result.is_ok() {
                break;
            }
            thread::sleep(Duration::from_secs(1));
            result = self.compare_once();
        }
        result
    }

    fn compare_once(&self) -> Result<usize> {
        let begun = Instant::now();
        let running: Vec<&Server> = self.servers.iter().filter(|s| s.pid().is_some()).collect();
        loop {
            let zxids: Vec<String> = running.iter().map(|server| zxid(server)).collect();
            if zxids.iter().all(|zxid| *zxid == zxids[0]) && !zxids[0].is_empty() {
                break;
            }
            // A leader begins its epoch with a zxid that followers learn with the next transaction.
            let address = running[0].address();
            let (mut raw, _) = Raw::session(address, 10_000)?;
            raw.ping()?;
            raw.close_session()?;
            ensure!(
                begun.elapsed() < PATIENCE,
                "the members stay apart: {zxids:?}"
            );
            thread::sleep(Duration::from_millis(50));
        }
        let mut first = None;
        for server in &running {
            let (mut raw, _) = Raw::session(server.address(), 10_000)?;
            become_super(&mut raw)?;
            let mut nodes = walk(&mut raw, "/")?;
            raw.close_session()?;
            // When the configuration was written is each server's own.
            nodes.retain(|node| !node.path.starts_with("/zookeeper"));
            match &first {
                None => first = Some(nodes),
                Some(expected) => {
                    let different = expected.iter().zip(&nodes).find(|(a, b)| a != b);
                    ensure!(
                        different.is_none() && expected.len() == nodes.len(),
                        "trees differ, {} and {} nodes: {different:?}",
                        expected.len(),
                        nodes.len()
                    );
                }
            }
            let mntr = four_letter(server.address(), "mntr")?;
            let mismatches = mntr
                .lines()
                .find_map(|l| l.strip_prefix("zk_digest_mismatches_count\t"));
            ensure!(
                mismatches.is_none_or(|count| count == "0"),
                "digest mismatches: {mismatches:?}"
            );
        }
        Ok(first.map_or(0, |nodes| nodes.len()))
    }

    /// The error with what the members last said.
    pub(super) fn explain(&self, error: &anyhow::Error) -> anyhow::Error {
        let mut text = format!("{error:#}\n  {:?}", self.modes());
        for (index, server) in self.servers.iter().enumerate() {
            let _infallible = write!(
                text,
                "\n  server {} ({}):\n    {}",
                index + 1,
                server.kind().name(),
                server.log_tail()
            );
        }
        anyhow!(text)
    }
}

fn zxid(server: &Server) -> String {
    let answer = four_letter(server.address(), "srvr").unwrap_or_default();
    let line = answer.lines().find_map(|line| line.strip_prefix("Zxid: "));
    line.unwrap_or_default().to_owned()
}
