//! Owns decoding through serde: a deserializer that reads Jute through byteorder and borrows from
//! the input. Must accept exactly what the nom decoders accept.

use std::fmt::Display;

use byteorder::{BigEndian, ReadBytesExt as _};
use serde::de::{self, DeserializeSeed, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::decode::{DecodeError, DecodeErrorKind};
use super::text::java_string;

/// Reads one value and ignores what follows; see [`from_prefix`].
///
/// # Errors
/// See [`DecodeErrorKind`].
pub fn from_slice<'de, T: Deserialize<'de>>(input: &'de [u8]) -> Result<T, DecodeError> {
    from_prefix(input).map(|(value, _)| value)
}

/// Reads one value and returns it with the bytes behind it. Errors do not name record and field,
/// which only the nom decoders know.
///
/// # Errors
/// See [`DecodeErrorKind`].
pub fn from_prefix<'de, T: Deserialize<'de>>(
    input: &'de [u8],
) -> Result<(T, &'de [u8]), DecodeError> {
    from_prefix_within(input, i32::MAX)
}

/// Like [`from_prefix`], and no string or buffer may be longer than `limit` bytes.
/// Source: `BinaryInputArchive.checkLength`.
///
/// # Errors
/// See [`DecodeErrorKind`].
pub fn from_prefix_within<'de, T: Deserialize<'de>>(
    input: &'de [u8],
    limit: i32,
) -> Result<(T, &'de [u8]), DecodeError> {
    let mut deserializer = Deserializer { rest: input, limit };
    let value = T::deserialize(&mut deserializer)?;
    Ok((value, deserializer.rest))
}

impl de::Error for DecodeError {
    fn custom<T: Display>(_: T) -> Self {
        Self::new(DecodeErrorKind::NotJute, 0)
    }
}

struct Deserializer<'de> {
    rest: &'de [u8],
    limit: i32,
}

impl<'de> Deserializer<'de> {
    const fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError::new(kind, self.rest.len())
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        let truncated = self.error(DecodeErrorKind::Truncated);
        self.rest.read_u8().map_err(|_| truncated)
    }

    fn int(&mut self) -> Result<i32, DecodeError> {
        let truncated = self.error(DecodeErrorKind::Truncated);
        self.rest.read_i32::<BigEndian>().map_err(|_| truncated)
    }

    fn long(&mut self) -> Result<i64, DecodeError> {
        let truncated = self.error(DecodeErrorKind::Truncated);
        self.rest.read_i64::<BigEndian>().map_err(|_| truncated)
    }

    /// A buffer that is not null.
    fn buffer(&mut self) -> Result<&'de [u8], DecodeError> {
        let start = self.error(DecodeErrorKind::Null);
        let length = self.int()?;
        if length == -1 {
            return Err(start);
        }
        let split = usize::try_from(length)
            .ok()
            .filter(|_| length <= self.limit)
            .and_then(|length| self.rest.split_at_checked(length));
        match split {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => Err(DecodeError::new(
                DecodeErrorKind::Length(length),
                start.rest,
            )),
        }
    }

    /// Whether a null is next; it is consumed then.
    fn null(&mut self) -> Result<bool, DecodeError> {
        let before = self.rest;
        let null = self.int()? == -1;
        if !null {
            self.rest = before;
        }
        Ok(null)
    }
}

macro_rules! refuse {
    ($($method:ident),*) => {
        $(fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DecodeError> {
            Err(self.error(DecodeErrorKind::NotJute))
        })*
    };
}

impl<'de> de::Deserializer<'de> for &mut Deserializer<'de> {
    type Error = DecodeError;

    // Jute does not say what is next, so a value must know what it wants.
    refuse!(
        deserialize_any,
        deserialize_ignored_any,
        deserialize_i16,
        deserialize_u16,
        deserialize_u32,
        deserialize_u64,
        deserialize_f32,
        deserialize_f64,
        deserialize_char,
        deserialize_map,
        deserialize_identifier
    );

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_bool(self.byte()? != 0)
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_i8(self.byte()?.cast_signed())
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_u8(self.byte()?)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_i32(self.int()?)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_i64(self.long()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match java_string(self.buffer()?) {
            std::borrow::Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            std::borrow::Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_borrowed_bytes(self.buffer()?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.null()? {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.null()? {
            return Err(self.error(DecodeErrorKind::Null));
        }
        let left = usize::try_from(self.int()?).unwrap_or(0);
        visitor.visit_seq(Elements { from: self, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_seq(Elements { from: self, left })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_tuple(left, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, DecodeError> {
        Err(self.error(DecodeErrorKind::NotJute))
    }

    forward_to_deserialize_any! { i128 u128 }

    fn is_human_readable(&self) -> bool {
        false
    }
}

struct Elements<'a, 'de> {
    from: &'a mut Deserializer<'de>,
    left: usize,
}

impl<'de> de::SeqAccess<'de> for Elements<'_, 'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.from).map(Some)
    }

    /// No more than the input could hold, whatever count it claims.
    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(self.from.rest.len()).min(64))
    }
}
