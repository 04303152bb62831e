//! [`ClusterSource`] and [`PeerSource`]: all that is asked of an engine, and of what connects peers.

use std::time::Duration;

use blixard_rpc::{Result, Streaming};
use futures_util::stream;
use tokio::time::{MissedTickBehavior, interval};

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

    /// Says whenever the [peers](Self::peers) or the paths to them may have changed since this was called, and need not say so more than
    /// once for several changes. Without it they are looked at twice a second.
    fn changes(&self) -> Streaming<()> {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Streaming::new(stream::unfold(looks, |mut looks| async {
            looks.tick().await;
            Some((Ok(()), looks))
        }))
    }
}

/// How often is looked at what does not say when it changes, while somebody watches.
const LOOK: Duration = Duration::from_millis(500);
