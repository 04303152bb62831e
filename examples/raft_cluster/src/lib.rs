//! The example `raft_cluster`: a key-value store that three processes replicate, and what a person or a test does to it.
//!
//! What one writes for a cluster of one's own is in [`kv`], 30 lines, and [`node`]; the rest starts, kills, measures and shows.

pub mod api;
pub mod bench;
pub mod client;
pub mod kv;
pub mod layout;
pub mod load;
pub mod node;
pub mod process;
pub mod show;
pub mod table;
