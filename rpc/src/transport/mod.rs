//! What carries calls: each transport is one folder or file, and none knows of another.

#[cfg(feature = "grpc")]
pub mod grpc;
#[cfg(feature = "iroh")]
pub mod iroh;
mod memory;
#[cfg(test)]
mod tests;

pub use memory::Memory;
