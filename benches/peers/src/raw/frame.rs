//! Frames of the coalesced baselines: payload length (4 bytes), call number (7) and what is asked (1) as one word, the payload.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::data;

const HEADER_BYTES: usize = 12;

/// What a frame asks for, or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The same bytes again.
    Echo,
    /// How many bytes came.
    Upload,
    /// As many bytes as the payload says.
    Download,
}

/// Appends one frame.
pub(crate) fn put_frame(out: &mut BytesMut, call: u64, asked: Asked, payload: &[u8]) {
    out.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    out.put_u64(call << 8 | asked as u64);
    out.put_slice(payload);
}

/// What a server answers to a frame, appended.
pub(crate) fn answer(out: &mut BytesMut, call: u64, asked: Asked, payload: &Bytes) {
    match asked {
        Asked::Echo => put_frame(out, call, asked, payload),
        Asked::Upload => put_frame(out, call, asked, &(payload.len() as u64).to_be_bytes()),
        Asked::Download => {
            let bytes = payload.clone().try_get_u64().unwrap_or(0);
            put_frame(out, call, asked, &data::asked(bytes));
        }
    }
}

/// Cuts a stream of bytes into frames.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// What has come and is not cut yet.
    pub buffer: BytesMut,
}

impl Frames {
    /// The next whole frame: its call, what it asks, its payload.
    pub(crate) fn next(&mut self) -> Option<(u64, Asked, Bytes)> {
        let mut head = self.buffer.get(..HEADER_BYTES)?;
        let length = usize::try_from(head.get_u32()).ok()?;
        let word = head.get_u64();
        let asked = match word & 0xff {
            0 => Asked::Echo,
            1 => Asked::Upload,
            _ => Asked::Download,
        };
        let whole = HEADER_BYTES + length;
        if self.buffer.len() < whole {
            // Room for all of it at once, and not by doubling.
            self.buffer.reserve(whole - self.buffer.len());
            return None;
        }
        self.buffer.advance(HEADER_BYTES);
        Some((word >> 8, asked, self.buffer.split_to(length).freeze()))
    }
}
