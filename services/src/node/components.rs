//! [`Components`]: the parts of a node, and how they are.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime},
};

use super::{
    board::Board,
    condition::{Condition, Weight},
    messages::{CheckResponse, ServingState},
};
use crate::health::Reporter;

/// The parts of a node, and how they are; a clone is another handle of the same.
///
/// A node without any serves. Keep it for as long as the node runs: with the last handle of it and its components `grpc.health.v1` says
/// `NOT_SERVING` for good.
#[derive(Clone)]
pub struct Components(pub(super) Arc<Shared>);

pub(super) struct Shared {
    board: Mutex<Board>,
    reporter: Reporter,
    begun: Instant,
}

impl Components {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            board: Mutex::new(Board::new(SystemTime::now())),
            reporter: Reporter::new(),
            begun: Instant::now(),
        }))
    }

    /// Adds one. It does not serve until it says so.
    ///
    /// # Panics
    /// If there is one of that name.
    #[must_use = "a component that is dropped is not there any more"]
    #[track_caller]
    pub fn add(&self, name: impl Into<String>, weight: Weight) -> Component {
        let name = name.into();
        let shared = Arc::clone(&self.0);
        shared.change(&name, |board, now| {
            assert!(
                board.add(&name, weight, now),
                "the node has a component named {name:?} already"
            );
            Some(ServingState::NotServing)
        });
        Component { name, shared }
    }

    /// How the node is, and each of its components.
    #[must_use]
    pub fn view(&self) -> CheckResponse {
        self.0.lock().view()
    }

    /// What tells the same to those who ask by `grpc.health.v1`; say there how services are that are no components.
    #[must_use]
    pub fn reporter(&self) -> &Reporter {
        &self.0.reporter
    }

    /// Nothing serves any more, whatever is said afterwards. Call it before the server's own shutdown.
    pub fn shutdown(&self) {
        self.0.lock().shut_down(SystemTime::now());
        self.0.reporter.shutdown();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Board> {
        // A name that was taken panics before anything has changed.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn begun(&self) -> Instant {
        self.begun
    }

    /// Changes something, and says so: what `change` answers of this component, if it is still there, and what follows for the node.
    fn change(
        &self,
        name: &str,
        change: impl FnOnce(&mut Board, SystemTime) -> Option<ServingState>,
    ) {
        // Held while it is said: what is said last is what was changed last.
        let mut board = self.lock();
        let state = change(&mut board, SystemTime::now());
        match state {
            Some(state) => self.report(name, state),
            None => self.reporter.clear(name),
        }
        self.report("", board.state());
    }

    fn report(&self, service: &str, state: ServingState) {
        match state {
            ServingState::Serving | ServingState::Degraded => self.reporter.set_serving(service),
            _ => self.reporter.set_not_serving(service),
        }
    }
}

impl Default for Components {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock().fmt(f)
    }
}

impl fmt::Debug for Components {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Components").field(&*self.0.lock()).finish()
    }
}

/// A part of a node, which says how it is. When it is dropped, it is not there any more.
pub struct Component {
    name: String,
    shared: Arc<Shared>,
}

impl Component {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Says how it is.
    pub fn set(&self, condition: Condition) {
        self.shared.change(&self.name, |board, now| {
            let (state, _) = condition.clone().parts();
            board.set(&self.name, condition, now);
            Some(state)
        });
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        self.shared.change(&self.name, |board, now| {
            board.remove(&self.name, now);
            None
        });
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Component").field(&self.name).finish()
    }
}
