//! [`Message`], and both codecs for `#[message]` types: protobuf by their fields, postcard by serde.

use bytes::{Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

use super::postcard::Reader;
use crate::{
    codec::Codec,
    proto::{DecodeError, Fields, Input, Schema, refused},
    status::{Result, Status},
};

/// What can be sent: `#[message]` types, prost-generated types, and prost's own scalars.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as a message of its own",
    label = "not a message",
    note = "Duration, SystemTime, Option, Vec, maps and enums without data are fields of messages: write `#[tag(1)]` before the argument, which makes it one; wrap a result or the item of a stream in a `#[message]` struct",
    note = "a struct or enum of your own needs `#[message]`"
)]
pub trait Message: Sized + Send + 'static {
    /// Appends the encoded message.
    ///
    /// # Errors
    /// `INTERNAL` if the value cannot be represented.
    fn encode(&self, codec: Codec, out: &mut BytesMut) -> Result<()>;

    /// The encoded message, where the value is just that, and nothing needs to be written.
    #[doc(hidden)]
    fn encoded(&self, codec: Codec) -> Option<&Bytes> {
        let _ = codec;
        None
    }

    /// The same of a value that nobody needs any more; gives it back where it must be written.
    #[doc(hidden)]
    fn into_encoded(self, codec: Codec) -> Result<Bytes, Self> {
        let _ = codec;
        Err(self)
    }

    /// Decodes a whole message, within the budget for depth and memory.
    ///
    /// # Errors
    /// `INTERNAL` if the bytes are not such a message, `RESOURCE_EXHAUSTED` if they would exceed the budget.
    fn decode(codec: Codec, bytes: Bytes) -> Result<Self>;

    /// Describes the type to a schema, and with it all types that it is made of.
    #[doc(hidden)]
    fn describe(schema: &mut Schema) -> String;
}

/// Appends a whole message.
///
/// # Errors
/// `INTERNAL` if the value cannot be represented.
pub fn encode<T: Fields + Serialize>(value: &T, codec: Codec, out: &mut BytesMut) -> Result<()> {
    let written = match codec {
        Codec::Protobuf => {
            value.put_fields(out);
            Ok(())
        }
        Codec::Postcard => postcard::serialize_with_flavor(value, Append(out)),
    };
    match (refused(), written) {
        (None, Ok(())) => Ok(()),
        (Some(why), _) => Err(Status::internal(format!(
            "cannot encode the message: {why}"
        ))),
        (None, Err(error)) => {
            Err(Status::internal(format!("cannot encode the message: {error}")).with_source(error))
        }
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
            let mut reader = Reader::new::<T>(bytes);
            let value = T::deserialize(&mut reader)?;
            reader.finish()?;
            Ok(value)
        }
    }
}

impl From<DecodeError> for Status {
    fn from(error: DecodeError) -> Self {
        let message = format!("cannot decode the message: {error}");
        if error.is_exceeded() {
            Self::resource_exhausted(message)
        } else {
            Self::internal(message)
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
