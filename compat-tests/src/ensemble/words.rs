//! Owns the comparison of four-letter words between the two servers, role by role: what a leader, a
//! follower and an observer of either say. Must not compare how much of anything there is, where
//! that may differ.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use menagerie_wire::client::{PathWatchRequest, SetDataRequest};
use menagerie_wire::op::op_code;

use super::cluster::Cluster;
use super::pages::{self, Pages};
use super::scenarios;
use crate::differences::Differences;
use crate::populate::{TIME_OUT, populate};
use crate::raw::Raw;
use crate::server::{Kind, four_letter};

/// Words whose answers are compared; those that reset something come last.
const WORDS: &[&str] = &[
    "mntr", "conf", "srvr", "stat", "cons", "dirs", "hash", "isro", "ruok", "wchs", "wchc", "wchp",
    "dump", "crst", "srst",
];

/// Values of `mntr` that are the same whoever has the role.
const SAME: &[&str] = &[
    "server_state",
    "peer_state",
    "znode_count",
    "ephemerals_count",
    "quorum_size",
    "learners",
    "synced_followers",
    "synced_observers",
    "synced_non_voting_followers",
    "pending_syncs",
    "digest_mismatches_count",
    "local_sessions",
];

/// Values that are above 0 after what has happened, by the role that tells them; `-` is every role.
const COUNTED: &[(&str, &str)] = &[
    ("-", "packets_received"),
    ("-", "bytes_received_count"),
    ("-", "response_bytes"),
    ("-", "connection_request_count"),
    ("-", "looking_count"),
    ("leader", "cnt_election_time"),
    ("follower", "cnt_election_time"),
    ("-", "cnt_updatelatency"),
    ("-", "cnt_readlatency"),
    ("-", "cnt_dbinittime"),
    ("-", "cnt_fsynctime"),
    ("-", "cnt_sync_processor_batch_size"),
    ("-", "max_client_response_size"),
    ("-", "cnt_unavailable_time"),
    ("leader", "proposal_count"),
    ("leader", "commit_count"),
    ("leader", "cnt_quorum_ack_latency"),
    ("leader", "cnt_N_ack_latency"),
    ("-", "cnt_TOP_write_per_namespace"),
    ("-", "cnt_TOP_read_per_namespace"),
    ("leader", "cnt_leader_unavailable_time"),
    ("leader", "last_proposal_size"),
    ("follower", "learner_proposal_received_count"),
    ("follower", "learner_commit_received_count"),
    ("follower", "cnt_follower_sync_time"),
    ("observer", "learner_commit_received_count"),
    ("observer", "cnt_observer_sync_time"),
    ("observer", "observer_master_id"),
];

/// Answers by word.
type Answers = BTreeMap<&'static str, String>;
/// By role, one of each kind of server.
type Roles = BTreeMap<String, BTreeMap<&'static str, Answers>>;

/// Everything, on servers of both kinds in each role but the leader's.
pub(super) fn all(cluster: &mut Cluster) -> Result<String> {
    let pages = Pages::configure(cluster)?;
    for server in &mut cluster.servers {
        // What is counted must not change with the time that this takes.
        server.add_line(format!("maxSessionTimeout={TIME_OUT}"));
        server.add_line("leader.ackLoggingFrequency=1");
    }
    scenarios::begin(cluster)?;
    for (at, server) in cluster.servers.iter().enumerate() {
        populate(server.address(), &format!("w{at}"))?;
    }
    let mut roles = Roles::new();
    gather(cluster, &mut roles)?;
    let mut seen = pages.gather(cluster)?;
    // The other kind leads.
    for _ in 0..4 {
        let leader = cluster.leader()?;
        let kind = cluster.servers[leader].kind().name();
        if roles["leader"].len() == 2 {
            break;
        }
        if roles["leader"].contains_key(kind) {
            cluster.servers[leader].stop()?;
            cluster.leader()?;
            cluster.servers[leader].start()?;
        }
        cluster.await_serving()?;
        let next = cluster.leader()?;
        write(cluster.servers[next].address())?;
        gather(cluster, &mut roles)?;
        seen.extend(pages.gather(cluster)?);
    }
    let mut unexplained = Differences::of_mntr()?;
    let (mut compared, mut wrong) = (0, Vec::new());
    for (role, kinds) in &roles {
        let of = |kind: Kind| kinds.get(kind.name());
        let (Some(apache), Some(ours)) = (of(Kind::Apache), of(Kind::Menagerie)) else {
            anyhow::bail!("only {:?} as {role}", kinds.keys());
        };
        for word in WORDS {
            let (one, two) = (&apache[word], &ours[word]);
            if let Err(error) = compare(role, word, one, two, &mut unexplained) {
                wrong.push(format!("{word} of a {role}: {error:#}"));
            }
            compared += 1;
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    unexplained.all_needed()?;
    let pages = pages::compare(&seen)?;
    Ok(format!("{compared} answers and {pages} pages compared"))
}

/// Transactions that leave the tree as it is.
fn write(address: SocketAddr) -> Result<()> {
    let (mut raw, _) = Raw::session(address, 10_000)?;
    for _ in 0..20 {
        let request = SetDataRequest {
            path: Some("/w0/data".into()),
            data: Some(b"round 39"),
            version: -1,
        };
        let (header, _) = raw.call(op_code::SET_DATA, &request)?;
        ensure!(header.err == 0, "error {}", header.err);
    }
    raw.close_session()
}

/// Asks every member, once it has had a client with a watch.
fn gather(cluster: &mut Cluster, roles: &mut Roles) -> Result<()> {
    // Everybody is up to date, and nobody has a session that others have not heard of.
    cluster.compare()?;
    thread::sleep(Duration::from_secs(1));
    for (at, server) in cluster.servers.iter().enumerate() {
        let role = cluster.mode(at);
        let kinds = roles.entry(role).or_default();
        if kinds.contains_key(server.kind().name()) {
            continue;
        }
        let (mut raw, _) = Raw::session(server.address(), 10_000)?;
        let path = Some("/w0".into());
        let (header, _) = raw.call(op_code::GET_DATA, &PathWatchRequest { path, watch: true })?;
        ensure!(header.err == 0, "error {}", header.err);
        let mut answers = Answers::new();
        for word in WORDS {
            answers.insert(word, four_letter(server.address(), word)?);
        }
        let mntr = values(&four_letter(server.address(), "mntr")?);
        for key in ["max_latency", "cnt_updatelatency", "proposal_count"] {
            let after = mntr.get(key).map(String::as_str);
            ensure!(
                after == Some("0"),
                "{key} of server {} is {after:?} though it has just been reset",
                at + 1
            );
        }
        raw.close_session()?;
        kinds.insert(server.kind().name(), answers);
    }
    Ok(())
}

fn values(mntr: &str) -> BTreeMap<String, String> {
    let pairs = mntr.lines().filter_map(|line| line.split_once('\t'));
    pairs
        .map(|(key, value)| {
            let key = key.strip_prefix("zk_").unwrap_or(key);
            (without_number(key), value.to_owned())
        })
        .collect()
}

/// Some keys have the number of a learner in them, or the first part of paths.
fn without_number(key: &str) -> String {
    for what in ["_read_per_namespace", "_write_per_namespace"] {
        let measured = key.strip_suffix(what).and_then(|key| key.split_once('_'));
        if let Some((of, _)) = measured {
            return format!("{of}_TOP{what}");
        }
    }
    let parts = key.split('_').map(|part| match part.parse::<u32>() {
        Ok(_) => "N",
        Err(_) => part,
    });
    parts.collect::<Vec<_>>().join("_")
}

/// What a value looks like.
fn form(value: &str) -> &'static str {
    if value.parse::<i64>().is_ok() {
        "whole"
    } else if value.parse::<f64>().is_ok() {
        "fraction"
    } else {
        "text"
    }
}

/// A text with every number in it as `#`.
fn skeleton(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' | 'a'..='f' if out.ends_with("0x#") => {}
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            'x' if out.ends_with('#') => {
                out.pop();
                out.push_str("0x#");
            }
            c => out.push(c),
        }
    }
    out
}

fn compare(
    role: &str,
    word: &str,
    apache: &str,
    ours: &str,
    unexplained: &mut Differences,
) -> Result<()> {
    match word {
        "mntr" => compare_mntr(role, &values(apache), &values(ours), unexplained),
        "conf" => {
            let own = [
                "clientPort",
                "dataDir",
                "dataLogDir",
                "dataDirSize",
                "dataLogSize",
            ];
            let own = [&own[..], &["serverId", "electionPort", "quorumPort"]].concat();
            let lines = |text: &str| -> Vec<String> {
                let line = |line: &str| match line.split_once('=') {
                    Some((key, _)) if own.contains(&key) => key.to_owned(),
                    _ => line.to_owned(),
                };
                text.lines().map(line).collect()
            };
            same(&lines(apache), &lines(ours))
        }
        // Digests of the same zxids are the same; which ones there are depends on the last start.
        "hash" => {
            let lines = |text: &str| -> BTreeMap<String, String> {
                let pairs = text.lines().filter_map(|line| line.split_once(": "));
                pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
            };
            let (one, two) = (lines(apache), lines(ours));
            for (zxid, digest) in &one {
                let other = two.get(zxid);
                ensure!(
                    other.is_none_or(|other| other == digest),
                    "{zxid}: {other:?}"
                );
            }
            let both = one.keys().filter(|zxid| two.contains_key(*zxid)).count();
            ensure!(both > 0, "no zxid is in both");
            Ok(())
        }
        "srvr" | "stat" => {
            let lines = |text: &str| -> Vec<String> {
                let lines = text.lines().filter(|line| !line.starts_with(" /"));
                lines
                    .map(|line| line.split(':').next().unwrap_or(line).to_owned())
                    .collect()
            };
            same(&lines(apache), &lines(ours))
        }
        "cons" => same(&clients(apache)?, &clients(ours)?),
        "dump" => {
            let lines = |text: &str| -> BTreeSet<String> {
                let lines = text.lines().map(|line| {
                    let line = line.split(" at ").next().unwrap_or(line);
                    skeleton(line)
                });
                lines.collect()
            };
            same(&lines(apache), &lines(ours))
        }
        "wchc" => same(&skeleton(apache), &skeleton(ours)),
        "wchp" => same(&skeleton(apache), &skeleton(ours)),
        "dirs" => same(&skeleton(apache), &skeleton(ours)),
        _ => same(&apache, &ours),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(apache: &T, ours: &T) -> Result<()> {
    ensure!(apache == ours, "{apache:?}\nis not {ours:?}");
    Ok(())
}

/// The fields of the clients' lines; the one that asks has none of a session.
fn clients(cons: &str) -> Result<BTreeSet<Vec<String>>> {
    let lines = cons.lines().filter(|line| !line.is_empty());
    let fields = |line: &str| -> Result<Vec<String>> {
        let (_, rest) = line.split_once('(').context("no (")?;
        let inner = rest.strip_suffix(')').context("no )")?;
        let names = inner
            .split(',')
            .map(|field| field.split('=').next().unwrap_or(field));
        Ok(names.map(str::to_owned).collect())
    };
    lines.map(fields).collect()
}

fn compare_mntr(
    role: &str,
    apache: &BTreeMap<String, String>,
    ours: &BTreeMap<String, String>,
    unexplained: &mut Differences,
) -> Result<()> {
    let missing: Vec<_> = apache
        .keys()
        .filter(|key| !ours.contains_key(*key) && !unexplained.left_out.explains(key))
        .collect();
    let added: Vec<_> = ours
        .keys()
        .filter(|key| !apache.contains_key(*key) && !unexplained.added.explains(key))
        .collect();
    ensure!(
        missing.is_empty() && added.is_empty(),
        "only Apache tells {missing:?}, only Menagerie {added:?}"
    );
    for (key, value) in apache {
        let Some(mine) = ours.get(key) else { continue };
        ensure!(
            form(mine) == form(value),
            "{key} is {mine} instead of {value}"
        );
        ensure!(
            !SAME.contains(&key.as_str()) || mine == value,
            "{key} is {mine} instead of {value}"
        );
    }
    for (kind, values) in [(Kind::Apache, apache), (Kind::Menagerie, ours)] {
        for (_, key) in COUNTED
            .iter()
            .filter(|(who, _)| *who == "-" || *who == role)
        {
            let value = values.get(*key).and_then(|value| value.parse::<i64>().ok());
            ensure!(
                value.is_some_and(|value| value > 0),
                "{key} of {} is {value:?}",
                kind.name()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_explained_by_name_whatever_is_told_of_them() {
        let mut differences = Differences::of_mntr().unwrap();
        assert!(differences.left_out.explains("avg_jvm_pause_time_ms"));
        assert!(
            differences
                .left_out
                .explains(&without_number("p99_4_learner_handler_qp_time_ms"))
        );
        assert!(!differences.left_out.explains("proposal_count"));
        assert!(differences.all_needed().is_err());
    }

    #[test]
    fn numbers_do_not_show_in_skeletons() {
        assert_eq!(skeleton("sid=0x10a2f,to=4000"), "sid=0x#,to=#");
        assert_eq!(skeleton("1 expire"), skeleton("23 expire"));
        assert_ne!(skeleton("a: 1"), skeleton("b: 1"));
    }
}
