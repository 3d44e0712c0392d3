//! Owns the test that every honoured key of TLS has an effect, and what its values may be.

use std::path::Path;

use super::super::*;
use super::Setup;
use super::every_key::Check;

const TLS12: Versions = Versions {
    tls12: true,
    tls13: false,
};

/// Every honoured key with a value other than its default, and what shows that it arrived.
pub(super) const CASES: &[(&str, &str, Check)] = &[
    ("secureClientPort", "7", |c| c.secure_client_port == Some(7)),
    ("client.portUnification", "true", |c| {
        c.client_port_unification
    }),
    ("client.certReload", "true", |c| c.client_cert_reload),
    ("netty.server.outstandingHandshake.limit", "7", |c| {
        c.outstanding_handshakes_max == 7
    }),
    ("fips-mode", "false", |c| !c.fips_mode),
    ("ssl.authProvider", "x509", |c| {
        c.ssl == Config::embedded_default().ssl
    }),
    ("admin.portUnification", "true", |c| {
        c.admin.port_unification
    }),
    ("admin.forceHttps", "true", |c| c.admin.force_https),
    ("admin.needClientAuth", "true", |c| c.admin.need_client_auth),
    ("sslQuorum", "true", |c| c.quorum.ssl),
    ("portUnification", "true", |c| c.quorum.port_unification),
    ("sslQuorumReloadCertFiles", "true", |c| {
        c.quorum.reload_cert_files
    }),
    ("ssl.keyStore.location", "/x.pem", |c| {
        c.ssl.key_store.location.as_deref() == Some(Path::new("/x.pem"))
    }),
    ("ssl.keyStore.password", "geheim", |c| {
        c.ssl.key_store.password == Some(Secret::new("geheim".to_owned()))
    }),
    ("ssl.keyStore.passwordPath", "/x", |c| {
        c.ssl.key_store.password_path.as_deref() == Some(Path::new("/x"))
    }),
    ("ssl.keyStore.type", "pkcs12", |c| {
        c.ssl.key_store.kind == Some(StoreKind::Pkcs12)
    }),
    ("ssl.trustStore.location", "/x.pem", |c| {
        c.ssl.trust_store.location.as_deref() == Some(Path::new("/x.pem"))
    }),
    ("ssl.trustStore.password", "geheim", |c| {
        c.ssl.trust_store.password == Some(Secret::new("geheim".to_owned()))
    }),
    ("ssl.trustStore.passwordPath", "/x", |c| {
        c.ssl.trust_store.password_path.as_deref() == Some(Path::new("/x"))
    }),
    ("ssl.trustStore.type", "pkcs12", |c| {
        c.ssl.trust_store.kind == Some(StoreKind::Pkcs12)
    }),
    ("ssl.protocol", "TLSv1.2", |c| c.ssl.versions() == TLS12),
    ("ssl.enabledProtocols", "TLSv1.2", |c| {
        c.ssl.versions() == TLS12
    }),
    ("ssl.ciphersuites", "TLS_AES_128_GCM_SHA256", |c| {
        c.ssl
            .cipher_suites
            .as_ref()
            .is_some_and(|all| all.len() == 1)
    }),
    ("ssl.clientAuth", "want", |c| {
        c.ssl.client_auth == ClientAuth::Want
    }),
    ("ssl.hostnameVerification", "false", |c| {
        !c.ssl.hostname_verification
    }),
    ("ssl.clientHostnameVerification", "true", |c| {
        c.ssl.client_hostname_verification
    }),
    ("ssl.allowReverseDnsLookup", "true", |c| {
        c.ssl.allow_reverse_dns_lookup
    }),
    ("ssl.crl", "true", |c| c.ssl.crl),
    ("ssl.handshakeDetectionTimeoutMillis", "7", |c| {
        c.ssl.handshake_detection_timeout_ms == 7
    }),
    ("ssl.quorum.keyStore.location", "/x.pem", |c| {
        c.quorum_ssl.key_store.location.as_deref() == Some(Path::new("/x.pem"))
    }),
    ("ssl.quorum.keyStore.password", "geheim", |c| {
        c.quorum_ssl.key_store.password == Some(Secret::new("geheim".to_owned()))
    }),
    ("ssl.quorum.keyStore.passwordPath", "/x", |c| {
        c.quorum_ssl.key_store.password_path.as_deref() == Some(Path::new("/x"))
    }),
    ("ssl.quorum.keyStore.type", "pkcs12", |c| {
        c.quorum_ssl.key_store.kind == Some(StoreKind::Pkcs12)
    }),
    ("ssl.quorum.trustStore.location", "/x.pem", |c| {
        c.quorum_ssl.trust_store.location.as_deref() == Some(Path::new("/x.pem"))
    }),
    ("ssl.quorum.trustStore.password", "geheim", |c| {
        c.quorum_ssl.trust_store.password == Some(Secret::new("geheim".to_owned()))
    }),
    ("ssl.quorum.trustStore.passwordPath", "/x", |c| {
        c.quorum_ssl.trust_store.password_path.as_deref() == Some(Path::new("/x"))
    }),
    ("ssl.quorum.trustStore.type", "pkcs12", |c| {
        c.quorum_ssl.trust_store.kind == Some(StoreKind::Pkcs12)
    }),
    ("ssl.quorum.protocol", "TLSv1.2", |c| {
        c.quorum_ssl.versions() == TLS12
    }),
    ("ssl.quorum.enabledProtocols", "TLSv1.2", |c| {
        c.quorum_ssl.versions() == TLS12
    }),
    ("ssl.quorum.ciphersuites", "TLS_AES_128_GCM_SHA256", |c| {
        c.quorum_ssl
            .cipher_suites
            .as_ref()
            .is_some_and(|all| all.len() == 1)
    }),
    ("ssl.quorum.clientAuth", "want", |c| {
        c.quorum_ssl.client_auth == ClientAuth::Want
    }),
    ("ssl.quorum.hostnameVerification", "false", |c| {
        !c.quorum_ssl.hostname_verification
    }),
    ("ssl.quorum.clientHostnameVerification", "false", |c| {
        !c.quorum_ssl.client_hostname_verification
    }),
    ("ssl.quorum.allowReverseDnsLookup", "false", |c| {
        !c.quorum_ssl.allow_reverse_dns_lookup
    }),
    ("ssl.quorum.crl", "true", |c| c.quorum_ssl.crl),
    ("ssl.quorum.handshakeDetectionTimeoutMillis", "7", |c| {
        c.quorum_ssl.handshake_detection_timeout_ms == 7
    }),
];

#[test]
fn what_is_not_offered_is_left_out_or_refused() {
    for prefix in ["ssl", "ssl.quorum"] {
        let some = format!(
            "{prefix}.enabledProtocols=TLSv1.2,TLSv1.1\n{prefix}.ciphersuites=\
            TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\n"
        );
        let setup = Setup::minimal(&some);
        let warnings = setup.warnings().join("\n");
        for name in [
            "TLSv1.1 is not",
            "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA is not",
        ] {
            assert!(warnings.contains(name), "{warnings}");
        }
        for none in [
            "enabledProtocols=TLSv1,SSLv3",
            "protocol=TLSv1.1",
            "ciphersuites=TLS_RSA_WITH_AES_128_CBC_SHA",
            "keyStore.type=BCFKS",
            "clientAuth=maybe",
            "handshakeDetectionTimeoutMillis=soon",
        ] {
            let error = Setup::minimal(&format!("{prefix}.{none}\n")).error();
            assert!(
                error.contains(&format!(":3: {prefix}.{none}: allowed is ")),
                "{error}"
            );
        }
    }
    let warnings = Setup::minimal("ssl.handshakeDetectionTimeoutMillis=0\n").warnings();
    assert!(
        warnings[0].contains("the default holds: 5000"),
        "{warnings:?}"
    );
}

#[test]
fn the_secure_port_may_be_the_only_one() {
    let only = |lines: &str| {
        let setup = Setup::new("");
        let text = format!("dataDir={}\n{lines}", setup.dir.path().display());
        std::fs::write(setup.path(), text).unwrap();
        setup.load().map(|(config, _)| config.has_plain_port())
    };
    assert!(!only("secureClientPort=0\n").unwrap());
    assert!(only("secureClientPort=0\nclientPort=0\n").unwrap());
    assert!(only("").is_err());
    let error = Setup::minimal("secureClientPortAddress=localhost\n").error();
    assert!(error.ends_with("so secureClientPort must be"), "{error}");
    let conf = Setup::minimal("")
        .config()
        .conf_text(None, (None, Some(7)), 0, 0);
    assert!(
        conf.starts_with("clientPort=-1\nsecureClientPort=7\n"),
        "{conf}"
    );
}

#[test]
fn a_port_with_tls_brings_the_scheme_x509() {
    for line in ["secureClientPort=0", "client.portUnification=true"] {
        let config = Setup::minimal(&format!("{line}\n")).config();
        assert!(config.auth_config().x509_enabled, "{line}");
    }
    assert!(!Setup::minimal("").config().auth_config().x509_enabled);
}
