//! How iroh's endpoints are set up for calls.

use std::time::Duration;

use iroh::{
    Endpoint, SecretKey,
    endpoint::{BindError, QuicTransportConfig, VarInt, presets::Preset},
};

use crate::link::DEFAULT_MAX_CALLS;

/// The protocol's name in the QUIC handshake.
pub const ALPN: &[u8] = b"blixard-rpc/1";

/// After how long without a packet a connection is given up.
///
/// A peer that was killed is noticed within this and [`KEEP_ALIVE`], 4.6 seconds: the time begins anew with the first packet that
/// is sent after the last that was received ([RFC 9000, section 10.1](https://www.rfc-editor.org/rfc/rfc9000#section-10.1)).
pub const IDLE_TIMEOUT: Duration = Duration::from_millis(3500);

/// How often an idle connection says that it is there: at most a third of [`IDLE_TIMEOUT`], or a lost packet or two end it.
pub const KEEP_ALIVE: Duration = Duration::from_millis(1100);

/// How many bytes of one stream a peer may send ahead of what was read.
///
/// Two things speak against more. Streams that nobody reads must not use up [`CONNECTION_WINDOW_BYTES`], for then no other stream
/// of the connection moves. And iroh's QUIC closes a connection, with "too many gaps in stream buffer", when a burst of losses leaves
/// more than 1024 gaps in one stream.
pub const STREAM_WINDOW_BYTES: u32 = 512 * 1024;

/// How many bytes of one connection a peer may send ahead of what was read: those of 64 streams that are not read at all.
pub const CONNECTION_WINDOW_BYTES: u32 = 64 * STREAM_WINDOW_BYTES;

/// How many bytes of one connection may be sent and not yet acknowledged.
///
/// All streams share it. It has room for the large messages that are written at once, and as much again for streams and lanes. Many
/// streams fill it all the same; then what is acknowledged makes room for the frames of lanes first.
pub const SEND_WINDOW_BYTES: u64 = 2 * CONNECTION_WINDOW_BYTES as u64;

/// How many streams a peer may have open beside those of its calls: its lanes.
pub(super) const LANE_STREAMS: u32 = 64;

/// The QUIC settings that calls want: streams enough for the calls in flight, windows for large messages, and a time-out that
/// notices a dead peer within seconds. For an endpoint that also speaks other protocols.
///
/// # Panics
/// Never: the constants are valid.
#[must_use]
pub fn transport_config() -> QuicTransportConfig {
    QuicTransportConfig::builder()
        // Calls, and a lane a priority and direction of spreading.
        .max_concurrent_bidi_streams(VarInt::from_u32(DEFAULT_MAX_CALLS + LANE_STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(DEFAULT_MAX_CALLS))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .keep_alive_interval(KEEP_ALIVE)
        .max_idle_timeout(Some(
            IDLE_TIMEOUT
                .try_into()
                .expect("seconds fit QUIC's time-out"),
        ))
        .build()
}

/// Binds an endpoint for calls: with [`transport_config`] and this protocol's ALPN.
///
/// `preset` decides how peers are found: `iroh::endpoint::presets::N0` across the internet, `Minimal` on addresses that are given.
///
/// # Errors
/// The sockets could not be bound.
pub async fn bind(preset: impl Preset, key: SecretKey) -> Result<Endpoint, BindError> {
    Endpoint::builder(preset)
        .secret_key(key)
        .alpns(vec![ALPN.to_vec()])
        .transport_config(transport_config())
        .bind()
        .await
}
