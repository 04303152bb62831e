//! [`Reporter`]: what a server says of its own health. How others are told is in `service`.

use std::{collections::BTreeMap, fmt, sync::Arc};

use tokio::sync::watch;

use super::messages::ServingStatus;

/// Says how the services of this process are; a clone is another handle of the same.
///
/// A new one says that the server as a whole, whose name is empty, serves, and knows no service.
///
/// Keep it where the services live. When [`shutdown`](Self::shutdown) is called, or the last handle is dropped, nobody vouches for
/// the server any more: everything is `NOT_SERVING` for good, and the streams of `Watch` end well after they have said so, so
/// that they do not keep a server from draining.
#[derive(Clone)]
pub struct Reporter(Arc<Vouching>);

impl Reporter {
    /// The server as a whole serves; nothing is said of services yet.
    #[must_use = "a reporter that is dropped has shut down"]
    pub fn new() -> Self {
        let health = Health {
            statuses: BTreeMap::from([(String::new(), ServingStatus::Serving)]),
            shut_down: false,
        };
        Self(Arc::new(Vouching(Arc::new(watch::Sender::new(health)))))
    }

    /// The service takes calls. An empty name is the server as a whole.
    pub fn set_serving(&self, service: impl Into<String>) {
        self.set(service.into(), ServingStatus::Serving);
    }

    /// The service takes no calls. An empty name is the server as a whole.
    pub fn set_not_serving(&self, service: impl Into<String>) {
        self.set(service.into(), ServingStatus::NotServing);
    }

    /// The service is not known any more: `NOT_FOUND` for `Check`, `SERVICE_UNKNOWN` for `Watch`.
    pub fn clear(&self, service: &str) {
        self.health().send_if_modified(|health| {
            !health.shut_down && health.statuses.remove(service).is_some()
        });
    }

    /// Everything takes no calls, whatever is said afterwards. Call it before the server's own shutdown.
    pub fn shutdown(&self) {
        self.0.shutdown();
    }

    fn set(&self, service: String, status: ServingStatus) {
        self.health().send_if_modified(|health| {
            !health.shut_down && health.statuses.insert(service, status) != Some(status)
        });
    }

    pub(super) fn health(&self) -> &Arc<watch::Sender<Health>> {
        &self.0.0
    }
}

impl Default for Reporter {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reporter")
            .field(&self.health().borrow().statuses)
            .finish()
    }
}

/// What was said last of everything.
#[derive(Debug)]
pub(super) struct Health {
    statuses: BTreeMap<String, ServingStatus>,
    shut_down: bool,
}

impl Health {
    /// What was said of a service, if anything.
    pub(super) fn of(&self, service: &str) -> Option<ServingStatus> {
        self.statuses.get(service).copied()
    }

    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = (&str, ServingStatus)> {
        self.statuses
            .iter()
            .map(|(service, status)| (service.as_str(), *status))
    }

    /// Whether nothing will change any more.
    pub(super) const fn is_final(&self) -> bool {
        self.shut_down
    }
}

/// What all handles of a reporter share: dropped with the last of them, while the service may go on.
struct Vouching(Arc<watch::Sender<Health>>);

impl Vouching {
    fn shutdown(&self) {
        self.0.send_if_modified(|health| {
            for status in health.statuses.values_mut() {
                *status = ServingStatus::NotServing;
            }
            !std::mem::replace(&mut health.shut_down, true)
        });
    }
}

impl Drop for Vouching {
    fn drop(&mut self) {
        self.shutdown();
    }
}
