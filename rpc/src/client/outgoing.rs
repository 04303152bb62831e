//! The requests of a call, as its client sends them, and what there is to know of them while the answer is waited for.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context as TaskContext, Poll, Waker},
};

use bytes::Bytes;

use crate::{
    call::{Batch, BodyStream, CallError, Encoded},
    status::{Result, Status},
};

/// The requests of a stream, encoded one by one.
///
/// No transport can carry an error in a request stream. So the first one cancels the call, and is kept for the caller.
pub(super) struct Requests<Q: 'static, E> {
    pub(super) stream: Encoded<Q, E>,
    pub(super) path: &'static str,
    pub(super) progress: Arc<Progress>,
}

impl<Q: 'static, E> Unpin for Requests<Q, E> {}

impl<Q: Send + 'static, E: CallError> BodyStream for Requests<Q, E> {
    fn poll_message(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Bytes>>> {
        let this = self.get_mut();
        let polled = this.stream.poll_message(cx);
        this.watch(polled)
    }

    fn poll_batch(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Batch>>> {
        let this = self.get_mut();
        let polled = this.stream.poll_batch(cx);
        this.watch(polled)
    }
}

impl<Q: 'static, E> Requests<Q, E> {
    fn watch<T>(&self, polled: Poll<Option<Result<T>>>) -> Poll<Option<Result<T>>> {
        match polled {
            Poll::Pending => {
                self.progress.waits();
                Poll::Pending
            }
            Poll::Ready(Some(Err(status))) => {
                self.progress.fail(status);
                let status = format!("{}: the request stream failed", self.path);
                Poll::Ready(Some(Err(Status::cancelled(status))))
            }
            ready => ready,
        }
    }
}

/// How the requests of a stream get on, for who waits for the answer to them.
#[derive(Debug, Default)]
pub(super) struct Progress {
    has_waited: AtomicBool,
    news: Mutex<News>,
}

#[derive(Debug, Default)]
struct News {
    /// Why the client itself gave the call up, if it did: the error of its request stream.
    failure: Option<Status>,
    waker: Option<Waker>,
}

impl Progress {
    fn fail(&self, status: Status) {
        self.tell(|news| {
            news.failure.get_or_insert(status);
        });
    }

    /// There is no request for now.
    fn waits(&self) {
        if !self.has_waited() && !self.has_waited.swap(true, Ordering::AcqRel) {
            self.tell(|_| {});
        }
    }

    /// Whether there has been a time without a request to send.
    pub(super) fn has_waited(&self) -> bool {
        self.has_waited.load(Ordering::Acquire)
    }

    /// Why the requests failed, once; of all else that there is to know, whoever asked last is woken.
    pub(super) fn poll_failure(&self, cx: &mut TaskContext<'_>) -> Poll<Status> {
        let mut news = self.lock();
        if let Some(status) = news.failure.take() {
            return Poll::Ready(status);
        }
        if !news
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            news.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    fn tell(&self, change: impl FnOnce(&mut News)) {
        let waker = {
            let mut news = self.lock();
            change(&mut news);
            news.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
