//! Reading and writing the few protobuf fields that heads and hellos consist of, straight from and to a byte slice.

use bytes::BytesMut;
use prost::encoding::decode_varint;

use super::error::WireError;

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED32: u64 = 5;

/// One field of a protobuf message.
pub(super) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Of a wire type that no field here has; to be skipped.
    Other,
}

/// Reads the next field off the front of `bytes`: its number and value; `None` at the end.
pub(super) fn next<'a>(
    bytes: &mut &'a [u8],
    what: &'static str,
) -> Result<Option<(u64, Value<'a>)>, WireError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let malformed = || WireError::Malformed(what);
    let key = take_varint(bytes).ok_or_else(malformed)?;
    let value = match key & 7 {
        VARINT => Value::Varint(take_varint(bytes).ok_or_else(malformed)?),
        LENGTH_DELIMITED => {
            let length = take_varint(bytes).ok_or_else(malformed)?;
            let length = usize::try_from(length).map_err(|_| malformed())?;
            Value::Bytes(take(bytes, length).ok_or_else(malformed)?)
        }
        FIXED64 => take(bytes, 8).map(|_| Value::Other).ok_or_else(malformed)?,
        FIXED32 => take(bytes, 4).map(|_| Value::Other).ok_or_else(malformed)?,
        // Groups were never part of this protocol.
        _ => return Err(malformed()),
    };
    Ok(Some((key >> 3, value)))
}

/// Takes `length` bytes off the front.
pub(super) fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(length)?;
    *bytes = tail;
    Some(head)
}

pub(super) fn text<'a>(bytes: &'a [u8], what: &'static str) -> Result<&'a str, WireError> {
    std::str::from_utf8(bytes).map_err(|_| WireError::Malformed(what))
}

/// Takes a varint off the front; nearly all have one byte.
#[inline]
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    match bytes {
        [byte @ 0..0x80, rest @ ..] => {
            *bytes = rest;
            Some(u64::from(*byte))
        }
        _ => decode_varint(bytes).ok(),
    }
}

/// Appends a varint.
#[inline]
pub(super) fn append_varint(out: &mut BytesMut, value: u64) {
    append_varints(out, [value]);
}

pub(super) fn put_varint(out: &mut BytesMut, number: u64, value: u64) {
    append_varints(out, [number << 3 | VARINT, value]);
}

pub(super) fn put_bytes(out: &mut BytesMut, number: u64, value: &[u8]) {
    append_varints(out, [number << 3 | LENGTH_DELIMITED, value.len() as u64]);
    out.extend_from_slice(value);
}

/// Appends a nested message of less than 2 MiB, written by `fill`, as a field.
pub(super) fn put_nested(out: &mut BytesMut, number: u64, fill: impl FnOnce(&mut BytesMut)) {
    append_varint(out, number << 3 | LENGTH_DELIMITED);
    put_with_length(out, fill);
}

/// Appends what `fill` writes, less than 2 MiB, behind its length.
pub(super) fn put_with_length(out: &mut BytesMut, fill: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.extend_from_slice(&[0]);
    fill(out);
    set_length(out, at);
}

/// Makes the byte at `at` the length of what was written behind it, less than 2 MiB.
///
/// The length is known when all is written. Where the byte is too little, two more are put in between.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the masks leave what fits")]
pub fn set_length(out: &mut BytesMut, at: usize) {
    let end = out.len();
    let length = end - at - 1;
    if length < 0x80 {
        out[at] = length as u8;
        return;
    }
    debug_assert!(length < 1 << 21);
    out.extend_from_slice(&[0; 2]);
    out.copy_within(at + 1..end, at + 3);
    // A varint may end in zero groups, so three bytes hold every such length.
    out[at] = (length & 0x7f) as u8 | 0x80;
    out[at + 1] = (length >> 7 & 0x7f) as u8 | 0x80;
    out[at + 2] = (length >> 14 & 0x7f) as u8;
}

/// Appends varints in one go.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the masks leave what fits")]
fn append_varints<const N: usize>(out: &mut BytesMut, values: [u64; N]) {
    let mut bytes = [[0; MAX_VARINT_BYTES]; N];
    let bytes = bytes.as_flattened_mut();
    let mut end = 0;
    for mut value in values {
        while value >= 0x80 {
            bytes[end] = value as u8 | 0x80;
            value >>= 7;
            end += 1;
        }
        bytes[end] = value as u8;
        end += 1;
    }
    out.extend_from_slice(&bytes[..end]);
}

/// What a `u64` takes at most.
const MAX_VARINT_BYTES: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_come_back() {
        for value in [0, 1, 127, 128, 300, 1 << 21, u64::from(u32::MAX), u64::MAX] {
            let mut out = BytesMut::new();
            append_varint(&mut out, value);
            let mut expected = Vec::new();
            prost::encoding::encode_varint(value, &mut expected);
            assert_eq!(out, expected);
            let mut left = &out[..];
            assert_eq!(take_varint(&mut left), Some(value));
            assert!(left.is_empty());
        }
        assert_eq!(take_varint(&mut &[0x80][..]), None);
        assert_eq!(take_varint(&mut &[][..]), None);
    }

    #[test]
    fn what_is_written_stands_behind_its_length() {
        for length in [0, 1, 127, 128, 20_000] {
            let mut out = BytesMut::from(&b"before"[..]);
            put_with_length(&mut out, |out| out.extend_from_slice(&vec![7; length]));
            let mut left = &out[6..];
            assert_eq!(take_varint(&mut left), Some(length as u64));
            assert_eq!(left, vec![7; length]);
        }
    }
}
