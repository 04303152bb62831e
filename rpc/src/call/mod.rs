//! What travels through a [`Dispatch`](crate::Dispatch): a [`Request`] one way, a [`Response`] the other, each with a [`Body`].

mod batch;
mod body;
mod certificate;
mod context;
mod encode;
mod encoded;
mod error;
mod expiry;
mod peer;
mod recall;
mod request;
mod response;
mod streaming;

pub use crate::codec::Codec;
pub use batch::Batch;
pub use body::{Body, BodyStream};
pub use certificate::Certificate;
pub use context::Context;
#[cfg(feature = "grpc")]
pub(crate) use encode::check_size;
pub(crate) use encode::{Coding, check_metadata};
pub(crate) use encoded::Encoded;
pub use error::CallError;
#[doc(hidden)]
pub use error::fails_with;
pub(crate) use expiry::{Expiry, Side};
pub use peer::Peer;
pub(crate) use recall::{Recall, unless_recalled};
pub use request::{Method, Request};
pub use response::Response;
pub use streaming::{Sender, Streaming};
