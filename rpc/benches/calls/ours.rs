//! blixard-rpc doing the same work: a service as a user writes it, called through its generated client.

use blixard_rpc::{Channel, Memory, Result, Router, Streaming, iroh_service};
use bytes::Bytes;

use crate::net::PAYLOAD_BYTES;

/// What the raw ways do by hand.
#[iroh_service(package = "bench.v1")]
pub(crate) trait Bench {
    /// The same bytes again.
    async fn echo(&self, payload: Bytes) -> Result<Bytes>;
    /// So many items.
    async fn items(&self, count: u64) -> Result<Streaming<Bytes>>;
    /// How many bytes came.
    async fn upload(&self, message: Bytes) -> Result<u64>;
}

/// Answers.
pub(crate) struct Answers;

impl Bench for Answers {
    async fn echo(&self, payload: Bytes) -> Result<Bytes> {
        Ok(payload)
    }

    async fn items(&self, count: u64) -> Result<Streaming<Bytes>> {
        let item = Bytes::from_static(&[7; PAYLOAD_BYTES]);
        Ok(Streaming::from_iter((0..count).map(move |_| item.clone())))
    }

    async fn upload(&self, message: Bytes) -> Result<u64> {
        Ok(message.len() as u64)
    }
}

/// A client of a router in the same process, erased as clients are unless told otherwise.
pub(crate) fn in_memory() -> BenchClient {
    let router = Router::new().add(BenchServer::new(Answers));
    BenchClient::new(Channel::new(Memory::new(router)))
}
