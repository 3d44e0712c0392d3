//! Owns the comparison of the admin server's commands. Must not compare values.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Side;
use super::http::{Page, ask};
use super::shape::shape;
use crate::server::four_letter;

/// Commands whose answers look the same; those that reset something come last.
pub(super) const COMMANDS: &[&str] = &[
    "configuration",
    "conf",
    "config",
    "connections",
    "cons",
    "dirs",
    "dump",
    "environment",
    "envi",
    "env",
    "get_trace_mask",
    "gtmk",
    "hash",
    "initial_configuration",
    "icfg",
    "is_read_only",
    "isro",
    "last_snapshot",
    "lsnp",
    "leader",
    "lead",
    "observers",
    "obsr",
    "ruok",
    "server_stats",
    "srvr",
    "stats",
    "stat",
    "voting_view",
    "watch_summary",
    "wchs",
    "watches",
    "wchc",
    "watches_by_path",
    "wchp",
    "zabstate",
    "set_trace_mask?traceMask=7",
    "set_trace_mask",
    "stmk?traceMask=x",
    "no_such_command",
    "observer_connection_stat_reset",
    "orst",
    "connection_stat_reset",
    "crst",
    "stat_reset",
    "srst",
];

fn get(address: SocketAddr, command: &str) -> Result<Page> {
    ask(address, "GET", &format!("/commands/{command}"), None)
}

fn json(page: &Page) -> Result<Value> {
    serde_json::from_slice(&page.body).with_context(|| page.text())
}

/// Both answer with the same fields, in the same order at the top.
pub(super) fn compare(command: &str, apache: SocketAddr, ours: SocketAddr) -> Result<String> {
    let (apache, ours) = (get(apache, command)?, get(ours, command)?);
    same(&apache, &ours)?;
    let (one, two) = (json(&apache)?, json(&ours)?);
    let (apache, ours) = (shape(&one), shape(&two));
    let missing: Vec<_> = apache.difference(&ours).collect();
    let added: Vec<_> = ours.difference(&apache).collect();
    ensure!(
        missing.is_empty() && added.is_empty(),
        "only Apache tells {missing:?}, only Menagerie {added:?}"
    );
    Ok(format!("{} fields", apache.len()))
}

fn same(apache: &Page, ours: &Page) -> Result<()> {
    ensure!(
        apache.status == ours.status && apache.kind == ours.kind,
        "{} {} instead of {} {}",
        ours.status,
        ours.kind,
        apache.status,
        apache.kind
    );
    Ok(())
}

/// `monitor` tells what `mntr` tells, without the prefix; the keys of that are compared elsewhere.
pub(super) fn monitor(apache: &Side, ours: &Side) -> Result<String> {
    let difference = |side: &Side| -> Result<(BTreeSet<String>, usize)> {
        let text = four_letter(side.server.address(), "mntr")?;
        let keys = text.lines().filter_map(|line| line.split('\t').next());
        let keys: BTreeSet<String> = keys.map(|key| key.replacen("zk_", "", 1)).collect();
        let Value::Object(fields) = json(&get(side.admin, "monitor")?)? else {
            anyhow::bail!("monitor is no map");
        };
        let fields: BTreeSet<String> = fields.into_iter().map(|(key, _)| key).collect();
        ensure!(keys.len() > 50, "{keys:?}");
        let different = keys.symmetric_difference(&fields).cloned().collect();
        Ok((different, keys.len()))
    };
    let ((apache, _), (ours, count)) = (difference(apache)?, difference(ours)?);
    ensure!(
        apache == ours,
        "mntr and monitor differ by {ours:?} instead of {apache:?}"
    );
    Ok(format!("{count} keys as those of mntr"))
}

/// Who may not, and what is not there, is told in the same words.
pub(super) fn refusals(apache: SocketAddr, ours: SocketAddr) -> Result<String> {
    let mut count = 0;
    let cases = [
        ("GET", "snapshot", None),
        ("GET", "snap?streaming=true", Some("digest")),
        ("GET", "snap?streaming=true", Some("digest  a:b")),
        ("GET", "snap?streaming=true", Some("world anyone")),
        ("GET", "snap?streaming=true", Some("no_such_scheme x")),
        ("POST", "restore", None),
        ("POST", "rest", Some("world anyone")),
        ("POST", "no_such_command", None),
    ];
    for (method, command, authorization) in cases {
        let path = format!("/commands/{command}");
        let one = ask(apache, method, &path, authorization)?;
        let two = ask(ours, method, &path, authorization)?;
        same(&one, &two).with_context(|| format!("{command} {authorization:?}"))?;
        let (one, two) = (one.text(), two.text());
        ensure!(
            one == two,
            "{command} {authorization:?}: {two} instead of {one}"
        );
        count += 1;
    }
    let (one, two) = (
        ask(apache, "GET", "/", None)?.status,
        ask(ours, "GET", "/", None)?.status,
    );
    ensure!(one == two, "/: {two} instead of {one}");
    Ok(format!("{} answers", count + 1))
}

/// A snapshot is one, and the next is too early.
pub(super) fn snapshots(apache: SocketAddr, ours: SocketAddr) -> Result<String> {
    let path = "/commands/snapshot?streaming=true";
    let mut sizes = Vec::new();
    for address in [apache, ours] {
        let page = ask(address, "GET", path, Some("digest a:b"))?;
        ensure!(page.status == 200, "{} {}", page.status, page.text());
        ensure!(page.kind == "application/octet-stream", "{}", page.kind);
        ensure!(
            page.body.starts_with(b"ZKSN"),
            "{:?}",
            &page.body[..8.min(page.body.len())]
        );
        sizes.push(page.body.len());
        let page = ask(address, "GET", path, Some("digest a:b"))?;
        ensure!(page.status == 429, "{} {}", page.status, page.text());
        let answer = json(&page)?;
        ensure!(answer["error"].is_null(), "{answer}");
    }
    // Of the same tree they have the same size, save for what only one has of sessions.
    let difference = sizes[0].abs_diff(sizes[1]);
    ensure!(difference < 200, "{sizes:?} bytes");
    Ok(format!("{sizes:?} bytes"))
}
