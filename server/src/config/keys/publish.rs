//! Owns the keys for what a server publishes over HTTP. May use the readers of values. Must not hold
//! any setting itself.

use super::{KeySpec, key, no_effect, silent};
use crate::config::value::{
    Refused, Taken, java_true, lenient_bool, lenient_int, lenient_long, strict_int,
};

const ONE_SERVER: &str = "the admin server has no threads of its own";
const NO_QUEUE: &str = "numbers are collected when they are asked for, without threads or a queue";
const NO_JVM: &str = "there is no Java virtual machine to tell of";

/// Metrics providers that publish nothing outside the server.
const QUIET_PROVIDERS: [&str; 2] = [
    "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider",
    "org.apache.zookeeper.metrics.impl.NullMetricsProvider",
];
const PROMETHEUS: &str = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";

pub(super) const KEYS: &[KeySpec] = &[
    key(
        "admin.enableServer",
        "true",
        "The admin server over HTTP.",
        |c, _, v| {
            // Source: AdminServerFactory — only the exact word turns it off.
            c.admin.enabled = v != "false";
            Ok(Taken::Exactly)
        },
    ),
    key(
        "admin.serverAddress",
        "0.0.0.0",
        "Address that the admin server listens on.",
        |c, _, v| {
            v.clone_into(&mut c.admin.address);
            Ok(Taken::Exactly)
        },
    ),
    key(
        "admin.serverPort",
        "8080",
        "Its port; 0 takes a free one. Unless it is given, the server does without when it is in use.",
        |c, _, v| {
            let mut port = i32::from(c.admin.port);
            let taken = lenient_int(v, 0, &mut port)?;
            let Ok(port) = u16::try_from(port) else {
                return Err(Refused::Invalid("a port, 0 to 65535".into()));
            };
            c.admin.port = port;
            Ok(taken)
        },
    ),
    key(
        "admin.commandURL",
        "/commands",
        "Where its commands are.",
        |c, _, v| {
            let path = format!("/{}", v.trim_matches('/'));
            if path.len() < 2 || path.contains(['{', '}', '*', '?', '#', ' ']) {
                return Err(Refused::Invalid("a path such as /commands".into()));
            }
            c.admin.command_url = path;
            Ok(Taken::Exactly)
        },
    ),
    key(
        "admin.idleTimeout",
        "30000",
        "Milliseconds that its connections may be idle.",
        |c, _, v| lenient_int(v, 1, &mut c.admin.idle_timeout_ms),
    ),
    key(
        "admin.snapshot.enabled",
        "true",
        "Its command snapshot.",
        |c, _, v| lenient_bool(v, &mut c.admin.snapshot_enabled),
    )
    .reloaded(|new, live| live.admin.snapshot_enabled = new.admin.snapshot_enabled),
    key(
        "admin.restore.enabled",
        "true",
        "Its command restore.",
        |c, _, v| lenient_bool(v, &mut c.admin.restore_enabled),
    )
    .reloaded(|new, live| live.admin.restore_enabled = new.admin.restore_enabled),
    key(
        "admin.rateLimiterIntervalInMS",
        "300000",
        "Milliseconds between two snapshots, and between two restores.",
        |c, _, v| lenient_long(v, 0, &mut c.admin.rate_limit_ms),
    ),
    key(
        "menagerie.console.enabled",
        "true without a file",
        "The console, pages for people under /console on the admin server's port; not a key of ZooKeeper's.",
        |c, _, v| {
            let mut on = c.has_console();
            let taken = lenient_bool(v, &mut on)?;
            c.admin.console.enabled = Some(on);
            Ok(taken)
        },
    )
    .bare(),
    key(
        "menagerie.console.hosts",
        "",
        "Host names under which it may be asked for, with commas between, besides addresses and the members' names.",
        |c, _, v| {
            let names = v.split(',').map(str::trim).filter(|name| !name.is_empty());
            c.admin.console.hosts = names.map(str::to_ascii_lowercase).collect();
            Ok(Taken::Exactly)
        },
    )
    .bare(),
    key(
        "admin.httpVersion",
        "11",
        "The version of HTTP, as a number of Jetty's.",
        no_effect,
    )
    .no_need(ONE_SERVER),
    key(
        "admin.portUnification",
        "false",
        "TLS on its port too, with the stores of ssl.quorum.*.",
        |c, _, v| lenient_bool(v, &mut c.admin.port_unification),
    ),
    key(
        "admin.forceHttps",
        "false",
        "TLS only on its port.",
        |c, _, v| lenient_bool(v, &mut c.admin.force_https),
    ),
    key(
        "admin.needClientAuth",
        "false",
        "Who speaks TLS with it must have a certificate.",
        |c, _, v| lenient_bool(v, &mut c.admin.need_client_auth),
    ),
    key(
        "metricsProvider.className",
        "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider",
        "Where metrics are published: Prometheus' provider answers on a port of its own.",
        |c, _, v| {
            if v != PROMETHEUS && !QUIET_PROVIDERS.contains(&v) {
                return Err(Refused::Invalid(format!(
                    "{PROMETHEUS} or {}; other Java classes cannot be loaded",
                    QUIET_PROVIDERS.join(" or ")
                )));
            }
            c.metrics.prometheus = v == PROMETHEUS;
            Ok(Taken::Exactly)
        },
    )
    .file_only(),
    key(
        "metricsProvider.httpHost",
        "0.0.0.0",
        "Address that Prometheus' provider listens on.",
        |c, _, v| {
            v.clone_into(&mut c.metrics.http_host);
            Ok(Taken::Exactly)
        },
    )
    .file_only(),
    key(
        "metricsProvider.httpPort",
        "7000",
        "Its port; 0 takes a free one.",
        |c, _, v| strict_int(v, 0, i32::from(u16::MAX), &mut c.metrics.http_port),
    )
    .file_only(),
    key(
        "metricsProvider.exportJvmInfo",
        "true",
        "It tells of the Java virtual machine.",
        |_, _, v| {
            Ok(if java_true(v) {
                Taken::NoEffect
            } else {
                Taken::Exactly
            })
        },
    )
    .file_only()
    .no_need(NO_JVM),
    key(
        "metricsProvider.numWorkerThreads",
        "1",
        "Threads that collect.",
        no_effect,
    )
    .file_only()
    .no_need(NO_QUEUE),
    key(
        "metricsProvider.maxQueueSize",
        "1000000",
        "Measurements that may wait for them.",
        no_effect,
    )
    .file_only()
    .no_need(NO_QUEUE),
    key(
        "metricsProvider.workerShutdownTimeoutMs",
        "1000",
        "Milliseconds that they have to end.",
        no_effect,
    )
    .file_only()
    .no_need(NO_QUEUE),
    key(
        "metricsProvider.*",
        "",
        "Options of other providers.",
        silent,
    )
    .file_only()
    .no_need("other providers cannot be loaded"),
];
