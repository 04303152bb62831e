//! [`Recall`]: how who sends a call over one transport gets it back, as long as that has not sent it. What has been sent is never called
//! back here.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use tokio::sync::Notify;

use crate::status::{Result, Status};

/// Says to whoever holds a call whether it is wanted back. One stands for all calls that take the same way.
///
/// A transport that knows of it asks where a call waits for something before any of it is sent. One that does not goes on as if nobody
/// had asked: what becomes of its calls is told by their ends alone.
#[derive(Debug, Default)]
pub(crate) struct Recall {
    wanted: AtomicBool,
    changed: Notify,
}

impl Recall {
    /// Whether calls are wanted back from now on.
    pub(crate) fn set(&self, wanted: bool) {
        let was_wanted = self.wanted.swap(wanted, Ordering::SeqCst);
        if wanted && !was_wanted {
            self.changed.notify_waiters();
        }
    }

    async fn wanted(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Listened for before it is looked at, so that nothing falls in between.
            changed.as_mut().enable();
            if self.wanted.load(Ordering::SeqCst) {
                return;
            }
            changed.await;
        }
    }
}

/// Waits for what a call needs before any of it is sent, unless the call is wanted back first.
///
/// # Errors
/// `UNAVAILABLE`, not accepted, if it is; and those of `needed`.
pub(crate) async fn unless_recalled<T>(
    recall: Option<&Arc<Recall>>,
    needed: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut needed = pin!(needed);
    let Some(recall) = recall else {
        return needed.await;
    };
    // Boxed, so that calls that nobody may want back do not carry its size.
    let mut wanted = Box::pin(recall.wanted());
    poll_fn(|cx| {
        // First: what is there just now may be there because others were called back.
        if wanted.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(recalled()));
        }
        needed.as_mut().poll(cx)
    })
    .await
}

fn recalled() -> Status {
    Status::unavailable("the call was not sent: it is to take another transport")
        .with_not_accepted()
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        task::{Context, Waker},
    };

    use super::*;

    #[test]
    fn what_waits_is_told_and_what_is_there_just_then_comes_too_late() {
        let recall = Arc::new(Recall::default());
        let cx = &mut Context::from_waker(Waker::noop());
        let mut waits = pin!(unless_recalled(Some(&recall), pending::<Result<()>>()));
        assert!(waits.as_mut().poll(cx).is_pending());
        assert!(
            pin!(unless_recalled(Some(&recall), ready(Ok(()))))
                .poll(cx)
                .is_ready()
        );
        recall.set(true);
        for polled in [
            waits.as_mut().poll(cx),
            pin!(unless_recalled(Some(&recall), ready(Ok(())))).poll(cx),
        ] {
            let Poll::Ready(Err(status)) = polled else {
                panic!("it was not called back: {polled:?}");
            };
            assert!(!status.was_accepted());
        }
        recall.set(false);
        let mut waits = pin!(unless_recalled(Some(&recall), pending::<Result<()>>()));
        assert!(waits.as_mut().poll(cx).is_pending());
    }

    #[test]
    fn nobody_is_called_back_who_looks_when_it_is_over() {
        let recall = Arc::new(Recall::default());
        let cx = &mut Context::from_waker(Waker::noop());
        let mut waits = pin!(unless_recalled(Some(&recall), pending::<Result<()>>()));
        assert!(waits.as_mut().poll(cx).is_pending());
        recall.set(true);
        recall.set(false);
        assert!(waits.as_mut().poll(cx).is_pending());
        recall.set(true);
        assert!(waits.as_mut().poll(cx).is_ready());
    }
}
