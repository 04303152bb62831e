//! The payload of Request and Response on a lane: the length of the head as a varint, the head, and the one message.

use bytes::BytesMut;

use super::{
    error::WireError,
    fields::{put_with_length, take, take_varint},
};

/// Appends a head, written by `fill`, behind its length, and the message.
pub fn put_call(out: &mut BytesMut, fill: impl FnOnce(&mut BytesMut), message: &[u8]) {
    put_with_length(out, fill);
    out.extend_from_slice(message);
}

/// The head and the message of a payload.
///
/// # Errors
/// A length that is malformed or over what the payload holds.
pub fn split_call(mut payload: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let malformed = || WireError::Malformed("head length");
    let length = take_varint(&mut payload).ok_or_else(malformed)?;
    let length = usize::try_from(length).map_err(|_| malformed())?;
    let head = take(&mut payload, length).ok_or_else(malformed)?;
    Ok((head, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_message_come_back() {
        for (head, message) in [
            (&[][..], &[][..]),
            (&[1; 5], b"message"),
            (&[2; 20_000], &[]),
        ] {
            let mut out = BytesMut::new();
            put_call(&mut out, |out| out.extend_from_slice(head), message);
            assert_eq!(split_call(&out), Ok((head, message)));
        }
        assert!(split_call(&[9, 0]).is_err());
        assert!(split_call(&[]).is_err());
    }
}
