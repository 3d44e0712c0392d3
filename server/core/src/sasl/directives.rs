//! Owns the syntax of tokens: `key=value` or `key="value"`, with commas between. Must not know what
//! a directive means. Source: `DigestMD5Base.parseDirectives`, whose leniency clients rely on.

use std::borrow::Cow;

use super::SaslError;

/// The directives of a token, in their order; keys in lower case.
#[derive(Debug, Default)]
pub(super) struct Directives(Vec<(String, Vec<u8>)>);

impl Directives {
    /// Reads a token. Of `known` directives none may come twice; others may.
    pub(super) fn parse(token: &[u8], known: &[&str]) -> Result<Self, SaslError> {
        let mut parser = Parser {
            token,
            at: 0,
            known,
            found: Self::default(),
        };
        parser.skip_space();
        while parser.at < token.len() {
            parser.directive()?;
        }
        Ok(parser.found)
    }

    /// A directive's value.
    pub(super) fn bytes(&self, key: &str) -> Option<&[u8]> {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_slice())
    }

    /// A directive's value as text; bytes that are no UTF-8 are replaced, as Java does.
    pub(super) fn text(&self, key: &str) -> Option<Cow<'_, str>> {
        self.bytes(key).map(String::from_utf8_lossy)
    }
}

struct Parser<'a> {
    token: &'a [u8],
    at: usize,
    known: &'a [&'a str],
    found: Directives,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.token.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    /// One directive and the separator behind it, or a comma with nothing before it.
    fn directive(&mut self) -> Result<(), SaslError> {
        let key = self.key()?;
        if key.is_empty() {
            return Ok(());
        }
        let value = if self.peek() == Some(b'"') {
            self.at += 1;
            self.quoted()?
        } else {
            self.plain()
        };
        match self.peek() {
            Some(byte) if byte == b',' || is_space(byte) => self.at += 1,
            Some(_) => return Err(SaslError::Malformed("something behind a closing quote")),
            None => {}
        }
        self.skip_space();
        self.note(&key, value)
    }

    /// The key; empty for a lone comma. Behind it is the value.
    fn key(&mut self) -> Result<Vec<u8>, SaslError> {
        let mut key = Vec::new();
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b',' if key.is_empty() => {
                    self.skip_space();
                    return Ok(key);
                }
                b',' => return Err(SaslError::Malformed("a comma in a directive's name")),
                b'=' if key.is_empty() => {
                    return Err(SaslError::Malformed("a directive without a name"));
                }
                b'=' => {
                    self.skip_space();
                    if self.peek().is_none() {
                        return Err(SaslError::Malformed("a directive without a value"));
                    }
                    return Ok(key);
                }
                _ if is_space(byte) => {
                    self.skip_space();
                    if self.peek() != Some(b'=') {
                        return Err(SaslError::Malformed("a space in a directive's name"));
                    }
                }
                _ => key.push(byte),
            }
        }
        // A name at the end of the token has an empty value.
        Ok(key)
    }

    fn quoted(&mut self) -> Result<Vec<u8>, SaslError> {
        let mut value = Vec::new();
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => return Ok(value),
                b'\\' => {
                    let escaped = self.peek();
                    value.push(escaped.ok_or(SaslError::Malformed("nothing behind a backslash"))?);
                    self.at += 1;
                }
                _ => value.push(byte),
            }
        }
        Err(SaslError::Malformed("a quote that is not closed"))
    }

    fn plain(&mut self) -> Vec<u8> {
        let rest = self.token.get(self.at..).unwrap_or_default();
        let ends = |byte: &u8| *byte == b',' || is_space(*byte);
        let len = rest.iter().position(ends).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default().to_vec()
    }

    fn note(&mut self, key: &[u8], value: Vec<u8>) -> Result<(), SaslError> {
        let key = String::from_utf8_lossy(key).to_ascii_lowercase();
        if self.found.bytes(&key).is_none() {
            self.found.0.push((key, value));
        } else if self.known.contains(&&*key) {
            return Err(SaslError::Malformed("a directive twice"));
        }
        Ok(())
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r' | b' ')
}

/// A text in quotes.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}
