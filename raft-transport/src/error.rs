//! [`SendError`]: why something did not get through, sorted by what the engine is to do about it.

use std::{error::Error, fmt};

use blixard_rpc::{Code, Status};

/// Why something did not get through. What to do about it is what the variants differ in.
#[derive(Clone, Debug)]
pub enum SendError {
    /// The member cannot be reached: stop sending to it for now, and probe. The transport redials by itself.
    Unreachable(Status),
    /// No answer came in time; it may have been taken or not.
    Timeout(Status),
    /// The queue is full, and this message was dropped: send less, and again later.
    Full(Status),
    /// A newer heartbeat has taken the place of this one, which was not sent.
    Superseded,
    /// The member will not talk to this one: another cluster, no member, another member than was meant. Trying again mends nothing;
    /// somebody has to look at the configuration.
    Refused(Status),
    /// The engine over there, or the call, failed.
    Failed(Status),
}

impl SendError {
    /// The status, where there is one.
    #[must_use]
    pub const fn status(&self) -> Option<&Status> {
        match self {
            Self::Unreachable(status)
            | Self::Timeout(status)
            | Self::Full(status)
            | Self::Refused(status)
            | Self::Failed(status) => Some(status),
            Self::Superseded => None,
        }
    }

    /// Whether the engine should take the member to be away.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

/// Sorts what a call ended with.
impl From<Status> for SendError {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::Unavailable => Self::Unreachable(status),
            Code::DeadlineExceeded => Self::Timeout(status),
            Code::ResourceExhausted => Self::Full(status),
            Code::PermissionDenied | Code::Unauthenticated | Code::FailedPrecondition => {
                Self::Refused(status)
            }
            _ => Self::Failed(status),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(status) => write!(f, "unreachable: {}", status.message()),
            Self::Timeout(status) => write!(f, "no answer in time: {}", status.message()),
            Self::Full(status) => write!(f, "dropped: {}", status.message()),
            Self::Superseded => f.write_str("a newer heartbeat took its place"),
            Self::Refused(status) => write!(f, "refused: {}", status.message()),
            Self::Failed(status) => write!(f, "failed: {status}"),
        }
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.status().map(|status| status as _)
    }
}
