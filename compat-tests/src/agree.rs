//! Owns the comparison of members of an ensemble: the same transactions, trees and digests. May use
//! `raw` and `walk`. Must not know how the members run.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use menagerie_wire::op::op_code;

use crate::guarantee;
use crate::populate::{create_request, version_request};
use crate::raw::Raw;
use crate::server::four_letter;
use crate::walk::{Node, become_super, walk};

/// How long members may take to have the same transactions.
const PATIENCE: Duration = Duration::from_secs(40);

/// Waits until all members have the same transactions, and compares their trees and digests. Sessions
/// may expire meanwhile, so what differs once must differ again. How many nodes there are that belong
/// to no session.
pub(crate) fn compare(members: &[SocketAddr]) -> Result<usize> {
    let mut result = compare_once(members);
    for _ in 0..2 {
        if result.is_ok() {
            break;
        }
        thread::sleep(Duration::from_secs(1));
        result = compare_once(members);
    }
    guarantee::check(result)
}

fn compare_once(members: &[SocketAddr]) -> Result<usize> {
    let begun = Instant::now();
    let first_member = *members.first().context("no member runs")?;
    loop {
        let zxids: Vec<String> = members.iter().map(|member| zxid(*member)).collect();
        if zxids.iter().all(|zxid| *zxid == zxids[0]) && !zxids[0].is_empty() {
            break;
        }
        // A leader begins its epoch with a zxid that followers learn with the next transaction.
        let (mut raw, _) = Raw::session(first_member, 10_000)?;
        raw.ping()?;
        raw.close_session()?;
        ensure!(
            begun.elapsed() < PATIENCE,
            "the members stay apart: {zxids:?}"
        );
        thread::sleep(Duration::from_millis(50));
    }
    let mut first = None;
    for member in members {
        let (mut raw, _) = Raw::session(*member, 10_000)?;
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
    }
    digests_match(members)?;
    // Containers and nodes with a time to live have a negative owner.
    let stays = |node: &&Node| node.stat.ephemeral_owner <= 0;
    Ok(first.map_or(0, |nodes| nodes.iter().filter(stays).count()))
}

/// Members of Menagerie have never met a digest that is not their tree's. Apache's may have, while a
/// tree that they got as it changed was made whole by the transactions behind it; from then on they do
/// not.
fn digests_match(members: &[SocketAddr]) -> Result<()> {
    let before: Vec<(String, u64)> = members.iter().map(|member| mismatches(*member)).collect();
    for (member, (version, count)) in members.iter().zip(&before) {
        let may_be = !version.contains("menagerie");
        ensure!(
            *count == 0 || may_be,
            "{member}: digest mismatches: {count}"
        );
    }
    if before.iter().all(|(_, count)| *count == 0) {
        return Ok(());
    }
    println!("   digests did not match while members caught up: {before:?}");
    let first = *members.first().context("no member runs")?;
    let (mut raw, _) = Raw::session(first, 10_000)?;
    for _ in 0..20 {
        let path = format!("/digests-{}", std::process::id());
        let create = create_request(&path, Some(b"x"), 0);
        let (header, _) = raw.call(op_code::CREATE, &create)?;
        ensure!(header.err == 0, "create: error {}", header.err);
        let (header, _) = raw.call(op_code::DELETE, &version_request(&path, -1))?;
        ensure!(header.err == 0, "delete: error {}", header.err);
    }
    raw.close_session()?;
    thread::sleep(Duration::from_secs(2));
    let after: Vec<(String, u64)> = members.iter().map(|member| mismatches(*member)).collect();
    ensure!(
        before == after,
        "digests go on not matching: {before:?}, then {after:?}"
    );
    Ok(())
}

/// A member's version, and how often a digest was not its tree's.
fn mismatches(member: SocketAddr) -> (String, u64) {
    let mntr = four_letter(member, "mntr").unwrap_or_default();
    let value = |key: &str| mntr.lines().find_map(|line| line.strip_prefix(key));
    let version = value("zk_version\t").and_then(|text| text.split(',').next());
    let count = value("zk_digest_mismatches_count\t").and_then(|count| count.parse().ok());
    (version.unwrap_or_default().to_owned(), count.unwrap_or(0))
}

fn zxid(member: SocketAddr) -> String {
    let answer = four_letter(member, "srvr").unwrap_or_default();
    let line = answer.lines().find_map(|line| line.strip_prefix("Zxid: "));
    line.unwrap_or_default().to_owned()
}
