//! Owns encoding: a serde serializer that writes Jute through byteorder. Must not buffer.

use std::fmt::Display;
use std::io;

use byteorder::{BigEndian, WriteBytesExt as _};
use serde::ser::{self, Serialize};

use super::text::{needs_cesu, write_java_utf8};

/// Why a value could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The sink refused the bytes.
    #[error("writing failed: {0}")]
    Io(#[from] io::Error),
    /// Jute has no such type, or a length exceeds 2³¹−1.
    #[error("not representable in Jute: {0}")]
    Unsupported(String),
}

impl ser::Error for EncodeError {
    fn custom<T: Display>(message: T) -> Self {
        Self::Unsupported(message.to_string())
    }
}

/// Writes `value` to `sink`.
///
/// # Errors
/// When the sink fails or the value has a type that Jute lacks.
pub fn to_writer<W: io::Write, T: Serialize + ?Sized>(
    sink: &mut W,
    value: &T,
) -> Result<(), EncodeError> {
    value.serialize(&mut Serializer { sink })
}

/// Appends `value` to `buffer`. A record of this crate always can be written, so there is no error
/// to return; a value that Jute cannot hold leaves the buffer as far as it came.
#[inline]
pub fn append<T: Serialize + ?Sized>(buffer: &mut Vec<u8>, value: &T) {
    let written = to_writer(buffer, value);
    debug_assert!(written.is_ok(), "not a Jute record: {written:?}");
}

/// Encodes `value` into a buffer of its own; see [`append`].
#[must_use]
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut buffer = Vec::new();
    append(&mut buffer, value);
    buffer
}

struct Serializer<'w, W> {
    sink: &'w mut W,
}

fn unsupported<T>(what: &str) -> Result<T, EncodeError> {
    Err(EncodeError::Unsupported(what.to_owned()))
}

impl<W: io::Write> Serializer<'_, W> {
    fn length(&mut self, len: usize) -> Result<(), EncodeError> {
        let Ok(len) = i32::try_from(len) else {
            return unsupported("a length above 2^31-1");
        };
        Ok(self.sink.write_i32::<BigEndian>(len)?)
    }
}

macro_rules! refuse {
    ($($method:ident: $ty:ty),*) => {
        $(fn $method(self, _: $ty) -> Result<(), EncodeError> {
            unsupported(stringify!($ty))
        })*
    };
}

impl<W: io::Write> ser::Serializer for &mut Serializer<'_, W> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = ser::Impossible<(), EncodeError>;
    type SerializeMap = ser::Impossible<(), EncodeError>;
    type SerializeStruct = Self;
    type SerializeStructVariant = ser::Impossible<(), EncodeError>;

    refuse!(serialize_i16: i16, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_f32: f32, serialize_f64: f64, serialize_char: char);

    #[inline]
    fn serialize_bool(self, v: bool) -> Result<(), EncodeError> {
        Ok(self.sink.write_u8(u8::from(v))?)
    }

    fn serialize_i8(self, v: i8) -> Result<(), EncodeError> {
        Ok(self.sink.write_i8(v)?)
    }

    fn serialize_u8(self, v: u8) -> Result<(), EncodeError> {
        Ok(self.sink.write_u8(v)?)
    }

    #[inline]
    fn serialize_i32(self, v: i32) -> Result<(), EncodeError> {
        Ok(self.sink.write_i32::<BigEndian>(v)?)
    }

    #[inline]
    fn serialize_i64(self, v: i64) -> Result<(), EncodeError> {
        Ok(self.sink.write_i64::<BigEndian>(v)?)
    }

    #[inline]
    fn serialize_str(self, v: &str) -> Result<(), EncodeError> {
        if needs_cesu(v) {
            let mut bytes = Vec::with_capacity(v.len() * 2);
            write_java_utf8(&mut bytes, v);
            return self.serialize_bytes(&bytes);
        }
        self.serialize_bytes(v.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, v: &[u8]) -> Result<(), EncodeError> {
        self.length(v.len())?;
        Ok(self.sink.write_all(v)?)
    }

    #[inline]
    fn serialize_none(self) -> Result<(), EncodeError> {
        Ok(self.sink.write_i32::<BigEndian>(-1)?)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeError> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), EncodeError> {
        unsupported(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: &T,
    ) -> Result<(), EncodeError> {
        unsupported(variant)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Self, EncodeError> {
        let Some(len) = len else {
            return unsupported("a sequence of unknown length");
        };
        self.length(len)?;
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, EncodeError> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, EncodeError> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, EncodeError> {
        unsupported(variant)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, EncodeError> {
        unsupported("a map")
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, EncodeError> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, EncodeError> {
        unsupported(variant)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

macro_rules! compound {
    ($($trait:ident :: $method:ident),*) => {$(
        impl<W: io::Write> ser::$trait for &mut Serializer<'_, W> {
            type Ok = ();
            type Error = EncodeError;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                value.serialize(&mut **self)
            }

            #[inline]
            fn end(self) -> Result<(), EncodeError> {
                Ok(())
            }
        }
    )*};
}
compound!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field
);

impl<W: io::Write> ser::SerializeStruct for &mut Serializer<'_, W> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        _: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        value.serialize(&mut **self)
    }

    #[inline]
    fn end(self) -> Result<(), EncodeError> {
        Ok(())
    }
}
