//! blixard-rpc over gRPC, plain and with TLS.

use blixard_rpc::{
    Channel,
    transport::grpc::{ClientTls, GrpcConnector, GrpcHandle, GrpcPeer, GrpcServer, ServerTls},
};

use super::ours::{BenchClient, router};
use crate::{
    Outcome,
    net::Net,
    stack::Stack,
    tls::{NAME, Secrets},
};

pub(crate) struct OursGrpc<const TLS: bool> {
    connector: GrpcConnector,
    peer: GrpcPeer,
    _server: GrpcHandle,
}

impl<const TLS: bool> Stack for OursGrpc<TLS> {
    type Client = BenchClient;

    async fn start(net: Net) -> Outcome<Self> {
        let (mut server, mut connector) = (GrpcServer::new(router()), GrpcConnector::new());
        if TLS {
            let secrets = Secrets::new()?;
            let (certificate, key) = (secrets.certificate.as_bytes(), secrets.key.as_bytes());
            server = server.tls(ServerTls::new(certificate, key)?);
            connector = connector.tls(ClientTls::new(certificate)?.server_name(NAME)?);
        }
        let server = server.bind(net.bind()).await?;
        let scheme = if TLS { "https" } else { "http" };
        let bound = server.local_addr().ok_or("it listens nowhere")?;
        Ok(Self {
            connector,
            peer: format!("{scheme}://{}", net.seen(bound)).parse()?,
            _server: server,
        })
    }

    async fn connect(&self) -> Outcome<BenchClient> {
        let connection = self.connector.dial(&self.peer).await?;
        Ok(BenchClient::new(Channel::new(connection)))
    }
}
