//! Owns disks that fill up: a member's log is on a small file system of its own. Needs to be root, to
//! mount it; it is unmounted at the end.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use menagerie_wire::client::SetDataRequest;
use menagerie_wire::op::op_code;

use super::cluster::Cluster;
use super::load::Load;
use crate::populate::create_request;
use crate::raw::Raw;
use crate::server::{Kind, Server};

/// Bytes of the file system.
const SIZE: usize = 32 << 20;
/// Bytes that are free while the disk is nearly full.
const LEFT: usize = 3 << 20;
/// How long filling may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A small disk.
struct Disk {
    at: PathBuf,
}

impl Disk {
    fn mount(at: PathBuf) -> Result<Self> {
        fs::create_dir_all(&at)?;
        let options = format!("size={SIZE}");
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "menagerie-compat"])
            .arg(&at)
            .output()
            .context("cannot run mount")?;
        ensure!(
            output.status.success(),
            "a disk that fills up needs root, to mount it: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(Self { at })
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }

    /// Leaves little room.
    fn fill(&self) -> Result<()> {
        let used = used(&self.at)?;
        let mut file = File::create(self.ballast())?;
        let zeros = vec![0; 1 << 16];
        let mut rest = SIZE.saturating_sub(used + LEFT);
        while rest > 0 {
            let part = rest.min(zeros.len());
            file.write_all(&zeros[..part])?;
            rest -= part;
        }
        Ok(())
    }

    /// Makes room again.
    fn clear(&self) -> Result<()> {
        Ok(fs::remove_file(self.ballast())?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A server may still be about to end.
        let _gone = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

/// Bytes of the files below a folder.
fn used(at: &Path) -> Result<usize> {
    let mut sum = 0;
    for entry in fs::read_dir(at)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        sum += if meta.is_dir() {
            used(&entry.path())?
        } else {
            usize::try_from(meta.len())?
        };
    }
    Ok(sum)
}

/// The disks of a follower and of the leader fill up, one after the other, under load.
pub(super) fn all(cluster: &mut Cluster) -> Result<String> {
    let leader = cluster.last_voter();
    let ours = |at: &usize| cluster.servers[*at].kind() == Kind::Menagerie;
    let follower = (0..leader).find(ours).context("no follower of ours")?;
    let mut disks = Vec::new();
    for at in [follower, leader] {
        let server = &mut cluster.servers[at];
        let folder = server.log_dir();
        server.add_line(format!("dataLogDir={}", folder.display()));
        disks.push(Disk::mount(folder)?);
    }
    let told = fill_both(cluster, &[follower, leader], &disks);
    // A process keeps its disk busy.
    for at in [follower, leader] {
        cluster.servers[at].kill()?;
    }
    told
}

fn fill_both(cluster: &mut Cluster, members: &[usize], disks: &[Disk]) -> Result<String> {
    cluster.start_all()?;
    let addresses: Vec<SocketAddr> = cluster.servers.iter().map(Server::address).collect();
    let load = Load::start(&addresses, 4)?;
    for ((at, disk), role) in members.iter().zip(disks).zip(["follower", "leader"]) {
        let at = *at;
        for _ in 0..3 {
            if (cluster.leader()? == at) == (role == "leader") {
                break;
            }
            let leader = cluster.leader()?;
            cluster.servers[leader].stop()?;
            cluster.leader()?;
            cluster.servers[leader].start()?;
        }
        ensure!(cluster.mode(at) == role, "server {} is no {role}", at + 1);
        disk.fill()?;
        let other = (0..addresses.len()).find(|other| !members.contains(other));
        let other = other.context("no server with a large disk")?;
        write_until_it_stops(cluster, at, addresses[other])?;
        // The others go on.
        let next = cluster.leader()?;
        ensure!(next != at, "server {} leads though it ended", at + 1);
        let (mut raw, _) = Raw::session(addresses[next], 10_000)?;
        let path = format!("/without-{role}");
        let (header, _) = raw.call(op_code::CREATE, &create_request(&path, None, 0))?;
        ensure!(header.err == 0, "{path}: error {}", header.err);
        raw.close_session()?;
        disk.clear()?;
        cluster.servers[at].start()?;
        cluster.await_serving()?;
    }
    let told = load.finish(addresses[0])?;
    cluster.compare()?;
    Ok(told)
}

/// Writes until a member's disk is full: it has to end and to say why.
fn write_until_it_stops(cluster: &mut Cluster, at: usize, through: SocketAddr) -> Result<()> {
    let before = cluster.servers[at].log().len();
    let begun = Instant::now();
    let data = vec![7; 200_000];
    let mut raw = None;
    while cluster.servers[at].exited()?.is_none() {
        ensure!(
            begun.elapsed() < PATIENCE,
            "server {} does not end though its disk must be full",
            at + 1
        );
        let connected = match raw.take() {
            Some(connected) => Ok(connected),
            None => Raw::session(through, 10_000).map(|(raw, _)| raw),
        };
        // While there is no leader nobody answers.
        let Ok(mut connected) = connected else {
            continue;
        };
        let made = connected.call(op_code::CREATE, &create_request("/filler", None, 0));
        let request = SetDataRequest {
            path: Some("/filler".into()),
            data: Some(&data),
            version: -1,
        };
        if made.is_ok() && connected.call(op_code::SET_DATA, &request).is_ok() {
            raw = Some(connected);
        }
    }
    let status = cluster.servers[at].wait_exit(PATIENCE)?;
    let log = cluster.servers[at].log();
    let said = log.get(before..).unwrap_or_default();
    let folder = cluster.servers[at].log_dir();
    let named = said.lines().any(|line| {
        line.contains(&folder.display().to_string()) && line.contains("No space left on device")
    });
    ensure!(
        named && !status.success(),
        "server {} ended with {status} without naming the file: {said}",
        at + 1
    );
    Ok(())
}
