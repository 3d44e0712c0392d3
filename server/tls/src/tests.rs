//! Owns the tests of stores, made by keytool and openssl: `stores`.

use std::path::{Path, PathBuf};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::stores::{read_key, read_trusted};
use super::*;
use crate::StoreSettings;

fn settings(file: &str, password: &str) -> StoreSettings {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("stores");
    let mut settings = TlsSettings::for_clients();
    let path = path.join(file).display().to_string();
    settings.set("keyStore.location", &path).unwrap();
    settings.set("keyStore.password", password).unwrap();
    settings.key_store
}

#[test]
fn every_format_gives_the_same_key() {
    let pem = read_key("ssl.", &settings("key.pem", "geheim")).unwrap();
    let pem = pem.expect("a key");
    let subject = rfc2253(&pem.chain[0]);
    assert_eq!(subject.as_deref(), Some("CN=server,O=Zoo\\, Inc."));
    for file in ["key.jks", "key.p12"] {
        let other = read_key("ssl.", &settings(file, "geheim")).unwrap();
        let other = other.expect("a key");
        assert_eq!(other.chain, pem.chain, "{file}");
        // Java leaves out what the others say.
        let parts = |key: &PrivateKeyDer<'_>| {
            let key = key.secret_der().to_vec();
            let at = key.windows(2).position(|two| two == [0x04, 0x20]);
            let public = key.windows(3).position(|three| three == [0x03, 0x42, 0x00]);
            let (at, public) = (at.expect("32 bytes"), public.expect("65 bytes"));
            [key[at..at + 34].to_vec(), key[public..public + 68].to_vec()]
        };
        assert_eq!(parts(&other.key), parts(&pem.key), "{file}");
        ring::sign::any_ecdsa_type(&other.key).expect("a key that can be used");
    }
    for file in ["trust.jks", "trust.p12", "key.pem"] {
        let trusted = read_trusted("ssl.", &settings(file, "geheim")).unwrap();
        assert_eq!(trusted.certificates, pem.chain, "{file}");
    }
}

#[test]
fn what_is_wrong_with_a_store_is_said() {
    for (file, password, reason) in [
        ("key.jks", "", "the password is wrong"),
        ("key.jks", "falsch", "the password is wrong"),
        ("key.p12", "falsch", "the password may be wrong"),
        ("key.pem", "falsch", "the password may be wrong"),
        ("key.pem", "", "the password is not set"),
        ("trust.jks", "geheim", "it holds no key"),
        ("trust.p12", "geheim", "it holds no key with a certificate"),
        ("none.pem", "", "cannot be read: No such file"),
        ("none.bcfks", "", "cannot be read: No such file"),
    ] {
        let error = read_key("ssl.", &settings(file, password)).unwrap_err();
        let error = error.to_string();
        assert!(error.starts_with("ssl.keyStore.location=/"), "{error}");
        assert!(error.contains(reason), "{file}: {error}");
    }
    for (file, reason) in [
        ("key.jks", "it holds no trusted certificate"),
        (
            "unmarked.p12",
            "none of its certificates is marked as trusted",
        ),
    ] {
        let error = read_trusted("ssl.quorum.", &settings(file, "geheim")).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("ssl.quorum.trustStore.location=/"),
            "{error}"
        );
        assert!(error.contains(reason), "{file}: {error}");
    }
}

#[test]
fn a_format_is_known_by_type_or_by_extension() {
    let dir = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| -> PathBuf {
        let of = settings(from, "").location.unwrap();
        let to = dir.path().join(to);
        std::fs::copy(of, &to).unwrap();
        to
    };
    let mut store = settings("key.p12", "geheim");
    store.location = Some(copy("key.p12", "keystore"));
    let error = read_key("ssl.", &store).unwrap_err().to_string();
    assert!(error.contains("must be .pem, .p12 or .jks"), "{error}");
    store.kind = Some(StoreKind::Pkcs12);
    read_key("ssl.", &store).unwrap();
    // As in Java, where the types JKS and PKCS12 read both.
    store.kind = Some(StoreKind::Jks);
    read_key("ssl.", &store).unwrap();
    store.location = Some(copy("key.jks", "old.p12"));
    store.kind = None;
    read_key("ssl.", &store).unwrap();
    store.password_path = Some(dir.path().join("password"));
    std::fs::write(dir.path().join("password"), "falsch\n").unwrap();
    let error = read_key("ssl.", &store).unwrap_err().to_string();
    assert!(error.contains("the password is wrong"), "{error}");
    store.password = None;
    std::fs::write(dir.path().join("password"), "geheim\n").unwrap();
    read_key("ssl.", &store).unwrap();
}

#[test]
fn no_byte_of_a_store_makes_reading_it_panic() {
    for file in ["key.jks", "trust.jks", "trust.p12"] {
        let bytes = std::fs::read(settings(file, "").location.unwrap()).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x81;
            let _refused = jks::read(&damaged, "geheim");
            let _cut = jks::read(&bytes[..at], "geheim");
            if file == "trust.jks" {
                assert!(jks::read(&damaged, "geheim").is_err(), "byte {at}");
            }
        }
    }
}
