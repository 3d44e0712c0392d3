//! Owns the test of files: one data directory, taken in turn by Apache ZooKeeper and Menagerie, the
//! whole tree compared at every change of hands. May use `populate` and `walk`. Must not read the
//! files itself, names apart.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use menagerie_wire::client::{GetEphemeralsResponse, PathRequest};
use menagerie_wire::jute::decode_all;
use menagerie_wire::op::op_code;

use crate::populate::populate;
use crate::programs::Programs;
use crate::raw::Raw;
use crate::server::{Kind, Server, Settings};
use crate::walk::{self, Node};

/// How a server loses the directory.
#[derive(Debug, Clone, Copy)]
enum End {
    Stop,
    Kill,
}

/// Sessions that live on, as (id, password).
type Sessions = Vec<(i64, Vec<u8>)>;

/// Options of the files test.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run only the cases whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Run them so many times.
    #[arg(long, default_value_t = 1)]
    repeat: usize,
}

/// Runs every case; false when one fails.
pub(crate) fn run(options: &Options, programs: &Programs) -> Result<bool> {
    programs.require_menagerie()?;
    let (mut passed, mut failed) = (0, 0);
    for method in ["none", "gz", "snappy"].repeat(options.repeat) {
        for (first, end) in [
            (Kind::Apache, End::Stop),
            (Kind::Menagerie, End::Stop),
            (Kind::Apache, End::Kill),
            (Kind::Menagerie, End::Kill),
        ] {
            let name = format!("{} first, {end:?}, compression {method}", first.name());
            if !name.contains(&options.only) {
                continue;
            }
            match case(programs, method, first, end) {
                Ok(()) => {
                    passed += 1;
                    println!("ok {name}");
                }
                Err(error) => {
                    failed += 1;
                    println!("FAIL {name}: {error:#}");
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}

fn case(programs: &Programs, method: &str, first: Kind, end: End) -> Result<()> {
    let home = tempfile::Builder::new()
        .prefix("menagerie-files-")
        .tempdir()?;
    let compression = format!("snapshot.compression.method={method}");
    let lines = [
        "tickTime=6000",
        "extendedTypesEnabled=true",
        "snapCount=24",
        "preAllocSize=64",
        "4lw.commands.whitelist=*",
        compression.as_str(),
    ];
    let settings = Settings::new(&lines, &[walk::SUPER]);
    let second = match first {
        Kind::Apache | Kind::Apache38 => Kind::Menagerie,
        Kind::Menagerie => Kind::Apache,
    };
    let mut before: Vec<Node> = Vec::new();
    let mut sessions = Sessions::new();
    for (turn, kind) in [first, second, first, second].into_iter().enumerate() {
        let mut server = Server::at(kind, programs, settings.clone(), home.path())?;
        server.start()?;
        let at = || format!("{}, turn {turn}", kind.name());
        let address = server.address();
        if turn > 0 {
            let now = tree(address).with_context(at)?;
            compare(&before, &now).with_context(at)?;
            resume(address, &sessions, turn).with_context(at)?;
        }
        sessions.extend(populate(address, &format!("t{turn}")).with_context(at)?);
        before = tree(address).with_context(at)?;
        match end {
            End::Stop => server.stop()?,
            End::Kill => server.kill()?,
        }
        digests(&server).with_context(at)?;
    }
    compressed(&home.path().join("data/version-2"), method)
}

fn tree(address: std::net::SocketAddr) -> Result<Vec<Node>> {
    let (mut raw, _) = Raw::session(address, 30_000)?;
    walk::become_super(&mut raw)?;
    let nodes = walk::walk(&mut raw, "/")?;
    raw.close_session()?;
    Ok(nodes)
}

/// Fails with the first node that is not the same.
fn compare(before: &[Node], now: &[Node]) -> Result<()> {
    let lost = before
        .iter()
        .find(|node| !now.iter().any(|other| other.path == node.path));
    if let Some(node) = lost {
        bail!("{} of {:#x} is lost", node.path, node.stat.ephemeral_owner);
    }
    for node in before {
        match now.iter().find(|other| other.path == node.path) {
            Some(other) if other != node => {
                let brief = |n: &Node| {
                    let data = n.data.as_ref().map(|d| {
                        let start = d.get(..d.len().min(60)).unwrap_or_default();
                        format!("{} bytes \"{}\"", d.len(), start.escape_ascii())
                    });
                    format!("{data:?} {:?} {:?}", n.stat, n.acl)
                };
                bail!("{}: was {}, is {}", node.path, brief(node), brief(other));
            }
            _ => {}
        }
    }
    match now
        .iter()
        .find(|node| !before.iter().any(|other| other.path == node.path))
    {
        Some(node) => bail!("{} came from nowhere", node.path),
        None => Ok(()),
    }
}

/// Takes up every session of earlier turns: it is there, with its nodes. Its connection is lost
/// again, so that the next server finds it as well.
fn resume(address: std::net::SocketAddr, sessions: &Sessions, turn: usize) -> Result<()> {
    for (id, passwd) in sessions {
        let (mut raw, granted) = Raw::resume(address, *id, passwd)?;
        let same = granted.is_some_and(|g| g.session_id == *id && g.passwd == *passwd);
        ensure!(same, "session {id:#x} is lost");
        let all = PathRequest {
            path: Some("/".into()),
        };
        let (header, body) = raw.call(op_code::GET_EPHEMERALS, &all)?;
        ensure!(header.err == 0, "getEphemerals: {}", header.err);
        let own = decode_all::<GetEphemeralsResponse<'_>>(&body)?;
        let count = own.ephemerals.map_or(0, |list| list.len());
        ensure!(
            count == 2,
            "session {id:#x} has {count} ephemerals in turn {turn}"
        );
        raw.abandon();
    }
    Ok(())
}

/// Neither server may have found a digest that is not what the other wrote down.
fn digests(server: &Server) -> Result<()> {
    // The log is in the home of both, so it is looked at whoever wrote it.
    let log = server.log();
    let bad = |line: &&str| {
        let line = line.to_lowercase();
        line.contains("digest") && (line.contains("mismatch") || line.contains("not match"))
    };
    match log.lines().find(bad) {
        Some(line) => bail!("{line}"),
        None => Ok(()),
    }
}

/// Both servers wrote snapshots in the form asked for.
fn compressed(folder: &std::path::Path, method: &str) -> Result<()> {
    let mut found = 0;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("snapshot.") {
            let right = match method {
                "gz" => name.ends_with(".gz"),
                "snappy" => name.ends_with(".snappy"),
                _ => name.matches('.').count() == 1,
            };
            // A new directory begins with a snapshot that Apache's server never compresses.
            found += usize::from(right);
        }
    }
    ensure!(
        found >= 4,
        "only {found} snapshots with compression {method}"
    );
    Ok(())
}
