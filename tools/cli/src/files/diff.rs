//! Owns comparing two snapshots, node by node. May use `storage`. Must not judge which is right.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use menagerie_storage::snapshot::read::{SnapshotSink, load_file};
use menagerie_wire::data::{Acl, StatPersisted};
use serde_json::{Value, json};

use super::describe::Acls;
use super::snapshot::{shown, stat_json};

/// A node as far as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    data: Option<Vec<u8>>,
    acl: Value,
    stat: StatPersisted,
}

/// A snapshot as far as it is compared.
#[derive(Default)]
struct Contents {
    sessions: BTreeMap<i64, i32>,
    acls: Acls,
    nodes: BTreeMap<String, Node>,
}

impl SnapshotSink for Contents {
    fn reset(&mut self) {
        *self = Self::default();
    }

    fn session(&mut self, id: i64, timeout_ms: i32) {
        self.sessions.insert(id, timeout_ms);
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
        // Ids of ACLs are the file's own; what they stand for is compared.
        let acl = self.acls.of(acl_id);
        let node = Node {
            data: data.map(<[u8]>::to_vec),
            acl,
            stat,
        };
        self.nodes.insert(shown(path).to_owned(), node);
        Ok(())
    }

    fn digest(&mut self, _: i64, _: i32, _: i64) {}
}

/// One difference.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    sign: char,
    what: String,
    changes: Vec<(String, Value, Value)>,
}

impl Difference {
    fn text(&self, as_json: bool) -> String {
        let Self {
            sign,
            what,
            changes,
        } = self;
        if as_json {
            let fields: serde_json::Map<_, _> = changes
                .iter()
                .map(|(key, old, new)| (key.clone(), json!({ "old": old, "new": new })))
                .collect();
            return json!({ "change": sign.to_string(), "what": what, "fields": fields })
                .to_string();
        }
        let line =
            |(key, old, new): &(String, Value, Value)| format!("\n    {key}: {old} -> {new}");
        format!(
            "{sign} {what}{}",
            changes.iter().map(line).collect::<String>()
        )
    }
}

fn between(old: &Contents, new: &Contents, content: bool) -> Vec<Difference> {
    let lone = |sign, what| Difference {
        sign,
        what,
        changes: Vec::new(),
    };
    let mut found = Vec::new();
    if !content {
        let session = |id: &i64| format!("session 0x{id:x}");
        let gone = old
            .sessions
            .keys()
            .filter(|id| !new.sessions.contains_key(id));
        found.extend(gone.map(|id| lone('-', session(id))));
        let come = new
            .sessions
            .keys()
            .filter(|id| !old.sessions.contains_key(id));
        found.extend(come.map(|id| lone('+', session(id))));
    }
    for (path, before) in &old.nodes {
        match new.nodes.get(path) {
            None => found.push(lone('-', path.clone())),
            Some(after) => {
                let changes = changes(before, after, content);
                if !changes.is_empty() {
                    found.push(Difference {
                        sign: '~',
                        what: path.clone(),
                        changes,
                    });
                }
            }
        }
    }
    let come = new
        .nodes
        .keys()
        .filter(|path| !old.nodes.contains_key(*path));
    found.extend(come.map(|path| lone('+', path.clone())));
    found
}

/// The fields in which two nodes differ.
fn changes(before: &Node, after: &Node, content: bool) -> Vec<(String, Value, Value)> {
    let mut changes = Vec::new();
    if before.data != after.data {
        let text = |node: &Node| {
            node.data
                .as_ref()
                .map_or(Value::Null, |d| json!(String::from_utf8_lossy(d)))
        };
        changes.push(("data".to_owned(), text(before), text(after)));
    }
    if before.acl != after.acl {
        changes.push(("acl".to_owned(), before.acl.clone(), after.acl.clone()));
    }
    if content {
        return changes;
    }
    let (old, new) = (stat_json(&before.stat), stat_json(&after.stat));
    for (key, value) in old.as_object().into_iter().flatten() {
        let other = new.get(key).cloned().unwrap_or_default();
        if *value != other {
            changes.push((key.clone(), value.clone(), other));
        }
    }
    changes
}

/// Compares, prints, and says by the exit code whether there are differences.
pub(crate) fn run(old: &Path, new: &Path, as_json: bool, content: bool) -> Result<ExitCode> {
    let load = |file: &Path| -> Result<Contents> {
        let mut contents = Contents::default();
        load_file(file, &mut contents).with_context(|| format!("reading {}", file.display()))?;
        Ok(contents)
    };
    let found = between(&load(old)?, &load(new)?, content);
    let mut out = BufWriter::new(std::io::stdout().lock());
    for difference in &found {
        if writeln!(out, "{}", difference.text(as_json)).is_err() {
            // The reader has seen enough.
            return Ok(ExitCode::FAILURE);
        }
    }
    out.flush().context("cannot print")?;
    Ok(if found.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(nodes: &[(&str, &[u8], i32)]) -> Contents {
        let mut contents = Contents::default();
        for (path, data, version) in nodes {
            let stat = StatPersisted {
                version: *version,
                ..StatPersisted::default()
            };
            contents.node(path, Some(data), -1, stat).unwrap();
        }
        contents
    }

    #[test]
    fn differences_are_told_by_field() {
        let old = contents(&[
            ("", b"", 0),
            ("/a", b"1", 0),
            ("/b", b"", 0),
            ("/c", b"", 1),
        ]);
        let new = contents(&[
            ("", b"", 0),
            ("/a", b"2", 1),
            ("/c", b"", 2),
            ("/d", b"", 0),
        ]);
        let found = between(&old, &new, false);
        let summary: Vec<_> = found.iter().map(|d| (d.sign, d.what.as_str())).collect();
        assert_eq!(
            summary,
            [('~', "/a"), ('-', "/b"), ('~', "/c"), ('+', "/d")]
        );
        assert_eq!(
            found[0].changes,
            [
                ("data".to_owned(), json!("1"), json!("2")),
                ("version".to_owned(), json!(0), json!(1)),
            ]
        );
        assert_eq!(between(&old, &new, true).len(), 3);
        assert!(between(&old, &old, false).is_empty());
    }
}
