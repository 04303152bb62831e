//! Fields whose type prost generated, which `#[prost]` marks. Under postcard such a value is its protobuf bytes.

use std::{
    collections::{BTreeMap, HashMap},
    marker::PhantomData,
};

use bytes::{Bytes, BytesMut};
use prost::{Message, encoding::WireType};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    DecodeError, Field, FieldType, Input, Key, Schema, Value, ValueType,
    encode::{delimited, key, varint},
    field::{Wire, WireRef},
};

/// A type that a field with `#[prost]` can have. `Shape` is found by the compiler, and keeps the implementations apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no message that prost generated",
    label = "`#[prost]` is for types that prost generated",
    note = "a field with `#[prost]` is such a type, or an Option, Box, Vec, HashMap or BTreeMap of it; other fields do not need the attribute"
)]
pub trait ProstField<Shape>: Sized {
    #[doc(hidden)]
    fn put(&self, tag: u32, out: &mut BytesMut);

    #[doc(hidden)]
    fn take(
        slot: &mut Option<Self>,
        wire: WireType,
        input: &mut Input<'_>,
    ) -> Result<(), DecodeError>;

    #[doc(hidden)]
    fn absent() -> Self;

    #[doc(hidden)]
    #[inline]
    fn finish(slot: Option<Self>, _: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(slot.unwrap_or_else(Self::absent))
    }

    #[doc(hidden)]
    fn field_type(schema: &mut Schema) -> FieldType;

    #[doc(hidden)]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

    #[doc(hidden)]
    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

/// A type that a variant of an enum with `#[prost]` can hold: a message, boxed or not.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of a variant with `#[prost]`",
    label = "neither a message that prost generated nor a Box of one"
)]
pub trait ProstValue<Shape>: ProstField<Shape> {
    #[doc(hidden)]
    fn value_type(schema: &mut Schema) -> ValueType;
}

impl<M: Message + Default + 'static> ProstValue<One> for M {
    fn value_type(schema: &mut Schema) -> ValueType {
        schema.prost::<Self>()
    }
}

impl<S, T: ProstValue<S>> ProstValue<Boxed<S>> for Box<T> {
    fn value_type(schema: &mut Schema) -> ValueType {
        T::value_type(schema)
    }
}

/// The shape of a message itself.
#[derive(Debug)]
pub struct One;

/// The shape of an `Option` of something.
#[derive(Debug)]
pub struct Maybe<S>(PhantomData<S>);

/// The shape of a `Box` of something.
#[derive(Debug)]
pub struct Boxed<S>(PhantomData<S>);

/// The shape of a `Vec`.
#[derive(Debug)]
pub struct Many;

/// The shape of a map.
#[derive(Debug)]
pub struct Mapped<K>(PhantomData<K>);

/// What `#[serde(with)]` calls.
///
/// # Errors
/// The serializer's.
#[inline]
pub fn serialize<T: ProstField<K>, K, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    value.serialize(serializer)
}

/// What `#[serde(with)]` calls.
///
/// # Errors
/// The deserializer's, or the bytes are not such a message.
#[inline]
pub fn deserialize<'de, T: ProstField<K>, K, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    T::deserialize(deserializer)
}

impl<M: Message + Default + 'static> ProstField<One> for M {
    fn put(&self, tag: u32, out: &mut BytesMut) {
        key(tag, WireType::LengthDelimited, out);
        varint(self.encoded_len() as u64, out);
        self.encode_raw(out);
    }

    fn take(
        slot: &mut Option<Self>,
        wire: WireType,
        input: &mut Input<'_>,
    ) -> Result<(), DecodeError> {
        input.expect(WireType::LengthDelimited, wire)?;
        let bytes = input.bytes()?;
        slot.get_or_insert_default().merge(bytes)?;
        Ok(())
    }

    fn absent() -> Self {
        Self::default()
    }

    fn field_type(schema: &mut Schema) -> FieldType {
        FieldType::Singular(schema.prost::<Self>())
    }

    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        AsBytes(self).serialize(serializer)
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        FromBytes::deserialize(deserializer).map(|FromBytes(message)| message)
    }
}

impl<S, T: ProstField<S>> ProstField<Maybe<S>> for Option<T> {
    fn put(&self, tag: u32, out: &mut BytesMut) {
        if let Some(value) = self {
            value.put(tag, out);
        }
    }

    fn take(
        slot: &mut Option<Self>,
        wire: WireType,
        input: &mut Input<'_>,
    ) -> Result<(), DecodeError> {
        T::take(slot.get_or_insert_default(), wire, input)
    }

    fn absent() -> Self {
        None
    }

    fn field_type(schema: &mut Schema) -> FieldType {
        match T::field_type(schema) {
            FieldType::Singular(value) => FieldType::Optional(value),
            other => other,
        }
    }

    fn serialize<R: Serializer>(&self, serializer: R) -> Result<R::Ok, R::Error> {
        match self {
            Some(value) => serializer.serialize_some(&Shaped::<_, S>(value, PhantomData)),
            None => serializer.serialize_none(),
        }
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<Owned<T, S>>::deserialize(deserializer)?.map(|value| value.0))
    }
}

impl<S, T: ProstField<S>> ProstField<Boxed<S>> for Box<T> {
    fn put(&self, tag: u32, out: &mut BytesMut) {
        T::put(self, tag, out);
    }

    fn take(
        slot: &mut Option<Self>,
        wire: WireType,
        input: &mut Input<'_>,
    ) -> Result<(), DecodeError> {
        input.budget().charge_many::<T>(1)?;
        let mut inner = slot.take().map(|boxed| *boxed);
        T::take(&mut inner, wire, input)?;
        *slot = inner.map(Self::new);
        Ok(())
    }

    fn absent() -> Self {
        Self::new(T::absent())
    }

    fn field_type(schema: &mut Schema) -> FieldType {
        T::field_type(schema)
    }

    fn serialize<R: Serializer>(&self, serializer: R) -> Result<R::Ok, R::Error> {
        T::serialize(self, serializer)
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::new)
    }
}

impl<M: Message + Default + 'static> ProstField<Many> for Vec<M> {
    fn put(&self, tag: u32, out: &mut BytesMut) {
        for message in self {
            message.put(tag, out);
        }
    }

    fn take(
        slot: &mut Option<Self>,
        wire: WireType,
        input: &mut Input<'_>,
    ) -> Result<(), DecodeError> {
        input.expect(WireType::LengthDelimited, wire)?;
        input.budget().charge_many::<M>(1)?;
        let message = M::decode(input.bytes()?)?;
        slot.get_or_insert_default().push(message);
        Ok(())
    }

    fn absent() -> Self {
        Self::new()
    }

    fn field_type(schema: &mut Schema) -> FieldType {
        FieldType::Repeated(schema.prost::<M>())
    }

    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(AsBytes))
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let messages = Vec::<FromBytes<M>>::deserialize(deserializer)?;
        Ok(messages.into_iter().map(|message| message.0).collect())
    }
}

macro_rules! map {
    ($map:ident) => {
        impl<K: Key, M: Message + Default + 'static> ProstField<Mapped<K>> for $map<K, M> {
            fn put(&self, tag: u32, out: &mut BytesMut) {
                for (entry_key, message) in self {
                    key(tag, WireType::LengthDelimited, out);
                    delimited(out, |out| {
                        Field::put(entry_key, 1, out);
                        if message.encoded_len() != 0 {
                            message.put(2, out);
                        }
                    });
                }
            }

            fn take(
                slot: &mut Option<Self>,
                wire: WireType,
                input: &mut Input<'_>,
            ) -> Result<(), DecodeError> {
                input.expect(WireType::LengthDelimited, wire)?;
                input.budget().charge_many::<(K, M)>(2)?;
                let (key, message) = input.nested(|input| {
                    let mut key = None;
                    let mut message = None;
                    while let Some((tag, wire)) = input.key()? {
                        match tag {
                            1 => <K as Field>::take(&mut key, wire, input)?,
                            2 => M::take(&mut message, wire, input)?,
                            _ => input.skip(tag, wire)?,
                        }
                    }
                    Ok((
                        <K as Field>::finish(key, input)?,
                        message.unwrap_or_default(),
                    ))
                })?;
                slot.get_or_insert_default().insert(key, message);
                Ok(())
            }

            fn absent() -> Self {
                Self::new()
            }

            fn field_type(schema: &mut Schema) -> FieldType {
                FieldType::Map(K::value_type(schema), schema.prost::<M>())
            }

            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(
                    self.iter()
                        .map(|(key, message)| (WireRef(key), AsBytes(message))),
                )
            }

            fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let map = $map::<MapKey<K>, FromBytes<M>>::deserialize(deserializer)?;
                Ok(map
                    .into_iter()
                    .map(|(key, message)| (key.0, message.0))
                    .collect())
            }
        }
    };
}

map!(HashMap);
map!(BTreeMap);

/// A key as serde reads it.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
struct MapKey<K>(K);

impl<'de, K: Key> Deserialize<'de> for MapKey<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer).map(|Wire(key)| Self(key))
    }
}

/// A message as serde sees it: its protobuf bytes.
struct AsBytes<'a, M>(&'a M);

impl<M: Message> Serialize for AsBytes<'_, M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0.encode_to_vec())
    }
}

struct FromBytes<M>(M);

impl<'de, M: Message + Default> Deserialize<'de> for FromBytes<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <Bytes as Value>::deserialize(deserializer)?;
        M::decode(bytes).map(Self).map_err(de::Error::custom)
    }
}

/// A field as serde sees it inside an `Option`.
struct Shaped<'a, T, S>(&'a T, PhantomData<S>);

impl<S, T: ProstField<S>> Serialize for Shaped<'_, T, S> {
    fn serialize<R: Serializer>(&self, serializer: R) -> Result<R::Ok, R::Error> {
        self.0.serialize(serializer)
    }
}

struct Owned<T, S>(T, PhantomData<S>);

impl<'de, S, T: ProstField<S>> Deserialize<'de> for Owned<T, S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(|value| Self(value, PhantomData))
    }
}
