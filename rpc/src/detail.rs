//! Typed details of a status, as `#[derive(RpcError)]` uses them: a message in protobuf, whatever codec the call has.

use std::fmt::Display;

use bytes::BytesMut;

use crate::{
    codec::Codec,
    message::Message,
    status::{Detail, Status},
};

/// What an error says, for the message of its status.
#[must_use]
pub fn text(error: &impl Display) -> String {
    error.to_string()
}

/// Adds `detail` to the status. One that cannot be encoded is left out: code and message say enough to go on.
#[must_use]
pub fn with_detail<T: Message>(status: Status, type_url: &str, detail: &T) -> Status {
    let mut value = BytesMut::new();
    match detail.encode(Codec::Protobuf, &mut value) {
        Ok(()) => status.with_detail(Detail {
            type_url: type_url.to_owned(),
            value: value.freeze(),
        }),
        Err(_) => status,
    }
}

/// The detail of this type. `None` if there is none, or one that a newer version of the type has written and this one cannot read.
#[must_use]
pub fn detail<T: Message>(status: &Status, type_url: &str) -> Option<T> {
    let detail = status
        .details()
        .iter()
        .find(|detail| detail.type_url == type_url)?;
    T::decode(Codec::Protobuf, detail.value.clone()).ok()
}
