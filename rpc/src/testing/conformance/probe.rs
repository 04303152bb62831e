//! What a case sees of the handlers: counters that it can wait for, always with a bound.

use std::{fmt, time::Duration};

use tokio::{sync::watch, time::timeout};

/// How long a case waits for anything: far longer than it takes on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// Waits for what must come soon.
///
/// # Panics
/// If it does not.
pub(super) async fn soon<T>(what: impl fmt::Display, future: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: nothing within {PATIENCE:?}"),
    }
}

/// A number that only grows, and for which can be waited.
#[derive(Clone, Debug)]
pub(super) struct Counter {
    name: &'static str,
    count: watch::Sender<usize>,
}

impl Counter {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            count: watch::Sender::new(0),
        }
    }

    pub(super) fn add_one(&self) {
        self.count.send_modify(|count| *count += 1);
    }

    pub(super) fn get(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until there are so many.
    ///
    /// # Panics
    /// If it takes too long.
    pub(super) async fn reaches(&self, goal: usize) {
        let mut count = self.count.subscribe();
        let reached = timeout(PATIENCE, count.wait_for(|count| *count >= goal)).await;
        assert!(
            reached.is_ok(),
            "{}: {} and not {goal} within {PATIENCE:?}",
            self.name,
            self.get()
        );
    }

    /// The number, once it has not changed for a while.
    ///
    /// What has stopped cannot be told from what is slow, so that a case which needs it can only miss a fault, never see one.
    pub(super) async fn settles(&self) -> usize {
        let mut count = self.count.subscribe();
        while timeout(CALM, count.changed()).await.is_ok() {
            count.borrow_and_update();
        }
        self.get()
    }
}

const CALM: Duration = Duration::from_millis(300);
