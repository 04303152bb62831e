//! The messages of `blixard.node.v1`. What leads to which state is in `board`.

use std::time::SystemTime;

use blixard_rpc::message;
use bytes::Bytes;

/// How a node is.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckResponse {
    /// How it is as a whole: not serving if a component is not that it cannot do without, degraded if any other is not well.
    pub state: ServingState,
    /// Why, by the components that are not well; empty if all are.
    pub reason: String,
    /// Since when the node is in this state.
    pub since: Option<SystemTime>,
    /// Its components, by name.
    pub components: Vec<ComponentHealth>,
}

/// How a component of a node is.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ComponentHealth {
    /// Its name, such as `storage`.
    pub name: String,
    /// How it is.
    pub state: ServingState,
    /// Why it is not well; empty if it is.
    pub reason: String,
    /// Since when it is in this state; the reason may be newer.
    pub since: Option<SystemTime>,
    /// Whether the node cannot do without it.
    pub essential: bool,
}

/// Whether something serves.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ServingState {
    /// Nothing was said.
    #[default]
    Unspecified = 0,
    /// All is well.
    Serving = 1,
    /// It serves, and something is not as it should be.
    Degraded = 2,
    /// It does not serve.
    NotServing = 3,
    /// A state that this version does not know.
    #[unknown]
    Other(i32),
}

/// The answer to a ping.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PingResponse {
    /// What was sent.
    pub payload: Bytes,
    /// When the node answered, by its own clock.
    pub answered_at: Option<SystemTime>,
    /// For how long the node's services have run, in milliseconds: a smaller one than before means a restart.
    pub uptime_ms: u64,
}
