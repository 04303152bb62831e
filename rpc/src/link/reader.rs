//! Frames out of the reading half of a stream.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    budget::{Budget, OpenStream, UNCOUNTED_BYTES},
    halves::{Broken, RecvHalf, StreamCode},
};
use crate::{
    dispatch::BoxFuture,
    wire::{FrameType, Header, WireError, limits::HEADER_BYTES},
};

/// How many chunks, of about a packet each, are taken from the stream at once.
const CHUNKS: usize = 64;

/// How much of a payload's memory is reserved before there is a byte of it.
const RESERVE_BYTES: usize = 64 * 1024;

/// How many times what has arrived of a payload is reserved when that is full: few steps, since each copies what is there.
const GROWTH: usize = 16;

/// Cuts what arrives on a stream into frames.
///
/// Holds at most one partly received payload, whose memory grows with what has arrived and not, but for a factor, with what was
/// announced.
pub(super) struct FrameReader<R> {
    half: R,
    chunks: VecDeque<Bytes>,
    header: PartialHeader,
    payload: Option<(Header, Vec<u8>)>,
    /// Whether StreamData may come; until then it is refused by its header, before a byte of it is held.
    takes_data: Option<OpenStream>,
    budget: Budget,
    counted: usize,
    waiting: Option<BoxFuture<'static, OwnedSemaphorePermit>>,
    permit: Option<OwnedSemaphorePermit>,
    ended: bool,
}

#[derive(Default)]
struct PartialHeader {
    bytes: [u8; HEADER_BYTES],
    filled: usize,
}

/// Why there is no next frame.
#[derive(Debug)]
pub(super) enum ReadError {
    Wire(WireError),
    Broken(Broken),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(error) => error.fmt(f),
            Self::Broken(broken) => broken.fmt(f),
        }
    }
}

impl From<WireError> for ReadError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl<R: RecvHalf> FrameReader<R> {
    pub(super) fn new(half: R, budget: Budget) -> Self {
        Self {
            half,
            chunks: VecDeque::new(),
            header: PartialHeader::default(),
            payload: None,
            takes_data: None,
            budget,
            counted: 0,
            waiting: None,
            permit: None,
            ended: false,
        }
    }

    /// Lets StreamData come.
    pub(super) fn allow_data(&mut self) {
        self.takes_data = Some(self.budget.stream());
    }

    /// Gives back the share of the budget that the last large payload took: whoever asked for it has it now, and may keep it for
    /// as long as it likes, which must hold nobody else up.
    pub(super) fn release(&mut self) {
        self.permit = None;
    }

    /// The next frame; `None` where the stream ended between two frames.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<(Header, Bytes)>, ReadError>> {
        loop {
            if let Some(frame) = self.take_frame()? {
                return Poll::Ready(Ok(Some(frame)));
            }
            if self.ended {
                let clean = self.payload.is_none() && self.header.filled == 0;
                return Poll::Ready(if clean {
                    Ok(None)
                } else {
                    Err(WireError::Truncated.into())
                });
            }
            ready!(self.poll_fill(cx)).map_err(ReadError::Broken)?;
        }
    }

    /// The next frame; see [`poll_frame`](Self::poll_frame). Cancel safe.
    pub(super) async fn frame(&mut self) -> Result<Option<(Header, Bytes)>, ReadError> {
        poll_fn(|cx| self.poll_frame(cx)).await
    }

    /// A frame out of what has arrived already.
    pub(super) fn take_frame(&mut self) -> Result<Option<(Header, Bytes)>, WireError> {
        loop {
            if let Some((header, _)) = &self.payload {
                let header = *header;
                if !self.take_payload(header.payload_bytes) {
                    return Ok(None);
                }
                let (header, payload) = self.payload.take().expect("it was there two lines above");
                self.uncount();
                return Ok(Some((header, payload.into())));
            }
            let Some(header) = self.take_header()? else {
                return Ok(None);
            };
            if header.kind == FrameType::StreamData && self.takes_data.is_none() {
                return Err(WireError::Unexpected("StreamData frame"));
            }
            // Most frames lie in one chunk: no copy then.
            match self.chunks.front_mut() {
                Some(chunk) if chunk.len() >= header.payload_bytes => {
                    let payload = chunk.split_to(header.payload_bytes);
                    return Ok(Some((header, payload)));
                }
                None if header.payload_bytes == 0 => return Ok(Some((header, Bytes::new()))),
                _ => {
                    let reserve = header.payload_bytes.min(RESERVE_BYTES);
                    self.payload = Some((header, Vec::with_capacity(reserve)));
                }
            }
        }
    }

    /// Lets `read` see the next frame where it lies, if it lies in one chunk, as most do; `None` leaves it to
    /// [`poll_frame`](Self::poll_frame).
    pub(super) fn take_small<T>(
        &mut self,
        read: impl FnOnce(Header, &[u8]) -> T,
    ) -> Result<Option<T>, WireError> {
        if self.payload.is_some() || self.header.filled > 0 {
            return Ok(None);
        }
        while self.chunks.front().is_some_and(Bytes::is_empty) {
            self.chunks.pop_front();
        }
        let Some(chunk) = self.chunks.front_mut() else {
            return Ok(None);
        };
        let Some((header, rest)) = chunk.split_first_chunk() else {
            return Ok(None);
        };
        let header = Header::decode(header)?;
        if header.kind == FrameType::StreamData || rest.len() < header.payload_bytes {
            return Ok(None);
        }
        let read = read(header, &rest[..header.payload_bytes]);
        chunk.advance(HEADER_BYTES + header.payload_bytes);
        Ok(Some(read))
    }

    pub(super) fn stop(&mut self, code: StreamCode) {
        self.half.stop(code);
    }

    /// Waits for more bytes, and before those of a large payload for the budget.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match &self.payload {
            Some((header, _))
                if header.payload_bytes > UNCOUNTED_BYTES && self.permit.is_none() =>
            {
                let bytes = header.payload_bytes;
                let waiting = self
                    .waiting
                    .get_or_insert_with(|| Box::pin(self.budget.clone().inbound(bytes)));
                self.permit = Some(ready!(Pin::new(waiting).poll(cx)));
                self.waiting = None;
            }
            _ => {}
        }
        let mut chunks = [const { Bytes::new() }; CHUNKS];
        let count = ready!(self.half.poll_read(cx, &mut chunks))?;
        if count == 0 {
            self.ended = true;
        }
        self.chunks.extend(
            chunks
                .into_iter()
                .take(count)
                .filter(|chunk| !chunk.is_empty()),
        );
        Poll::Ready(Ok(()))
    }

    fn take_header(&mut self) -> Result<Option<Header>, WireError> {
        while let Some(chunk) = self.chunks.front_mut() {
            if chunk.is_empty() {
                self.chunks.pop_front();
                continue;
            }
            let PartialHeader { bytes, filled } = &mut self.header;
            let count = chunk.len().min(HEADER_BYTES - *filled);
            bytes[*filled..*filled + count].copy_from_slice(&chunk[..count]);
            chunk.advance(count);
            *filled += count;
            if *filled == HEADER_BYTES {
                *filled = 0;
                return Header::decode(bytes).map(Some);
            }
        }
        Ok(None)
    }

    /// Moves what has arrived to the payload; tells whether that is complete.
    fn take_payload(&mut self, wanted: usize) -> bool {
        let Some((_, payload)) = &mut self.payload else {
            return false;
        };
        let before = payload.len();
        while payload.len() < wanted {
            let Some(chunk) = self.chunks.front_mut() else {
                break;
            };
            let count = chunk.len().min(wanted - payload.len());
            if payload.capacity() - payload.len() < count {
                let grown = wanted.min(GROWTH * (payload.len() + count));
                payload.reserve_exact(grown - payload.len());
            }
            payload.extend_from_slice(&chunk[..count]);
            if count == chunk.len() {
                self.chunks.pop_front();
            } else {
                chunk.advance(count);
            }
        }
        let (count, is_complete) = (payload.len() - before, payload.len() == wanted);
        self.counted += count;
        self.budget.add(count);
        is_complete
    }

    fn uncount(&mut self) {
        self.budget.sub(self.counted);
        self.counted = 0;
    }
}

impl<R> Drop for FrameReader<R> {
    fn drop(&mut self) {
        self.budget.sub(self.counted);
    }
}

impl<R> fmt::Debug for FrameReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader").finish_non_exhaustive()
    }
}
