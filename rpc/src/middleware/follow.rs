//! [`Follow`]: a call seen to its end, whatever its shape: its future, then its response stream. What is done at the end is the
//! business of who follows.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::time::Instant;

use crate::{
    call::{Batch, Body, BodyStream, Response},
    code::Code,
    metadata::Metadata,
    status::Result,
};

/// Who follows a call to its end.
pub(super) trait Follow: Send + Unpin + 'static {
    /// Runs one step of the call.
    fn step<T>(&self, step: impl FnOnce() -> T) -> T {
        step()
    }

    /// A message of the response, of so many bytes.
    fn message(&self, bytes: usize) {
        let _ = bytes;
    }

    /// The end of the call, once: also if it is dropped.
    fn end(&mut self, code: Code);
}

/// Lets `follower` see `call`, and the response stream that comes of it, to the end.
///
/// # Errors
/// Those of `call`.
pub(super) async fn follow<F: Follow>(
    follower: F,
    deadline: Option<Instant>,
    mut call: Pin<&mut impl Future<Output = Result<Response>>>,
) -> Result<Response> {
    let mut guard = Guard {
        follower: Some(follower),
        deadline,
    };
    let result = poll_fn(|cx| guard.step(|| call.as_mut().poll(cx))).await;
    let mut response = match result {
        Ok(response) => response,
        Err(status) => {
            guard.end(status.code());
            return Err(status);
        }
    };
    if response.body.is_stream() {
        response.body = Body::stream(Followed {
            body: response.body,
            guard,
        });
    } else {
        if let Some(message) = response.body.as_one() {
            guard.message(message.len());
        }
        guard.end(Code::Ok);
    }
    Ok(response)
}

/// A body of which each message is counted as it passes.
pub(super) fn count(body: Body, counted: impl Fn(usize) + Send + Unpin + 'static) -> Body {
    if let Some(message) = body.as_one() {
        counted(message.len());
    }
    if body.is_stream() {
        Body::stream(Counted { body, counted })
    } else {
        body
    }
}

/// Ends the call for its follower when it is dropped, if it has not ended before.
struct Guard<F: Follow> {
    /// `None` after the end.
    follower: Option<F>,
    deadline: Option<Instant>,
}

impl<F: Follow> Guard<F> {
    fn step<T>(&self, step: impl FnOnce() -> T) -> T {
        match &self.follower {
            Some(follower) => follower.step(step),
            None => step(),
        }
    }

    fn message(&self, bytes: usize) {
        if let Some(follower) = &self.follower {
            follower.message(bytes);
        }
    }

    fn end(&mut self, code: Code) {
        if let Some(mut follower) = self.follower.take() {
            follower.end(code);
        }
    }
}

impl<F: Follow> Drop for Guard<F> {
    fn drop(&mut self) {
        if self.follower.is_some() {
            // A caller whose deadline has passed drops the call, as one does that lost interest: they are told apart here.
            let late = self
                .deadline
                .is_some_and(|deadline| deadline <= Instant::now());
            self.end(if late {
                Code::DeadlineExceeded
            } else {
                Code::Cancelled
            });
        }
    }
}

struct Followed<F: Follow> {
    // Before the guard: the stream is dropped before its end is noted.
    body: Body,
    guard: Guard<F>,
}

impl<F: Follow> BodyStream for Followed<F> {
    fn poll_message(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        self.get_mut().poll(
            |body| body.poll_next(cx),
            |message, guard| guard.message(message.len()),
        )
    }

    fn poll_batch(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        self.get_mut().poll(
            |body| body.poll_batch(cx),
            |batch, guard| batch.lengths().for_each(|bytes| guard.message(bytes)),
        )
    }

    fn trailers(mut self: Pin<&mut Self>) -> Metadata {
        self.body.take_trailers()
    }
}

impl<F: Follow> Followed<F> {
    fn poll<T>(
        &mut self,
        poll: impl FnOnce(&mut Body) -> Poll<Option<Result<T>>>,
        count: impl FnOnce(&T, &Guard<F>),
    ) -> Poll<Option<Result<T>>> {
        let Self { body, guard } = self;
        let polled = guard.step(|| poll(body));
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(messages))) => count(messages, guard),
            Poll::Ready(Some(Err(status))) => guard.end(status.code()),
            Poll::Ready(None) => guard.end(Code::Ok),
        }
        polled
    }
}

struct Counted<F> {
    body: Body,
    counted: F,
}

impl<F: Fn(usize) + Send + Unpin> BodyStream for Counted<F> {
    fn poll_message(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let Self { body, counted } = self.get_mut();
        let polled = body.poll_next(cx);
        if let Poll::Ready(Some(Ok(message))) = &polled {
            counted(message.len());
        }
        polled
    }

    fn poll_batch(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        let Self { body, counted } = self.get_mut();
        let polled = body.poll_batch(cx);
        if let Poll::Ready(Some(Ok(batch))) = &polled {
            batch.lengths().for_each(counted);
        }
        polled
    }

    fn trailers(mut self: Pin<&mut Self>) -> Metadata {
        self.body.take_trailers()
    }
}
