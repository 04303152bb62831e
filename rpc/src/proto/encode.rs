//! Writing protobuf: what prost's primitives leave to do. One pass, nothing allocated beside the output.

use std::cell::Cell;

use bytes::{BufMut, BytesMut};
use prost::encoding::{WireType, encode_varint, encoded_len_varint};

thread_local! {
    static REFUSED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Says that what is being written has a value that cannot be represented.
///
/// Of all values only times can be such, and they are rare: writers return nothing, and whoever encodes the whole message asks
/// [`refused`] at its end.
#[cold]
pub(super) fn refuse(why: &'static str) {
    REFUSED.set(Some(why));
}

/// Why what this thread has written since this was last asked cannot be sent, if so.
#[inline]
pub(crate) fn refused() -> Option<&'static str> {
    REFUSED.take()
}

/// Writes the key of a field.
#[inline]
pub(super) fn key(tag: u32, wire: WireType, out: &mut BytesMut) {
    varint(u64::from(tag) << 3 | wire as u64, out);
}

/// Writes a number. The output asks for room once a number, where prost's own primitive would let it ask once a byte.
#[inline]
pub(super) fn varint(value: u64, out: &mut BytesMut) {
    if value < 0x80 {
        out.extend_from_slice(&[value as u8]);
    } else {
        let mut bytes = [0; MAX_VARINT_BYTES];
        let mut rest = bytes.as_mut_slice();
        encode_varint(value, &mut rest);
        let len = MAX_VARINT_BYTES - rest.len();
        out.extend_from_slice(&bytes[..len]);
    }
}

/// Writes what `body` writes, its length before it.
///
/// The length is not known before: one byte is kept for it, and what follows moves up in the rare case that it needs more. That
/// is cheaper than walking through the value twice, and much cheaper where messages lie in one another.
#[inline]
pub fn delimited(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_u8(0);
    body(out);
    let len = out.len() - at - 1;
    if len < 0x80 {
        out[at] = len as u8;
    } else {
        widen(out, at, len);
    }
}

/// Writes a run of bytes, its length before it.
#[inline]
pub(super) fn slice(bytes: &[u8], out: &mut BytesMut) {
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Makes room for a length of more than one byte at `at`, and writes it there.
fn widen(out: &mut BytesMut, at: usize, len: usize) {
    let width = encoded_len_varint(len as u64);
    let mut zeros = [0; MAX_VARINT_BYTES];
    out.extend_from_slice(&zeros[..width - 1]);
    out.copy_within(at + 1..at + 1 + len, at + width);
    encode_varint(len as u64, &mut zeros.as_mut_slice());
    out[at..at + width].copy_from_slice(&zeros[..width]);
}

/// As many bytes as 64 bits take, seven by seven.
const MAX_VARINT_BYTES: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_all_widths() {
        for len in [0, 1, 127, 128, 129, 16383, 16384, 2_097_151, 2_097_152] {
            let body: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
            let mut ours = BytesMut::from(&b"before"[..]);
            delimited(&mut ours, |out| out.extend_from_slice(&body));
            let mut theirs = BytesMut::from(&b"before"[..]);
            slice(&body, &mut theirs);
            assert!(ours == theirs, "{len}");
        }
    }
}
