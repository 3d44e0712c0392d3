//! Owns a certificate's subject as Java writes it, RFC 2253: that text is the identity of the
//! scheme x509. Must not judge certificates. Source: `X509AuthenticationProvider.getClientId`.

use std::fmt::Write as _;

use x509_parser::asn1_rs::{Any, Oid, Tag, ToDer as _};
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Name};

/// Attributes that RFC 2253 has short names for; all others are numbers with the value in
/// hexadecimal digits.
const NAMES: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

/// The subject of a certificate.
pub fn rfc2253(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(name(certificate.subject()))
}

/// When a certificate ends, in seconds since 1970.
pub(super) fn expires(certificate: &[u8]) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// A name: its parts from the last to the first.
fn name(name: &X509Name<'_>) -> String {
    let parts: Vec<String> = name.iter_rdn().map(part).collect();
    let parts: Vec<&str> = parts.iter().rev().map(String::as_str).collect();
    parts.join(",")
}

fn part(part: &x509_parser::prelude::RelativeDistinguishedName<'_>) -> String {
    let attributes: Vec<String> = part
        .iter()
        .map(|attribute| self::attribute(attribute.attr_type(), attribute.attr_value()))
        .collect();
    attributes.join("+")
}

fn attribute(kind: &Oid<'_>, value: &Any<'_>) -> String {
    let number = kind.to_id_string();
    let known = NAMES.iter().find(|(known, _)| *known == number);
    let kind = known.map_or(number.as_str(), |(_, name)| name);
    if known.is_some() && is_text(value.tag()) {
        return format!("{kind}={}", escaped(&String::from_utf8_lossy(value.data)));
    }
    let mut text = format!("{kind}=#");
    for byte in value.to_der_vec().unwrap_or_default() {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

const fn is_text(tag: Tag) -> bool {
    matches!(
        tag,
        Tag::T61String
            | Tag::PrintableString
            | Tag::Ia5String
            | Tag::GeneralString
            | Tag::BmpString
            | Tag::Utf8String
            | Tag::UniversalString
    )
}

/// Blanks at the ends and what has a meaning get a backslash.
fn escaped(text: &str) -> String {
    let inner = text.trim_matches(' ');
    let lead = text.len() - text.trim_start_matches(' ').len();
    let trail = text.len() - lead - inner.len();
    let mut out = "\\ ".repeat(lead);
    for c in inner.chars() {
        match c {
            ',' | '=' | '+' | '<' | '>' | '#' | ';' | '"' | '\\' => out.extend(['\\', c]),
            '\0' => out.push_str("\\00"),
            c => out.push(c),
        }
    }
    out.push_str(&"\\ ".repeat(trail));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_is_escaped() {
        for (text, expected) in [
            ("zoo 1", "zoo 1"),
            (
                "a,b=c+d<e>f#g;h\"i\\j",
                "a\\,b\\=c\\+d\\<e\\>f\\#g\\;h\\\"i\\\\j",
            ),
            ("  x ", "\\ \\ x\\ "),
            ("  ", "\\ \\ "),
            ("ä/ö", "ä/ö"),
            ("", ""),
        ] {
            assert_eq!(escaped(text), expected, "{text:?}");
        }
    }
}
