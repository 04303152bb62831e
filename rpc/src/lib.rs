//! One plain Rust trait, served over iroh, gRPC and in memory.

extern crate self as blixard_rpc;

#[doc(hidden)]
pub mod codegen;
mod describe;
mod detail;

pub mod backoff;
pub mod call;
pub mod client;
pub mod code;
pub mod codec;
pub mod dispatch;
pub mod link;
pub mod message;
pub mod metadata;
pub mod method;
pub mod middleware;
pub mod observe;
pub mod pool;
pub mod proto;
#[cfg(feature = "grpc-reflection")]
pub mod reflection;
pub mod runner;
pub mod server;
pub mod status;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;
pub mod wire;

mod block_on;
mod random;

#[cfg(test)]
mod fixture;

#[doc = include_str!("../docs/rpc_error.md")]
pub use blixard_rpc_macros::RpcError;
#[doc = include_str!("../docs/iroh_service.md")]
pub use blixard_rpc_macros::iroh_service;
pub use blixard_rpc_macros::{Message, message};
pub use block_on::block_on;
pub use call::{Context, Peer, Streaming};
pub use client::{CallOptions, ResponseMetadata};
pub use code::Code;
pub use dispatch::{Channel, Connect, Dispatch, Layer};
pub use message::Message;
pub use metadata::Metadata;
pub use method::Priority;
pub use pool::{Pool, PoolConfig, PooledChannel};
pub use server::Router;
pub use status::{Result, Status};
pub use transport::Memory;
