//! Owns reading key and trust stores: which format, which password, what counts as an entry. May
//! read the files that are named. Must not decide whom to believe.
//! Source: `X509Util.loadKeyStore`, `loadTrustStore`, `KeyStoreFileType`.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use p12_keystore::Pkcs12Archive;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs8KeyDer,
};

use super::{TlsError, der, jks, pem};
use crate::{Secret, StoreKind, StoreSettings};

/// Bytes of a store at most.
const STORE_MAX: u64 = 16 << 20;

/// A key with its certificates, its own first.
#[derive(Debug)]
pub(super) struct KeyEntry {
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) chain: Vec<CertificateDer<'static>>,
}

/// What is trusted.
#[derive(Debug, Default)]
pub(super) struct Trusted {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) revoked: Vec<CertificateRevocationListDer<'static>>,
}

/// One store as the settings name it.
#[derive(Debug)]
struct Opened {
    bytes: Vec<u8>,
    kind: StoreKind,
    password: String,
}

/// Reads the key of a key store; none when no store is named.
pub(super) fn read_key(prefix: &str, store: &StoreSettings) -> Result<Option<KeyEntry>, TlsError> {
    let Some(path) = &store.location else {
        return Ok(None);
    };
    let failed = |reason| failure(prefix, "keyStore", path, reason);
    let opened = open(store, path).map_err(failed)?;
    let entry = match opened.kind {
        StoreKind::Pem => pem::key_entry(&opened.bytes, &opened.password),
        StoreKind::Jks => jks::read(&opened.bytes, &opened.password).and_then(jks::Store::key),
        StoreKind::Pkcs12 => pkcs12_key(&opened.bytes, &opened.password),
    };
    let KeyEntry { key, chain } = entry.map_err(failed)?;
    let key = der::complete(key, chain.first());
    Ok(Some(KeyEntry { key, chain }))
}

/// Reads what a trust store holds; nothing when none is named.
pub(super) fn read_trusted(prefix: &str, store: &StoreSettings) -> Result<Trusted, TlsError> {
    let Some(path) = &store.location else {
        return Ok(Trusted::default());
    };
    let failed = |reason| failure(prefix, "trustStore", path, reason);
    let opened = open(store, path).map_err(failed)?;
    let trusted = match opened.kind {
        StoreKind::Pem => pem::trusted(&opened.bytes),
        StoreKind::Jks => jks::read(&opened.bytes, &opened.password).map(|store| Trusted {
            certificates: store.trusted,
            revoked: Vec::new(),
        }),
        StoreKind::Pkcs12 => pkcs12_trusted(&opened.bytes, &opened.password),
    };
    let trusted = trusted.map_err(failed)?;
    if trusted.certificates.is_empty() {
        return Err(failed("it holds no trusted certificate".to_owned()));
    }
    Ok(trusted)
}

fn failure(prefix: &str, store: &str, path: &Path, reason: String) -> TlsError {
    TlsError::Store {
        key: format!("{prefix}{store}.location"),
        path: path.to_owned(),
        reason,
    }
}

fn open(store: &StoreSettings, path: &Path) -> Result<Opened, String> {
    let password = password(store)?;
    let bytes = read(path)?;
    let kind = match store.kind {
        Some(kind) => kind,
        None => by_extension(path)?,
    };
    // As in Java, where either type reads both formats.
    let kind = match kind {
        StoreKind::Pem => kind,
        _ if jks::is_one(&bytes) => StoreKind::Jks,
        _ => StoreKind::Pkcs12,
    };
    Ok(Opened {
        bytes,
        kind,
        password,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let read = file.take(STORE_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > STORE_MAX {
        return Err(format!("is longer than {STORE_MAX} bytes"));
    }
    Ok(bytes)
}

/// Source: `SecretUtils.readSecret` — one line end behind the password does not count.
fn password(store: &StoreSettings) -> Result<String, String> {
    let Some(path) = &store.password_path else {
        let given = store.password.as_ref().map(Secret::reveal);
        return Ok(given.unwrap_or_default().to_owned());
    };
    let text =
        read(path).map_err(|error| format!("its password in {}: {error}", path.display()))?;
    let text = String::from_utf8(text)
        .map_err(|_| format!("its password in {} is not UTF-8", path.display()))?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

fn by_extension(path: &Path) -> Result<StoreKind, String> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("jks") => Ok(StoreKind::Jks),
        Some("pem") => Ok(StoreKind::Pem),
        Some("p12") => Ok(StoreKind::Pkcs12),
        Some("bcfks") => Err("BCFKS needs Java; PEM, PKCS12 and JKS are read".to_owned()),
        _ => Err(
            "its format is not known by the extension, which must be .pem, .p12 or .jks; the \
             type says it else"
                .to_owned(),
        ),
    }
}

fn pkcs12(bytes: &[u8], password: &str) -> Result<Pkcs12Archive, String> {
    Pkcs12Archive::from_pkcs12(bytes, password)
        .map_err(|error| format!("cannot be read as PKCS12: {error}; the password may be wrong"))
}

fn pkcs12_key(bytes: &[u8], password: &str) -> Result<KeyEntry, String> {
    let archive = pkcs12(bytes, password)?;
    let certs = &archive.certs;
    for bag in &archive.keys {
        let own = |cert: &&p12_keystore::CertificateBag| {
            cert.local_key_id.is_some()
                && cert.local_key_id.as_deref()
                    == bag.local_key_id.as_ref().map(|id| id.0.as_slice())
        };
        let Some(mut last) = certs.iter().find(own) else {
            continue;
        };
        let mut chain = vec![last];
        while last.cert.issuer() != last.cert.subject()
            && let Some(issuer) = certs
                .iter()
                .find(|cert| cert.cert.subject() == last.cert.issuer())
            && !chain.iter().any(|cert| cert.cert == issuer.cert)
        {
            chain.push(issuer);
            last = issuer;
        }
        let der = |cert: &p12_keystore::CertificateBag| cert.cert.as_der().to_vec().into();
        return Ok(KeyEntry {
            key: PrivatePkcs8KeyDer::from(bag.key.as_der().to_vec()).into(),
            chain: chain.into_iter().map(der).collect(),
        });
    }
    Err("it holds no key with a certificate".to_owned())
}

/// As in Java, only what is marked as trusted is.
fn pkcs12_trusted(bytes: &[u8], password: &str) -> Result<Trusted, String> {
    let archive = pkcs12(bytes, password)?;
    let all = archive.certs.len();
    let trusted = archive.certs.into_iter().filter(|cert| cert.trusted);
    let certificates: Vec<CertificateDer<'static>> = trusted
        .map(|cert| cert.cert.as_der().to_vec().into())
        .collect();
    if certificates.is_empty() && all > 0 {
        return Err(
            "none of its certificates is marked as trusted, as keytool -importcert does; openssl \
             does so with -jdktrust anyExtendedKeyUsage from 3.2 on; a PEM file needs no mark"
                .to_owned(),
        );
    }
    Ok(Trusted {
        certificates,
        revoked: Vec::new(),
    })
}
