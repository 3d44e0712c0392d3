//! Owns the question whether a text is an X.500 name, as Java's `X500Principal` reads it. Must not
//! compare names: the scheme compares text.

/// Attribute types that have a name; others are written as object identifiers.
const KEYWORDS: [&str; 21] = [
    "CN",
    "C",
    "L",
    "S",
    "ST",
    "O",
    "OU",
    "T",
    "IP",
    "STREET",
    "DC",
    "DNQUALIFIER",
    "DNQ",
    "SURNAME",
    "GIVENNAME",
    "INITIALS",
    "GENERATION",
    "EMAIL",
    "EMAILADDRESS",
    "UID",
    "SERIALNUMBER",
];

/// Whether `text` is a distinguished name: `CN=a+UID=b, O="c"`. The empty text is one.
/// Source: `X509AuthenticationProvider.isValid`.
pub(super) fn is_name(text: &str) -> bool {
    text.is_empty() || pieces(text, &[',', ';']).all(|rdn| pieces(rdn, &['+']).all(is_attribute))
}

/// Splits at separators that are neither quoted nor escaped.
fn pieces<'a>(text: &'a str, separators: &'static [char]) -> impl Iterator<Item = &'a str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let separates = !quoted && !escaped && separators.contains(&c);
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        separates
    })
}

fn is_attribute(text: &str) -> bool {
    text.split_once('=')
        .is_some_and(|(name, value)| is_type(name) && is_value(value))
}

fn is_type(name: &str) -> bool {
    let name = name.trim_matches(|c| c <= ' ');
    if KEYWORDS
        .iter()
        .any(|keyword| keyword.eq_ignore_ascii_case(name))
    {
        return true;
    }
    let numbers = match name.get(..4) {
        Some(prefix) if prefix.eq_ignore_ascii_case("OID.") => name.get(4..).unwrap_or_default(),
        _ => name,
    };
    is_object_identifier(numbers)
}

/// Numbers with dots between: at least two, the first up to 2, the second up to 39 below 2.
fn is_object_identifier(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let mut parts = text.split('.');
    let first = parts
        .next()
        .filter(|part| is_number(part))
        .and_then(|part| part.parse().ok());
    let second = parts.next().filter(|part| is_number(part));
    let second = second.map(|part| part.parse::<u64>().unwrap_or(u64::MAX));
    match (first, second) {
        (Some(0u8 | 1), Some(second)) => second <= 39 && parts.all(is_number),
        (Some(2), Some(_)) => parts.all(is_number),
        _ => false,
    }
}

fn is_value(value: &str) -> bool {
    let value = value.trim_start_matches([' ', '\n']);
    if let Some(hex) = value.strip_prefix('#') {
        return is_encoded(hex);
    }
    if let Some(quoted) = value.strip_prefix('"') {
        return is_quoted(quoted);
    }
    is_plain(value)
}

/// A value in DER, as hexadecimal digits: a tag, a length in up to four bytes, that many bytes.
fn is_encoded(text: &str) -> bool {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return false;
    }
    let byte = |index: usize| {
        let digits = text.get(2 * index..2 * index + 2)?;
        usize::from_str_radix(digits, 16).ok()
    };
    let Some(first) = byte(1) else { return false };
    let (length, header) = if first < 0x80 {
        (Some(first), 2)
    } else {
        let more = first - 0x80;
        let bytes = (1..=4).contains(&more).then(|| (2..2 + more).map(byte));
        let fold = |sum: usize, byte: Option<usize>| Some(sum << 8 | byte?);
        (
            bytes.and_then(|mut bytes| bytes.try_fold(0, fold)),
            2 + more,
        )
    };
    length.is_some_and(|length| header + length == text.len() / 2)
}

/// What follows an opening quote: up to the closing one, then only blanks.
fn is_quoted(text: &str) -> bool {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            '"' => return rest.chars().all(|c| matches!(c, ' ' | '\n')),
            '\\' => match after_escape(rest) {
                Some(behind) => rest = behind,
                None => return false,
            },
            _ => {}
        }
    }
    false
}

fn is_plain(text: &str) -> bool {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        if c == '\\' {
            match after_escape(rest) {
                Some(behind) => rest = behind,
                None => return false,
            }
        } else if matches!(c, ',' | '+' | '<' | '>' | ';' | '"') {
            return false;
        }
    }
    true
}

/// What is left behind a backslash's operand: a special character or two hexadecimal digits.
fn after_escape(text: &str) -> Option<&str> {
    let first = text.chars().next()?;
    if text
        .get(..2)
        .is_some_and(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()))
    {
        return text.get(2..);
    }
    let special = matches!(
        first,
        ',' | '+' | '<' | '>' | ';' | '"' | '\\' | '=' | '#' | ' ' | '\n'
    );
    special.then(|| text.get(first.len_utf8()..)).flatten()
}
