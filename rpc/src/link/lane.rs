//! A lane: one stream pair on which the frames of many small calls travel, coalesced into one write per wake-up.
//!
//! Both ends run the same pump, which reads frames for its [`Frames`] and writes what is in its [`Outbox`]. There is no timer:
//! a queue is written whenever the pump runs and finds it not empty.

use std::{
    fmt,
    future::poll_fn,
    mem,
    ops::RangeInclusive,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use tokio::{sync::Notify, task::yield_now};

use super::{
    budget::{BlockedLane, Budget, MAX_LANE_QUEUE_BYTES},
    halves::{Broken, RecvHalf, SendHalf},
    reader::{FrameReader, ReadError},
};
use crate::wire::Header;

/// How many frames a pump takes before it writes what came of them and lets other tasks run: half of what arrived together last time,
/// within these. So the peer goes on with one half while the other is made, and neither is cut into more packets than that takes.
const FRAMES_PER_TURN: RangeInclusive<usize> = 32..=128;

/// How many queues like the last one a new buffer has room for, within these bounds: a busy lane allocates seldom, and one that is idle
/// keeps little.
const ROOM_FOR_QUEUES: usize = 8;
const ROOM_BYTES: RangeInclusive<usize> = 1024..=16 * 1024;

/// The queue in front of a lane's writing half; a clone of the `Arc` is another way to fill it.
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    /// What the queue holds, to be read without its lock.
    queued_bytes: AtomicUsize,
    /// Set under the queue's lock, so that nothing is queued after it.
    closed: AtomicBool,
    room: Notify,
    budget: Budget,
}

#[derive(Default)]
struct Queue {
    bytes: BytesMut,
    /// The pump, while it sleeps.
    pump: Option<Waker>,
}

/// When the pump is woken that writes a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    Now,
    /// After all tasks that are ready now, wherever they are in the line: other calls are in flight, and theirs go with it.
    Last,
    /// Not at all: whoever queues it runs the pump. One that is woken while it runs goes to the end of the runtime's line, and
    /// another thread is woken for it.
    Never,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Queued,
    Full,
    /// The lane is gone.
    Closed,
}

impl Outbox {
    pub(super) fn new(budget: Budget) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::default(),
            queued_bytes: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            room: Notify::new(),
            budget,
        })
    }

    /// How many bytes wait to be written.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn is_full(&self) -> bool {
        self.queued_bytes() >= MAX_LANE_QUEUE_BYTES
    }

    /// Whether the lane is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Takes `item` and queues what `fill` writes of it, if there is room; one frame may pass the limit, none begins above it.
    pub(super) fn try_put<T>(
        &self,
        wake: Wake,
        item: &mut Option<T>,
        fill: impl FnOnce(T, &mut BytesMut),
    ) -> Put {
        let mut queue = self.lock();
        if self.is_closed() {
            return Put::Closed;
        }
        if queue.bytes.len() >= MAX_LANE_QUEUE_BYTES {
            return Put::Full;
        }
        if let Some(item) = item.take() {
            self.put_locked(&mut queue, wake, |out| fill(item, out));
        }
        Put::Queued
    }

    /// Queues what `fill` writes, whatever is queued: for frames that are bounded otherwise.
    pub(super) fn put(&self, wake: Wake, fill: impl FnOnce(&mut BytesMut)) {
        self.put_locked(&mut self.lock(), wake, fill);
    }

    /// Waits until there is room, or the lane is gone.
    pub(super) async fn room(&self) {
        let room = self.room.notified();
        tokio::pin!(room);
        loop {
            room.as_mut().enable();
            {
                let queue = self.lock();
                if self.is_closed() || queue.bytes.len() < MAX_LANE_QUEUE_BYTES {
                    return;
                }
            }
            room.as_mut().await;
            room.set(self.room.notified());
        }
    }

    /// Makes the pump run.
    pub(super) fn wake(&self) {
        let pump = self.lock().pump.take();
        if let Some(pump) = pump {
            pump.wake();
        }
    }

    fn put_locked(&self, queue: &mut Queue, wake: Wake, fill: impl FnOnce(&mut BytesMut)) {
        if self.is_closed() {
            return;
        }
        let before = queue.bytes.len();
        fill(&mut queue.bytes);
        self.budget.add(queue.bytes.len() - before);
        self.budget.on_lane_frame();
        self.queued_bytes
            .store(queue.bytes.len(), Ordering::Relaxed);
        if wake == Wake::Never {
            return;
        }
        match queue.pump.take() {
            Some(pump) if wake == Wake::Last => wake_last(&pump),
            Some(pump) => pump.wake(),
            None => {}
        }
    }

    /// Takes all that is queued, or leaves `cx` to be woken when something is.
    fn take(&self, cx: &Context<'_>) -> Option<Bytes> {
        let mut queue = self.lock();
        if queue.bytes.is_empty() {
            match &mut queue.pump {
                Some(pump) => pump.clone_from(cx.waker()),
                pump => *pump = Some(cx.waker().clone()),
            }
            return None;
        }
        let was_full = queue.bytes.len() >= MAX_LANE_QUEUE_BYTES;
        let bytes = queue.bytes.split().freeze();
        self.queued_bytes.store(0, Ordering::Relaxed);
        let (least, most) = ROOM_BYTES.into_inner();
        let room = (ROOM_FOR_QUEUES * bytes.len()).clamp(least, most);
        if queue.bytes.capacity() < room / 4 {
            queue.bytes = BytesMut::with_capacity(room);
        }
        drop(queue);
        self.budget.sub(bytes.len());
        if was_full {
            self.room.notify_waiters();
        }
        Some(bytes)
    }

    fn close(&self) {
        let mut queue = self.lock();
        self.closed.store(true, Ordering::Release);
        self.budget.sub(queue.bytes.len());
        let _ = mem::take(&mut queue.bytes);
        self.queued_bytes.store(0, Ordering::Relaxed);
        drop(queue);
        self.room.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

/// Has the runtime wake a task when no other one is ready; a waker alone would put it before, or right behind those that are now.
fn wake_last(task: &Waker) {
    let _ = pin!(yield_now()).poll(&mut Context::from_waker(task));
}

/// What is done with the frames of a lane.
pub(super) trait Frames: Send {
    /// Whether another frame can be taken now; if not, something must wake the pump later.
    fn ready(&self) -> bool {
        true
    }

    /// Takes one frame.
    fn on_frame(&mut self, header: Header, payload: &[u8]) -> Result<(), ReadError>;

    /// All frames that had arrived, or for which there was room, were taken.
    fn on_pause(&mut self) {}

    /// Whether the lane may end, when nothing is queued.
    fn is_done(&self) -> bool {
        false
    }
}

/// How a lane ended.
#[derive(Debug)]
pub(super) enum LaneEnd {
    /// The peer ended it, or this side had no more use for it.
    Finished,
    Failed(ReadError),
}

/// What moves the frames of a lane, both ways. It does not wait before it writes: what is queued while other tasks run goes with it.
pub(super) struct Pump<S, R, F> {
    pub(super) send: S,
    reader: FrameReader<R>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) frames: F,
    writing: Bytes,
    /// How many frames are taken at once, and how many were since none was there.
    turn: usize,
    together: usize,
    /// While there was no room for it.
    blocked: Option<BlockedLane>,
}

impl<S: SendHalf, R: RecvHalf, F: Frames> Pump<S, R, F> {
    pub(super) fn new(send: S, reader: FrameReader<R>, outbox: Arc<Outbox>, frames: F) -> Self {
        Self {
            send,
            reader,
            outbox,
            frames,
            writing: Bytes::new(),
            turn: *FRAMES_PER_TURN.start(),
            together: 0,
            blocked: None,
        }
    }

    /// Pumps until the lane ends.
    pub(super) async fn run(&mut self) -> LaneEnd {
        let _closer = Closer(Arc::clone(&self.outbox));
        poll_fn(|cx| self.poll(cx)).await
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<LaneEnd> {
        loop {
            let read = match self.poll_read(cx) {
                Ok(read) => read,
                Err(error) => return Poll::Ready(LaneEnd::Failed(error)),
            };
            match self.poll_write(cx) {
                Ok(Write::Empty) if self.frames.is_done() => return Poll::Ready(LaneEnd::Finished),
                Ok(_) => {}
                Err(broken) => return Poll::Ready(LaneEnd::Failed(ReadError::Broken(broken))),
            }
            match read {
                Read::Ended => return Poll::Ready(LaneEnd::Finished),
                // The write has made room.
                Read::Full if self.frames.ready() => {}
                Read::More => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Read::Full | Read::Waiting => return Poll::Pending,
            }
        }
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<Read, ReadError> {
        for _ in 0..self.turn {
            if !self.frames.ready() {
                self.frames.on_pause();
                return Ok(Read::Full);
            }
            let frames = &mut self.frames;
            let small = self
                .reader
                .take_small(|header, payload| frames.on_frame(header, payload));
            let frame = match small {
                Ok(Some(result)) => Poll::Ready(result.map(Some)),
                Err(error) => Poll::Ready(Err(error.into())),
                Ok(None) => self.reader.poll_frame(cx).map(|frame| {
                    frame?
                        .map(|(header, payload)| frames.on_frame(header, &payload))
                        .transpose()
                }),
            };
            let read = match frame {
                Poll::Ready(Ok(Some(()))) => {
                    self.together += 1;
                    continue;
                }
                Poll::Ready(Ok(None)) => Ok(Read::Ended),
                Poll::Ready(Err(error)) => Err(error),
                Poll::Pending => {
                    let (least, most) = FRAMES_PER_TURN.into_inner();
                    let half = mem::take(&mut self.together) / 2;
                    self.turn = half.max(self.turn - self.turn / 16).clamp(least, most);
                    Ok(Read::Waiting)
                }
            };
            // However it goes on: what was taken before counts.
            self.frames.on_pause();
            return read;
        }
        self.frames.on_pause();
        Ok(Read::More)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<Write, Broken> {
        loop {
            if self.writing.is_empty() {
                match self.outbox.take(cx) {
                    Some(bytes) => self.writing = bytes,
                    None => return Ok(Write::Empty),
                }
            }
            let mut chunks = [mem::take(&mut self.writing)];
            let mut left = &mut chunks[..];
            let written = self.send.poll_write(cx, &mut left);
            if let [rest] = left {
                self.writing = mem::take(rest);
            }
            match written {
                Poll::Ready(result) => {
                    self.blocked = None;
                    result?;
                }
                Poll::Pending => {
                    let budget = &self.outbox.budget;
                    self.blocked.get_or_insert_with(|| budget.lane_is_blocked());
                    return Ok(Write::Blocked);
                }
            }
        }
    }
}

/// Closes a queue that nobody writes any more.
pub(super) struct Closer(pub(super) Arc<Outbox>);

impl Drop for Closer {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What came of reading.
pub(super) enum Read {
    Ended,
    Full,
    More,
    /// The reader's waker is woken when there is more.
    Waiting,
}

enum Write {
    Empty,
    Blocked,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_lane_keeps_little_and_a_busy_one_has_room() {
        let outbox = Outbox::new(Budget::new(|_| {}));
        let cx = Context::from_waker(Waker::noop());
        let room_after = |bytes: usize| {
            outbox.put(Wake::Now, |out| out.extend_from_slice(&vec![7; bytes]));
            assert_eq!(outbox.take(&cx).map(|taken| taken.len()), Some(bytes));
            outbox.lock().bytes.capacity()
        };
        let (least, most) = ROOM_BYTES.into_inner();
        assert!(room_after(100) <= least);
        assert!(room_after(most) >= most);
    }
}
