//! The bytes that travel, the same for all stacks.

use std::sync::OnceLock;

use bytes::Bytes;

/// What a small call carries each way, and an item of a stream.
pub(crate) const SMALL_BYTES: usize = 64;
/// What a large call carries one way.
pub(crate) const LARGE_BYTES: usize = 1024 * 1024;
/// What a huge call carries one way: 10 MiB, the most that a message of ours may have, less what goes around the payload.
pub(crate) const HUGE_BYTES: usize = 10 * 1024 * 1024 - 1024;

/// So many bytes, which nobody has to allocate anew.
pub(crate) fn payload(bytes: usize) -> Bytes {
    static ALL: OnceLock<Bytes> = OnceLock::new();
    ALL.get_or_init(|| Bytes::from(vec![7; HUGE_BYTES]))
        .slice(..bytes.min(HUGE_BYTES))
}

/// The same, where a peer says how many.
pub(crate) fn asked(bytes: u64) -> Bytes {
    payload(usize::try_from(bytes).unwrap_or(HUGE_BYTES))
}

/// An item of a stream.
pub(crate) fn item() -> Bytes {
    payload(SMALL_BYTES)
}
