//! [`Outbound`]: the messages of a [`Body`] as an HTTP body, from either side.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;
use tokio::time::Instant;

use super::{
    encoding::{Encoding, MIN_COMPRESSED_BYTES},
    frame::{PREFIX_BYTES, put_prefix},
    status,
};
use crate::{
    call::{Batch, Body, Method, check_size},
    method::MAX_MESSAGE_BYTES,
    status::{Result, Status},
    wire::metadata_fits,
};

/// Messages up to this are copied behind their prefix, and several that are ready share a chunk. A longer one is sent as it is.
const COPIED_BYTES: usize = 16 * 1024;

/// From how many bytes on a chunk takes no further message.
const CHUNK_BYTES: usize = 32 * 1024;

/// The messages of a body, framed.
///
/// From a server, the call's status follows as trailers. A client has no way to send an error: one resets the stream.
pub(super) struct Outbound {
    body: Body,
    method: Method,
    encoding: Option<Encoding>,
    side: Side,
    deadline: Option<Instant>,
    /// What is left of the messages that were ready together.
    batch: Batch,
    chunk: BytesMut,
    /// A message whose prefix ends the chunk before.
    message: Option<Bytes>,
    end: Option<Result<()>>,
    done: bool,
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

impl Outbound {
    pub(super) fn new(body: Body, method: Method, encoding: Option<Encoding>, side: Side) -> Self {
        Self {
            body,
            method,
            encoding,
            side,
            deadline: None,
            batch: Batch::EMPTY,
            chunk: BytesMut::new(),
            message: None,
            end: None,
            done: false,
        }
    }

    /// Nothing at all: the body of a response whose headers say everything.
    pub(super) fn nothing() -> Self {
        let method = Method::Path("".into());
        Self {
            done: true,
            ..Self::new(Body::empty(), method, None, Side::Server)
        }
    }

    /// No messages and this status, behind headers that were sent already.
    pub(super) fn ended(status: Status) -> Self {
        let method = Method::Path("".into());
        Self {
            end: Some(Err(status)),
            ..Self::new(Body::empty(), method, None, Side::Server)
        }
    }

    /// Until when the messages are wanted, for who waits to send them.
    pub(super) fn with_deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Gives the messages up, and ends with this status in their place.
    pub(super) fn cut(&mut self, status: Status) {
        if !self.done {
            self.fail(status);
        }
    }

    fn fail(&mut self, status: Status) {
        self.end = Some(Err(status));
        (self.body, self.batch) = (Body::empty(), Batch::EMPTY);
    }

    /// The next messages. A panic on the way to them, of a middleware, is this call's own.
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        let body = &mut self.body;
        catch_unwind(AssertUnwindSafe(|| body.poll_batch(cx))).unwrap_or_else(|_| {
            let status = Status::unknown("the server panicked while it handled the call");
            Poll::Ready(Some(Err(status)))
        })
    }

    /// Fills the chunk with what is ready; pending if that is nothing.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.end.is_none() && self.message.is_none() && self.chunk.len() < CHUNK_BYTES {
            if !self.batch.is_empty() {
                if let Err(status) = self.put_next() {
                    self.fail(status);
                }
                continue;
            }
            match self.poll_batch(cx) {
                Poll::Ready(Some(Ok(batch))) => self.batch = batch,
                Poll::Ready(Some(Err(status))) => self.fail(status),
                Poll::Ready(None) => self.end = Some(Ok(())),
                Poll::Pending if self.chunk.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(())
    }

    /// Puts the next message of the batch into the chunk, and those behind it as long as they are small.
    fn put_next(&mut self) -> Result<()> {
        if self.encoding.is_none() {
            while self.chunk.len() < CHUNK_BYTES
                && let Some(message) = self.batch.first()
                && message.len() <= COPIED_BYTES
            {
                self.chunk.reserve(PREFIX_BYTES + message.len());
                put_prefix(&mut self.chunk, false, message.len());
                self.chunk.extend_from_slice(message);
                self.batch.drop_first();
            }
            if self.chunk.len() >= CHUNK_BYTES {
                return Ok(());
            }
        }
        match self.batch.next() {
            Some(message) => self.put(message),
            None => {
                self.batch = Batch::EMPTY;
                Ok(())
            }
        }
    }

    fn put(&mut self, message: Bytes) -> Result<()> {
        check_size(message.len(), MAX_MESSAGE_BYTES, self.method.path())?;
        if let Some(encoding) = self.encoding
            && message.len() >= MIN_COMPRESSED_BYTES
        {
            let compressed = encoding.compress(&message)?;
            if compressed.len() < message.len() {
                self.put_framed(true, compressed.into());
                return Ok(());
            }
        }
        self.put_framed(false, message);
        Ok(())
    }

    fn put_framed(&mut self, compressed: bool, message: Bytes) {
        let copied = message.len() <= COPIED_BYTES;
        let room = PREFIX_BYTES + if copied { message.len() } else { 0 };
        self.chunk.reserve(room);
        put_prefix(&mut self.chunk, compressed, message.len());
        if copied {
            self.chunk.extend_from_slice(&message);
        } else {
            self.message = Some(message);
        }
    }

    /// What comes after the last message.
    fn finish(&mut self, end: Result<()>) -> Option<Result<Frame<Bytes>, Cancelled>> {
        self.done = true;
        if self.side == Side::Client {
            return end.err().map(|status| Err(Cancelled::new(status)));
        }
        let trailers = match end {
            Ok(()) => {
                let metadata = self.body.take_trailers();
                if metadata_fits(&metadata) {
                    Ok(status::ok(&metadata))
                } else {
                    Err(Status::internal(
                        "the handler set more trailing metadata than a response can carry",
                    ))
                }
            }
            Err(status) => Err(status),
        };
        Some(Ok(Frame::trailers(trailers.unwrap_or_else(|status| {
            let mut block = HeaderMap::with_capacity(4);
            status::write(&status, &mut block);
            block
        }))))
    }
}

impl http_body::Body for Outbound {
    type Data = Bytes;
    type Error = Cancelled;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cancelled>>> {
        let this = self.get_mut();
        if this.done {
            return Poll::Ready(None);
        }
        if this.chunk.is_empty()
            && let Some(message) = this.message.take()
        {
            return Poll::Ready(Some(Ok(Frame::data(message))));
        }
        if this.poll_fill(cx).is_pending() {
            return Poll::Pending;
        }
        if !this.chunk.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(this.chunk.split().freeze()))));
        }
        Poll::Ready(match this.end.take() {
            Some(end) => this.finish(end),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        // A client's last chunk ends its stream; a server's trailers do.
        self.done
            || (self.side == Side::Client
                && self.chunk.is_empty()
                && self.message.is_none()
                && matches!(self.end, Some(Ok(()))))
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound")
            .field("side", &self.side)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

/// The requests ended with an error, which cancels the call: HTTP/2 resets the stream with CANCEL.
#[derive(Debug)]
pub(super) struct Cancelled {
    status: Status,
    reset: h2::Error,
}

impl Cancelled {
    pub(super) fn new(status: Status) -> Self {
        Self {
            status,
            reset: h2::Reason::CANCEL.into(),
        }
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the requests ended with {}", self.status)
    }
}

impl std::error::Error for Cancelled {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reset)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http_body::Body as _;

    use super::*;
    use crate::{call::BodyStream, metadata::Metadata};

    struct Items(Vec<Result<Bytes>>);

    impl BodyStream for Items {
        fn poll_message(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Bytes>>> {
            Poll::Ready((!self.0.is_empty()).then(|| self.0.remove(0)))
        }
    }

    async fn frames(mut body: Outbound) -> Vec<Result<Frame<Bytes>, Cancelled>> {
        let mut frames = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            frames.push(frame);
        }
        assert!(body.is_end_stream());
        frames
    }

    fn path() -> Method {
        Method::Path("/a/B".into())
    }

    fn data(frame: &Result<Frame<Bytes>, Cancelled>) -> usize {
        frame.as_ref().unwrap().data_ref().unwrap().len()
    }

    #[tokio::test]
    async fn small_messages_share_a_chunk_and_large_ones_are_not_copied() {
        let large = Bytes::from(vec![1; COPIED_BYTES + 1]);
        let body = Body::stream(Items(vec![
            Ok(Bytes::from_static(b"a")),
            Ok(Bytes::new()),
            Ok(large.clone()),
            Ok(Bytes::from_static(b"b")),
        ]));
        let frames = frames(Outbound::new(body, path(), None, Side::Server)).await;
        assert_eq!(frames.len(), 4);
        assert_eq!(data(&frames[0]), 3 * PREFIX_BYTES + 1);
        let sent = frames[1].as_ref().unwrap().data_ref().unwrap();
        assert_eq!(sent.as_ptr(), large.as_ptr());
        assert_eq!(data(&frames[2]), PREFIX_BYTES + 1);
        let trailers = frames[3].as_ref().unwrap().trailers_ref().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
    }

    #[tokio::test]
    async fn an_error_is_a_servers_trailers_and_a_clients_reset() {
        let body = || {
            Body::stream(Items(vec![
                Ok(Bytes::new()),
                Err(Status::aborted("enough")),
            ]))
        };
        let sent = frames(Outbound::new(body(), path(), None, Side::Server)).await;
        let trailers = sent[1].as_ref().unwrap().trailers_ref().unwrap();
        assert_eq!(trailers["grpc-status"], "10");
        assert_eq!(trailers["grpc-message"], "enough");
        let sent = frames(Outbound::new(body(), path(), None, Side::Client)).await;
        let error = sent[1].as_ref().unwrap_err();
        let source = std::error::Error::source(error).unwrap();
        let reset = source.downcast_ref::<h2::Error>().unwrap();
        assert_eq!(reset.reason(), Some(h2::Reason::CANCEL));
    }

    #[tokio::test]
    async fn one_message_of_a_client_ends_its_stream() {
        let mut body = Outbound::new(
            Body::one(Bytes::from_static(b"a")),
            path(),
            None,
            Side::Client,
        );
        assert!(!body.is_end_stream());
        let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        assert_eq!(data(&frame.unwrap()), PREFIX_BYTES + 1);
        assert!(body.is_end_stream());
    }

    #[tokio::test]
    async fn trailing_metadata_over_its_limit_is_an_error() {
        let mut metadata = Metadata::new();
        metadata.append("k", "v".repeat(100_000)).unwrap();
        let body = Body::one(Bytes::new()).with_trailers(metadata);
        let sent = frames(Outbound::new(body, path(), None, Side::Server)).await;
        let trailers = sent[1].as_ref().unwrap().trailers_ref().unwrap();
        assert_eq!(trailers["grpc-status"], "13");
    }
}
