//! The bytes of a call alone: a request with a deadline and metadata, and its answer, each written and read again.

use std::{hint::black_box, time::Duration};

use blixard_rpc::{
    Metadata,
    codec::Codec,
    method::Priority,
    wire::{
        FrameType, Header, MethodRef, RequestHead, RequestId, ResponseHead, limits::HEADER_BYTES,
        put_call, split_call,
    },
};
use bytes::BytesMut;

use crate::Outcome;

/// So many of both.
pub(crate) fn run(calls: usize) -> Outcome<()> {
    let mut metadata = Metadata::new();
    metadata.insert(
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )?;
    let (nothing, message, timeout) = (Metadata::new(), [7; 64], Duration::from_secs(5));
    let (mut head, mut frame) = (BytesMut::new(), BytesMut::new());
    for call in 0..calls {
        let id = RequestId((call as u128).to_be_bytes());
        let write = |out: &mut BytesMut| {
            let method = MethodRef::Number(3);
            RequestHead::encode(method, Some(timeout), Priority::default(), &metadata, out);
        };
        let payload = written(&mut frame, FrameType::Request, id, &message, write)?;
        head.extend_from_slice(payload.0);
        let read = RequestHead::decode(&head)?;
        if read.timeout != Some(timeout) || read.metadata != metadata {
            return Err("another request was read than was written".into());
        }
        head.clear();
        let write = |out: &mut BytesMut| ResponseHead::encode(&nothing, &nothing, out);
        let payload = written(&mut frame, FrameType::Response, id, &message, write)?;
        black_box(ResponseHead::decode(payload.0)?);
    }
    Ok(())
}

/// Writes a frame, and reads it to its head and its message.
fn written<'a>(
    frame: &'a mut BytesMut,
    kind: FrameType,
    id: RequestId,
    message: &[u8],
    head: impl FnOnce(&mut BytesMut),
) -> Outcome<(&'a [u8], &'a [u8])> {
    frame.clear();
    frame.resize(HEADER_BYTES, 0);
    put_call(frame, head, message);
    let header = Header {
        kind,
        codec: Some(Codec::Postcard),
        oneway: false,
        payload_bytes: frame.len() - HEADER_BYTES,
        id,
    };
    frame[..HEADER_BYTES].copy_from_slice(&header.encode());
    let (start, payload) = black_box(&*frame)
        .split_first_chunk()
        .ok_or("a frame without a header")?;
    let read = Header::decode(start)?;
    if read != header {
        return Err("another header was read than was written".into());
    }
    Ok(split_call(payload)?)
}
