//! gRPC's framing of messages in a body: a flag, a length, the message. Sans-IO; who reads and writes bodies is not known here.
//!
//! ```text
//!  0        1                                 5
//! +--------+--------+--------+--------+--------+------- - - -
//! |  flag  |     length, big endian (u32)      |  message
//! +--------+--------+--------+--------+--------+------- - - -
//! ```
//! The flag is 1 if the message is compressed, in the encoding that the headers name, else 0.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::call::Batch;

/// Flag and length.
pub(super) const PREFIX_BYTES: usize = 5;

/// How much is reserved for a message of which something has come: a length alone takes no memory.
const RESERVE_BYTES: usize = 64 * 1024;

/// How many times as much is reserved as has come, at most: from a quarter on it is all of the message.
const RESERVE_TIMES: usize = 4;

/// Writes what stands before a message.
pub(super) fn put_prefix(out: &mut BytesMut, compressed: bool, len_bytes: usize) {
    let len = u32::try_from(len_bytes).expect("a message is at most 10 MiB and its framing fits");
    out.put_u8(u8::from(compressed));
    out.put_u32(len);
}

/// What stands before a message: one bit, and a length that nobody has looked at yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) compressed: bool,
    pub(super) len_bytes: usize,
}

/// What cannot be a message's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadFlag(pub(super) u8);

/// Takes messages out of the chunks of a body, however these are cut.
///
/// A message that lies in one chunk is a slice of it, and one that does not is copied together.
#[derive(Debug, Default)]
pub(super) struct Deframer {
    chunk: Bytes,
    prefix: [u8; PREFIX_BYTES],
    prefix_len: usize,
    /// What has come of a message that began in an earlier chunk.
    partial: Vec<u8>,
    /// The message that is being read.
    message: Option<Prefix>,
}

impl Deframer {
    /// Gives the next chunk, once [`message`](Self::message) wants one.
    pub(super) fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "the last chunk has been read");
        self.chunk = chunk;
    }

    /// The next message's prefix, once all of it has come: the place to refuse its length.
    ///
    /// # Errors
    /// The flag is neither 0 nor 1.
    pub(super) fn prefix(&mut self) -> Result<Option<Prefix>, BadFlag> {
        if self.message.is_some() {
            return Ok(self.message);
        }
        let wanted = PREFIX_BYTES - self.prefix_len;
        let taken = wanted.min(self.chunk.len());
        self.prefix[self.prefix_len..][..taken].copy_from_slice(&self.chunk[..taken]);
        self.chunk.advance(taken);
        self.prefix_len += taken;
        // Known from the first byte on: who sends nonsense is not waited for.
        if self.prefix_len > 0 && self.prefix[0] > 1 {
            return Err(BadFlag(self.prefix[0]));
        }
        if self.prefix_len < PREFIX_BYTES {
            return Ok(None);
        }
        let [flag, len @ ..] = self.prefix;
        self.prefix_len = 0;
        self.message = Some(Prefix {
            compressed: flag == 1,
            len_bytes: u32::from_be_bytes(len) as usize,
        });
        Ok(self.message)
    }

    /// The message whose prefix was asked for, once all of it has come; `None` wants another chunk.
    pub(super) fn message(&mut self) -> Option<Bytes> {
        let Prefix { len_bytes, .. } = self.message?;
        if self.partial.is_empty() && self.chunk.len() >= len_bytes {
            self.message = None;
            return Some(self.chunk.split_to(len_bytes));
        }
        let missing = len_bytes - self.partial.len();
        let taken = missing.min(self.chunk.len());
        let came = self.partial.len() + taken;
        if self.partial.capacity() < came {
            let wanted = came.saturating_mul(RESERVE_TIMES).max(RESERVE_BYTES);
            let more = wanted.min(len_bytes) - self.partial.len();
            self.partial.reserve_exact(more);
        }
        self.partial.extend_from_slice(&self.chunk[..taken]);
        self.chunk.advance(taken);
        if taken < missing {
            return None;
        }
        self.message = None;
        Some(std::mem::take(&mut self.partial).into())
    }

    /// The messages that lie whole in the chunk, as far as they are not compressed and have no more than so many bytes. `None` where
    /// there are fewer than two, or where a message has begun.
    pub(super) fn whole_messages(&mut self, limit_bytes: usize) -> Option<Batch> {
        if self.message.is_some() || self.prefix_len > 0 {
            return None;
        }
        Batch::take_prefixed(&mut self.chunk, limit_bytes)
    }

    /// How much memory the message takes that has not come whole.
    pub(super) fn held_bytes(&self) -> usize {
        self.partial.capacity()
    }

    /// Whether nothing of a message has come that has not been taken: the only place where a body may end.
    pub(super) fn is_empty(&self) -> bool {
        self.chunk.is_empty() && self.prefix_len == 0 && self.message.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(messages: &[&[u8]]) -> Bytes {
        let mut out = BytesMut::new();
        for message in messages {
            put_prefix(&mut out, false, message.len());
            out.extend_from_slice(message);
        }
        out.freeze()
    }

    fn read_all(deframer: &mut Deframer, chunk: Bytes) -> Vec<Bytes> {
        deframer.push(chunk);
        let mut found = Vec::new();
        while let Some(prefix) = deframer.prefix().unwrap() {
            let Some(message) = deframer.message() else {
                break;
            };
            assert_eq!(message.len(), prefix.len_bytes);
            found.push(message);
        }
        found
    }

    #[test]
    fn messages_come_out_however_they_are_cut() {
        let messages: [&[u8]; 5] = [b"", b"a", b"bc", b"", &[7; 300]];
        let all = framed(&messages);
        for step in 1..all.len() + 1 {
            let mut deframer = Deframer::default();
            let mut found = Vec::new();
            let mut rest = all.clone();
            while !rest.is_empty() {
                let chunk = rest.split_to(step.min(rest.len()));
                found.extend(read_all(&mut deframer, chunk));
            }
            assert_eq!(found, messages, "in steps of {step} bytes");
            assert!(deframer.is_empty());
        }
    }

    #[test]
    fn what_is_cut_short_is_not_empty() {
        let all = framed(&[b"abc"]);
        for len in 1..all.len() {
            let mut deframer = Deframer::default();
            assert!(read_all(&mut deframer, all.slice(..len)).is_empty());
            assert!(!deframer.is_empty(), "after {len} bytes");
        }
    }

    #[test]
    fn a_length_alone_takes_no_memory() {
        let mut deframer = Deframer::default();
        deframer.push(Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]));
        let prefix = deframer.prefix().unwrap().unwrap();
        assert_eq!(prefix.len_bytes, u32::MAX as usize);
        assert_eq!(deframer.held_bytes(), 0);
        assert_eq!(deframer.message(), None);
        assert_eq!(deframer.held_bytes(), RESERVE_BYTES);
    }

    #[test]
    fn a_large_message_is_moved_seldom_and_takes_no_more_than_it_has() {
        const CHUNK_BYTES: usize = 16 * 1024;
        for len_bytes in [
            RESERVE_BYTES - 1,
            RESERVE_BYTES + 1,
            300_000,
            1 << 20,
            10 << 20,
        ] {
            let mut rest = framed(&[&vec![7; len_bytes]]);
            let mut deframer = Deframer::default();
            let (mut came, mut reserved) = (0, Vec::new());
            let message = loop {
                let chunk = rest.split_to(CHUNK_BYTES.min(rest.len()));
                came += chunk.len();
                deframer.push(chunk);
                deframer.prefix().unwrap();
                if let Some(message) = deframer.message() {
                    break message;
                }
                let held = deframer.held_bytes();
                assert!(held <= (RESERVE_TIMES * came).max(RESERVE_BYTES).min(len_bytes));
                if reserved.last() != Some(&held) {
                    reserved.push(held);
                }
            };
            assert_eq!(message, vec![7; len_bytes]);
            assert!(reserved.len() <= 5, "{reserved:?}");
        }
    }

    #[test]
    fn a_flag_that_is_none_is_seen_at_once() {
        let mut deframer = Deframer::default();
        deframer.push(Bytes::from_static(&[2]));
        assert_eq!(deframer.prefix(), Err(BadFlag(2)));
    }
}
