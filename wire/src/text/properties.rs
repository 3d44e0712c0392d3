//! Owns the grammar of Java's properties files, which `zoo.cfg` and the dynamic configuration are.
//! May use nom. Must not know any key. Source: the documentation of `java.util.Properties.load`.
//!
//! Lines end with LF, CR or CR LF. A line whose first visible character is `#` or `!` is a comment.
//! A backslash before the line's end continues it; leading white space of the next line is dropped.
//! A key ends at the first unescaped `=`, `:` or white space.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_while, take_while1};
use nom::character::complete::{anychar, char, one_of, satisfy};
use nom::combinator::{cut, eof, map, not, opt, value};
use nom::multi::{fold_many0, many_m_n};
use nom::sequence::preceded;
use nom::{IResult, Parser as _};

/// One entry, unescaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// The key; may be empty.
    pub key: String,
    /// The value; may be empty, keeps trailing white space.
    pub value: String,
    /// The line on which the entry starts, from 1.
    pub line: usize,
}

/// Why a text is not a properties file: the only way is a malformed `\u` escape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\\u must be followed by four hexadecimal digits")]
pub struct PropertiesError {
    /// The line on which the entry starts, from 1.
    pub line: usize,
}

/// Reads a file, whose bytes are ISO-8859-1 as for `Properties.load(InputStream)`. Entries come in
/// the order of the file; of several with one key, only the last is there.
///
/// # Errors
/// A malformed `\u` escape.
pub fn parse(bytes: &[u8]) -> Result<Vec<Property>, PropertiesError> {
    let text: String = bytes.iter().map(|&b| char::from(b)).collect();
    parse_str(&text)
}

/// Reads a text, as `Properties.load(Reader)` does; otherwise like [`parse`].
///
/// # Errors
/// A malformed `\u` escape.
pub fn parse_str(text: &str) -> Result<Vec<Property>, PropertiesError> {
    let mut entries = parse_every(text)?;
    let mut seen = std::collections::HashSet::new();
    let mut keep: Vec<bool> = entries.iter().rev().map(|e| seen.insert(&e.key)).collect();
    keep.reverse();
    let mut keep = keep.into_iter();
    entries.retain(|_| keep.next().unwrap_or(true));
    Ok(entries)
}

/// Like [`parse_str`], but with all entries of a repeated key.
///
/// # Errors
/// A malformed `\u` escape.
pub fn parse_every(text: &str) -> Result<Vec<Property>, PropertiesError> {
    logical_lines(text)
        .map(|(line, text)| match entry(&text) {
            Ok((_, (key, value))) => Ok(Property { key, value, line }),
            Err(_) => Err(PropertiesError { line }),
        })
        .collect()
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{C}')
}

fn is_eol(c: char) -> bool {
    matches!(c, '\n' | '\r')
}

/// One line of the file and whether CR LF ended it. A failure means the input is used up.
fn natural_line(input: &str) -> IResult<&str, (&str, bool)> {
    let end = alt((tag("\r\n"), tag("\n"), tag("\r")));
    preceded(
        not(eof),
        (take_till(is_eol), map(opt(end), |end| end == Some("\r\n"))),
    )
    .parse(input)
}

/// Entries with continuations joined, each with the number of its first line.
fn logical_lines(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut rest = text;
    let mut number = 0;
    let mut next_line = move || {
        let (after, (line, crlf)) = natural_line(rest).ok()?;
        rest = after;
        number += 1;
        Some((number, line.trim_start_matches(is_blank), crlf))
    };
    std::iter::from_fn(move || {
        let (mut first, mut line, mut crlf) = next_line()?;
        let mut joined = String::new();
        loop {
            if joined.is_empty() && (line.is_empty() || line.starts_with(['#', '!'])) {
                (first, line, crlf) = next_line()?;
                continue;
            }
            let backslashes = line.chars().rev().take_while(|&c| c == '\\').count();
            let Some(part) = line.strip_suffix('\\').filter(|_| backslashes % 2 == 1) else {
                joined.push_str(line);
                return Some((first, joined));
            };
            joined.push_str(part);
            match next_line() {
                Some(next) if joined.is_empty() => (first, line, crlf) = next,
                Some((_, next, end)) => (line, crlf) = (next, end),
                // A lone backslash that ends the file makes an empty entry, unless CR LF follows it.
                None => return (!joined.is_empty() || !crlf).then_some((first, joined)),
            }
        }
    })
}

/// A part of a key or value. Java's strings are UTF-16, and an escape is one unit of it.
#[derive(Clone)]
enum Piece<'a> {
    Text(&'a str),
    Char(char),
    Unit(u16),
}

/// What follows a backslash.
fn escape(input: &str) -> IResult<&str, Piece<'_>> {
    let hex = satisfy(|c| c.is_ascii_hexdigit()).map(|c| c.to_digit(16).unwrap_or_default());
    let unit = many_m_n(4, 4, hex).map(|digits: Vec<u32>| {
        let unit = digits.iter().fold(0, |unit, digit| unit << 4 | digit);
        Piece::Unit(u16::try_from(unit).unwrap_or_default())
    });
    alt((
        preceded(char('u'), cut(unit)),
        value(Piece::Char('\t'), char('t')),
        value(Piece::Char('\n'), char('n')),
        value(Piece::Char('\u{C}'), char('f')),
        value(Piece::Char('\r'), char('r')),
        map(anychar, Piece::Char),
    ))
    .parse(input)
}

/// Everything up to an unescaped character of `ends`, unescaped.
fn unescaped<'a>(input: &'a str, ends: &str) -> IResult<&'a str, String> {
    let text = take_while1(|c| c != '\\' && !ends.contains(c));
    let piece = alt((map(text, Piece::Text), preceded(char('\\'), escape)));
    let units = fold_many0(piece, Vec::new, |mut units: Vec<u16>, piece: Piece<'a>| {
        match piece {
            Piece::Text(text) => units.extend(text.encode_utf16()),
            Piece::Char(c) => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
            Piece::Unit(unit) => units.push(unit),
        }
        units
    });
    map(units, |units| String::from_utf16_lossy(&units)).parse(input)
}

/// Key, separator and value of a joined line.
fn entry(input: &str) -> IResult<&str, (String, String)> {
    let (input, key) = unescaped(input, " \t\u{C}=:")?;
    let (input, _) = take_while(is_blank).parse(input)?;
    let (input, _) = opt(one_of("=:")).parse(input)?;
    let (input, _) = take_while(is_blank).parse(input)?;
    let (input, value) = unescaped(input, "")?;
    Ok((input, (key, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_know_their_first_line() {
        let text = b"# c\n\na=1\r\nb = x\\\n   y\nc:2\rb=3";
        let found: Vec<(String, String, usize)> = parse(text)
            .unwrap()
            .into_iter()
            .map(|p| (p.key, p.value, p.line))
            .collect();
        let expected = [("a", "1", 3), ("c", "2", 6), ("b", "3", 7)];
        assert_eq!(found.len(), 3, "{found:?}");
        for ((key, value, line), (k, v, l)) in found.iter().zip(expected) {
            assert_eq!((key.as_str(), value.as_str(), *line), (k, v, l));
        }
        assert_eq!(
            parse_every("b=1\nb=2").unwrap().len(),
            2,
            "the caller may want to warn"
        );
    }

    #[test]
    fn a_malformed_escape_names_its_line() {
        assert_eq!(
            parse(b"a=1\n\nb=\\\n\\u12"),
            Err(PropertiesError { line: 3 })
        );
    }

    #[test]
    fn bytes_are_latin_1() {
        assert_eq!(parse(b"k=\xE9").unwrap()[0].value, "é");
        assert_eq!(parse_str("k=é").unwrap()[0].value, "é");
    }
}
