//! blixard-rpc over iroh.

use blixard_rpc::{
    Channel, Router,
    transport::iroh::{ALPN, AcceptConfig, EndpointAddr, IrohConnector, IrohServer, ServerHandle},
};

use super::{
    others::others,
    ours::{BenchClient, router},
};
use crate::{
    Outcome,
    net::{Net, address, endpoint},
    stack::Stack,
};

/// With so many services in the router beside the one that is called.
pub(crate) struct OursIroh<const OTHERS: usize> {
    connector: IrohConnector,
    peer: EndpointAddr,
    _server: ServerHandle,
}

impl<const OTHERS: usize> Stack for OursIroh<OTHERS> {
    type Client = BenchClient;

    async fn start(net: Net) -> Outcome<Self> {
        let config = AcceptConfig {
            // All connections come from one peer here.
            max_connections_per_peer: AcceptConfig::default().max_connections,
            ..AcceptConfig::default()
        };
        let router = others().take(OTHERS).fold(router(), |router, other| {
            router.add_dispatch(other, Router::new())
        });
        let server = IrohServer::with_config(router, config).spawn(endpoint(net, ALPN).await?);
        Ok(Self {
            connector: IrohConnector::new(endpoint(net, ALPN).await?),
            peer: address(net, server.endpoint()),
            _server: server,
        })
    }

    async fn connect(&self) -> Outcome<BenchClient> {
        let connection = self.connector.dial(self.peer.clone()).await?;
        Ok(BenchClient::new(Channel::new(connection)))
    }
}
