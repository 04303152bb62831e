//! [`Tape`]: keeps the first messages of a request stream while it is not certain that the side they go to takes the call, so that
//! the other side can be given all of them.

use std::{
    collections::VecDeque,
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;

use crate::{
    call::{Batch, Body, BodyStream},
    status::{Result, Status},
};

/// How many bytes of the requests of one call are kept at most; the first message is kept whatever its size.
pub const MAX_KEPT_BYTES: usize = 256 * 1024;

/// How many bytes of requests one channel keeps at most, over all its calls. A call for which there is no room is sent once.
pub const MAX_KEPT_TOTAL_BYTES: usize = 32 * 1024 * 1024;

/// What a message takes beside its bytes.
const MESSAGE_BYTES: usize = 64;

/// What keeps the messages of a stream that has begun.
pub(super) struct Tape(Arc<Mutex<Recording>>);

struct Recording {
    phase: Phase,
    kept: Kept,
}

enum Phase {
    /// What is read is kept.
    Kept(Body),
    /// All has been read and kept, to a good end.
    Ended,
    /// The reader takes the body for itself: nothing is kept any more.
    Given(Body),
    /// Too late for anyone.
    Over,
}

impl Tape {
    /// A body that reads `body`, and what keeps what it reads. `total` counts what all tapes keep.
    pub(super) fn record(body: Body, total: &Arc<AtomicUsize>) -> (Body, Self) {
        let recording = Arc::new(Mutex::new(Recording {
            phase: Phase::Kept(body),
            kept: Kept {
                messages: VecDeque::new(),
                bytes: 0,
                total: Arc::clone(total),
            },
        }));
        let reader = Reader {
            own: None,
            recording: Arc::clone(&recording),
        };
        (Body::stream(reader), Self(recording))
    }

    /// The stream from its beginning, where all of what was read is still there. The body that read it reads no more.
    pub(super) fn rewind(self) -> Option<Body> {
        let mut recording = lock(&self.0);
        let rest = match mem::replace(&mut recording.phase, Phase::Over) {
            Phase::Kept(body) => body,
            Phase::Ended => Body::empty(),
            given @ Phase::Given(_) => {
                recording.phase = given;
                return None;
            }
            Phase::Over => return None,
        };
        let messages = recording.kept.take();
        drop(recording);
        Some(Body::stream(Rewound { messages, rest }))
    }

    /// The side has taken the call: nothing needs to be kept.
    pub(super) fn stop(self) {
        let mut recording = lock(&self.0);
        recording.phase = match mem::replace(&mut recording.phase, Phase::Over) {
            Phase::Kept(body) => Phase::Given(body),
            Phase::Ended => Phase::Given(Body::empty()),
            other => other,
        };
        let messages = recording.kept.take();
        drop(recording);
        drop(messages);
    }
}

/// The messages that were read.
struct Kept {
    messages: VecDeque<Bytes>,
    bytes: usize,
    total: Arc<AtomicUsize>,
}

impl Kept {
    /// Whether there was room for it.
    fn keep(&mut self, message: &Bytes) -> bool {
        let bytes = message.len() + MESSAGE_BYTES;
        let fits = self.messages.is_empty() || self.bytes + bytes <= MAX_KEPT_BYTES;
        if !fits {
            return false;
        }
        let total = self.total.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.bytes += bytes;
        self.messages.push_back(message.clone());
        total <= MAX_KEPT_TOTAL_BYTES
    }

    fn take(&mut self) -> VecDeque<Bytes> {
        self.total
            .fetch_sub(mem::take(&mut self.bytes), Ordering::Relaxed);
        mem::take(&mut self.messages)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.take();
    }
}

struct Reader {
    /// The body, when nothing is kept any more.
    own: Option<Body>,
    recording: Arc<Mutex<Recording>>,
}

impl BodyStream for Reader {
    fn poll_message(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let this = self.get_mut();
        if let Some(body) = &mut this.own {
            return body.poll_next(cx);
        }
        let mut recording = lock(&this.recording);
        let Recording { phase, kept } = &mut *recording;
        let body = match phase {
            Phase::Kept(body) => body,
            Phase::Ended => return Poll::Ready(None),
            Phase::Given(body) => {
                let body = mem::replace(body, Body::empty());
                *phase = Phase::Over;
                drop(recording);
                return this.own.insert(body).poll_next(cx);
            }
            Phase::Over => {
                return Poll::Ready(Some(Err(Status::cancelled(
                    "the call goes on over another transport",
                ))));
            }
        };
        let polled = body.poll_next(cx);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(message))) => {
                if !kept.keep(message)
                    && let Phase::Kept(body) = mem::replace(phase, Phase::Over)
                {
                    this.own = Some(body);
                    kept.take();
                }
            }
            // The call is over, whoever carries it.
            Poll::Ready(Some(Err(_))) => {
                *phase = Phase::Over;
                kept.take();
            }
            Poll::Ready(None) => *phase = Phase::Ended,
        }
        polled
    }

    fn poll_batch(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        if let Some(body) = &mut self.own {
            return body.poll_batch(cx);
        }
        // What may come again is kept one by one.
        self.poll_message(cx)
            .map(|message| message.map(|message| message.map(Batch::one)))
    }
}

/// What was read, and then the rest.
struct Rewound {
    messages: VecDeque<Bytes>,
    rest: Body,
}

impl BodyStream for Rewound {
    fn poll_message(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let this = self.get_mut();
        match this.messages.pop_front() {
            Some(message) => Poll::Ready(Some(Ok(message))),
            None => this.rest.poll_next(cx),
        }
    }

    fn poll_batch(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        let this = self.get_mut();
        match this.messages.pop_front() {
            Some(message) => Poll::Ready(Some(Ok(Batch::one(message)))),
            None => this.rest.poll_batch(cx),
        }
    }
}

fn lock(recording: &Mutex<Recording>) -> MutexGuard<'_, Recording> {
    recording.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// A request stream of these messages, `!` an error.
    struct Messages(VecDeque<Bytes>);

    impl BodyStream for Messages {
        fn poll_message(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
            Poll::Ready(self.get_mut().0.pop_front().map(|message| {
                if message == "!" {
                    return Err(Status::aborted("as asked"));
                }
                Ok(message)
            }))
        }
    }

    fn record(messages: &[Bytes]) -> (Body, Tape, Arc<AtomicUsize>) {
        let total = Arc::default();
        let body = Body::stream(Messages(messages.iter().cloned().collect()));
        let (body, tape) = Tape::record(body, &total);
        (body, tape, total)
    }

    fn texts(texts: &[&'static str]) -> Vec<Bytes> {
        texts
            .iter()
            .map(|text| Bytes::from_static(text.as_bytes()))
            .collect()
    }

    async fn rest(body: &mut Body) -> Vec<Bytes> {
        let mut all = Vec::new();
        while let Some(message) = body.next().await {
            all.push(message.unwrap());
        }
        all
    }

    #[tokio::test]
    async fn all_comes_again_however_much_was_read() {
        let messages = texts(&["a", "b", "c"]);
        for read in 0..=4 {
            let (mut first, tape, total) = record(&messages);
            for message in messages.iter().map(Some).chain([None]).take(read) {
                assert_eq!(first.next().await.transpose().unwrap().as_ref(), message);
            }
            let mut second = tape.rewind().expect("all is kept");
            assert_eq!(rest(&mut second).await, messages, "{read}");
            assert_eq!(total.load(Ordering::Relaxed), 0);
            if read < 4 {
                let status = first.next().await.unwrap().unwrap_err();
                assert_eq!(status.code(), crate::Code::Cancelled);
            }
        }
    }

    #[tokio::test]
    async fn a_call_that_was_taken_keeps_nothing_and_reads_on() {
        let messages = texts(&["a", "b", "c"]);
        let (mut body, tape, total) = record(&messages);
        body.next().await.unwrap().unwrap();
        assert!(total.load(Ordering::Relaxed) > 0);
        tape.stop();
        assert_eq!(total.load(Ordering::Relaxed), 0);
        assert_eq!(rest(&mut body).await, messages[1..]);
    }

    #[tokio::test]
    async fn what_comes_together_goes_on_so_when_nothing_is_kept() {
        /// Batches of two messages.
        struct Pairs;

        impl BodyStream for Pairs {
            fn poll_message(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<Option<Result<Bytes>>> {
                Poll::Ready(Some(Ok(Bytes::from_static(b"alone"))))
            }

            fn poll_batch(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<Option<Result<Batch>>> {
                Poll::Ready(Some(Ok(Batch::written(Bytes::from_static(&[1, 7, 0])))))
            }
        }

        async fn together(body: &mut Body) -> usize {
            let batch = poll_fn(|cx| body.poll_batch(cx)).await;
            batch.unwrap().unwrap().count()
        }

        let (mut body, tape) = Tape::record(Body::stream(Pairs), &Arc::default());
        assert_eq!(together(&mut body).await, 1);
        assert_eq!(together(&mut body).await, 1);
        let mut again = tape.rewind().unwrap();
        let counts = [
            together(&mut again).await,
            together(&mut again).await,
            together(&mut again).await,
        ];
        assert_eq!(counts, [1, 1, 2]);

        let (mut body, tape) = Tape::record(Body::stream(Pairs), &Arc::default());
        tape.stop();
        assert_eq!(together(&mut body).await, 1, "it learns of it");
        assert_eq!(together(&mut body).await, 2);
    }

    #[tokio::test]
    async fn a_long_stream_is_not_kept_and_a_long_message_is() {
        let long = Bytes::from(vec![0; MAX_KEPT_BYTES]);
        let (mut body, tape, total) = record(&[long.clone(), "b".into(), "c".into()]);
        assert_eq!(body.next().await.unwrap().unwrap(), long);
        assert!(total.load(Ordering::Relaxed) >= MAX_KEPT_BYTES);
        assert_eq!(body.next().await.unwrap().unwrap(), "b");
        assert_eq!(total.load(Ordering::Relaxed), 0);
        assert!(tape.rewind().is_none());
        assert_eq!(rest(&mut body).await, ["c"], "it goes on where it was");
    }

    #[tokio::test]
    async fn all_calls_together_keep_so_much_and_no_more() {
        let (mut body, tape, total) = record(&texts(&["a", "b"]));
        total.store(MAX_KEPT_TOTAL_BYTES, Ordering::Relaxed);
        body.next().await.unwrap().unwrap();
        assert_eq!(total.load(Ordering::Relaxed), MAX_KEPT_TOTAL_BYTES);
        assert!(tape.rewind().is_none());
        assert_eq!(rest(&mut body).await, ["b"]);
    }

    #[tokio::test]
    async fn a_stream_that_failed_does_not_come_again() {
        let (mut body, tape, total) = record(&texts(&["a", "!"]));
        body.next().await.unwrap().unwrap();
        body.next().await.unwrap().unwrap_err();
        assert!(tape.rewind().is_none());
        assert_eq!(total.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn whoever_waits_for_the_second_is_woken() {
        let (sender, stream) = crate::Streaming::<String>::channel(1);
        drop(stream);
        drop(sender);
        struct Once(Option<std::task::Waker>, bool);
        impl BodyStream for Arc<Mutex<Once>> {
            fn poll_message(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<Option<Result<Bytes>>> {
                let mut once = self.get_mut().lock().unwrap();
                if once.1 {
                    return Poll::Ready(None);
                }
                once.0 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
        let source = Arc::new(Mutex::new(Once(None, false)));
        let (mut first, tape) = Tape::record(Body::stream(Arc::clone(&source)), &Arc::default());
        poll_fn(|cx| Poll::Ready(first.poll_next(cx).is_pending())).await;
        let mut second = tape.rewind().unwrap();
        let end = tokio::spawn(async move { second.next().await.is_none() });
        tokio::task::yield_now().await;
        {
            let mut once = source.lock().unwrap();
            once.1 = true;
            once.0.take().unwrap().wake();
        }
        assert!(end.await.unwrap());
    }
}
