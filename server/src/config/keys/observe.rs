//! Owns the keys for watching a server, and those that tune parts that are built differently here.
//! May use the readers of values. Must not hold any setting itself.

use super::{KeySpec, key, needless_i64, no_effect, silent};
use crate::audit::AUDIT_CLASS;
use crate::config::settings::Config;
use crate::config::value::{
    Applied, Refused, Taken, decode, lenient_bool, lenient_int, lenient_long, strict_bool,
    strict_f64, strict_int,
};

const ONE_RUNTIME: &str = "connections are served by one runtime with a thread for each core";
const NO_PIPELINE: &str = "reads do not pass through a commit processor here";
const NO_CACHE: &str = "replies are written straight from the tree, there is no cache of them";
const ONE_WATCH_TABLE: &str = "there is one watch table, and it cleans up at once";
const NO_JVM: &str = "there is no Java virtual machine that could pause";
const NO_JMX: &str = "there is no JMX";

pub(super) const OBSERVE: &[KeySpec] = &[
    key(
        "4lw.commands.whitelist",
        "srvr",
        "Four-letter words that are answered, with commas between; * means all.",
        |c, _, v| {
            c.four_lw_whitelist = v
                .split(',')
                .map(str::trim)
                .filter(|word| !word.is_empty() && *word != "srvr")
                .map(str::to_owned)
                .collect();
            Ok(Taken::Exactly)
        },
    )
    .reloaded(|new, live| live.four_lw_whitelist.clone_from(&new.four_lw_whitelist)),
    key(
        "readonlymode.enabled",
        "false",
        "Members without a leader serve clients that can do with reading; isro tells.",
        |c, _, v| lenient_bool(v, &mut c.read_only_mode),
    )
    .bare(),
    key(
        "audit.enable",
        "false",
        "Who changed what is logged.",
        |c, _, v| lenient_bool(v, &mut c.audit.enabled),
    ),
    key(
        "audit.impl.class",
        AUDIT_CLASS,
        "The Java class that writes the audit log; others are refused.",
        |c, _, v| {
            v.clone_into(&mut c.audit.class);
            Ok(Taken::Exactly)
        },
    ),
    key(
        "audit.file",
        "",
        "The audit log's file; without one it goes to the server's log. Not in ZooKeeper, as are the next two.",
        |c, _, v| {
            c.audit.file = Some(v.into());
            Ok(Taken::Exactly)
        },
    ),
    key(
        "audit.file.maxSizeInMB",
        "10",
        "MiB after which another file is begun; 0 means never.",
        |c, _, v| strict_int(v, 0, 1_048_576, &mut c.audit.max_file_mb),
    ),
    key(
        "audit.file.maxBackups",
        "10",
        "Full files of the audit log that are kept.",
        |c, _, v| strict_int(v, 0, 1000, &mut c.audit.max_backups),
    ),
    key(
        "pathStats.enabled",
        "false",
        "The log tells which paths clients read and write most. Requests that fail count as well, which they do not in ZooKeeper.",
        |c, _, v| lenient_bool(v, &mut c.top_paths.enabled),
    ),
    key(
        "pathStats.sampleRate",
        "0.1",
        "The part of the requests that is counted; 1 means all.",
        |c, _, v| strict_f64(v, f64::MIN, f64::MAX, &mut c.top_paths.sample),
    ),
    key(
        "pathStats.maxDepth",
        "6",
        "Components of a path by which is counted; the log tells four at most.",
        |c, _, v| lenient_int(v, 1, &mut c.top_paths.depth),
    ),
    key(
        "pathStats.topPathMax",
        "20",
        "Paths that are told.",
        |c, _, v| lenient_int(v, 1, &mut c.top_paths.top),
    ),
    key(
        "pathStats.slotDuration",
        "15",
        "Seconds of a slot: when they are over, the oldest slot's counts are forgotten.",
        |c, _, v| lenient_int(v, 1, &mut c.top_paths.slot_s),
    ),
    key(
        "pathStats.slotCapacity",
        "60",
        "Slots that are counted together; 1024 at most, with 4 MiB of paths.",
        |c, _, v| lenient_int(v, 1, &mut c.top_paths.slots),
    ),
    key(
        "pathStats.initialDelay",
        "5",
        "Minutes after the start when the paths are told first.",
        |c, _, v| lenient_long(v, 0, &mut c.top_paths.first_min),
    ),
    key(
        "pathStats.delay",
        "5",
        "Minutes from then on.",
        |c, _, v| lenient_long(v, 1, &mut c.top_paths.every_min),
    ),
];

pub(super) const INTERNALS: &[KeySpec] = &[
    key(
        "serverCnxnFactory",
        "",
        "Which of Java's network stacks is used.",
        no_effect,
    )
    .no_need(ONE_RUNTIME),
    key(
        "nio.numSelectorThreads",
        "√(cores / 2)",
        "Threads.",
        no_effect,
    )
    .no_need(ONE_RUNTIME),
    key("nio.numWorkerThreads", "2 × cores", "Threads.", no_effect).no_need(ONE_RUNTIME),
    key(
        "nio.directBufferBytes",
        "65536",
        "Buffers of a thread.",
        no_effect,
    )
    .no_need(ONE_RUNTIME),
    key(
        "nio.shutdownTimeout",
        "5000",
        "Patience with threads.",
        no_effect,
    )
    .no_need(ONE_RUNTIME),
    key("netty.*", "", "Options of Netty.", no_effect).no_need(ONE_RUNTIME),
    key(
        "intBufferStartingSizeBytes",
        "1024",
        "First size of a buffer.",
        buffer_start,
    )
    .no_need("buffers grow as needed"),
    key(
        "commitProcessor.*",
        "",
        "Threads and batches of the pipeline.",
        no_effect,
    )
    .no_need(NO_PIPELINE),
    key(
        "maxResponseCacheSize",
        "400",
        "Cached replies to getData.",
        no_effect,
    )
    .no_need(NO_CACHE),
    key(
        "maxGetChildrenResponseCacheSize",
        "400",
        "Cached lists of children.",
        no_effect,
    )
    .no_need(NO_CACHE),
    key(
        "watchManagerName",
        "",
        "Which of two watch tables is used.",
        no_effect,
    )
    .no_need(ONE_WATCH_TABLE),
    key(
        "watcherCleanThreadsNum",
        "2",
        "Threads that clean up.",
        no_effect,
    )
    .no_need(ONE_WATCH_TABLE),
    key(
        "watcherCleanThreshold",
        "1000",
        "Watchers cleaned up together.",
        no_effect,
    )
    .no_need(ONE_WATCH_TABLE),
    key(
        "watcherCleanIntervalInSeconds",
        "600",
        "Time between clean-ups.",
        no_effect,
    )
    .no_need(ONE_WATCH_TABLE),
    key(
        "maxInProcessingDeadWatchers",
        "-1",
        "Watchers that may wait for it.",
        no_effect,
    )
    .no_need(ONE_WATCH_TABLE),
    key(
        "bitHashCacheSize",
        "10",
        "Cache of a watch table.",
        no_effect,
    )
    .no_need(ONE_WATCH_TABLE),
    key(
        "jvm.pause.monitor",
        "false",
        "Pauses of the JVM are measured.",
        |_, _, v| {
            let mut on = false;
            strict_bool(v, &mut on)?;
            Ok(if on { Taken::NoEffect } else { Taken::Exactly })
        },
    )
    .file_only()
    .no_need(NO_JVM),
    key(
        "jvm.pause.warn-threshold.ms",
        "10000",
        "A pause to warn of.",
        needless_i64,
    )
    .file_only()
    .no_need(NO_JVM),
    key(
        "jvm.pause.info-threshold.ms",
        "1000",
        "A pause to log.",
        needless_i64,
    )
    .file_only()
    .no_need(NO_JVM),
    key(
        "jvm.pause.sleep.time.ms",
        "500",
        "Time between measurements.",
        needless_i64,
    )
    .file_only()
    .no_need(NO_JVM),
    key("jmx.*", "", "Options of JMX.", silent).no_need(NO_JMX),
];

/// Source: the static block of `ZooKeeperServer` — less than 32 stops the start, text that is no
/// number means the default.
fn buffer_start(_: &mut Config, _: &str, value: &str) -> Applied {
    if decode(value).is_some_and(|size| size < 32) {
        return Err(Refused::Invalid("32 or more".into()));
    }
    Ok(Taken::NoEffect)
}
