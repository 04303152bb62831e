//! Both transports at once, and moving from one to the other while running.

#[cfg(feature = "config")]
mod config;
mod dual;
mod gate;
mod migration;
mod mode;
#[cfg(any(feature = "iroh", feature = "grpc"))]
mod service_runner;

#[cfg(feature = "config")]
pub use config::{ConfigError, GrpcSettings, IrohSettings, Relays, RunnerConfig, TlsSettings};
pub use dual::{
    DualChannel, DualConfig, DualStats, MAX_KEPT_BYTES, MAX_KEPT_TOTAL_BYTES, SideStats, Standing,
};
pub use gate::{Gate, Gated};
pub use migration::{Carry, Migration, MigrationStrategy, Prefer};
pub use mode::{Mode, Transport};
#[cfg(any(feature = "iroh", feature = "grpc"))]
pub use service_runner::{Running, ServiceRunner};
