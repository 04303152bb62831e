//! The engine's messages as bytes: postcard, without a version of their own. Members of two versions of openraft do not understand each
//! other's; that is what the pinned version in the manifest is about.

use blixard_rpc::{Result, Status};
use serde::{Serialize, de::DeserializeOwned};

use crate::RaftMessage;

pub(super) fn encode(term: u64, message: &impl Serialize) -> Result<RaftMessage> {
    let payload = postcard::to_stdvec(message).map_err(|error| {
        Status::internal(format!(
            "a message of the engine cannot be encoded: {error}"
        ))
    })?;
    Ok(RaftMessage::new(term, payload))
}

pub(super) fn decode<T: DeserializeOwned>(message: &RaftMessage) -> Result<T> {
    postcard::from_bytes(&message.payload).map_err(|error| {
        Status::invalid_argument(format!(
            "not a message of this engine, or of another version of it: {error}"
        ))
    })
}
