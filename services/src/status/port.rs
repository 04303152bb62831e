//! [`ClusterSource`] and [`PeerSource`]: all that is asked of an engine, and of what connects peers.

use blixard_rpc::{Result, Streaming};

use super::messages::{ClusterResponse, PeerConnection, RaftResponse};

/// An engine that knows of a cluster.
pub trait ClusterSource: Send + Sync + 'static {
    /// The cluster, as this node knows it.
    ///
    /// # Errors
    /// Why nothing can be said.
    fn cluster(&self) -> Result<ClusterResponse>;

    /// How far the engine is.
    ///
    /// # Errors
    /// Why nothing can be said.
    fn raft(&self) -> Result<RaftResponse>;

    /// Says whenever the [cluster](Self::cluster) may have changed since this was called, and need not say so more than once for several changes. It
    /// ends with the engine.
    fn changes(&self) -> Streaming<()>;
}

/// What connects peers.
pub trait PeerSource: Send + Sync + 'static {
    /// The connections that there are.
    fn peers(&self) -> Vec<PeerConnection>;
}
