//! Configuration by a TOML file and the environment.

mod error;
mod key;
mod section;
mod settings;
#[cfg(any(feature = "iroh", feature = "grpc"))]
mod start;
mod tree;

#[cfg(test)]
mod tests;

pub use error::ConfigError;
pub use settings::{GrpcSettings, IrohSettings, Relays, RunnerConfig, TlsSettings};
