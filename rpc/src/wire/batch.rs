//! The payload of StreamData: messages, each behind its length as a varint of at most four bytes.

use bytes::BytesMut;
use prost::encoding::encoded_len_varint;

use super::{
    error::WireError,
    fields::{append_varint, take_varint},
    limits::{MAX_LENGTH_PREFIX_BYTES, MAX_MESSAGE_BYTES},
};

/// Appends the length that goes before a message of `bytes`.
pub fn put_length(bytes: usize, out: &mut BytesMut) {
    append_varint(out, bytes as u64);
}

/// How many bytes [`put_length`] appends.
#[must_use]
pub fn length_prefix_bytes(bytes: usize) -> usize {
    encoded_len_varint(bytes as u64)
}

/// Takes the first message off a StreamData payload; `None` where there is none left.
///
/// # Errors
/// A length that is malformed, over the limit for messages, or over what the payload holds.
#[inline]
pub fn take_message<'a>(payload: &mut &'a [u8]) -> Result<Option<&'a [u8]>, WireError> {
    if payload.is_empty() {
        return Ok(None);
    }
    let window = &payload[..payload.len().min(MAX_LENGTH_PREFIX_BYTES)];
    let mut rest = window;
    let length = take_varint(&mut rest).ok_or(WireError::Malformed("message length"))?;
    let prefix = window.len() - rest.len();
    let length = usize::try_from(length).map_err(|_| WireError::Malformed("message length"))?;
    if length > MAX_MESSAGE_BYTES {
        return Err(WireError::TooLarge {
            bytes: length,
            limit_bytes: MAX_MESSAGE_BYTES,
        });
    }
    let (message, rest) = payload[prefix..]
        .split_at_checked(length)
        .ok_or(WireError::Malformed("message length"))?;
    *payload = rest;
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_in_order() {
        let messages: [&[u8]; 4] = [b"", b"a", &[7; 300], b""];
        let mut out = BytesMut::new();
        for message in messages {
            put_length(message.len(), &mut out);
            out.extend_from_slice(message);
        }
        let mut payload = &out[..];
        for message in messages {
            assert_eq!(take_message(&mut payload).unwrap().unwrap(), message);
        }
        assert_eq!(take_message(&mut payload), Ok(None));
    }

    #[test]
    fn wrong_lengths_are_refused() {
        let check = |mut bytes: &[u8]| take_message(&mut bytes).unwrap_err();
        assert_eq!(check(&[2, 0]), WireError::Malformed("message length"));
        assert_eq!(check(&[0x80]), WireError::Malformed("message length"));
        assert_eq!(check(&[0xff; 12]), WireError::Malformed("message length"));
        assert!(matches!(
            check(&[0xff, 0xff, 0xff, 0x7f]),
            WireError::TooLarge { .. }
        ));
    }
}
