//! [`Streaming`]: a stream of typed messages, in either direction.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use tokio::{sync::mpsc, task::coop::poll_proceed};

use super::{Batch, Body, Codec, encode::Decode};
use crate::{
    metadata::Metadata,
    status::{Result, Status},
};

/// A stream of messages: the only stream type of the framework, as argument and as result.
///
/// Make one from any [`Stream`] with [`Streaming::new`], from values with [`Streaming::from_iter`], or from another task with
/// [`Streaming::channel`]. One box a call, none an item.
///
/// # Cancel safety
/// [`next`](Self::next) loses nothing when it is dropped. Dropping the stream cancels the call that it belongs to.
pub struct Streaming<T, E = Status>(Source<T, E>);

enum Source<T, E> {
    Boxed(Pin<Box<dyn Stream<Item = Result<T, E>> + Send>>),
    Wire {
        body: Body,
        /// What is left of the messages that came together.
        batch: Batch,
        codec: Codec,
        limit_bytes: usize,
        path: &'static str,
        decode: Decode<T>,
        error: fn(Status) -> E,
    },
}

impl<T: Send + 'static, E: Send + 'static> Streaming<T, E> {
    /// From any stream of results; the first error ends the call with it.
    pub fn new(stream: impl Stream<Item = Result<T, E>> + Send + 'static) -> Self {
        Self(Source::Boxed(Box::pin(stream)))
    }

    /// From values that are there already.
    #[allow(
        clippy::should_implement_trait,
        reason = "FromIterator cannot ask for Send + 'static"
    )]
    pub fn from_iter<I>(items: I) -> Self
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: Send + 'static,
    {
        Self::new(Iter(items.into_iter(), std::marker::PhantomData))
    }

    /// No item.
    #[must_use]
    pub fn empty() -> Self {
        Self::from_iter(std::iter::empty())
    }

    /// A stream that another task feeds through the [`Sender`], with at most `capacity` items in between.
    ///
    /// The stream ends when the sender is dropped; the sender learns of a stream that was dropped by an error.
    ///
    /// # Panics
    /// If `capacity` is zero.
    #[must_use]
    pub fn channel(capacity: usize) -> (Sender<T, E>, Self) {
        let (sender, receiver) = mpsc::channel(capacity);
        (Sender(sender), Self::new(Receiver(receiver)))
    }
}

impl<T, E> Streaming<T, E> {
    /// The next item; `None` is a good end.
    pub async fn next(&mut self) -> Option<Result<T, E>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// All items that are left.
    ///
    /// # Errors
    /// The first error, and with it the items before are lost.
    pub async fn collect(mut self) -> Result<Vec<T>, E> {
        let mut items = Vec::new();
        while let Some(item) = self.next().await {
            items.push(item?);
        }
        Ok(items)
    }

    /// The trailing metadata of the call, once the stream has ended; empty before, and where no call is behind the stream.
    pub fn take_trailers(&mut self) -> Metadata {
        match &mut self.0 {
            Source::Wire { body, .. } => body.take_trailers(),
            Source::Boxed(_) => Metadata::new(),
        }
    }

    /// A stream that decodes what comes out of `body`.
    pub(crate) fn from_body(
        body: Body,
        codec: Codec,
        limit_bytes: usize,
        path: &'static str,
        decode: Decode<T>,
    ) -> Self
    where
        E: From<Status>,
    {
        Self(Source::Wire {
            body,
            batch: Batch::EMPTY,
            codec,
            limit_bytes,
            path,
            decode,
            error: E::from,
        })
    }
}

impl<T, E> Stream for Streaming<T, E> {
    type Item = Result<T, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.get_mut().0 {
            Source::Boxed(stream) => stream.as_mut().poll_next(cx),
            Source::Wire {
                body,
                batch,
                codec,
                limit_bytes,
                path,
                decode,
                error,
            } => {
                // Whoever reads a stream that is always ready lets others run, and can be cancelled.
                let turn = ready!(poll_proceed(cx));
                let message = loop {
                    if let Some(message) = batch.next() {
                        break Some(Ok(message));
                    }
                    match ready!(body.poll_batch(cx)) {
                        Some(Ok(next)) => *batch = next,
                        Some(Err(status)) => break Some(Err(status)),
                        None => break None,
                    }
                };
                turn.made_progress();
                Poll::Ready(message.map(|message| {
                    let item = message.and_then(|message| {
                        let item = decode(message, *codec, *limit_bytes, path);
                        if item.is_err() {
                            // What follows a message that cannot be decoded means nothing.
                            (*body, *batch) = (Body::empty(), Batch::EMPTY);
                        }
                        item
                    });
                    item.map_err(*error)
                }))
            }
        }
    }
}

impl<T, E> Unpin for Streaming<T, E> {}

impl<T, E> fmt::Debug for Streaming<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaming").finish_non_exhaustive()
    }
}

/// Feeds a [`Streaming`] from another task; dropping it ends the stream.
pub struct Sender<T, E = Status>(mpsc::Sender<Result<T, E>>);

impl<T, E> Sender<T, E> {
    /// Sends one item, waiting for room.
    ///
    /// # Errors
    /// `CANCELLED` if nobody reads the stream any more: stop producing.
    ///
    /// # Cancel safety
    /// If the future is dropped, the item was not sent.
    pub async fn send(&self, item: T) -> Result<()> {
        self.push(Ok(item)).await
    }

    /// Ends the stream with an error.
    ///
    /// # Errors
    /// `CANCELLED` if nobody reads the stream any more.
    pub async fn fail(self, error: E) -> Result<()> {
        self.push(Err(error)).await
    }

    /// Resolves when nobody reads the stream any more.
    pub async fn closed(&self) {
        self.0.closed().await;
    }

    async fn push(&self, item: Result<T, E>) -> Result<()> {
        self.0
            .send(item)
            .await
            .map_err(|_| Status::cancelled("the stream is no longer read"))
    }
}

impl<T, E> fmt::Debug for Sender<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

struct Iter<I, E>(I, std::marker::PhantomData<fn() -> E>);

impl<I, E> Unpin for Iter<I, E> {}

impl<I: Iterator, E> Stream for Iter<I, E> {
    type Item = Result<I::Item, E>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.get_mut().0.next().map(Ok))
    }
}

struct Receiver<T, E>(mpsc::Receiver<Result<T, E>>);

impl<T, E> Stream for Receiver<T, E> {
    type Item = Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}
