//! [`Encoded`]: a stream of typed messages, encoded.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use tokio::task::coop::poll_proceed;

use super::{Batch, CallError, Codec, Coding, Streaming, encode::SMALL_BYTES};
use crate::{
    status::{Result, Status},
    wire::limits::{BATCH_BYTES, MAX_LENGTH_PREFIX_BYTES},
};

/// A batch with so many bytes is full: what is added at once still fits.
const FULL_BYTES: usize = BATCH_BYTES - ITEMS_PER_UNIT * (SMALL_BYTES + MAX_LENGTH_PREFIX_BYTES);

/// How many items of a batch are taken for one unit of the task's budget, which the runtime means for one. Then the clock is asked.
const ITEMS_PER_UNIT: usize = 8;

/// A batch that has taken as long is handed on as it is, and then it is another task's turn: its items are dear to make.
const DEAR: Duration = Duration::from_millis(1);

/// More units than the runtime gives a task for one turn.
const BUDGET_UNITS: usize = 1024;

/// The items of a stream, encoded one by one, or as many together as are ready.
pub(crate) struct Encoded<T: 'static, E> {
    stream: Streaming<T, E>,
    coding: &'static Coding<T>,
    codec: Codec,
    limit_bytes: usize,
    path: &'static str,
    /// The next batch while it is made, and how much of it is whole.
    batch: BytesMut,
    whole_bytes: usize,
    /// What came when there was a batch to be handed on first.
    next: Option<Option<Result<Bytes>>>,
    /// How many items are taken before the clock is asked: one while they are dear, or while it is not known, then ever more.
    items_per_unit: usize,
    /// Whether others have a turn before the next item.
    yields: bool,
}

impl<T: 'static, E: CallError> Encoded<T, E> {
    pub(crate) fn new(
        stream: Streaming<T, E>,
        coding: &'static Coding<T>,
        codec: Codec,
        limit_bytes: usize,
        path: &'static str,
    ) -> Self {
        Self {
            stream,
            coding,
            codec,
            limit_bytes,
            path,
            batch: BytesMut::new(),
            whole_bytes: 0,
            next: None,
            items_per_unit: 1,
            yields: false,
        }
    }

    /// The next message; nothing is taken from the stream before it is asked for.
    pub(crate) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if let Some(next) = self.next.take() {
            return Poll::Ready(next);
        }
        // Whoever sends a stream that is always ready lets others run, and can be cancelled.
        let turn = ready!(poll_proceed(cx));
        let item = ready!(Pin::new(&mut self.stream).poll_next(cx));
        turn.made_progress();
        Poll::Ready(item.map(|item| {
            let item = item.map_err(Into::into)?;
            self.coding
                .encode_owned(item, self.codec, self.limit_bytes, self.path)
        }))
    }

    /// The messages that are ready together, as long as they are small.
    ///
    /// # Panics
    /// When the stream or an encoder does; [`fail`](Self::fail) keeps what came before.
    pub(crate) fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        if let Some(next) = self.next.take() {
            return Poll::Ready(next.map(|message| message.map(Batch::one)));
        }
        if mem::take(&mut self.yields) {
            end_turn(cx);
            return Poll::Pending;
        }
        let mut begin = (self.items_per_unit == 1).then(Instant::now);
        while self.whole_bytes < FULL_BYTES {
            let Poll::Ready(turn) = poll_proceed(cx) else {
                break;
            };
            for _ in 0..self.items_per_unit {
                let Poll::Ready(item) = Pin::new(&mut self.stream).poll_next(cx) else {
                    return self.end_pending();
                };
                turn.made_progress();
                match self.append(item) {
                    Some(Ok(None)) => self.whole_bytes = self.batch.len(),
                    Some(Ok(Some(large))) => return self.end_batch(Some(Ok(large))),
                    Some(Err(status)) => return self.end_batch(Some(Err(status))),
                    None => return self.end_batch(None),
                }
            }
            if begin.get_or_insert_with(Instant::now).elapsed() > DEAR {
                (self.yields, self.items_per_unit) = (true, 1);
                break;
            }
            self.items_per_unit = ITEMS_PER_UNIT.min(2 * self.items_per_unit);
        }
        self.end_pending()
    }

    /// Appends an item to the batch; answers what is no small message.
    fn append(&mut self, item: Option<Result<T, E>>) -> Option<Result<Option<Bytes>>> {
        Some(item?.map_err(Into::into).and_then(|item| {
            let Self { codec, path, .. } = *self;
            let (limit_bytes, batch) = (self.limit_bytes, &mut self.batch);
            self.coding.append(&item, codec, limit_bytes, path, batch)
        }))
    }

    /// Ends the messages with this status, behind those that are ready.
    pub(crate) fn fail(&mut self, status: Status) -> Poll<Option<Result<Batch>>> {
        self.batch.truncate(self.whole_bytes);
        self.end_batch(Some(Err(status)))
    }

    fn end_pending(&mut self) -> Poll<Option<Result<Batch>>> {
        if self.whole_bytes == 0 {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(self.take_batch())))
    }

    fn end_batch(&mut self, next: Option<Result<Bytes>>) -> Poll<Option<Result<Batch>>> {
        if self.whole_bytes == 0 {
            return Poll::Ready(next.map(|message| message.map(Batch::one)));
        }
        self.next = Some(next);
        Poll::Ready(Some(Ok(self.take_batch())))
    }

    fn take_batch(&mut self) -> Batch {
        self.whole_bytes = 0;
        Batch::written(self.batch.split().freeze())
    }
}

/// Ends the task's turn: also for whoever asks again before it has returned, as a writer does that has more to do.
fn end_turn(cx: &mut Context<'_>) {
    for _ in 0..BUDGET_UNITS {
        match poll_proceed(cx) {
            Poll::Ready(turn) => turn.made_progress(),
            // The task is woken when the runtime has seen to timers and sockets, too.
            Poll::Pending => return,
        }
    }
    // Without a runtime there is no end of it.
    cx.waker().wake_by_ref();
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Waker, thread::sleep};

    use super::*;

    type Items = Vec<Result<Bytes>>;

    fn encoded(
        items: impl Iterator<Item = Result<Bytes>> + Send + 'static,
    ) -> Encoded<Bytes, Status> {
        let stream = Streaming::new(futures_util::stream::iter(items));
        Encoded::new(stream, Coding::OF, Codec::Postcard, 100_000, "/a/B")
    }

    fn small() -> Result<Bytes> {
        Ok(Bytes::from_static(b"small"))
    }

    /// What comes until the end, each batch as the lengths of its messages, an error as its text.
    async fn batches(mut stream: Encoded<Bytes, Status>) -> Vec<String> {
        let mut batches = Vec::new();
        while let Some(batch) = poll_fn(|cx| stream.poll_batch(cx)).await {
            batches.push(match batch {
                Ok(batch) => format!("{:?}", batch.lengths().collect::<Vec<_>>()),
                Err(status) => status.message().to_owned(),
            });
        }
        batches
    }

    #[tokio::test]
    async fn what_is_ready_goes_together_and_in_order() {
        let large = || Ok(Bytes::from(vec![7; 50_000]));
        let items: Items = vec![small(), small(), large(), large(), small()];
        assert_eq!(
            batches(encoded(items.into_iter())).await,
            ["[5, 5]", "[50000]", "[50000]", "[5]"]
        );
        assert_eq!(batches(encoded(Items::new().into_iter())).await, [""; 0]);
    }

    #[tokio::test]
    async fn what_comes_before_an_error_is_not_lost() {
        let failed = Err(Status::internal("failed"));
        let items: Items = vec![small(), failed];
        assert_eq!(batches(encoded(items.into_iter())).await, ["[5]", "failed"]);
        let items: Items = vec![small(), Ok(Bytes::from(vec![7; 100_001]))];
        let batches = batches(encoded(items.into_iter())).await;
        assert_eq!(batches[0], "[5]");
        assert!(batches[1].contains("over the limit"), "{batches:?}");
    }

    #[tokio::test]
    async fn a_batch_has_its_limit() {
        let items = std::iter::repeat_with(|| Ok(Bytes::from(vec![7; SMALL_BYTES - 1]))).take(100);
        let mut stream = encoded(items);
        let mut count = 0;
        while let Some(batch) = poll_fn(|cx| stream.poll_batch(cx)).await {
            let batch = batch.unwrap();
            assert!(batch.as_many().unwrap().len() <= BATCH_BYTES);
            count += batch.count();
        }
        assert_eq!(count, 100);
    }

    #[test]
    fn items_that_are_dear_to_make_go_at_once_and_let_others_run() {
        let mut made = 0;
        let items = std::iter::repeat_with(move || {
            made += 1;
            // After many that are cheap.
            if made > 10_000 {
                sleep(2 * DEAR);
            }
            small()
        });
        let mut stream = encoded(items);
        let cx = &mut Context::from_waker(Waker::noop());
        let mut cheap = 10_000_isize;
        let mut next = |cheap: &mut isize| loop {
            if let Poll::Ready(Some(Ok(batch))) = stream.poll_batch(cx) {
                let count = batch.count();
                *cheap -= isize::try_from(count).unwrap();
                return count;
            }
        };
        while cheap > 0 {
            next(&mut cheap);
        }
        assert!(cheap > -(ITEMS_PER_UNIT as isize), "{cheap}: seen at once");
        for _ in 0..3 {
            assert_eq!(next(&mut cheap), 1);
        }
    }

    #[tokio::test]
    async fn whoever_asks_twice_before_others_ran_is_not_served_before_them() {
        let mut stream = encoded(std::iter::repeat_with(|| {
            sleep(2 * DEAR);
            small()
        }));
        for _ in 0..3 {
            // As a writer does: it flushes what it has when nothing is ready, and asks again.
            poll_fn(|cx| {
                assert!(stream.poll_batch(cx).is_ready());
                assert!(stream.poll_batch(cx).is_pending());
                assert!(stream.poll_batch(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_panic_loses_nothing_that_came_before() {
        let items = [small(), small()].into_iter().chain(std::iter::from_fn(|| {
            std::panic::panic_any("the stream panicked");
        }));
        let mut stream = encoded(items);
        let next = poll_fn(|cx| {
            let polled = std::panic::AssertUnwindSafe(|| stream.poll_batch(cx));
            std::panic::catch_unwind(polled)
                .unwrap_or_else(|_| stream.fail(Status::unknown("panicked")))
        });
        assert_eq!(next.await.unwrap().unwrap().count(), 2);
        let end = poll_fn(|cx| stream.poll_batch(cx)).await.unwrap();
        assert_eq!(end.unwrap_err().message(), "panicked");
    }
}
