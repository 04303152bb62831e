//! `#[message]` in both codecs.

#![allow(
    clippy::unwrap_used,
    reason = "a test says no more than where it failed"
)]

mod budget;
mod existing;
mod golden;
mod kinds;
mod kitchen;
mod properties;

/// What prost generates from the `.proto` that we print; checked by [`golden`].
#[allow(
    clippy::doc_markdown,
    clippy::use_self,
    unused_qualifications,
    unreachable_pub,
    unnameable_types,
    dead_code,
    reason = "generated"
)]
#[rustfmt::skip]
mod generated;

use blixard_rpc::{Message, Result, codec::Codec};
use bytes::{Bytes, BytesMut};

const CODECS: [Codec; 2] = [Codec::Protobuf, Codec::Postcard];

fn encode<T: Message>(value: &T, codec: Codec) -> Bytes {
    let mut out = BytesMut::new();
    value.encode(codec, &mut out).unwrap();
    out.freeze()
}

fn decode<T: Message>(codec: Codec, bytes: impl Into<Bytes>) -> Result<T> {
    T::decode(codec, bytes.into())
}
