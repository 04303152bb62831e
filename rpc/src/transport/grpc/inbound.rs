//! [`Inbound`]: the messages in an HTTP body, on either side; [`Requests`] and [`Responses`], what each side makes of its end.

use std::{
    error::Error as StdError,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body as HttpBody;

use super::{
    budget::{Budget, Held},
    encoding::Encoding,
    frame::{BadFlag, Deframer, Prefix},
    status::{self, Sent},
    stream::LeftUnread,
};
use crate::{
    call::{Batch, BodyStream, Method, check_size},
    metadata::Metadata,
    status::{Result, Status},
};

/// The messages in a body, each within its limit, compressed or not.
pub(super) struct Inbound<B> {
    /// `None` after the end.
    body: Option<B>,
    deframer: Deframer,
    method: Method,
    encoding: Option<Encoding>,
    limit_bytes: usize,
    /// A server's; what a client holds, it has asked for.
    held: Option<Held>,
    trailers: HeaderMap,
    /// Read ahead by [`whole`](Self::poll_whole), which then found that there is more to come.
    ahead: Option<Bytes>,
}

/// Why there is no further message, where that is not a good end.
pub(super) enum Broken<E> {
    /// What came is no message, or too large a one.
    Malformed(Status),
    /// The body ended in the middle of a message.
    Cut,
    /// The stream was reset, or its connection lost.
    Body(E),
}

impl<B: HttpBody<Data = Bytes> + Unpin> Inbound<B> {
    pub(super) fn new(
        body: B,
        method: Method,
        encoding: Option<Encoding>,
        limit_bytes: usize,
    ) -> Self {
        Self {
            body: Some(body),
            deframer: Deframer::default(),
            method,
            encoding,
            limit_bytes,
            held: None,
            trailers: HeaderMap::new(),
            ahead: None,
        }
    }

    /// Who reads the rest may take any time for it.
    pub(super) fn left_unread(&mut self)
    where
        B: LeftUnread,
    {
        if let Some(body) = &mut self.body {
            body.left_unread();
        }
    }

    /// Charges what has not come whole to a budget.
    pub(super) fn with_budget(mut self, budget: &Arc<Budget>) -> Self {
        self.held = Some(Held::nothing(Arc::clone(budget)));
        self
    }

    /// The next message; `None` is the body's end.
    pub(super) fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Broken<B::Error>>>> {
        if let Some(message) = self.ahead.take() {
            return Poll::Ready(Some(Ok(message)));
        }
        loop {
            match self.deframed() {
                Ok(None) => {}
                Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Err(status) => return self.broken(Broken::Malformed(status)),
            }
            let Some(body) = &mut self.body else {
                return Poll::Ready(None);
            };
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => self.deframer.push(chunk),
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            self.trailers = trailers;
                        }
                    }
                },
                Some(Err(error)) => return self.broken(Broken::Body(error)),
                None if self.deframer.is_empty() => {
                    self.body = None;
                    return Poll::Ready(None);
                }
                None => return self.broken(Broken::Cut),
            }
        }
    }

    /// The messages that have come together, or the next one; `None` is the body's end.
    pub(super) fn poll_batch(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Batch, Broken<B::Error>>>> {
        if self.ahead.is_none()
            && let Some(batch) = self.deframer.whole_messages(self.limit_bytes)
        {
            return Poll::Ready(Some(Ok(batch)));
        }
        self.poll_message(cx)
            .map(|message| message.map(|message| message.map(Batch::one)))
    }

    /// The only message, if all of it and the end are there already; else this has changed nothing.
    pub(super) fn poll_whole(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Bytes, Broken<B::Error>>> {
        match ready!(self.poll_message(cx)) {
            Some(Ok(message)) if self.is_at_end() => {
                self.body = None;
                Poll::Ready(Ok(message))
            }
            Some(Ok(message)) => {
                self.ahead = Some(message);
                Poll::Pending
            }
            Some(Err(broken)) => Poll::Ready(Err(broken)),
            None => Poll::Pending,
        }
    }

    pub(super) fn path(&self) -> &str {
        self.method.path()
    }

    /// The trailers; complete after the end.
    pub(super) fn take_trailers(&mut self) -> HeaderMap {
        std::mem::take(&mut self.trailers)
    }

    fn is_at_end(&self) -> bool {
        self.deframer.is_empty() && self.body.as_ref().is_none_or(B::is_end_stream)
    }

    /// Ends the body: what follows what is broken means nothing.
    fn broken<T>(&mut self, broken: Broken<B::Error>) -> Poll<Option<Result<T, Broken<B::Error>>>> {
        self.body = None;
        self.deframer = Deframer::default();
        Poll::Ready(Some(Err(broken)))
    }

    /// A message out of what has come.
    fn deframed(&mut self) -> Result<Option<Bytes>> {
        let prefix = self.deframer.prefix().map_err(|BadFlag(flag)| {
            Status::internal(format!(
                "{}: a message begins with the flag {flag}, and there are 0 and 1",
                self.method.path()
            ))
        })?;
        let Some(Prefix {
            compressed,
            len_bytes,
        }) = prefix
        else {
            return Ok(None);
        };
        check_size(len_bytes, self.limit_bytes, self.method.path())?;
        let encoding = match (compressed, self.encoding) {
            (false, _) => None,
            (true, Some(encoding)) => Some(encoding),
            (true, None) => {
                return Err(Status::internal(format!(
                    "{}: a message is compressed, and no header says how",
                    self.method.path()
                )));
            }
        };
        let message = self.deframer.message();
        if let Some(held) = &mut self.held {
            held.hold(self.deframer.held_bytes()).map_err(|limit_bytes| {
                Status::resource_exhausted(format!(
                    "{}: {limit_bytes} bytes of requests are on their way to this server, its limit: send fewer large ones at once",
                    self.method.path()
                ))
            })?;
        }
        let Some(message) = message else {
            return Ok(None);
        };
        match encoding {
            None => Ok(Some(message)),
            Some(encoding) => encoding
                .decompress(&message, self.limit_bytes, self.method.path())
                .map(|message| Some(message.into())),
        }
    }
}

/// What a body cannot be read with that was not lost: its sender has made it wrong.
#[derive(Debug)]
pub(super) struct Malformed(pub(super) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl StdError for Malformed {}

/// The requests of a call, on the server.
pub(super) struct Requests<B>(pub(super) Inbound<B>);

impl<B> Requests<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    /// What a handler is told.
    pub(super) fn status(path: &str, broken: Broken<B::Error>) -> Status {
        match broken {
            Broken::Malformed(status) => status,
            Broken::Cut => Status::internal(format!(
                "{path}: the requests end in the middle of a message"
            )),
            Broken::Body(error) => match malformed(&*error.into()) {
                Some(Malformed(what)) => Status::internal(format!("{path}: {what}")),
                None => Status::cancelled(format!(
                    "{path}: the caller gave up, or its connection was lost"
                )),
            },
        }
    }
}

/// What is malformed, if that is behind an error.
fn malformed<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Malformed> {
    let mut source = Some(error);
    while let Some(error) = source {
        if let Some(malformed) = error.downcast_ref() {
            return Some(malformed);
        }
        source = error.source();
    }
    None
}

impl<B> BodyStream for Requests<B>
where
    B: HttpBody<Data = Bytes> + Unpin + Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    fn poll_message(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let inbound = &mut self.get_mut().0;
        let message = ready!(inbound.poll_message(cx));
        Poll::Ready(
            message.map(|message| message.map_err(|broken| Self::status(inbound.path(), broken))),
        )
    }

    fn poll_batch(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        let inbound = &mut self.get_mut().0;
        let batch = ready!(inbound.poll_batch(cx));
        Poll::Ready(batch.map(|batch| batch.map_err(|broken| Self::status(inbound.path(), broken))))
    }
}

/// The responses to a call, on the client: they end with the status in the trailers.
pub(super) struct Responses<B, G> {
    pub(super) inbound: Inbound<B>,
    metadata: Metadata,
    /// Ends the requests when the responses are dropped.
    _guard: G,
}

impl<B, G> Responses<B, G>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    pub(super) fn new(inbound: Inbound<B>, guard: G) -> Self {
        Self {
            inbound,
            metadata: Metadata::new(),
            _guard: guard,
        }
    }

    /// The next message, or the end of the call with its metadata.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Next>> {
        Poll::Ready(match ready!(self.inbound.poll_message(cx)) {
            Some(Ok(message)) => Ok(Next::Message(message)),
            Some(Err(broken)) => self.end(Some(broken)).map(Next::End),
            None => self.end(None).map(Next::End),
        })
    }

    /// What was read; at the end, the call's metadata are kept.
    fn read<T>(&mut self, polled: Option<Result<T, Broken<B::Error>>>) -> Option<Result<T>> {
        let broken = match polled {
            Some(Ok(read)) => return Some(Ok(read)),
            Some(Err(broken)) => Some(broken),
            None => None,
        };
        match self.end(broken) {
            Ok(metadata) => {
                self.metadata = metadata;
                None
            }
            Err(status) => Some(Err(status)),
        }
    }

    /// What the call ends with.
    fn end(&mut self, broken: Option<Broken<B::Error>>) -> Result<Metadata> {
        let inbound = &mut self.inbound;
        let end = broken.map(|broken| match broken {
            Broken::Malformed(status) => status,
            Broken::Cut => Status::internal(format!(
                "{}: the responses end in the middle of a message",
                inbound.path()
            )),
            Broken::Body(error) => status::of_error(error, inbound.path(), Sent::Maybe),
        });
        // Whatever else is wrong, what the server says of it counts.
        match (status::read(&inbound.take_trailers()), end) {
            (Some(Err(status)), _) => Err(status),
            (_, Some(status)) => Err(status),
            (Some(Ok(metadata)), None) => Ok(metadata),
            (None, None) => Err(Status::unknown(format!(
                "{}: the responses ended without a status",
                inbound.path()
            ))),
        }
    }
}

/// What comes next in responses.
pub(super) enum Next {
    Message(Bytes),
    End(Metadata),
}

impl<B, G> BodyStream for Responses<B, G>
where
    B: HttpBody<Data = Bytes> + Unpin + Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
    G: Send + Unpin,
{
    fn poll_message(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let this = self.get_mut();
        let message = ready!(this.inbound.poll_message(cx));
        Poll::Ready(this.read(message))
    }

    fn poll_batch(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        let this = self.get_mut();
        let batch = ready!(this.inbound.poll_batch(cx));
        Poll::Ready(this.read(batch))
    }

    fn trailers(self: Pin<&mut Self>) -> Metadata {
        std::mem::take(&mut self.get_mut().metadata)
    }
}
