//! The services of a Blixard node, declared with `#[iroh_service]`; each is a folder of its messages, its trait and its
//! implementation.
//!
//! - [`health`]: `grpc.health.v1.Health`, by which load balancers, orchestrators and peers ask whether a server serves.

pub mod health;
