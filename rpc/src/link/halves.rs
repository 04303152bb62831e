//! What the protocol asks of a network: byte streams in pairs, several at once, with priorities. iroh's connections are one.

use std::{
    fmt,
    future::Future,
    task::{Context, Poll},
};

use bytes::Bytes;

use crate::call::Peer;

/// An open connection that carries many streams; a clone is another handle of the same one.
pub trait Link: Clone + Send + Sync + 'static {
    /// The writing half of a stream.
    type Send: SendHalf;
    /// The reading half of a stream.
    type Recv: RecvHalf;

    /// Opens a stream pair; waits while the peer allows no more.
    fn open_bi(&self) -> impl Future<Output = Result<(Self::Send, Self::Recv), Broken>> + Send;

    /// Opens a stream to the peer; waits while the peer allows no more.
    fn open_uni(&self) -> impl Future<Output = Result<Self::Send, Broken>> + Send;

    /// The next stream pair that the peer opens.
    fn accept_bi(&self) -> impl Future<Output = Result<(Self::Send, Self::Recv), Broken>> + Send;

    /// The next one-way stream that the peer opens.
    fn accept_uni(&self) -> impl Future<Output = Result<Self::Recv, Broken>> + Send;

    /// Lets so many streams lie unread, each as full as it may be, without stopping the others: the connection's window is made
    /// larger by theirs.
    fn make_room(&self, streams: usize);

    /// Closes the connection at once; what was not delivered is lost.
    fn close(&self, code: CloseCode, reason: &str);

    /// Resolves when the connection is closed, with the reason.
    fn closed(&self) -> impl Future<Output = Broken> + Send;

    /// Who is on the other side.
    fn peer(&self) -> Peer;

    /// What was counted since the connection was opened.
    fn packets(&self) -> Packets;
}

/// Packets of a connection since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packets {
    /// How many were sent.
    pub sent: u64,
    /// How many of those were lost.
    pub lost: u64,
    /// How many were received.
    pub received: u64,
}

/// The writing half of a stream. Dropping it ends the stream as [`finish`](Self::finish) does, which is why every call ends with
/// a frame that says so.
pub trait SendHalf: Send + 'static {
    /// Writes as much of `chunks` as there is room for; advances over what was written.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        chunks: &mut &mut [Bytes],
    ) -> Poll<Result<(), Broken>>;

    /// Sets the priority against other streams of the connection, higher first.
    fn set_priority(&mut self, priority: i32);

    /// Ends the stream after what was written.
    fn finish(&mut self);

    /// Ends the stream at once; what was not delivered is lost.
    fn reset(&mut self, code: StreamCode);

    /// Resolves when the peer has read or refused everything, or the connection is lost.
    fn stopped(&mut self) -> impl Future<Output = ()> + Send + 'static;
}

/// The reading half of a stream. Dropping it stops the stream.
pub trait RecvHalf: Send + Unpin + 'static {
    /// Fills `chunks` from the front with what has arrived; zero is the end of the stream.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        chunks: &mut [Bytes],
    ) -> Poll<Result<usize, Broken>>;

    /// Tells the peer to send no more.
    fn stop(&mut self, code: StreamCode);
}

/// Why a stream or a connection carries no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The peer stopped or reset this stream.
    Stream(u64),
    /// The connection was closed by a peer of this protocol.
    Closed(u64, String),
    /// The connection is gone for another reason.
    Lost(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(code) => write!(f, "the peer ended the stream with code {code}"),
            Self::Closed(code, reason) => {
                write!(f, "the connection was closed with code {code}")?;
                if reason.is_empty() {
                    Ok(())
                } else {
                    write!(f, ": {reason}")
                }
            }
            Self::Lost(reason) => write!(f, "the connection was lost: {reason}"),
        }
    }
}

impl std::error::Error for Broken {}

/// The application error codes with which a stream is reset or stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum StreamCode {
    /// Nothing more is needed of it.
    Done = 0,
    /// The call was cancelled.
    Cancelled = 1,
    /// What was sent breaks the protocol or one of its limits.
    Protocol = 2,
}

/// The application error codes with which a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CloseCode {
    /// Nobody uses it any more. Also what an endpoint says that is closed, so that it tells nothing of the calls in flight.
    Done = 0,
    /// What was sent breaks the protocol.
    Protocol = 1,
    /// The server takes no more connections, in all or from this peer.
    TooManyConnections = 2,
    /// The peer answered no Ping in time.
    Unresponsive = 3,
    /// The server did not finish draining in time: calls were cut.
    Shutdown = 4,
    /// The server has drained it: calls that were not answered were not begun.
    Drained = 5,
}
