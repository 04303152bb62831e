//! What keeps a handler from harming anything but its own call: panics are caught, and the deadline is kept.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

use tokio::time::Instant;

use crate::{
    call::{Expiry, Method, Response, Side},
    method::MethodDescriptor,
    status::{Result, Status},
};

/// Runs what `handler` makes: not at all after its deadline, not past it, and with its panics caught at each poll.
///
/// The future is made here since one that is handed in would be kept twice: as an argument, and where it is pinned.
///
/// # Errors
/// The handler's own, `DEADLINE_EXCEEDED`, or `UNKNOWN` after a panic.
pub(super) async fn run<F: Future<Output = Result<Response>>>(
    method: &'static MethodDescriptor,
    deadline: Option<Instant>,
    handler: impl FnOnce() -> F,
) -> Result<Response> {
    let mut expiry = Expiry::new(Method::Known(method), Side::Server, deadline, None)?;
    let mut handler = pin!(handler());
    std::future::poll_fn(
        |cx| match catch(method.path, || handler.as_mut().poll(cx)) {
            Ok(Poll::Ready(output)) => Poll::Ready(output),
            Ok(Poll::Pending) => expiry.poll(cx).map(Err),
            Err(panicked) => Poll::Ready(Err(panicked)),
        },
    )
    .await
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
