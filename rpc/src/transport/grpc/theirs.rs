//! [`Theirs`]: what a service beside the router answers, kept to the deadline of its call, and with its panics caught.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tonic::body::Body as TonicBody;

use super::{answer::deadline, shared::Mounted, status};
use crate::{
    call::Method,
    status::{Result, Status},
};

/// Lets a service beside the router answer a call.
///
/// # Errors
/// What the call ends with if there is no answer: a path that no method has, a time-out that is over or cannot be read, a panic.
pub(super) async fn call(
    mounted: &dyn Mounted,
    request: http::Request<TonicBody>,
) -> Result<http::Response<Theirs>> {
    let method = Method::Path(request.uri().path().into());
    if request.uri().query().is_some() {
        return Err(Status::unimplemented(
            "the path of a method has no query: no such method is here",
        )
        .with_not_accepted());
    }
    let deadline = deadline(request.headers(), &method)?;
    let answering = AssertUnwindSafe(mounted.call(request)).catch_unwind();
    let answered = match deadline {
        Some(deadline) => timeout_at(deadline, answering)
            .await
            .map_err(|_| expired())?,
        None => answering.await,
    };
    let response = answered.map_err(|_| panicked())?;
    Ok(response.map(|body| Theirs {
        body: Some(body),
        deadline,
        late: None,
    }))
}

/// The body of an answer that is somebody else's.
pub(super) struct Theirs {
    /// `None` once it was ended in its place.
    body: Option<TonicBody>,
    deadline: Option<Instant>,
    late: Option<Pin<Box<Sleep>>>,
}

impl Theirs {
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        let late = self
            .late
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        late.as_mut().poll(cx)
    }

    /// Ends the body with this status in place of what would have come.
    fn end(&mut self, status: &Status) -> Frame<Bytes> {
        self.body = None;
        let mut trailers = HeaderMap::new();
        status::write(status, &mut trailers);
        Frame::trailers(trailers)
    }
}

impl HttpBody for Theirs {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        let polled = if this.deadline.is_some_and(|at| at <= Instant::now()) {
            // A body that is always ready would never let its timer be seen.
            Ok(Poll::Pending)
        } else {
            catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(cx)))
        };
        let frame = match polled {
            Ok(Poll::Ready(frame)) => return Poll::Ready(frame),
            Ok(Poll::Pending) => {
                ready!(this.poll_late(cx));
                this.end(&expired())
            }
            Err(_) => this.end(&panicked()),
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }
}

fn expired() -> Status {
    Status::deadline_exceeded("not finished within its deadline")
}

fn panicked() -> Status {
    Status::unknown("the server panicked while it handled the call")
}
