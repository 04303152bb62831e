//! The [`Message`] trait: what can be an argument or a result of a call.

use bytes::{Bytes, BytesMut};

use crate::{call::Codec, proto, status::Result};

/// What can be sent: `#[message]` types, prost-generated types, and prost's own scalars.
pub trait Message: Sized + Send + 'static {
    /// Appends the encoded message.
    ///
    /// # Errors
    /// `INTERNAL` if the value cannot be represented.
    fn encode(&self, codec: Codec, out: &mut BytesMut) -> Result<()>;

    /// Decodes a whole message, within the budget for depth and memory.
    ///
    /// # Errors
    /// `INTERNAL` if the bytes are not such a message, `RESOURCE_EXHAUSTED` if they would exceed the budget.
    fn decode(codec: Codec, bytes: Bytes) -> Result<Self>;

    /// Describes the type to a schema, and with it all types that it is made of.
    #[doc(hidden)]
    fn describe(schema: &mut proto::Schema) -> String;
}
