//! What a gRPC peer sends, fed as bytes to what reads it, for the fuzz targets. Nothing here is part of a build without the feature
//! `fuzzing`.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body as HttpBody, Frame};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    accepted,
    answer::Terms,
    config::GrpcConfig,
    encoding::Encoding,
    headers,
    inbound::{Inbound, Requests},
    shared::Shared,
    status, timeout,
};
use crate::{
    block_on::block_on,
    call::{BodyStream, Method, Peer},
    metadata::Metadata,
    server::Router,
    status::{Result, Status},
};

/// The requests of a call whose body arrives in these chunks, and how they end; read one by one, or together with those that are ready.
///
/// # Panics
/// If the reader waits for what has arrived: that is a fault of the reader.
pub fn requests(
    chunks: Vec<Bytes>,
    encoding: Option<Encoding>,
    limit_bytes: usize,
    together: bool,
) -> (Vec<Bytes>, Result<()>) {
    let method = Method::Path("/fuzz.v1.Fuzz/Call".into());
    let inbound = Inbound::new(Chunks(chunks.into()), method, encoding, limit_bytes);
    let mut requests = Requests(inbound);
    let mut requests = Pin::new(&mut requests);
    let mut cx = Context::from_waker(Waker::noop());
    let mut messages = Vec::new();
    loop {
        let polled = if together {
            let batch = requests.as_mut().poll_batch(&mut cx);
            batch.map_ok(|batch| messages.extend(batch))
        } else {
            let message = requests.as_mut().poll_message(&mut cx);
            message.map_ok(|message| messages.push(message))
        };
        match polled {
            Poll::Ready(Some(Ok(()))) => {}
            Poll::Ready(Some(Err(status))) => return (messages, Err(status)),
            Poll::Ready(None) => return (messages, Ok(())),
            Poll::Pending => unreachable!("all bytes are there"),
        }
    }
}

/// A block of headers: those of these names and values that HTTP allows.
#[must_use]
pub fn block(headers: &[(&[u8], &[u8])]) -> HeaderMap {
    let mut block = HeaderMap::new();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            block.append(name, value);
        }
    }
    block
}

/// The metadata in a block; `None` where it cannot be read.
#[must_use]
pub fn read_metadata(block: &HeaderMap) -> Option<Metadata> {
    headers::read(block).ok()
}

/// The block with this metadata.
#[must_use]
pub fn write_metadata(metadata: &Metadata) -> HeaderMap {
    let mut block = HeaderMap::new();
    headers::write(metadata, &mut block);
    block
}

/// The status in a block of trailers, if there is one.
#[must_use]
pub fn read_status(block: &HeaderMap) -> Option<Result<Metadata>> {
    status::read(block)
}

/// The trailers with this status.
#[must_use]
pub fn write_status(status: &Status) -> HeaderMap {
    let mut block = HeaderMap::new();
    status::write(status, &mut block);
    block
}

/// What a `grpc-timeout` says; `None` where it is none.
#[must_use]
pub fn read_timeout(value: &[u8]) -> Option<Duration> {
    timeout::parse(value).ok()
}

/// The `grpc-timeout` that says so; `None` where it is too long for any.
#[must_use]
pub fn write_timeout(timeout: Duration) -> Option<HeaderValue> {
    timeout::format(timeout)
}

/// Serves a connection on which these chunks arrive, and then nothing any more; what the server has sent.
///
/// A message has at most so many bytes, and all that have not come whole at most four times as many.
#[must_use]
pub fn serve(router: Router, chunks: Vec<Bytes>, max_message_bytes: usize) -> Vec<u8> {
    let config = GrpcConfig {
        keep_alive: None,
        ..GrpcConfig::default()
    };
    let all = Encoding::ALL.to_vec();
    let terms = Terms::new(all.clone(), all, max_message_bytes, 4 * max_message_bytes);
    let shared = Arc::new(Shared::new(router, terms, HashMap::new(), config));
    let sent = Arc::default();
    let wire = Wire {
        chunks: chunks.into(),
        waits: true,
        turns_left: TURNS_AT_THE_END,
        sent: Arc::clone(&sent),
    };
    block_on(async {
        if let Ok(opened) = accepted::open(&config, wire).await {
            let peer = Peer::Address(SocketAddr::from(([127, 0, 0, 1], 1)));
            accepted::serve(&shared, opened, peer).await;
        }
    });
    let sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
    sent.clone()
}

/// How often others have a turn before a connection ends of which all has arrived.
const TURNS_AT_THE_END: usize = 16;

/// A body that is there.
struct Chunks(VecDeque<Bytes>);

impl HttpBody for Chunks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.0.pop_front().map(Frame::data).map(Ok))
    }
}

/// A connection on which a chunk arrives in each turn.
struct Wire {
    chunks: VecDeque<Bytes>,
    waits: bool,
    turns_left: usize,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.waits = !self.waits;
        if self.chunks.is_empty() && self.turns_left > 0 {
            self.turns_left -= 1;
            self.waits = true;
        }
        if self.waits {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(mut chunk) = self.chunks.pop_front() else {
            return Poll::Ready(Ok(()));
        };
        out.put_slice(&chunk.split_to(chunk.len().min(out.remaining())));
        if !chunk.is_empty() {
            self.chunks.push_front(chunk);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
