//! iroh's connections and streams as the [`Link`] that the protocol runs on.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use iroh::{
    Endpoint,
    endpoint::{
        Connection, ConnectionError, ReadError, RecvStream, SendStream, VarInt, WriteError,
    },
};

use super::config::{CONNECTION_WINDOW_BYTES, LANE_STREAMS, STREAM_WINDOW_BYTES};
use crate::{
    call::Peer,
    link::{Broken, CloseCode, DEFAULT_MAX_CALLS, Link, Packets, RecvHalf, SendHalf, StreamCode},
};

/// How long a dialling endpoint that nobody else holds is kept, so that the close of its connection leaves it.
const CLOSE_LINGER: Duration = Duration::from_millis(500);

/// A QUIC connection of an iroh endpoint.
#[derive(Clone, Debug)]
pub struct IrohLink {
    connection: Connection,
    /// The endpoint that dialled: it breaks its connections when its last handle is dropped.
    endpoint: Option<Endpoint>,
}

impl IrohLink {
    pub(super) fn dialled(connection: Connection, endpoint: Endpoint) -> Self {
        set_windows(&connection);
        // One for each answer that is too large for a lane.
        connection.set_max_concurrent_uni_streams(VarInt::from_u32(DEFAULT_MAX_CALLS));
        Self {
            connection,
            endpoint: Some(endpoint),
        }
    }

    /// A connection on which the peer may have so many calls in flight.
    pub(super) fn accepted(connection: Connection, max_calls: u32) -> Self {
        set_windows(&connection);
        let streams = max_calls.saturating_add(LANE_STREAMS);
        connection.set_max_concurrent_bi_streams(VarInt::from_u32(streams));
        Self {
            connection,
            endpoint: None,
        }
    }

    /// The connection below, for its paths, round-trip times and counters.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}

impl Link for IrohLink {
    type Send = SendStream;
    type Recv = RecvStream;

    async fn open_bi(&self) -> Result<(SendStream, RecvStream), Broken> {
        self.connection.open_bi().await.map_err(broken)
    }

    async fn open_uni(&self) -> Result<SendStream, Broken> {
        self.connection.open_uni().await.map_err(broken)
    }

    async fn accept_bi(&self) -> Result<(SendStream, RecvStream), Broken> {
        self.connection.accept_bi().await.map_err(broken)
    }

    async fn accept_uni(&self) -> Result<RecvStream, Broken> {
        self.connection.accept_uni().await.map_err(broken)
    }

    fn make_room(&self, streams: usize) {
        let streams = u32::try_from(streams).unwrap_or(u32::MAX);
        let window = streams
            .saturating_mul(STREAM_WINDOW_BYTES)
            .saturating_add(CONNECTION_WINDOW_BYTES);
        self.connection.set_receive_window(VarInt::from_u32(window));
    }

    fn close(&self, code: CloseCode, reason: &str) {
        self.connection
            .close(VarInt::from_u32(code as u32), reason.as_bytes());
        // An endpoint whose last handle is dropped sends nothing more, and the peer would learn of the close by its idle time-out.
        if let Some(endpoint) = self.endpoint.clone()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                tokio::time::sleep(CLOSE_LINGER).await;
                drop(endpoint);
            });
        }
    }

    async fn closed(&self) -> Broken {
        broken(self.connection.closed().await)
    }

    fn peer(&self) -> Peer {
        Peer::Key(*self.connection.remote_id().as_bytes())
    }

    fn packets(&self) -> Packets {
        let stats = self.connection.stats();
        Packets {
            sent: stats.sent_packets,
            lost: stats.lost_packets,
            received: stats.udp_rx.datagrams,
        }
    }
}

impl SendHalf for SendStream {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        chunks: &mut &mut [Bytes],
    ) -> Poll<Result<(), Broken>> {
        // Cancel safe, so that a future for each poll is as good as one for all.
        pin!(self.write_many_chunks(chunks))
            .poll(cx)
            .map(|written| match written {
                Ok(_) => Ok(()),
                Err(WriteError::Stopped(code)) => Err(Broken::Stream(code.into_inner())),
                Err(WriteError::ConnectionLost(error)) => Err(broken(error)),
                Err(error) => Err(Broken::Lost(error.to_string())),
            })
    }

    fn set_priority(&mut self, priority: i32) {
        // Fails on a stream that was closed, which needs none.
        let _ = Self::set_priority(self, priority);
    }

    fn finish(&mut self) {
        let _ = Self::finish(self);
    }

    fn reset(&mut self, code: StreamCode) {
        let _ = Self::reset(self, VarInt::from_u32(code as u32));
    }

    fn stopped(&mut self) -> impl Future<Output = ()> + Send + 'static {
        let stopped = Self::stopped(self);
        async move {
            let _ = stopped.await;
        }
    }
}

impl RecvHalf for RecvStream {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        chunks: &mut [Bytes],
    ) -> Poll<Result<usize, Broken>> {
        // Cancel safe too.
        pin!(self.read_many_chunks(chunks))
            .poll(cx)
            .map(|read| match read {
                Ok(count) => Ok(count.unwrap_or(0)),
                Err(ReadError::Reset(code)) => Err(Broken::Stream(code.into_inner())),
                Err(ReadError::ConnectionLost(error)) => Err(broken(error)),
                Err(error) => Err(Broken::Lost(error.to_string())),
            })
    }

    fn stop(&mut self, code: StreamCode) {
        let _ = Self::stop(self, VarInt::from_u32(code as u32));
    }
}

/// The windows of [`transport_config`](super::transport_config), whatever the endpoint was set up for. (How many streams there may
/// be is set likewise: by iroh's defaults a hundred, so that as many which stay open keep all other calls waiting, and the lane on
/// which a client asks whether its server lives.)
fn set_windows(connection: &Connection) {
    connection.set_receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES));
}

fn broken(error: ConnectionError) -> Broken {
    match error {
        ConnectionError::ApplicationClosed(close) => Broken::Closed(
            close.error_code.into_inner(),
            String::from_utf8_lossy(&close.reason).into_owned(),
        ),
        error => Broken::Lost(error.to_string()),
    }
}
