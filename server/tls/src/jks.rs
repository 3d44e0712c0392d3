//! Owns reading Java's own key store format, JKS. Must not write it.
//!
//! A store is a number, a version, entries, and a hash over the password and all that. A key is
//! hidden by a stream of hashes of the password.

use sha1::{Digest as _, Sha1};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::der::Input;
use super::stores::KeyEntry;

const MAGIC: [u8; 4] = [0xFE, 0xED, 0xFE, 0xED];
/// The same for the format that Java's extension for cryptography brought.
const MAGIC_JCEKS: [u8; 4] = [0xCE, 0xCE, 0xCE, 0xCE];
/// What is hashed between the password and the entries.
const WHITENER: &[u8] = b"Mighty Aphrodite";
const HASH: usize = 20;
/// The one way in which keys are hidden: 1.3.6.1.4.1.42.2.17.1.1.
const KEY_PROTECTOR: [u8; 10] = [0x2B, 0x06, 0x01, 0x04, 0x01, 0x2A, 0x02, 0x11, 0x01, 0x01];
const ENTRIES_MAX: u32 = 10_000;

/// The entries of a store.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) trusted: Vec<CertificateDer<'static>>,
    keys: Vec<KeyEntry>,
}

/// Whether `bytes` begin like such a store.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC) || bytes.starts_with(&MAGIC_JCEKS)
}

/// Reads a store.
pub(super) fn read(bytes: &[u8], password: &str) -> Result<Store, String> {
    if bytes.starts_with(&MAGIC_JCEKS) {
        return Err("is of the type JCEKS; PEM, PKCS12 and JKS are read".to_owned());
    }
    let Some((body, hash)) = bytes.split_last_chunk::<HASH>() else {
        return Err("ends too early for JKS".to_owned());
    };
    let password = in_utf16(password);
    let mut expected = Sha1::new();
    expected.update(&password);
    expected.update(WHITENER);
    expected.update(body);
    if expected.finalize()[..] != hash[..] {
        return Err("is damaged, or the password is wrong".to_owned());
    }
    let mut input = Input(body.get(MAGIC.len()..).unwrap_or_default());
    store(&mut input, &password).ok_or_else(|| "is no whole JKS store".to_owned())?
}

fn store(input: &mut Input<'_>, password: &[u8]) -> Option<Result<Store, String>> {
    let version = input.number()?;
    let count = input.number()?;
    if !matches!(version, 1 | 2) || count > ENTRIES_MAX {
        return None;
    }
    let mut store = Store::default();
    for _ in 0..count {
        let tag = input.number()?;
        let _alias = input.text()?;
        let _created = input.take(8)?;
        match tag {
            1 => {
                let hidden = input.bytes()?;
                let length = input.number()?;
                let mut chain = Vec::new();
                for _ in 0..length.min(ENTRIES_MAX) {
                    chain.push(input.certificate(version)?);
                }
                let key = match reveal(hidden, password) {
                    Ok(key) => PrivatePkcs8KeyDer::from(key).into(),
                    Err(reason) => return Some(Err(reason)),
                };
                store.keys.push(KeyEntry { key, chain });
            }
            2 => store.trusted.push(input.certificate(version)?),
            _ => return None,
        }
    }
    Some(Ok(store))
}

impl Store {
    /// The first key.
    pub(super) fn key(self) -> Result<KeyEntry, String> {
        let first = self.keys.into_iter().next();
        first.ok_or_else(|| "it holds no key".to_owned())
    }
}

/// A password as it is hashed.
fn in_utf16(password: &str) -> Vec<u8> {
    password.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// The key in `EncryptedPrivateKeyInfo`, whose ends are a salt and a hash.
fn reveal(info: &[u8], password: &[u8]) -> Result<Vec<u8>, String> {
    let wrong = || "its key is hidden in a way that is not known".to_owned();
    let mut outer = Input(info);
    let mut info = Input(outer.element(0x30).ok_or_else(wrong)?);
    let mut algorithm = Input(info.element(0x30).ok_or_else(wrong)?);
    if algorithm.element(0x06) != Some(&KEY_PROTECTOR[..]) {
        return Err(wrong());
    }
    let hidden = info.element(0x04).ok_or_else(wrong)?;
    let (salt, rest) = hidden.split_first_chunk::<HASH>().ok_or_else(wrong)?;
    let (hidden, check) = rest.split_last_chunk::<HASH>().ok_or_else(wrong)?;
    let mut block = *salt;
    let mut key = Vec::with_capacity(hidden.len());
    for part in hidden.chunks(HASH) {
        let mut hash = Sha1::new();
        hash.update(password);
        hash.update(block);
        block = hash.finalize().into();
        key.extend(part.iter().zip(block).map(|(byte, mask)| byte ^ mask));
    }
    let mut hash = Sha1::new();
    hash.update(password);
    hash.update(&key);
    if hash.finalize()[..] == check[..] {
        Ok(key)
    } else {
        Err("the password is not that of the key in it".to_owned())
    }
}

/// Numbers and texts of a store.
trait Fields<'a> {
    fn number(&mut self) -> Option<u32>;
    fn bytes(&mut self) -> Option<&'a [u8]>;
    fn text(&mut self) -> Option<&'a [u8]>;
    fn certificate(&mut self, version: u32) -> Option<CertificateDer<'static>>;
}

impl<'a> Fields<'a> for Input<'a> {
    fn number(&mut self) -> Option<u32> {
        let bytes = self.take(4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.number()?;
        self.take(usize::try_from(len).ok()?)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let len = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        self.take(usize::from(len))
    }

    fn certificate(&mut self, version: u32) -> Option<CertificateDer<'static>> {
        if version == 2 && self.text()? != b"X.509" {
            return None;
        }
        Some(self.bytes()?.to_vec().into())
    }
}
