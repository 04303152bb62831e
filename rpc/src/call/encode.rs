//! One typed message to bytes and back, within a limit. Nothing here knows of sides or shapes.

use std::cell::Cell;

use bytes::{Buf, Bytes, BytesMut};

use crate::codec::Codec;
use crate::{
    message::Message,
    metadata::Metadata,
    method::{AnyCoding, MethodDescriptor},
    status::{Result, Status},
    wire::{
        limits::{MAX_METADATA_BYTES, MAX_METADATA_ENTRIES},
        metadata_fits, set_length,
    },
};

/// Small messages are encoded one behind another into a buffer of this size that the thread keeps: what is encoded is sent and
/// dropped within the call, and then the buffer is free again. So most need no memory of their own; one that is kept, as a handler in
/// the same process may, keeps the buffer.
const SCRATCH_BYTES: usize = 8 * 1024;

/// The messages that are encoded there, at most.
pub(super) const SMALL_BYTES: usize = SCRATCH_BYTES / 4;

thread_local! {
    static SCRATCH: Cell<BytesMut> = Cell::new(BytesMut::new());
}

/// How messages of one type are encoded and decoded.
///
/// A descriptor holds one for its requests and one for its responses, erased. So `T: Message` is asked for where the descriptor is
/// made and nowhere else: a type in a trait that is no message is one error of the compiler, not one for each side.
pub(crate) struct Coding<T> {
    encode: fn(&T, Codec, usize, &str) -> Result<Bytes>,
    encode_owned: fn(T, Codec, usize, &str) -> Result<Bytes>,
    append: fn(&T, Codec, usize, &str, &mut BytesMut) -> Result<Option<Bytes>>,
    decode: Decode<T>,
}

/// Decodes a message of at most so many bytes for a call of this path.
pub(crate) type Decode<T> = fn(Bytes, Codec, usize, &str) -> Result<T>;

impl<T: Message> Coding<T> {
    /// That of messages of this type.
    pub(super) const OF: &'static Self = &Self {
        encode: encode::<T>,
        encode_owned: encode_owned::<T>,
        append: append::<T>,
        decode: decode::<T>,
    };

    /// What a descriptor holds.
    pub(crate) const ERASED: &'static AnyCoding = Self::OF;
}

impl<T: 'static> Coding<T> {
    /// How the requests of a method are encoded.
    pub(crate) fn of_requests(method: &MethodDescriptor) -> &'static Self {
        Self::of(method.request_coding)
    }

    /// How the responses of a method are encoded.
    pub(crate) fn of_responses(method: &MethodDescriptor) -> &'static Self {
        Self::of(method.response_coding)
    }

    fn of(erased: &'static AnyCoding) -> &'static Self {
        erased
            .downcast_ref()
            .expect("a descriptor and the calls of its methods come from the same trait")
    }

    /// Encodes `message`, which may have at most `limit_bytes`.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` if it is longer; the encoder's own.
    pub(crate) fn encode(
        &self,
        message: &T,
        codec: Codec,
        limit_bytes: usize,
        path: &str,
    ) -> Result<Bytes> {
        (self.encode)(message, codec, limit_bytes, path)
    }

    /// Encodes a message that nobody needs any more; see [`encode`](Self::encode).
    ///
    /// # Errors
    /// The same.
    pub(crate) fn encode_owned(
        &self,
        message: T,
        codec: Codec,
        limit_bytes: usize,
        path: &str,
    ) -> Result<Bytes> {
        (self.encode_owned)(message, codec, limit_bytes, path)
    }

    /// Appends a message, which may have at most `limit_bytes`, behind its length; one that is not small is answered in place of
    /// that.
    ///
    /// # Errors
    /// As [`encode`](Self::encode); then `out` is what it was.
    pub(crate) fn append(
        &self,
        message: &T,
        codec: Codec,
        limit_bytes: usize,
        path: &str,
        out: &mut BytesMut,
    ) -> Result<Option<Bytes>> {
        (self.append)(message, codec, limit_bytes, path, out)
    }

    /// Decodes a message, which may have at most `limit_bytes`.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` if it is longer; the decoder's own.
    pub(crate) fn decode(
        &self,
        bytes: Bytes,
        codec: Codec,
        limit_bytes: usize,
        path: &str,
    ) -> Result<T> {
        (self.decode)(bytes, codec, limit_bytes, path)
    }

    /// The decoder alone.
    pub(crate) const fn decoder(&self) -> Decode<T> {
        self.decode
    }
}

fn encode<M: Message>(message: &M, codec: Codec, limit_bytes: usize, path: &str) -> Result<Bytes> {
    if let Some(encoded) = message.encoded(codec) {
        check_size(encoded.len(), limit_bytes, path)?;
        return Ok(encoded.clone());
    }
    // Taken, not borrowed: a message whose encoder encodes another one gets a buffer of its own.
    let mut buffer = SCRATCH.take();
    if buffer.capacity() < SMALL_BYTES {
        buffer.reserve(SCRATCH_BYTES);
    }
    let encoded = message
        .encode(codec, &mut buffer)
        .and_then(|()| check_size(buffer.len(), limit_bytes, path));
    // What could not be sent, and what is large, has grown the buffer: it goes with it.
    encoded?;
    let message = buffer.split().freeze();
    if message.len() <= SMALL_BYTES && buffer.capacity() <= SCRATCH_BYTES {
        SCRATCH.set(buffer);
    }
    Ok(message)
}

fn encode_owned<M: Message>(
    message: M,
    codec: Codec,
    limit_bytes: usize,
    path: &str,
) -> Result<Bytes> {
    match message.into_encoded(codec) {
        Ok(encoded) => {
            check_size(encoded.len(), limit_bytes, path)?;
            Ok(encoded)
        }
        Err(message) => encode(&message, codec, limit_bytes, path),
    }
}

fn append<M: Message>(
    message: &M,
    codec: Codec,
    limit_bytes: usize,
    path: &str,
    out: &mut BytesMut,
) -> Result<Option<Bytes>> {
    if let Some(encoded) = message.encoded(codec)
        && encoded.len() > SMALL_BYTES
    {
        check_size(encoded.len(), limit_bytes, path)?;
        return Ok(Some(encoded.clone()));
    }
    let at = out.len();
    out.extend_from_slice(&[0]);
    let encoded = message
        .encode(codec, out)
        .and_then(|()| check_size(out.len() - at - 1, limit_bytes, path));
    if let Err(status) = encoded {
        out.truncate(at);
        return Err(status);
    }
    if out.len() - at > SMALL_BYTES {
        let mut message = out.split_off(at);
        message.advance(1);
        return Ok(Some(message.freeze()));
    }
    set_length(out, at);
    Ok(None)
}

fn decode<M: Message>(bytes: Bytes, codec: Codec, limit_bytes: usize, path: &str) -> Result<M> {
    check_size(bytes.len(), limit_bytes, path)?;
    M::decode(codec, bytes).map_err(|status| of_method(path, status))
}

#[cold]
fn of_method(path: &str, status: Status) -> Status {
    Status::new(status.code(), format!("{path}: {}", status.message())).with_source(status)
}

/// # Errors
/// `RESOURCE_EXHAUSTED`, with both sizes.
pub(crate) fn check_size(len_bytes: usize, limit_bytes: usize, path: &str) -> Result<()> {
    if len_bytes <= limit_bytes {
        return Ok(());
    }
    Err(Status::resource_exhausted(format!(
        "{path}: a message of {len_bytes} bytes is over the limit of {limit_bytes} bytes; stream it in parts{}",
        if limit_bytes < crate::method::MAX_MESSAGE_BYTES {
            ", or raise the limit on both sides"
        } else {
            ""
        }
    )))
}

/// # Errors
/// `RESOURCE_EXHAUSTED` if there is more metadata than a transport carries.
pub(crate) fn check_metadata(metadata: &Metadata, path: &str, whose: &str) -> Result<()> {
    if metadata_fits(metadata) {
        return Ok(());
    }
    Err(Status::resource_exhausted(format!(
        "{path}: {} entries of {whose} metadata with {} bytes are over the limits of {MAX_METADATA_ENTRIES} entries and {MAX_METADATA_BYTES} bytes",
        metadata.len(),
        metadata.size_bytes()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{call::Batch, code::Code};

    #[test]
    fn a_large_message_leaves_no_large_buffer() {
        for (bytes, limit_bytes) in [(1 << 20, 1 << 21), (1 << 20, 10)] {
            let message = Bytes::from(vec![0; bytes]);
            let _ = encode(&message, Codec::Protobuf, limit_bytes, "/a/B");
            let kept = SCRATCH.take();
            assert!(kept.capacity() <= SCRATCH_BYTES, "{}", kept.capacity());
        }
        let small = encode(&Bytes::from_static(b"x"), Codec::Protobuf, 10, "/a/B").unwrap();
        assert_eq!(small[..], [0x0a, 1, b'x']);
        assert!(SCRATCH.take().capacity() > 0, "it is kept for the next one");
    }

    #[test]
    fn what_cannot_be_appended_leaves_no_trace() {
        let mut out = BytesMut::new();
        let mut append = |message: &str, limit_bytes| {
            append(
                &message.to_owned(),
                Codec::Protobuf,
                limit_bytes,
                "/a/B",
                &mut out,
            )
        };
        assert_eq!(append("x", 3).unwrap(), None);
        append("xy", 3).unwrap_err();
        append(&"x".repeat(SMALL_BYTES), 100).unwrap_err();
        let large = append(&"x".repeat(SMALL_BYTES), 10_000).unwrap().unwrap();
        assert_eq!(large.len(), 3 + SMALL_BYTES);
        assert_eq!(append(&"y".repeat(198), 300).unwrap(), None);
        assert_eq!(append("", 0).unwrap(), None);
        let batch = Batch::received(out.freeze()).unwrap();
        assert_eq!(batch.lengths().collect::<Vec<_>>(), [3, 201, 0]);
    }

    #[test]
    fn a_message_over_the_limit_names_both_sizes() {
        let status = check_size(11, 10, "/a/B").unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(
            status.message(),
            "/a/B: a message of 11 bytes is over the limit of 10 bytes; stream it in parts, or raise the limit on both sides"
        );
        assert!(check_size(10, 10, "/a/B").is_ok());
    }
}
