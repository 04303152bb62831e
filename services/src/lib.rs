//! The services of a Blixard node, declared with `#[iroh_service]`; each is a folder of its messages, its trait and its
//! implementation.
//!
//! - `auth`, with the feature of that name: who may call which method, by the roles of keys.
//! - [`health`]: `grpc.health.v1.Health`, by which load balancers, orchestrators and peers ask whether a server serves.
//! - [`image`]: `blixard.image.v1.ImageService`, the disk images of a node; with the feature `image-host` it keeps them, and gives them to
//!   other nodes.
//! - [`node`]: `blixard.node.v1.NodeHealthService`, how a node is, part by part; with the feature `node-host` it looks at its disk.
//! - [`raft`]: `blixard.raft.v1.RaftService`, by which the members of a Raft cluster elect a leader and copy its log.
//! - [`status`]: `blixard.status.v1.StatusService`, what a node knows of its cluster and its peers.
//! - [`vm`]: `blixard.vm.v1.VmService`, the machines of a node; with the feature `vm-host` it runs them.
//!
//! What other languages need of them is in `proto/`, and follows from the traits: `cargo run --example schema -- write services/proto`.

#[cfg(feature = "auth")]
pub mod auth;
#[cfg(any(feature = "image-host", feature = "vm-host"))]
mod disk;
#[cfg(any(feature = "image-host", feature = "node-host", feature = "vm-host"))]
mod full;
pub mod health;
pub mod image;
#[cfg(any(feature = "image-host", feature = "vm-host"))]
mod kept;
pub mod node;
pub mod raft;
pub mod status;
pub mod vm;

use blixard_rpc::method::ServiceDescriptor;

/// All services: for what concerns each of them, such as their schemas.
#[must_use]
pub fn descriptors() -> [&'static ServiceDescriptor; 6] {
    [
        health::HealthService::descriptor(),
        image::ImagesService::descriptor(),
        node::NodeHealthService::descriptor(),
        raft::RaftService::descriptor(),
        status::NodeStatusService::descriptor(),
        vm::VmsService::descriptor(),
    ]
}
