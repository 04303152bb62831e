//! The trait that `blixard.status.v1.StatusService` is declared with.

use blixard_rpc::{Result, Streaming, iroh_service};

use super::messages::{
    ClusterResponse, PeersResponse, RaftResponse, VersionResponse, WatchResponse,
};

/// What a node knows of its cluster, its Raft engine and its peers. It is what this node knows, and may be old: ask several.
///
/// A node that belongs to no cluster, or speaks with no peers, answers `FAILED_PRECONDITION` to what is asked of them.
#[iroh_service(package = "blixard.status.v1", name = "StatusService")]
pub trait NodeStatus {
    /// Who leads the cluster, and who belongs to it.
    #[rpc(idempotent)]
    async fn cluster(&self) -> Result<ClusterResponse>;

    /// How far the Raft engine of this node is, and, if it leads, how far the others are.
    #[rpc(idempotent)]
    async fn raft(&self) -> Result<RaftResponse>;

    /// The peers that this node is connected with, and over which paths.
    #[rpc(idempotent)]
    async fn peers(&self) -> Result<PeersResponse>;

    /// Which version runs, and for how long.
    #[rpc(idempotent)]
    async fn version(&self) -> Result<VersionResponse>;

    /// The cluster and the paths to peers as they are now, at once, and from then on whenever one of them changes. A slow reader gets the
    /// newest; the last change always comes.
    #[rpc(idempotent)]
    async fn watch(&self) -> Result<Streaming<WatchResponse>>;
}
