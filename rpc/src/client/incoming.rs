//! The responses of a call, as its client reads them: with what may end them early.

use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
};

use bytes::Bytes;

use super::{opening::Opening, options::ResponseMetadata, outgoing::Progress};
use crate::{
    call::{Batch, Body, BodyStream, Expiry},
    metadata::Metadata,
    status::{Result, Status},
};

/// The responses of a stream, with what may end them early on this side.
pub(super) struct Responses {
    /// The call, while it has no answer yet.
    pub(super) opening: Option<Opening>,
    pub(super) body: Body,
    /// What came together, while each message has to be in time.
    pub(super) batch: Batch,
    pub(super) expiry: Expiry,
    pub(super) progress: Option<Arc<Progress>>,
    pub(super) capture: Option<ResponseMetadata>,
}

impl BodyStream for Responses {
    fn poll_message(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Bytes>>> {
        self.get_mut()
            .poll_captured(cx, |body, batch, cx| match batch.next() {
                Some(message) => Poll::Ready(Some(Ok(message))),
                None => body.poll_next(cx),
            })
    }

    fn poll_batch(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Batch>>> {
        let this = self.get_mut();
        if this.expiry.is_never() {
            return this.poll_captured(cx, |body, _, cx| body.poll_batch(cx));
        }
        // One by one: the reader may take its time for each, and that is the call's too.
        this.poll_captured(cx, |body, batch, cx| {
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
    fn poll_captured<T>(
        &mut self,
        cx: &mut TaskContext<'_>,
        poll: impl FnOnce(&mut Body, &mut Batch, &mut TaskContext<'_>) -> Poll<Option<Result<T>>>,
    ) -> Poll<Option<Result<T>>> {
        let polled = self.poll_watched(cx, poll);
        if let Poll::Ready(Some(Err(status))) = &polled
            && let Some(capture) = &self.capture
        {
            capture.set_trailers(status.metadata().clone());
        }
        polled
    }

    fn poll_watched<T>(
        &mut self,
        cx: &mut TaskContext<'_>,
        poll: impl FnOnce(&mut Body, &mut Batch, &mut TaskContext<'_>) -> Poll<Option<Result<T>>>,
    ) -> Poll<Option<Result<T>>> {
        // A stream that is always ready would never let a timer be seen.
        if let Some(status) = self.expiry.check() {
            return self.end(status);
        }
        let polled = self.poll_body(cx, poll);
        // Asked after the body: in memory, it is the body that polls the requests. It may have learnt of the failure too, and
        // then says no more than that the call was cancelled.
        if let Some(progress) = &self.progress
            && !matches!(polled, Poll::Ready(Some(Ok(_))))
            && let Poll::Ready(status) = progress.poll_failure(cx)
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

    fn poll_body<T>(
        &mut self,
        cx: &mut TaskContext<'_>,
        poll: impl FnOnce(&mut Body, &mut Batch, &mut TaskContext<'_>) -> Poll<Option<Result<T>>>,
    ) -> Poll<Option<Result<T>>> {
        if let Some(opening) = &mut self.opening {
            let answer = ready!(opening.poll(cx));
            self.opening = None;
            match answer {
                Ok(response) => self.body = response.body,
                Err(status) => return Poll::Ready(Some(Err(status))),
            }
        }
        poll(&mut self.body, &mut self.batch, cx)
    }

    /// Dropping the call, or its body, cancels it.
    fn end<T>(&mut self, status: Status) -> Poll<Option<Result<T>>> {
        self.opening = None;
        drop(mem::replace(&mut self.body, Body::empty()));
        self.batch = Batch::EMPTY;
        Poll::Ready(Some(Err(status)))
    }
}
