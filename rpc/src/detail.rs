//! Typed details of a status, as `#[derive(RpcError)]` uses them: a message in protobuf, whatever codec the call has.

use std::{fmt::Display, marker::PhantomData};

use bytes::BytesMut;

use crate::{
    codec::Codec,
    message::Message,
    method::ErrorDetail,
    proto::Schema,
    status::{Detail, Status},
};

/// An error whose statuses have a detail: what `#[derive(RpcError)]` implements.
pub trait Detailed {
    /// The protobuf package of the detail.
    const PACKAGE: &'static str;

    /// Describes the detail to a schema; returns its full name there.
    fn describe(schema: &mut Schema) -> String;
}

/// The error of a method, asked for its [`DETAIL`](NoDetail::DETAIL): its own if it is [`Detailed`], which goes before that of the
/// trait.
#[derive(Debug)]
pub struct ErrorOf<E>(PhantomData<E>);

impl<E: Detailed> ErrorOf<E> {
    /// The detail.
    pub const DETAIL: Option<ErrorDetail> = Some(ErrorDetail {
        package: E::PACKAGE,
        describe: E::describe,
    });
}

/// What an error has that is not [`Detailed`].
pub trait NoDetail {
    /// Nothing.
    const DETAIL: Option<ErrorDetail> = None;
}

impl<E> NoDetail for ErrorOf<E> {}

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
