//! What a connection may hold in memory of what was received and not yet consumed, or queued and not yet sent.

use std::{
    fmt,
    future::poll_fn,
    mem,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::wire::limits::MAX_PAYLOAD_BYTES;

/// The most bytes of partly received large messages that one connection holds; further ones wait, and so does their sender.
pub const MAX_INBOUND_BYTES: usize = 4 * MAX_PAYLOAD_BYTES;

/// The most bytes of large messages that one side of a connection writes at once; further ones wait before their first byte.
///
/// It keeps large messages from waiting for each other for ever. All that is written arrives, so what the receiver has begun and
/// cannot complete is still being written: at most this. The next one in its line then always has room within
/// [`MAX_INBOUND_BYTES`], is read, and makes room in the connection's window for all others.
pub const MAX_OUTBOUND_BYTES: usize = MAX_INBOUND_BYTES - MAX_PAYLOAD_BYTES;

/// In steps of how many streams the connection's window follows them.
const STREAMS_STEP: usize = 8;

/// The most bytes that wait in one lane's queue to be written; further frames wait in their calls.
pub const MAX_LANE_QUEUE_BYTES: usize = 256 * 1024;

/// The most bytes that one side of a call has queued beside its large messages: a head, a batch of small messages and one that is
/// not small which wait to be written, and a payload that is partly received.
pub const MAX_CALL_QUEUE_BYTES: usize = 4 * UNCOUNTED_BYTES;

/// Payloads up to this size are not counted against [`MAX_INBOUND_BYTES`]: the limit on streams bounds them.
pub(super) const UNCOUNTED_BYTES: usize = 64 * 1024 + 4;

/// How long a stream of messages that may have room leaves it to lanes.
const LANES_FIRST: Duration = Duration::from_millis(10);

/// How much of a large message is written before other tasks have their turn, while there are small calls beside it.
pub(super) const SHORT_TURN_BYTES: usize = 64 * 1024;

/// The same where there are none. Shorter turns would cost a sixth of the speed.
const LONG_TURN_BYTES: usize = 1024 * 1024;

/// How many turns stay short after a small call.
const SHORT_TURNS: usize = 128;

/// The budgets of one connection, and what it has held at most.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Inner>);

struct Inner {
    inbound: Arc<Semaphore>,
    outbound: Arc<Semaphore>,
    /// How many streams carry messages, and for how many there is room in the connection's window.
    streams: AtomicUsize,
    roomy: AtomicUsize,
    make_room: Box<dyn Fn(usize) + Send + Sync>,
    queued: AtomicUsize,
    peak: AtomicUsize,
    /// How many lanes have frames that they cannot write.
    blocked_lanes: AtomicUsize,
    on_free_lanes: Notify,
    /// Whether a frame was queued on a lane since the last turn of a large message, and how many turns stay short.
    lanes_are_used: AtomicBool,
    short_turns: AtomicUsize,
}

impl Budget {
    /// `make_room` is told for how many streams, whose messages may lie unread, the connection's window must have room.
    pub(super) fn new(make_room: impl Fn(usize) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            inbound: Arc::new(Semaphore::new(MAX_INBOUND_BYTES)),
            outbound: Arc::new(Semaphore::new(MAX_OUTBOUND_BYTES)),
            streams: AtomicUsize::new(0),
            roomy: AtomicUsize::new(STREAMS_STEP),
            make_room: Box::new(make_room),
            queued: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            blocked_lanes: AtomicUsize::new(0),
            on_free_lanes: Notify::new(),
            lanes_are_used: AtomicBool::new(false),
            short_turns: AtomicUsize::new(0),
        }))
    }

    /// Waits, first come first served, until a payload of `bytes` may be received.
    ///
    /// Whole payloads are granted, so that each one that has begun can be completed.
    pub(super) async fn inbound(self, bytes: usize) -> OwnedSemaphorePermit {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Arc::clone(&self.0.inbound)
            .acquire_many_owned(bytes)
            .await
            .expect("the semaphore is never closed")
    }

    /// Room to write a large message of `bytes`, if there is any now.
    pub(super) fn try_outbound(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes.min(MAX_OUTBOUND_BYTES)).unwrap_or(u32::MAX);
        Arc::clone(&self.0.outbound)
            .try_acquire_many_owned(bytes)
            .ok()
    }

    /// Waits, first come first served, until a large message of `bytes` may be written.
    pub(super) async fn outbound(&self, bytes: usize) -> OwnedSemaphorePermit {
        let bytes = u32::try_from(bytes.min(MAX_OUTBOUND_BYTES)).unwrap_or(u32::MAX);
        Arc::clone(&self.0.outbound)
            .acquire_many_owned(bytes)
            .await
            .expect("the semaphore is never closed")
    }

    /// Counts a stream of messages while the guard lives. Messages that nobody reads stay in the window that all streams share:
    /// it must have room for them and for everyone else.
    pub(super) fn stream(&self) -> OpenStream {
        let streams = self.0.streams.fetch_add(1, Ordering::Relaxed) + 1;
        let wanted = streams.next_multiple_of(STREAMS_STEP);
        if self.0.roomy.fetch_max(wanted, Ordering::Relaxed) < wanted {
            (self.0.make_room)(wanted);
        }
        OpenStream(self.clone())
    }

    /// Lets lanes have what room there is in the connection's window, while the guard lives: one of them waits for it.
    ///
    /// All streams share that window. Many that carry messages fill it, and what is acknowledged makes room for whoever writes
    /// first: a lane among hundreds of them would wait for all, and with it the most urgent call.
    pub(super) fn lane_is_blocked(&self) -> BlockedLane {
        self.0.blocked_lanes.fetch_add(1, Ordering::SeqCst);
        BlockedLane(self.clone())
    }

    /// Resolves to what `write` does, which is not asked while a lane waits for room.
    pub(super) async fn after_lanes<T>(
        &self,
        mut write: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> T {
        loop {
            if self.has_blocked_lanes() {
                Box::pin(self.free_lanes()).await;
            }
            // One attempt; where there is no room, another one when there may be.
            let mut asked = false;
            let written = poll_fn(|cx| {
                if mem::replace(&mut asked, true) {
                    return Poll::Ready(None);
                }
                write(cx).map(Some)
            });
            if let Some(written) = written.await {
                return written;
            }
        }
    }

    /// Resolves when no lane waits for room, or one waits for something else: when there is room in the connection's window, a
    /// lane that waited for that has it at once.
    async fn free_lanes(&self) {
        let mut free = pin!(self.0.on_free_lanes.notified());
        free.as_mut().enable();
        if self.has_blocked_lanes() {
            let _ = timeout(LANES_FIRST, free).await;
        }
    }

    /// A frame is queued on a lane.
    #[inline]
    pub(super) fn on_lane_frame(&self) {
        // Most find it set, and leave the other threads their copy of it.
        if !self.0.lanes_are_used.load(Ordering::Relaxed) {
            self.0.lanes_are_used.store(true, Ordering::Relaxed);
        }
    }

    /// How much of a large message is written in the turn that begins.
    pub(super) fn turn_bytes(&self) -> usize {
        let Inner {
            lanes_are_used,
            short_turns,
            ..
        } = &*self.0;
        if lanes_are_used.swap(false, Ordering::Relaxed) {
            short_turns.store(SHORT_TURNS, Ordering::Relaxed);
        }
        let one_less = |turns: usize| turns.checked_sub(1);
        match short_turns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less) {
            Ok(_) => SHORT_TURN_BYTES,
            Err(_) => LONG_TURN_BYTES,
        }
    }

    fn has_blocked_lanes(&self) -> bool {
        self.0.blocked_lanes.load(Ordering::SeqCst) > 0
    }

    pub(super) fn add(&self, bytes: usize) {
        let queued = self.0.queued.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.0.peak.fetch_max(queued, Ordering::Relaxed);
    }

    pub(super) fn sub(&self, bytes: usize) {
        self.0.queued.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The most bytes that were queued at once, in both directions.
    pub(super) fn peak_bytes(&self) -> usize {
        self.0.peak.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("streams", &self.streams)
            .field("queued_bytes", &self.queued)
            .finish_non_exhaustive()
    }
}

/// A lane that has frames which it cannot write.
#[derive(Debug)]
pub(super) struct BlockedLane(Budget);

impl Drop for BlockedLane {
    fn drop(&mut self) {
        let Budget(inner) = &self.0;
        if inner.blocked_lanes.fetch_sub(1, Ordering::SeqCst) == 1 {
            inner.on_free_lanes.notify_waiters();
        }
    }
}

/// What the connections of a server have held at most.
#[derive(Debug, Default)]
pub struct Peaks {
    open: Mutex<Vec<Budget>>,
    ended: AtomicUsize,
}

impl Peaks {
    /// The most bytes that were queued at once in one connection, of those that are open and those that have ended.
    #[must_use]
    pub fn most_bytes(&self) -> usize {
        let open = self.open();
        let ended = self.ended.load(Ordering::Relaxed);
        open.iter().map(Budget::peak_bytes).fold(ended, usize::max)
    }

    /// Counts a connection as open while the guard lives.
    pub(super) fn watch(&self, budget: &Budget) -> Watched<'_> {
        self.open().push(budget.clone());
        Watched(self, budget.clone())
    }

    fn open(&self) -> MutexGuard<'_, Vec<Budget>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection whose peak counts.
#[derive(Debug)]
pub(super) struct Watched<'a>(&'a Peaks, Budget);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let Self(peaks, budget) = self;
        let mut open = peaks.open();
        open.retain(|other| !Arc::ptr_eq(&other.0, &budget.0));
        peaks
            .ended
            .fetch_max(budget.peak_bytes(), Ordering::Relaxed);
    }
}

/// A stream that carries messages.
#[derive(Debug)]
pub(super) struct OpenStream(Budget);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn streams_write_when_no_lane_waits() {
        let budget = Budget::new(|_| {});
        let lanes = [budget.lane_is_blocked(), budget.lane_is_blocked()];
        let write = budget.after_lanes(|_| Poll::Ready(Instant::now()));
        let free = async {
            let [first, second] = lanes;
            tokio::task::yield_now().await;
            drop(first);
            tokio::time::sleep(LANES_FIRST / 2).await;
            drop(second);
        };
        let begin = Instant::now();
        let (written, ()) = tokio::join!(write, free);
        assert_eq!(written - begin, LANES_FIRST / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_does_not_wait_for_room_holds_no_stream_up_for_long() {
        let budget = Budget::new(|_| {});
        let _lane = budget.lane_is_blocked();
        let begin = Instant::now();
        let written = budget.after_lanes(|_| Poll::Ready(Instant::now())).await;
        // The clock goes in steps of a millisecond.
        assert!(written - begin <= LANES_FIRST + Duration::from_millis(1));
    }

    #[test]
    fn turns_are_short_while_there_are_small_calls() {
        let budget = Budget::new(|_| {});
        assert_eq!(budget.turn_bytes(), LONG_TURN_BYTES);
        budget.on_lane_frame();
        for _ in 0..SHORT_TURNS {
            assert_eq!(budget.turn_bytes(), SHORT_TURN_BYTES);
        }
        assert_eq!(budget.turn_bytes(), LONG_TURN_BYTES);
    }

    #[test]
    fn the_peak_of_a_server_is_that_of_its_fullest_connection() {
        let peaks = Peaks::default();
        assert_eq!(peaks.most_bytes(), 0);
        let (first, second) = (Budget::new(|_| {}), Budget::new(|_| {}));
        let watched = [peaks.watch(&first), peaks.watch(&second)];
        first.add(30);
        first.sub(30);
        second.add(20);
        assert_eq!(peaks.most_bytes(), 30);
        drop(watched);
        assert_eq!(peaks.most_bytes(), 30, "what has ended counts");
        let _watched = peaks.watch(&second);
        second.add(15);
        assert_eq!(peaks.most_bytes(), 35);
    }
}
