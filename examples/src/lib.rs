//! What the examples after the quickstart share: both ends of a connection in one process.

use std::error::Error;

use blixard_rpc::{
    Channel, Router,
    transport::iroh::{IrohConnector, IrohServer, SecretKey, ServerHandle, bind, presets},
};

/// Serves `router` on one iroh endpoint and connects to it from another, over QUIC, as the quickstart does step by step.
///
/// The server goes on until its handle is shut down or the process ends.
///
/// # Errors
/// An endpoint could not be bound, or the dial failed.
pub async fn serve_and_connect(router: Router) -> Result<(Channel, ServerHandle), Box<dyn Error>> {
    let server = IrohServer::new(router);
    let server = server.spawn(bind(presets::Minimal, SecretKey::generate()).await?);
    let connector = IrohConnector::new(bind(presets::Minimal, SecretKey::generate()).await?);
    let connection = connector.dial(server.endpoint().addr()).await?;
    Ok((Channel::new(connection), server))
}

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
