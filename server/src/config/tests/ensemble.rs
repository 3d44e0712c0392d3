//! Owns tests of what must hold between the settings of an ensemble.

use std::fs;

use menagerie_core::sessions::SessionRules;

use super::Setup;

#[test]
fn several_addresses_have_to_be_allowed() {
    let lines =
        "server.1=a:2888:3888|b:2889:3888\nserver.2=c:2888:3888\ninitLimit=10\nsyncLimit=5\n";
    let error = Setup::minimal(lines).error();
    assert!(
        error.contains(":3: server.1 has 2 addresses, and multiAddress.enabled is not true"),
        "{error}"
    );
    let setup = Setup::minimal(&format!("{lines}multiAddress.enabled=true\n"));
    fs::write(setup.dir.path().join("myid"), "1").unwrap();
    let config = setup.config();
    let members = config.ensemble.as_ref().map(|e| e.members.clone());
    let text = config.conf_text(members.as_ref(), (Some(2181), None), 0, 0);
    assert!(
        text.contains("\nelectionPort=3888\nquorumPort=2888|2889\n"),
        "{text}"
    );
}

#[test]
fn several_servers_are_an_ensemble() {
    let lines = "server.1=a:2888:3888\nserver.2=b:2888:3888:observer\nserver.3=c:2888:3888\n";
    let limits = "initLimit=10\nsyncLimit=5\n";
    let setup = Setup::minimal(&format!("{lines}{limits}"));
    assert!(
        setup.error().contains("myid is not set"),
        "{}",
        setup.error()
    );
    let data = setup.dir.path();
    let with = |my_id: &str, rest: &str| {
        fs::write(data.join("myid"), my_id).unwrap();
        let cfg = format!("dataDir={}\nclientPort=1\n{lines}{rest}", data.display());
        fs::write(setup.path(), cfg).unwrap();
    };
    with("2", limits);
    let config = setup.config();
    assert_eq!(config.ensemble.as_ref().map(|e| e.me), Some(2));
    assert_eq!(config.replica_config(1).server_id, 2);
    assert!(
        config
            .conf_text(
                config.ensemble.as_ref().map(|e| &e.members),
                (Some(1), None),
                0,
                0
            )
            .contains("serverId=2\ninitLimit=10\nsyncLimit=5\n")
    );
    with("2", &format!("{limits}quorum.auth.enableSasl=true\n"));
    assert!(
        setup
            .error()
            .contains(":8: quorum.auth.enableSasl is true, so java.security")
    );
    with("2", &format!("{limits}localSessionsEnabled=true\n"));
    let rules = |setup: &Setup| setup.config().replica_config(1).sessions;
    assert_eq!(rules(&setup), SessionRules::Local { upgrade: false });
    // A server alone makes nothing of it.
    let alone = Setup::minimal("localSessionsEnabled=true\n");
    assert_eq!(rules(&alone), SessionRules::Global);
    with("7", limits);
    assert!(setup.error().contains("server 7, which is not among them"));
    with("1", "initLimit=10\n");
    assert!(
        setup
            .error()
            .contains("syncLimit is not set: an ensemble needs it")
    );
    with("1", &format!("{limits}group.1=1\n"));
    assert!(
        setup.error().contains("server 3 is in no group"),
        "{}",
        setup.error()
    );
    with("1", &format!("{limits}group.1=1:3\nweight.3=0\n"));
    let weights = setup.config().ensemble.unwrap().members.weights;
    assert_eq!(weights.get(&3), Some(&0));
    with("1", &format!("{limits}peerType=observer\n"));
    assert!(setup.warnings()[0].contains("this is a participant; they hold"));
    let alone = Setup::minimal(&format!(
        "standaloneEnabled=false\nserver.1=a:2888:3888\n{limits}"
    ));
    fs::write(alone.dir.path().join("myid"), "1").unwrap();
    let cfg = fs::read_to_string(alone.path()).unwrap();
    let cfg = cfg.replace("/tmp\n", &format!("{}\n", alone.dir.path().display()));
    fs::write(alone.path(), cfg).unwrap();
    assert!(alone.config().ensemble.is_some());
}
