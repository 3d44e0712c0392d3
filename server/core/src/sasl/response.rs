//! Owns the mathematics of RFC 2831, section 2.1.2. Must not read tokens.

use md5::{Digest as _, Md5};

/// The first and only use of a nonce, as the digest has it.
pub(super) const NONCE_COUNT: &str = "00000001";

/// What goes into a response.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proof<'a> {
    pub(super) user: &'a str,
    pub(super) realm: &'a str,
    pub(super) password: &'a str,
    pub(super) nonce: &'a [u8],
    pub(super) cnonce: &'a [u8],
    pub(super) uri: &'a str,
    pub(super) authzid: Option<&'a [u8]>,
}

impl Proof<'_> {
    /// What the client sends as `response`.
    pub(super) fn response(&self) -> String {
        self.value("AUTHENTICATE:")
    }

    /// What the server answers as `rspauth`.
    pub(super) fn rspauth(&self) -> String {
        self.value(":")
    }

    fn value(&self, method: &str) -> String {
        let mut secret = Md5::new();
        for (index, part) in [self.user, self.realm, self.password].iter().enumerate() {
            if index > 0 {
                secret.update(b":");
            }
            secret.update(narrow(part));
        }
        let mut a1 = Md5::new();
        a1.update(secret.finalize());
        for part in [self.nonce, self.cnonce].into_iter().chain(self.authzid) {
            a1.update(b":");
            a1.update(part);
        }
        let mut a2 = Md5::new();
        a2.update(method);
        a2.update(self.uri);
        let mut whole = Md5::new();
        whole.update(hex(&a1.finalize()));
        let count = NONCE_COUNT.as_bytes();
        for part in [self.nonce, count, self.cnonce, b"auth"] {
            whole.update(b":");
            whole.update(part);
        }
        whole.update(b":");
        whole.update(hex(&a2.finalize()));
        hex(&whole.finalize())
    }
}

/// ISO 8859-1 where that can hold the text, else UTF-8: RFC 2831 wants what older clients hash.
fn narrow(text: &str) -> Vec<u8> {
    let narrow: Option<Vec<u8>> = text
        .chars()
        .map(|c| u8::try_from(u32::from(c)).ok())
        .collect();
    narrow.unwrap_or_else(|| text.as_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether both are the same, found out in a time that does not tell how much of them is.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && differences == 0
}
