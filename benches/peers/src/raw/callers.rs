//! The client's half of the coalesced baselines: callers that wait, and what they want written.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    sync::{Notify, oneshot},
    task::JoinSet,
};

use super::frame::{Asked, Frames, put_frame};
use crate::{Outcome, stack::Client};

/// Who waits for what, shared by the callers, the reader and the writer of one stream.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    out: BytesMut,
    waiting: Vec<Option<oneshot::Sender<Bytes>>>,
    free: Vec<usize>,
}

impl Callers {
    /// Leaves a frame for the writer.
    fn ask(&self, asked: Asked, payload: &[u8]) -> oneshot::Receiver<Bytes> {
        let (sender, receiver) = oneshot::channel();
        self.lock(|state| {
            let call = state.free.pop().unwrap_or_else(|| {
                state.waiting.push(None);
                state.waiting.len() - 1
            });
            state.waiting[call] = Some(sender);
            put_frame(&mut state.out, call as u64, asked, payload);
        });
        self.wake.notify_one();
        receiver
    }

    /// Everything there is to write, once there is something.
    pub(crate) async fn to_write(&self) -> Bytes {
        loop {
            self.wake.notified().await;
            // Whoever else is ready adds its frame first: one write for all.
            tokio::task::yield_now().await;
            let frames = self.lock(|state| state.out.split().freeze());
            if !frames.is_empty() {
                return frames;
            }
        }
    }

    /// Hands each whole answer to its caller.
    pub(crate) fn answered(&self, frames: &mut Frames) {
        self.lock(|state| {
            while let Some((call, _, payload)) = frames.next() {
                let call = usize::try_from(call).unwrap_or(usize::MAX);
                if let Some(waiting) = state.waiting.get_mut(call).and_then(Option::take) {
                    state.free.push(call);
                    let _ = waiting.send(payload);
                }
            }
        });
    }

    fn lock<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A caller of a coalesced baseline. Its connection is gone when the last clone is.
#[derive(Clone, Debug)]
pub(crate) struct RawClient {
    callers: Arc<Callers>,
    _ends: Arc<JoinSet<Outcome<()>>>,
}

impl RawClient {
    /// With the tasks that write what callers ask, and hand them their answers.
    pub(crate) fn new(callers: Arc<Callers>, ends: JoinSet<Outcome<()>>) -> Self {
        Self {
            callers,
            _ends: Arc::new(ends),
        }
    }
}

impl Client for RawClient {
    async fn echo(&self, payload: Bytes) -> Outcome<Bytes> {
        Ok(self.callers.ask(Asked::Echo, &payload).await?)
    }

    async fn upload(&self, payload: Bytes) -> Outcome<u64> {
        let mut answer = self.callers.ask(Asked::Upload, &payload).await?;
        Ok(answer.try_get_u64()?)
    }

    async fn download(&self, bytes: u64) -> Outcome<Bytes> {
        let asked = bytes.to_be_bytes();
        Ok(self.callers.ask(Asked::Download, &asked).await?)
    }
}
