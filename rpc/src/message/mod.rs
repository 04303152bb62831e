//! The [`Message`] trait: what can be an argument or a result of a call.
//!
//! It has two sources. `#[message]` makes a message of a plain struct or enum. And whatever prost generated is one already, with
//! prost's own scalars, each as the wrapper that protobuf has for it: `String`, `Bytes`, `Vec<u8>`, `bool`, numbers, `()`.

mod codec;
mod postcard;
mod wellknown;

use bytes::{Bytes, BytesMut};

#[doc(hidden)]
pub use codec::{decode, encode};

use crate::{codec::Codec, proto, status::Result};

/// What can be sent: `#[message]` types, prost-generated types, and prost's own scalars.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as a message of its own",
    label = "not a message",
    note = "write `#[tag(1)]` before the argument to send it as a field of a message: so it goes for Duration, SystemTime, Option, Vec, maps and enums without data",
    note = "a struct or enum of your own needs `#[message]`"
)]
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
