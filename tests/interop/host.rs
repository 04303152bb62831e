//! Servers on loopback, and channels to them.

use std::{convert::Infallible, net::SocketAddr};

use blixard_rpc::{
    Router,
    transport::grpc::{GrpcHandle, GrpcServer},
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    body::Body,
    server::NamedService,
    transport::{Channel, Endpoint, Server},
};

use crate::service::{DepotServer, Keeper};

/// Our server with a keeper of ours.
pub(crate) async fn ours(keeper: Keeper) -> GrpcHandle {
    let router = Router::new().add(DepotServer::new(keeper));
    GrpcServer::new(router).bind("127.0.0.1:0").await.unwrap()
}

/// Tonic's own server, as it comes, with one service.
pub(crate) async fn tonics<S>(service: S) -> SocketAddr
where
    S: tower_service::Service<
            http::Request<Body>,
            Response: axum::response::IntoResponse,
            Error = Infallible,
            Future: Send,
        > + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = TcpListenerStream::new(listener);
    let server = Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(incoming));
    address
}

/// Tonic's own channel.
pub(crate) async fn channel(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect().await.unwrap()
}
