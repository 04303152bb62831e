//! One shared connection a peer, over any [`Connect`](crate::Connect): dialled when it is first needed, and again, with back-off,
//! when it is lost. What a connection is, and what travels on it, is not known here.

mod channel;
mod config;
mod entry;
mod slot;

pub use channel::{Pool, PooledChannel};
pub use config::PoolConfig;
