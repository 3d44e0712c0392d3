//! Owns the test that every honoured key has an effect.

use std::path::Path;

use super::super::*;
use super::Setup;

pub(super) type Check = fn(&Config) -> bool;

/// Every honoured key with a value other than its default, and what shows that it arrived.
const CASES: &[(&str, &str, Check)] = &[
    ("IPAuthenticationProvider.usexforwardedfor", "true", |c| {
        c.admin.use_x_forwarded_for
    }),
    ("admin.enableServer", "false", |c| !c.admin.enabled),
    ("admin.serverAddress", "127.0.0.1", |c| {
        c.admin.address == "127.0.0.1"
    }),
    ("admin.serverPort", "7", |c| c.admin.port == 7),
    ("admin.commandURL", "ops/", |c| {
        c.admin.command_url == "/ops"
    }),
    ("admin.idleTimeout", "7", |c| c.admin.idle_timeout_ms == 7),
    ("admin.snapshot.enabled", "false", |c| {
        !c.admin.snapshot_enabled
    }),
    ("admin.restore.enabled", "false", |c| {
        !c.admin.restore_enabled
    }),
    ("menagerie.console.enabled", "false", |c| {
        c.admin.console.enabled == Some(false)
    }),
    ("menagerie.console.hosts", "Ops.example, b", |c| {
        c.admin.console.hosts == ["ops.example", "b"]
    }),
    ("admin.rateLimiterIntervalInMS", "7", |c| {
        c.admin.rate_limit_ms == 7
    }),
    (
        "metricsProvider.className",
        "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
        |c| c.metrics.prometheus,
    ),
    ("metricsProvider.httpHost", "127.0.0.1", |c| {
        c.metrics.http_host == "127.0.0.1"
    }),
    ("metricsProvider.httpPort", "7", |c| {
        c.metrics.http_port == 7
    }),
    ("db.autocreate", "false", |c| !c.db_autocreate),
    ("clientPort", "0", |c| c.client_port == 0),
    ("clientPortAddress", "127.0.0.1", |c| {
        c.bind_addresses().unwrap() == ["127.0.0.1:2181".parse().unwrap()]
    }),
    ("clientPortListenBacklog", "7", |c| c.listen_backlog() == 7),
    ("clientTcpKeepAlive", "true", |c| c.client_tcp_keep_alive),
    ("nio.sessionlessCnxnTimeout", "5000", |c| {
        c.sessionless_timeout_ms == 5000
    }),
    ("tickTime", "500", |c| c.min_session_timeout_ms == 1000),
    ("minSessionTimeout", "1", |c| c.min_session_timeout_ms == 1),
    ("maxSessionTimeout", "99999", |c| {
        c.max_session_timeout_ms == 99_999
    }),
    ("closeSessionTxn.enabled", "false", |c| {
        !c.close_session_txn_enabled
    }),
    ("maxClientCnxns", "7", |c| c.max_client_cnxns == 7),
    ("maxCnxns", "7", |c| c.max_cnxns == 7),
    ("globalOutstandingLimit", "7", |c| {
        c.global_outstanding_limit == 7
    }),
    ("jute.maxbuffer", "4194304", |c| {
        c.jute_max_buffer == 4_194_304
    }),
    ("largeRequestThreshold", "7", |c| {
        c.large_request_threshold == 7
    }),
    ("largeRequestMaxBytes", "7", |c| {
        c.large_request_max_bytes == 7
    }),
    ("request_throttle_max_requests", "7", |c| {
        c.request_throttle_max_requests == 7
    }),
    ("request_throttle_stall_time", "7", |c| {
        c.request_throttle_stall_time_ms == 7
    }),
    ("throttled_op_wait_time", "7", |c| {
        c.throttled_op_wait_time_ms == 7
    }),
    ("connection_throttle_tokens", "7", |c| {
        c.connection_throttle.tokens == 7
    }),
    ("connection_throttle_fill_time", "7", |c| {
        c.connection_throttle.fill_time_ms == 7
    }),
    ("connection_throttle_fill_count", "7", |c| {
        c.connection_throttle.fill_count == 7
    }),
    ("connection_throttle_freeze_time", "7", |c| {
        c.connection_throttle.freeze_time_ms == 7
    }),
    ("connection_throttle_drop_increase", "0.5", |c| {
        c.connection_throttle.drop_increase > 0.4
    }),
    ("connection_throttle_drop_decrease", "0.5", |c| {
        c.connection_throttle.drop_decrease > 0.4
    }),
    ("connection_throttle_decrease_ratio", "0.5", |c| {
        c.connection_throttle.decrease_ratio > 0.4
    }),
    ("connection_throttle_weight_enabled", "true", |c| {
        c.connection_throttle.weight_enabled
    }),
    ("connection_throttle_global_session_weight", "7", |c| {
        c.connection_throttle.global_session_weight == 7
    }),
    ("localSessionsEnabled", "true", |c| c.quorum.local_sessions),
    ("localSessionsUpgradingEnabled", "true", |c| {
        c.quorum.local_sessions_upgrading
    }),
    ("connection_throttle_local_session_weight", "2", |c| {
        c.connection_throttle.local_session_weight == 2
    }),
    ("connection_throttle_renew_session_weight", "7", |c| {
        c.connection_throttle.renew_session_weight == 7
    }),
    ("flushDelay", "30", |c| c.flush_delay_ms == 30),
    ("maxBatchSize", "7", |c| c.max_batch_size == 7),
    ("dataDir", "/elsewhere", |c| {
        c.data_dir.to_str() == Some("/elsewhere")
    }),
    ("dataLogDir", "/log", |c| {
        c.log_files_dir().to_str() == Some("/log/version-2")
    }),
    ("datadir.autocreate", "false", |c| !c.datadir_autocreate),
    ("snapshot.trust.empty", "true", |c| c.snapshot_trust_empty),
    ("snapCount", "7", |c| c.snap_count == 7),
    ("snapSizeLimitInKb", "-1", |c| c.snap_size_limit_kb == -1),
    ("snapshot.compression.method", "GZ", |c| {
        c.snapshot_compression == menagerie_storage::snapshot::Compression::Gzip
    }),
    ("preAllocSize", "100", |c| c.pre_alloc_size_kb == 100),
    ("txnLogSizeLimitInKb", "100", |c| {
        c.txn_log_size_limit_kb == 100
    }),
    ("forceSync", "no", |c| !c.force_sync),
    ("fsync.warningthresholdms", "20", |c| {
        c.fsync_warning_threshold_ms == 20
    }),
    ("autopurge.snapRetainCount", "4", |c| {
        c.autopurge_snap_retain_count == 4
    }),
    ("autopurge.purgeInterval", "24", |c| {
        c.autopurge_purge_interval_h == 24
    }),
    ("digest.enabled", "false", |c| !c.digest_enabled),
    ("serializeLastProcessedZxid.enabled", "false", |c| {
        !c.serialize_last_processed_zxid
    }),
    ("extendedTypesEnabled", "true", |c| c.extended_types_enabled),
    ("emulate353TTLNodes", "true", |c| c.emulate353_ttl_nodes),
    ("znode.container.checkIntervalMs", "7", |c| {
        c.container_check_interval_ms == 7
    }),
    ("znode.container.maxPerMinute", "7", |c| {
        c.container_max_per_minute == 7
    }),
    ("znode.container.maxNeverUsedIntervalMs", "7", |c| {
        c.container_max_never_used_interval_ms == 7
    }),
    ("enforceQuota", "true", |c| c.enforce_quota),
    ("skipACL", "yes", |c| c.skip_acl),
    ("DigestAuthenticationProvider.enabled", "false", |c| {
        !c.digest_auth_enabled
    }),
    (
        "DigestAuthenticationProvider.superDigest",
        "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=",
        |c| {
            c.super_digest
                .as_ref()
                .unwrap()
                .reveal()
                .starts_with("super:xQ")
        },
    ),
    ("DigestAuthenticationProvider.digestAlg", "sha-256", |c| {
        c.auth_config().digest_alg == menagerie_core::acl::DigestAlg::Sha256
    }),
    ("X509AuthenticationProvider.superUser", "CN=root", |c| {
        c.auth_config().x509_super_user.as_deref() == Some("CN=root")
    }),
    ("letAnySaslUserDoX", "any", |c| {
        c.auth_config().let_any_sasl_user_do.as_deref() == Some("any")
    }),
    (
        "authProvider.1",
        "org.apache.zookeeper.server.auth.X509AuthenticationProvider",
        |c| c.auth_config().x509_enabled,
    ),
    ("ensembleAuthName", "a, b", |c| {
        c.ensemble_names == ["a", "b"]
    }),
    ("superUser", "root", |c| c.super_users.contains("root")),
    ("superUser.2", "toor", |c| c.super_users.contains("toor")),
    ("enforce.auth.schemes", "digest, ip", |c| {
        c.enforce_auth_schemes.iter().eq(["digest", "ip"])
    }),
    ("audit.enable", "true", |c| c.audit.enabled),
    ("audit.impl.class", "example.Own", |c| {
        c.audit.class == "example.Own"
    }),
    ("audit.file", "audit.log", |c| {
        c.audit.file.as_deref() == Some(Path::new("audit.log"))
    }),
    ("audit.file.maxSizeInMB", "7", |c| c.audit.max_file_mb == 7),
    ("audit.file.maxBackups", "7", |c| c.audit.max_backups == 7),
    ("pathStats.enabled", "true", |c| c.top_paths.enabled),
    ("pathStats.sampleRate", "1.0", |c| {
        (c.top_paths.sample - 1.0).abs() < f64::EPSILON
    }),
    ("pathStats.maxDepth", "7", |c| c.top_paths.depth == 7),
    ("pathStats.topPathMax", "7", |c| c.top_paths.top == 7),
    ("pathStats.slotDuration", "7", |c| c.top_paths.slot_s == 7),
    ("pathStats.slotCapacity", "7", |c| c.top_paths.slots == 7),
    ("pathStats.initialDelay", "7", |c| {
        c.top_paths.first_min == 7
    }),
    ("pathStats.delay", "7", |c| c.top_paths.every_min == 7),
    ("quorum.auth.enableSasl", "true", |c| {
        c.quorum_auth.enable_sasl
    }),
    ("quorum.auth.learner.saslLoginContext", "Own", |c| {
        c.quorum_auth.learner_section == "Own"
    }),
    ("quorum.auth.server.saslLoginContext", "Own", |c| {
        c.quorum_auth.server_section == "Own"
    }),
    ("allowSaslFailedClients", "true", |c| {
        c.sasl.allow_failed_clients
    }),
    ("kerberos.removeHostFromPrincipal", "true", |c| {
        c.sasl.names.remove_host
    }),
    ("kerberos.removeRealmFromPrincipal", "true", |c| {
        c.sasl.names.remove_realm
    }),
    ("security.auth_to_local", "RULE:[1:$1]", |c| {
        c.sasl.names.auth_to_local == "RULE:[1:$1]"
    }),
    ("java.security.krb5.conf", "/own/krb5.conf", |c| {
        c.sasl.names.krb5_conf.as_deref() == Some(Path::new("/own/krb5.conf"))
    }),
    ("java.security.krb5.realm", "R", |c| {
        c.sasl.names.realm.as_deref() == Some("R")
    }),
    ("sasl.serverconfig", "Own", |c| c.sasl.section == "Own"),
    ("SASLAuthenticationProvider.superPassword", "geheim", |c| {
        c.sasl.super_password.as_ref().unwrap().reveal() == "geheim"
    }),
    ("4lw.commands.whitelist", "*", |c| {
        c.four_letter_word_allowed("wchc")
    }),
    ("readonlymode.enabled", "true", |c| {
        c.four_letter_word_allowed("isro")
    }),
    ("reconfigEnabled", "true", |c| c.reconfig_enabled),
    ("standaloneEnabled", "true", |c| {
        c.given("standaloneEnabled")
    }),
    ("server.1", "localhost:2888:3888", |c| c.servers.len() == 1),
    ("group.1", "1", |c| c.groups["group.1"] == "1"),
    ("weight.1", "1", |c| c.groups["weight.1"] == "1"),
    ("initLimit", "7", |c| c.quorum.init_limit == 7),
    ("syncLimit", "7", |c| c.quorum.sync_limit == 7),
    ("connectToLearnerMasterLimit", "7", |c| {
        c.quorum.connect_to_leader_limit == 7
    }),
    ("peerType", "observer", |c| c.quorum.peer_is_observer),
    ("quorumListenOnAllIPs", "true", |c| {
        c.quorum.listen_on_all_ips
    }),
    ("observerMasterPort", "2191", |c| {
        c.quorum.observer_master_port() == Some(2191) && c.member_config(1, 7).observers.masters
    }),
    ("observer.reconnectDelayMs", "7", |c| {
        c.member_config(1, 7).observers.reconnect_delay_ms == 7
    }),
    ("observer.election.DelayMs", "7", |c| {
        c.member_config(1, 7).observers.election_delay_ms == 7
    }),
    ("leaderServes", "no", |c| !c.quorum.leader_serves),
    ("version", "100000000", |c| c.given("version")),
    ("electionAlg", "3", |c| c.given("electionAlg")),
    ("multiAddress.enabled", "true", |c| {
        c.member_config(1, 1).multi_address
    }),
    ("multiAddress.reachabilityCheckEnabled", "false", |c| {
        !c.quorum.reachability_check
    }),
    ("multiAddress.reachabilityCheckTimeoutMs", "7", |c| {
        c.quorum.reachability_timeout_ms == 7
    }),
    ("oraclePath", "/oracle", |c| {
        c.quorum.oracle_path.as_deref() == Some(Path::new("/oracle"))
    }),
    ("quorumCnxnTimeoutMs", "7", |c| {
        c.quorum.election_introduction_ms == 7
    }),
    ("electionPortBindRetry", "0", |c| {
        c.quorum.election_port_bind_retry == 0
    }),
    ("leader.maxConcurrentSnapSyncs", "7", |c| {
        c.member_config(1, 1).max_snap_syncs == 7
    }),
    ("leader.maxConcurrentDiffSyncs", "7", |c| {
        c.member_config(1, 1).max_diff_syncs == 7
    }),
    ("leader.maxTimeToWaitForEpoch", "7", |c| {
        c.member_config(1, 1).epoch_wait_ms == 7
    }),
    ("enableEagerACLCheck", "true", |c| {
        c.eager_acl_check && c.replica_config(1).prep.eager_acl_check
    }),
    ("leader.ackLoggingFrequency", "7", |c| {
        c.quorum.ack_logging_frequency == 7
    }),
    ("cnxTimeout", "7", |c| c.quorum.cnx_timeout_ms == 7),
    ("tcpKeepAlive", "true", |c| c.quorum.tcp_keep_alive),
    ("commitLogCount", "7", |c| {
        c.member_config(1, 7).commit_log_count == 7
    }),
    ("snapshotSizeFactor", "0.5", |c| {
        c.quorum.snapshot_size_factor > 0.4
    }),
    ("forceSnapshotSync", "true", |c| {
        c.member_config(1, 7).force_snapshot_sync
    }),
    ("leaderConnectDelayDuringRetryMs", "7", |c| {
        c.quorum.connect_delay_ms == 7
    }),
    ("fastleader.minNotificationInterval", "7", |c| {
        c.member_config(1, 7).election.min_interval_ms == 7
    }),
    ("fastleader.maxNotificationInterval", "7", |c| {
        c.member_config(1, 7).election.max_interval_ms == 7
    }),
];

fn cases() -> impl Iterator<Item = &'static (&'static str, &'static str, Check)> {
    let others = [super::tls_keys::CASES, super::own_keys::CASES];
    CASES.iter().chain(others.into_iter().flatten())
}

#[test]
fn what_a_running_server_takes_over_arrives_too() {
    let mut count = 0;
    for (key, value, arrived) in cases() {
        let Some(take_over) = lookup(key).and_then(|spec| spec.reload) else {
            continue;
        };
        let mut live = Setup::minimal("").config();
        take_over(
            &Setup::minimal(&format!("{key}={value}\n")).config(),
            &mut live,
        );
        assert!(arrived(&live), "{key}={value}");
        count += 1;
    }
    assert_eq!(count, keys().filter(|spec| spec.reload.is_some()).count());
}

#[test]
fn every_honoured_key_arrives() {
    for (key, value, arrived) in cases() {
        let setup = Setup::minimal(&format!("{key}={value}\n"));
        let config = setup.config();
        assert!(arrived(&config), "{key}={value}");
        assert!(config.given(key), "{key}");
        let mut embedded = Config::embedded_default();
        embedded.set(key, value).unwrap();
        embedded.complete().unwrap();
        assert!(arrived(&embedded), "set {key}={value}");
    }
    let tested: Vec<&str> = cases()
        .filter_map(|(key, ..)| lookup(key))
        .map(|spec| spec.name)
        .collect();
    for spec in keys().filter(|spec| spec.status == Status::Honoured) {
        // Those that mean something with others only have tests of their own.
        let elsewhere = [
            "dynamicConfigFile",
            "enforce.auth.enabled",
            "java.security.auth.login.config",
            "secureClientPortAddress",
            "quorum.auth.learnerRequireSasl",
            "quorum.auth.serverRequireSasl",
            "requireKerberosConfig",
            "sessionRequireClientSASLAuth",
        ];
        assert!(
            tested.contains(&spec.name) || elsewhere.contains(&spec.name),
            "{}",
            spec.name
        );
    }
}
