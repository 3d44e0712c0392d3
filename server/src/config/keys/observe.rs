//! Owns the keys for watching a server, and those that tune parts that are built differently here.
//! May use the readers of values. Must not hold any setting itself.

use super::{KeySpec, key, needless_i64, no_effect, refuse_true, silent};
use crate::config::settings::Config;
use crate::config::value::{Applied, Refused, Taken, decode, java_true, lenient_bool, strict_bool};

const NO_ADMIN: &str =
    "the admin server is not in this version; four-letter words tell the same on the client port";
const NO_METRICS: &str =
    "no metrics provider is in this version; the four-letter word mntr tells the same";
const NO_AUDIT: &str = "the audit log is not in this version; remove the key to serve without it";
const NO_PATHS: &str = "statistics by path are not in this version";

const ONE_RUNTIME: &str = "connections are served by one runtime with a thread for each core";
const NO_PIPELINE: &str = "reads do not pass through a commit processor here";
const NO_CACHE: &str = "replies are written straight from the tree, there is no cache of them";
const ONE_WATCH_TABLE: &str = "there is one watch table, and it cleans up at once";
const NO_JVM: &str = "there is no Java virtual machine that could pause";
const NO_JMX: &str = "there is no JMX";

/// Metrics providers that publish nothing outside the server.
const QUIET_PROVIDERS: [&str; 2] = [
    "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider",
    "org.apache.zookeeper.metrics.impl.NullMetricsProvider",
];
const PROMETHEUS: &str = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";

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
    ),
    key(
        "readonlymode.enabled",
        "false",
        "Members without a leader serve clients that can do with reading; isro tells.",
        |c, _, v| lenient_bool(v, &mut c.read_only_mode),
    )
    .bare(),
    key(
        "admin.enableServer",
        "true",
        "The admin server over HTTP.",
        |_, _, v| {
            // Source: AdminServerFactory — only the exact word turns it off.
            Ok(if v == "false" {
                Taken::Exactly
            } else {
                Taken::NoEffect
            })
        },
    )
    .not_yet(NO_ADMIN),
    key(
        "admin.*",
        "",
        "Its port, address, paths and limits.",
        silent,
    )
    .not_yet(NO_ADMIN),
    key(
        "metricsProvider.className",
        "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider",
        "Where metrics are published.",
        |_, _, v| match v {
            PROMETHEUS => Ok(Taken::NoEffect),
            quiet if QUIET_PROVIDERS.contains(&quiet) => Ok(Taken::Exactly),
            _ => Err(Refused::Invalid(format!(
                "{PROMETHEUS} or {}; other Java classes cannot be loaded",
                QUIET_PROVIDERS.join(" or ")
            ))),
        },
    )
    .file_only()
    .not_yet(NO_METRICS),
    key(
        "metricsProvider.*",
        "",
        "Options of the metrics provider.",
        silent,
    )
    .file_only()
    .not_yet(NO_METRICS),
    key("audit.enable", "false", "The audit log.", refuse_true).refused(NO_AUDIT),
    key(
        "audit.impl.class",
        "",
        "The Java class that writes it.",
        no_effect,
    )
    .not_yet(NO_AUDIT),
    key(
        "pathStats.enabled",
        "false",
        "Statistics by path.",
        |_, _, v| {
            Ok(if java_true(v) {
                Taken::NoEffect
            } else {
                Taken::Exactly
            })
        },
    )
    .not_yet(NO_PATHS),
    key("pathStats.*", "", "Their options.", silent).not_yet(NO_PATHS),
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
