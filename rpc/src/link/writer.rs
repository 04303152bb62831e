//! Frames into the writing half of a stream of one call, and the guard that resets it.

use std::{future::poll_fn, mem, task::Poll};

use bytes::{Bytes, BytesMut};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    budget::{Budget, SHORT_TURN_BYTES, UNCOUNTED_BYTES},
    client::check_size,
    halves::{Broken, SendHalf, StreamCode},
};
use crate::{
    call::{Batch, Body, Codec},
    metadata::Metadata,
    status::Status,
    wire::{self, FrameType, Header, RequestId, ResponseHead, StatusHead, limits},
};

/// Messages of at least this many bytes are handed to the stream as they are; smaller ones are copied into the batch.
const BY_REFERENCE_BYTES: usize = 4 * 1024;

/// Writes the frames of one direction of one call. Dropped before [`finish`](Self::finish), it resets the stream, so that a cut
/// call never looks complete.
pub(super) struct CallWriter<S: SendHalf> {
    half: S,
    id: RequestId,
    codec: Codec,
    /// What is not yet written: finished chunks, then the open one.
    chunks: Vec<Bytes>,
    open: BytesMut,
    /// Small messages, each behind its length, that will share a StreamData frame.
    batch: BytesMut,
    budget: Budget,
    /// How many bytes of it are being written.
    counted: usize,
    /// The share of the budget of the large message that is being written.
    permit: Option<OwnedSemaphorePermit>,
    finished: bool,
}

/// How a direction of a call could not be written to its end.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The stream takes no more: the peer has lost interest, or the connection is gone.
    Broken(Broken),
    /// The messages ended badly.
    Status(Status),
}

impl From<Broken> for WriteError {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl<S: SendHalf> CallWriter<S> {
    pub(super) fn new(half: S, id: RequestId, codec: Codec, budget: Budget) -> Self {
        Self {
            half,
            id,
            codec,
            chunks: Vec::new(),
            open: BytesMut::new(),
            batch: BytesMut::new(),
            budget,
            counted: 0,
            permit: None,
            finished: false,
        }
    }

    /// Queues a frame that is neither StreamData nor large.
    pub(super) fn put(
        &mut self,
        kind: FrameType,
        codec: Option<Codec>,
        oneway: bool,
        fill: impl FnOnce(&mut BytesMut),
    ) {
        put_frame(&mut self.open, kind, codec, oneway, self.id, fill);
    }

    /// Queues one message in a StreamData frame of its own, a large one when the budget has room.
    async fn put_message(&mut self, message: Bytes) -> Result<(), Broken> {
        let prefix = wire::length_prefix_bytes(message.len());
        let bytes = prefix + message.len();
        if bytes > UNCOUNTED_BYTES {
            self.permit = None;
            self.permit = self.budget.try_outbound(bytes);
            if self.permit.is_none() {
                // What comes before it need not wait with it.
                self.flush().await?;
                self.permit = Some(self.budget.outbound(bytes).await);
            }
        }
        let header = self.data_header(bytes);
        self.open.extend_from_slice(&header);
        wire::put_length(message.len(), &mut self.open);
        self.put_payload(message);
        Ok(())
    }

    fn put_payload(&mut self, mut payload: Bytes) {
        if payload.len() < BY_REFERENCE_BYTES {
            self.open.extend_from_slice(&payload);
        } else {
            self.chunks.push(self.open.split().freeze());
            while payload.len() > SHORT_TURN_BYTES {
                self.chunks.push(payload.split_to(SHORT_TURN_BYTES));
            }
            self.chunks.push(payload);
        }
    }

    /// Writes all that is queued.
    ///
    /// Not cancel safe: what was queued may be lost, so a writer is dropped with its future, and after an error.
    pub(super) async fn flush(&mut self) -> Result<(), Broken> {
        if !self.open.is_empty() {
            self.chunks.push(self.open.split().freeze());
        }
        self.counted = self.chunks.iter().map(Bytes::len).sum();
        self.budget.add(self.counted);
        let mut left = &mut self.chunks[..];
        while !left.is_empty() {
            let (mut turn, later) = left.split_at_mut(of_turn(left, self.budget.turn_bytes()));
            while !turn.is_empty() {
                let half = &mut self.half;
                self.budget
                    .after_lanes(|cx| half.poll_write(cx, &mut turn))
                    .await?;
            }
            left = later;
            if !left.is_empty() {
                // The runtime looks at sockets and timers before this goes on. Without that the tasks of a connection that has much to
                // write are always ready, and on a busy runtime small calls wait until it is written.
                tokio::task::yield_now().await;
            }
        }
        self.chunks.clear();
        self.budget.sub(mem::take(&mut self.counted));
        Ok(())
    }

    /// Writes all messages of `body`: those that are ready at once share a frame. Answers the trailing metadata.
    pub(super) async fn write_body(&mut self, mut body: Body) -> Result<Metadata, WriteError> {
        if body.as_one().is_some() {
            if let Some(Ok(message)) = body.next().await {
                self.put_message(message).await?;
            }
            return Ok(body.take_trailers());
        }
        loop {
            // Wait for one message; then take all that are ready with it.
            let mut next = match poll_fn(|cx| Poll::Ready(body.poll_batch(cx))).await {
                Poll::Ready(next) => next,
                Poll::Pending => {
                    self.put_batch();
                    self.flush().await?;
                    poll_fn(|cx| body.poll_batch(cx)).await
                }
            };
            loop {
                match next {
                    None => {
                        self.put_batch();
                        return Ok(body.take_trailers());
                    }
                    Some(Err(status)) => {
                        self.put_batch();
                        return Err(WriteError::Status(status));
                    }
                    Some(Ok(messages)) => self.write_messages(messages).await?,
                }
                match poll_fn(|cx| Poll::Ready(body.poll_batch(cx))).await {
                    Poll::Ready(ready) => next = ready,
                    Poll::Pending => break,
                }
            }
        }
    }

    /// Writes messages that were ready together; keeps one that came alone and is small to be written with those that come next.
    async fn write_messages(&mut self, messages: Batch) -> Result<(), WriteError> {
        match messages.as_many() {
            Some(small) => {
                self.put_batch();
                let header = self.data_header(small.len());
                self.open.extend_from_slice(&header);
                self.put_payload(small.clone());
                self.flush().await?;
            }
            None => {
                for message in messages {
                    self.write_message(message).await?;
                }
            }
        }
        Ok(())
    }

    async fn write_message(&mut self, message: Bytes) -> Result<(), WriteError> {
        if message.len() >= BY_REFERENCE_BYTES {
            check_size(&message).map_err(WriteError::Status)?;
            self.put_batch();
            self.put_message(message).await?;
            self.flush().await?;
            self.permit = None;
            return Ok(());
        }
        wire::put_length(message.len(), &mut self.batch);
        self.batch.extend_from_slice(&message);
        if self.batch.len() >= limits::BATCH_BYTES - BY_REFERENCE_BYTES {
            self.put_batch();
            self.flush().await?;
        }
        Ok(())
    }

    /// Ends the call's direction well and the stream with it. A writer that wrote one large message keeps its share of the budget
    /// until it is dropped: let that be when the peer has everything.
    pub(super) fn finish(&mut self) {
        self.half.finish();
        self.finished = true;
    }

    /// Queues the frame that ends a direction well.
    pub(super) fn put_end(&mut self, trailers: &Metadata) {
        self.put(FrameType::StreamEnd, None, false, |out| {
            if !trailers.is_empty() {
                ResponseHead::encode(&Metadata::new(), trailers, out);
            }
        });
    }

    /// Queues the frame that ends a call badly.
    pub(super) fn put_status(&mut self, status: &Status) {
        self.put(FrameType::Error, None, false, |out| {
            StatusHead::encode(status, out)
        });
    }

    /// Ends the stream at once.
    pub(super) fn reset(&mut self, code: StreamCode) {
        if !self.finished {
            self.half.reset(code);
            self.finished = true;
        }
    }

    /// Resolves when the peer has everything, or wants no more.
    pub(super) fn stopped(&mut self) -> impl Future<Output = ()> + Send + 'static {
        self.half.stopped()
    }

    pub(super) fn codec(&self) -> Codec {
        self.codec
    }

    /// Queues the frame of small messages.
    fn put_batch(&mut self) {
        if !self.batch.is_empty() {
            let header = self.data_header(self.batch.len());
            self.open.extend_from_slice(&header);
            self.open.extend_from_slice(&self.batch);
            self.batch.clear();
        }
    }

    fn data_header(&self, payload_bytes: usize) -> [u8; limits::HEADER_BYTES] {
        Header {
            kind: FrameType::StreamData,
            codec: Some(self.codec),
            oneway: false,
            payload_bytes,
            id: self.id,
        }
        .encode()
    }
}

impl<S: SendHalf> Drop for CallWriter<S> {
    fn drop(&mut self) {
        self.budget.sub(self.counted);
        self.reset(StreamCode::Cancelled);
    }
}

/// How many of the first chunks it takes to have so many bytes together.
fn of_turn(chunks: &[Bytes], turn_bytes: usize) -> usize {
    let mut bytes = 0;
    let of_turn = chunks.iter().take_while(|chunk| {
        let before = bytes;
        bytes += chunk.len();
        before < turn_bytes
    });
    of_turn.count()
}

/// Appends a frame whose payload `fill` writes.
pub(super) fn put_frame(
    out: &mut BytesMut,
    kind: FrameType,
    codec: Option<Codec>,
    oneway: bool,
    id: RequestId,
    fill: impl FnOnce(&mut BytesMut),
) {
    let at = out.len();
    out.extend_from_slice(&[0; limits::HEADER_BYTES]);
    fill(out);
    let payload_bytes = out.len() - at - limits::HEADER_BYTES;
    let header = Header {
        kind,
        codec,
        oneway,
        payload_bytes,
        id,
    };
    out[at..at + limits::HEADER_BYTES].copy_from_slice(&header.encode());
}
