//! Calls over [gRPC](https://grpc.io): the same handlers for clients of any language, and stock servers called through the same traits.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use blixard_rpc::{Channel, Router, transport::grpc::{GrpcConnector, GrpcServer}};
//!
//! let server = GrpcServer::new(Router::new()).bind("127.0.0.1:50051").await?;
//! let connection = GrpcConnector::new().dial(&"http://127.0.0.1:50051".parse()?).await?;
//! let channel = Channel::new(connection); // for generated clients
//! # drop((server, channel));
//! # Ok(())
//! # }
//! ```
//!
//! # What to use
//!
//! | to | take |
//! |---|---|
//! | serve a router | [`GrpcServer`]: an address or a [`Listener`], limits, TLS, gRPC-Web, reflection, a graceful end |
//! | serve beside other services in tonic's own `Server` | the generated `GreeterServer` as it is, or in a [`GrpcService`] with options |
//! | serve tonic's services beside a router | [`GrpcServer::add_service`] |
//! | call a server | [`GrpcConnector`], alone or in a [`Pool`](crate::Pool) |
//! | call over tonic's `Channel`, balanced or with its layers | [`Grpc`] |
//!
//! Each of these is a feature: `grpc`, and on top of it `grpc-tls`, `grpc-web`, `grpc-reflection`, `grpc-compression`.
//!
//! # What becomes of what
//!
//! | here | in gRPC |
//! |---|---|
//! | method | `POST /package.Service/Method`, `content-type: application/grpc` |
//! | message | protobuf behind a flag and a length |
//! | [`Metadata`](crate::Metadata) | headers, of a `-bin` key in base64; trailing metadata in trailers |
//! | deadline | `grpc-timeout`, kept by both sides over whole streams |
//! | [`Priority`](crate::Priority) | `blixard-priority: bulk`, `normal`, `high` or `critical`, where it is not the method's own; anybody may send it |
//! | [`Status`](crate::Status) | `grpc-status`, `grpc-message`, and `google.rpc.Status` in `grpc-status-details-bin` |
//! | [`Status::was_accepted`](crate::Status::was_accepted) is `false` | `blixard-not-accepted: 1` beside the status; a refused stream, a GOAWAY before it, no connection |
//! | a response stream is there | with the headers, or before them if the requests have nothing to send for now: many servers send none before their first message |
//! | a call that is dropped | `RST_STREAM` with `CANCEL`; from a client it drops the handler |
//! | one-way call | a call that is answered `google.protobuf.Empty`, and whose answer the caller does not wait for |
//! | [`Peer`](crate::Peer) | the client's certificate under mutual TLS, else its address |
//! | compression | `grpc-encoding`, a message at a time, in `gzip` and `zstd`; read if it comes, sent if that is switched on |
//!
//! # Under somebody else's server
//!
//! Tonic's own `Server` reads `grpc-timeout` too, and ends a call that has not answered by then with `CANCELLED`, at the same moment as
//! we do with `DEADLINE_EXCEEDED`: either may be first. It has no gRPC-Web but tonic's, and limits of its own. One of them ends whole
//! connections: of a client that cancels more than twenty calls before the server has begun them, as many do that give up at once while
//! the server is busy. `Server::http2_max_pending_accept_reset_streams` sets it to what `max_concurrent_streams` is. [`GrpcServer`] does
//! that, runs on HTTP/2 itself and has nothing between.

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
mod peers;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod replay;
mod served;
mod server;
mod service;
mod shared;
mod status;
mod stream;
mod theirs;
mod timeout;
#[cfg(feature = "grpc-tls")]
mod tls;
mod unread;
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
