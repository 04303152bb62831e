//! What all that is sent to a member has in common, in calls and in streams.

use std::time::Duration;

use blixard_rpc::{CallOptions, Channel, Code, Result, Status, runner::Transport};
use blixard_services::raft::{RaftClient, RaftMessage};

use crate::{
    class::Class,
    error::SendError,
    health::Failure,
    insecure,
    shared::{PeerState, Shared},
};

/// How long a stream may take to open, with the dial before it.
pub(crate) const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for calls of this class to the member, in the mode of now.
pub(crate) fn client(
    shared: &Shared,
    state: &PeerState,
    class: Class,
) -> Result<RaftClient<Channel>> {
    let channel = state.link(class.purpose()).channel(shared.mode())?;
    // A context without a priority of its own would raise that of snapshots.
    let mut options = CallOptions::new().priority(class.priority());
    if shared.config.insecure {
        options = options.metadata(insecure::SENDER, shared.config.id.to_string());
    }
    Ok(RaftClient::new(channel).with(options))
}

/// What a call failed of, as far as health is concerned; `None` if it says that the member is there.
pub(crate) fn failure(status: &Status) -> Option<Failure> {
    match (status.code(), status.was_accepted()) {
        (Code::Unavailable, false) => Some(Failure::Dial),
        (Code::Unavailable | Code::Cancelled, _) => Some(Failure::Cut),
        (Code::DeadlineExceeded, _) => Some(Failure::Silence),
        _ => None,
    }
}

/// # Errors
/// It is longer than what can be sent.
pub(crate) fn check_size(class: Class, message: &RaftMessage) -> Result<(), SendError> {
    let (bytes, max) = (message.payload.len(), class.max_payload_bytes());
    if bytes <= max {
        return Ok(());
    }
    Err(SendError::Failed(
        Status::invalid_argument(format!(
            "a payload of {bytes} bytes is longer than the {max} of the class {class}; if it has entries, let the engine send fewer at once"
        ))
        .with_not_accepted(),
    ))
}

/// How often a stream is looked after that says nothing by itself.
pub(crate) fn look_interval(shared: &Shared) -> Duration {
    (shared.config.suspect_after / 4).clamp(Duration::from_millis(10), Duration::from_millis(500))
}

/// Whether calls go another way now than when a stream was opened.
pub(crate) fn has_moved(route: &mut Option<Transport>, now: Option<Transport>) -> bool {
    match (*route, now) {
        (Some(then), Some(now)) => then != now,
        (None, _) => {
            *route = now;
            false
        }
        (Some(_), None) => false,
    }
}
