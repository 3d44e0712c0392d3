//! What containers' variables come to.

use super::*;

fn plan<const N: usize>(variables: [(&str, &str); N]) -> Result<Plan> {
    Plan::new(Env::from(variables), &|_| false)
}

fn config<const N: usize>(variables: [(&str, &str); N]) -> String {
    plan(variables).unwrap().config
}

const OFFICIAL: &str = "dataDir=/data\ndataLogDir=/datalog\ntickTime=2000\ninitLimit=5\n\
    syncLimit=2\nautopurge.snapRetainCount=3\nautopurge.purgeInterval=0\nmaxClientCnxns=60\n\
    standaloneEnabled=true\nadmin.enableServer=true\n";

#[test]
fn without_variables_it_is_the_official_images_file() {
    let expected = format!("{OFFICIAL}server.1=localhost:2888:3888;2181\n");
    assert_eq!(config([]), expected);
    let plan = plan([("ZOO_CONF_DIR", "/conf"), ("ZOO_DATA_DIR", "/data")]).unwrap();
    assert_eq!((plan.config, plan.my_id.as_str()), (expected, "1"));
    assert_eq!(plan.said, Vec::<String>::new());
}

#[test]
fn the_official_images_variables_are_honoured() {
    let plan = plan([
        ("ZOO_DATA_DIR", "/d"),
        ("ZOO_DATA_LOG_DIR", "/l"),
        ("ZOO_TICK_TIME", "500"),
        ("ZOO_ADMINSERVER_ENABLED", "false"),
        ("ZOO_4LW_COMMANDS_WHITELIST", "srvr,ruok"),
        (
            "ZOO_SERVERS",
            "server.1=a:2888:3888;2181 server.2=b:2888:3888;2181",
        ),
        ("ZOO_MY_ID", "2"),
        ("ZOO_CFG_EXTRA", "snapCount=7 tickTime=900"),
        ("ZOO_LOG4J_PROP", "DEBUG,CONSOLE"),
    ])
    .unwrap();
    let expected = "dataDir=/d\ndataLogDir=/l\ntickTime=500\ninitLimit=5\nsyncLimit=2\n\
        autopurge.snapRetainCount=3\nautopurge.purgeInterval=0\nmaxClientCnxns=60\n\
        standaloneEnabled=true\nadmin.enableServer=false\n4lw.commands.whitelist=srvr,ruok\n\
        server.1=a:2888:3888;2181\nserver.2=b:2888:3888;2181\nsnapCount=7\ntickTime=900\n";
    assert_eq!(plan.config, expected);
    assert_eq!(plan.my_id, "2");
    assert_eq!(plan.env.get("RUST_LOG").as_deref(), Some("debug"));
}

#[test]
fn bitnamis_variables_are_honoured() {
    let text = config([
        ("ALLOW_ANONYMOUS_LOGIN", "yes"),
        ("ZOO_SERVER_ID", "3"),
        ("ZOO_PORT_NUMBER", "2182"),
        ("ZOO_SERVERS", "a:2888:3888::3,b:2888:3888::4"),
        ("ZOO_RECONFIG_ENABLED", "yes"),
        ("ZOO_AUTOPURGE_INTERVAL", "24"),
        ("ZOO_CFG_jute_maxbuffer", "4000000"),
    ]);
    for line in [
        "# ZOO_AUTOPURGE_INTERVAL\nautopurge.purgeInterval=24\n",
        "reconfigEnabled=true\n",
        "server.3=a:2888:3888;2182\nserver.4=b:2888:3888;2182\n",
        "jute.maxbuffer=4000000\n",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert!(!text.contains("clientPort"), "{text}");
    let alone = config([("ZOO_PORT_NUMBER", "2182")]);
    assert!(
        alone.ends_with("# ZOO_PORT_NUMBER\nclientPort=2182\n"),
        "{alone}"
    );
    let one = config([("ZOO_SERVERS", "a:2888:3888::1")]);
    assert!(one.ends_with("clientPort=2181\n"), "{one}");
}

#[test]
fn confluents_variables_are_honoured() {
    let plan = plan([
        ("ZOOKEEPER_CLIENT_PORT", "32181"),
        ("ZOOKEEPER_SERVER_ID", "2"),
        ("ZOOKEEPER_SERVERS", "a:22888:23888;b:32888:33888"),
        ("KAFKA_OPTS", "-Dzookeeper.4lw.commands.whitelist=ruok"),
        ("SERVER_JVMFLAGS", "-Da=b"),
        // What Kubernetes sets for a service of this name.
        ("ZOOKEEPER_PORT", "tcp://10.0.0.1:2181"),
        ("ZOO_PORT", "tcp://10.0.0.1:2181"),
        ("ZOO_PORT_2181_TCP_ADDR", "10.0.0.1"),
    ])
    .unwrap();
    let end = "# ZOOKEEPER_CLIENT_PORT\nclientPort=32181\n\
               # ZOOKEEPER_SERVERS\nserver.1=a:22888:23888\n\
               # ZOOKEEPER_SERVERS\nserver.2=b:32888:33888\n";
    assert!(plan.config.ends_with(end), "{}", plan.config);
    assert_eq!(plan.my_id, "2");
    assert_eq!(
        plan.env.get("SERVER_JVMFLAGS").as_deref(),
        Some("-Da=b -Dzookeeper.4lw.commands.whitelist=ruok")
    );
    assert_eq!(plan.said, Vec::<String>::new());
}

#[test]
fn what_is_not_there_is_refused_or_left_to_the_server() {
    for (name, value) in [
        ("ZOO_ENABLE_AUTH", "yes"),
        ("ZOO_ENABLE_QUORUM_AUTH", "true"),
        ("ALLOW_ANONYMOUS_LOGIN", "no"),
    ] {
        let error = plan([(name, value)]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name}={value}: ")), "{error}");
    }
    let text = config([("ZOO_ENABLE_AUTH", "no"), ("ZOO_TLS_CLIENT_ENABLE", "no")]);
    assert_eq!(text, config([]));
    let tls = config([
        ("ZOO_TLS_CLIENT_ENABLE", "true"),
        ("ZOO_TLS_CLIENT_KEYSTORE_FILE", "/k"),
        ("ZOO_ENABLE_PROMETHEUS_METRICS", "yes"),
    ]);
    for line in [
        "# ZOO_TLS_PORT_NUMBER\nsecureClientPort=3181\n",
        "# ZOO_TLS_CLIENT_KEYSTORE_FILE\nssl.keyStore.location=/k\n",
        "metricsProvider.className=org.apache",
        "metricsProvider.httpPort=7000\n",
    ] {
        assert!(tls.contains(line), "{line} is not in {tls}");
    }
}

#[test]
fn what_has_no_effect_or_is_not_known_is_said() {
    let plan = plan([
        ("ZOO_HEAP_SIZE", "512"),
        ("ZOO_TICKTIME", "1"),
        ("ZOO_LOG_LEVEL", "x"),
    ]);
    assert_eq!(
        plan.unwrap().said,
        [
            "ZOO_HEAP_SIZE changes nothing: there is no Java virtual machine",
            "ZOO_TICKTIME is not known and changes nothing",
            "\"x\" is no level for the log; it stays at info",
        ]
    );
    assert!(plan_error("a\nb").contains("ZOO_PORT_NUMBER: "));
    assert!(Plan::new(Env::from([("ZOO_CFG_EXTRA", "x")]), &|_| false).is_err());
}

fn plan_error(port: &str) -> String {
    plan([("ZOO_PORT_NUMBER", port)]).unwrap_err().to_string()
}

#[test]
fn directories_of_other_images_are_used_when_they_are_mounted() {
    let with = |home: &'static str, variables: &[(&str, &str)]| {
        let mut env = Env::default();
        for (name, value) in variables {
            env.set(name, value);
        }
        let plan = Plan::new(env, &|dir| dir == Path::new(home)).unwrap();
        (plan.data_dir, plan.log_dir)
    };
    let ours = [("ZOO_DATA_DIR", "/data"), ("ZOO_DATA_LOG_DIR", "/datalog")];
    let bitnami = (PathBuf::from("/bitnami/zookeeper/data"), None);
    assert_eq!(with("/bitnami/zookeeper", &ours), bitnami);
    assert_eq!(
        with("/var/lib/zookeeper", &ours),
        (
            PathBuf::from("/var/lib/zookeeper/data"),
            Some(PathBuf::from("/var/lib/zookeeper/log"))
        )
    );
    let chosen = [("ZOO_DATA_DIR", "/mine")];
    assert_eq!(
        with("/bitnami/zookeeper", &chosen),
        (PathBuf::from("/mine"), Some(PathBuf::from("/datalog")))
    );
}
