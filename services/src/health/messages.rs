//! The messages of `grpc.health.v1`, with the names, tags and numbers of `health.proto`. What they mean is in `api`.

use std::collections::HashMap;

use blixard_rpc::message;

/// Whose health is asked for.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthCheckRequest {
    /// The full name of a service, such as `demo.v1.Greeter`; empty for the server as a whole.
    pub service: String,
}

impl HealthCheckRequest {
    /// Asks for the service with this full name.
    pub fn of(service: impl Into<String>) -> Self {
        Self {
            service: service.into(),
        }
    }

    /// Asks for the server as a whole.
    #[must_use]
    pub fn whole_server() -> Self {
        Self::default()
    }
}

/// How a service, or the server, is.
#[message]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthCheckResponse {
    /// Whether it serves.
    pub status: ServingStatus,
}

/// Whether a service, or the server, serves.
#[message]
#[within(HealthCheckResponse)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServingStatus {
    /// Nothing was said.
    Unknown = 0,
    /// It takes calls.
    Serving = 1,
    /// It takes no calls: it starts, is broken, or shuts down.
    NotServing = 2,
    /// The server does not know the service; only in answers to `Watch`.
    ServiceUnknown = 3,
    /// A status that this version does not know.
    #[unknown]
    Other(i32),
}

/// Asks for the health of all services.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthListRequest {}

/// The health of all services.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthListResponse {
    /// Contains all the services and their respective status.
    pub statuses: HashMap<String, HealthCheckResponse>,
}
