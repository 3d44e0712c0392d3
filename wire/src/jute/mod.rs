//! Owns the Jute encoding. Encoding is a serde serializer over byteorder; records are decoded with
//! nom, or through a serde deserializer, borrowing from the frame in both cases. May use serde, byteorder, nom. Must not know
//! any particular record.
//!
//! Jute has no tags and no padding: fields follow each other in schema order, integers are
//! big-endian, strings, buffers and vectors carry an `int` length where −1 means null.
//! Source: `BinaryInputArchive`, `BinaryOutputArchive`.

mod de;
mod decode;
mod field;
mod ser;
mod text;

pub use de::{from_prefix, from_prefix_within, from_slice};
pub(crate) use decode::fail;
pub use decode::{Decode, DecodeError, DecodeErrorKind, JuteResult, decode_all, decode_prefix};
pub use field::Field;
pub(crate) use field::{deserialize_record, next as next_field};
pub use ser::{EncodeError, append, to_vec, to_writer};
pub use text::{java_string, write_java_utf8};

/// Declares a record: the struct, its serde impls both ways, and its nom decoder, field by field
/// in schema order.
macro_rules! record {
    ($(#[$meta:meta])* pub struct $name:ident<$lt:lifetime> {
        $($(#[$fmeta:meta])* pub $field:ident : $ty:ty),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
        pub struct $name<$lt> { $($(#[$fmeta])* pub $field: $ty),* }

        $crate::jute::deserialize_record!($name, $name<'de> { $($field),* });

        impl<$lt> $crate::jute::Decode<$lt> for $name<$lt> {
            #[allow(unused_mut, unused_variables)]
            fn decode(input: &$lt [u8]) -> $crate::jute::JuteResult<$lt, Self> {
                $(let (input, $field) = $crate::jute::Decode::decode(input)
                    .map_err(|e: nom::Err<$crate::jute::DecodeError>| e.map(
                        |e| e.within(stringify!($name), stringify!($field))))?;)*
                Ok((input, Self { $($field),* }))
            }
        }
    };
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$fmeta:meta])* pub $field:ident : $ty:ty),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty),* }

        $crate::jute::deserialize_record!($name, $name { $($field),* });

        impl<'a> $crate::jute::Decode<'a> for $name {
            #[allow(unused_mut, unused_variables)]
            fn decode(input: &'a [u8]) -> $crate::jute::JuteResult<'a, Self> {
                $(let (input, $field) = $crate::jute::Decode::decode(input)
                    .map_err(|e: nom::Err<$crate::jute::DecodeError>| e.map(
                        |e| e.within(stringify!($name), stringify!($field))))?;)*
                Ok((input, Self { $($field),* }))
            }
        }
    };
}
pub(crate) use record;
