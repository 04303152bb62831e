//! The protocol's bytes, sans-IO: what this side sends and how what a peer sent is read. Nothing here knows of streams or tasks.
//!
//! Every frame is a header of 24 bytes and a payload:
//!
//! ```text
//!  0        1        2        3        4                                 8                                24
//! +--------+--------+--------+--------+--------+--------+--------+--------+------------- - - - ------------+
//! | version|  type  | codec  | flags  |  payload length, big endian (u32) |   request id: a UUID, 16 bytes |
//! +--------+--------+--------+--------+--------+--------+--------+--------+------------- - - - ------------+
//! ```
//!
//! | field | values |
//! |---|---|
//! | version | 1 |
//! | type | 1 Request, 2 Response, 3 Error, 4 StreamData, 5 StreamEnd, 6 Ping, 7 Pong |
//! | codec | 0 none, 1 postcard, 2 protobuf; 1 or 2 in Request, Response and StreamData, 0 in the others |
//! | flags | bit 0: one-way, in Request only; any other bit is an error |
//! | payload length | at most 64 KiB, in StreamData at most 10 MiB and 4 bytes if it is one message |
//!
//! | payload of | on a lane | on a stream of its own |
//! |---|---|---|
//! | Request | head length (varint), [`RequestHead`], the message | [`RequestHead`] |
//! | Response | head length (varint), [`ResponseHead`], the message | [`ResponseHead`] |
//! | Error | [`StatusHead`]; empty from a client, to cancel | [`StatusHead`] |
//! | StreamData | - | messages, each behind its length (varint) |
//! | StreamEnd | - | [`ResponseHead`], of which the trailing metadata counts; empty from a client |
//! | Ping | [`Hello`] in the first of a lane, then empty | - |
//! | Pong | [`Hello`] in the first of a lane, and when the server begins to drain; else empty | - |

mod batch;
mod entries;
mod error;
mod fields;
mod frame;
mod head;
mod hello;
mod lane;
pub mod limits;
mod version;

pub use batch::{length_prefix_bytes, put_length, take_message};
pub use entries::metadata_fits;
pub use error::WireError;
pub use fields::set_length;
pub use frame::{FrameType, Header, RequestId};
pub use head::{MethodRef, RequestHead, ResponseHead, StatusHead};
pub use hello::{Hello, method_number, numbered_method};
pub use lane::{put_call, split_call};
pub use version::VERSION;
