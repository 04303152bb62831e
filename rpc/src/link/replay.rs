//! The reader of frames, fed with bytes in any cut, for the fuzz target. Nothing here is part of a build without the feature `fuzzing`.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::{
    budget::Budget,
    halves::{Broken, RecvHalf, StreamCode},
    reader::{FrameReader, ReadError},
};
use crate::wire::{Header, WireError};

/// What came of a stream.
#[derive(Debug)]
pub struct Replay {
    /// The frames, in order.
    pub frames: Vec<(Header, Bytes)>,
    /// How it ended: well between two frames, or not.
    pub end: Result<(), WireError>,
    /// The most bytes that a partly received payload held.
    pub peak_bytes: usize,
}

/// Reads a stream that arrives in these chunks.
///
/// # Panics
/// If the reader waits for what has arrived, or for memory that nobody else holds: both are faults of the reader.
#[must_use]
pub fn replay(chunks: Vec<Bytes>) -> Replay {
    let budget = Budget::new(|_| {});
    let mut reader = FrameReader::new(Chunks(chunks.into()), budget.clone());
    reader.allow_data();
    let mut frames = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    let end = loop {
        match reader.poll_frame(&mut cx) {
            Poll::Ready(Ok(Some(frame))) => {
                reader.release();
                frames.push(frame);
            }
            Poll::Ready(Ok(None)) => break Ok(()),
            Poll::Ready(Err(ReadError::Wire(error))) => break Err(error),
            Poll::Ready(Err(ReadError::Broken(broken))) => {
                unreachable!("{broken}: bytes in memory do not break")
            }
            Poll::Pending => unreachable!("all bytes are there, and all memory is free"),
        }
    };
    Replay {
        frames,
        end,
        peak_bytes: budget.peak_bytes(),
    }
}

struct Chunks(VecDeque<Bytes>);

impl RecvHalf for Chunks {
    fn poll_read(
        &mut self,
        _: &mut Context<'_>,
        chunks: &mut [Bytes],
    ) -> Poll<Result<usize, Broken>> {
        // Not always as many as there is room for.
        let room = chunks.len().min(1 + self.0.len() % chunks.len());
        let count = room.min(self.0.len());
        for (to, from) in chunks.iter_mut().zip(self.0.drain(..count)) {
            *to = from;
        }
        Poll::Ready(Ok(count))
    }

    fn stop(&mut self, _: StreamCode) {}
}
