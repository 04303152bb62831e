//! Whatever prost generated is a message, and so are prost's own scalars, as the wrappers that protobuf has for them.
//!
//! Bytes alone are opaque: under postcard they are the message, so that large ones travel without a copy.

use std::{any::Any, mem};

use bytes::{Buf, Bytes, BytesMut};

use super::codec::Message;
use crate::{
    codec::Codec,
    proto::Schema,
    status::{Result, Status},
    wire,
};

/// The same bytes in both codecs, but for opaque bytes: under postcard too, such a message is its protobuf encoding.
#[diagnostic::do_not_recommend]
impl<T: prost::Message + Default + 'static> Message for T {
    #[inline]
    fn encode(&self, codec: Codec, out: &mut BytesMut) -> Result<()> {
        if let Some(bytes) = opaque(self) {
            match codec {
                Codec::Protobuf => put_value(bytes, out),
                Codec::Postcard => out.extend_from_slice(bytes),
            }
            return Ok(());
        }
        prost::Message::encode(self, out).map_err(|error| {
            Status::internal(format!("cannot encode the message: {error}")).with_source(error)
        })
    }

    #[inline]
    fn encoded(&self, codec: Codec) -> Option<&Bytes> {
        match codec {
            Codec::Protobuf => None,
            Codec::Postcard => (self as &dyn Any).downcast_ref(),
        }
    }

    #[inline]
    fn into_encoded(self, codec: Codec) -> Result<Bytes, Self> {
        let mut message = Some(self);
        let place = (&mut message as &mut dyn Any).downcast_mut::<Option<Bytes>>();
        match (codec, place) {
            (Codec::Postcard, Some(bytes)) => Ok(bytes.take().unwrap_or_default()),
            _ => Err(message.expect("it was put there")),
        }
    }

    #[inline]
    fn decode(codec: Codec, mut bytes: Bytes) -> Result<Self> {
        let mut decoded = None::<Self>;
        let place = &mut decoded as &mut dyn Any;
        if let Some(decoded) = place.downcast_mut::<Option<Bytes>>() {
            *decoded = match codec {
                Codec::Protobuf => take_value(&mut bytes),
                Codec::Postcard => Some(mem::take(&mut bytes)),
            };
        } else if codec == Codec::Postcard
            && let Some(decoded) = place.downcast_mut::<Option<Vec<u8>>>()
        {
            *decoded = Some(mem::take(&mut bytes).into());
        }
        if let Some(decoded) = decoded {
            return Ok(decoded);
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

/// The bytes of a message that is nothing else. The compiler knows the type, and for all others leaves nothing of it.
fn opaque<T: 'static>(message: &T) -> Option<&[u8]> {
    let message = message as &dyn Any;
    let bytes = message.downcast_ref::<Bytes>().map(|bytes| &bytes[..]);
    bytes.or_else(|| message.downcast_ref::<Vec<u8>>().map(|bytes| &bytes[..]))
}

// `google.protobuf.BytesValue` by hand: of opaque payloads prost makes copies and handles.

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
    Some(mem::take(message))
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
    fn opaque_payloads_are_themselves_under_postcard() {
        let payload = Bytes::from_static(b"opaque");
        let vec = payload.to_vec();
        let mut out = BytesMut::new();
        Message::encode(&payload, Codec::Postcard, &mut out).unwrap();
        Message::encode(&vec, Codec::Postcard, &mut out).unwrap();
        assert_eq!(out, "opaqueopaque");
        let message = payload.encoded(Codec::Postcard).unwrap().clone();
        let back = <Bytes as Message>::decode(Codec::Postcard, message.clone()).unwrap();
        assert_eq!(back.as_ptr(), payload.as_ptr(), "nothing was copied");
        assert_eq!(
            <Vec<u8> as Message>::decode(Codec::Postcard, message).unwrap(),
            vec
        );
        assert_eq!(payload.encoded(Codec::Protobuf), None);
        // Other scalars are their wrappers in both.
        let text = String::from("text");
        out.clear();
        Message::encode(&text, Codec::Postcard, &mut out).unwrap();
        assert_eq!(out, prost::Message::encode_to_vec(&text));
        assert_eq!(text.encoded(Codec::Postcard), None);
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
