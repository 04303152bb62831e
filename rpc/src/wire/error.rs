//! What can be wrong with bytes from a peer.

use std::fmt;

/// What is wrong with bytes that a peer sent. All but [`TooLarge`](Self::TooLarge) close the connection they came on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// A frame of a version that this side does not speak.
    Version(u8),
    /// A frame of a type that the protocol does not have.
    FrameType(u8),
    /// A codec that the protocol does not have, or that does not go with the frame's type.
    Codec(u8),
    /// A flag that the protocol does not have, or that does not go with the frame's type.
    Flags(u8),
    /// A request id of zero where one is needed, or one that is in use.
    RequestId,
    /// A payload over the limit for its frame.
    TooLarge {
        /// How long the peer said it is.
        bytes: usize,
        /// How long it may be.
        limit_bytes: usize,
    },
    /// The payload does not have the form that its frame's type asks for.
    Malformed(&'static str),
    /// A frame where the protocol allows none of its type.
    Unexpected(&'static str),
    /// The stream ended inside a frame, or without an explicit end.
    Truncated,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(
                f,
                "frame of protocol version {version}, but this side speaks version {}",
                super::VERSION
            ),
            Self::FrameType(kind) => write!(f, "unknown frame type {kind}"),
            Self::Codec(codec) => {
                write!(f, "codec {codec} is unknown or not allowed in this frame")
            }
            Self::Flags(flags) => {
                write!(
                    f,
                    "flags {flags:#010b} are unknown or not allowed in this frame"
                )
            }
            Self::RequestId => f.write_str("request id is zero or already in use"),
            Self::TooLarge { bytes, limit_bytes } => {
                write!(
                    f,
                    "payload of {bytes} bytes, the limit is {limit_bytes} bytes"
                )
            }
            Self::Malformed(what) => write!(f, "malformed {what}"),
            Self::Unexpected(what) => write!(f, "unexpected {what}"),
            Self::Truncated => f.write_str("stream ended without an explicit end"),
        }
    }
}

impl std::error::Error for WireError {}
