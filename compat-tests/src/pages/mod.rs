//! Owns the comparison of what both servers serve over HTTP: the admin server's commands and what
//! Prometheus scrapes, after the same work. May use `server`, `populate`, `raw`. Must not compare
//! how much of anything there is, where that may differ.

mod admin;
pub(crate) mod http;
mod metrics;
pub(crate) mod shape;
mod traffic;

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use menagerie_ports::free_address;
use menagerie_wire::client::PathWatchRequest;
use menagerie_wire::op::op_code;

use crate::populate::populate;
use crate::programs::Programs;
use crate::raw::Raw;
use crate::server::{Kind, Server, Settings};
use crate::tally::Tally;

/// A server with its pages, and a client that has a watch and goes on being there.
struct Side {
    server: Server,
    admin: SocketAddr,
    metrics: SocketAddr,
    client: Raw,
}

impl Side {
    fn new(kind: Kind, programs: &Programs, provider: &str) -> Result<Self> {
        let (admin, metrics) = (free_address()?, free_address()?);
        let lines = [
            "4lw.commands.whitelist=*".to_owned(),
            "extendedTypesEnabled=true".to_owned(),
            "enforceQuota=true".to_owned(),
            "admin.enableServer=true".to_owned(),
            format!("admin.serverPort={}", admin.port()),
            "admin.rateLimiterIntervalInMS=300000".to_owned(),
            format!("metricsProvider.className={provider}"),
            "metricsProvider.exportJvmInfo=true".to_owned(),
            format!("metricsProvider.httpPort={}", metrics.port()),
        ];
        let settings = Settings {
            lines: lines.into(),
            flags: Vec::new(),
        };
        let server = Server::started(kind, programs, settings)?;
        http::await_page(admin, "/commands/ruok")?;
        populate(server.address(), "w")?;
        traffic::work(server.address())?;
        let (mut client, _) = Raw::session(server.address(), 30_000)?;
        let path = Some("/w".into());
        let watching = PathWatchRequest { path, watch: true };
        let (header, _) = client.call(op_code::GET_DATA, &watching)?;
        ensure!(header.err == 0, "error {}", header.err);
        Ok(Self {
            server,
            admin,
            metrics,
            client,
        })
    }

    fn end(mut self) -> Result<()> {
        self.client.close_session()?;
        self.server.stop()
    }
}

pub(crate) fn run(programs: &Programs) -> Result<bool> {
    let mut tally = Tally::default();
    let with = |provider: &str| -> Result<(Side, Side)> {
        let apache = Side::new(Kind::Apache, programs, provider)?;
        let ours = Side::new(Kind::Menagerie, programs, provider)?;
        Ok((apache, ours))
    };
    let (apache, ours) = with("org.apache.zookeeper.metrics.impl.DefaultMetricsProvider")?;
    tally.note("traffic", traffic::compare(&apache, &ours));
    for name in admin::COMMANDS {
        tally.note(name, admin::compare(name, apache.admin, ours.admin));
    }
    tally.note("monitor", admin::monitor(&apache, &ours));
    tally.note("refusals", admin::refusals(apache.admin, ours.admin));
    tally.note("snapshot", admin::snapshots(apache.admin, ours.admin));
    apache.end()?;
    ours.end()?;
    let (apache, ours) = with("org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider")?;
    tally.note("metrics", metrics::compare(apache.metrics, ours.metrics));
    tally.note("dashboards", metrics::dashboards(ours.metrics));
    apache.end()?;
    ours.end()?;
    Ok(tally.end())
}
