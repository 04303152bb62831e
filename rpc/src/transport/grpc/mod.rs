//! Calls over [gRPC](https://grpc.io), to and from whatever else speaks it.

mod accepted;
mod alive;
mod answer;
mod ask;
mod budget;
mod client;
mod config;
mod connect;
mod dialled;
mod encoding;
mod frame;
mod headers;
#[cfg(feature = "grpc-web")]
mod http1;
mod inbound;
mod listener;
mod oneway;
mod outbound;
#[cfg(feature = "grpc-reflection")]
mod reflection;
mod served;
mod server;
mod service;
mod shared;
mod status;
mod stream;
mod timeout;
#[cfg(feature = "grpc-tls")]
mod tls;
#[cfg(feature = "grpc-web")]
mod web;

#[cfg(feature = "grpc-tls")]
pub use self::tls::{ClientTls, ServerTls};
#[cfg(feature = "grpc-web")]
pub use self::web::Origins;
pub use self::{
    client::Grpc,
    config::{
        CONNECTION_WINDOW_BYTES, GrpcConfig, KeepAlive, MAX_HEADER_BYTES, MAX_INBOUND_BYTES,
        SEND_BUFFER_BYTES, STREAM_WINDOW_BYTES,
    },
    connect::{CONNECT_TIMEOUT, GrpcConnector, GrpcPeer},
    dialled::GrpcConnection,
    encoding::Encoding,
    listener::Listener,
    server::{GrpcHandle, GrpcServer},
    service::GrpcService,
    status::MAX_DETAILS_HEADER_BYTES,
};
