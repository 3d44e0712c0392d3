//! `menagerie doctor` as a process: what it prints and how it ends.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::process::Command;

fn doctor(dir: &Path, lines: &str) -> (Option<i32>, String) {
    let config = dir.join("zoo.cfg");
    let data = dir.join("data");
    let text = format!("dataDir={}\nclientPort=0\n{lines}", data.display());
    std::fs::write(&config, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_menagerie"))
        .arg("doctor")
        .arg(&config)
        .env_remove("JVMFLAGS")
        .env_remove("SERVER_JVMFLAGS")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text)
}

#[test]
fn a_server_that_would_start_is_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let lines = "autopurge.purgeInterval=24\nadmin.enableServer=false\n";
    let (code, text) = doctor(dir.path(), lines);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("0 wrong, "), "{text}");
    assert!(text.contains("a sync takes "), "{text}");
    assert!(!dir.path().join("data").exists(), "nothing was made");
}

#[test]
fn a_member_whose_neighbour_is_unknown_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    std::fs::write(dir.path().join("data/myid"), "1").unwrap();
    let lines = "initLimit=10\nsyncLimit=5\nserver.1=localhost:28881:38881\n\
                 server.2=no-such-host.invalid:2888:3888\n";
    let (code, text) = doctor(dir.path(), lines);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("WRONG server 2 at no-such-host.invalid"),
        "{text}"
    );
    assert!(
        text.contains("2 voters bear no more failures than 1"),
        "{text}"
    );
}

#[test]
fn stores_and_ports_without_tls_are_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let stores = Path::new(env!("CARGO_MANIFEST_DIR")).join("tls/stores");
    let lines = |password: &str| {
        format!(
            "secureClientPort=0\nssl.keyStore.location={0}/key.p12\nssl.keyStore.password={password}\n\
             ssl.trustStore.location={0}/trust.p12\nssl.trustStore.password={password}\n\
             admin.enableServer=false\n",
            stores.display()
        )
    };
    let (code, text) = doctor(dir.path(), &lines("geheim"));
    assert_eq!(code, Some(0), "{text}");
    let good = "ok    ssl.keyStore: the certificate of CN=server,O=Zoo\\, Inc. is good for ";
    assert!(text.contains(good), "{text}");
    assert!(
        text.contains("RISK  clientPort: clients may still come without TLS"),
        "{text}"
    );
    let (code, text) = doctor(dir.path(), &lines("falsch"));
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("WRONG TLS: ssl.keyStore.location=/"),
        "{text}"
    );
    assert!(!text.contains("falsch"), "{text}");
    let (_, text) = doctor(dir.path(), "admin.enableServer=false\n");
    assert!(
        text.contains("RISK  clientPort: clients come without TLS"),
        "{text}"
    );
}

#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (code, text) = doctor(dir.path(), "tickTime=2s\n");
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("zoo.cfg:3: tickTime=2s"), "{text}");
}
