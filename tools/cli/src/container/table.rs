//! Owns the table of variables that configure a container: the official image's, and those of
//! Bitnami's and Confluent's. Drives what is written, what is said and the table in docker/README.md.
//! Must not read or write anything.

/// Whose variable it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Image {
    Official,
    Bitnami,
    Confluent,
}

/// What a variable does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Effect {
    /// It is the value of this key in zoo.cfg.
    Line(&'static str),
    /// It is `yes` or `no` for this key, which takes `true` or `false`.
    YesNo(&'static str),
    /// `yes` sets this key to this value.
    Yes(&'static str, &'static str),
    /// It is the value of the key `.1` if the variable `.0` says `yes`.
    With(&'static str, &'static str),
    /// More than a line: the entry point deals with it.
    Special,
    /// Changes nothing, for this reason.
    Nothing(&'static str),
    /// `yes` asks for what this version does not have.
    Refused(&'static str),
    /// `no` asks for what this version does not have.
    Demanded(&'static str),
}

/// One variable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variable {
    pub(super) name: &'static str,
    pub(super) image: Image,
    /// What holds when it is not set; of another image's variables mostly the server's default.
    pub(super) default: &'static str,
    pub(super) effect: Effect,
    /// One sentence, where the effect does not say enough.
    pub(super) doc: &'static str,
}

const fn official(
    name: &'static str,
    default: &'static str,
    effect: Effect,
    doc: &'static str,
) -> Variable {
    Variable {
        name,
        image: Image::Official,
        default,
        effect,
        doc,
    }
}

const fn bitnami(name: &'static str, effect: Effect) -> Variable {
    Variable {
        name,
        image: Image::Bitnami,
        default: "",
        effect,
        doc: "",
    }
}

const fn confluent(name: &'static str, effect: Effect) -> Variable {
    Variable {
        name,
        image: Image::Confluent,
        default: "",
        effect,
        doc: "",
    }
}

impl Variable {
    const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    const fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }
}

use Effect::{Demanded, Line, Nothing, Refused, Special, With, Yes, YesNo};

const NO_JVM: &str = "there is no Java virtual machine";
const NO_SASL: &str = "users of SASL stand in a JAAS file, which \
                       JVMFLAGS=-Djava.security.auth.login.config=FILE names";
const WITH_SASL: &str = "users of SASL stand in a JAAS file";
const ANYBODY: &str = "clients need not authenticate unless sessionRequireClientSASLAuth or \
                       enforce.auth.enabled says so; say yes if that is understood";
const TLS_CLIENT: &str = "ZOO_TLS_CLIENT_ENABLE";
const TLS_QUORUM: &str = "ZOO_TLS_QUORUM_ENABLE";
const PROMETHEUS: &str = "ZOO_ENABLE_PROMETHEUS_METRICS";
const PROMETHEUS_CLASS: &str = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";

/// Every variable.
pub(super) const VARIABLES: &[Variable] = &[
    official("ZOO_CONF_DIR", "/conf", Special, "Where `zoo.cfg` is."),
    official(
        "ZOO_DATA_DIR",
        "/data",
        Line("dataDir"),
        "Snapshots and `myid`.",
    ),
    official(
        "ZOO_DATA_LOG_DIR",
        "/datalog",
        Line("dataLogDir"),
        "The transaction log.",
    ),
    official(
        "ZOO_LOG_DIR",
        "/logs",
        Special,
        "The server's output, when `zkServer.sh start` starts it.",
    ),
    official("ZOO_TICK_TIME", "2000", Line("tickTime"), ""),
    official("ZOO_INIT_LIMIT", "5", Line("initLimit"), ""),
    official("ZOO_SYNC_LIMIT", "2", Line("syncLimit"), ""),
    official(
        "ZOO_AUTOPURGE_SNAPRETAINCOUNT",
        "3",
        Line("autopurge.snapRetainCount"),
        "",
    ),
    official(
        "ZOO_AUTOPURGE_PURGEINTERVAL",
        "0",
        Line("autopurge.purgeInterval"),
        "Hours; 0, the default, never purges.",
    ),
    official("ZOO_MAX_CLIENT_CNXNS", "60", Line("maxClientCnxns"), ""),
    official(
        "ZOO_STANDALONE_ENABLED",
        "true",
        Line("standaloneEnabled"),
        "",
    ),
    official(
        "ZOO_ADMINSERVER_ENABLED",
        "true",
        Line("admin.enableServer"),
        "",
    ),
    official(
        "ZOO_4LW_COMMANDS_WHITELIST",
        "",
        Line("4lw.commands.whitelist"),
        "Four-letter words, with commas between; only `srvr` if not set.",
    ),
    official(
        "ZOO_SERVERS",
        "",
        Special,
        "`server.1=host:2888:3888;2181`, the servers with blanks between; or as Bitnami's: \
         `host:2888:3888::1`, with commas, semicolons or blanks between, and the number behind \
         `::`. If not set: one server.",
    ),
    official(
        "ZOO_MY_ID",
        "1",
        Special,
        "Written to `myid` if that is absent.",
    ),
    official(
        "ZOO_CFG_EXTRA",
        "",
        Special,
        "More lines, `key=value`, with blanks between; they come last.",
    ),
    official(
        "JVMFLAGS",
        "",
        Special,
        "`-Dzookeeper.*` flags, as `SERVER_JVMFLAGS`; others are passed over.",
    ),
    official(
        "ZOO_LOG4J_PROP",
        "",
        Special,
        "Its first word is what is logged, if `RUST_LOG` does not say: `INFO`, `DEBUG`, …",
    ),
    bitnami("ZOO_PORT_NUMBER", Line("clientPort")),
    bitnami("ZOO_SERVER_ID", Special).doc("As `ZOO_MY_ID`."),
    bitnami("ZOO_PEER_TYPE", Line("peerType")),
    bitnami("ZOO_MAX_CNXNS", Line("maxCnxns")),
    bitnami("ZOO_AUTOPURGE_INTERVAL", Line("autopurge.purgeInterval")),
    bitnami(
        "ZOO_AUTOPURGE_RETAIN_COUNT",
        Line("autopurge.snapRetainCount"),
    ),
    bitnami("ZOO_MAX_SESSION_TIMEOUT", Line("maxSessionTimeout")),
    bitnami("ZOO_PRE_ALLOC_SIZE", Line("preAllocSize")),
    bitnami("ZOO_SNAPCOUNT", Line("snapCount")),
    bitnami("ZOO_RECONFIG_ENABLED", YesNo("reconfigEnabled")),
    bitnami("ZOO_LISTEN_ALLIPS_ENABLED", YesNo("quorumListenOnAllIPs")),
    bitnami("ZOO_ENABLE_ADMIN_SERVER", YesNo("admin.enableServer")),
    bitnami("ZOO_ADMIN_SERVER_ADDRESS", Line("admin.serverAddress")),
    bitnami("ZOO_ADMIN_SERVER_PORT_NUMBER", Line("admin.serverPort")),
    bitnami(
        PROMETHEUS,
        Yes("metricsProvider.className", PROMETHEUS_CLASS),
    ),
    bitnami(
        "ZOO_PROMETHEUS_METRICS_PORT_NUMBER",
        With(PROMETHEUS, "metricsProvider.httpPort"),
    )
    .default("7000"),
    bitnami("ZOO_LOG_LEVEL", Special).doc("What is logged, if `RUST_LOG` does not say."),
    bitnami("ZOO_HEAP_SIZE", Nothing(NO_JVM)),
    bitnami(
        "ZOO_HC_TIMEOUT",
        Nothing("it belongs to the image's own health check"),
    ),
    bitnami(
        "ZOO_FIPS_MODE",
        Nothing("it chooses between Java's security providers"),
    ),
    bitnami("ALLOW_ANONYMOUS_LOGIN", Demanded(ANYBODY)),
    bitnami("ALLOW_EMPTY_PASSWORD", Demanded(ANYBODY)),
    bitnami("ZOO_ENABLE_AUTH", Refused(NO_SASL)),
    bitnami("ZOO_ENABLE_QUORUM_AUTH", Refused(NO_SASL)),
    bitnami("ZOO_CLIENT_USER", Nothing(WITH_SASL)),
    bitnami("ZOO_CLIENT_PASSWORD", Nothing(WITH_SASL)),
    bitnami("ZOO_SERVER_USERS", Nothing(WITH_SASL)),
    bitnami("ZOO_SERVER_PASSWORDS", Nothing(WITH_SASL)),
    bitnami("ZOO_QUORUM_LEARNER_USER", Nothing(WITH_SASL)),
    bitnami("ZOO_QUORUM_LEARNER_PASSWORD", Nothing(WITH_SASL)),
    bitnami("ZOO_QUORUM_SERVER_USERS", Nothing(WITH_SASL)),
    bitnami("ZOO_QUORUM_SERVER_PASSWORDS", Nothing(WITH_SASL)),
    bitnami(TLS_CLIENT, Special).doc("Switches on the next lines."),
    bitnami("ZOO_TLS_PORT_NUMBER", With(TLS_CLIENT, "secureClientPort")).default("3181"),
    bitnami(
        "ZOO_TLS_CLIENT_KEYSTORE_FILE",
        With(TLS_CLIENT, "ssl.keyStore.location"),
    ),
    bitnami(
        "ZOO_TLS_CLIENT_KEYSTORE_TYPE",
        With(TLS_CLIENT, "ssl.keyStore.type"),
    ),
    bitnami(
        "ZOO_TLS_CLIENT_KEYSTORE_PASSWORD",
        With(TLS_CLIENT, "ssl.keyStore.password"),
    ),
    bitnami(
        "ZOO_TLS_CLIENT_TRUSTSTORE_FILE",
        With(TLS_CLIENT, "ssl.trustStore.location"),
    ),
    bitnami(
        "ZOO_TLS_CLIENT_TRUSTSTORE_TYPE",
        With(TLS_CLIENT, "ssl.trustStore.type"),
    ),
    bitnami(
        "ZOO_TLS_CLIENT_TRUSTSTORE_PASSWORD",
        With(TLS_CLIENT, "ssl.trustStore.password"),
    ),
    bitnami("ZOO_TLS_CLIENT_AUTH", With(TLS_CLIENT, "ssl.clientAuth")),
    bitnami(TLS_QUORUM, Yes("sslQuorum", "true")),
    bitnami(
        "ZOO_TLS_QUORUM_KEYSTORE_FILE",
        With(TLS_QUORUM, "ssl.quorum.keyStore.location"),
    ),
    bitnami(
        "ZOO_TLS_QUORUM_KEYSTORE_TYPE",
        With(TLS_QUORUM, "ssl.quorum.keyStore.type"),
    ),
    bitnami(
        "ZOO_TLS_QUORUM_KEYSTORE_PASSWORD",
        With(TLS_QUORUM, "ssl.quorum.keyStore.password"),
    ),
    bitnami(
        "ZOO_TLS_QUORUM_TRUSTSTORE_FILE",
        With(TLS_QUORUM, "ssl.quorum.trustStore.location"),
    ),
    bitnami(
        "ZOO_TLS_QUORUM_TRUSTSTORE_TYPE",
        With(TLS_QUORUM, "ssl.quorum.trustStore.type"),
    ),
    bitnami(
        "ZOO_TLS_QUORUM_TRUSTSTORE_PASSWORD",
        With(TLS_QUORUM, "ssl.quorum.trustStore.password"),
    ),
    bitnami(
        "ZOO_TLS_QUORUM_CLIENT_AUTH",
        With(TLS_QUORUM, "ssl.quorum.clientAuth"),
    ),
    confluent("ZOOKEEPER_CLIENT_PORT", Line("clientPort")),
    confluent("ZOOKEEPER_SERVER_ID", Special).doc("As `ZOO_MY_ID`."),
    confluent("ZOOKEEPER_SERVERS", Special)
        .doc("`host:2888:3888`, with semicolons between; the first is server 1, and so on."),
    confluent("ZOOKEEPER_GROUPS", Special).doc("The groups of servers, with semicolons between."),
    confluent("ZOOKEEPER_WEIGHTS", Special).doc("Their weights, with semicolons between."),
    confluent("ZOOKEEPER_TICK_TIME", Line("tickTime")),
    confluent("ZOOKEEPER_INIT_LIMIT", Line("initLimit")),
    confluent("ZOOKEEPER_SYNC_LIMIT", Line("syncLimit")),
    confluent("ZOOKEEPER_CLIENT_PORT_ADDRESS", Line("clientPortAddress")),
    confluent("ZOOKEEPER_MAX_CLIENT_CNXNS", Line("maxClientCnxns")),
    confluent("ZOOKEEPER_MIN_SESSION_TIMEOUT", Line("minSessionTimeout")),
    confluent("ZOOKEEPER_MAX_SESSION_TIMEOUT", Line("maxSessionTimeout")),
    confluent(
        "ZOOKEEPER_AUTOPURGE_SNAP_RETAIN_COUNT",
        Line("autopurge.snapRetainCount"),
    ),
    confluent(
        "ZOOKEEPER_AUTOPURGE_PURGE_INTERVAL",
        Line("autopurge.purgeInterval"),
    ),
    confluent(
        "ZOOKEEPER_GLOBAL_OUTSTANDING_LIMIT",
        Line("globalOutstandingLimit"),
    ),
    confluent("ZOOKEEPER_PRE_ALLOC_SIZE", Line("preAllocSize")),
    confluent("ZOOKEEPER_SNAP_COUNT", Line("snapCount")),
    confluent(
        "ZOOKEEPER_FSYNC_WARNING_THRESHOLDMS",
        Line("fsync.warningthresholdms"),
    ),
    confluent("ZOOKEEPER_SYNC_ENABLED", Line("syncEnabled")),
    confluent("ZOOKEEPER_LEADER_SERVES", Line("leaderServes")),
    confluent("ZOOKEEPER_CNX_TIMEOUT", Line("cnxTimeout")),
    confluent("ZOOKEEPER_FORCE_SYNC", Line("forceSync")),
    confluent("ZOOKEEPER_JUTE_MAX_BUFFER", Line("jute.maxbuffer")),
    confluent("ZOOKEEPER_SKIP_ACL", Line("skipACL")),
    confluent(
        "ZOOKEEPER_QUORUM_LISTEN_ON_ALL_IPS",
        Line("quorumListenOnAllIPs"),
    ),
    confluent("ZOOKEEPER_TCP_KEEP_ALIVE", Line("tcpKeepAlive")),
    confluent("ZOOKEEPER_SECURE_CLIENT_PORT", Line("secureClientPort")),
    confluent("ZOOKEEPER_SSL_QUORUM", Line("sslQuorum")),
    confluent("ZOOKEEPER_SSL_CLIENT_AUTH", Line("ssl.clientAuth")),
    confluent(
        "ZOOKEEPER_SSL_KEYSTORE_LOCATION",
        Line("ssl.keyStore.location"),
    ),
    confluent(
        "ZOOKEEPER_SSL_KEYSTORE_PASSWORD",
        Line("ssl.keyStore.password"),
    ),
    confluent(
        "ZOOKEEPER_SSL_TRUSTSTORE_LOCATION",
        Line("ssl.trustStore.location"),
    ),
    confluent(
        "ZOOKEEPER_SSL_TRUSTSTORE_PASSWORD",
        Line("ssl.trustStore.password"),
    ),
    confluent("ZOOKEEPER_AUTH_PROVIDER_SASL", Line("authProvider.sasl")),
    confluent("ZOOKEEPER_ADMIN_ENABLE_SERVER", Line("admin.enableServer")),
    confluent(
        "ZOOKEEPER_ADMIN_SERVER_ADDRESS",
        Line("admin.serverAddress"),
    ),
    confluent("ZOOKEEPER_ADMIN_SERVER_PORT", Line("admin.serverPort")),
    confluent("ZOOKEEPER_LOG4J_ROOT_LOGLEVEL", Special)
        .doc("What is logged, if `RUST_LOG` does not say."),
    confluent("KAFKA_OPTS", Special).doc("Java flags, added to `SERVER_JVMFLAGS`."),
    confluent("KAFKA_HEAP_OPTS", Nothing(NO_JVM)),
    confluent("KAFKA_JMX_OPTS", Nothing(NO_JVM)),
];
