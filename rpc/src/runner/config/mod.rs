//! Configuration by a TOML file and the environment.

mod error;
mod grpc;
mod key;
mod section;
mod settings;
#[cfg(any(feature = "iroh", feature = "grpc"))]
mod start;
mod tree;

#[cfg(test)]
mod tests;

pub use error::ConfigError;
pub use grpc::{Compression, GrpcLimits, GrpcSettings, TlsSettings, WebOrigins};
pub use settings::{IrohSettings, Relays, RunnerConfig};
