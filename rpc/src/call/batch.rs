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
    /// Each behind a zero and its length in four bytes, as in gRPC, and all lengths right.
    #[cfg(feature = "grpc")]
    Prefixed(Bytes),
}

/// What stands before a message in [`Messages::Prefixed`].
#[cfg(feature = "grpc")]
pub(crate) const PREFIX_BYTES: usize = 5;

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

    /// As many messages as lie whole at the beginning of `bytes`, each behind a zero and its length in four bytes, none over the limit;
    /// their bytes are taken. `None` is fewer than two.
    #[cfg(feature = "grpc")]
    pub(crate) fn take_prefixed(bytes: &mut Bytes, limit_bytes: usize) -> Option<Self> {
        let mut rest = &bytes[..bytes.len().min(BATCH_BYTES)];
        let (before, mut count) = (rest.len(), 0);
        while let Some((message, after)) = split_prefixed(rest)
            && message.len() <= limit_bytes
        {
            rest = after;
            count += 1;
        }
        let whole_bytes = before - rest.len();
        (count > 1).then(|| Self(Messages::Prefixed(bytes.split_to(whole_bytes))))
    }

    /// Whether all messages have been taken.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        match &self.0 {
            Messages::One(_) => false,
            Messages::Many(messages) => messages.is_empty(),
            #[cfg(feature = "grpc")]
            Messages::Prefixed(messages) => messages.is_empty(),
        }
    }

    /// The next message, for who only looks at it; [`drop_first`](Self::drop_first) takes it away.
    #[cfg(feature = "grpc")]
    #[inline]
    pub(crate) fn first(&self) -> Option<&[u8]> {
        match &self.0 {
            Messages::One(message) => Some(message),
            Messages::Many(messages) => wire::take_message(&mut &messages[..]).ok().flatten(),
            Messages::Prefixed(messages) => Some(split_prefixed(messages)?.0),
        }
    }

    /// Drops the next message.
    #[cfg(feature = "grpc")]
    #[inline]
    pub(crate) fn drop_first(&mut self) {
        match &mut self.0 {
            Messages::One(_) => *self = Self::EMPTY,
            Messages::Many(messages) => {
                let mut rest = &messages[..];
                let _ = wire::take_message(&mut rest);
                messages.advance(messages.len() - rest.len());
            }
            Messages::Prefixed(messages) => {
                let rest = split_prefixed(messages).map_or(0, |(_, rest)| rest.len());
                messages.advance(messages.len() - rest);
            }
        }
    }

    /// The lengths of the messages that are left, in bytes.
    pub fn lengths(&self) -> impl Iterator<Item = usize> {
        let mut left = self.clone();
        std::iter::from_fn(move || left.next().map(|message| message.len()))
    }

    /// What is left as the payload of a StreamData frame, if that is not one message alone.
    pub(crate) const fn as_many(&self) -> Option<&Bytes> {
        match &self.0 {
            Messages::Many(messages) => Some(messages),
            _ => None,
        }
    }
}

/// The first message and what follows it, if all of it is there and it is not compressed.
#[cfg(feature = "grpc")]
#[inline]
fn split_prefixed(messages: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[0, a, b, c, d], rest) = messages.split_first_chunk::<PREFIX_BYTES>()? else {
        return None;
    };
    rest.split_at_checked(u32::from_be_bytes([a, b, c, d]) as usize)
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
            #[cfg(feature = "grpc")]
            Messages::Prefixed(messages) => {
                let length = split_prefixed(messages)?.0.len();
                messages.advance(PREFIX_BYTES);
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

    #[cfg(feature = "grpc")]
    fn prefixed(messages: &[(u8, &[u8])]) -> Bytes {
        let mut out = bytes::BytesMut::new();
        for (flag, message) in messages {
            bytes::BufMut::put_u8(&mut out, *flag);
            bytes::BufMut::put_u32(&mut out, message.len() as u32);
            out.extend_from_slice(message);
        }
        out.freeze()
    }

    #[cfg(feature = "grpc")]
    #[test]
    fn whole_messages_behind_prefixes_are_taken_together() {
        let check = |mut bytes: Bytes, limit_bytes, messages: &[&[u8]], left| {
            let batch = Batch::take_prefixed(&mut bytes, limit_bytes);
            assert_eq!(bytes.len(), left);
            assert_eq!(batch.is_some(), messages.len() > 1);
            let Some(batch) = batch else { return };
            assert!(batch.as_many().is_none(), "that is another framing");
            let lengths: Vec<_> = messages.iter().map(|message| message.len()).collect();
            assert_eq!(batch.lengths().collect::<Vec<_>>(), lengths);
            assert_eq!(batch.clone().collect::<Vec<_>>(), messages);
            let mut looked_at = batch;
            for message in messages {
                assert_eq!(looked_at.first(), Some(*message));
                looked_at.drop_first();
            }
            assert!(looked_at.is_empty() && looked_at.first().is_none());
        };
        let all = prefixed(&[(0, b"a"), (0, b""), (0, &[7; 300])]);
        check(all.clone(), 300, &[b"a", b"", &[7; 300]], 0);
        check(all.clone(), 299, &[b"a", b""], 305);
        for cut in 1..300 {
            check(all.slice(..all.len() - cut), 300, &[b"a", b""], 305 - cut);
        }
        check(all.slice(..10), 300, &[], 10);
        check(prefixed(&[(0, b"a"), (1, b"b"), (0, b"c")]), 9, &[], 18);
        check(
            prefixed(&[(0, b"a"), (0, b"b"), (2, b"c")]),
            9,
            &[b"a", b"b"],
            6,
        );
        // Whoever takes one of them keeps all.
        let long = [3; BATCH_BYTES / 3 - 2];
        check(
            prefixed(&[(0, &long[..]); 3]),
            usize::MAX,
            &[&long[..]; 2],
            long.len() + 5,
        );
    }

    #[cfg(feature = "grpc")]
    #[test]
    fn looking_at_the_first_takes_nothing() {
        let mut batch = Batch::written(payload(&[b"a", b"", b"b"]));
        for message in [&b"a"[..], b"", b"b"] {
            assert_eq!(batch.first(), Some(message));
            batch.drop_first();
        }
        assert!(batch.is_empty());
        let mut one = Batch::one(Bytes::new());
        assert_eq!(one.first(), Some(&b""[..]));
        one.drop_first();
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
