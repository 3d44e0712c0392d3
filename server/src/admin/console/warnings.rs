//! Owns what the console warns of: one sentence on what is wrong, one on what to do. Must not look
//! for what the figures on the page already show.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};

use crate::process;
use crate::shared::Shared;

/// Transactions that a member may be behind while everybody is busy.
const LAG: i64 = 5000;
/// The part of a limit from which on it is near, in percent.
const NEAR: u64 = 80;
/// The part of the disk that should be free, in percent.
const FREE: u64 = 10;

fn wrong(text: impl Into<String>, advice: &str) -> Value {
    json!({"level": "wrong", "text": text.into(), "advice": advice})
}

fn risky(text: impl Into<String>, advice: &str) -> Value {
    json!({"level": "risky", "text": text.into(), "advice": advice})
}

/// What is wrong with the ensemble or risky about this server.
pub(super) fn of(shared: &Shared, members: &[Value]) -> Vec<Value> {
    let mut all = ensemble(shared, members);
    all.extend(figures(shared));
    all.extend(settings(shared));
    all
}

fn ensemble(shared: &Shared, members: &[Value]) -> Vec<Value> {
    let mut all = Vec::new();
    if !shared.is_serving() {
        all.push(wrong(
            format!(
                "this server is {} and serves no writes",
                shared.peer_state()
            ),
            "a quorum of the voters must reach each other on their election ports",
        ));
    }
    let mut versions: Vec<&str> = members
        .iter()
        .filter_map(|m| m["version"].as_str())
        .collect();
    versions.sort_unstable();
    versions.dedup();
    if versions.len() > 1 {
        all.push(risky(
            format!("members run different versions: {}", versions.join(", ")),
            "finish the upgrade",
        ));
    }
    for member in members {
        let sid = &member["sid"];
        if member["unreachable"] == true {
            let note = member["note"].as_str().unwrap_or_default();
            let advice = "is it running, and is its client port open to this server?";
            all.push(wrong(format!("server {sid}: {note}"), advice));
        }
        if let Some(state) = member["follows"]
            .as_str()
            .filter(|state| *state != "in sync")
        {
            let advice = "look into its log; until it is back, one failure less can be borne";
            all.push(wrong(format!("server {sid} is {state}"), advice));
        }
        if member["lag"].as_i64().is_some_and(|lag| lag > LAG) {
            let advice = "its disk or network is slower than the others'";
            all.push(risky(
                format!("server {sid} is {} transactions behind", member["lag"]),
                advice,
            ));
        }
    }
    let voters = members
        .iter()
        .filter(|m| m["role"] == "participant")
        .count();
    if voters > 0 && voters % 2 == 0 {
        all.push(risky(
            format!("{voters} voters bear no more failures than {}", voters - 1),
            "add one, or make one an observer",
        ));
    }
    all
}

fn figures(shared: &Shared) -> Vec<Value> {
    let stats = &shared.stats;
    let mut all = Vec::new();
    let mismatches = stats.digest_mismatches.load(Relaxed);
    if mismatches > 0 {
        all.push(wrong(
            format!("the tree's digest differed {mismatches} times from the recorded one"),
            "compare this member's data with another's; empty its disk if it is the odd one out",
        ));
    }
    let slow = stats.fsync_threshold_exceeded.load(Relaxed);
    if slow > 0 {
        let limit = shared.live.load().fsync_warning_threshold_ms;
        all.push(risky(
            format!("{slow} syncs of the log took longer than {limit} ms"),
            "give dataLogDir a disk of its own",
        ));
    }
    let limit = u64::try_from(shared.live.load().global_outstanding_limit).unwrap_or(u64::MAX);
    let outstanding = u64::try_from(stats.in_process.load(Relaxed)).unwrap_or(0);
    if outstanding.saturating_mul(100) > limit.saturating_mul(NEAR) {
        all.push(risky(
            format!("{outstanding} requests are outstanding, {limit} are allowed"),
            "clients ask for more than this server or its disk can do",
        ));
    }
    let (open, max) = process::descriptors();
    if (open as u64).saturating_mul(100) > max.saturating_mul(NEAR) {
        all.push(risky(
            format!("{open} of {max} file descriptors are in use"),
            "raise LimitNOFILE or ulimit -n",
        ));
    }
    let rejected = stats.connections_rejected.load(Relaxed);
    if rejected > 0 {
        all.push(risky(
            format!("{rejected} connections were turned away by maxClientCnxns or maxCnxns"),
            "find the client that opens too many, or raise the limit",
        ));
    }
    for dir in [&shared.dirs.data, &shared.dirs.log] {
        let Ok(disk) = rustix::fs::statvfs(dir.as_path()) else {
            continue;
        };
        if disk.f_bavail.saturating_mul(100) < disk.f_blocks.saturating_mul(FREE) {
            all.push(wrong(
                format!(
                    "less than {FREE} % of the disk with {} is free",
                    dir.display()
                ),
                "purge old snapshots and logs (autopurge.purgeInterval), or enlarge it",
            ));
            break;
        }
    }
    all
}

fn settings(shared: &Shared) -> Vec<Value> {
    let config = &shared.config;
    let mut all = Vec::new();
    if config.skip_acl {
        all.push(risky("ACLs are not checked", "remove skipACL"));
    }
    if !config.force_sync {
        all.push(risky(
            "writes are acknowledged before they are on the disk",
            "remove forceSync=no, unless losing the last seconds does not matter",
        ));
    }
    all
}
