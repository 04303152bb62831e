//! What all subjects share: endpoints on loopback, and the transport's settings.
//!
//! Nothing here may favour one of them.

use blixard_rpc::transport::iroh::transport_config;
use iroh::{
    Endpoint, EndpointAddr,
    endpoint::{Connection, presets},
};

pub(crate) use crate::drive::{Outcome, drive};

/// The payload of a small call.
pub(crate) const PAYLOAD_BYTES: usize = 64;
/// The payload of an upload.
pub(crate) const UPLOAD_BYTES: usize = 1024 * 1024;
/// Uploads in flight.
pub(crate) const UPLOADS: usize = 8;
/// Items of one measured stream.
pub(crate) const ITEMS: usize = 200_000;
/// An endpoint on loopback that answers `alpn`, with the settings of QUIC that blixard-rpc wants: enough streams that none of the
/// calls in flight waits for one, wide windows, segmentation offload on.
pub(crate) async fn endpoint(alpn: &[u8]) -> Outcome<Endpoint> {
    Ok(Endpoint::builder(presets::Minimal)
        .alpns(vec![alpn.to_vec()])
        .transport_config(transport_config())
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")?
        .bind()
        .await?)
}

/// Both ends of one connection over real QUIC, and the endpoints that must outlive it.
pub(crate) struct Pair {
    pub client: Connection,
    pub server: Connection,
    _endpoints: [Endpoint; 2],
}

/// Connects two new endpoints.
pub(crate) async fn pair(alpn: &'static [u8]) -> Outcome<Pair> {
    let (here, there) = (endpoint(alpn).await?, endpoint(alpn).await?);
    let address: EndpointAddr = there.addr();
    let accept = tokio::spawn({
        let there = there.clone();
        async move {
            let incoming = there.accept().await.ok_or("the endpoint was closed")?;
            Outcome::Ok(incoming.await?)
        }
    });
    let client = here.connect(address, alpn).await?;
    Ok(Pair {
        client,
        server: accept.await??,
        _endpoints: [here, there],
    })
}
