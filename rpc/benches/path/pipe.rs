//! A [`Link`] of pipes in memory: what is written is there to be read at once.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use blixard_rpc::{
    call::Peer,
    link::{Broken, CloseCode, Link, Packets, RecvHalf, SendHalf, StreamCode},
};
use bytes::Bytes;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

/// Both ends of a connection.
pub(crate) fn pair() -> (Pipes, Pipes) {
    let (to_there, from_here) = mpsc::unbounded_channel();
    let (to_here, from_there) = mpsc::unbounded_channel();
    let end = |open, accept| Pipes {
        open,
        accept: Arc::new(AsyncMutex::new(accept)),
    };
    (end(to_there, from_there), end(to_here, from_here))
}

/// One end of a connection; it has stream pairs alone.
#[derive(Clone)]
pub(crate) struct Pipes {
    open: mpsc::UnboundedSender<(Writer, Reader)>,
    accept: Arc<AsyncMutex<mpsc::UnboundedReceiver<(Writer, Reader)>>>,
}

impl Link for Pipes {
    type Send = Writer;
    type Recv = Reader;

    async fn open_bi(&self) -> Result<(Writer, Reader), Broken> {
        let (there, back) = (Arc::default(), Arc::default());
        let theirs = (Writer(Arc::clone(&back)), Reader(Arc::clone(&there)));
        self.open.send(theirs).map_err(|_| gone())?;
        Ok((Writer(there), Reader(back)))
    }

    async fn open_uni(&self) -> Result<Writer, Broken> {
        std::future::pending().await
    }

    async fn accept_bi(&self) -> Result<(Writer, Reader), Broken> {
        self.accept.lock().await.recv().await.ok_or_else(gone)
    }

    async fn accept_uni(&self) -> Result<Reader, Broken> {
        std::future::pending().await
    }

    fn make_room(&self, _: usize) {}

    fn close(&self, _: CloseCode, _: &str) {}

    async fn closed(&self) -> Broken {
        std::future::pending().await
    }

    fn peer(&self) -> Peer {
        Peer::Memory
    }

    fn packets(&self) -> Packets {
        Packets::default()
    }
}

fn gone() -> Broken {
    Broken::Lost("the other end was dropped".to_owned())
}

#[derive(Default)]
struct Pipe {
    chunks: VecDeque<Bytes>,
    ended: bool,
    reader: Option<Waker>,
}

fn lock(pipe: &Mutex<Pipe>) -> std::sync::MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The writing half of a pipe without a limit.
pub(crate) struct Writer(Arc<Mutex<Pipe>>);

impl SendHalf for Writer {
    fn poll_write(
        &mut self,
        _: &mut Context<'_>,
        chunks: &mut &mut [Bytes],
    ) -> Poll<Result<(), Broken>> {
        let mut pipe = lock(&self.0);
        for chunk in mem::take(chunks) {
            pipe.chunks.push_back(mem::take(chunk));
        }
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(()))
    }

    fn set_priority(&mut self, _: i32) {}

    fn finish(&mut self) {
        lock(&self.0).ended = true;
    }

    fn reset(&mut self, _: StreamCode) {
        self.finish();
    }

    fn stopped(&mut self) -> impl Future<Output = ()> + Send + 'static {
        std::future::ready(())
    }
}

/// The reading half of a pipe.
pub(crate) struct Reader(Arc<Mutex<Pipe>>);

/// What a chunk has at most: about a packet, as QUIC gives it.
const CHUNK_BYTES: usize = 1400;

impl RecvHalf for Reader {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        chunks: &mut [Bytes],
    ) -> Poll<Result<usize, Broken>> {
        let mut pipe = lock(&self.0);
        let mut count = 0;
        while let (Some(place), Some(front)) = (chunks.get_mut(count), pipe.chunks.front_mut()) {
            *place = front.split_to(front.len().min(CHUNK_BYTES));
            if front.is_empty() {
                pipe.chunks.pop_front();
            }
            count += 1;
        }
        if count == 0 && !pipe.ended {
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(count))
    }

    fn stop(&mut self, _: StreamCode) {}
}
