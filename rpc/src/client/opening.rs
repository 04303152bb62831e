//! [`Opening`]: a call that is on its way, and whose answer may come when its caller has gone on already.

use std::{
    future::poll_fn,
    panic::resume_unwind,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use tokio::{runtime::Handle, task::JoinHandle};

use super::{options::ResponseMetadata, outgoing::Progress};
use crate::{
    call::{Request, Response},
    dispatch::{BoxFuture, Dispatch},
    status::{Result, Status},
};

/// A call on its way. Dropped, it is cancelled.
pub(super) enum Opening {
    /// Its caller runs it.
    Here(BoxFuture<'static, Result<Response>>),
    /// A task runs it, so that it gets on whatever its caller does.
    Task(Task),
}

/// Ends with its handle.
pub(super) struct Task(JoinHandle<Result<Response>>);

impl Opening {
    /// Makes the call; the metadata that comes with its answer goes to `capture`.
    pub(super) fn new<C: Dispatch>(
        channel: C,
        request: Request,
        capture: Option<ResponseMetadata>,
    ) -> Self {
        Self::Here(Box::pin(async move {
            let result = channel.dispatch(request).await;
            match capture {
                Some(capture) => capture.take_head(result),
                None => result,
            }
        }))
    }

    /// The answer; `None` as soon as the requests have nothing to send for now. The caller may have to see the call before it has more
    /// to say, and many servers answer nothing before they have heard something.
    ///
    /// # Errors
    /// That of the requests, or the status of the call.
    pub(super) async fn answer(&mut self, progress: &Progress) -> Result<Option<Response>> {
        poll_fn(|cx| {
            let polled = self.poll(cx);
            if let Poll::Ready(status) = progress.poll_failure(cx) {
                return Poll::Ready(Err(status));
            }
            match polled {
                Poll::Ready(result) => Poll::Ready(result.map(Some)),
                Poll::Pending if progress.has_waited() => Poll::Ready(Ok(None)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Goes on while nobody looks, where there is a runtime.
    pub(super) fn detach(self) -> Self {
        match (self, Handle::try_current()) {
            (Self::Here(call), Ok(runtime)) => Self::Task(Task(runtime.spawn(call))),
            (this, _) => this,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<Response>> {
        match self {
            Self::Here(call) => call.as_mut().poll(cx),
            Self::Task(Task(task)) => Poll::Ready(match ready!(Pin::new(task).poll(cx)) {
                Ok(result) => result,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => resume_unwind(panic),
                    Err(_) => Err(Status::unavailable(
                        "the task that carried the call was ended",
                    )),
                },
            }),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
