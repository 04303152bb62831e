//! HTTP/1.1, which browsers speak without TLS: told from HTTP/2 by its first bytes, and only for gRPC-Web.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use http_body::{Body as HttpBody, Frame};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::{
    answer::refused,
    config::MAX_HEADER_BYTES,
    outbound::Outbound,
    served::{Accepted, Ending, ResponseBody, drained, was_cut},
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
    let service = service_fn(move |request| {
        let connection = Arc::clone(&called);
        async move { Ok::<_, Infallible>(answer(&connection, request).await) }
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
            }
        }
    }
}

async fn answer(
    connection: &Accepted,
    request: http::Request<Incoming>,
) -> http::Response<Counted> {
    let place = connection.shared.begin();
    let grpc = HeaderValue::from_static("application/grpc");
    let response = if request.headers().get(CONTENT_TYPE) == Some(&grpc) {
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
    response.map(|body| Counted {
        body,
        _place: place.ok(),
    })
}

/// The body of a response, whose call is in flight until its end.
struct Counted {
    body: ResponseBody,
    _place: Option<InFlight>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
