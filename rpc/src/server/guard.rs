//! What keeps a handler from harming anything but its own call: panics are caught, and the deadline is kept.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::{
    call::{Expiry, Response},
    method::MethodDescriptor,
    status::{Result, Status},
};

/// Runs a handler: not at all after its deadline, not past it, and with its panics caught at each poll.
///
/// # Errors
/// The handler's own, `DEADLINE_EXCEEDED`, or `UNKNOWN` after a panic; and why it is not run at all.
pub(super) fn guarded<F>(handler: Result<(&'static MethodDescriptor, Expiry, F)>) -> Guarded<F> {
    match handler {
        Ok((method, expiry, handler)) => Guarded::Runs {
            method,
            expiry,
            handler,
        },
        Err(status) => Guarded::Refused {
            status: Some(status),
        },
    }
}

pin_project! {
    // By hand, since an `async` block that is given a future keeps it twice: as an argument, and where it is pinned.
    #[project = Projected]
    pub(super) enum Guarded<F> {
        Runs {
            method: &'static MethodDescriptor,
            expiry: Expiry,
            #[pin]
            handler: F,
        },
        Refused { status: Option<Status> },
    }
}

impl<F: Future<Output = Result<Response>>> Future for Guarded<F> {
    type Output = Result<Response>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Projected::Runs {
                method,
                expiry,
                handler,
            } => match catch(method.path, || handler.poll(cx)) {
                Ok(Poll::Ready(output)) => Poll::Ready(output),
                Ok(Poll::Pending) => expiry.poll(cx).map(Err),
                Err(panicked) => Poll::Ready(Err(panicked)),
            },
            Projected::Refused { status } => Poll::Ready(Err(status
                .take()
                .unwrap_or_else(|| Status::internal("a call was polled after its end")))),
        }
    }
}

/// Calls `handler`, which is not used again if it panics; that is what makes it unwind-safe.
///
/// # Errors
/// `UNKNOWN` after a panic. What the panic said goes to the log and not to the peer: it may hold what the peer must not see.
pub(super) fn catch<T>(path: &str, handler: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(handler)).map_err(|payload| {
        let panic = panic_message(&*payload);
        tracing::error!(path, panic, "the handler panicked");
        Status::unknown("the handler panicked")
    })
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    if let Some(message) = payload.downcast_ref::<&str>() {
        message
    } else if let Some(message) = payload.downcast_ref::<String>() {
        message
    } else {
        "(no message)"
    }
}
