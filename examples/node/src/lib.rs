//! A node of a cluster: all services of Blixard in one process, over gRPC, iroh or both, as a TOML file says.
//!
//! `cargo run --release --example node` shows a cluster of three for a moment; `-- init demo` makes the keys, certificates and files of three nodes on this machine, and says how to
//! go on.

pub mod carried;
pub mod config;
pub mod init;
pub mod metrics;
pub mod node;
pub mod page;
pub mod show;
pub mod status;

pub use blixard_raft_cluster::node::Failure;
