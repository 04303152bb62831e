//! HTTP/1.1, which browsers speak without TLS: told from HTTP/2 by its first bytes, and only for gRPC-Web.

use std::{
    convert::Infallible,
    future::{Future, pending, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use http::{StatusCode, header::CONTENT_TYPE};
use http_body::{Body as HttpBody, Frame};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    sync::{futures::OwnedNotified, watch},
    time::{Instant, sleep_until},
};

use super::{
    answer::{is_grpc, refused},
    config::MAX_HEADER_BYTES,
    outbound::Outbound,
    served::{Accepted, Ending, LINGER, ResponseBody, drained, was_cut},
    shared::{InFlight, Shared},
};
use crate::call::Peer;

/// How HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a connection may be silent before a request, and a request be without the end of its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection of which the first bytes were read, and come again.
pub(super) struct Peeked<I> {
    io: I,
    first: Bytes,
}

impl<I> Peeked<I> {
    /// A connection as it is.
    pub(super) const fn unread(io: I) -> Self {
        Self {
            io,
            first: Bytes::new(),
        }
    }

    pub(super) fn is_http2(&self) -> bool {
        self.first == PREFACE
    }
}

impl<I: AsyncRead + Unpin> Peeked<I> {
    /// Reads as much as tells the two versions apart.
    ///
    /// # Errors
    /// The connection was lost.
    pub(super) async fn read(mut io: I) -> io::Result<Self> {
        let mut first = BytesMut::with_capacity(PREFACE.len());
        while first.len() < PREFACE.len() && PREFACE.starts_with(&first) {
            let missing = PREFACE.len() - first.len();
            if (&mut io).take(missing as u64).read_buf(&mut first).await? == 0 {
                break;
            }
        }
        Ok(Self {
            io,
            first: first.freeze(),
        })
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Peeked<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, out);
        }
        let taken = self.first.len().min(out.remaining());
        out.put_slice(&self.first[..taken]);
        self.first.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Peeked<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Serves the calls of a connection, one after the other, until the peer closes it or the server has drained it.
pub(super) async fn serve<I>(shared: &Arc<Shared>, io: Peeked<I>, peer: Peer)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let connection = Arc::new(Accepted::new(shared, peer));
    let called = Arc::clone(&connection);
    let (until, mut answering) = watch::channel(None);
    let service = service_fn(move |request| {
        let (connection, until) = (Arc::clone(&called), until.clone());
        async move { Ok::<_, Infallible>(answer(&connection, until, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(4 * MAX_HEADER_BYTES as usize);
    let mut http1 = pin!(builder.serve_connection(TokioIo::new(io), service));
    let mut drain = shared.drained();
    let mut ending = None;
    loop {
        tokio::select! {
            end = &mut http1 => {
                if let Err(error) = end {
                    tracing::debug!(peer = %connection.peer, %error, "a connection broke");
                }
                return;
            }
            until = drained(&mut drain), if ending.is_none() => {
                http1.as_mut().graceful_shutdown();
                ending = Some(Ending::at(until));
            }
            over = Ending::next(&mut ending, &connection) => if over {
                return;
            },
            // An answer ends itself, but is not asked to while its reader does not read.
            () = overdue(&mut answering) => {
                tracing::debug!(peer = %connection.peer, "an answer was not read within its deadline");
                return;
            }
        }
    }
}

/// Resolves when an answer has not left by its deadline.
///
/// # Cancel safety
/// Can be dropped and asked again.
async fn overdue(answering: &mut watch::Receiver<Option<Instant>>) {
    loop {
        let until = *answering.borrow_and_update();
        let late = async {
            match until {
                Some(until) => sleep_until(until + LINGER).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = late => return,
            changed = answering.changed() => if changed.is_err() {
                return pending().await;
            }
        }
    }
}

async fn answer(
    connection: &Accepted,
    until: watch::Sender<Option<Instant>>,
    request: http::Request<Incoming>,
) -> http::Response<Answer> {
    let place = connection.shared.begin();
    let response = if is_grpc(request.headers().get(CONTENT_TYPE)) {
        // It has no trailers to answer in.
        let mut response = http::Response::new(ResponseBody::Ours(Outbound::nothing()));
        *response.status_mut() = StatusCode::HTTP_VERSION_NOT_SUPPORTED;
        response
    } else {
        let refusal = place.as_ref().err().cloned();
        let mut answer = pin!(connection.answer(refusal, request));
        let mut cut = pin!(connection.cut.notified());
        poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(response) => Poll::Ready(response),
            Poll::Pending => cut
                .as_mut()
                .poll(cx)
                .map(|()| refused(&was_cut()).map(ResponseBody::Ours)),
        })
        .await
    };
    response.map(|body| {
        until.send_replace(body.deadline());
        Answer {
            body,
            cut: Some(Box::pin(Arc::clone(&connection.cut).notified_owned())),
            until,
            _place: place.ok(),
        }
    })
}

/// The body of a response, whose call is in flight until its end.
struct Answer {
    body: ResponseBody,
    /// `None` once it was cut.
    cut: Option<Pin<Box<OwnedNotified>>>,
    until: watch::Sender<Option<Instant>>,
    _place: Option<InFlight>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if frame.is_pending()
            && let Some(cut) = &mut this.cut
            && cut.as_mut().poll(cx).is_ready()
        {
            this.cut = None;
            this.body.cut(was_cut());
            return Pin::new(&mut this.body).poll_frame(cx);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.until.send_replace(None);
    }
}
