//! Whatever prost generated is a message, and so are prost's own scalars, as the wrappers that protobuf has for them.

use std::any::Any;

use bytes::{Buf, Bytes, BytesMut};

use super::codec::Message;
use crate::{
    codec::Codec,
    proto::Schema,
    status::{Result, Status},
    wire,
};

/// The same bytes in both codecs: under postcard too, such a message is its protobuf encoding.
#[diagnostic::do_not_recommend]
impl<T: prost::Message + Default + 'static> Message for T {
    #[inline]
    fn encode(&self, _: Codec, out: &mut BytesMut) -> Result<()> {
        if let Some(bytes) = (self as &dyn Any).downcast_ref::<Bytes>() {
            put_value(bytes, out);
            return Ok(());
        }
        prost::Message::encode(self, out).map_err(|error| {
            Status::internal(format!("cannot encode the message: {error}")).with_source(error)
        })
    }

    #[inline]
    fn decode(_: Codec, mut bytes: Bytes) -> Result<Self> {
        let mut payload = None::<Self>;
        if let Some(payload) = (&mut payload as &mut dyn Any).downcast_mut::<Option<Bytes>>() {
            *payload = take_value(&mut bytes);
        }
        if let Some(payload) = payload {
            return Ok(payload);
        }
        <T as prost::Message>::decode(bytes).map_err(|error| {
            Status::internal(format!("cannot decode the message: {error}")).with_source(error)
        })
    }

    fn describe(schema: &mut Schema) -> String {
        let described = schema.prost::<T>();
        schema.name_of(described).to_owned()
    }
}

// `google.protobuf.BytesValue` by hand: for opaque payloads, of which prost makes copies and handles. The compiler knows the type, and
// for all others leaves nothing of it.

/// Field 1, length-delimited.
const VALUE_TAG: u8 = 0x0a;

/// What `prost::Message::encode` writes of the same bytes.
fn put_value(bytes: &[u8], out: &mut BytesMut) {
    if bytes.is_empty() {
        return;
    }
    out.reserve(1 + wire::length_prefix_bytes(bytes.len()) + bytes.len());
    out.extend_from_slice(&[VALUE_TAG]);
    wire::put_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// The payload, where the message is written as [`put_value`] does it; whatever else it may be is left to prost.
fn take_value(message: &mut Bytes) -> Option<Bytes> {
    let mut rest = message.strip_prefix(&[VALUE_TAG])?;
    let length = prost::encoding::decode_varint(&mut rest).ok()?;
    if length != rest.len() as u64 {
        return None;
    }
    let head = message.len() - rest.len();
    message.advance(head);
    Some(std::mem::take(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opaque_payloads_are_written_as_prost_writes_them() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 3_000_000] {
            let payload = Bytes::from(vec![7; length]);
            let mut out = BytesMut::new();
            Message::encode(&payload, Codec::Protobuf, &mut out).unwrap();
            assert_eq!(out, prost::Message::encode_to_vec(&payload));
            let back = <Bytes as Message>::decode(Codec::Protobuf, out.freeze()).unwrap();
            assert_eq!(back, payload);
        }
    }

    #[test]
    fn what_is_written_otherwise_is_read_by_prost() {
        // Twice the field, an unknown field behind it, a padded length; and what is malformed.
        for (bytes, payload) in [
            (&b"\x0a\x01a\x0a\x01b"[..], Some("b")),
            (b"\x0a\x01a\x10\x05", Some("a")),
            (b"\x0a\x81\x00a", Some("a")),
            (b"\x0a\x05a", None),
            (b"\x0a", None),
        ] {
            let back = <Bytes as Message>::decode(Codec::Protobuf, Bytes::from_static(bytes));
            assert_eq!(back.ok(), payload.map(Bytes::from), "{bytes:?}");
        }
    }
}
