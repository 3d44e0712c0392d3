//! Owns the keys that matter in an ensemble only. May use the readers of values. Must not hold any
//! setting itself.

use std::path::PathBuf;

use super::{KeySpec, key, no_effect};
use crate::config::Config;
use crate::config::value::{
    Applied, Refused, Taken, lenient_bool, lenient_int, lenient_long, strict_bool, strict_f64,
    strict_int,
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
        "Changes of the ensemble while it runs; a single server refuses them, with an error that depends on this key.",
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
    .file_only(),
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
    .file_only(),
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
        "Port where followers serve observers, and where observers look for followers; set it on all.",
        |c, _, v| strict_int(v, i32::MIN, 65_535, &mut c.quorum.observer_master_port),
    )
    .file_only(),
    key(
        "syncEnabled",
        "true",
        "Observers write log and snapshots.",
        |_, _, v| {
            let mut on = true;
            strict_bool(v, &mut on)?;
            Ok(if on { Taken::Exactly } else { Taken::NoEffect })
        },
    )
    .file_only()
    .no_need("an observer here serves what it learns before its disk has it, so that only the disk would be saved, and a restart would fetch all anew"),
    key(
        "quorum.cnxn.threads.size",
        "20",
        "Threads of the election.",
        |_, _, v| strict_int(v, i32::MIN, i32::MAX, &mut 0_i64).map(|_| Taken::NoEffect),
    )
    .file_only()
    .no_need("connections of an election need no threads of their own here"),
    key(
        "multiAddress.enabled",
        "false",
        "A server line may have several addresses, with a vertical bar between. Apache's server \
         wants it as a Java property for that.",
        |c, _, v| strict_bool(v, &mut c.quorum.multi_address),
    ),
    key(
        "multiAddress.reachabilityCheckEnabled",
        "true",
        "A connection for elections over one of several addresses ends when that one answers no \
         more.",
        |c, _, v| strict_bool(v, &mut c.quorum.reachability_check),
    ),
    key(
        "multiAddress.reachabilityCheckTimeoutMs",
        "1000",
        "Milliseconds that it has for an answer.",
        |c, _, v| strict_int(v, 1, i32::MAX, &mut c.quorum.reachability_timeout_ms),
    ),
    key(
        "oraclePath",
        "",
        "A file that begins with 1 where one of two voters may go on without the other.",
        |c, _, v| {
            c.quorum.oracle_path = Some(PathBuf::from(v));
            Ok(Taken::Exactly)
        },
    )
    .file_only(),
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
        "Milliseconds a server has to say who it is on the election port; below 1 means syncLimit \
         ticks.",
        |c, _, v| lenient_long(v, i64::MIN, &mut c.quorum.election_introduction_ms),
    ),
    key(
        "electionPortBindRetry",
        "3",
        "Attempts to open the election port, a second apart; 0 means without end.",
        |c, _, v| lenient_long(v, 0, &mut c.quorum.election_port_bind_retry),
    ),
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
    key(
        "leader.maxConcurrentSnapSyncs",
        "10",
        "Learners that a leader sends snapshots to at a time; observers beyond wait. Followers \
         never do.",
        |c, _, v| lenient_long(v, 1, &mut c.quorum.max_concurrent_snap_syncs),
    ),
    key(
        "leader.maxConcurrentDiffSyncs",
        "100",
        "The same of those that it sends transactions to.",
        |c, _, v| lenient_long(v, 1, &mut c.quorum.max_concurrent_diff_syncs),
    ),
    key(
        "leader.maxTimeToWaitForEpoch",
        "-1",
        "Milliseconds after which a new leader gives up when one who voted for it looks for a \
         leader again; -1 means never.",
        |c, _, v| lenient_long(v, -1, &mut c.quorum.max_time_to_wait_for_epoch_ms),
    ),
    key(
        "leader.ackLoggingFrequency",
        "1000",
        "Every how many proposals a leader notes how long members take to acknowledge (ack_latency); \
         below 1 it notes none.",
        |c, _, v| lenient_int(v, i32::MIN, &mut c.quorum.ack_logging_frequency),
    ),
    key(
        "leader.closeSocketAsync",
        "false",
        "Connections to learners are closed by a thread of their own.",
        no_effect,
    )
    .no_need("closing a connection holds nothing up here"),
    key(
        "leader.nodelay",
        "true",
        "Nagle's algorithm is off towards learners.",
        no_effect,
    )
    .bare()
    .no_need("it is always off"),
    key(
        "leaderConnectDelayDuringRetryMs",
        "100",
        "Pause between attempts.",
        |c, _, v| lenient_long(v, 0, &mut c.quorum.connect_delay_ms),
    ),
    key(
        "learner.asyncSending",
        "false",
        "A thread of its own sends a learner's packets.",
        no_effect,
    )
    .no_need("sending holds nothing up here"),
    key(
        "learner.closeSocketAsync",
        "false",
        "The connection to the leader is closed by a thread of its own.",
        no_effect,
    )
    .no_need("closing a connection holds nothing up here"),
    key(
        "follower.nodelay",
        "true",
        "Nagle's algorithm is off towards the leader.",
        no_effect,
    )
    .bare()
    .no_need("it is always off"),
    key(
        "follower.skipLearnerRequestToNextProcessor",
        "false",
        "A follower does not put requests of other learners into its own pipeline.",
        no_effect,
    )
    .no_need("a follower's pipeline has requests of its own clients only"),
    key(
        "observer.reconnectDelayMs",
        "0",
        "An observer waits for up to so many milliseconds before it connects to the leader, or begins with the first follower again.",
        |c, _, v| lenient_long(v, 0, &mut c.quorum.observer_reconnect_delay_ms),
    ),
    key(
        "observer.election.DelayMs",
        "200",
        "An observer that has lost its leader waits for up to so many milliseconds before it looks for one.",
        |c, _, v| lenient_long(v, 0, &mut c.quorum.observer_election_delay_ms),
    ),
    key(
        "observerMaster.sizeLimit",
        "33554432",
        "Bytes of transactions kept for observers.",
        no_effect,
    )
    .no_need("observers are brought up from the part of the log that is kept for followers"),
    key(
        "messageTracker.*",
        "",
        "The last packets between servers are kept, to be logged when a connection ends.",
        no_effect,
    )
    .no_need("the log says at once why a connection ends (with RUST_LOG=debug, of each)"),
    key(
        "forward_learner_requests_to_commit_processor_disabled",
        "false",
        "A leader does not put learners' requests into its own pipeline.",
        no_effect,
    )
    .no_need("a leader's pipeline has requests of its own clients only"),
];
