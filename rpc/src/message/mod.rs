//! The [`Message`] trait: what can be an argument or a result of a call.
//!
//! It has two sources. `#[message]` makes a message of a plain struct or enum. And whatever prost generated is one already, with
//! prost's own scalars, each as the wrapper that protobuf has for it: `String`, `Bytes`, `Vec<u8>`, `bool`, numbers, `()`.

mod codec;
mod fingerprint;
mod postcard;
mod wellknown;

pub use codec::Message;
#[doc(hidden)]
pub use codec::{decode, encode};
pub use fingerprint::fingerprint;
