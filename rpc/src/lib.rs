//! One plain Rust trait, served over iroh, gRPC and in memory.

extern crate self as blixard_rpc;

pub mod call;
pub mod code;
pub mod dispatch;
pub mod message;
pub mod metadata;
pub mod method;
pub mod proto;
pub mod status;
pub mod wire;

pub use call::{Context, Peer, Streaming};
pub use code::Code;
pub use dispatch::{Channel, Connect, Dispatch};
pub use message::Message;
pub use metadata::Metadata;
pub use status::{Result, Status};
