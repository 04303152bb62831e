//! What a gRPC server allows, and how both sides set HTTP/2 up.

use std::time::Duration;

use crate::{link::DEFAULT_MAX_CALLS, method::MAX_MESSAGE_BYTES, wire::limits::MAX_METADATA_BYTES};

/// How many bytes of one stream a peer may send ahead of what was read.
pub const STREAM_WINDOW_BYTES: u32 = 512 * 1024;

/// How many bytes of one connection a peer may send ahead of what was read: those of 64 streams that are not read at all. With
/// fewer, streams that stand still would stop the calls beside them.
pub const CONNECTION_WINDOW_BYTES: u32 = 64 * STREAM_WINDOW_BYTES;

/// How many bytes of one stream are kept for a peer that does not read, beside what its window takes.
pub const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// How many bytes a server holds of requests that have not come whole, over all its connections, unless told otherwise: a hundred of
/// the largest. A length alone takes nothing.
pub const MAX_INBOUND_BYTES: usize = 100 * MAX_MESSAGE_BYTES;

/// The largest block of headers that is read, as HTTP/2 counts it: as much metadata as may be sent, [`MAX_METADATA_BYTES`] in base64,
/// and what gRPC says of a call. More is answered by HTTP/2 itself, with 431 or a reset.
pub const MAX_HEADER_BYTES: u32 = 2 * MAX_METADATA_BYTES as u32;

/// The largest block of headers that a client reads: servers may say more of an error than is asked of clients.
pub(super) const MAX_RESPONSE_HEADER_BYTES: u32 = 64 * 1024;

/// The largest frame that is read: fewer and larger ones make large messages cheaper.
pub(super) const MAX_FRAME_BYTES: u32 = 64 * 1024;

/// What a gRPC server allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcConfig {
    /// How many connections may be open at once; further ones are closed.
    pub max_connections: usize,
    /// How many connections may be open at once from one address, of clients that have not proved who they are; further ones are closed.
    /// Of IPv6, the 64 bits that name a network count as one address.
    pub max_connections_per_address: usize,
    /// How many connections may be open at once of clients with one certificate, wherever they are; further ones are closed.
    pub max_connections_per_identity: usize,
    /// How many handshakes may be under way at once; further ones wait.
    pub max_handshakes: usize,
    /// How many handshakes may be under way at once with one address; further ones are closed, so that who says nothing holds up
    /// nobody else.
    pub max_handshakes_per_address: usize,
    /// How long a handshake, of TLS and of HTTP/2, may take.
    pub handshake_timeout: Duration,
    /// How many calls may be in flight at once, over all connections; further ones are answered `RESOURCE_EXHAUSTED`.
    pub max_calls: usize,
    /// How many calls may be in flight at once on one connection: clients know, and wait. Who does not is refused by HTTP/2.
    pub max_calls_per_connection: u32,
    /// The largest request, where a method's own limit is not less; at most [`MAX_MESSAGE_BYTES`].
    pub max_message_bytes: usize,
    /// How many bytes are held of requests that have not come whole, over all connections; calls whose request would be beyond it are
    /// answered `RESOURCE_EXHAUSTED`.
    pub max_inbound_bytes: usize,
    /// How a peer that is gone without a word is noticed.
    pub keep_alive: Option<KeepAlive>,
}

impl Default for GrpcConfig {
    /// 4096 connections, 1024 an address and 256 a certificate, 256 handshakes, 64 an address, of at most 10 seconds, 65 536 calls, 1024 a connection, requests of 10 MiB of which 1000 MiB may be on their way, and a ping each 20 seconds.
    fn default() -> Self {
        Self {
            max_connections: 4096,
            max_connections_per_address: 1024,
            max_connections_per_identity: 256,
            max_handshakes: 256,
            max_handshakes_per_address: 64,
            handshake_timeout: Duration::from_secs(10),
            max_calls: 65_536,
            max_calls_per_connection: DEFAULT_MAX_CALLS,
            max_message_bytes: MAX_MESSAGE_BYTES,
            max_inbound_bytes: MAX_INBOUND_BYTES,
            keep_alive: Some(KeepAlive::default()),
        }
    }
}

/// How a peer that is gone without a word is noticed: it is pinged, and must answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// How often it is asked.
    pub interval: Duration,
    /// How long it may take to answer.
    pub timeout: Duration,
}

impl Default for KeepAlive {
    /// Each 20 seconds, and at most 10 for the answer.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(20),
            timeout: Duration::from_secs(10),
        }
    }
}
