//! Owns printing and checking a snapshot. May use `storage` and the digest of `core`.

use std::collections::HashSet;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, Result};
use menagerie_core::tree::{
    CONTAINER_OWNER, digest_excludes, node_digest, parent_path, prefix_crc,
};
use menagerie_storage::StorageError;
use menagerie_storage::snapshot::read::{SnapshotSink, load_file};
use menagerie_wire::data::{Acl, StatPersisted};
use menagerie_wire::txn::DIGEST_VERSION;
use serde_json::{Value, json};

use super::describe::{Acls, data_json};
use crate::shell::format::date;

/// The first byte of the owner of nodes with a time to live.
const TTL_MARK: u8 = 0xFF;

/// The path as clients see it: the root's is empty in the file.
pub(crate) const fn shown(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

/// The state of a node for programs.
pub(crate) fn stat_json(stat: &StatPersisted) -> Value {
    json!({
        "czxid": format!("0x{:x}", stat.czxid),
        "mzxid": format!("0x{:x}", stat.mzxid),
        "pzxid": format!("0x{:x}", stat.pzxid),
        "ctime": stat.ctime,
        "mtime": stat.mtime,
        "version": stat.version,
        "cversion": stat.cversion,
        "aversion": stat.aversion,
        "ephemeralOwner": format!("0x{:x}", stat.ephemeral_owner),
    })
}

/// Prints as it reads.
struct Printer<W> {
    out: W,
    json: bool,
    below: String,
    data: bool,
    acls: Acls,
    broken: bool,
}

impl<W: Write> Printer<W> {
    fn put(&mut self, text: &str) {
        // A reader that has seen enough is no error.
        self.broken |= writeln!(self.out, "{text}").is_err();
    }

    fn wanted(&self, path: &str) -> bool {
        let rest = path.strip_prefix(self.below.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl<W: Write> SnapshotSink for Printer<W> {
    fn reset(&mut self) {}

    fn session(&mut self, id: i64, timeout_ms: i32) {
        let text = if self.json {
            json!({ "session": format!("0x{id:x}"), "timeoutMs": timeout_ms }).to_string()
        } else {
            format!("session 0x{id:x} timeout {timeout_ms} ms")
        };
        self.put(&text);
    }

    fn acl(&mut self, id: i64, acl: &[Acl<'_>]) {
        self.acls.add(id, acl);
    }

    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_id: i64,
        stat: StatPersisted,
    ) -> Result<(), String> {
        if !self.wanted(path) {
            return Ok(());
        }
        let acl = self.acls.of(acl_id);
        let (key, shown_data) = data_json(data);
        if self.json {
            let mut node = json!({
                "path": shown(path), "acl": acl, "stat": stat_json(&stat),
                "dataLength": data.map(<[u8]>::len),
            });
            if let (Some(object), true) = (node.as_object_mut(), self.data) {
                object.insert(key.to_owned(), shown_data);
            }
            self.put(&node.to_string());
            return Ok(());
        }
        let length = data.map_or("null".to_owned(), |data| format!("{} bytes", data.len()));
        let mut text = format!(
            "{}\n  cZxid = 0x{:x}\n  ctime = {}\n  mZxid = 0x{:x}\n  mtime = {}\n  pZxid = 0x{:x}\n  \
             cversion = {}\n  dataVersion = {}\n  aclVersion = {}\n  ephemeralOwner = 0x{:x}\n  \
             acl = {acl}\n  data = {length}",
            shown(path),
            stat.czxid,
            date(stat.ctime),
            stat.mzxid,
            date(stat.mtime),
            stat.pzxid,
            stat.cversion,
            stat.version,
            stat.aversion,
            stat.ephemeral_owner,
        );
        if self.data && data.is_some() {
            text += &format!(", {key} {shown_data}");
        }
        self.put(&text);
        Ok(())
    }

    fn digest(&mut self, zxid: i64, version: i32, digest: i64) {
        let text = if self.json {
            json!({ "digest": format!("0x{digest:x}"), "version": version,
                    "zxid": format!("0x{zxid:x}") })
            .to_string()
        } else {
            format!("digest 0x{digest:x} (version {version}) at zxid 0x{zxid:x}")
        };
        self.put(&text);
    }
}

/// Prints sessions, nodes and the digest.
pub(crate) fn print(file: &Path, json: bool, below: &str, data: bool) -> Result<()> {
    let mut printer = Printer {
        out: BufWriter::new(std::io::stdout().lock()),
        json,
        below: below.trim_end_matches('/').to_owned(),
        data,
        acls: Acls::default(),
        broken: false,
    };
    let read = load_file(file, &mut printer);
    if !printer.broken {
        printer.out.flush().context("cannot print")?;
    }
    Ok(read?)
}

/// Counts and doubts.
#[derive(Default)]
struct Checker {
    nodes: u64,
    data_bytes: u64,
    ephemerals: u64,
    containers: u64,
    ttls: u64,
    sessions: HashSet<i64>,
    acls: HashSet<i64>,
    paths: HashSet<String>,
    sum: u64,
    recorded: Option<(i64, i64)>,
    problems: Vec<String>,
}

impl SnapshotSink for Checker {
    fn reset(&mut self) {
        *self = Self::default();
    }

    fn session(&mut self, id: i64, _: i32) {
        self.sessions.insert(id);
    }

    fn acl(&mut self, id: i64, _: &[Acl<'_>]) {
        self.acls.insert(id);
    }

    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_id: i64,
        stat: StatPersisted,
    ) -> Result<(), String> {
        self.nodes += 1;
        self.data_bytes += data.map_or(0, <[u8]>::len) as u64;
        if !path.is_empty() && !self.paths.contains(parent_path(path)) {
            // Parents come first in the file.
            let root_child = parent_path(path) == "/" && self.paths.contains("");
            if !root_child {
                self.problems.push(format!("{path} has no parent"));
            }
        }
        // −1 is the open ACL, which is in no table.
        if acl_id != -1 && !self.acls.contains(&acl_id) {
            self.problems.push(format!(
                "{} has ACL {acl_id}, which is not there",
                shown(path)
            ));
        }
        match stat.ephemeral_owner {
            0 => {}
            CONTAINER_OWNER => self.containers += 1,
            owner if owner.to_be_bytes().starts_with(&[TTL_MARK]) => self.ttls += 1,
            _ => self.ephemerals += 1,
        }
        if !digest_excludes(path) {
            self.sum = self
                .sum
                .wrapping_add(node_digest(prefix_crc(path, data), &stat));
        }
        if !self.paths.insert(path.to_owned()) {
            self.problems
                .push(format!("{} is there twice", shown(path)));
        }
        Ok(())
    }

    fn digest(&mut self, zxid: i64, version: i32, digest: i64) {
        if version == DIGEST_VERSION {
            self.recorded = Some((zxid, digest));
        }
    }
}

/// Checks a snapshot and prints what it found; whether it is whole.
pub(crate) fn check(file: &Path, as_json: bool) -> Result<bool> {
    let mut found = Checker::default();
    match load_file(file, &mut found) {
        Ok(()) => {}
        Err(error @ StorageError::Io { .. }) => return Err(error.into()),
        Err(error) => found.problems.push(error.to_string()),
    }
    let whole = found.problems.is_empty();
    // A snapshot that was taken while writes went on is whole only with the log behind it, so a
    // sum that differs from the recorded one is no damage.
    let exact = found
        .recorded
        .map(|(_, digest)| digest.cast_unsigned() == found.sum);
    if as_json {
        let value = json!({
            "file": file, "ok": whole, "nodes": found.nodes, "dataBytes": found.data_bytes,
            "ephemerals": found.ephemerals, "containers": found.containers, "ttls": found.ttls,
            "sessions": found.sessions.len(), "digest": format!("0x{:x}", found.sum),
            "recordedDigest": found.recorded.map(|(_, digest)| format!("0x{digest:x}")),
            "digestMatches": exact, "problems": found.problems,
        });
        println!("{value}");
        return Ok(whole);
    }
    let verdict = if whole { "ok" } else { "DAMAGED" };
    println!(
        "{}: {verdict}, {} nodes ({} ephemeral, {} containers, {} with a TTL), {} bytes of data, \
         {} sessions",
        file.display(),
        found.nodes,
        found.ephemerals,
        found.containers,
        found.ttls,
        found.data_bytes,
        found.sessions.len()
    );
    let digest = match (exact, found.recorded) {
        (Some(true), Some((zxid, _))) => format!("is the one recorded for zxid 0x{zxid:x}"),
        (_, Some((zxid, digest))) => format!(
            "is not the one recorded for zxid 0x{zxid:x}, 0x{digest:x}: it was taken while writes \
             went on"
        ),
        _ => "has none recorded to compare with".to_owned(),
    };
    println!("  digest 0x{:x} {digest}", found.sum);
    for problem in &found.problems {
        println!("  {problem}");
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printer(below: &str) -> Printer<Vec<u8>> {
        Printer {
            out: Vec::new(),
            json: true,
            below: below.trim_end_matches('/').to_owned(),
            data: true,
            acls: Acls::default(),
            broken: false,
        }
    }

    #[test]
    fn only_what_is_below_a_path_is_printed() {
        let mut printer = printer("/a");
        for path in ["", "/a", "/a/b", "/ab"] {
            printer
                .node(path, Some(b"x"), -1, StatPersisted::default())
                .unwrap();
        }
        let text = String::from_utf8(printer.out).unwrap();
        let paths: Vec<_> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["path"].clone())
            .collect();
        assert_eq!(paths, ["/a", "/a/b"]);
    }

    #[test]
    fn orphans_missing_acls_and_duplicates_are_found() {
        let mut checker = Checker::default();
        let stat = StatPersisted::default();
        checker.acl(1, &[]);
        for (path, acl) in [("", -1), ("/a", 1), ("/a/b", 2), ("/x/y", -1), ("/a", 1)] {
            checker.node(path, None, acl, stat).unwrap();
        }
        assert_eq!(
            checker.problems,
            [
                "/a/b has ACL 2, which is not there",
                "/x/y has no parent",
                "/a is there twice"
            ]
        );
    }
}
