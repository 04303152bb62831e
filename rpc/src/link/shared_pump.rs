//! A lane's pump that callers may run in the place of its task.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    task::{Context, Poll, Waker},
};

use super::{
    halves::{RecvHalf, SendHalf},
    lane::{Closer, Frames, LaneEnd, Pump, Read},
};

/// A pump that its task shares with callers: one that is alone on its connection writes its request and reads its answer itself.
///
/// So both ways wake one task less. And that saves more: tokio runs three tasks in a row that wake each other, and with the fourth,
/// the one that sends the next request, another thread is woken.
pub(super) struct SharedPump<S, R, F>(Mutex<State<S, R, F>>);

struct State<S, R, F> {
    /// While its task runs.
    pump: Option<Pump<S, R, F>>,
    task: Option<Waker>,
    /// What a caller has found.
    end: Option<LaneEnd>,
}

impl<S: SendHalf, R: RecvHalf, F: Frames> SharedPump<S, R, F> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            pump: None,
            task: None,
            end: None,
        }))
    }

    /// Pumps until the lane ends. The pump is given back; however the future goes, nobody else has it any more.
    pub(super) async fn run(&self, pump: Pump<S, R, F>) -> (LaneEnd, Option<Pump<S, R, F>>) {
        let closer = Closer(Arc::clone(&pump.outbox));
        self.lock().pump = Some(pump);
        let taker = Taker(self);
        let end = poll_fn(|cx| {
            let mut state = self.lock();
            let State { pump, task, end } = &mut *state;
            match (end.take(), pump) {
                (Some(end), _) => Poll::Ready(end),
                (None, None) => Poll::Ready(LaneEnd::Finished),
                (None, Some(pump)) => {
                    match task {
                        Some(task) => task.clone_from(cx.waker()),
                        None => *task = Some(cx.waker().clone()),
                    }
                    pump.poll(cx)
                }
            }
        });
        let end = end.await;
        drop(closer);
        let pump = self.lock().pump.take();
        drop(taker);
        (end, pump)
    }

    /// Takes the pump, unless somebody runs it at this moment, who sees all that was queued before, or is woken for it.
    pub(super) fn try_take(&self) -> Option<Taken<'_, S, R, F>> {
        let state = match self.0.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(state)) => state.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let is_there = state.pump.is_some() && state.end.is_none();
        let task = state.task.clone().filter(|_| is_there)?;
        Some(Taken { state, task })
    }

    fn lock(&self) -> MutexGuard<'_, State<S, R, F>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Taker<'a, S: SendHalf, R: RecvHalf, F: Frames>(&'a SharedPump<S, R, F>);

impl<S: SendHalf, R: RecvHalf, F: Frames> Drop for Taker<'_, S, R, F> {
    fn drop(&mut self) {
        let pump = self.0.lock().pump.take();
        drop(pump);
    }
}

/// A pump in the hands of a caller.
pub(super) struct Taken<'a, S, R, F> {
    state: MutexGuard<'a, State<S, R, F>>,
    task: Waker,
}

impl<S: SendHalf, R: RecvHalf, F: Frames> Taken<'_, S, R, F> {
    /// Does what its task would, which is woken for the rest.
    pub(super) fn poll(&mut self) {
        let Some(pump) = &mut self.state.pump else {
            return;
        };
        if let Poll::Ready(end) = pump.poll(&mut Context::from_waker(&self.task)) {
            self.end(end);
        }
    }

    /// Reads, and has `cx` woken when there is more to read, in the place of the task.
    pub(super) fn listen(&mut self, cx: &mut Context<'_>) {
        if self.state.end.is_some() {
            return;
        }
        match self.state.pump.as_mut().map(|pump| pump.poll_read(cx)) {
            Some(Ok(Read::Waiting)) | None => {}
            Some(Ok(_)) => self.task.wake_by_ref(),
            Some(Err(error)) => self.end(LaneEnd::Failed(error)),
        }
    }

    /// Has the task do that.
    pub(super) fn wake_task(&self) {
        self.task.wake_by_ref();
    }

    /// What is done with the frames.
    pub(super) fn frames(&mut self) -> Option<&mut F> {
        self.state.pump.as_mut().map(|pump| &mut pump.frames)
    }

    fn end(&mut self, end: LaneEnd) {
        self.state.end = Some(end);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use bytes::Bytes;
    use tokio::{spawn, task::yield_now};

    use super::{
        super::{
            budget::Budget,
            halves::{Broken, StreamCode},
            lane::{Outbox, Wake},
            reader::{FrameReader, ReadError},
        },
        *,
    };
    use crate::wire::Header;

    /// Both halves of a stream that takes as many bytes as there is room for, and has nothing to read.
    #[derive(Clone, Default)]
    struct Narrow(Arc<Mutex<Sides>>);

    #[derive(Default)]
    struct Sides {
        room: usize,
        written: usize,
        writer: Option<Waker>,
        reader: Option<Waker>,
    }

    impl SendHalf for Narrow {
        fn poll_write(
            &mut self,
            cx: &mut Context<'_>,
            chunks: &mut &mut [Bytes],
        ) -> Poll<Result<(), Broken>> {
            let sides = &mut *self.0.lock().unwrap();
            let bytes = sides.room.min(chunks[0].len());
            if bytes == 0 {
                sides.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            sides.room -= bytes;
            sides.written += bytes;
            let _ = chunks[0].split_to(bytes);
            if chunks[0].is_empty() {
                *chunks = &mut [];
            }
            Poll::Ready(Ok(()))
        }

        fn set_priority(&mut self, _: i32) {}

        fn finish(&mut self) {}

        fn reset(&mut self, _: StreamCode) {}

        fn stopped(&mut self) -> impl Future<Output = ()> + Send + 'static {
            std::future::ready(())
        }
    }

    impl RecvHalf for Narrow {
        fn poll_read(
            &mut self,
            cx: &mut Context<'_>,
            _: &mut [Bytes],
        ) -> Poll<Result<usize, Broken>> {
            self.0.lock().unwrap().reader = Some(cx.waker().clone());
            Poll::Pending
        }

        fn stop(&mut self, _: StreamCode) {}
    }

    /// A caller's waker, that tells whether it was woken.
    #[derive(Default)]
    struct Caller(AtomicBool);

    impl std::task::Wake for Caller {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    struct Nothing;

    impl Frames for Nothing {
        fn on_frame(&mut self, _: Header, _: &[u8]) -> Result<(), ReadError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_a_caller_has_begun_the_task_ends() {
        let budget = Budget::new(|_| {});
        let (stream, outbox) = (Narrow::default(), Outbox::new(budget.clone()));
        let shared = Arc::new(SharedPump::new());
        assert!(shared.try_take().is_none(), "there is nothing yet");
        let pump = Pump::new(
            stream.clone(),
            FrameReader::new(stream.clone(), budget),
            Arc::clone(&outbox),
            Nothing,
        );
        let task = spawn({
            let shared = Arc::clone(&shared);
            async move { shared.run(pump).await.0 }
        });
        yield_now().await;
        let sides = || stream.0.lock().unwrap();
        let caller = Arc::new(Caller::default());
        // There is something to read: is it the caller that is woken?
        let wakes_caller = || {
            let reader = sides().reader.take().unwrap();
            reader.wake();
            caller.0.swap(false, Ordering::Relaxed)
        };
        let waker = Waker::from(Arc::clone(&caller));

        // It writes as much as there is room for, and listens.
        sides().room = 10;
        outbox.put(Wake::Never, |out| out.extend_from_slice(&[7; 100]));
        let mut taken = shared.try_take().unwrap();
        assert!(shared.try_take().is_none(), "one at a time");
        taken.poll();
        taken.listen(&mut Context::from_waker(&waker));
        drop(taken);
        assert_eq!(sides().written, 10);
        assert!(wakes_caller());

        // The rest is the task's, which then reads again.
        sides().room = 1000;
        let writer = sides().writer.take().unwrap();
        writer.wake();
        yield_now().await;
        assert_eq!(sides().written, 100);
        assert!(!wakes_caller());

        // So it does when somebody else has something to write.
        let mut taken = shared.try_take().unwrap();
        taken.listen(&mut Context::from_waker(&waker));
        drop(taken);
        assert!(wakes_caller());
        outbox.put(Wake::Now, |out| out.extend_from_slice(&[7; 100]));
        yield_now().await;
        assert_eq!(sides().written, 200);
        assert!(!wakes_caller());

        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(shared.try_take().is_none(), "it is gone with its task");
        assert!(outbox.is_closed());
    }
}
