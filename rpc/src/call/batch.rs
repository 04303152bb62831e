//! [`Batch`]: messages that are handed on together.

use std::mem;

use bytes::{Buf, Bytes};

use crate::wire::{self, WireError, limits::BATCH_BYTES};

/// Encoded messages of one direction of a call that were ready at once: handed on together, each costs a fraction.
///
/// Reading it takes the messages out, in their order.
#[derive(Clone, Debug)]
pub struct Batch(Messages);

#[derive(Clone, Debug)]
enum Messages {
    One(Bytes),
    /// Each behind its length, as in a StreamData frame, and all lengths right.
    Many(Bytes),
}

impl Batch {
    /// No message.
    pub(crate) const EMPTY: Self = Self(Messages::Many(Bytes::new()));

    /// One message.
    #[must_use]
    pub const fn one(message: Bytes) -> Self {
        Self(Messages::One(message))
    }

    /// Messages that this side has written, each behind its length, and not more than [`BATCH_BYTES`].
    pub(crate) const fn written(messages: Bytes) -> Self {
        Self(Messages::Many(messages))
    }

    /// The payload of a StreamData frame.
    ///
    /// # Errors
    /// A length that is malformed, over the limit for messages, or over what the payload holds; several messages that are more than a
    /// batch.
    pub(crate) fn received(mut payload: Bytes) -> Result<Self, WireError> {
        let mut rest = &payload[..];
        let Some(first) = wire::take_message(&mut rest)? else {
            return Ok(Self::EMPTY);
        };
        if rest.is_empty() {
            payload.advance(payload.len() - first.len());
            return Ok(Self::one(payload));
        }
        // Whoever takes one of them keeps all.
        if payload.len() > BATCH_BYTES {
            return Err(WireError::TooLarge {
                bytes: payload.len(),
                limit_bytes: BATCH_BYTES,
            });
        }
        while wire::take_message(&mut rest)?.is_some() {}
        Ok(Self(Messages::Many(payload)))
    }

    /// Whether all messages have been taken.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(&self.0, Messages::Many(messages) if messages.is_empty())
    }

    /// The lengths of the messages that are left, in bytes.
    pub fn lengths(&self) -> impl Iterator<Item = usize> {
        let (one, mut many) = match &self.0 {
            Messages::One(message) => (Some(message.len()), &[][..]),
            Messages::Many(messages) => (None, &messages[..]),
        };
        let many = std::iter::from_fn(move || {
            let message = wire::take_message(&mut many).ok().flatten()?;
            Some(message.len())
        });
        one.into_iter().chain(many)
    }

    /// What is left as the payload of a StreamData frame, if that is not one message alone.
    pub(crate) const fn as_many(&self) -> Option<&Bytes> {
        match &self.0 {
            Messages::One(_) => None,
            Messages::Many(messages) => Some(messages),
        }
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Iterator for Batch {
    type Item = Bytes;

    #[inline]
    fn next(&mut self) -> Option<Bytes> {
        match &mut self.0 {
            Messages::Many(messages) => {
                let mut rest = &messages[..];
                let length = wire::take_message(&mut rest).ok().flatten()?.len();
                let behind = messages.len() - rest.len();
                messages.advance(behind - length);
                Some(messages.split_to(length))
            }
            Messages::One(message) => {
                let message = mem::take(message);
                *self = Self::EMPTY;
                Some(message)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(messages: &[&[u8]]) -> Bytes {
        let mut out = bytes::BytesMut::new();
        for message in messages {
            wire::put_length(message.len(), &mut out);
            out.extend_from_slice(message);
        }
        out.freeze()
    }

    #[test]
    fn messages_come_back_in_order() {
        for messages in [
            &[&b""[..], b"a", &[7; 300], b""][..],
            &[b"alone"],
            &[b""],
            &[],
        ] {
            let batch = Batch::received(payload(messages)).unwrap();
            assert_eq!(batch.is_empty(), messages.is_empty());
            let lengths: Vec<_> = messages.iter().map(|message| message.len()).collect();
            assert_eq!(batch.lengths().collect::<Vec<_>>(), lengths);
            assert_eq!(batch.collect::<Vec<_>>(), messages);
        }
        let mut one = Batch::one(Bytes::new());
        assert_eq!(one.next(), Some(Bytes::new()));
        assert_eq!(one.next(), None);
        assert!(one.is_empty());
    }

    #[test]
    fn wrong_lengths_are_refused_before_a_message_is_read() {
        let malformed = WireError::Malformed("message length");
        for bytes in [&[1, 0, 2, 0][..], &[0x80], &[0xff; 12], &[1, 0, 0x80]] {
            let payload = Bytes::copy_from_slice(bytes);
            assert_eq!(Batch::received(payload).unwrap_err(), malformed);
        }
        let large = Bytes::from_static(&[0xff, 0xff, 0xff, 0x7f]);
        let refused = Batch::received(large).unwrap_err();
        assert!(matches!(refused, WireError::TooLarge { .. }));
    }

    #[test]
    fn one_message_may_be_large_and_several_may_not() {
        let largest = vec![7; BATCH_BYTES - 3];
        let one = Batch::received(payload(&[&[7; BATCH_BYTES]])).unwrap();
        assert_eq!(one.lengths().collect::<Vec<_>>(), [BATCH_BYTES]);
        let fits = Batch::received(payload(&[&largest[1..], b""])).unwrap();
        assert_eq!(fits.count(), 2);
        let refused = Batch::received(payload(&[&largest, b""])).unwrap_err();
        let (bytes, limit_bytes) = (BATCH_BYTES + 1, BATCH_BYTES);
        assert_eq!(refused, WireError::TooLarge { bytes, limit_bytes });
    }
}
