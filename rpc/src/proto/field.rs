//! [`Value`] and [`Field`]: what a Rust type is in protobuf, in serde and in a schema. The types of the language and of std that
//! are no containers are in `scalar` and `time`; a user's own are implemented by `#[message]`.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    hash::Hash,
    marker::PhantomData,
};

use bytes::BytesMut;
use prost::encoding::WireType;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use super::{
    DecodeError, FieldType, Input, Schema, ValueType,
    encode::{delimited, key},
};

/// A type of which a field can hold one: a number, a string, a message, an enum.
///
/// `#[message]` implements it for a user's types; there is no other way to do so.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a single value in a message",
    label = "not a type that a message can hold here",
    note = "values are bool, i8 to i64, u16 to u64, f32, f64, String, Vec<u8>, [u8; N], Bytes, Duration, SystemTime, (), and Box of a value",
    note = "a struct or enum of your own needs `#[message]`; a field of a type that prost generated needs `#[prost]`",
    note = "Option, Vec and maps cannot be nested: put the inner one into a message"
)]
pub trait Value: Sized + Send + 'static {
    /// How one is encoded.
    #[doc(hidden)]
    const WIRE: WireType;

    /// Whether a field that holds it without `Option` leaves it out.
    #[doc(hidden)]
    fn is_default(&self) -> bool;

    /// Writes it, without a key.
    #[doc(hidden)]
    fn put(&self, out: &mut BytesMut);

    /// Reads one that is encoded as [`WIRE`](Self::WIRE), and merges it into the one that was there before.
    #[doc(hidden)]
    fn take(old: Option<Self>, input: &mut Input<'_>) -> Result<Self, DecodeError>;

    /// Writes it with its key, even if it is the default.
    #[doc(hidden)]
    #[inline]
    fn put_always(&self, tag: u32, out: &mut BytesMut) {
        key(tag, Self::WIRE, out);
        self.put(out);
    }

    /// Reads one occurrence into what the occurrences before have left.
    #[doc(hidden)]
    #[inline]
    fn take_checked(
        slot: &mut Option<Self>,
        wire: WireType,
        input: &mut Input<'_>,
    ) -> Result<(), DecodeError> {
        input.expect(Self::WIRE, wire)?;
        *slot = Some(Self::take(slot.take(), input)?);
        Ok(())
    }

    /// What a field holds that was not sent.
    #[doc(hidden)]
    fn absent(input: &mut Input<'_>) -> Result<Self, DecodeError>;

    /// What it is in a schema.
    #[doc(hidden)]
    fn value_type(schema: &mut Schema) -> ValueType;

    #[doc(hidden)]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

    #[doc(hidden)]
    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

/// A type that a field of a `#[message]` can have: a [`Value`], an `Option`, a `Vec` or a map of values.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a message",
    label = "not a type that a field can have",
    note = "fields are bool, i8 to i64, u8 to u64, f32, f64, String, Vec<u8>, [u8; N], Bytes, Duration, SystemTime, types with `#[message]`, Box of such a type, and Option, Vec, HashMap and BTreeMap of all of these",
    note = "a struct or enum of your own needs `#[message]`; a field of a type that prost generated needs `#[prost]`",
    note = "Option, Vec and maps cannot be nested: put the inner one into a message"
)]
pub trait Field: Sized {
    /// Writes it with its key, as often as it takes.
    #[doc(hidden)]
    fn put(&self, tag: u32, out: &mut BytesMut);

    /// Reads one occurrence into what the occurrences before have left.
    #[doc(hidden)]
    fn take(
        slot: &mut Option<Self>,
        wire: WireType,
        input: &mut Input<'_>,
    ) -> Result<(), DecodeError>;

    /// The field, when all of the message was read.
    #[doc(hidden)]
    fn finish(slot: Option<Self>, input: &mut Input<'_>) -> Result<Self, DecodeError>;

    /// What it is in a schema.
    #[doc(hidden)]
    fn field_type(schema: &mut Schema) -> FieldType;

    #[doc(hidden)]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

    #[doc(hidden)]
    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

/// A type that can be the key of a map.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of a map in a message",
    label = "not a type that a key can have",
    note = "keys are bool, i8 to i64, u16 to u64 and String: protobuf has no others"
)]
pub trait Key: Value + Eq + Hash + Ord {}

impl<T: Value> Field for T {
    #[inline]
    fn put(&self, tag: u32, out: &mut BytesMut) {
        if !self.is_default() {
            self.put_always(tag, out);
        }
    }

    #[inline]
    fn take(
        slot: &mut Option<Self>,
        wire: WireType,
        input: &mut Input<'_>,
    ) -> Result<(), DecodeError> {
        T::take_checked(slot, wire, input)
    }

    #[inline]
    fn finish(slot: Option<Self>, input: &mut Input<'_>) -> Result<Self, DecodeError> {
        match slot {
            Some(value) => Ok(value),
            None => T::absent(input),
        }
    }

    fn field_type(schema: &mut Schema) -> FieldType {
        FieldType::Singular(T::value_type(schema))
    }

    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Value::serialize(self, serializer)
    }

    #[inline]
    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer)
    }
}

impl<T: Value> Field for Option<T> {
    #[inline]
    fn put(&self, tag: u32, out: &mut BytesMut) {
        if let Some(value) = self {
            value.put_always(tag, out);
        }
    }

    #[inline]
    fn take(
        slot: &mut Option<Self>,
        wire: WireType,
        input: &mut Input<'_>,
    ) -> Result<(), DecodeError> {
        input.expect(T::WIRE, wire)?;
        *slot = Some(Some(T::take(slot.take().flatten(), input)?));
        Ok(())
    }

    #[inline]
    fn finish(slot: Option<Self>, _: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(slot.flatten())
    }

    fn field_type(schema: &mut Schema) -> FieldType {
        FieldType::Optional(T::value_type(schema))
    }

    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Some(value) => serializer.serialize_some(&WireRef(value)),
            None => serializer.serialize_none(),
        }
    }

    #[inline]
    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<Wire<T>>::deserialize(deserializer)?.map(|value| value.0))
    }
}

impl<T: Value> Field for Vec<T> {
    fn put(&self, tag: u32, out: &mut BytesMut) {
        if T::WIRE == WireType::LengthDelimited {
            for value in self {
                value.put_always(tag, out);
            }
        } else if !self.is_empty() {
            key(tag, WireType::LengthDelimited, out);
            // At least a byte each.
            out.reserve(self.len());
            delimited(out, |out| self.iter().for_each(|value| value.put(out)));
        }
    }

    fn take(
        slot: &mut Option<Self>,
        wire: WireType,
        input: &mut Input<'_>,
    ) -> Result<(), DecodeError> {
        let values = slot.get_or_insert_default();
        if wire == T::WIRE {
            input.budget().charge_many::<T>(1)?;
            values.push(T::take(None, input)?);
            return Ok(());
        }
        // Packed, as everybody writes what is not length-delimited.
        input.expect(WireType::LengthDelimited, wire)?;
        input.within(|input| {
            let count = match T::WIRE {
                WireType::ThirtyTwoBit => input.rest().len() / 4,
                WireType::SixtyFourBit => input.rest().len() / 8,
                _ => input.rest().iter().filter(|byte| **byte < 0x80).count(),
            };
            input.budget().charge_many::<T>(count)?;
            values.reserve(count);
            while !input.is_empty() {
                values.push(T::take(None, input)?);
            }
            Ok(())
        })
    }

    #[inline]
    fn finish(slot: Option<Self>, _: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(slot.unwrap_or_default())
    }

    fn field_type(schema: &mut Schema) -> FieldType {
        FieldType::Repeated(T::value_type(schema))
    }

    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(WireRef))
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(VecVisitor(PhantomData))
    }
}

macro_rules! map {
    ($map:ident) => {
        impl<K: Key, V: Value> Field for $map<K, V> {
            fn put(&self, tag: u32, out: &mut BytesMut) {
                for (entry_key, value) in self {
                    key(tag, WireType::LengthDelimited, out);
                    delimited(out, |out| put_entry(entry_key, value, out));
                }
            }

            fn take(
                slot: &mut Option<Self>,
                wire: WireType,
                input: &mut Input<'_>,
            ) -> Result<(), DecodeError> {
                input.expect(WireType::LengthDelimited, wire)?;
                // The table of a map is never more than half full right after it has grown.
                input.budget().charge_many::<(K, V)>(2)?;
                let (key, value) = input.nested(take_entry)?;
                slot.get_or_insert_default().insert(key, value);
                Ok(())
            }

            #[inline]
            fn finish(slot: Option<Self>, _: &mut Input<'_>) -> Result<Self, DecodeError> {
                Ok(slot.unwrap_or_default())
            }

            fn field_type(schema: &mut Schema) -> FieldType {
                FieldType::Map(K::value_type(schema), V::value_type(schema))
            }

            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(
                    self.iter()
                        .map(|(key, value)| (WireRef(key), WireRef(value))),
                )
            }

            fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_map(MapVisitor::<Self, K, V>(PhantomData))
            }
        }
    };
}

map!(HashMap);
map!(BTreeMap);

/// Writes an entry of a map as prost does: a part that is the default is left out, an empty message too.
fn put_entry<K: Key, V: Value>(entry_key: &K, value: &V, out: &mut BytesMut) {
    if !entry_key.is_default() {
        key(1, K::WIRE, out);
        entry_key.put(out);
    }
    if !value.is_default() {
        let at = out.len();
        key(2, V::WIRE, out);
        value.put(out);
        if V::WIRE == WireType::LengthDelimited && out.len() == at + 2 {
            out.truncate(at);
        }
    }
}

fn take_entry<K: Key, V: Value>(input: &mut Input<'_>) -> Result<(K, V), DecodeError> {
    let mut key = None;
    let mut value = None;
    while let Some((tag, wire)) = input.key()? {
        match tag {
            1 => <K as Field>::take(&mut key, wire, input)?,
            2 => <V as Field>::take(&mut value, wire, input)?,
            _ => input.skip(tag, wire)?,
        }
    }
    Ok((
        <K as Field>::finish(key, input)?,
        <V as Field>::finish(value, input)?,
    ))
}

/// Writes what `body` writes as a nested message.
#[inline]
pub fn put_nested(tag: u32, out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    key(tag, WireType::LengthDelimited, out);
    delimited(out, body);
}

/// Declares a value in a schema, and answers its full name.
pub fn describe<T: Value>(schema: &mut Schema) -> String {
    let described = T::value_type(schema);
    schema.name_of(described).to_owned()
}

/// What `#[serde(with)]` calls for every field.
///
/// # Errors
/// The serializer's.
#[inline]
pub fn serialize<T: Field, S: Serializer>(field: &T, serializer: S) -> Result<S::Ok, S::Error> {
    field.serialize(serializer)
}

/// What `#[serde(with)]` calls for every field.
///
/// # Errors
/// The deserializer's.
#[inline]
pub fn deserialize<'de, T: Field, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(deserializer)
}

/// A value as serde sees it inside a message: serialized by [`Value`], not by what the type does outside.
#[derive(Debug)]
#[repr(transparent)]
pub struct Wire<T>(pub T);

impl<'de, T: Value> Deserialize<'de> for Wire<T> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self)
    }
}

/// The same by reference, to write.
pub(super) struct WireRef<'a, T>(pub(super) &'a T);

impl<T: Value> Serialize for WireRef<'_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Value::serialize(self.0, serializer)
    }
}

struct VecVisitor<T>(PhantomData<T>);

impl<'de, T: Value> Visitor<'de> for VecVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Vec<T>, A::Error> {
        // Our own deserializer charges for all elements when it is asked for the first, so room is made after it.
        let Some(Wire(first)) = access.next_element()? else {
            return Ok(Vec::new());
        };
        let hint = access.size_hint().unwrap_or(0);
        let mut values = Vec::with_capacity(1 + hint.min(MAX_HINT_BYTES / size_of::<T>().max(1)));
        values.push(first);
        while let Some(Wire(value)) = access.next_element()? {
            values.push(value);
        }
        Ok(values)
    }
}

struct MapVisitor<M, K, V>(PhantomData<(M, K, V)>);

impl<'de, M, K, V> Visitor<'de> for MapVisitor<M, K, V>
where
    M: Default + Extend<(K, V)>,
    K: Key,
    V: Value,
{
    type Value = M;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<M, A::Error> {
        let mut map = M::default();
        while let Some((Wire(key), Wire(value))) = access.next_entry()? {
            map.extend([(key, value)]);
        }
        Ok(map)
    }
}

/// How much room is made for what a sequence says that it has; the same as serde's own.
const MAX_HINT_BYTES: usize = 1 << 20;

/// A boxed value is the value. It is what lets a message hold itself.
impl<T: Value> Value for Box<T> {
    const WIRE: WireType = T::WIRE;

    #[inline]
    fn is_default(&self) -> bool {
        (**self).is_default()
    }

    #[inline]
    fn put(&self, out: &mut BytesMut) {
        Value::put(&**self, out);
    }

    #[inline]
    fn take(old: Option<Self>, input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.budget().charge_many::<T>(1)?;
        <T as Value>::take(old.map(|old| *old), input).map(Self::new)
    }

    fn absent(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.budget().charge_many::<T>(1)?;
        T::absent(input).map(Self::new)
    }

    fn value_type(schema: &mut Schema) -> ValueType {
        T::value_type(schema)
    }

    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            Value::serialize(&**self, serializer)
        } else {
            (WireRef(&**self),).serialize(serializer)
        }
    }

    #[inline]
    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            <T as Value>::deserialize(deserializer).map(Self::new)
        } else {
            // A tuple of one: no byte more on the wire, and our deserializer charges for its element.
            let (Wire(value),) = Deserialize::deserialize(deserializer)?;
            Ok(Self::new(value))
        }
    }
}
