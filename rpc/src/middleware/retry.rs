//! [`Retry`]: sends a call again where that does no harm.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::layer::as_inner;
use crate::{
    backoff::Backoff,
    call::{Body, Request, Response, unless_recalled},
    code::Code,
    dispatch::{Dispatch, Layer},
    status::{Result, Status},
};

/// Sends a call again that failed with `UNAVAILABLE`, where that does no harm: if the method is idempotent, or if it is certain
/// that the server did not begin to work on it. Only calls with a single request message are sent again, only before there is a
/// response, and only within their deadline.
///
/// The attempts are apart by an exponential, jittered back-off.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    max_attempts: u32,
    backoff: Backoff,
    codes: u32,
}

impl Retry {
    /// Up to four attempts, the second after 50 to 100 ms, and none later than 2 s after the one before.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_attempts: 4,
            backoff: Backoff {
                first: Duration::from_millis(100),
                longest: Duration::from_secs(2),
            },
            codes: bit(Code::Unavailable),
        }
    }

    /// The most attempts, the first included.
    #[must_use]
    pub const fn max_attempts(mut self, max: u32) -> Self {
        self.max_attempts = max;
        self
    }

    /// How far the attempts are apart.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sends calls again that failed with this code too, under the same conditions.
    #[must_use]
    pub const fn on(mut self, code: Code) -> Self {
        self.codes |= bit(code);
        self
    }

    /// How long to wait before the next attempt, if there is to be one.
    fn next(
        &self,
        attempt: u32,
        idempotent: bool,
        deadline: Option<Instant>,
        status: &Status,
    ) -> Option<Duration> {
        let harmless = idempotent || !status.was_accepted();
        let again = harmless
            && attempt < self.max_attempts
            && self.codes & bit(status.code()) != 0
            // Only the one who encoded the call can put this one right.
            && !status.is_wrong_codec();
        let delay = self.backoff.jittered(attempt);
        let in_time = deadline
            .is_none_or(|deadline| deadline.saturating_duration_since(Instant::now()) > delay);
        (again && in_time).then_some(delay)
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer for Retry {
    type Dispatch<D: Dispatch> = Retried<D>;

    fn layer<D: Dispatch>(&self, inner: D) -> Retried<D> {
        Retried {
            inner,
            retry: *self,
        }
    }
}

/// A dispatch whose failed calls are sent again: see [`Retry`].
#[derive(Clone, Debug)]
pub struct Retried<D> {
    inner: D,
    retry: Retry,
}

impl<D: Dispatch> Dispatch for Retried<D> {
    async fn dispatch(&self, mut request: Request) -> Result<Response> {
        let Some(again) = Again::of(&request) else {
            return self.inner.dispatch(request).await;
        };
        let idempotent = request
            .method
            .descriptor()
            .is_some_and(|method| method.idempotent);
        let deadline = request.deadline;
        for attempt in 1.. {
            let status = match self.inner.dispatch(request).await {
                Ok(response) => return Ok(response),
                Err(status) => status,
            };
            let Some(delay) = self.retry.next(attempt, idempotent, deadline, &status) else {
                return Err(status);
            };
            request = again.request(attempt);
            let path = request.method.path();
            tracing::debug!(path, %status, attempt, ?delay, "the call is sent again");
            let wait = async {
                sleep(delay).await;
                Ok(())
            };
            match unless_recalled(request.recall.as_ref(), wait).await {
                // An attempt that may have been accepted is not made unseen by it.
                Err(_) if status.was_accepted() => return Err(status),
                waited => waited?,
            }
        }
        unreachable!("the attempts are counted up to a maximum")
    }

    as_inner!();
}

/// What the next attempt is made from: all of a request but its body, which is one message.
struct Again {
    request: Request,
    message: bytes::Bytes,
}

impl Again {
    fn of(request: &Request) -> Option<Self> {
        let message = request.body.as_one()?.clone();
        Some(Self {
            request: request.with_body(Body::empty()),
            message,
        })
    }

    fn request(&self, attempts_before: u32) -> Request {
        let mut request = self.request.with_body(Body::one(self.message.clone()));
        request.metadata.set_previous_attempts(attempts_before);
        request
    }
}

const fn bit(code: Code) -> u32 {
    1 << code as u32
}
