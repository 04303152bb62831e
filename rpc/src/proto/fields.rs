//! [`Fields`] and [`Numbered`]: what `#[message]` generates of a user's type, and what makes a [`Value`](super::Value) of it.

use bytes::BytesMut;

use super::{DecodeError, Input, TypeInfo};

/// A user's struct, or enum with data, as a protobuf message.
#[doc(hidden)]
pub trait Fields: Sized + Send + 'static {
    /// What it is in a schema.
    const INFO: &'static TypeInfo;

    /// Writes all fields.
    fn put_fields(&self, out: &mut BytesMut);

    /// Reads all fields until the input is empty, into what was there before.
    fn take_fields(old: Option<Self>, input: &mut Input<'_>) -> Result<Self, DecodeError>;
}

/// A user's enum without data as a protobuf enum.
#[doc(hidden)]
pub trait Numbered: Sized + Send + 'static {
    /// What it is in a schema.
    const INFO: &'static TypeInfo;

    /// The number on the wire.
    fn number(&self) -> i32;

    /// The variant with this number, or the one that keeps unknown ones.
    fn from_number(number: i32) -> Self;
}
