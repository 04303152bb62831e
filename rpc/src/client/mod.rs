//! The client half above the transports: the handle in generated clients, the shapes of calls, and the options of a call.

mod handle;
mod incoming;
mod opening;
mod options;
mod outgoing;
mod shape;

pub use handle::Client;
pub use options::{CallOptions, ResponseMetadata};
