//! Owns the images: Debian's, Menagerie's, and one with what all clients need. May run the scripts of
//! `docker/`. Must not start containers.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};

use super::engine::{docker, docker_within, run, work_dir};
use crate::programs::root;

/// How long an image may take.
const BUILD: Duration = Duration::from_secs(1800);
/// Menagerie's.
pub(super) const MENAGERIE: &str = "menagerie-compat/menagerie";
/// The clients'.
pub(super) const CLIENTS: &str = "menagerie-compat/clients";

/// What clients need from Debian.
const PACKAGES: &[&str] = &[
    "libzookeeper-mt2",
    "nodejs",
    "openjdk-17-jre-headless",
    "postgresql-15",
    "python3",
];

/// Builds what is missing or old.
pub(super) fn build() -> Result<()> {
    let script = root().join("docker/base-images.sh");
    let mut command = Command::new("bash");
    command.arg(&script).current_dir(root());
    let said = run(command, BUILD)?;
    ensure!(
        said.status.success(),
        "{}: {}",
        script.display(),
        said.all()
    );
    // One waits for packages to come, the other for the compiler.
    let ours = thread::spawn(menagerie);
    clients()?;
    ours.join()
        .map_err(|_| anyhow!("the thread that builds the image is gone"))?
}

fn menagerie() -> Result<()> {
    let folder = root().display().to_string();
    let file = format!("{folder}/docker/Dockerfile");
    let mut arguments = vec!["build", "-q", "-f", &file, "-t", MENAGERIE];
    let settings: Vec<String> = ["LTO", "CODEGEN_UNITS"]
        .iter()
        .map(|name| format!("CARGO_PROFILE_RELEASE_{name}"))
        .filter_map(|name| Some(format!("{name}={}", std::env::var(&name).ok()?)))
        .collect();
    // What is asked of the compiler outside holds inside too.
    for setting in &settings {
        arguments.extend(["--build-arg", setting]);
    }
    arguments.push(&folder);
    docker_within(&arguments, BUILD)?;
    Ok(())
}

fn clients() -> Result<()> {
    let folder = work_dir()?.join("clients");
    fs::create_dir_all(&folder)?;
    // PostgreSQL's package makes a cluster nobody needs, unless it is told not to.
    let file = format!(
        "FROM debian:bookworm-slim\n\
         RUN mkdir -p /etc/postgresql-common /usr/share/man/man1 \\\n \
         && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \\\n \
         && apt-get update \\\n \
         && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {} \\\n \
         && rm -rf /var/lib/apt/lists/*\n",
        PACKAGES.join(" ")
    );
    fs::write(folder.join("Dockerfile"), file)?;
    let folder = folder.display().to_string();
    docker_within(&["build", "-q", "-t", CLIENTS, &folder], BUILD)?;
    docker(&["image", "inspect", "--format", "{{.Id}}", CLIENTS])?;
    Ok(())
}
