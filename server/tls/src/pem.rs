//! Owns reading stores in PEM: certificates, keys (encrypted ones too), revocation lists. Must not
//! decide what is done with them. Source: `PemReader`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pkcs8::EncryptedPrivateKeyInfoRef;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs8KeyDer,
};

use super::stores::{KeyEntry, Trusted};

const ENCRYPTED: [&str; 2] = [
    "-----BEGIN ENCRYPTED PRIVATE KEY-----",
    "-----END ENCRYPTED PRIVATE KEY-----",
];
/// How older tools say that a key is encrypted, which Java's reader does not know either.
const OLD_ENCRYPTION: &[u8] = b"Proc-Type: 4,ENCRYPTED";

fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    all.map_err(|error| format!("cannot be read as PEM: {error}"))
}

/// A key and the certificates beside it.
pub(super) fn key_entry(bytes: &[u8], password: &str) -> Result<KeyEntry, String> {
    let chain = certificates(bytes)?;
    if chain.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    let key = match encrypted(bytes)? {
        Some(der) => decrypt(&der, password)?,
        None => plain_key(bytes)?,
    };
    Ok(KeyEntry { key, chain })
}

fn plain_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    let old = bytes
        .windows(OLD_ENCRYPTION.len())
        .any(|part| part == OLD_ENCRYPTION);
    if old {
        return Err(
            "its key is encrypted in an old way; openssl pkcs8 -topk8 makes one that can be read"
                .to_owned(),
        );
    }
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| format!("it holds no key: {error}"))
}

/// The bytes of an encrypted key, if there is one.
fn encrypted(bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let text = String::from_utf8_lossy(bytes);
    let [begin, end] = ENCRYPTED;
    let Some((_, rest)) = text.split_once(begin) else {
        return Ok(None);
    };
    let body = rest.split_once(end).map(|(body, _)| body);
    let body = body.ok_or_else(|| format!("{begin} without an end"))?;
    let digits: String = body.split_ascii_whitespace().collect();
    let decoded = STANDARD.decode(digits);
    decoded
        .map(Some)
        .map_err(|error| format!("its encrypted key is no base64: {error}"))
}

fn decrypt(der: &[u8], password: &str) -> Result<PrivateKeyDer<'static>, String> {
    if password.is_empty() {
        return Err("its key is encrypted and the password is not set".to_owned());
    }
    let info = EncryptedPrivateKeyInfoRef::try_from(der)
        .map_err(|error| format!("its encrypted key cannot be read: {error}"))?;
    let key = info.decrypt(password).map_err(|error| {
        format!("its encrypted key cannot be decrypted: {error}; the password may be wrong")
    })?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

/// Trusted certificates, and lists of those that are no longer.
pub(super) fn trusted(bytes: &[u8]) -> Result<Trusted, String> {
    let certificates = certificates(bytes)?;
    let revoked: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(bytes).collect();
    let revoked = revoked.map_err(|error| format!("a revocation list cannot be read: {error}"))?;
    Ok(Trusted {
        certificates,
        revoked,
    })
}
