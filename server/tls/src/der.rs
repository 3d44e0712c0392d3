//! Owns the few pieces of DER that keys are made of. Must not know stores.
//!
//! Keys for elliptic curves: Java leaves the public half out, which is in the certificate too and
//! which the library wants beside the private one.

use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// Where the curve may be named again.
const CURVE: u8 = 0xA0;
/// Where the public half is.
const PUBLIC: u8 = 0xA1;
/// 1.2.840.10045.2.1
const ELLIPTIC: [u8; 7] = [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];

/// What is left to read.
#[derive(Debug)]
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    /// The content of the next element, which has that tag.
    pub(super) fn element(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.0.first() != Some(&tag) {
            return None;
        }
        self.take(1)?;
        let first = *self.take(1)?.first()?;
        let len = if first < 0x80 {
            usize::from(first)
        } else {
            let bytes = self.take(usize::from(first & 0x7F))?;
            if bytes.len() > 4 {
                return None;
            }
            bytes
                .iter()
                .fold(0, |len, byte| len << 8 | usize::from(*byte))
        };
        self.take(len)
    }
}

/// An element.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut out = vec![tag];
    match significant[..] {
        [] => out.push(0),
        [short] if short < 0x80 => out.push(short),
        _ => {
            out.push(0x80 | u8::try_from(significant.len()).unwrap_or_default());
            out.extend(significant);
        }
    }
    out.extend_from_slice(content);
    out
}

/// The key with its public half, if it is one for elliptic curves without; others as they are.
pub(super) fn complete(
    key: PrivateKeyDer<'static>,
    certificate: Option<&CertificateDer<'_>>,
) -> PrivateKeyDer<'static> {
    let completed = match (&key, certificate) {
        (PrivateKeyDer::Pkcs8(pkcs8), Some(certificate)) => {
            with_public_half(pkcs8.secret_pkcs8_der(), certificate)
        }
        _ => None,
    };
    completed.map_or(key, |der| PrivatePkcs8KeyDer::from(der).into())
}

fn with_public_half(pkcs8: &[u8], certificate: &[u8]) -> Option<Vec<u8>> {
    let mut info = Input(Input(pkcs8).element(SEQUENCE)?);
    let version = info.element(INTEGER)?;
    let algorithm = info.element(SEQUENCE)?;
    let mut key = Input(Input(info.element(OCTET_STRING)?).element(SEQUENCE)?);
    if Input(algorithm).element(OBJECT)? != ELLIPTIC {
        return None;
    }
    let kind = key.element(INTEGER)?;
    let private = key.element(OCTET_STRING)?;
    let _curve = key.element(CURVE);
    if key.element(PUBLIC).is_some() {
        return None;
    }
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let public = certificate.public_key().subject_public_key.data.as_ref();
    // Two numbers of the private one's length, behind a byte that says so.
    let missing = (public.len() / 2).saturating_sub(private.len());
    let private = [vec![0; missing], private.to_vec()].concat();
    let public = element(BIT_STRING, &[&[0], public].concat());
    let key = [
        element(INTEGER, kind),
        element(OCTET_STRING, &private),
        element(PUBLIC, &public),
    ];
    let info = [
        element(INTEGER, version),
        element(SEQUENCE, algorithm),
        element(OCTET_STRING, &element(SEQUENCE, &key.concat())),
    ];
    Some(element(SEQUENCE, &info.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_as_they_are_written() {
        for len in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; len];
            let written = element(SEQUENCE, &content);
            let mut input = Input(&written);
            assert_eq!(input.element(SEQUENCE), Some(&content[..]), "{len}");
            assert_eq!(input.0, b"", "{len}");
            assert_eq!(Input(&written[..written.len() - 1]).element(SEQUENCE), None);
        }
        assert_eq!(
            Input(&[SEQUENCE, 0x85, 1, 1, 1, 1, 1]).element(SEQUENCE),
            None
        );
    }
}
