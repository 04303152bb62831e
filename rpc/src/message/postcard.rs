//! Reading [postcard](https://postcard.jamesmunns.com/wire-format) within a [`Budget`].
//!
//! The postcard crate's own deserializer recurses and allocates as the sender likes: 1 MB nested a million deep overflows the
//! stack, and five bytes decode to four billion units. This one reads the same format, and counts. Writing is postcard's own.

use serde::de::{
    self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use crate::proto::{Budget, DecodeError};

/// Reads one message.
#[derive(Debug)]
pub(super) struct Reader<'de> {
    rest: &'de [u8],
    budget: Budget,
}

type Result<T> = std::result::Result<T, DecodeError>;

impl<'de> Reader<'de> {
    /// Reads a `T`.
    pub(super) const fn new<T>(bytes: &'de [u8]) -> Self {
        let mut budget = Budget::for_message(bytes.len());
        // The outermost struct comes in as the others do, and does not count.
        budget.leave::<T>();
        Self {
            rest: bytes,
            budget,
        }
    }

    /// Checks that nothing is left.
    pub(super) fn finish(&self) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(DecodeError::malformed(format!(
            "{} bytes are left after the message",
            self.rest.len()
        )))
    }

    #[inline]
    fn byte(&mut self) -> Result<u8> {
        let (byte, rest) = self.rest.split_first().ok_or_else(truncated)?;
        self.rest = rest;
        Ok(*byte)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'de [u8]> {
        let (value, rest) = self.rest.split_at_checked(len).ok_or_else(truncated)?;
        self.rest = rest;
        Ok(value)
    }

    /// A varint of at most `BITS` bits.
    #[inline]
    fn varint<const BITS: u32>(&mut self) -> Result<u128> {
        let mut value = 0;
        let mut shift = 0;
        while shift < BITS {
            let byte = self.byte()?;
            value |= u128::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                if BITS - shift < 7 && u32::from(byte) >> (BITS - shift) != 0 {
                    break;
                }
                return Ok(value);
            }
            shift += 7;
        }
        Err(DecodeError::malformed("a number is too long"))
    }

    /// The same for what fits in 64 bits, with the short way first.
    #[inline]
    fn small<const BITS: u32>(&mut self) -> Result<u64> {
        if let Some((&byte, rest)) = self.rest.split_first()
            && byte < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(byte));
        }
        let mut value = 0;
        let mut shift = 0;
        while shift < BITS {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                if BITS - shift < 7 && u32::from(byte) >> (BITS - shift) != 0 {
                    break;
                }
                return Ok(value);
            }
            shift += 7;
        }
        Err(DecodeError::malformed("a number is too long"))
    }

    #[inline]
    fn len(&mut self) -> Result<usize> {
        usize::try_from(self.small::<64>()?).map_err(|_| truncated())
    }

    #[inline]
    fn str(&mut self) -> Result<&'de str> {
        let len = self.len()?;
        let text = std::str::from_utf8(self.take(len)?)
            .map_err(|_| DecodeError::malformed("the string is not UTF-8"))?;
        self.budget.charge(text.len())?;
        Ok(text)
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'de [u8]> {
        let len = self.len()?;
        let bytes = self.take(len)?;
        self.budget.charge(bytes.len())?;
        Ok(bytes)
    }

    /// Goes one level deeper for what `read` reads.
    #[inline]
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.budget.enter::<T>()?;
        let value = read(self)?;
        self.budget.leave::<T>();
        Ok(value)
    }

    /// The fields of a struct: they lie in the struct, for which whoever holds it has been charged.
    #[inline]
    fn fields<V: Visitor<'de>>(&mut self, count: usize, visitor: V) -> Result<V::Value> {
        self.deeper(|reader| {
            visitor.visit_seq(Fields {
                reader,
                left: count,
            })
        })
    }
}

#[cold]
fn truncated() -> DecodeError {
    DecodeError::malformed("the message ends in the middle of a value")
}

#[inline]
const fn zigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

macro_rules! scalars {
    ($($method:ident $visit:ident($reader:ident) $value:expr;)*) => {
        $(
            #[inline]
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
                let $reader = self;
                visitor.$visit($value)
            }
        )*
    };
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = DecodeError;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    scalars! {
        deserialize_bool visit_bool(reader) match reader.byte()? {
            0 => false,
            1 => true,
            _ => return Err(DecodeError::malformed("a boolean is neither 0 nor 1")),
        };
        deserialize_i8 visit_i8(reader) reader.byte()? as i8;
        deserialize_i16 visit_i16(reader) zigzag(reader.small::<16>()?) as i16;
        deserialize_i32 visit_i32(reader) zigzag(reader.small::<32>()?) as i32;
        deserialize_i64 visit_i64(reader) zigzag(reader.small::<64>()?);
        deserialize_u8 visit_u8(reader) reader.byte()?;
        deserialize_u16 visit_u16(reader) reader.small::<16>()? as u16;
        deserialize_u32 visit_u32(reader) reader.small::<32>()? as u32;
        deserialize_u64 visit_u64(reader) reader.small::<64>()?;
        deserialize_u128 visit_u128(reader) reader.varint::<128>()?;
        deserialize_i128 visit_i128(reader) {
            let value = reader.varint::<128>()?;
            ((value >> 1) as i128) ^ -((value & 1) as i128)
        };
        deserialize_f32 visit_f32(reader) {
            let bytes = reader.take(4)?;
            f32::from_le_bytes(bytes.try_into().map_err(|_| truncated())?)
        };
        deserialize_f64 visit_f64(reader) {
            let bytes = reader.take(8)?;
            f64::from_le_bytes(bytes.try_into().map_err(|_| truncated())?)
        };
        deserialize_char visit_char(reader) {
            let mut chars = reader.str()?.chars();
            match (chars.next(), chars.next()) {
                (Some(char), None) => char,
                _ => return Err(DecodeError::malformed("a character is not one")),
            }
        };
        deserialize_str visit_borrowed_str(reader) reader.str()?;
        deserialize_string visit_str(reader) reader.str()?;
        deserialize_bytes visit_borrowed_bytes(reader) reader.bytes()?;
        deserialize_byte_buf visit_bytes(reader) reader.bytes()?;
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.byte()? {
            0 => visitor.visit_none(),
            1 => visitor.visit_some(self),
            _ => Err(DecodeError::malformed("an option is neither 0 nor 1")),
        }
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        self.deeper(|reader| visitor.visit_newtype_struct(reader))
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let left = self.len()?;
        visitor.visit_seq(Elements {
            reader: self,
            left,
            charged: false,
        })
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(Elements {
            reader: self,
            left: len,
            charged: false,
        })
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.fields(len, visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let left = self.len()?;
        visitor.visit_map(Entries { reader: self, left })
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.fields(fields.len(), visitor)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.deeper(|reader| visitor.visit_enum(reader))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
        Err(DecodeError::malformed(NOT_SELF_DESCRIBING))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
        Err(DecodeError::malformed(NOT_SELF_DESCRIBING))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
        Err(DecodeError::malformed(NOT_SELF_DESCRIBING))
    }
}

/// The fields of a struct.
struct Fields<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Fields<'_, 'de> {
    type Error = DecodeError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// The elements of a sequence: all of them are charged for when the first is asked for, which tells how large one is.
struct Elements<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
    charged: bool,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = DecodeError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        if !self.charged {
            self.reader.budget.charge_many::<T::Value>(self.left)?;
            self.charged = true;
        }
        self.left -= 1;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    /// Nothing before the charge: a collection makes room for what it is told here.
    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(if self.charged { self.left } else { 0 })
    }
}

/// The entries of a map, charged for one by one.
struct Entries<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = DecodeError;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        // The table of a map is never more than half full right after it has grown.
        self.reader.budget.charge_many::<K::Value>(2)?;
        self.left -= 1;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        self.reader.budget.charge_many::<V::Value>(2)?;
        seed.deserialize(&mut *self.reader)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(0)
    }
}

impl<'de> EnumAccess<'de> for &mut Reader<'de> {
    type Error = DecodeError;
    type Variant = Self;

    #[inline]
    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let index = self.small::<32>()? as u32;
        let variant =
            seed.deserialize(IntoDeserializer::<DecodeError>::into_deserializer(index))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Reader<'de> {
    type Error = DecodeError;

    #[inline]
    fn unit_variant(self) -> Result<()> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        self.fields(len, visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.fields(fields.len(), visitor)
    }
}

const NOT_SELF_DESCRIBING: &str = "postcard does not say what it holds";
