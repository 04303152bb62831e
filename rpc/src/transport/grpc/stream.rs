//! HTTP/2 streams as bodies: [`RecvBody`] is what comes in on one, [`Pump`] sends what goes out on one.

use std::{
    error::Error as StdError,
    mem,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http_body::{Body as HttpBody, Frame};

use super::unread::{Stored, Unread, lock};

/// What comes in on an HTTP/2 stream. The peer may send on as it is read.
pub(super) struct RecvBody {
    stream: Incoming,
    unread: Arc<Unread>,
}

enum Incoming {
    /// Read as it comes.
    Read(RecvStream),
    /// Waited for, or left to a reader who may stand still.
    Left(Arc<Mutex<Stored>>),
    /// Between the two.
    Moving,
}

/// A body that may be left unread for as long as somebody likes.
pub(super) trait LeftUnread {
    /// It is, from now on.
    fn left_unread(&mut self) {}
}

impl LeftUnread for RecvBody {
    fn left_unread(&mut self) {
        self.leave(None);
    }
}

/// What HTTP is served by does what it does.
impl LeftUnread for tonic::body::Body {}

#[cfg(feature = "grpc-web")]
impl LeftUnread for hyper::body::Incoming {}

impl RecvBody {
    pub(super) fn new(stream: RecvStream, unread: &Arc<Unread>) -> Self {
        Self {
            stream: Incoming::Read(stream),
            unread: Arc::clone(unread),
        }
    }

    fn leave(&mut self, reader: Option<&Waker>) {
        self.stream = match mem::replace(&mut self.stream, Incoming::Moving) {
            Incoming::Read(stream) if stream.is_end_stream() => Incoming::Read(stream),
            Incoming::Read(stream) => Incoming::Left(self.unread.add(stream, reader.cloned())),
            left => left,
        };
    }
}

impl HttpBody for RecvBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = self.get_mut();
        match &mut this.stream {
            Incoming::Read(stream) => {
                let polled = poll_stream(stream, cx);
                if polled.is_pending() {
                    this.leave(Some(cx.waker()));
                }
                polled
            }
            Incoming::Left(stored) => {
                let mut stored = lock(stored);
                if let Some(chunk) = stored.take() {
                    return Poll::Ready(Some(Ok(read(&mut stored.stream, chunk))));
                }
                let polled = poll_stream(&mut stored.stream, cx);
                if polled.is_pending() {
                    stored.waits(cx.waker());
                }
                polled
            }
            Incoming::Moving => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.stream {
            Incoming::Read(stream) => stream.is_end_stream(),
            Incoming::Left(stored) => {
                let stored = lock(stored);
                stored.is_empty() && stored.stream.is_end_stream()
            }
            Incoming::Moving => true,
        }
    }
}

fn poll_stream(
    stream: &mut RecvStream,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
    Poll::Ready(match ready!(stream.poll_data(cx)) {
        Some(Ok(chunk)) => Some(Ok(read(stream, chunk))),
        // Who wants no more of a request than came resets it so, after the whole answer.
        Some(Err(error)) if error.reason() == Some(Reason::NO_ERROR) => None,
        Some(Err(error)) => Some(Err(error)),
        None => match ready!(stream.poll_trailers(cx)) {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) if error.reason() == Some(Reason::NO_ERROR) => None,
            Err(error) => Some(Err(error)),
        },
    })
}

/// A chunk that is read: the peer may send as much again.
fn read(stream: &mut RecvStream, chunk: Bytes) -> Frame<Bytes> {
    // Fails where the stream is over, and then there is nothing to allow.
    let _ = stream.flow_control().release_capacity(chunk.len());
    Frame::data(chunk)
}

/// Chunks up to this are given to HTTP/2 without asking whether there is room for them on the way: it keeps them as well as we do.
const UNASKED_BYTES: usize = 32 * 1024 + 1024;

/// Sends a body on an HTTP/2 stream, as fast as the peer reads.
pub(super) struct Pump<B> {
    stream: SendStream<Bytes>,
    body: B,
    /// A chunk that waits for room, and whether it is the last.
    waiting: Option<(Bytes, bool)>,
    started: bool,
}

impl<B> Pump<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    pub(super) const fn new(stream: SendStream<Bytes>, body: B) -> Self {
        Self {
            stream,
            body,
            waiting: None,
            started: false,
        }
    }

    pub(super) const fn body_mut(&mut self) -> &mut B {
        &mut self.body
    }

    /// Whether it waits for the peer to read, and not for the body.
    pub(super) const fn is_blocked(&self) -> bool {
        self.waiting.is_some()
    }

    pub(super) fn reset(&mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }

    /// Resolves when everything was given to HTTP/2, or nobody wants it any more.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // Asked each time, so that a reset is heard while the body, or the peer, lets us wait.
            if self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(());
            }
            if self.waiting.is_some() {
                while self.stream.capacity() == 0 {
                    match ready!(self.stream.poll_capacity(cx)) {
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => return Poll::Ready(()),
                    }
                }
                let Some((chunk, last)) = self.waiting.take() else {
                    continue;
                };
                if self.send(chunk, last) {
                    return Poll::Ready(());
                }
                continue;
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => {
                        let last = self.body.is_end_stream();
                        let unasked = !self.started && chunk.len() <= UNASKED_BYTES;
                        self.started = true;
                        if unasked || chunk.is_empty() {
                            if self.send(chunk, last) {
                                return Poll::Ready(());
                            }
                        } else {
                            // No more than a byte: what is asked for and not used yet is taken from the other streams.
                            self.stream.reserve_capacity(1);
                            self.waiting = Some((chunk, last));
                        }
                    }
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            let _ = self.stream.send_trailers(trailers);
                            return Poll::Ready(());
                        }
                    }
                },
                Some(Err(error)) => {
                    self.stream.send_reset(reason_of(error));
                    return Poll::Ready(());
                }
                None => {
                    let _ = self.stream.send_data(Bytes::new(), true);
                    return Poll::Ready(());
                }
            }
        }
    }

    /// Whether that was all.
    fn send(&mut self, chunk: Bytes, last: bool) -> bool {
        self.stream.send_data(chunk, last).is_err() || last
    }
}

/// The reason that an error of a body names, somewhere in its sources.
fn reason_of(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Reason {
    let error = error.into();
    let mut source: Option<&(dyn StdError + 'static)> = Some(&*error);
    while let Some(error) = source {
        if let Some(reason) = error.downcast_ref().and_then(h2::Error::reason) {
            return reason;
        }
        source = error.source();
    }
    Reason::INTERNAL_ERROR
}
