//! Every limit of the protocol, by name. A peer that passes one is answered with a status or a close code, never with memory.

/// The size of a frame's header.
pub const HEADER_BYTES: usize = 24;

pub use crate::method::MAX_MESSAGE_BYTES;

/// The longest prefix that gives a message's length inside a frame: a varint of 28 bits.
pub const MAX_LENGTH_PREFIX_BYTES: usize = 4;

/// The largest payload of a frame: a message and its length.
pub const MAX_PAYLOAD_BYTES: usize = MAX_MESSAGE_BYTES + MAX_LENGTH_PREFIX_BYTES;

/// The largest payload of every frame that is not StreamData: heads, statuses, hellos, and whole small calls on a lane.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Up to how many bytes of messages, with their lengths, share one StreamData frame: whoever keeps one of them keeps all.
pub const BATCH_BYTES: usize = 64 * 1024;

/// The longest path of a method: `/package.Service/Method`.
pub const MAX_PATH_BYTES: usize = 1024;

/// The most metadata, each way, counted as [`Metadata::size_bytes`](crate::Metadata::size_bytes) does.
///
/// On every transport what gRPC suggests for its own: there, in base64 and with the headers of the call, it stays below the 16 KiB
/// over which other libraries refuse a block of headers. A call that one transport carries is one that all carry.
pub const MAX_METADATA_BYTES: usize = 8 * 1024;

/// The most entries of metadata, each way.
pub const MAX_METADATA_ENTRIES: usize = 128;

/// The longest message of a status; a longer one is cut when it is sent.
pub const MAX_STATUS_MESSAGE_BYTES: usize = 4 * 1024;

/// The most bytes of details of a status; what does not fit is left out when it is sent.
pub const MAX_STATUS_DETAILS_BYTES: usize = 32 * 1024;

/// The most services that a hello names. Calls to those beyond it travel as protobuf.
pub const MAX_HELLO_SERVICES: usize = 512;
