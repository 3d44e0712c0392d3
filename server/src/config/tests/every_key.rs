//! Owns the test that every honoured key has an effect.

use super::super::*;
use super::Setup;

type Check = fn(&Config) -> bool;

/// Every honoured key with a value other than its default, and what shows that it arrived.
const CASES: &[(&str, &str, Check)] = &[
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
    ("enforce.auth.enabled", "true", |c| c.enforce_auth_enabled),
    ("enforce.auth.schemes", "digest, ip", |c| {
        c.enforce_auth_schemes.iter().eq(["digest", "ip"])
    }),
    ("sessionRequireClientSASLAuth", "true", |c| {
        c.session_require_client_sasl_auth
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
    ("leaderServes", "no", |c| !c.quorum.leader_serves),
    ("cnxTimeout", "7", |c| c.quorum.cnx_timeout_ms == 7),
    ("tcpKeepAlive", "true", |c| c.quorum.tcp_keep_alive),
    ("commitLogCount", "7", |c| {
        c.member_config(1).commit_log_count == 7
    }),
    ("snapshotSizeFactor", "0.5", |c| {
        c.quorum.snapshot_size_factor > 0.4
    }),
    ("forceSnapshotSync", "true", |c| {
        c.member_config(1).force_snapshot_sync
    }),
    ("leaderConnectDelayDuringRetryMs", "7", |c| {
        c.quorum.connect_delay_ms == 7
    }),
    ("fastleader.minNotificationInterval", "7", |c| {
        c.member_config(1).election.min_interval_ms == 7
    }),
    ("fastleader.maxNotificationInterval", "7", |c| {
        c.member_config(1).election.max_interval_ms == 7
    }),
];

#[test]
fn every_honoured_key_arrives() {
    for (key, value, arrived) in CASES {
        let setup = Setup::minimal(&format!("{key}={value}\n"));
        let config = setup.config();
        assert!(arrived(&config), "{key}={value}");
        assert!(config.given(key), "{key}");
        let mut embedded = Config::embedded_default();
        embedded.set(key, value).unwrap();
        embedded.complete().unwrap();
        assert!(arrived(&embedded), "set {key}={value}");
    }
    let tested: Vec<&str> = CASES
        .iter()
        .filter_map(|(key, ..)| lookup(key))
        .map(|spec| spec.name)
        .collect();
    for spec in keys().filter(|spec| spec.status == Status::Honoured) {
        let elsewhere = ["dynamicConfigFile"];
        assert!(
            tested.contains(&spec.name) || elsewhere.contains(&spec.name),
            "{}",
            spec.name
        );
    }
}
