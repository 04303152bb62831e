//! What a call may pass on its way, on the client and on the server, unary and streaming alike: each is a
//! [`Layer`](crate::Layer) that wraps one [`Dispatch`](crate::Dispatch) in another.
//!
//! A router takes one by `router.layer(..)`, a client by `Channel::new(layer.layer(channel))`.

mod authorize;
mod deadline;
mod follow;
mod layer;
mod limit;
mod measure;
mod retry;
mod trace;

#[cfg(test)]
mod tests;

pub use authorize::{Authorize, Authorized, Authorizer, Caller};
pub use deadline::{Deadline, Deadlined};
pub use layer::Stack;
pub use limit::{Limit, Limited};
pub use measure::{Measure, Measured};
pub use retry::{Retried, Retry};
pub use trace::{Trace, Traced};
