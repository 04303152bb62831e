//! [`Deadline`]: a deadline for calls that have none, and a longest one for all.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use super::layer::as_inner;
use crate::{
    call::{Batch, Body, BodyStream, Expiry, Request, Response, Side},
    dispatch::{Dispatch, Layer},
    metadata::Metadata,
    status::Result,
};

/// Gives calls without a deadline one, and shortens those that are longer than allowed. It is enforced here too, over streams
/// to their end. Small messages of a stream that come together are in time together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deadline {
    default: Option<Duration>,
    longest: Option<Duration>,
}

impl Deadline {
    /// The deadline of calls that have none.
    #[must_use]
    pub const fn default_of(after: Duration) -> Self {
        Self {
            default: Some(after),
            longest: None,
        }
    }

    /// No call lasts longer than this, whatever its deadline, or without one.
    #[must_use]
    pub const fn at_most(longest: Duration) -> Self {
        Self {
            default: None,
            longest: Some(longest),
        }
    }

    /// The same, and no call lasts longer than this.
    #[must_use]
    pub const fn and_at_most(mut self, longest: Duration) -> Self {
        self.longest = Some(longest);
        self
    }

    fn of(&self, deadline: Option<Instant>) -> Option<Instant> {
        let after = |duration| Instant::now().checked_add(duration);
        let deadline = deadline.or_else(|| self.default.and_then(after));
        let latest = self.longest.and_then(after);
        match (deadline, latest) {
            (Some(deadline), Some(latest)) => Some(deadline.min(latest)),
            (deadline, latest) => deadline.or(latest),
        }
    }
}

impl Layer for Deadline {
    type Dispatch<D: Dispatch> = Deadlined<D>;

    fn layer<D: Dispatch>(&self, inner: D) -> Deadlined<D> {
        Deadlined {
            inner,
            deadline: *self,
        }
    }
}

/// A dispatch whose calls have deadlines: see [`Deadline`].
#[derive(Clone, Debug)]
pub struct Deadlined<D> {
    inner: D,
    deadline: Deadline,
}

impl<D: Dispatch> Dispatch for Deadlined<D> {
    async fn dispatch(&self, mut request: Request) -> Result<Response> {
        let deadline = self.deadline.of(request.deadline);
        if deadline == request.deadline {
            // Who gave the call its deadline enforces it.
            return self.inner.dispatch(request).await;
        }
        request.deadline = deadline;
        let mut expiry = Expiry::new(request.method.clone(), Side::Client, deadline, None)?;
        let mut response = expiry.run(pin!(self.inner.dispatch(request))).await?;
        if response.body.is_stream() {
            response.body = Body::stream(Expiring {
                body: response.body,
                expiry,
            });
        }
        Ok(response)
    }

    as_inner!();
}

struct Expiring {
    body: Body,
    expiry: Expiry,
}

impl Expiring {
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Body, &mut Context<'_>) -> Poll<Option<Result<T>>>,
    ) -> Poll<Option<Result<T>>> {
        let Self { body, expiry } = self;
        if let Some(status) = expiry.check() {
            return Poll::Ready(Some(Err(status)));
        }
        match poll(body, cx) {
            Poll::Pending => expiry.poll(cx).map(|status| Some(Err(status))),
            ready @ Poll::Ready(_) => ready,
        }
    }
}

impl BodyStream for Expiring {
    fn poll_message(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        self.get_mut().poll(cx, Body::poll_next)
    }

    fn poll_batch(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        self.get_mut().poll(cx, Body::poll_batch)
    }

    fn trailers(mut self: Pin<&mut Self>) -> Metadata {
        self.body.take_trailers()
    }
}
