//! Owns Patroni, which keeps PostgreSQL available by electing a primary in an ensemble: two nodes in
//! containers. Must not look into Patroni, but for who leads.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::engine::{Engine, docker, run, work_dir};
use super::images::CLIENTS;
use super::members::{Ensemble, docker_logs};

/// How long Patroni may take; a dead primary is given up after 20 s.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long its packages may take to come.
const FETCH: Duration = Duration::from_secs(300);
/// The nodes.
const NODES: [&str; 2] = ["pg1", "pg2"];
/// What is installed; the images' Python is Debian's.
const PACKAGES: &[&str] = &["patroni[zookeeper]==4.0.3", "psycopg[binary]==3.3.9"];

/// Where Patroni is once it is fetched.
fn folder() -> Result<PathBuf> {
    Ok(work_dir()?.join("patroni"))
}

/// Fetches Patroni.
pub(super) fn prepare() -> Result<()> {
    let folder = folder()?;
    let (packages, done) = (PACKAGES.join(" "), folder.join("packages.txt"));
    if fs::read_to_string(&done).is_ok_and(|known| known == packages) {
        return Ok(());
    }
    let mut command = Command::new("python3");
    command
        .args(["-m", "pip", "install", "-q", "--disable-pip-version-check"])
        .args(["--root-user-action=ignore", "--upgrade", "--target"])
        .arg(&folder)
        .args(["--python-version", "3.11", "--only-binary=:all:"])
        .args(PACKAGES);
    let said = run(command, FETCH)?;
    ensure!(said.status.success(), "pip: {}", said.all());
    fs::write(done, packages)?;
    Ok(())
}

/// Patroni on an ensemble.
struct Patroni<'a> {
    engine: &'a Engine,
    ensemble: Ensemble,
}

/// Everything, step by step; what to tell of it.
pub(super) fn all(engine: &Engine) -> Result<String> {
    let ensemble = Ensemble::start(engine, "patroni", 1000)?;
    let patroni = Patroni { engine, ensemble };
    patroni.steps().map_err(|error| {
        let nodes = NODES.map(|node| docker_logs(&patroni.name(node)));
        let error = anyhow!("{error:#}\n  pg1: {}\n  pg2: {}", nodes[0], nodes[1]);
        patroni.ensemble.explain(&error)
    })
}

impl Patroni<'_> {
    fn steps(&self) -> Result<String> {
        for node in NODES {
            self.start(node)?;
        }
        let old = self.eventually("a primary", || self.primary())?;
        let other = |node: &str| if node == NODES[0] { NODES[1] } else { NODES[0] };
        let new = other(&old);
        let create = "create table t (n int); insert into t values (1)";
        self.eventually("the first row", || self.sql(&old, create))?;
        self.eventually("the row on the replica", || self.rows(new, "1"))?;
        docker(&["kill", &self.name(&old)])?;
        let begun = Instant::now();
        self.eventually("the other node as primary", || {
            let primary = self.primary()?;
            ensure!(primary == new, "{primary} leads");
            let recovers = self.sql(new, "select pg_is_in_recovery()")?;
            ensure!(recovers == "f", "{new} is a replica still");
            Ok(())
        })?;
        let took = begun.elapsed().as_secs_f64();
        self.rows(new, "1").context("after the primary's death")?;
        self.sql(new, "insert into t values (2)")?;
        docker(&["start", &self.name(&old)])?;
        self.eventually("both rows on the old primary", || self.rows(&old, "1,2"))?;
        ensure!(self.primary()? == new, "the old primary leads again");
        Ok(format!(
            "primary moved from {old} to {new} in {took:.0} s, no row lost"
        ))
    }

    fn name(&self, node: &str) -> String {
        self.engine.name(node)
    }

    fn start(&self, node: &str) -> Result<()> {
        let hosts = Ensemble::connect_string();
        let hosts: Vec<String> = hosts.split(',').map(|host| format!("'{host}'")).collect();
        let config = format!(
            "scope: test\nname: {node}\n\
             restapi:\n  listen: 0.0.0.0:8008\n  connect_address: {node}:8008\n\
             zookeeper:\n  hosts: [{}]\n\
             bootstrap:\n  dcs:\n    ttl: 20\n    loop_wait: 2\n    retry_timeout: 5\n    postgresql: {{use_pg_rewind: true}}\n\
             \x20 initdb: [{{encoding: UTF8}}, data-checksums]\n\
             postgresql:\n  listen: 0.0.0.0:5432\n  connect_address: {node}:5432\n\
             \x20 data_dir: /tmp/data\n  bin_dir: /usr/lib/postgresql/15/bin\n\
             \x20 pgpass: /tmp/pgpass\n  use_unix_socket: true\n\
             \x20 remove_data_directory_on_diverged_timelines: true\n\
             \x20 parameters: {{unix_socket_directories: /tmp}}\n\
             \x20 pg_hba: ['local all all trust', 'host all all 0.0.0.0/0 md5', 'host replication all 0.0.0.0/0 md5']\n\
             \x20 authentication:\n    superuser: {{username: postgres, password: secret}}\n\
             \x20   replication: {{username: replicator, password: secret}}\n",
            hosts.join(", ")
        );
        let folder = folder()?;
        let file = work_dir()?.join(format!("{node}.yml"));
        fs::write(&file, config)?;
        let (name, label) = (self.name(node), self.engine.label());
        let packages = format!("{}:/patroni:ro", folder.display());
        let config = format!("{}:/patroni.yml:ro", file.display());
        docker(&[
            "run",
            "-d",
            "--init",
            "--name",
            &name,
            "--hostname",
            node,
            "--label",
            &label,
            "--network",
            &self.ensemble.network,
            "--network-alias",
            node,
            "--user",
            "postgres",
            "-e",
            "PYTHONPATH=/patroni",
            "-e",
            "PYTHONDONTWRITEBYTECODE=1",
            "-v",
            &packages,
            "-v",
            &config,
            CLIENTS,
            "python3",
            "-m",
            "patroni",
            "/patroni.yml",
        ])
        .map(drop)
    }

    /// Who leads, by the ensemble.
    fn primary(&self) -> Result<String> {
        self.ensemble.data("/service/test/leader")
    }

    /// What a node answers to a query.
    fn sql(&self, node: &str, query: &str) -> Result<String> {
        docker(&[
            "exec",
            &self.name(node),
            "psql",
            "-h",
            "/tmp",
            "-U",
            "postgres",
            "-At",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            query,
        ])
    }

    /// Fails unless a node has these rows.
    fn rows(&self, node: &str, expected: &str) -> Result<()> {
        let rows = self.sql(node, "select string_agg(n::text, ',' order by n) from t")?;
        ensure!(
            rows == expected,
            "{node} has the rows {rows:?}, not {expected:?}"
        );
        Ok(())
    }

    fn eventually<T>(&self, what: &str, attempt: impl Fn() -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        loop {
            match attempt() {
                Err(error) if begun.elapsed() > PATIENCE => {
                    return Err(
                        error.context(format!("{what}: not within {} s", PATIENCE.as_secs()))
                    );
                }
                Err(_) => thread::sleep(Duration::from_millis(300)),
                Ok(value) => return Ok(value),
            }
        }
    }
}
