//! Calls over [iroh](https://iroh.computer): peer-to-peer QUIC, dialled by public key.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use blixard_rpc::{Router, transport::iroh::{self, IrohServer, presets, SecretKey}};
//!
//! let endpoint = iroh::bind(presets::N0, SecretKey::generate()).await?;
//! let server = IrohServer::new(Router::new()).spawn(endpoint);
//! println!("{}", server.peer().ticket());
//! # Ok(())
//! # }
//! ```

mod accept;
mod config;
mod connect;
mod link;

pub use self::{
    accept::{AcceptConfig, IrohServer, SHUTDOWN_GRACE, ServerHandle},
    config::{
        ALPN, CONNECTION_WINDOW_BYTES, IDLE_TIMEOUT, KEEP_ALIVE, SEND_WINDOW_BYTES,
        STREAM_WINDOW_BYTES, bind, transport_config,
    },
    connect::{CONNECT_TIMEOUT, IrohConnection, IrohConnector, IrohPeer},
    link::IrohLink,
};
pub use crate::link::{Limits, LivenessConfig};
pub use iroh::{
    Endpoint, EndpointAddr, EndpointId, SecretKey,
    endpoint::{Builder, presets},
};
