//! Owns the two ways in which Java's strings differ from UTF-8. Must not be used for anything that
//! is not a `ustring`.

use std::borrow::Cow;

const REPLACEMENT: &str = "\u{FFFD}";

/// Reads bytes as Java's `new String(bytes, UTF_8)` does: malformed parts become U+FFFD, and a
/// surrogate encoded in three bytes becomes a single one.
#[must_use]
pub fn java_string(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(replace_malformed(bytes)),
    }
}

fn replace_malformed(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        let error = match std::str::from_utf8(rest) {
            Ok(text) => {
                out.push_str(text);
                return out;
            }
            Err(error) => error,
        };
        let (valid, after) = rest.split_at(error.valid_up_to());
        out.push_str(&String::from_utf8_lossy(valid));
        out.push_str(REPLACEMENT);
        rest = match after {
            // Java finds out about a surrogate only when it has all three bytes.
            [0xED, 0xA0..=0xBF, 0x80..=0xBF, more @ ..] | [0xED, 0xA0..=0xBF, more @ ..] => more,
            _ => after
                .get(error.error_len().unwrap_or(after.len())..)
                .unwrap_or_default(),
        };
    }
}

/// Appends `text` as Jute writes it: each UTF-16 unit on its own, so that a supplementary character
/// takes six bytes (CESU-8). Source: `BinaryOutputArchive.stringToByteBuffer`.
pub fn write_java_utf8(out: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        let mut utf8 = [0; 4];
        if (c as u32) < 0x1_0000 {
            out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
            continue;
        }
        let mut units = [0; 2];
        for &unit in c.encode_utf16(&mut units).iter() {
            let low = |shift: u16| 0x80 | u8::try_from((unit >> shift) & 0x3F).unwrap_or_default();
            out.extend_from_slice(&[0xED, low(6), low(0)]);
        }
    }
}

/// Whether `text` has a character outside the basic plane, which Jute encodes differently.
pub(crate) fn needs_cesu(text: &str) -> bool {
    text.bytes().any(|b| b >= 0xF0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surrogates_become_one_replacement_each() {
        assert_eq!(
            java_string(b"a\xED\xA0\xBD\xED\xB8\x80z"),
            "a\u{FFFD}\u{FFFD}z"
        );
        assert_eq!(java_string(b"\xC3("), "\u{FFFD}(");
        assert_eq!(java_string(b"ab\xE2\x82"), "ab\u{FFFD}");
    }

    #[test]
    fn supplementary_characters_take_six_bytes() {
        let mut out = Vec::new();
        write_java_utf8(&mut out, "a😀é");
        assert_eq!(out, b"a\xED\xA0\xBD\xED\xB8\x80\xC3\xA9");
    }
}
