//! The types of the language that a field can hold: numbers, strings, bytes, `()`.

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::WireType;
use prost_types::field_descriptor_proto::Type;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    DecodeError, Field, FieldType, Input, Key, Schema, Value, ValueType,
    encode::{slice, varint},
};

macro_rules! scalar {
    ($type:ty, $proto:ident, $wire:ident, $rust:literal,
        put($value:ident, $out:ident) $put:expr,
        take($input:ident) $take:expr) => {
        impl Value for $type {
            const WIRE: WireType = WireType::$wire;

            #[inline]
            fn is_default(&self) -> bool {
                // For floats as prost has it: minus zero is zero.
                *self == <$type>::default()
            }

            #[inline]
            fn put(&self, $out: &mut BytesMut) {
                let $value = *self;
                $put
            }

            #[inline]
            fn take(_: Option<Self>, $input: &mut Input<'_>) -> Result<Self, DecodeError> {
                $take
            }

            #[inline]
            fn absent(_: &mut Input<'_>) -> Result<Self, DecodeError> {
                Ok(Self::default())
            }

            fn value_type(_: &mut Schema) -> ValueType {
                ValueType::scalar(Type::$proto, $rust)
            }

            #[inline]
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Serialize::serialize(self, serializer)
            }

            #[inline]
            fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Deserialize::deserialize(deserializer)
            }
        }
    };
}

scalar!(bool, Bool, Varint, "bool",
    put(value, out) varint(u64::from(value), out),
    take(input) Ok(input.varint()? != 0));
scalar!(i64, Int64, Varint, "i64",
    put(value, out) varint(value as u64, out),
    take(input) Ok(input.varint()? as Self));
scalar!(u64, Uint64, Varint, "u64",
    put(value, out) varint(value, out),
    take(input) input.varint());
// What does not fit in 32 bits is cut, as the protobuf documents ask.
scalar!(i32, Int32, Varint, "i32",
    put(value, out) varint(i64::from(value) as u64, out),
    take(input) Ok(input.varint()? as Self));
scalar!(u32, Uint32, Varint, "u32",
    put(value, out) varint(u64::from(value), out),
    take(input) Ok(input.varint()? as Self));
// Protobuf has no numbers this small: a value that does not fit is an error, not another number.
scalar!(i8, Int32, Varint, "i8",
    put(value, out) varint(i64::from(value) as u64, out),
    take(input) narrow(input.varint()? as i32));
scalar!(i16, Int32, Varint, "i16",
    put(value, out) varint(i64::from(value) as u64, out),
    take(input) narrow(input.varint()? as i32));
scalar!(u16, Uint32, Varint, "u16",
    put(value, out) varint(u64::from(value), out),
    take(input) narrow(input.varint()? as u32));
scalar!(f32, Float, ThirtyTwoBit, "f32",
    put(value, out) out.put_f32_le(value),
    take(input) Ok(Self::from_le_bytes(input.fixed()?)));
scalar!(f64, Double, SixtyFourBit, "f64",
    put(value, out) out.put_f64_le(value),
    take(input) Ok(Self::from_le_bytes(input.fixed()?)));

impl Key for bool {}
impl Key for i8 {}
impl Key for i16 {}
impl Key for i32 {}
impl Key for i64 {}
impl Key for u16 {}
impl Key for u32 {}
impl Key for u64 {}
impl Key for String {}

/// `u8`, which is a field but no [`Value`].
const U8: ValueType = ValueType::scalar(Type::Uint32, "u8");

/// A number in fewer bits than protobuf has for it.
#[inline]
fn narrow<W: Copy + std::fmt::Display, N: TryFrom<W>>(wide: W) -> Result<N, DecodeError> {
    N::try_from(wide)
        .map_err(|_| DecodeError::malformed(format!("{wide} is no {}", std::any::type_name::<N>())))
}

/// `u8` is no [`Value`], so that `Vec<u8>` can be one: it is bytes, not a list of numbers.
impl Field for u8 {
    #[inline]
    fn put(&self, tag: u32, out: &mut BytesMut) {
        Field::put(&u32::from(*self), tag, out);
    }

    #[inline]
    fn take(
        slot: &mut Option<Self>,
        wire: WireType,
        input: &mut Input<'_>,
    ) -> Result<(), DecodeError> {
        let mut wide = None;
        <u32 as Field>::take(&mut wide, wire, input)?;
        *slot = wide.map(narrow).transpose()?;
        Ok(())
    }

    #[inline]
    fn finish(slot: Option<Self>, _: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(slot.unwrap_or_default())
    }

    fn field_type(_: &mut Schema) -> FieldType {
        FieldType::Singular(U8)
    }

    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self)
    }

    #[inline]
    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Deserialize::deserialize(deserializer)
    }
}

impl Field for Option<u8> {
    #[inline]
    fn put(&self, tag: u32, out: &mut BytesMut) {
        Field::put(&self.map(u32::from), tag, out);
    }

    #[inline]
    fn take(
        slot: &mut Option<Self>,
        wire: WireType,
        input: &mut Input<'_>,
    ) -> Result<(), DecodeError> {
        let mut byte = None;
        <u8 as Field>::take(&mut byte, wire, input)?;
        *slot = Some(byte);
        Ok(())
    }

    #[inline]
    fn finish(slot: Option<Self>, _: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(slot.flatten())
    }

    fn field_type(_: &mut Schema) -> FieldType {
        FieldType::Optional(U8)
    }

    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Serialize::serialize(self, serializer)
    }

    #[inline]
    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Deserialize::deserialize(deserializer)
    }
}

macro_rules! delimited {
    ($type:ty, $proto:ident, $rust:literal, [$($generics:tt)*],
        is_default($this:ident) $is_default:expr,
        as_slice($value:ident) $as_slice:expr,
        take($input:ident) $take:expr,
        absent() $absent:expr,
        serialize($ser_value:ident, $serializer:ident) $serialize:expr,
        deserialize($deserializer:ident) $deserialize:expr) => {
        impl<$($generics)*> Value for $type {
            const WIRE: WireType = WireType::LengthDelimited;

            #[inline]
            fn is_default(&self) -> bool {
                let $this = self;
                $is_default
            }

            #[inline]
            fn put(&self, out: &mut BytesMut) {
                let $value = self;
                slice($as_slice, out);
            }

            #[inline]
            fn take(_: Option<Self>, $input: &mut Input<'_>) -> Result<Self, DecodeError> {
                $take
            }

            #[inline]
            fn absent(_: &mut Input<'_>) -> Result<Self, DecodeError> {
                Ok($absent)
            }

            fn value_type(_: &mut Schema) -> ValueType {
                ValueType::scalar(Type::$proto, $rust)
            }

            #[inline]
            fn serialize<S: Serializer>(&self, $serializer: S) -> Result<S::Ok, S::Error> {
                let $ser_value = self;
                $serialize
            }

            #[inline]
            fn deserialize<'de, D: Deserializer<'de>>($deserializer: D) -> Result<Self, D::Error> {
                $deserialize
            }
        }
    };
}

delimited!(String, String, "String", [],
    is_default(this) this.is_empty(),
    as_slice(value) value.as_bytes(),
    take(input) {
        let bytes = input.slice()?;
        let text = std::str::from_utf8(bytes)
            .map_err(|_| DecodeError::malformed("the string is not UTF-8"))?;
        input.budget().charge(text.len())?;
        Ok(text.to_owned())
    },
    absent() Self::new(),
    serialize(value, serializer) serializer.serialize_str(value),
    deserialize(deserializer) Deserialize::deserialize(deserializer));
delimited!(Vec<u8>, Bytes, "bytes", [],
    is_default(this) this.is_empty(),
    as_slice(value) value,
    take(input) {
        let bytes = input.slice()?;
        input.budget().charge(bytes.len())?;
        Ok(bytes.to_vec())
    },
    absent() Self::new(),
    serialize(value, serializer) serializer.serialize_bytes(value),
    deserialize(deserializer) deserializer.deserialize_byte_buf(BytesVisitor));
delimited!(Bytes, Bytes, "bytes", [],
    is_default(this) this.is_empty(),
    as_slice(value) value,
    take(input) input.bytes(),
    absent() Self::new(),
    serialize(value, serializer) serializer.serialize_bytes(value),
    deserialize(deserializer) deserializer.deserialize_byte_buf(BytesVisitor).map(Self::from));
// The length is written although it is known: so it is bytes in every language, and another length is an error.
delimited!([u8; N], Bytes, "bytes", [const N: usize],
is_default(this) this.iter().all(|byte| *byte == 0),
as_slice(value) value,
take(input) exactly(input.slice()?),
absent() [0; N],
serialize(value, serializer) serializer.serialize_bytes(value),
deserialize(deserializer) {
    let bytes = deserializer.deserialize_bytes(BytesVisitor)?;
    exactly(&bytes).map_err(de::Error::custom)
});

fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], DecodeError> {
    bytes
        .try_into()
        .map_err(|_| DecodeError::malformed(format!("expected {N} bytes, found {}", bytes.len())))
}

struct BytesVisitor;

impl<'de> de::Visitor<'de> for BytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    // Formats without bytes, such as JSON, have a list of numbers.
    fn visit_seq<A: de::SeqAccess<'de>>(self, mut access: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = access.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

/// `google.protobuf.Empty`: a message without a field. It is written even so, since a message is there or not.
impl Value for () {
    const WIRE: WireType = WireType::LengthDelimited;

    #[inline]
    fn is_default(&self) -> bool {
        false
    }

    #[inline]
    fn put(&self, out: &mut BytesMut) {
        out.put_u8(0);
    }

    fn take(_: Option<Self>, input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.nested(|input| {
            while let Some((tag, wire)) = input.key()? {
                input.skip(tag, wire)?;
            }
            Ok(())
        })
    }

    #[inline]
    fn absent(_: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(())
    }

    fn value_type(schema: &mut Schema) -> ValueType {
        schema.well_known::<Self>("Empty")
    }

    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }

    #[inline]
    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Deserialize::deserialize(deserializer)
    }
}
