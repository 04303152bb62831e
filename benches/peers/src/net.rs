//! Where both ends are, and iroh endpoints there, the same for all that use iroh.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use blixard_rpc::transport::iroh::transport_config;
use iroh::{
    Endpoint, EndpointAddr,
    endpoint::{Connection, QuicTransportConfig, presets},
};

use crate::Outcome;

/// Where a server listens, and where a client finds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Net {
    /// What both ends bind.
    pub own: IpAddr,
    /// What clients connect to.
    pub seen: IpAddr,
}

impl Net {
    /// Over loopback.
    pub(crate) const LOOPBACK: Self = Self {
        own: IpAddr::V4(Ipv4Addr::LOCALHOST),
        seen: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };

    /// What a server binds.
    pub(crate) fn bind(self) -> SocketAddr {
        (self.own, 0).into()
    }

    /// Where clients find what listens at this address.
    pub(crate) fn seen(self, bound: SocketAddr) -> SocketAddr {
        (self.seen, bound.port()).into()
    }
}

/// An endpoint, with the settings of QUIC that blixard-rpc wants, for raw iroh too: enough streams that none of the calls in flight
/// waits for one, wide windows, segmentation offload on.
pub(crate) async fn endpoint(net: Net, alpn: &[u8]) -> Outcome<Endpoint> {
    endpoint_with(net, alpn, transport_config()).await
}

async fn endpoint_with(net: Net, alpn: &[u8], config: QuicTransportConfig) -> Outcome<Endpoint> {
    Ok(Endpoint::builder(presets::Minimal)
        .alpns(vec![alpn.to_vec()])
        .transport_config(config)
        .clear_ip_transports()
        .bind_addr(net.bind())?
        .bind()
        .await?)
}

/// Where clients find an endpoint.
pub(crate) fn address(net: Net, endpoint: &Endpoint) -> EndpointAddr {
    let address = EndpointAddr::new(endpoint.id());
    let bound = endpoint.bound_sockets();
    bound.into_iter().fold(address, |address, socket| {
        address.with_ip_addr(net.seen(socket))
    })
}

/// Two endpoints of raw iroh: one whose connections are handed to a task each, and one that dials it.
pub(crate) struct Quic {
    alpn: &'static [u8],
    client: Endpoint,
    server: EndpointAddr,
}

impl Quic {
    /// Serves each connection with a task of its own.
    pub(crate) async fn serve<F>(
        net: Net,
        alpn: &'static [u8],
        serve: impl Fn(Connection) -> F + Send + Sync + 'static,
    ) -> Outcome<Self>
    where
        F: Future<Output = Outcome<()>> + Send + 'static,
    {
        Self::serve_with(net, alpn, transport_config(), serve).await
    }

    /// The same with other settings of QUIC.
    pub(crate) async fn serve_with<F>(
        net: Net,
        alpn: &'static [u8],
        config: QuicTransportConfig,
        serve: impl Fn(Connection) -> F + Send + Sync + 'static,
    ) -> Outcome<Self>
    where
        F: Future<Output = Outcome<()>> + Send + 'static,
    {
        let server = endpoint_with(net, alpn, config.clone()).await?;
        let address = address(net, &server);
        let serve = Arc::new(serve);
        tokio::spawn(async move {
            while let Some(incoming) = server.accept().await {
                let serve = Arc::clone(&serve);
                tokio::spawn(async move { serve(incoming.await?).await });
            }
        });
        Ok(Self {
            alpn,
            client: endpoint_with(net, alpn, config).await?,
            server: address,
        })
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> Outcome<Connection> {
        Ok(self.client.connect(self.server.clone(), self.alpn).await?)
    }
}
