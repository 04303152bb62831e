//! blixard-rpc doing the same work: a service as a user writes it, called through its generated client.

use blixard_rpc::{
    Channel, Memory, Result, Router, Streaming, iroh_service,
    transport::iroh::{ALPN, IrohConnector, IrohServer, ServerHandle},
};
use bytes::Bytes;

use crate::net::{Outcome, PAYLOAD_BYTES, endpoint};

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

/// A client over a connection of its own, and the server that must outlive it.
pub(crate) async fn over_iroh() -> Outcome<(BenchClient, ServerHandle)> {
    let server = IrohServer::new(Router::new().add(BenchServer::new(Answers)));
    let server = server.spawn(endpoint(ALPN).await?);
    let connector = IrohConnector::new(endpoint(ALPN).await?);
    let connection = connector.dial(server.endpoint().addr()).await?;
    Ok((BenchClient::new(Channel::new(connection)), server))
}

/// A client of a router in the same process, erased as clients are unless told otherwise.
pub(crate) fn in_memory() -> BenchClient {
    let router = Router::new().add(BenchServer::new(Answers));
    BenchClient::new(Channel::new(Memory::new(router)))
}
