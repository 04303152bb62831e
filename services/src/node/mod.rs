//! `blixard.node.v1.NodeHealthService`: how a node is, as a whole and part by part, each with the reason and since when.
//!
//! Whoever runs a part of a node, such as its storage or what runs its machines, [adds](Components::add) it and says how it is, or has it
//! [watched](Component::watched) by a probe. The same is told by `grpc.health.v1` for those who know only that: there a part is a service
//! of its name, and the node as a whole the one without a name.
//!
//! ```
//! use std::time::Duration;
//! use blixard_rpc::{Channel, Memory, Router};
//! use blixard_services::node::{Components, Condition, NodeHealth, NodeHealthClient, ServingState, Weight};
//!
//! # async fn run() -> blixard_rpc::Result<()> {
//! let components = Components::new();
//! let router = Router::new().add(components.server()).add(components.reporter().server());
//! let raft = components.add("raft", Weight::Useful);
//! let _storage = components
//!     .add("storage", Weight::Essential)
//!     .watched(|| async { Condition::Serving }, Duration::from_secs(10));
//!
//! raft.set(Condition::NotServing("there is no leader".into()));
//! let client = NodeHealthClient::new(Channel::new(Memory::new(router)));
//! let node = client.check().await?;
//! assert_eq!(node.components[0].reason, "there is no leader");
//! assert_eq!(node.components[1].state, ServingState::NotServing, "it was not asked yet");
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run()).unwrap();
//! ```

mod api;
mod board;
mod components;
mod condition;
mod messages;
mod probe;
mod service;
#[cfg(feature = "node-host")]
mod storage;

pub use api::{NodeHealth, NodeHealthClient, NodeHealthServer, NodeHealthService};
pub use components::{Component, Components};
pub use condition::{Condition, Weight};
pub use messages::{CheckResponse, ComponentHealth, PingResponse, ServingState};
pub use probe::{PROBE_PATIENCE, Probe, Watched};
pub use service::NodeReports;
#[cfg(feature = "node-host")]
pub use storage::Storage;
