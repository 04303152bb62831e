//! [`Body`]: the messages of one direction of a call, still encoded.

use std::{
    fmt,
    future::poll_fn,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;

use super::Batch;
use crate::{metadata::Metadata, status::Result};

/// The encoded messages of one direction: none, one, or a stream that ends well or with a status.
///
/// A single message never boxes. The trailing metadata of a response comes with the end of its body.
///
/// # Cancel safety
/// Dropping a body that has not ended cancels the call.
pub struct Body {
    kind: Kind,
    trailers: Metadata,
}

enum Kind {
    Empty,
    One(Bytes),
    Stream(Pin<Box<dyn BodyStream>>),
}

/// A source of encoded messages.
pub trait BodyStream: Send {
    /// The next message; `None` is a good end, an error a bad one, and after either it is not polled again.
    fn poll_message(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>>;

    /// The messages that are ready together, as many as the source likes; the end as [`poll_message`](Self::poll_message) tells it.
    /// Both may be asked in turns: no message is lost, comes twice, or out of its order.
    ///
    /// Whoever wraps a body, and does not look at its messages, hands its batches on.
    fn poll_batch(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        self.poll_message(cx)
            .map(|message| message.map(|message| message.map(Batch::one)))
    }

    /// The trailing metadata, asked for once, after a good end.
    fn trailers(self: Pin<&mut Self>) -> Metadata {
        Metadata::new()
    }
}

impl Body {
    /// No message.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            kind: Kind::Empty,
            trailers: Metadata::new(),
        }
    }

    /// One message.
    #[must_use]
    pub const fn one(message: Bytes) -> Self {
        Self {
            kind: Kind::One(message),
            trailers: Metadata::new(),
        }
    }

    /// A stream of messages.
    #[must_use]
    pub fn stream(stream: impl BodyStream + 'static) -> Self {
        Self {
            kind: Kind::Stream(Box::pin(stream)),
            trailers: Metadata::new(),
        }
    }

    /// Sets trailing metadata, for a body that is not a stream.
    #[must_use]
    pub fn with_trailers(mut self, trailers: Metadata) -> Self {
        self.trailers = trailers;
        self
    }

    /// The message, where the body is known to be exactly one and has not been read.
    #[must_use]
    pub const fn as_one(&self) -> Option<&Bytes> {
        match &self.kind {
            Kind::One(message) => Some(message),
            Kind::Empty | Kind::Stream(_) => None,
        }
    }

    /// Takes the message, where the body is known to be exactly one and has not been read.
    pub(crate) fn take_one(&mut self) -> Option<Bytes> {
        match &mut self.kind {
            Kind::One(message) => {
                let message = mem::take(message);
                self.kind = Kind::Empty;
                Some(message)
            }
            Kind::Empty | Kind::Stream(_) => None,
        }
    }

    /// Whether messages come one after another, their number unknown.
    #[must_use]
    pub const fn is_stream(&self) -> bool {
        matches!(self.kind, Kind::Stream(_))
    }

    /// The next message. After the end it keeps answering `None`.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        self.poll(cx, |message| message, |stream, cx| stream.poll_message(cx))
    }

    /// The messages that are ready together. After the end it keeps answering `None`.
    pub fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        self.poll(cx, Batch::one, |stream, cx| stream.poll_batch(cx))
    }

    #[inline]
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        one: impl FnOnce(Bytes) -> T,
        poll: impl FnOnce(Pin<&mut dyn BodyStream>, &mut Context<'_>) -> Poll<Option<Result<T>>>,
    ) -> Poll<Option<Result<T>>> {
        let end = match &mut self.kind {
            Kind::Empty => None,
            Kind::One(message) => {
                let message = mem::take(message);
                self.kind = Kind::Empty;
                return Poll::Ready(Some(Ok(one(message))));
            }
            Kind::Stream(stream) => match poll(stream.as_mut(), cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(message))) => return Poll::Ready(Some(Ok(message))),
                Poll::Ready(Some(Err(status))) => Some(Err(status)),
                Poll::Ready(None) => {
                    let trailers = stream.as_mut().trailers();
                    self.trailers.extend(trailers);
                    None
                }
            },
        };
        self.kind = Kind::Empty;
        Poll::Ready(end)
    }

    /// The next message; `None` is a good end.
    ///
    /// # Errors
    /// The status that ended the call.
    ///
    /// # Cancel safety
    /// No message is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Takes the trailing metadata; complete once the body has ended.
    pub fn take_trailers(&mut self) -> Metadata {
        mem::take(&mut self.trailers)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Empty => f.write_str("Body(empty)"),
            Kind::One(message) => write!(f, "Body({} bytes)", message.len()),
            Kind::Stream(_) => f.write_str("Body(stream)"),
        }
    }
}
