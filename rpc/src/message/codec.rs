//! Both codecs for `#[message]` types: protobuf by their fields, postcard by serde.

use bytes::{Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

use super::postcard::Reader;
use crate::{
    codec::Codec,
    proto::{Fields, Input},
    status::{Result, Status},
};

/// Appends a whole message.
///
/// # Errors
/// `INTERNAL` if the value cannot be represented.
pub fn encode<T: Fields + Serialize>(value: &T, codec: Codec, out: &mut BytesMut) -> Result<()> {
    match codec {
        Codec::Protobuf => {
            value.put_fields(out);
            Ok(())
        }
        Codec::Postcard => postcard::serialize_with_flavor(value, Append(out)).map_err(|error| {
            Status::internal(format!("cannot encode the message: {error}")).with_source(error)
        }),
    }
}

/// Decodes a whole message, within the budget.
///
/// # Errors
/// `INTERNAL` if the bytes are not such a message, `RESOURCE_EXHAUSTED` if they would exceed the budget.
pub fn decode<T: Fields + DeserializeOwned>(codec: Codec, bytes: &Bytes) -> Result<T> {
    match codec {
        Codec::Protobuf => Ok(T::take_fields(None, &mut Input::new(bytes))?),
        Codec::Postcard => {
            let mut reader = Reader::new(bytes);
            let value = T::deserialize(&mut reader)?;
            reader.finish()?;
            Ok(value)
        }
    }
}

/// Where postcard writes to.
struct Append<'a>(&'a mut BytesMut);

impl postcard::ser_flavors::Flavor for Append<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.extend_from_slice(&[byte]);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
