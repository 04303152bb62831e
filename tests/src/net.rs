//! Endpoints on loopback, servers on them, and connections between them. What is called over them is the tests' own affair.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use blixard_rpc::{
    Router,
    transport::iroh::{
        ALPN, Endpoint, IrohConnection, IrohConnector, IrohServer, SecretKey, ServerHandle,
        presets, transport_config,
    },
};
use iroh::endpoint::QuicTransportConfig;

/// An endpoint with a new key.
///
/// # Panics
/// If loopback cannot be bound.
pub async fn endpoint() -> Endpoint {
    endpoint_of(SecretKey::generate()).await
}

/// An endpoint with this key.
///
/// # Panics
/// If loopback cannot be bound.
pub async fn endpoint_of(key: SecretKey) -> Endpoint {
    endpoint_at(0, key).await
}

/// An endpoint with this key at this port, of the system's choice if it is 0.
///
/// # Panics
/// If the port cannot be bound.
pub async fn endpoint_at(port: u16, key: SecretKey) -> Endpoint {
    bound_to((Ipv4Addr::LOCALHOST, port).into(), key, transport_config())
        .await
        .expect("the port can be bound")
}

/// An endpoint with a new key and these QUIC settings.
///
/// # Panics
/// If loopback cannot be bound.
pub async fn endpoint_with(config: QuicTransportConfig) -> Endpoint {
    let address = (Ipv4Addr::LOCALHOST, 0).into();
    bound_to(address, SecretKey::generate(), config)
        .await
        .expect("loopback can be bound")
}

/// An endpoint with a new key that speaks IPv6 alone; `None` on a machine that has none.
pub async fn endpoint_v6() -> Option<Endpoint> {
    let address = (Ipv6Addr::LOCALHOST, 0).into();
    bound_to(address, SecretKey::generate(), transport_config()).await
}

async fn bound_to(
    address: SocketAddr,
    key: SecretKey,
    config: QuicTransportConfig,
) -> Option<Endpoint> {
    Endpoint::builder(presets::Minimal)
        .secret_key(key)
        .alpns(vec![ALPN.to_vec()])
        .clear_ip_transports()
        .bind_addr(address)
        .expect("loopback is an address")
        .transport_config(config)
        .bind()
        .await
        .ok()
}

/// Serves on an endpoint of its own.
pub async fn serve(router: Router) -> ServerHandle {
    IrohServer::new(router).spawn(endpoint().await)
}

/// A connection from an endpoint of its own.
///
/// # Panics
/// If the server does not answer.
pub async fn dial(server: &ServerHandle) -> IrohConnection {
    dial_from(endpoint().await, server).await
}

/// A connection from this endpoint.
///
/// # Panics
/// If the server does not answer.
pub async fn dial_from(endpoint: Endpoint, server: &ServerHandle) -> IrohConnection {
    IrohConnector::new(endpoint)
        .dial(server.endpoint().addr())
        .await
        .expect("the server answers")
}

/// What `future` resolves to, within ten seconds: a test that hangs says where.
///
/// # Panics
/// If that is not enough.
#[track_caller]
pub fn soon<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(Duration::from_secs(10), future).await {
            Ok(value) => value,
            Err(_) => panic!("nothing came within ten seconds at {caller}"),
        }
    }
}
