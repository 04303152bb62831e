//! Raw iroh at its best: frames of many calls coalesced on one bidirectional stream, answered inline by the server.
//!
//! A frame is its payload's length (4 bytes), a call number (8) and the payload. There is no service, no method, no status, no
//! deadline, no cancellation: this is the ceiling, not a framework.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use iroh::endpoint::{RecvStream, SendStream};
use tokio::sync::{Notify, oneshot};

use crate::net::{Outcome, Pair, pair};

const HEADER_BYTES: usize = 12;
/// Chunks taken from the stream at once: about a packet each.
const CHUNKS: usize = 64;

/// The client's end, and what keeps the connection up.
#[derive(Clone)]
pub(crate) struct Client(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    wake: Notify,
    _pair: Pair,
}

#[derive(Default)]
struct State {
    out: BytesMut,
    waiting: Vec<Option<oneshot::Sender<Bytes>>>,
    free: Vec<usize>,
}

impl Client {
    /// Connects, and starts the writer, the reader and the server.
    pub(crate) async fn start() -> Outcome<Self> {
        let pair = pair(b"raw/coalesced").await?;
        let server = pair.server.clone();
        tokio::spawn(async move {
            let (send, recv) = server.accept_bi().await?;
            answer(send, recv).await
        });
        let (mut send, recv) = pair.client.open_bi().await?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Notify::new(),
            _pair: pair,
        });
        tokio::spawn(collect(recv, Arc::clone(&shared)));
        tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                loop {
                    shared.wake.notified().await;
                    // Whoever else is ready adds its frame first: one write for all.
                    tokio::task::yield_now().await;
                    let frames = shared.lock(|state| state.out.split().freeze());
                    if !frames.is_empty() {
                        send.write_chunk(frames).await?;
                    }
                }
                #[expect(unreachable_code, reason = "names the task's type")]
                Outcome::Ok(())
            }
        });
        Ok(Self(shared))
    }

    /// One call.
    pub(crate) async fn echo(&self, payload: &[u8]) -> Outcome<Bytes> {
        let (sender, receiver) = oneshot::channel();
        self.0.lock(|state| {
            let call = state.free.pop().unwrap_or_else(|| {
                state.waiting.push(None);
                state.waiting.len() - 1
            });
            state.waiting[call] = Some(sender);
            put_frame(&mut state.out, call as u64, payload);
        });
        self.0.wake.notify_one();
        Ok(receiver.await?)
    }
}

impl Shared {
    fn lock<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The client's reader: hands each answer to its caller.
async fn collect(mut recv: RecvStream, shared: Arc<Shared>) -> Outcome<()> {
    let mut frames = Frames::default();
    while frames.fill(&mut recv).await? {
        shared.lock(|state| {
            while let Some((call, payload)) = frames.next() {
                let call = usize::try_from(call).unwrap_or(usize::MAX);
                if let Some(waiting) = state.waiting.get_mut(call).and_then(Option::take) {
                    state.free.push(call);
                    let _ = waiting.send(payload);
                }
            }
        });
    }
    Ok(())
}

/// The server: all frames of a wake-up are answered with one write.
async fn answer(mut send: SendStream, mut recv: RecvStream) -> Outcome<()> {
    let (mut frames, mut out) = (Frames::default(), BytesMut::new());
    while frames.fill(&mut recv).await? {
        while let Some((call, payload)) = frames.next() {
            put_frame(&mut out, call, &payload);
        }
        if !out.is_empty() {
            send.write_chunk(out.split().freeze()).await?;
        }
    }
    Ok(())
}

/// Cuts a stream into frames.
#[derive(Default)]
struct Frames {
    buffer: BytesMut,
}

impl Frames {
    /// Takes everything that has arrived; `false` at the end of the stream.
    async fn fill(&mut self, recv: &mut RecvStream) -> Outcome<bool> {
        let mut chunks = [const { Bytes::new() }; CHUNKS];
        let Some(count) = recv.read_many_chunks(&mut chunks).await? else {
            return Ok(false);
        };
        for chunk in &chunks[..count] {
            self.buffer.extend_from_slice(chunk);
        }
        Ok(true)
    }

    fn next(&mut self) -> Option<(u64, Bytes)> {
        let mut head = self.buffer.get(..HEADER_BYTES)?;
        let length = usize::try_from(head.get_u32()).ok()?;
        let call = head.get_u64();
        if self.buffer.len() < HEADER_BYTES + length {
            return None;
        }
        self.buffer.advance(HEADER_BYTES);
        Some((call, self.buffer.split_to(length).freeze()))
    }
}

fn put_frame(out: &mut BytesMut, call: u64, payload: &[u8]) {
    out.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    out.put_u64(call);
    out.put_slice(payload);
}
