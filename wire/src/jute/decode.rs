//! Owns decoding of Jute primitives with nom. May use nom. Must not copy what it can borrow.

use std::borrow::Cow;

use nom::Parser as _;
use nom::bytes::complete::take;
use nom::number::complete::{be_i32, be_i64, be_u8};

use super::text::java_string;

/// What a decoder yields: the rest of the input and the value.
pub type JuteResult<'a, T> = nom::IResult<&'a [u8], T, DecodeError>;

/// Why bytes are not the record they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{record}.{field}: {kind}, {rest} bytes before the end")]
pub struct DecodeError {
    /// The innermost record that was being read; empty outside any record.
    pub record: &'static str,
    /// The field of that record.
    pub field: &'static str,
    /// What was wrong.
    pub kind: DecodeErrorKind,
    /// Bytes of input that were left where decoding stopped.
    pub rest: usize,
}

/// The kinds of malformed input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The input ends inside a field.
    #[error("input too short")]
    Truncated,
    /// A string's or buffer's length is negative (other than −1) or exceeds the input.
    #[error("unreasonable length {0}")]
    Length(i32),
    /// A null where ZooKeeper dereferences the value.
    #[error("null where a value is needed")]
    Null,
    /// A discriminant that the record does not know.
    #[error("unknown type {0}")]
    UnknownType(i32),
    /// A multi holds both reads and writes.
    #[error("reads and writes mixed in one multi")]
    MixedMulti,
    /// The type to be read has no Jute form.
    #[error("a type that Jute lacks")]
    NotJute,
}

impl DecodeError {
    pub(crate) const fn new(kind: DecodeErrorKind, rest: usize) -> Self {
        Self {
            record: "",
            field: "",
            kind,
            rest,
        }
    }

    /// Names the place, unless a record further in has done so.
    pub(crate) fn within(mut self, record: &'static str, field: &'static str) -> Self {
        if self.record.is_empty() {
            self.record = record;
            self.field = field;
        }
        self
    }
}

impl<'a> nom::error::ParseError<&'a [u8]> for DecodeError {
    fn from_error_kind(input: &'a [u8], _: nom::error::ErrorKind) -> Self {
        Self::new(DecodeErrorKind::Truncated, input.len())
    }

    fn append(_: &'a [u8], _: nom::error::ErrorKind, other: Self) -> Self {
        other
    }
}

pub(crate) const fn fail<'a, T>(kind: DecodeErrorKind, rest: usize) -> JuteResult<'a, T> {
    Err(nom::Err::Failure(DecodeError::new(kind, rest)))
}

/// A value that Jute can hold, read from the front of `input`.
pub trait Decode<'a>: Sized {
    /// Reads one value.
    ///
    /// # Errors
    /// When the input is not such a value; never [`nom::Err::Incomplete`].
    fn decode(input: &'a [u8]) -> JuteResult<'a, Self>;
}

/// Reads one value and ignores what follows, as ZooKeeper does with requests.
///
/// # Errors
/// See [`DecodeErrorKind`].
pub fn decode_all<'a, T: Decode<'a>>(input: &'a [u8]) -> Result<T, DecodeError> {
    decode_prefix(input).map(|(value, _)| value)
}

/// Reads one value and returns it with the bytes behind it.
///
/// # Errors
/// See [`DecodeErrorKind`].
pub fn decode_prefix<'a, T: Decode<'a>>(input: &'a [u8]) -> Result<(T, &'a [u8]), DecodeError> {
    match T::decode(input) {
        Ok((rest, value)) => Ok((value, rest)),
        Err(nom::Err::Error(e) | nom::Err::Failure(e)) => Err(e),
        // Only streaming parsers ask for more, and none is used here.
        Err(nom::Err::Incomplete(_)) => {
            Err(DecodeError::new(DecodeErrorKind::Truncated, input.len()))
        }
    }
}

impl<'a> Decode<'a> for i32 {
    #[inline]
    fn decode(input: &'a [u8]) -> JuteResult<'a, Self> {
        be_i32.parse(input)
    }
}

impl<'a> Decode<'a> for i64 {
    #[inline]
    fn decode(input: &'a [u8]) -> JuteResult<'a, Self> {
        be_i64.parse(input)
    }
}

impl<'a> Decode<'a> for bool {
    #[inline]
    fn decode(input: &'a [u8]) -> JuteResult<'a, Self> {
        be_u8.map(|b| b != 0).parse(input)
    }
}

/// `None` is null; a length of −1.
impl<'a> Decode<'a> for Option<&'a [u8]> {
    #[inline]
    fn decode(input: &'a [u8]) -> JuteResult<'a, Self> {
        let (rest, len) = be_i32.parse(input)?;
        if len == -1 {
            return Ok((rest, None));
        }
        match usize::try_from(len) {
            Ok(n) if n <= rest.len() => take(n).map(Some).parse(rest),
            _ => fail(DecodeErrorKind::Length(len), input.len()),
        }
    }
}

/// A buffer that must not be null.
impl<'a> Decode<'a> for &'a [u8] {
    #[inline]
    fn decode(input: &'a [u8]) -> JuteResult<'a, Self> {
        match Option::<&[u8]>::decode(input)? {
            (rest, Some(bytes)) => Ok((rest, bytes)),
            _ => fail(DecodeErrorKind::Null, input.len()),
        }
    }
}

impl<'a> Decode<'a> for Option<Cow<'a, str>> {
    #[inline]
    fn decode(input: &'a [u8]) -> JuteResult<'a, Self> {
        let (rest, bytes) = Option::<&[u8]>::decode(input)?;
        Ok((rest, bytes.map(java_string)))
    }
}

/// A string that must not be null.
impl<'a> Decode<'a> for Cow<'a, str> {
    #[inline]
    fn decode(input: &'a [u8]) -> JuteResult<'a, Self> {
        let (rest, bytes) = <&[u8]>::decode(input)?;
        Ok((rest, java_string(bytes)))
    }
}

/// `None` is null; any other negative count is an empty vector.
/// Source: `BinaryInputArchive.startVector`, `BinaryIndex.done`.
impl<'a, T: Decode<'a>> Decode<'a> for Option<Vec<T>> {
    fn decode(input: &'a [u8]) -> JuteResult<'a, Self> {
        let (mut rest, count) = be_i32.parse(input)?;
        if count == -1 {
            return Ok((rest, None));
        }
        let count = usize::try_from(count).unwrap_or(0);
        // Every element takes at least a byte, so the claimed count reserves no more than is there.
        let room = rest.len().min(count).min(64);
        let mut items = Vec::with_capacity(room);
        for _ in 0..count {
            let (next, item) = T::decode(rest)?;
            items.push(item);
            rest = next;
        }
        Ok((rest, Some(items)))
    }
}

/// A vector that must not be null.
impl<'a, T: Decode<'a>> Decode<'a> for Vec<T> {
    fn decode(input: &'a [u8]) -> JuteResult<'a, Self> {
        match Option::<Self>::decode(input)? {
            (rest, Some(items)) => Ok((rest, items)),
            _ => fail(DecodeErrorKind::Null, input.len()),
        }
    }
}

impl<'a> Decode<'a> for () {
    fn decode(input: &'a [u8]) -> JuteResult<'a, Self> {
        Ok((input, ()))
    }
}
