//! Reading and writing the few protobuf fields that heads and hellos consist of, straight from and to a byte slice.

use bytes::{BufMut, BytesMut};
use prost::encoding::{decode_varint, encode_varint};

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
    let key = decode_varint(bytes).map_err(|_| malformed())?;
    let value = match key & 7 {
        VARINT => Value::Varint(decode_varint(bytes).map_err(|_| malformed())?),
        LENGTH_DELIMITED => {
            let length = decode_varint(bytes).map_err(|_| malformed())?;
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

pub(super) fn put_varint(out: &mut BytesMut, number: u64, value: u64) {
    encode_varint(number << 3 | VARINT, out);
    encode_varint(value, out);
}

pub(super) fn put_bytes(out: &mut BytesMut, number: u64, value: &[u8]) {
    encode_varint(number << 3 | LENGTH_DELIMITED, out);
    encode_varint(value.len() as u64, out);
    out.put_slice(value);
}

/// Appends a nested message of less than 2 MiB, written by `fill`, as a field.
pub(super) fn put_nested(out: &mut BytesMut, number: u64, fill: impl FnOnce(&mut BytesMut)) {
    encode_varint(number << 3 | LENGTH_DELIMITED, out);
    put_with_length(out, fill);
}

/// Appends what `fill` writes, less than 2 MiB, behind its length.
///
/// A varint may end in zero groups, so three bytes hold every such length and nothing need be moved or measured first.
pub(super) fn put_with_length(out: &mut BytesMut, fill: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_slice(&[0; 3]);
    fill(out);
    let length = out.len() - at - 3;
    debug_assert!(length < 1 << 21);
    out[at] = (length & 0x7f) as u8 | 0x80;
    out[at + 1] = (length >> 7 & 0x7f) as u8 | 0x80;
    out[at + 2] = (length >> 14 & 0x7f) as u8;
}
