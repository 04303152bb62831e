//! What must hold for any bytes that a peer sends: one function a fuzz target. `tests/corpus.rs` calls the same functions, over the
//! corpus that is checked in. Nothing here knows of a fuzzer.

use std::fmt::Debug;

use blixard_rpc::{
    Code, Message,
    codec::Codec,
    link, proto,
    wire::{
        self, FrameType, Header, Hello, MethodRef, RequestHead, ResponseHead, StatusHead,
        WireError,
        limits::{self, HEADER_BYTES, MAX_HEAD_BYTES},
    },
};
use bytes::{Bytes, BytesMut};

use super::types::{Choice, Lists, Tree, Wide};

/// What the heads of a frame may take in memory, whatever they hold: a few times the largest frame that they come in.
const MAX_HEAD_MEMORY_BYTES: u64 = 8 * MAX_HEAD_BYTES as u64;

/// A whole stream: the first byte says in what cut the rest arrives.
pub fn frame(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else {
        return;
    };
    // Outside of what is measured: single bytes take far more memory than a stream's.
    let chunks = cut_up(stream, cut);
    let info = allocation_counter::measure(|| {
        let replay = link::replay(chunks);
        let (frames, end) = read_plainly(stream);
        assert_eq!(replay.frames, frames, "the cut changes nothing");
        assert_eq!(replay.end, end, "the cut changes nothing");
        assert!(replay.peak_bytes <= stream.len());
        for (header, payload) in frames {
            check_payload(header, payload);
        }
    });
    // What is announced and does not come costs no more than one reservation.
    let limit = 16 * stream.len() as u64 + MAX_HEAD_MEMORY_BYTES;
    assert!(info.bytes_max <= limit, "{info:?}, the limit is {limit}");
}

/// A head: the first byte says of what.
pub fn head(data: &[u8]) {
    let Some((&kind, bytes)) = data.split_first() else {
        return;
    };
    if bytes.len() > MAX_HEAD_BYTES {
        return;
    }
    bounded(|| match kind % 3 {
        0 => request_head(bytes),
        1 => response_head(bytes),
        _ => status_head(bytes),
    });
}

/// A hello.
pub fn hello(data: &[u8]) {
    if data.len() > MAX_HEAD_BYTES {
        return;
    }
    bounded(|| {
        let Ok(hello) = Hello::decode(data) else {
            return;
        };
        assert!(hello.services.len() <= limits::MAX_HELLO_SERVICES);
        let sent = written(|out| hello.encode(out));
        assert!(sent.len() <= MAX_HEAD_BYTES);
        let back = Hello::decode(&sent).expect("what was sent is read");
        let names: usize = hello.services.iter().map(|(name, _)| name.len() + 64).sum();
        let fits = |name: &str| name.len() <= limits::MAX_PATH_BYTES;
        if names + 64 <= MAX_HEAD_BYTES && hello.services.iter().all(|(name, _)| fits(name)) {
            assert_eq!(back, hello);
        }
        assert_eq!(written(|out| back.encode(out)), sent);
    });
}

/// A message in postcard.
pub fn message_postcard(data: &[u8]) {
    any_message(Codec::Postcard, data);
}

/// A message in protobuf.
pub fn message_protobuf(data: &[u8]) {
    any_message(Codec::Protobuf, data);
}

fn request_head(bytes: &[u8]) {
    let Ok(head) = RequestHead::decode(bytes) else {
        return;
    };
    if let MethodRef::Path(path) = head.method {
        assert!(path.starts_with('/') && path.len() <= limits::MAX_PATH_BYTES);
    }
    assert!(wire::metadata_fits(&head.metadata));
    let sent = written(|out| {
        RequestHead::encode(
            head.method,
            head.timeout,
            head.priority,
            &head.metadata,
            out,
        );
    });
    assert!(sent.len() <= MAX_HEAD_BYTES);
    assert_eq!(RequestHead::decode(&sent), Ok(head));
}

fn response_head(bytes: &[u8]) {
    let Ok(head) = ResponseHead::decode(bytes) else {
        return;
    };
    assert!(wire::metadata_fits(&head.metadata) && wire::metadata_fits(&head.trailers));
    let sent = written(|out| ResponseHead::encode(&head.metadata, &head.trailers, out));
    assert!(sent.len() <= MAX_HEAD_BYTES);
    assert_eq!(ResponseHead::decode(&sent), Ok(head));
}

fn status_head(bytes: &[u8]) {
    let Ok(status) = StatusHead::decode(bytes) else {
        return;
    };
    assert_ne!(status.code(), Code::Ok);
    assert!(wire::metadata_fits(status.metadata()));
    let sent = written(|out| StatusHead::encode(&status, out));
    assert!(sent.len() <= MAX_HEAD_BYTES);
    let back = StatusHead::decode(&sent).expect("what was sent is read");
    assert_eq!(back.code(), status.code());
    assert_eq!(back.metadata(), status.metadata());
    assert_eq!(back.details(), status.details());
    assert_eq!(back.was_accepted(), status.was_accepted());
    if status.message().len() <= limits::MAX_STATUS_MESSAGE_BYTES {
        assert_eq!(back.message(), status.message());
    } else {
        assert!(status.message().starts_with(back.message()));
    }
}

/// Every way in which a frame's payload is read, on a lane and on a stream of its own.
fn check_payload(header: Header, payload: Bytes) {
    match header.kind {
        FrameType::Request | FrameType::Response => {
            if let Ok((head, message)) = wire::split_call(&payload) {
                assert!(head.len() + message.len() < payload.len());
                request_head(head);
                response_head(head);
            }
            request_head(&payload);
            response_head(&payload);
        }
        FrameType::Error => status_head(&payload),
        FrameType::StreamData => {
            let (mut payload, mut left) = (&payload[..], payload.len());
            while let Ok(Some(message)) = wire::take_message(&mut payload) {
                assert!(message.len() <= limits::MAX_MESSAGE_BYTES);
                assert!(payload.len() + message.len() < left, "it comes to an end");
                left = payload.len();
            }
        }
        FrameType::StreamEnd => response_head(&payload),
        FrameType::Ping | FrameType::Pong => {
            let _ = Hello::decode(&payload);
        }
    }
}

/// The frames of a stream, as the layout says, without a thought for memory.
fn read_plainly(mut rest: &[u8]) -> (Vec<(Header, Bytes)>, Result<(), WireError>) {
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let Some((bytes, after)) = rest.split_first_chunk::<HEADER_BYTES>() else {
            return (frames, Err(WireError::Truncated));
        };
        let header = match Header::decode(bytes) {
            Ok(header) => header,
            Err(error) => return (frames, Err(error)),
        };
        assert_eq!(
            header.encode(),
            *bytes,
            "there is one way to write a header"
        );
        let Some((payload, after)) = after.split_at_checked(header.payload_bytes) else {
            return (frames, Err(WireError::Truncated));
        };
        frames.push((header, Bytes::copy_from_slice(payload)));
        rest = after;
    }
    (frames, Ok(()))
}

/// Cuts a stream into pieces whose lengths `seed` decides: from single bytes to the whole.
pub(super) fn cut_up(stream: &[u8], seed: u8) -> Vec<Bytes> {
    let largest = [1, 2, 7, 24, 25, 1200, 4096, usize::MAX][usize::from(seed % 8)];
    let mut state = u32::from(seed) | 0x100;
    let mut chunks = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = if seed & 8 == 0 {
            largest
        } else {
            state as usize >> 8 & 0xff_ffff
        };
        let length = length.clamp(1, largest).min(rest.len());
        let (chunk, after) = rest.split_at(length);
        chunks.push(Bytes::copy_from_slice(chunk));
        rest = after;
    }
    chunks
}

fn written(write: impl FnOnce(&mut BytesMut)) -> BytesMut {
    let mut out = BytesMut::new();
    write(&mut out);
    out
}

fn bounded(read: impl FnOnce()) {
    let info = allocation_counter::measure(read);
    assert!(info.bytes_max <= MAX_HEAD_MEMORY_BYTES, "{info:?}");
}

/// The first byte says what message it is.
fn any_message(codec: Codec, data: &[u8]) {
    let Some((&kind, bytes)) = data.split_first() else {
        return;
    };
    let bytes = Bytes::copy_from_slice(bytes);
    match kind % 4 {
        0 => check_message::<Wide>(codec, bytes),
        1 => check_message::<Tree>(codec, bytes),
        2 => check_message::<Choice>(codec, bytes),
        _ => check_message::<Lists>(codec, bytes),
    }
}

fn check_message<T: Message + PartialEq + Clone + Debug>(codec: Codec, bytes: Bytes) {
    let length = bytes.len();
    let mut decoded = None;
    let info = allocation_counter::measure(|| decoded = Some(T::decode(codec, bytes)));
    // Twice what was charged, because collections grow by doubling, and the old half while it is copied to the new one.
    let limit = 3 * (proto::MEMORY_FLOOR_BYTES + length * proto::MEMORY_FACTOR) as u64 + 4096;
    assert!(
        info.bytes_max <= limit,
        "{length} bytes took {} of memory, the limit is {limit}",
        info.bytes_max
    );
    let Some(Ok(value)) = decoded else {
        return;
    };
    let sent = encoded(&value, codec);
    let back = match T::decode(codec, sent.clone()) {
        Ok(back) => back,
        // The budget follows the length: what was padded may have had more.
        Err(error) if error.code() == Code::ResourceExhausted && sent.len() < length => return,
        Err(error) => panic!("{value:?} was read, and written, and then: {error}"),
    };
    // Not a number is not itself.
    if value == value.clone() {
        assert_eq!(back, value);
    }
    assert_eq!(encoded(&back, codec).len(), sent.len());
    // What one codec reads, the other carries.
    let other = match codec {
        Codec::Postcard => Codec::Protobuf,
        Codec::Protobuf => Codec::Postcard,
    };
    let _ = T::decode(other, encoded(&value, other));
}

fn encoded<T: Message>(value: &T, codec: Codec) -> Bytes {
    let mut out = BytesMut::new();
    value
        .encode(codec, &mut out)
        .expect("what was read can be written");
    out.freeze()
}
