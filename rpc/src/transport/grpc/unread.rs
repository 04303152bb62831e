//! [`Unread`]: what has come on the streams of a connection and is not read yet, kept by its length and not by the frames it came in.
//!
//! HTTP/2's windows count the bytes of messages alone, and a frame that waits takes memory of its own. So `h2` gives a connection up on
//! which too many small frames wait: some seventy thousand, which two or three streams of small messages reach whose readers stand
//! still. Nobody there does anything wrong, and every call beside them would be lost. Here they are taken out of `h2` before, and
//! joined; the peer's window stays closed until they are read.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// After how many bytes of a connection its streams are looked at. A frame has ten at least, so that not half as many wait in between
/// as `h2` allows.
const LOOK_BYTES: usize = 256 * 1024;

/// Chunks below this are joined, to what is at most a few times as long.
const JOINED_BYTES: usize = 4 * 1024;

/// The streams of a connection that may be left unread.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// What has come since they were looked at last.
    came_bytes: AtomicUsize,
    streams: Mutex<Vec<Weak<Mutex<Stored>>>>,
}

impl Unread {
    /// Looks at the streams if it is time to; for the task of the connection, each time that it has read.
    pub(super) fn look(&self) {
        if !self.is_due() {
            return;
        }
        self.came_bytes.store(0, Ordering::Relaxed);
        lock(&self.streams).retain(|stream| match stream.upgrade() {
            Some(stream) => {
                lock(&stream).store();
                true
            }
            None => false,
        });
    }

    /// Takes care of a stream whose reader may stand still.
    pub(super) fn add(&self, stream: RecvStream, reader: Option<Waker>) -> Arc<Mutex<Stored>> {
        let stored = Arc::new(Mutex::new(Stored {
            stream,
            chunks: VecDeque::new(),
            small: BytesMut::new(),
            reader,
        }));
        let mut streams = lock(&self.streams);
        if streams.len() == streams.capacity() {
            streams.retain(|stream| stream.strong_count() > 0);
        }
        streams.push(Arc::downgrade(&stored));
        stored
    }

    fn is_due(&self) -> bool {
        self.came_bytes.load(Ordering::Relaxed) >= LOOK_BYTES
    }
}

/// A stream, and what was taken out of it ahead of its reader.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) stream: RecvStream,
    chunks: VecDeque<Bytes>,
    /// What follows the last of them.
    small: BytesMut,
    /// Who waits for more.
    reader: Option<Waker>,
}

impl Stored {
    /// The next chunk that was taken out before.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let joined = || (!self.small.is_empty()).then(|| self.small.split().freeze());
        self.chunks.pop_front().or_else(joined)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.small.is_empty()
    }

    /// Remembers who waits: whoever looks at the stream in between wakes nobody else.
    pub(super) fn waits(&mut self, reader: &Waker) {
        match &mut self.reader {
            Some(before) => before.clone_from(reader),
            None => self.reader = Some(reader.clone()),
        }
    }

    /// Takes out all that has come. What else is to be said, its reader is told.
    fn store(&mut self) {
        let reader = self
            .reader
            .as_ref()
            .unwrap_or_else(|| Waker::noop())
            .clone();
        let mut cx = Context::from_waker(&reader);
        while let Poll::Ready(Some(Ok(chunk))) = self.stream.poll_data(&mut cx) {
            if chunk.len() >= JOINED_BYTES {
                self.join();
                self.chunks.push_back(chunk);
                continue;
            }
            self.small.extend_from_slice(&chunk);
            if self.small.len() >= JOINED_BYTES {
                self.join();
            }
        }
    }

    fn join(&mut self) {
        if !self.small.is_empty() {
            self.chunks.push_back(self.small.split().freeze());
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection that counts what comes, and stops until the streams were looked at when that is due.
#[derive(Debug)]
pub(super) struct Metered<I> {
    io: I,
    unread: Arc<Unread>,
}

impl<I> Metered<I> {
    pub(super) fn new(io: I, unread: &Arc<Unread>) -> Self {
        Self {
            io,
            unread: Arc::clone(unread),
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Metered<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_due() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = out.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, out);
        let came = out.filled().len() - before;
        self.unread.came_bytes.fetch_add(came, Ordering::Relaxed);
        polled
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Metered<I> {
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
