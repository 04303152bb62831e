//! Metadata entries under their limits.

use bytes::Bytes;

use super::{
    error::WireError,
    fields::{Value, next, text},
    limits::{MAX_METADATA_BYTES, MAX_METADATA_ENTRIES},
};
use crate::metadata::{ENTRY_OVERHEAD_BYTES, Metadata};

/// What is left for entries of one metadata that is being read.
#[derive(Clone, Copy)]
pub(super) struct EntryLimits {
    bytes: usize,
    entries: usize,
}

/// The limits before the first entry.
pub(super) const ENTRY_LIMITS: EntryLimits = EntryLimits {
    bytes: MAX_METADATA_BYTES,
    entries: MAX_METADATA_ENTRIES,
};

impl EntryLimits {
    /// Reads one entry and adds it.
    pub(super) fn add(
        &mut self,
        metadata: &mut Metadata,
        mut entry: &[u8],
        what: &'static str,
    ) -> Result<(), WireError> {
        let (mut key, mut value) = ("", &[][..]);
        while let Some((number, field)) = next(&mut entry, what)? {
            match (number, field) {
                (1, Value::Bytes(bytes)) => key = text(bytes, what)?,
                (2, Value::Bytes(bytes)) => value = bytes,
                _ => {}
            }
        }
        let size = key.len() + value.len() + ENTRY_OVERHEAD_BYTES;
        if size > self.bytes || self.entries == 0 {
            return Err(WireError::TooLarge {
                bytes: MAX_METADATA_BYTES - self.bytes + size,
                limit_bytes: MAX_METADATA_BYTES,
            });
        }
        self.bytes -= size;
        self.entries -= 1;
        metadata
            .append_raw(key.to_owned(), Bytes::copy_from_slice(value))
            .map_err(|_| WireError::Malformed("metadata"))
    }

    /// Whether all of `metadata` is within the limits.
    pub(super) fn allow(self, metadata: &Metadata) -> bool {
        metadata.is_empty()
            || (metadata.len() <= self.entries && metadata.size_bytes() <= self.bytes)
    }
}

/// Whether `metadata` may be sent.
#[must_use]
pub fn metadata_fits(metadata: &Metadata) -> bool {
    ENTRY_LIMITS.allow(metadata)
}
