//! Owns how fields of records are read through serde. Must not copy what can be borrowed, which
//! serde's own impls for `Cow` and `Option<&[u8]>` do or refuse.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserializer, SeqAccess, Visitor};

/// A field of a record. `'de` is the input's lifetime.
pub trait Field<'de>: Sized {
    /// Reads the field.
    ///
    /// # Errors
    /// The deserializer's.
    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

/// Reads a [`Field`] where serde wants a seed.
pub(crate) struct Seed<T>(PhantomData<T>);

impl<T> Seed<T> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T: Field<'de>> de::DeserializeSeed<'de> for Seed<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::read(deserializer)
    }
}

/// The next field of a record.
pub(crate) fn next<'de, T: Field<'de>, A: SeqAccess<'de>>(
    fields: &mut A,
    name: &'static str,
) -> Result<T, A::Error> {
    fields
        .next_element_seed(Seed::new())?
        .ok_or_else(|| de::Error::missing_field(name))
}

macro_rules! primitive {
    ($($ty:ty),*) => {$(
        impl<'de> Field<'de> for $ty {
            fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                serde::Deserialize::deserialize(deserializer)
            }
        }
    )*};
}
primitive!(bool, i32, i64, &'de [u8]);

struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text))
    }
}

impl<'de> Field<'de> for Cow<'de, str> {
    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

struct Nullable<T>(PhantomData<T>);

impl<'de, T: Field<'de>> Visitor<'de> for Nullable<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        T::read(deserializer).map(Some)
    }
}

impl<'de, T: Field<'de>> Field<'de> for Option<T> {
    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(Nullable(PhantomData))
    }
}

struct Many<T>(PhantomData<T>);

impl<'de, T: Field<'de>> Visitor<'de> for Many<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vector")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::with_capacity(elements.size_hint().unwrap_or(0).min(64));
        while let Some(item) = elements.next_element_seed(Seed::new())? {
            items.push(item);
        }
        Ok(items)
    }
}

impl<'de, T: Field<'de>> Field<'de> for Vec<T> {
    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Many(PhantomData))
    }
}

/// Gives a record its `Deserialize`: fields in order, each a [`Field`].
macro_rules! deserialize_record {
    ($name:ident, $ty:ty { $($field:ident),* }) => {
        impl<'de> serde::Deserialize<'de> for $ty {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields<'de>(std::marker::PhantomData<&'de ()>);

                impl<'de> serde::de::Visitor<'de> for Fields<'de> {
                    type Value = $ty;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(stringify!($name))
                    }

                    #[allow(unused_mut, unused_variables)]
                    fn visit_seq<A: serde::de::SeqAccess<'de>>(
                        self,
                        mut fields: A,
                    ) -> Result<Self::Value, A::Error> {
                        Ok($name {
                            $($field: $crate::jute::next_field(&mut fields, stringify!($field))?,)*
                        })
                    }
                }

                deserializer.deserialize_struct(
                    stringify!($name),
                    &[$(stringify!($field)),*],
                    Fields(std::marker::PhantomData),
                )
            }
        }

        impl<'de> $crate::jute::Field<'de> for $ty {
            fn read<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                serde::Deserialize::deserialize(deserializer)
            }
        }
    };
}
pub(crate) use deserialize_record;
