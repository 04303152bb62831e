//! [`Encoded`]: a stream of typed messages, encoded.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use tokio::task::coop::poll_proceed;

use super::{Batch, CallError, Codec, Coding, Streaming};
use crate::{
    status::{Result, Status},
    wire::limits::BATCH_BYTES,
};

/// The items of a stream, encoded one by one, or as many together as are ready.
pub(crate) struct Encoded<T: 'static, E> {
    stream: Streaming<T, E>,
    coding: &'static Coding<T>,
    codec: Codec,
    limit_bytes: usize,
    path: &'static str,
    /// The next batch while it is made, and how much of it is whole.
    batch: BytesMut,
    whole_bytes: usize,
    /// What came when there was a batch to be handed on first.
    next: Option<Option<Result<Bytes>>>,
}

impl<T: 'static, E: CallError> Encoded<T, E> {
    pub(crate) fn new(
        stream: Streaming<T, E>,
        coding: &'static Coding<T>,
        codec: Codec,
        limit_bytes: usize,
        path: &'static str,
    ) -> Self {
        Self {
            stream,
            coding,
            codec,
            limit_bytes,
            path,
            batch: BytesMut::new(),
            whole_bytes: 0,
            next: None,
        }
    }

    /// The next message; nothing is taken from the stream before it is asked for.
    pub(crate) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if let Some(next) = self.next.take() {
            return Poll::Ready(next);
        }
        let item = ready!(self.poll_item(cx));
        Poll::Ready(item.map(|item| {
            let Self { codec, path, .. } = *self;
            self.coding.encode(&item?, codec, self.limit_bytes, path)
        }))
    }

    /// The messages that are ready together, as long as they are small.
    ///
    /// # Panics
    /// When the stream or an encoder does; [`fail`](Self::fail) keeps what came before.
    pub(crate) fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        if let Some(next) = self.next.take() {
            return Poll::Ready(next.map(|message| message.map(Batch::one)));
        }
        while self.whole_bytes < BATCH_BYTES {
            let Poll::Ready(item) = self.poll_item(cx) else {
                if self.whole_bytes == 0 {
                    return Poll::Pending;
                }
                break;
            };
            let Self { codec, path, .. } = *self;
            let appended = item.map(|item| {
                let (limit_bytes, batch) = (self.limit_bytes, &mut self.batch);
                self.coding.append(&item?, codec, limit_bytes, path, batch)
            });
            match appended {
                Some(Ok(None)) => self.whole_bytes = self.batch.len(),
                Some(Ok(Some(large))) => return self.end_batch(Some(Ok(large))),
                Some(Err(status)) => return self.end_batch(Some(Err(status))),
                None => return self.end_batch(None),
            }
        }
        Poll::Ready(Some(Ok(self.take_batch())))
    }

    /// Ends the messages with this status, behind those that are ready.
    pub(crate) fn fail(&mut self, status: Status) -> Poll<Option<Result<Batch>>> {
        self.batch.truncate(self.whole_bytes);
        self.end_batch(Some(Err(status)))
    }

    fn end_batch(&mut self, next: Option<Result<Bytes>>) -> Poll<Option<Result<Batch>>> {
        if self.whole_bytes == 0 {
            return Poll::Ready(next.map(|message| message.map(Batch::one)));
        }
        self.next = Some(next);
        Poll::Ready(Some(Ok(self.take_batch())))
    }

    fn take_batch(&mut self) -> Batch {
        self.whole_bytes = 0;
        Batch::written(self.batch.split().freeze())
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        // Whoever sends a stream that is always ready lets others run, and can be cancelled.
        let turn = ready!(poll_proceed(cx));
        let item = ready!(Pin::new(&mut self.stream).poll_next(cx));
        turn.made_progress();
        Poll::Ready(item.map(|item| item.map_err(Into::into)))
    }
}
