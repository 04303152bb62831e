//! The server half above the transports: generated servers, the shapes of calls, and the [`Router`] that joins services.

mod guard;
mod lookup;
mod router;
mod service;
mod shape;

pub use router::Router;
pub use service::{Server, Service};
pub use shape::Call;
