//! [`Condition`]: what a component says of itself; [`Weight`]: what it means to its node.

use blixard_rpc::Result;

use super::messages::ServingState;

/// How a component is, with the reason where it is not well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// All is well.
    Serving,
    /// It serves, and this is not as it should be.
    Degraded(String),
    /// It does not serve, and why.
    NotServing(String),
}

/// What a component means to its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Without it the node does not serve.
    Essential,
    /// Without it the node serves, degraded.
    Useful,
}

impl Condition {
    pub(super) fn parts(self) -> (ServingState, String) {
        match self {
            Self::Serving => (ServingState::Serving, String::new()),
            Self::Degraded(reason) => (ServingState::Degraded, reason),
            Self::NotServing(reason) => (ServingState::NotServing, reason),
        }
    }
}

/// An error is the reason why something does not serve.
impl From<Result<()>> for Condition {
    fn from(result: Result<()>) -> Self {
        match result {
            Ok(()) => Self::Serving,
            Err(status) => Self::NotServing(status.message().to_owned()),
        }
    }
}
