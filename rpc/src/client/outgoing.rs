//! The two bodies of a call as its client keeps them: requests being encoded, responses being watched.

use std::{
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context as TaskContext, Poll, Waker, ready},
};

use bytes::Bytes;

use super::options::ResponseMetadata;
use crate::{
    call::{Batch, Body, BodyStream, CallError, Encoded, Expiry},
    metadata::Metadata,
    status::{Result, Status},
};

/// The requests of a stream, encoded one by one.
///
/// No transport can carry an error in a request stream. So the first one cancels the call, and is kept for the caller.
pub(super) struct Requests<Q: 'static, E> {
    pub(super) stream: Encoded<Q, E>,
    pub(super) path: &'static str,
    pub(super) failure: Arc<Failure>,
}

impl<Q: 'static, E> Unpin for Requests<Q, E> {}

impl<Q: Send + 'static, E: CallError> BodyStream for Requests<Q, E> {
    fn poll_message(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Bytes>>> {
        let this = self.get_mut();
        let message = ready!(this.stream.poll_message(cx));
        Poll::Ready(message.map(|message| message.map_err(|status| this.fail(status))))
    }

    fn poll_batch(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Batch>>> {
        let this = self.get_mut();
        let batch = ready!(this.stream.poll_batch(cx));
        Poll::Ready(batch.map(|batch| batch.map_err(|status| this.fail(status))))
    }
}

impl<Q: 'static, E> Requests<Q, E> {
    fn fail(&self, status: Status) -> Status {
        self.failure.set(status);
        Status::cancelled(format!("{}: the request stream failed", self.path))
    }
}

/// Why the client itself gave the call up, if it did: the error of its request stream.
#[derive(Debug, Default)]
pub(super) struct Failure(Mutex<Cause>);

#[derive(Debug, Default)]
struct Cause {
    status: Option<Status>,
    waker: Option<Waker>,
}

impl Failure {
    fn set(&self, status: Status) {
        let waker = {
            let mut cause = self.lock();
            cause.status.get_or_insert(status);
            cause.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The status, once; until there is one, whoever asked last is woken.
    pub(super) fn poll(&self, cx: &mut TaskContext<'_>) -> Poll<Status> {
        let mut cause = self.lock();
        if let Some(status) = cause.status.take() {
            return Poll::Ready(status);
        }
        if !cause
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            cause.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Cause> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The responses of a stream, with what may end them early on this side.
pub(super) struct Responses {
    body: Body,
    /// What came together, while each message has to be in time.
    batch: Batch,
    expiry: Expiry,
    failure: Option<Arc<Failure>>,
    capture: Option<ResponseMetadata>,
}

impl BodyStream for Responses {
    fn poll_message(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Bytes>>> {
        self.get_mut()
            .poll(cx, |body, batch, cx| match batch.next() {
                Some(message) => Poll::Ready(Some(Ok(message))),
                None => body.poll_next(cx),
            })
    }

    fn poll_batch(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Batch>>> {
        let this = self.get_mut();
        if this.expiry.is_never() {
            return this.poll(cx, |body, _, cx| body.poll_batch(cx));
        }
        // One by one: the reader may take its time for each, and that is the call's too.
        this.poll(cx, |body, batch, cx| {
            loop {
                if let Some(message) = batch.next() {
                    return Poll::Ready(Some(Ok(Batch::one(message))));
                }
                match ready!(body.poll_batch(cx)) {
                    Some(Ok(messages)) => *batch = messages,
                    Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                    None => return Poll::Ready(None),
                }
            }
        })
    }

    fn trailers(self: Pin<&mut Self>) -> Metadata {
        let this = self.get_mut();
        let trailers = this.body.take_trailers();
        if let Some(capture) = &this.capture {
            capture.set_trailers(trailers.clone());
        }
        trailers
    }
}

impl Responses {
    pub(super) const fn new(
        body: Body,
        expiry: Expiry,
        failure: Option<Arc<Failure>>,
        capture: Option<ResponseMetadata>,
    ) -> Self {
        Self {
            body,
            batch: Batch::EMPTY,
            expiry,
            failure,
            capture,
        }
    }

    fn poll<T>(
        &mut self,
        cx: &mut TaskContext<'_>,
        poll: impl FnOnce(&mut Body, &mut Batch, &mut TaskContext<'_>) -> Poll<Option<Result<T>>>,
    ) -> Poll<Option<Result<T>>> {
        let polled = self.poll_in_time(cx, poll);
        if let Poll::Ready(Some(Err(status))) = &polled
            && let Some(capture) = &self.capture
        {
            capture.set_trailers(status.metadata().clone());
        }
        polled
    }

    fn poll_in_time<T>(
        &mut self,
        cx: &mut TaskContext<'_>,
        poll: impl FnOnce(&mut Body, &mut Batch, &mut TaskContext<'_>) -> Poll<Option<Result<T>>>,
    ) -> Poll<Option<Result<T>>> {
        // A stream that is always ready would never let a timer be seen.
        if let Some(status) = self.expiry.check() {
            return self.end(status);
        }
        let polled = poll(&mut self.body, &mut self.batch, cx);
        // Asked after the body: in memory, it is the body that polls the requests. It may have learnt of the failure too, and
        // then says no more than that the call was cancelled.
        if let Some(failure) = &self.failure
            && !matches!(polled, Poll::Ready(Some(Ok(_))))
            && let Poll::Ready(status) = failure.poll(cx)
        {
            return self.end(status);
        }
        if polled.is_pending()
            && let Poll::Ready(status) = self.expiry.poll(cx)
        {
            return self.end(status);
        }
        polled
    }

    /// Dropping the body cancels the call.
    fn end<T>(&mut self, status: Status) -> Poll<Option<Result<T>>> {
        drop(mem::replace(&mut self.body, Body::empty()));
        self.batch = Batch::EMPTY;
        Poll::Ready(Some(Err(status)))
    }
}
