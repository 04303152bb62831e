//! The trait that `blixard.node.v1.NodeHealthService` is declared with.

use blixard_rpc::{Result, iroh_service};
use bytes::Bytes;

use super::messages::{CheckResponse, PingResponse};

/// How a node is.
#[iroh_service(package = "blixard.node.v1", name = "NodeHealthService")]
pub trait NodeHealth {
    /// How the node is as a whole, and each of its components, by name. Set a deadline: no answer in time is an answer too.
    #[rpc(idempotent)]
    async fn check(&self) -> Result<CheckResponse>;

    /// Answers with what it was sent, and with the node's time.
    ///
    /// The caller measures the round trip by its own clock; its time of sending, that of the answer and the node's time tell how far the
    /// clocks are apart, to within half the round trip.
    #[rpc(idempotent, max_message = "64 KiB")]
    async fn ping(&self, #[tag(1)] payload: Bytes) -> Result<PingResponse>;
}
