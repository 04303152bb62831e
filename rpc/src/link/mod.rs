//! Calls over byte streams: the protocol of [`wire`](crate::wire) between a client's [`Connection`] and a server's [`serve`], over any
//! [`Link`]. Nothing here knows of iroh.
//!
//! Small unary calls share *lanes*, one stream pair a priority; every other call has a stream pair of its own; an answer that is
//! too large for its lane comes on a one-way stream. Which of them a stream is, its first frame tells: Ping opens a lane, Request a
//! call, Response an answer.

mod body;
mod budget;
mod calls;
mod client;
mod halves;
mod lane;
mod liveness;
mod places;
mod reader;
#[cfg(feature = "fuzzing")]
mod replay;
mod serve;
mod serve_lane;
mod serve_stream;
mod services;
mod shared_pump;
mod stream;
mod writer;

pub use budget::{
    MAX_CALL_QUEUE_BYTES, MAX_INBOUND_BYTES, MAX_LANE_QUEUE_BYTES, MAX_OUTBOUND_BYTES, Peaks,
};
pub use client::{Connection, DEFAULT_MAX_CALLS, MAX_LANES};
pub use halves::{Broken, CloseCode, Link, Packets, RecvHalf, SendHalf, StreamCode};
pub use liveness::LivenessConfig;
#[cfg(feature = "grpc")]
pub(crate) use places::Places;
pub use serve::{CallCount, Drain, Limits, MAX_LANES_PER_CONNECTION, MAX_UNREAD_STREAMS, serve};
pub use services::Services;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use replay::{Replay, replay};
