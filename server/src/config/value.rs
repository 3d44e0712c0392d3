//! Owns how values are read: the ways ZooKeeper reads numbers and words out of Java properties. May
//! use nothing. Must not know any key.
//!
//! ZooKeeper reads a value in one of two ways, and users meet both:
//!
//! * keys that `QuorumPeerConfig` knows are read strictly: a wrong value stops the start;
//! * keys that become Java system properties are read with `Integer.getInteger`,
//!   `Boolean.getBoolean` and the like: a wrong value silently means the default. Here it means the
//!   default with a warning.

use std::fmt::Display;

/// What became of a value that did not stop the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taken {
    /// As written.
    Exactly,
    /// The value was not usable and something else holds now: one sentence for the log.
    Adjusted(String),
    /// The value changes nothing in this server; the key's status says why.
    NoEffect,
}

/// Why a value stops the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The value is wrong; the text says what is allowed.
    Invalid(String),
    /// The value is right for ZooKeeper, and this version cannot do it; the key's status says why.
    Unsupported,
}

/// The outcome of applying one value.
pub(crate) type Applied = Result<Taken, Refused>;

/// Whether a Java method of the given name would take `text` for true (`Boolean.parseBoolean`).
pub(crate) fn java_true(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}

/// `Integer.decode`, the grammar behind `Integer.getInteger`: a sign, then decimal, `0x`, `#` or
/// octal digits with a leading zero.
pub(crate) fn decode(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hex = ["0x", "0X", "#"]
        .iter()
        .find_map(|prefix| digits.strip_prefix(prefix));
    let octal = digits.strip_prefix('0').filter(|rest| !rest.is_empty());
    let (radix, digits) = match (hex, octal) {
        (Some(digits), _) => (16, digits),
        (None, Some(digits)) => (8, digits),
        (None, None) => (10, digits),
    };
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// A number that a setting can hold.
pub(crate) trait Number: Copy + Display + TryFrom<i64> {}

impl<T: Copy + Display + TryFrom<i64>> Number for T {}

/// `Integer.parseInt` for a key whose wrong value stops the start.
pub(crate) fn strict_int<T: Number>(text: &str, min: i32, max: i32, field: &mut T) -> Applied {
    let value = text
        .parse::<i32>()
        .ok()
        .filter(|value| (min..=max).contains(value));
    match value.and_then(|value| T::try_from(i64::from(value)).ok()) {
        Some(value) => {
            *field = value;
            Ok(Taken::Exactly)
        }
        None => Err(Refused::Invalid(format!(
            "a whole number from {min} to {max}"
        ))),
    }
}

/// `Long.parseLong` for a key whose wrong value stops the start.
pub(crate) fn strict_long(text: &str, field: &mut i64) -> Applied {
    match text.parse::<i64>() {
        Ok(value) => {
            *field = value;
            Ok(Taken::Exactly)
        }
        Err(_) => Err(Refused::Invalid("a whole number of 64 bits".into())),
    }
}

/// `QuorumPeerConfig.parseBoolean`: `true` or `false` in any case, nothing else.
pub(crate) fn strict_bool(text: &str, field: &mut bool) -> Applied {
    if java_true(text) {
        *field = true;
    } else if text.eq_ignore_ascii_case("false") {
        *field = false;
    } else {
        return Err(Refused::Invalid("true or false".into()));
    }
    Ok(Taken::Exactly)
}

/// `Integer.getInteger` for a number where anything below `min` makes no sense: ZooKeeper's default
/// stays when the text is no number, and the least sensible number is taken when it is too small.
pub(crate) fn lenient_int<T: Number>(text: &str, min: i32, field: &mut T) -> Applied {
    lenient(text, i64::from(min), i64::from(i32::MAX), field)
}

/// `Long.getLong`, likewise.
pub(crate) fn lenient_long(text: &str, min: i64, field: &mut i64) -> Applied {
    lenient(text, min, i64::MAX, field)
}

fn lenient<T: Number>(text: &str, min: i64, max: i64, field: &mut T) -> Applied {
    let value = decode(text).filter(|value| *value <= max);
    match value.and_then(|value| Some((value, T::try_from(value.max(min)).ok()?))) {
        Some((value, taken)) => {
            *field = taken;
            if value >= min {
                return Ok(Taken::Exactly);
            }
            Ok(Taken::Adjusted(format!(
                "is below the least that makes sense; {min} holds"
            )))
        }
        None => Ok(Taken::Adjusted(format!(
            "is not a whole number up to {max}; as in ZooKeeper the default holds: {field}"
        ))),
    }
}

/// `Boolean.getBoolean`: `true` in any case is true, anything else is false.
pub(crate) fn lenient_bool(text: &str, field: &mut bool) -> Applied {
    *field = java_true(text);
    if *field || text.eq_ignore_ascii_case("false") {
        return Ok(Taken::Exactly);
    }
    Ok(Taken::Adjusted(
        "is neither true nor false; as in ZooKeeper it means false".into(),
    ))
}

/// `Double.parseDouble`, whose failure stops ZooKeeper too.
pub(crate) fn strict_f64(text: &str, min: f64, max: f64, field: &mut f64) -> Applied {
    let digits = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    match digits.parse::<f64>() {
        Ok(value) if value >= min && value <= max => {
            *field = value;
            Ok(Taken::Exactly)
        }
        _ => Err(Refused::Invalid(format!("a number from {min} to {max}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_reads_what_integer_decode_reads() {
        let good = [
            ("0", 0),
            ("7", 7),
            ("+7", 7),
            ("-7", -7),
            ("0x10", 16),
            ("0XfF", 255),
            ("#10", 16),
            ("010", 8),
            ("-010", -8),
            ("00", 0),
            ("-0x8", -8),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ];
        for (text, value) in good {
            assert_eq!(decode(text), Some(value), "{text}");
        }
        for text in [
            "",
            "-",
            "+",
            "0x",
            "#",
            "--1",
            "0x-1",
            "1.5",
            "ten",
            "08",
            " 1",
            "1 ",
            "1_0",
            "9223372036854775808",
        ] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn strict_numbers_are_decimal_only() {
        let mut field = 5_i64;
        for text in ["", "0x10", "1.0", "2147483648", "abc", "1k"] {
            assert!(
                matches!(
                    strict_int(text, i32::MIN, i32::MAX, &mut field),
                    Err(Refused::Invalid(_))
                ),
                "{text}"
            );
        }
        assert_eq!(field, 5);
        assert_eq!(
            strict_int("-12", i32::MIN, i32::MAX, &mut field),
            Ok(Taken::Exactly)
        );
        assert_eq!(field, -12);
        assert!(strict_int("70000", 0, 65_535, &mut field).is_err());
    }

    #[test]
    fn lenient_numbers_keep_the_default_and_say_so() {
        let mut field = 1000_usize;
        assert!(matches!(
            lenient_int("many", 0, &mut field),
            Ok(Taken::Adjusted(_))
        ));
        assert!(matches!(
            lenient_int("4294967296", 0, &mut field),
            Ok(Taken::Adjusted(_))
        ));
        assert_eq!(field, 1000);
        assert!(matches!(
            lenient_int("-5", 0, &mut field),
            Ok(Taken::Adjusted(_))
        ));
        assert_eq!(field, 0);
        assert_eq!(lenient_int("0x20", 0, &mut field), Ok(Taken::Exactly));
        assert_eq!(field, 32);
    }

    #[test]
    fn booleans_differ_by_strictness() {
        let mut field = true;
        assert!(strict_bool("yes", &mut field).is_err());
        assert!(field);
        assert_eq!(strict_bool("FALSE", &mut field), Ok(Taken::Exactly));
        assert!(!field);
        assert_eq!(lenient_bool("True", &mut field), Ok(Taken::Exactly));
        assert!(field);
        assert!(matches!(
            lenient_bool("yes", &mut field),
            Ok(Taken::Adjusted(_))
        ));
        assert!(!field);
    }

    #[test]
    fn doubles_have_bounds() {
        let mut field = 0.5;
        for text in ["", "x", "NaN", "2", "-0.1"] {
            assert!(strict_f64(text, 0.0, 1.0, &mut field).is_err(), "{text}");
        }
        assert_eq!(
            strict_f64("1e-2d", 0.0, 1.0, &mut field),
            Ok(Taken::Exactly)
        );
        assert!((field - 0.01).abs() < f64::EPSILON);
    }
}
