//! [`Probe`]: what finds out how a component is; [`Watched`]: one that is asked again and again.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{components::Component, condition::Condition};

/// Finds out how a component is. A closure is one.
pub trait Probe: Send + 'static {
    /// Finds it out. It is dropped if that takes longer than [`PROBE_PATIENCE`].
    fn probe(&mut self) -> impl Future<Output = Condition> + Send;
}

impl<F, A> Probe for F
where
    F: FnMut() -> A + Send + 'static,
    A: Future<Output = Condition> + Send,
{
    fn probe(&mut self) -> impl Future<Output = Condition> + Send {
        self()
    }
}

impl Component {
    /// Has it found out how the component is: now, and `every` so often after it was.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use = "a component that is dropped is not there any more"]
    pub fn watched(self, mut probe: impl Probe, every: Duration) -> Watched {
        let component = Arc::new(self);
        // Whoever drops what is answered has dropped the component, at once.
        let told = Arc::downgrade(&component);
        let broken = Weak::clone(&told);
        let watching = async move {
            loop {
                let found = timeout(PROBE_PATIENCE, probe.probe()).await;
                let Some(component) = told.upgrade() else {
                    return;
                };
                component.set(found.unwrap_or_else(|_| {
                    Condition::NotServing(format!("it has not answered within {PROBE_PATIENCE:?}"))
                }));
                drop(component);
                sleep(every).await;
            }
        };
        let task = tokio::spawn(watching);
        let abort = task.abort_handle();
        tokio::spawn(async move {
            if task.await.is_err_and(|error| error.is_panic())
                && let Some(component) = broken.upgrade()
            {
                component.set(Condition::NotServing(
                    "its probe panicked: see the log".into(),
                ));
            }
        });
        Watched { component, abort }
    }
}

/// A component that a probe looks after. When this is dropped, the component is not there any more.
#[derive(Debug)]
pub struct Watched {
    component: Arc<Component>,
    abort: AbortHandle,
}

impl Watched {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.component.name()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// How long a probe may take. The slowest one boots a guest on a node that has much else to do.
pub const PROBE_PATIENCE: Duration = Duration::from_secs(30);
