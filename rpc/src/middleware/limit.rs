//! [`Limit`]: at most so many calls at once, and so many that wait.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError},
    time::Instant,
};

use super::{
    follow::{Follow, follow},
    layer::as_inner,
};
use crate::{
    call::{Expiry, Method, Recall, Request, Response, Side, unless_recalled},
    code::Code,
    dispatch::{Dispatch, Layer},
    status::{Result, Status},
};

/// At most so many calls at once; streams count until they end. Calls above that wait in a queue of bounded length, within
/// their deadline, and above that are refused with `RESOURCE_EXHAUSTED`.
///
/// A clone is another handle of the same limit: given to several routers or channels, it holds for all of them together.
#[derive(Clone, Debug)]
pub struct Limit(Arc<State>);

#[derive(Debug)]
struct State {
    name: &'static str,
    max: usize,
    queue: usize,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Limit {
    /// A limit of `max` calls at once, and none that wait. The name is for the one who reads that it was met.
    #[must_use]
    pub fn new(name: &'static str, max: usize) -> Self {
        Self::with_queue(name, max, 0)
    }

    /// A limit of `max` calls at once, and at most `queue` that wait for one of them to end.
    #[must_use]
    pub fn with_queue(name: &'static str, max: usize, queue: usize) -> Self {
        Self(Arc::new(State {
            name,
            max,
            queue,
            permits: Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))),
            waiting: AtomicUsize::new(0),
        }))
    }

    /// How many calls run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0
            .max
            .saturating_sub(self.0.permits.available_permits())
    }

    /// How many calls wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    async fn acquire(
        &self,
        method: &Method,
        deadline: Option<Instant>,
        recall: Option<&Arc<Recall>>,
    ) -> Result<OwnedSemaphorePermit> {
        let permits = || Arc::clone(&self.0.permits);
        match permits().try_acquire_owned() {
            Ok(permit) => return Ok(permit),
            Err(TryAcquireError::NoPermits) => {}
            Err(TryAcquireError::Closed) => unreachable!("the semaphore is never closed"),
        }
        let _place = Place::take(&self.0, method.path())?;
        let mut expiry = Expiry::new(method.clone(), Side::Queue, deadline, None)?;
        let permit = expiry
            .run(pin!(unless_recalled(recall, async {
                Ok(permits()
                    .acquire_owned()
                    .await
                    .expect("the semaphore is never closed"))
            })))
            .await
            .map_err(Status::with_not_accepted)?;
        Ok(permit)
    }
}

/// A place in the queue, given back when it is dropped.
struct Place<'a>(&'a State);

impl<'a> Place<'a> {
    fn take(state: &'a State, path: &str) -> Result<Self> {
        let place = Self(state);
        if state.waiting.fetch_add(1, Ordering::Relaxed) < state.queue {
            return Ok(place);
        }
        let State {
            name, max, queue, ..
        } = state;
        Err(Status::resource_exhausted(format!(
            "{path}: the limit {name:?} is met, {max} calls run and {queue} wait; try again later"
        ))
        .with_not_accepted())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Layer for Limit {
    type Dispatch<D: Dispatch> = Limited<D>;

    fn layer<D: Dispatch>(&self, inner: D) -> Limited<D> {
        Limited {
            inner,
            limit: self.clone(),
        }
    }
}

/// A dispatch of which only so many calls run at once: see [`Limit`].
#[derive(Clone, Debug)]
pub struct Limited<D> {
    inner: D,
    limit: Limit,
}

impl<D: Dispatch> Dispatch for Limited<D> {
    async fn dispatch(&self, request: Request) -> Result<Response> {
        let deadline = request.deadline;
        let recall = request.recall.as_ref();
        let permit = self
            .limit
            .acquire(&request.method, deadline, recall)
            .await?;
        follow(
            Running(Some(permit)),
            deadline,
            pin!(self.inner.dispatch(request)),
        )
        .await
    }

    as_inner!();
}

struct Running(Option<OwnedSemaphorePermit>);

impl Follow for Running {
    fn end(&mut self, _: Code) {
        self.0 = None;
    }
}
