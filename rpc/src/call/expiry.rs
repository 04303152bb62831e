//! [`Expiry`]: what ends a call early, a deadline or the end of the call that it was made for. Nothing here knows of sides or shapes.

use std::{
    fmt,
    pin::Pin,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use super::{Context, Method};
use crate::status::{Result, Status};

/// What ends a call early: its deadline, or the end of the call that it was made for.
///
/// One pointer, and null for the many calls that nothing ends early. No timer is registered before the call has been found waiting
/// once: most calls in memory never touch one.
pub(crate) struct Expiry(Option<Box<Ends>>);

/// What can end a call.
struct Ends {
    method: Method,
    side: Side,
    deadline: Option<Instant>,
    /// The time that the call had when it came here, for the message.
    budget: Duration,
    parent: Option<Context>,
    sleep: Option<Pin<Box<Sleep>>>,
    parent_ended: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// Who enforces it, for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The caller.
    Client,
    /// The handler's side.
    Server,
    /// A queue before the handler.
    Queue,
    /// The wait for a connection.
    Connect,
}

impl Expiry {
    /// # Errors
    /// `DEADLINE_EXCEEDED` or `CANCELLED` if it is too late already; then nobody has seen the call.
    #[inline]
    pub(crate) fn new(
        method: Method,
        side: Side,
        deadline: Option<Instant>,
        parent: Option<Context>,
    ) -> Result<Self> {
        if deadline.is_none() && parent.is_none() {
            return Ok(Self(None));
        }
        Ok(Self(Some(Ends::new(method, side, deadline, parent)?)))
    }

    /// Whether nothing can end the call early.
    pub(crate) const fn is_never(&self) -> bool {
        self.0.is_none()
    }

    /// The status, if the time has come; for loops that never wait, and so never see a timer fire.
    pub(crate) fn check(&self) -> Option<Status> {
        self.0.as_ref()?.check()
    }

    /// Resolves when the call has to end, with its status.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Status> {
        match &mut self.0 {
            None => Poll::Pending,
            Some(ends) => ends.poll(cx),
        }
    }

    /// Runs `future` until it ends or has to.
    ///
    /// # Errors
    /// Those of `future`, `DEADLINE_EXCEEDED` or `CANCELLED`.
    pub(crate) fn run<T>(
        &mut self,
        mut future: Pin<&mut impl Future<Output = Result<T>>>,
    ) -> impl Future<Output = Result<T>> {
        std::future::poll_fn(move |cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(output),
            Poll::Pending => self.poll(cx).map(Err),
        })
    }
}

impl Ends {
    fn new(
        method: Method,
        side: Side,
        deadline: Option<Instant>,
        parent: Option<Context>,
    ) -> Result<Box<Self>> {
        let mut this = Box::new(Self {
            method,
            side,
            deadline,
            budget: Duration::ZERO,
            parent,
            sleep: None,
            parent_ended: None,
        });
        if let Some(deadline) = deadline {
            this.budget = deadline.saturating_duration_since(Instant::now());
            if this.budget.is_zero() {
                return Err(this.expired().with_not_accepted());
            }
        }
        match this.parent_status() {
            Some(status) => Err(status.with_not_accepted()),
            None => Ok(this),
        }
    }

    fn check(&self) -> Option<Status> {
        match self.deadline {
            Some(deadline) if deadline <= Instant::now() => Some(self.expired()),
            _ => self.parent_status(),
        }
    }

    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Status> {
        if let Some(deadline) = self.deadline {
            let sleep = self
                .sleep
                .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if sleep.as_mut().poll(cx).is_ready() {
                return Poll::Ready(self.expired());
            }
        }
        if let Some(parent) = &self.parent {
            let ended = self.parent_ended.get_or_insert_with(|| {
                let parent = parent.clone();
                Box::pin(async move { parent.cancelled().await })
            });
            if ended.as_mut().poll(cx).is_ready() {
                return Poll::Ready(self.orphaned());
            }
        }
        Poll::Pending
    }

    fn parent_status(&self) -> Option<Status> {
        match &self.parent {
            Some(parent) if parent.is_cancelled() => Some(self.orphaned()),
            _ => None,
        }
    }

    fn expired(&self) -> Status {
        let Self { method, budget, .. } = self;
        let (path, within) = (method.path(), rounded(*budget));
        Status::deadline_exceeded(match self.side {
            _ if budget.is_zero() => {
                format!("{path}: the deadline had passed before the call began")
            }
            Side::Client => format!("{path}: not finished within its deadline of {within:?}"),
            Side::Server => {
                format!("{path}: the handler was stopped at the deadline, after {within:?}")
            }
            Side::Connect => {
                format!("{path}: not connected within its deadline of {within:?}")
            }
            Side::Queue => {
                format!("{path}: its turn did not come within its deadline of {within:?}")
            }
        })
    }

    fn orphaned(&self) -> Status {
        Status::cancelled(format!(
            "{}: the call on whose behalf it was made has ended",
            self.method.path()
        ))
    }
}

impl fmt::Debug for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(ends) = &self.0 else {
            return f.write_str("Expiry(never)");
        };
        f.debug_struct("Expiry")
            .field("method", &ends.method)
            .field("side", &ends.side)
            .field("deadline", &ends.deadline)
            .finish_non_exhaustive()
    }
}

/// As people say it: the time until a deadline is never quite the time that was given.
fn rounded(budget: Duration) -> Duration {
    let unit_ns = if budget < Duration::from_millis(10) {
        1_000
    } else {
        1_000_000
    };
    let ns = budget.as_nanos() + unit_ns / 2;
    u64::try_from(ns - ns % unit_ns).map_or(budget, Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;
    use crate::code::Code;

    fn until(deadline: Option<Instant>, parent: Option<Context>) -> Result<Expiry> {
        let method = Method::Path("/test.Service/Method".into());
        Expiry::new(method, Side::Client, deadline, parent)
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_ends_what_waits() {
        let second = Duration::from_secs(1);
        let mut expiry = until(Some(Instant::now() + second), None).unwrap();
        let status = expiry
            .run(pin!(std::future::pending::<Result<()>>()))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(status.message().contains("1s"), "{status}");
        assert!(expiry.check().is_some());
    }

    #[test]
    fn times_are_said_as_they_were_meant() {
        for (ns, said) in [
            (249_998_812, "250ms"),
            (1_999_999_437, "2s"),
            (1_500_000_000, "1.5s"),
            (4_999_712, "5ms"),
            (1_499, "1µs"),
        ] {
            assert_eq!(format!("{:?}", rounded(Duration::from_nanos(ns))), said);
        }
        assert_eq!(rounded(Duration::MAX), Duration::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_ready_touches_no_timer() {
        let mut expiry = until(Some(Instant::now() + Duration::from_secs(1)), None).unwrap();
        assert_eq!(expiry.run(pin!(async { Ok(1) })).await.unwrap(), 1);
        assert!(expiry.0.unwrap().sleep.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn too_late_is_known_at_once() {
        let status = until(Some(Instant::now()), None).unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(!status.was_accepted());
        let parent = Context::background();
        parent.end();
        let status = until(None, Some(parent)).unwrap_err();
        assert_eq!(status.code(), Code::Cancelled);
        assert!(!status.was_accepted());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_parent_ends_the_call() {
        let parent = Context::background();
        let mut expiry = until(None, Some(parent.clone())).unwrap();
        let ender = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            parent.end();
        };
        let forever = pin!(std::future::pending::<Result<()>>());
        let (status, ()) = tokio::join!(expiry.run(forever), ender);
        assert_eq!(status.unwrap_err().code(), Code::Cancelled);
    }
}
