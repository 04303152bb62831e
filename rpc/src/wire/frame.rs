//! The 24-byte header that every frame begins with. Sans-IO: bytes in, values out.

use std::fmt;

use super::{
    error::WireError,
    limits::{HEADER_BYTES, MAX_HEAD_BYTES, MAX_PAYLOAD_BYTES},
    version::VERSION,
};
use crate::codec::Codec;

const FLAG_ONEWAY: u8 = 0b0000_0001;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameType {
    /// Begins a call. On a lane it holds the request message too.
    Request = 1,
    /// Accepts a call. On a lane it holds the response message too, and ends the call.
    Response = 2,
    /// Ends a call with a status; from a client on a lane, cancels it.
    Error = 3,
    /// Messages, each behind its length.
    StreamData = 4,
    /// The explicit good end of one direction of a call.
    StreamEnd = 5,
    /// Asks for a Pong; the first on a lane opens it and holds the hello.
    Ping = 6,
    /// Answers a Ping, with the same id.
    Pong = 7,
}

impl FrameType {
    /// All types, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Request,
        Self::Response,
        Self::Error,
        Self::StreamData,
        Self::StreamEnd,
        Self::Ping,
        Self::Pong,
    ];

    /// The largest payload of a frame of this type.
    #[must_use]
    pub const fn max_payload_bytes(self) -> usize {
        match self {
            Self::StreamData => MAX_PAYLOAD_BYTES,
            _ => MAX_HEAD_BYTES,
        }
    }

    const fn has_codec(self) -> bool {
        matches!(self, Self::Request | Self::Response | Self::StreamData)
    }

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

/// Which call a frame belongs to: a UUID, unique on its connection, chosen by the client and never trusted across peers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub [u8; 16]);

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).fmt(f)
    }
}

/// A frame's header, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame is for.
    pub kind: FrameType,
    /// How its messages are encoded; in Request, Response and StreamData only, and there always.
    pub codec: Option<Codec>,
    /// Whether nothing is to be answered; in Request only.
    pub oneway: bool,
    /// How many bytes of payload follow.
    pub payload_bytes: usize,
    /// Which call it belongs to.
    pub id: RequestId,
}

impl Header {
    /// The header as it is sent.
    ///
    /// # Panics
    /// Never for a header whose payload is within the limit of its type.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        debug_assert!(self.payload_bytes <= self.kind.max_payload_bytes());
        debug_assert_eq!(self.codec.is_some(), self.kind.has_codec());
        let length = u32::try_from(self.payload_bytes).unwrap_or(u32::MAX);
        let mut out = [0; HEADER_BYTES];
        out[0] = VERSION;
        out[1] = self.kind as u8;
        out[2] = self.codec.map_or(0, |codec| codec as u8);
        out[3] = if self.oneway { FLAG_ONEWAY } else { 0 };
        out[4..8].copy_from_slice(&length.to_be_bytes());
        out[8..24].copy_from_slice(&self.id.0);
        out
    }

    /// Reads and checks a header; nothing is allocated.
    ///
    /// # Errors
    /// An unknown version, type, codec or flag, one that the type does not allow, or a payload over the type's limit.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, WireError> {
        if bytes[0] != VERSION {
            return Err(WireError::Version(bytes[0]));
        }
        let kind = FrameType::from_number(bytes[1]).ok_or(WireError::FrameType(bytes[1]))?;
        let codec = match bytes[2] {
            0 => None,
            1 => Some(Codec::Postcard),
            2 => Some(Codec::Protobuf),
            other => return Err(WireError::Codec(other)),
        };
        if codec.is_some() != kind.has_codec() {
            return Err(WireError::Codec(bytes[2]));
        }
        let oneway = bytes[3] == FLAG_ONEWAY;
        if bytes[3] & !FLAG_ONEWAY != 0 || (oneway && kind != FrameType::Request) {
            return Err(WireError::Flags(bytes[3]));
        }
        let payload_bytes = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
        let limit_bytes = kind.max_payload_bytes();
        if payload_bytes > limit_bytes {
            return Err(WireError::TooLarge {
                bytes: payload_bytes,
                limit_bytes,
            });
        }
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[8..24]);
        Ok(Self {
            kind,
            codec,
            oneway,
            payload_bytes,
            id: RequestId(id),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: RequestId = RequestId(*b"0123456789abcdef");

    fn header(kind: FrameType) -> Header {
        Header {
            kind,
            codec: kind.has_codec().then_some(Codec::Protobuf),
            oneway: kind == FrameType::Request,
            payload_bytes: kind.max_payload_bytes(),
            id: ID,
        }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let header = Header {
            kind: FrameType::Request,
            codec: Some(Codec::Postcard),
            oneway: true,
            payload_bytes: 0x0001_0203 & 0xffff,
            id: ID,
        };
        let mut expected = [0; HEADER_BYTES];
        expected[..8].copy_from_slice(&[1, 1, 1, 1, 0, 0, 2, 3]);
        expected[8..].copy_from_slice(&ID.0);
        assert_eq!(header.encode(), expected);
    }

    #[test]
    fn every_type_comes_back() {
        for kind in FrameType::ALL {
            let header = header(kind);
            assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
    }

    #[test]
    fn what_is_unknown_or_too_large_is_refused() {
        let check = |kind: FrameType, at: usize, value: u8, error: WireError| {
            let mut bytes = header(kind).encode();
            bytes[at] = value;
            assert_eq!(Header::decode(&bytes), Err(error), "byte {at} = {value}");
        };
        check(FrameType::Request, 0, 0, WireError::Version(0));
        check(FrameType::Request, 0, 2, WireError::Version(2));
        check(FrameType::Request, 1, 0, WireError::FrameType(0));
        check(FrameType::Request, 1, 8, WireError::FrameType(8));
        check(FrameType::Request, 2, 0, WireError::Codec(0));
        check(FrameType::Request, 2, 3, WireError::Codec(3));
        check(FrameType::Error, 2, 1, WireError::Codec(1));
        check(FrameType::Request, 3, 2, WireError::Flags(2));
        check(FrameType::Response, 3, 1, WireError::Flags(1));
        let too_large = |kind: FrameType| WireError::TooLarge {
            bytes: kind.max_payload_bytes() | 0xff00_0000,
            limit_bytes: kind.max_payload_bytes(),
        };
        check(FrameType::Request, 4, 255, too_large(FrameType::Request));
        check(
            FrameType::StreamData,
            4,
            255,
            too_large(FrameType::StreamData),
        );
    }
}
