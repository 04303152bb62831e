//! `blixard.status.v1.StatusService`: what a node knows of its cluster, of its Raft engine, and of the peers that it is connected with.
//!
//! Where that comes from are two small ports, so that other engines and transports serve too: a [`ClusterSource`] and a [`PeerSource`].
//! `blixard-raft-transport` has the first for openraft; [`Connections`], with the feature `iroh`, is the second for iroh.
//!
//! ```
//! use blixard_rpc::{Channel, Memory, Router};
//! use blixard_services::status::{NodeStatus, NodeStatusClient, StatusReports};
//!
//! # async fn run() -> blixard_rpc::Result<()> {
//! let status = StatusReports::new(env!("CARGO_PKG_VERSION")); // .cluster(..).peers(..)
//! let client = NodeStatusClient::new(Channel::new(Memory::new(Router::new().add(status.server()))));
//! assert_eq!(client.version().await?.version, env!("CARGO_PKG_VERSION"));
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
//! ```

mod api;
#[cfg(feature = "iroh")]
mod connections;
mod messages;
mod port;
mod service;

pub use api::{NodeStatus, NodeStatusClient, NodeStatusServer, NodeStatusService};
#[cfg(feature = "iroh")]
pub use connections::Connections;
pub use messages::{
    ClusterMember, ClusterResponse, MemberRole, PathKind, PeerConnection, PeerPath, PeersResponse,
    RaftResponse, RaftRole, Reachability, ReplicaProgress, VersionResponse, WatchResponse,
};
pub use port::{ClusterSource, PeerSource};
pub use service::StatusReports;
