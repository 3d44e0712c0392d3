//! Owns tests of the settings of SASL and the audit log: the JAAS file, schemes that are enforced,
//! who writes.

use std::fs;

use super::Setup;

const PROVIDER: &str =
    "authProvider.sasl=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n";
const JAAS: &str = "\n\nServer {\n  org.apache.zookeeper.server.auth.DigestLoginModule required\n  \
                    user_bob=\"geheim\";\n};\nOther {\n  example.Module required;\n};\n\
                    Krb {\n  com.sun.security.auth.module.Krb5LoginModule required;\n};\n";

/// A configuration with `JAAS` and more lines.
fn with_jaas(lines: &str) -> Setup {
    let mut setup = Setup::minimal(lines);
    let path = setup.dir.path().join("jaas.conf");
    fs::write(&path, JAAS).unwrap();
    let flag = format!("-Djava.security.auth.login.config={}", path.display());
    setup.env.insert("JVMFLAGS", flag);
    setup
}

#[test]
fn users_come_from_the_section_that_is_named() {
    let config = with_jaas("").config();
    let login = config.sasl.login.as_ref().unwrap();
    assert_eq!(login.password("bob"), Some("geheim"));
    assert_eq!(login.password("eve"), None);
    assert!(!format!("{config:?}").contains("geheim"));
    let setup = with_jaas("sasl.serverconfig=Missing\n");
    let warnings = setup.warnings();
    assert!(
        warnings[0].contains("has no section Missing")
            && warnings[0].contains("Server, Other, Krb"),
        "{warnings:?}"
    );
    assert_eq!(setup.config().sasl.login, None);
}

#[test]
fn what_is_wrong_with_the_file_is_said_with_file_and_line() {
    for (section, place, reason) in [
        (
            "Other",
            ":8: example.Module",
            "Java classes cannot be loaded",
        ),
        (
            "Krb",
            ":11: com.sun",
            if cfg!(feature = "gssapi") {
                "useKeyTab=true is needed"
            } else {
                "build with the Cargo feature gssapi"
            },
        ),
    ] {
        let setup = with_jaas(&format!("sasl.serverconfig={section}\n"));
        let error = setup.error();
        assert!(error.contains(reason), "{error}");
        assert!(error.contains(&format!("jaas.conf{place}")), "{error}");
    }
    let setup = with_jaas("");
    let path = setup.dir.path().join("jaas.conf");
    fs::write(&path, "Server {\n  X needed;\n};").unwrap();
    let error = setup.error();
    assert!(
        error.contains("jaas.conf:2: required, requisite"),
        "{error}"
    );
    fs::remove_file(&path).unwrap();
    let error = setup.error();
    assert!(error.contains("jaas.conf: cannot read"), "{error}");
}

/// A section for a server's key.
fn kerberos(options: &str) -> String {
    format!("Server {{ com.sun.security.auth.module.Krb5LoginModule required {options}; }};")
}

#[cfg(feature = "gssapi")]
#[test]
fn a_server_has_a_key_to_let_clients_in_by_kerberos() {
    let with = |options: &str| {
        let setup = with_jaas("");
        let path = setup.dir.path().join("jaas.conf");
        fs::write(&path, kerberos(options)).unwrap();
        setup
    };
    for (options, reason) in [
        ("keyTab=\"a\"", "useKeyTab=true is needed"),
        ("useKeyTab=false", "useKeyTab=true is needed"),
        ("useKeyTab=true", "principal must say"),
        ("useKeyTab=true principal=\"zookeeper\"", "SERVICE/HOST"),
        (
            "useKeyTab=True keyTab=\"/nowhere/keys\" principal=\"zookeeper/h@R\"",
            "no key of zookeeper/h@R in /nowhere/keys: ",
        ),
    ] {
        let error = with(options).error();
        assert!(error.contains("jaas.conf:1: "), "{options}: {error}");
        assert!(error.contains(reason), "{options}: {error}");
    }
    let setup = with("useKeyTab=true keyTab=\"server.keytab\" principal=\"zookeeper/h@R\"");
    let path = setup.dir.path().join("server.keytab");
    crate::sasl::write_keytab(&path);
    let text = kerberos(&format!(
        "useKeyTab=true keyTab=\"{}\" principal=\"zookeeper/h@R\" storeKey=true",
        path.display()
    ));
    fs::write(setup.dir.path().join("jaas.conf"), text).unwrap();
    let config = setup.config();
    let kerberos = config.sasl.kerberos.as_ref().unwrap();
    assert_eq!(kerberos.principal(), "zookeeper/h@R");
    assert_eq!(config.sasl.login.as_ref().unwrap().password("bob"), None);
}

#[test]
fn servers_do_not_log_in_to_each_other_by_kerberos() {
    let lines = "server.1=a:2888:3888\nserver.2=b:2888:3888\ninitLimit=10\nsyncLimit=5\n\
                 quorum.auth.enableSasl=true\n";
    let setup = with_jaas(lines);
    let section = kerberos("useKeyTab=true").replace("Server {", "QuorumServer {");
    fs::write(setup.dir.path().join("jaas.conf"), format!("\n{section}")).unwrap();
    fs::write(setup.dir.path().join("myid"), "1").unwrap();
    let error = setup.error();
    assert!(
        error.contains("jaas.conf:2: com.sun") && error.contains("servers do not log in"),
        "{error}"
    );
}

#[test]
fn settings_of_kerberos_are_for_kerberos() {
    let rules = "security.auth_to_local=RULE:[1:$1]s/a/b/ DEFAULT\n";
    for line in [
        "kerberos.removeRealmFromPrincipal=true\n",
        "kerberos.removeHostFromPrincipal=true\n",
        rules,
    ] {
        let warnings = Setup::minimal(line).warnings();
        assert!(warnings[0].contains("with Kerberos only"), "{warnings:?}");
    }
    let warnings = Setup::minimal("kerberos.removeRealmFromPrincipal=True\n").warnings();
    assert!(warnings[0].contains("means false"), "{warnings:?}");
    let error = Setup::minimal("security.auth_to_local=RULE\n").error();
    assert!(error.contains("allowed is DEFAULT or RULE:["), "{error}");
    if !cfg!(feature = "gssapi") {
        let error = Setup::minimal("requireKerberosConfig=true\n").error();
        assert!(error.contains("Cargo feature gssapi"), "{error}");
    }
}

#[test]
fn schemes_that_are_enforced_exist() {
    for (lines, reason) in [
        ("enforce.auth.enabled=true\n", "must name schemes"),
        (
            "enforce.auth.enabled=true\nenforce.auth.schemes=digest, kerberos\n",
            "the scheme \"kerberos\" is enforced and does not exist here",
        ),
        (
            "sessionRequireClientSASLAuth=true\n",
            "the scheme \"sasl\" is enforced and does not exist here; authProvider.sasl=org",
        ),
    ] {
        let error = Setup::minimal(lines).error();
        assert!(error.contains(reason), "{error}");
    }
    let lines = "enforce.auth.enabled=true\nenforce.auth.schemes=digest,ip\n";
    let config = Setup::minimal(lines).config();
    assert!(config.is_enough(["ip"].into_iter()) && !config.is_enough(["sasl"].into_iter()));
    assert!(!config.requires_sasl());
    // What needs SASL needs nothing else.
    let lines = format!("{lines}sessionRequireClientSASLAuth=true\n{PROVIDER}");
    let config = Setup::minimal(&lines).config();
    assert!(!config.is_enough(["ip"].into_iter()) && config.is_enough(["sasl"].into_iter()));
    assert!(config.requires_sasl());
}

#[test]
fn no_java_class_writes_the_audit_log() {
    let class = "audit.impl.class=example.Own\n";
    assert_eq!(Setup::minimal(class).warnings(), [""; 0]);
    let error = Setup::minimal(&format!("audit.enable=true\n{class}")).error();
    assert!(error.contains("example.Own cannot be loaded"), "{error}");
}

#[test]
fn servers_log_in_by_sections_of_their_own() {
    let lines = "server.1=a:2888:3888\nserver.2=b:2888:3888\ninitLimit=10\nsyncLimit=5\n\
                 quorum.auth.enableSasl=true\nquorum.auth.learnerRequireSasl=true\n";
    let module = "org.apache.zookeeper.server.auth.DigestLoginModule required";
    let with = |lines: &str, jaas: &str| {
        let setup = with_jaas(lines);
        fs::write(setup.dir.path().join("jaas.conf"), jaas).unwrap();
        fs::write(setup.dir.path().join("myid"), "1").unwrap();
        setup
    };
    let server = format!("QuorumServer {{ {module} user_zk=\"geheim\"; }};\n");
    let learner = format!("QuorumLearner {{ {module} username=zk password=\"geheim\"; }};\n");
    let setup = with(lines, &format!("{server}{learner}"));
    assert_eq!(setup.warnings(), [""; 0]);
    let sasl = setup.config().quorum_auth.sasl.unwrap();
    assert_eq!(sasl.server.password("zk"), Some("geheim"));
    assert_eq!(sasl.learner.own(), Some(("zk", "geheim")));
    assert!(sasl.learner_requires && !sasl.server_requires);
    let error = with(lines, &server).error();
    assert!(
        error.contains("no section QuorumLearner for servers; it has QuorumServer"),
        "{error}"
    );
    let nobody = format!("{server}QuorumLearner {{ {module} user_a=b; }};");
    let error = with(lines, &nobody).error();
    assert!(
        error.contains("has no username and password to log in by"),
        "{error}"
    );
    let half = format!("{server}QuorumLearner {{ {module} username=a; }};");
    let error = with(lines, &half).error();
    assert!(
        error.contains("jaas.conf:2: there is a username and no password"),
        "{error}"
    );
    let lines = format!("{lines}quorum.auth.server.saslLoginContext=Other\n");
    let error = with(&lines, &format!("{server}{learner}")).error();
    assert!(error.contains("no section Other for servers"), "{error}");
}
