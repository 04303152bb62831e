//! Items of streams: numbered, of any size, and of which each byte is checked.

use bytes::{Bytes, BytesMut};

/// How many bytes of an item say its number; an item is not smaller.
pub(super) const NUMBER_BYTES: usize = 8;

/// The item with this number.
pub(super) fn item(number: u64, size_bytes: usize) -> Bytes {
    let mut item = BytesMut::with_capacity(size_bytes.max(NUMBER_BYTES));
    item.extend_from_slice(&number.to_be_bytes());
    item.resize(size_bytes.max(NUMBER_BYTES), fill(number));
    item.freeze()
}

/// The number of an item.
///
/// # Panics
/// If a byte of it is not as [`item`] makes it.
pub(super) fn number(item: &Bytes) -> u64 {
    let (number, rest) = item
        .split_first_chunk::<NUMBER_BYTES>()
        .expect("an item has at least its number");
    let number = u64::from_be_bytes(*number);
    // Slices compare far faster than iterators where nothing is optimised.
    let expected = [fill(number); 4096];
    assert!(
        rest.chunks(expected.len())
            .all(|chunk| *chunk == expected[..chunk.len()]),
        "item {number} of {} bytes has other bytes than were sent",
        item.len()
    );
    number
}

fn fill(number: u64) -> u8 {
    number.to_le_bytes()[0] ^ 0x5a
}
