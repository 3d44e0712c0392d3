//! Owns the keys for TLS, of clients and between servers. May use the readers of values. Must not hold
//! any setting itself.

use super::{KeySpec, key, no_effect, refuse, silent};
use crate::config::settings::Config;
use crate::config::value::{
    Applied, Refused, Taken, lenient_bool, lenient_long, strict_bool, strict_int,
};

const NO_OCSP: &str =
    "certificates are not looked up at OCSP servers; revocation lists are (ssl.crl)";
const NO_CLASSES: &str = "Java classes cannot be loaded; name key and trust stores instead";
const ONE_LIBRARY: &str = "TLS is built in";

pub(super) const CLIENTS: &[KeySpec] = &[
    key(
        "secureClientPort",
        "",
        "Port for clients with TLS; 0 takes a free one.",
        |c, _, v| {
            let mut port = 0u16;
            let taken = strict_int(v, 0, i32::from(u16::MAX), &mut port)?;
            c.secure_client_port = Some(port);
            Ok(taken)
        },
    )
    .file_only(),
    key(
        "secureClientPortAddress",
        "every address",
        "Host name or address for it.",
        |c, _, v| {
            c.secure_client_port_address = Some(v.trim().to_owned());
            Ok(Taken::Exactly)
        },
    )
    .file_only(),
    key(
        "client.portUnification",
        "false",
        "TLS on the client port too: the first byte tells.",
        |c, _, v| lenient_bool(v, &mut c.client_port_unification),
    ),
    key(
        "client.certReload",
        "false",
        "Stores are read again when they change.",
        |c, _, v| lenient_bool(v, &mut c.client_cert_reload),
    ),
    key(
        "netty.server.outstandingHandshake.limit",
        "-1",
        "Handshakes of clients at a time; beyond that connections are closed. Without it 1024.",
        |c, _, v| lenient_long(v, i64::MIN, &mut c.outstanding_handshakes_max),
    ),
    key(
        "fips-mode",
        "true",
        "As in ZooKeeper, servers then do not check each other's host names; which cryptography is used it does not change.",
        |c, _, v| lenient_bool(v, &mut c.fips_mode),
    ),
    key(
        "ssl.authProvider",
        "x509",
        "The scheme of certificates.",
        |_, _, v| {
            if v == "x509" {
                return Ok(Taken::Exactly);
            }
            Err(Refused::Invalid(
                "x509; other Java classes cannot be loaded".into(),
            ))
        },
    ),
    key("ssl.sslProvider", "JDK", "The library for TLS.", no_effect).no_need(ONE_LIBRARY),
    key(
        "ssl.keyStore.location",
        "",
        "File with the key and its certificates.",
        tls,
    ),
    key("ssl.keyStore.password", "", "Its password.", tls),
    key(
        "ssl.keyStore.passwordPath",
        "",
        "A file with the password, which wins.",
        tls,
    ),
    key(
        "ssl.keyStore.type",
        "by extension: .pem, .p12, .jks",
        "PEM, PKCS12 or JKS.",
        tls,
    ),
    key(
        "ssl.trustStore.location",
        "",
        "File with the certificates that are trusted.",
        tls,
    ),
    key("ssl.trustStore.password", "", "Its password.", tls),
    key(
        "ssl.trustStore.passwordPath",
        "",
        "A file with the password, which wins.",
        tls,
    ),
    key(
        "ssl.trustStore.type",
        "by extension",
        "PEM, PKCS12 or JKS.",
        tls,
    ),
    key(
        "ssl.protocol",
        "TLSv1.3",
        "Version of TLS: TLSv1.3 or TLSv1.2.",
        tls,
    ),
    key(
        "ssl.enabledProtocols",
        "as protocol",
        "Versions with commas between; those before TLSv1.2 are not offered.",
        tls,
    ),
    key(
        "ssl.ciphersuites",
        "all of them",
        "Suites with commas between; ECDHE with AES-GCM or ChaCha20 and those of TLS 1.3.",
        tls,
    ),
    key(
        "ssl.clientAuth",
        "need",
        "Whether who connects must have a certificate: need, want or none.",
        tls,
    ),
    key(
        "ssl.hostnameVerification",
        "true",
        "Certificates must be for the host that has them.",
        tls,
    ),
    key(
        "ssl.clientHostnameVerification",
        "false",
        "So must those of who connects, by its address.",
        tls,
    ),
    key(
        "ssl.allowReverseDnsLookup",
        "false",
        "The name service may be asked for the name of an address.",
        tls,
    ),
    key(
        "ssl.crl",
        "false",
        "Certificates are looked up in revocation lists, which stand in the trust store (PEM).",
        tls,
    ),
    key(
        "ssl.ocsp",
        "false",
        "Certificates are looked up at OCSP servers.",
        super::refuse_true,
    )
    .refused(NO_OCSP),
    key(
        "ssl.handshakeDetectionTimeoutMillis",
        "5000",
        "Milliseconds that a connection has to show whether it is TLS.",
        tls,
    ),
    key(
        "ssl.context.supplier.class",
        "",
        "A Java class that makes contexts.",
        refuse,
    )
    .refused(NO_CLASSES),
    key("ssl.*", "", "Other names.", silent).no_need(ONE_LIBRARY),
];

pub(super) const QUORUM: &[KeySpec] = &[
    key("sslQuorum", "false", "TLS between servers.", |c, _, v| {
        strict_bool(v, &mut c.quorum.ssl)
    })
    .file_only(),
    key(
        "portUnification",
        "false",
        "Accepts TLS and plain connections of servers: for changing over from one to the other.",
        |c, _, v| strict_bool(v, &mut c.quorum.port_unification),
    )
    .file_only(),
    key(
        "sslQuorumReloadCertFiles",
        "false",
        "Stores are read again when they change.",
        |c, _, v| strict_bool(v, &mut c.quorum.reload_cert_files),
    )
    .file_only(),
    key(
        "ssl.quorum.keyStore.location",
        "",
        "File with the key and its certificates.",
        tls,
    ),
    key("ssl.quorum.keyStore.password", "", "Its password.", tls),
    key(
        "ssl.quorum.keyStore.passwordPath",
        "",
        "A file with the password, which wins.",
        tls,
    ),
    key(
        "ssl.quorum.keyStore.type",
        "by extension: .pem, .p12, .jks",
        "PEM, PKCS12 or JKS.",
        tls,
    ),
    key(
        "ssl.quorum.trustStore.location",
        "",
        "File with the certificates that are trusted.",
        tls,
    ),
    key("ssl.quorum.trustStore.password", "", "Its password.", tls),
    key(
        "ssl.quorum.trustStore.passwordPath",
        "",
        "A file with the password, which wins.",
        tls,
    ),
    key(
        "ssl.quorum.trustStore.type",
        "by extension",
        "PEM, PKCS12 or JKS.",
        tls,
    ),
    key(
        "ssl.quorum.protocol",
        "TLSv1.3",
        "Newest version of TLS: TLSv1.3 or TLSv1.2.",
        tls,
    ),
    key(
        "ssl.quorum.enabledProtocols",
        "as protocol",
        "Versions with commas between; those before TLSv1.2 are not offered.",
        tls,
    ),
    key(
        "ssl.quorum.ciphersuites",
        "all of them",
        "Suites with commas between; ECDHE with AES-GCM or ChaCha20 and those of TLS 1.3.",
        tls,
    ),
    key(
        "ssl.quorum.clientAuth",
        "need",
        "Whether who connects must have a certificate: need, want or none.",
        tls,
    ),
    key(
        "ssl.quorum.hostnameVerification",
        "true",
        "Certificates must be for the host that has them.",
        tls,
    ),
    key(
        "ssl.quorum.clientHostnameVerification",
        "true",
        "So must those of who connects, by its address.",
        tls,
    ),
    key(
        "ssl.quorum.allowReverseDnsLookup",
        "true",
        "The names in the server lines count for the addresses that they stand for.",
        tls,
    ),
    key(
        "ssl.quorum.crl",
        "false",
        "Certificates are looked up in revocation lists, which stand in the trust store (PEM).",
        tls,
    ),
    key(
        "ssl.quorum.ocsp",
        "false",
        "Certificates are looked up at OCSP servers.",
        super::refuse_true,
    )
    .refused(NO_OCSP),
    key(
        "ssl.quorum.handshakeDetectionTimeoutMillis",
        "5000",
        "Milliseconds that a connection has to show whether it is TLS.",
        tls,
    ),
    key(
        "ssl.quorum.context.supplier.class",
        "",
        "A Java class that makes contexts.",
        refuse,
    )
    .refused(NO_CLASSES),
    key("ssl.quorum.*", "", "Other names.", silent).no_need(ONE_LIBRARY),
];

/// Applies a value to the settings that the key belongs to.
fn tls(config: &mut Config, key: &str, value: &str) -> Applied {
    let (settings, name) = match key.strip_prefix("ssl.quorum.") {
        Some(name) => (&mut config.quorum_ssl, name),
        None => (&mut config.ssl, key.strip_prefix("ssl.").unwrap_or(key)),
    };
    match settings.set(name, value) {
        Ok(None) => Ok(Taken::Exactly),
        Ok(Some(adjusted)) => Ok(Taken::Adjusted(adjusted)),
        Err(Some(allowed)) => Err(Refused::Invalid(allowed)),
        Err(None) => Err(Refused::Unsupported),
    }
}
