//! Owns what members of either kind answer on the admin server's commands about the ensemble, role by
//! role. Must not compare values that may differ.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use menagerie_ports::free_address;
use serde_json::Value;

use super::cluster::Cluster;
use crate::pages::http::{ask, await_page};
use crate::pages::shape::shape;
use crate::server::Kind;

const COMMANDS: &[&str] = &[
    "configuration",
    "leader",
    "voting_view",
    "observers",
    "zabstate",
    "server_stats",
    "is_read_only",
    "dump",
];

/// What only Apache's server tells: which of its own addresses it reaches, and figures of a link that
/// are not counted here.
const LEFT_OUT: &[&str] = &[
    "reachable",
    ".observers[].remote_socket_address",
    ".observers[].established",
    ".observers[].queued_packets",
    ".observers[].packets_",
    ".observers[].requests",
    ".observers[].last_zxid",
];

/// A role, a kind of server, a command.
type Asked = (String, &'static str, &'static str);
/// What came.
pub(super) type Seen = BTreeMap<Asked, Value>;

/// Where the members' admin servers are.
pub(super) struct Pages(Vec<SocketAddr>);

impl Pages {
    /// Gives each member that has not been started an admin server.
    pub(super) fn configure(cluster: &mut Cluster) -> Result<Self> {
        let mut addresses = Vec::new();
        for server in &mut cluster.servers {
            let address = free_address()?;
            let mut settings = server.settings().clone();
            settings.lines.push("admin.enableServer=true".to_owned());
            settings
                .lines
                .push(format!("admin.serverPort={}", address.port()));
            server.configure(settings);
            addresses.push(address);
        }
        Ok(Self(addresses))
    }

    /// A member's.
    pub(super) fn of(&self, at: usize) -> SocketAddr {
        self.0[at]
    }

    /// Asks every member that serves.
    pub(super) fn gather(&self, cluster: &Cluster) -> Result<Seen> {
        let mut seen = Seen::new();
        for (at, server) in cluster.servers.iter().enumerate() {
            await_page(self.0[at], "/commands/ruok")?;
            for command in COMMANDS {
                let page = ask(self.0[at], "GET", &format!("/commands/{command}"), None)?;
                ensure!(page.status == 200, "{command}: {}", page.status);
                let value: Value =
                    serde_json::from_slice(&page.body).with_context(|| page.text())?;
                ensure!(value["error"].is_null(), "{command}: {value}");
                seen.insert((cluster.mode(at), server.kind().name(), command), value);
            }
        }
        Ok(seen)
    }
}

/// Compares what members of either kind tell in the same role; how much there was to compare.
pub(super) fn compare(seen: &Seen) -> Result<usize> {
    let mut count = 0;
    for ((role, kind, command), apache) in seen {
        if *kind != Kind::Apache.name() {
            continue;
        }
        let other = (role.clone(), Kind::Menagerie.name(), *command);
        let ours = seen.get(&other).with_context(|| format!("no {other:?}"))?;
        let (one, two) = (shape(apache), shape(ours));
        let known = |path: &&String| LEFT_OUT.iter().any(|part| path.contains(part));
        let missing: BTreeSet<_> = one.difference(&two).filter(|path| !known(path)).collect();
        let added: Vec<_> = two.difference(&one).collect();
        ensure!(
            missing.is_empty() && added.is_empty(),
            "{command} of a {role}: only Apache tells {missing:?}, only Menagerie {added:?}"
        );
        for field in [
            "is_leader",
            "leader_id",
            "leader_ip",
            "voting",
            "zabstate",
            "read_only",
        ] {
            let differs = apache[field] != ours[field];
            ensure!(
                !differs || field == "leader_id",
                "{field} of a {role}: {} instead of {}",
                ours[field],
                apache[field]
            );
        }
        count += 1;
    }
    Ok(count)
}
