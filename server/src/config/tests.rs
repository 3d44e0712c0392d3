//! Owns the tests of configuration as a whole: every key, every error, precedence.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::*;

mod ensemble;
mod every_key;
mod own_keys;
mod sasl;
mod tls_keys;

type Loaded = Result<(Config, Vec<Warning>), ConfigError>;

/// A directory with a `zoo.cfg`, and the environment beside it.
struct Setup {
    dir: tempfile::TempDir,
    env: BTreeMap<&'static str, String>,
}

impl Setup {
    fn new(cfg: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("zoo.cfg"), cfg).unwrap();
        Self {
            dir,
            env: BTreeMap::new(),
        }
    }

    /// A file with `dataDir` and `clientPort` on its first two lines.
    fn minimal(cfg: &str) -> Self {
        let setup = Self::new("");
        let data = setup.dir.path().display();
        let text = format!("dataDir={data}\nclientPort=2181\n{cfg}");
        fs::write(setup.path(), text).unwrap();
        setup
    }

    fn env(mut self, variable: &'static str, value: &str) -> Self {
        self.env.insert(variable, value.to_owned());
        self
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("zoo.cfg")
    }

    fn load(&self) -> Loaded {
        Config::from_sources(Some(&self.path()), &|name| self.env.get(name).cloned())
    }

    fn config(&self) -> Config {
        self.load().unwrap().0
    }

    fn warnings(&self) -> Vec<String> {
        self.load()
            .unwrap()
            .1
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn error(&self) -> String {
        self.load().unwrap_err().to_string()
    }
}

fn flags(text: &str) -> Loaded {
    let text = text.to_owned();
    Config::from_sources(None, &|name| (name == "JVMFLAGS").then(|| text.clone()))
}

#[test]
fn without_anything_the_embedded_defaults_hold() {
    let (config, warnings) = Config::from_sources(None, &|_| None).unwrap();
    let mut embedded = Config::embedded_default();
    embedded.complete().unwrap();
    assert_eq!(config, embedded);
    assert!(warnings.is_empty());
    assert_eq!(
        (config.client_port, config.data_dir.to_str()),
        (2181, Some("data"))
    );
    assert_eq!(config.min_session_timeout_ms, 6000);
    assert_eq!(config.max_session_timeout_ms, 60_000);
}

#[test]
fn a_usual_zoo_cfg_is_taken_without_a_word() {
    let setup = Setup::minimal(
        "# The number of milliseconds of each tick\ntickTime=2000\ninitLimit=10\nsyncLimit=5\n\
         maxClientCnxns=0\nautopurge.purgeInterval=1\nautopurge.snapRetainCount=5\n\
         4lw.commands.whitelist=ruok, mntr,stat\nadmin.enableServer=false\nsslQuorum=false\n",
    );
    let (config, warnings) = setup.load().unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.tick_time_ms, 2000);
    assert_eq!(config.max_session_timeout_ms, 40_000);
    assert_eq!(config.max_client_cnxns, 0);
    assert_eq!(
        (
            config.autopurge_purge_interval_h,
            config.autopurge_snap_retain_count
        ),
        (1, 5)
    );
    assert!(
        ["srvr", "ruok", "mntr", "stat"]
            .iter()
            .all(|w| config.four_letter_word_allowed(w))
    );
    assert!(!config.four_letter_word_allowed("wchs") && !config.four_letter_word_allowed("isro"));
    assert_eq!(config.log_dir(), setup.dir.path());
}

#[test]
fn wrong_values_stop_the_start_and_are_named() {
    for (line, allowed) in [
        ("clientPort=70000", "a whole number from 0 to 65535"),
        ("clientPort=", "a whole number from 0 to 65535"),
        ("clientPort=0x885", "a whole number from 0 to 65535"),
        ("tickTime=abc", "a whole number from 1 to 2147483647"),
        ("tickTime=0", "a whole number from 1 to 2147483647"),
        ("tickTime=2s", "a whole number from 1 to 2147483647"),
        ("version=zz", "a hexadecimal number"),
        (
            "authProvider.1=com.example.Provider",
            "the Digest-, IP-, X509-, SASL- or EnsembleAuthenticationProvider",
        ),
        (
            "minSessionTimeout=none",
            "a whole number from -2147483648 to 2147483647",
        ),
        (
            "maxClientCnxns=many",
            "a whole number from -2147483648 to 2147483647",
        ),
        ("standaloneEnabled=yes", "true or false"),
        ("reconfigEnabled=1", "true or false"),
        (
            "initLimit=ten",
            "a whole number from -2147483648 to 2147483647",
        ),
        ("electionAlg=1", "3"),
        ("peerType=leader", "participant or observer"),
        (
            "autopurge.purgeInterval=1h",
            "a whole number from -2147483648 to 2147483647",
        ),
        (
            "connection_throttle_drop_increase=high",
            "a number from 0 to 1",
        ),
        ("intBufferStartingSizeBytes=16", "32 or more"),
        (
            "DigestAuthenticationProvider.digestAlg=MD2",
            "MD5, SHA1, SHA-224, ",
        ),
        ("server.1=localhost", "host:port:port[:role][;[host:]port]"),
        ("server.one=localhost:2888:3888", "a number after server."),
        ("dataLogDir=", "the path of a directory"),
    ] {
        let setup = Setup::minimal(&format!("# a comment\n{line}\n"));
        let error = setup.error();
        let place = format!("{}:4: {line}: allowed is {allowed}", setup.path().display());
        assert!(error.starts_with(&place), "{error}\n{place}");
    }
}

#[test]
fn what_this_version_cannot_do_is_refused_with_the_reason() {
    for (line, reason) in [
        (
            "ssl.ocsp=true",
            "certificates are not looked up at OCSP servers",
        ),
        ("ssl.quorum.ocsp=true", "certificates are not looked up"),
        (
            "ssl.context.supplier.class=org.example.Supplier",
            "Java classes cannot be loaded",
        ),
        (
            "quorum.auth.kerberos.servicePrincipal=zk/h",
            "servers do not log in to each other by Kerberos",
        ),
    ] {
        let setup = Setup::minimal(&format!("{line}\n"));
        let error = setup.error();
        let place = format!("{}:3: {line}: {reason}", setup.path().display());
        assert!(error.starts_with(&place), "{error}");
    }
    let warnings = Setup::minimal("ssl.trustStore.pasword=geheim\n").warnings();
    assert!(!format!("{warnings:?}").contains("geheim"), "{warnings:?}");
    for line in [
        "client.portUnification=false",
        "audit.enable=false",
        "authProvider.1=org.apache.zookeeper.server.auth.X509AuthenticationProvider",
        "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider",
    ] {
        assert_eq!(Setup::minimal(line).warnings(), [""; 0], "{line}");
    }
}

#[test]
fn what_has_no_effect_says_so() {
    for (line, reason) in [
        (
            "metricsProvider.exportJvmInfo=true",
            "changes nothing: there is no Java virtual machine",
        ),
        (
            "nio.numWorkerThreads=8",
            "changes nothing: connections are served by one runtime",
        ),
        (
            "maxResponseCacheSize=0",
            "changes nothing: replies are written straight from the tree",
        ),
        (
            "jvm.pause.monitor=true",
            "changes nothing: there is no Java virtual machine",
        ),
        (
            "kinit=/usr/bin/kinit",
            "changes nothing: a server has its key in a keytab",
        ),
    ] {
        let setup = Setup::minimal(line);
        let key = line.split('=').next().unwrap();
        let place = format!("{}:3: {key}: {reason}", setup.path().display());
        let warnings = setup.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].starts_with(&place), "{warnings:?}");
    }
    for line in [
        "admin.serverPort=8081",
        "metricsProvider.httpPort=7000",
        "leaderServes=no",
    ] {
        assert_eq!(Setup::minimal(line).warnings(), [""; 0], "{line}");
    }
}

#[test]
fn unusable_properties_mean_the_default_with_a_warning() {
    for (line, says) in [
        ("snapCount=lots", "\"lots\" is not a whole number"),
        ("jute.maxbuffer=-1", "\"-1\" would refuse every request"),
        (
            "snapCount=1",
            "\"1\" is below the least that makes sense; 2 holds",
        ),
        (
            "jute.maxbuffer=99999999",
            "\"99999999\" is more than one record of the log takes; 50331648 holds",
        ),
        ("preAllocSize=0x10", "\"0x10\" is not a whole number"),
        (
            "forceSync=false",
            "\"false\" is neither yes nor no; as in ZooKeeper it means yes",
        ),
        (
            "skipACL=true",
            "\"true\" is neither yes nor no; as in ZooKeeper it means no",
        ),
        (
            "enforceQuota=yes",
            "\"yes\" is neither true nor false; as in ZooKeeper it means false",
        ),
        (
            "digest.enabled=1",
            "\"1\" is neither true nor false; as in ZooKeeper it means false",
        ),
        (
            "snapshot.compression.method=zstd",
            "\"zstd\" is neither gz nor snappy",
        ),
        (
            "largeRequestThreshold=0",
            "\"0\" must be -1 or more than 0; -1 holds",
        ),
        (
            "autopurge.snapRetainCount=1",
            "\"1\" is below the minimum; 3 holds",
        ),
    ] {
        let setup = Setup::minimal(line);
        let warnings = setup.warnings();
        let key = line.split('=').next().unwrap();
        let place = format!("{}:3: {key}: {says}", setup.path().display());
        assert!(
            warnings.last().is_some_and(|last| last.starts_with(&place)),
            "{warnings:?}"
        );
    }
    let config = Setup::minimal("snapCount=lots\nforceSync=false\nskipACL=true\n").config();
    assert!(config.snap_count == 100_000 && config.force_sync && !config.skip_acl);
}

#[test]
fn the_file_wins_over_flags_and_the_last_flag_over_earlier_ones() {
    let setup = Setup::minimal("snapCount=300\n")
        .env(
            "SERVER_JVMFLAGS",
            "-Dzookeeper.snapCount=100 -Dzookeeper.maxCnxns=1 -Djute.maxbuffer=5",
        )
        .env(
            "JVMFLAGS",
            "-Dzookeeper.snapCount=200 -Dzookeeper.maxCnxns=2 -Dzookeeper.maxCnxns=3",
        );
    let config = setup.config();
    assert_eq!(
        (config.snap_count, config.max_cnxns, config.jute_max_buffer),
        (300, 3, 5)
    );
    let warnings = setup.warnings();
    assert!(
        warnings
            .iter()
            .any(|w| w.contains(":3: snapCount: JVMFLAGS: -Dzookeeper.snapCount was set")),
        "{warnings:?}"
    );
    // A value in the file that ZooKeeper takes for the default hides the flag all the same.
    let setup = Setup::minimal("snapCount=x\n").env("JVMFLAGS", "-Dzookeeper.snapCount=200");
    assert_eq!(setup.config().snap_count, 100_000);
}

#[test]
fn flags_without_a_file() {
    let (config, warnings) = flags(
        "-Xmx512m -XX:+UseG1GC -Djute.maxbuffer=2097152 -Dreadonlymode.enabled=true \
         -Dznode.container.checkIntervalMs=100 -Dzookeeper.4lw.commands.whitelist=* \
         -Dzookeeper.log.dir=/tmp -Dfsync.warningthresholdms=5 -Dcom.sun.management.jmxremote",
    )
    .unwrap();
    assert_eq!(config.jute_max_buffer, 2_097_152);
    assert!(config.read_only_mode && config.four_letter_word_allowed("dump"));
    assert_eq!(config.container_check_interval_ms, 100);
    assert_eq!(config.fsync_warning_threshold_ms, 5);
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "JVMFLAGS: flags without a meaning here: -Xmx512m -XX:+UseG1GC -Dzookeeper.log.dir \
          -Dcom.sun.management.jmxremote"
        ]
    );
    let (config, _) = flags(" -D \n-Dzookeeper.superUser=\"a=b\"\t-Dzookeeper.forceSync").unwrap();
    assert!(config.super_users.contains("\"a=b\"") && config.force_sync);
    let (config, _) =
        flags("-Dzookeeper.fsync.warningthresholdms=7 -Dfsync.warningthresholdms=5").unwrap();
    assert_eq!(config.fsync_warning_threshold_ms, 7);
}

#[test]
fn flags_that_zookeeper_does_not_read_change_nothing() {
    for (flag, says) in [
        (
            "-Dzookeeper.clientPort=5",
            "reads clientPort from zoo.cfg only",
        ),
        ("-Dzookeeper.tickTime=5", "reads tickTime from zoo.cfg only"),
        (
            "-Dzookeeper.jute.maxbuffer=5",
            "reads this as -Djute.maxbuffer",
        ),
        ("-Dzookeeper.snapCuont=5", "did you mean snapCount?"),
    ] {
        let (config, warnings) = flags(flag).unwrap();
        assert!(
            warnings.len() == 1 && warnings[0].to_string().contains(says),
            "{warnings:?}"
        );
        assert_eq!(config.client_port, 2181);
        assert_eq!(
            (config.tick_time_ms, config.jute_max_buffer),
            (3000, 0xf_ffff)
        );
    }
    let error = flags("-Dzookeeper.ssl.context.supplier.class=a.B")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("JVMFLAGS: -Dzookeeper.ssl.context.supplier.class: "),
        "{error}"
    );
    let (config, warnings) = flags("-Dzookeeper.ssl.keyStore.password=geheim").unwrap();
    let said = format!("{config:?} {warnings:?}");
    assert!(!said.contains("geheim"), "{said}");
    let setup = Setup::minimal("").env("ZOO_DATADIR_AUTOCREATE_DISABLE", "1");
    assert!(!setup.config().datadir_autocreate);
    let setup = setup.env("JVMFLAGS", "-Dzookeeper.datadir.autocreate=true");
    assert!(setup.config().datadir_autocreate);
}

#[test]
fn names_in_the_file_that_need_a_word() {
    let setup = Setup::minimal(
        "connectionMaxTokens=9\njute.maxbuffer=99\nzookeeper.skipACL=yes\ntickTme=2\nfoo.bar=baz\n\
         tickTime=1000\ntickTime=1500\n",
    );
    let (config, _) = setup.load().unwrap();
    assert_eq!(
        (config.connection_throttle.tokens, config.jute_max_buffer),
        (9, 99)
    );
    assert!(!config.skip_acl);
    assert_eq!(config.tick_time_ms, 1500);
    assert_eq!(
        config.unknown.get("foo.bar").map(String::as_str),
        Some("baz")
    );
    let warnings = setup.warnings();
    for (index, says) in [
        ":3: connectionMaxTokens: ZooKeeper documents this name and reads connection_throttle_tokens",
        ":4: jute.maxbuffer: ZooKeeper reads this as the flag -Djute.maxbuffer only; honoured here",
        ":5: zookeeper.skipACL: ZooKeeper ignores this name, and so it is here; write skipACL",
        ":6: tickTme: no setting of this name is known; it changes nothing; did you mean tickTime?",
        ":7: foo.bar: no setting of this name is known; it changes nothing",
        ":9: tickTime: was set on line 8 already; this line wins",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(warnings[index].contains(says), "{warnings:#?}");
    }
    assert_eq!(warnings.len(), 6, "{warnings:#?}");
}

#[test]
fn settings_are_checked_together() {
    let missing = Setup::new("clientPort=2181\n").error();
    assert!(missing.contains("zoo.cfg: dataDir is not set"), "{missing}");
    let missing = Setup::new("dataDir=/tmp\nclientPortAddress=localhost\n").error();
    assert!(
        missing.contains("zoo.cfg: clientPort is not set"),
        "{missing}"
    );
    let error = Setup::minimal("minSessionTimeout=9000\nmaxSessionTimeout=8000\n").error();
    assert!(
        error.contains(":3, ") && error.contains(":4: minSessionTimeout (9000)"),
        "{error}"
    );
    let error = Setup::minimal("minSessionTimeout=70000\n").error();
    assert!(
        error.contains(":3: ") && error.contains("maxSessionTimeout (60000)"),
        "{error}"
    );
    let error = Setup::minimal("quorum.auth.serverRequireSasl=true\n").error();
    assert!(
        error.contains(":3: quorum.auth.serverRequireSasl is true"),
        "{error}"
    );
    let unreadable = Config::from_sources(Some("/no/such/zoo.cfg".as_ref()), &|_| None);
    let error = unreadable.unwrap_err().to_string();
    assert!(
        error.starts_with("/no/such/zoo.cfg: cannot read the configuration: "),
        "{error}"
    );
    let setup = Setup::new("dataDir=data\nclientPort=2181\n");
    assert!(
        setup.warnings()[0].contains(":1: dataDir: data is relative"),
        "{:?}",
        setup.warnings()
    );
    let setup = Setup::minimal(
        "connection_throttle_local_session_weight=5\nconnection_throttle_renew_session_weight=9\n",
    );
    assert_eq!(setup.config().connection_throttle.global_session_weight, 5);
    assert!(setup.warnings()[0].contains("3 is less than a local session costs; 5 holds"));
}

#[test]
fn one_server_stands_alone() {
    let setup = Setup::minimal("server.1=localhost:2888:3888;2181\n");
    assert!(setup.warnings()[0].contains("the only server: it stands alone"));
    let error = Setup::minimal("standaloneEnabled=false\n").error();
    assert!(
        error.contains(":3: standaloneEnabled is false, so there must be"),
        "{error}"
    );
    let error = Setup::minimal("server.1=a:2888:3888:observer\n").error();
    assert!(error.contains(":3: observers need"), "{error}");
}

#[test]
fn the_client_port_may_be_in_the_server_line() {
    let setup = Setup::new("");
    let data = setup.dir.path();
    fs::write(data.join("myid"), "1\n").unwrap();
    let cfg = format!(
        "dataDir={}\nserver.1=localhost:2888:3888;127.0.0.1:2199\n",
        data.display()
    );
    fs::write(setup.path(), &cfg).unwrap();
    let config = setup.config();
    assert_eq!((config.client_port, config.my_id), (2199, Some(1)));
    assert_eq!(config.client_port_address.as_deref(), Some("127.0.0.1"));
    fs::write(setup.path(), format!("{cfg}clientPort=2181\n")).unwrap();
    assert!(
        setup
            .error()
            .contains("clientPort says :2181 and server.1 says 127.0.0.1:2199")
    );
    fs::write(data.join("myid"), "one\n").unwrap();
    assert!(
        setup
            .error()
            .contains("myid:1: the server's number is expected, not \"one\"")
    );
    fs::remove_file(data.join("myid")).unwrap();
    fs::write(setup.path(), &cfg).unwrap();
    assert!(
        setup.error().contains("clientPort is not set"),
        "{}",
        setup.error()
    );
}

#[test]
fn servers_in_a_file_of_their_own() {
    let setup = Setup::new("");
    let (data, dynamic) = (
        setup.dir.path().display(),
        setup.dir.path().join("zoo.cfg.dynamic"),
    );
    let cfg = format!(
        "dataDir={data}\nclientPort=1\ndynamicConfigFile={}\n",
        dynamic.display()
    );
    fs::write(setup.path(), &cfg).unwrap();
    assert!(
        setup
            .error()
            .starts_with(&format!("{}: cannot read", dynamic.display()))
    );
    fs::write(&dynamic, "server.1=a:2888:3888:participant\n").unwrap();
    assert_eq!(setup.config().client_port, 1);
    let both = "server.1=a:2888:3888\nserver.2=b:2888:3888\nversion=100000000\n";
    fs::write(&dynamic, both).unwrap();
    assert!(
        setup.error().contains("myid is not set"),
        "{}",
        setup.error()
    );
    fs::write(setup.dir.path().join("myid"), "2").unwrap();
    fs::write(setup.path(), format!("{cfg}initLimit=5\nsyncLimit=2\n")).unwrap();
    let ensemble = setup.config().ensemble.unwrap();
    assert_eq!((ensemble.me, ensemble.members.servers.len()), (2, 2));
    assert_eq!(ensemble.members.version, Some(0x1_0000_0000));
    fs::write(&dynamic, "clientPort=1\n").unwrap();
    assert!(
        setup.error().contains("zoo.cfg.dynamic:1: clientPort="),
        "{}",
        setup.error()
    );
    fs::write(setup.path(), format!("{cfg}server.1=a:2888:3888\n")).unwrap();
    assert!(
        setup.error().contains("server.1 must be in"),
        "{}",
        setup.error()
    );
}

#[test]
fn the_old_command_line() {
    let args = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
    let load = |text: &str| Config::from_args(&args(text), &|_| None);
    let (config, _) = load("2182 /var/zk").unwrap();
    assert_eq!(
        (config.client_port, config.data_dir.to_str()),
        (2182, Some("/var/zk"))
    );
    assert_eq!((config.tick_time_ms, config.max_client_cnxns), (3000, 0));
    let (config, _) = load("2182 /var/zk 1000 50").unwrap();
    assert_eq!((config.tick_time_ms, config.max_client_cnxns), (1000, 50));
    assert!(
        load("2182 /var/zk 1000 50 6")
            .unwrap_err()
            .to_string()
            .starts_with("5 arguments")
    );
    let error = load("2182 /var/zk soon").unwrap_err().to_string();
    assert!(
        error.starts_with("argument 3: tickTime=soon: allowed is"),
        "{error}"
    );
    let setup = Setup::minimal("");
    let path = setup.path().display().to_string();
    assert_eq!(
        Config::from_args(&[path], &|_| None).unwrap().0,
        setup.config()
    );
    assert_eq!(
        Config::from_args(&[], &|_| None).unwrap().0,
        Config::from_sources(None, &|_| None).unwrap().0
    );
}

#[test]
fn parameters_of_the_builder() {
    let mut config = Config::embedded_default();
    assert!(config.set("zookeeper.snapCount", "7").unwrap().is_empty());
    assert!(config.set("jute.maxbuffer", "99").unwrap().is_empty());
    assert_eq!((config.snap_count, config.jute_max_buffer), (7, 99));
    let error = config.set("clientPort", "x").unwrap_err().to_string();
    assert_eq!(
        error,
        "parameter: clientPort=x: allowed is a whole number from 0 to 65535"
    );
    let warnings = config.set("clientport", "1").unwrap();
    assert!(
        warnings[0].to_string().contains("did you mean clientPort?"),
        "{warnings:?}"
    );
    assert_eq!((config.snap_count, config.client_port), (7, 2181));
}

#[test]
fn conf_is_what_zookeeper_prints() {
    let setup = Setup::minimal("tickTime=2000\ndataLogDir=./log\n");
    let here = std::env::current_dir().unwrap();
    assert_eq!(
        setup
            .config()
            .conf_text(None, (Some(40_123), None), 67_108_880, 5),
        format!(
            "clientPort=40123\nsecureClientPort=-1\ndataDir={}/version-2\ndataDirSize=67108880\n\
             dataLogDir={}/./log/version-2\ndataLogSize=5\ntickTime=2000\nmaxClientCnxns=60\n\
             minSessionTimeout=4000\nmaxSessionTimeout=40000\nclientPortListenBacklog=-1\n\
             serverId=0\n",
            setup.dir.path().display(),
            here.display()
        )
    );
}

#[test]
fn addresses_to_listen_on() {
    let mut config = Config::embedded_default();
    let listen = |config: &Config| -> Vec<String> {
        config
            .bind_addresses()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(listen(&config), ["[::]:2181", "0.0.0.0:2181"]);
    config.client_port_address = Some(String::new());
    assert_eq!(listen(&config), ["127.0.0.1:2181"]);
    config.client_port_address = Some("[::1]".into());
    assert_eq!(listen(&config), ["[::1]:2181"]);
    config.client_port_address = Some("no.such.host.invalid".into());
    assert!(config.bind_addresses().is_err());
}

#[test]
fn schemes_come_with_their_providers() {
    let schemes = |lines: &str| {
        let auth = Setup::minimal(lines).config().auth_config();
        (auth.x509_enabled, auth.sasl_enabled, auth.ensemble_names)
    };
    assert_eq!(schemes("ensembleAuthName=a\n"), (false, false, None));
    let all = ["X509", "SASL", "Ensemble"].map(|p| {
        format!("authProvider.{p}=org.apache.zookeeper.server.auth.{p}AuthenticationProvider\n")
    });
    assert_eq!(schemes(&all.concat()), (true, true, Some(vec![])));
}

#[test]
fn secrets_stay_secret() {
    let setup = Setup::minimal("DigestAuthenticationProvider.superDigest=super:geheim\n");
    assert!(!format!("{:?}", setup.config()).contains("geheim"));
}

#[test]
fn the_readme_has_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let text = fs::read_to_string(path).unwrap();
    let fresh = with_table(&text).expect("the README marks where the table is");
    if text != fresh {
        assert!(
            std::env::var_os("UPDATE_EXPECT").is_some(),
            "the table in README.md is old; renew it with UPDATE_EXPECT=1 cargo test -p menagerie"
        );
        fs::write(path, fresh).unwrap();
    }
}

#[test]
fn completing_again_says_nothing_new() {
    let (mut config, warnings) = Setup::minimal("server.1=localhost:2888:3888\n")
        .load()
        .unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(config.complete().unwrap().is_empty());
    config.set("tickTime", "100").unwrap();
    assert_eq!(config.complete().unwrap().len(), 1);
    assert_eq!(config.max_session_timeout_ms, 2000);
}

#[test]
fn the_file_is_a_properties_file() {
    let setup =
        Setup::minimal("! a comment\n  tickTime : 1\\\n   500\nmaxCnxns 7\n\nsnapCount = 9 \n");
    let config = setup.config();
    assert_eq!(
        (config.tick_time_ms, config.max_cnxns, config.snap_count),
        (1500, 7, 9)
    );
    assert_eq!(setup.warnings(), [""; 0]);
    let error = Setup::minimal("tickTime=1\\u00zz\n").error();
    assert!(
        error.contains("zoo.cfg:3: \\u must be followed by"),
        "{error}"
    );
    let setup = Setup::minimal("dataLogDir=/tmp/dät\n");
    assert_eq!(setup.config().log_dir().to_str(), Some("/tmp/dÃ¤t"));
    assert!(
        setup.warnings()[0].contains(":3: dataLogDir: read as \"/tmp/dÃ¤t\": properties files")
    );
    let setup = Setup::minimal("dataLogDir=/tmp/d\\u00e4t\n");
    assert_eq!(setup.config().log_dir().to_str(), Some("/tmp/dät"));
}
