//! Owns the keys that matter in an ensemble only. May use the readers of values. Must not hold any
//! setting itself.

use std::path::PathBuf;

use super::{KeySpec, key, silent, unused_bool, unused_i32};
use crate::config::Config;
use crate::config::value::{
    Applied, Refused, Taken, lenient_bool, lenient_long, strict_bool, strict_f64, strict_int,
};

/// A line about votes; what is wrong with it shows when all lines are known.
fn take_group(config: &mut Config, key: &str, value: &str) -> Applied {
    config.groups.insert(key.to_owned(), value.to_owned());
    Ok(Taken::Exactly)
}

pub(super) const KEYS: &[KeySpec] = &[
    key(
        "server.*",
        "",
        "A server of the ensemble; one line means this server alone.",
        |c, k, v| {
            let id = k.strip_prefix("server.").unwrap_or(k);
            c.servers.insert(id.to_owned(), v.to_owned());
            Ok(Taken::Exactly)
        },
    )
    .file_only(),
    key(
        "dynamicConfigFile",
        "",
        "The file with the server lines.",
        |c, _, v| {
            c.dynamic_config_file = Some(PathBuf::from(v));
            Ok(Taken::Exactly)
        },
    )
    .file_only(),
    key(
        "standaloneEnabled",
        "true",
        "One server line means no ensemble.",
        |c, _, v| strict_bool(v, &mut c.standalone_enabled),
    )
    .file_only(),
    key(
        "reconfigEnabled",
        "false",
        "Reconfiguration; a single server refuses it, with an error that depends on this key.",
        |c, _, v| strict_bool(v, &mut c.reconfig_enabled),
    )
    .file_only(),
    key(
        "group.*",
        "",
        "A group of servers that votes together.",
        take_group,
    )
    .file_only(),
    key("weight.*", "", "The weight of a server's vote.", take_group).file_only(),
    key(
        "version",
        "",
        "Version of the server lines, written by reconfiguration.",
        |_, _, v| match i64::from_str_radix(v, 16) {
            Ok(_) => Ok(Taken::Exactly),
            Err(_) => Err(Refused::Invalid("a hexadecimal number".into())),
        },
    )
    .file_only()
    .ensemble(),
    key(
        "initLimit",
        "",
        "Ticks a follower has to connect and synchronise.",
        |c, _, v| strict_int(v, i32::MIN, i32::MAX, &mut c.quorum.init_limit),
    )
    .file_only(),
    key(
        "syncLimit",
        "",
        "Ticks a follower may lag behind.",
        |c, _, v| strict_int(v, i32::MIN, i32::MAX, &mut c.quorum.sync_limit),
    )
    .file_only(),
    key(
        "connectToLearnerMasterLimit",
        "",
        "Ticks to connect to the leader.",
        |c, _, v| strict_int(v, i32::MIN, i32::MAX, &mut c.quorum.connect_to_leader_limit),
    )
    .file_only(),
    key(
        "electionAlg",
        "3",
        "Algorithm of elections; only 3 exists.",
        |_, _, v| {
            if v.parse::<i32>() == Ok(3) {
                return Ok(Taken::Exactly);
            }
            Err(Refused::Invalid("3".into()))
        },
    )
    .file_only()
    .ensemble(),
    key(
        "peerType",
        "participant",
        "participant or observer.",
        |c, _, v| {
            let observer = v.eq_ignore_ascii_case("observer");
            if observer || v.eq_ignore_ascii_case("participant") {
                c.quorum.peer_is_observer = observer;
                return Ok(Taken::Exactly);
            }
            Err(Refused::Invalid("participant or observer".into()))
        },
    )
    .file_only(),
    key(
        "quorumListenOnAllIPs",
        "false",
        "Servers listen on every address.",
        |c, _, v| strict_bool(v, &mut c.quorum.listen_on_all_ips),
    )
    .file_only(),
    key(
        "observerMasterPort",
        "0",
        "Port where followers serve observers.",
        unused_i32,
    )
    .file_only()
    .ensemble(),
    key(
        "syncEnabled",
        "true",
        "Observers write log and snapshots.",
        unused_bool,
    )
    .file_only()
    .ensemble(),
    key(
        "quorum.cnxn.threads.size",
        "20",
        "Threads of the election.",
        unused_i32,
    )
    .file_only()
    .ensemble(),
    key(
        "multiAddress.enabled",
        "false",
        "Several addresses for a server.",
        unused_bool,
    )
    .file_only()
    .ensemble(),
    key(
        "multiAddress.reachabilityCheckEnabled",
        "true",
        "Addresses are tried before use.",
        unused_bool,
    )
    .file_only()
    .ensemble(),
    key(
        "multiAddress.reachabilityCheckTimeoutMs",
        "1000",
        "Milliseconds for that.",
        unused_i32,
    )
    .file_only()
    .ensemble(),
    key(
        "oraclePath",
        "",
        "A file that decides for one of two servers.",
        silent,
    )
    .file_only()
    .ensemble(),
    key(
        "leaderServes",
        "yes",
        "The leader accepts clients.",
        |c, _, v| {
            c.quorum.leader_serves = v == "yes";
            Ok(Taken::Exactly)
        },
    ),
    key(
        "cnxTimeout",
        "5000",
        "Milliseconds to connect for an election.",
        |c, _, v| lenient_long(v, 1, &mut c.quorum.cnx_timeout_ms),
    ),
    key(
        "quorumCnxnTimeoutMs",
        "-1",
        "Milliseconds to read in an election.",
        silent,
    )
    .ensemble(),
    key(
        "electionPortBindRetry",
        "3",
        "Attempts to bind the election port.",
        silent,
    )
    .ensemble(),
    key(
        "tcpKeepAlive",
        "false",
        "TCP keep-alive between servers.",
        |c, _, v| lenient_bool(v, &mut c.quorum.tcp_keep_alive),
    ),
    key(
        "commitLogCount",
        "500",
        "Transactions kept for followers.",
        |c, _, v| lenient_long(v, 1, &mut c.quorum.commit_log_count),
    ),
    key(
        "snapshotSizeFactor",
        "0.33",
        "Log sent to followers instead of a snapshot.",
        |c, _, v| strict_f64(v, f64::MIN, f64::MAX, &mut c.quorum.snapshot_size_factor),
    ),
    key(
        "forceSnapshotSync",
        "false",
        "Followers get snapshots only.",
        |c, _, v| lenient_bool(v, &mut c.quorum.force_snapshot_sync),
    ),
    key(
        "fastleader.minNotificationInterval",
        "200",
        "Milliseconds before votes are sent again; doubled each time.",
        |c, _, v| lenient_long(v, 1, &mut c.quorum.min_notification_interval_ms),
    ),
    key(
        "fastleader.maxNotificationInterval",
        "60000",
        "Milliseconds between votes at most.",
        |c, _, v| lenient_long(v, 1, &mut c.quorum.max_notification_interval_ms),
    ),
    key("leader.*", "", "Limits of the leader.", silent).ensemble(),
    key(
        "leaderConnectDelayDuringRetryMs",
        "100",
        "Pause between attempts.",
        |c, _, v| lenient_long(v, 0, &mut c.quorum.connect_delay_ms),
    ),
    key("learner.*", "", "How learners send and close.", silent).ensemble(),
    key("follower.*", "", "How followers pass requests on.", silent).ensemble(),
    key("observer.*", "", "How observers reconnect.", silent).ensemble(),
    key(
        "observerMaster.*",
        "",
        "Limits of followers that serve observers.",
        silent,
    )
    .ensemble(),
    key(
        "messageTracker.*",
        "",
        "A record of packets between servers.",
        silent,
    )
    .ensemble(),
    key(
        "forward_learner_requests_to_commit_processor_disabled",
        "false",
        "How learners pass requests on.",
        silent,
    )
    .ensemble(),
];
