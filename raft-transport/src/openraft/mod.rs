//! [openraft](https://docs.rs/openraft) on this transport: its network, and a log and a state machine on redb for those who have none.
//!
//! What is replicated is a [`Machine`]; [`open`] gives the engine what it stores things in.

mod cluster;
mod codec;
mod engine;
mod log_store;
mod log_tail;
mod log_writer;
mod machine;
mod network;
mod open;
mod snapshot_file;
mod state;
mod state_store;

pub use cluster::Cluster;
pub use engine::OpenRaft;
pub use log_store::{LogReader, LogStore};
pub use machine::{Machine, Types};
pub use network::{Carry, Client, Clients};
pub use open::{Durability, StoreOptions, open};
pub use snapshot_file::SnapshotFile;
pub use state::{State, View};
pub use state_store::{SnapshotBuilder, StateReader, StateStore};
