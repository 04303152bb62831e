//! What must hold for any bytes that a gRPC peer sends: one function a fuzz target. Nothing here knows of a fuzzer.

use std::time::Duration;

use blixard_rpc::{
    Code, Result, Router, Streaming, iroh_service,
    transport::grpc::{Encoding, replay},
};
use bytes::{Bytes, BytesMut};

use super::checks::cut_up;

/// The most that a message may have here: small, so that what is over it is found soon.
const MAX_MESSAGE_BYTES: usize = 4096;

/// What a connection may take in memory beside what it was sent: HTTP/2's tables and buffers, and a few messages.
const CONNECTION_BYTES: u64 = 4 * 1024 * 1024;

/// What stands before a message.
const PREFIX_BYTES: usize = 5;

/// What a client says first on a connection.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The body of a call: the first byte says in what cut it arrives, the second how messages are compressed.
pub fn messages(data: &[u8]) {
    let [cut, encoding, body @ ..] = data else {
        return;
    };
    let encoding = [None, Some(Encoding::Gzip), Some(Encoding::Zstd)][usize::from(encoding % 3)];
    let chunks = cut_up(body, *cut);
    let mut read = None;
    let info = allocation_counter::measure(|| {
        let alone = replay::requests(chunks.clone(), encoding, MAX_MESSAGE_BYTES, false);
        let together = replay::requests(chunks.clone(), encoding, MAX_MESSAGE_BYTES, true);
        assert_eq!(alone.0, together.0, "what is read together is the same");
        assert_eq!(code(&alone.1), code(&together.1));
        read = Some(alone);
    });
    let (read, end) = read.expect("it was read");
    // What comes out of compressed messages is kept here, twice; and what is announced, and does not come, costs one reservation.
    let made: usize = read.iter().map(Bytes::len).sum();
    let limit = (8 * (body.len() + made) + 1024 * 1024) as u64;
    assert!(info.bytes_max <= limit, "{info:?}, the limit is {limit}");
    assert!(
        read.iter()
            .all(|message| message.len() <= MAX_MESSAGE_BYTES)
    );
    if encoding.is_none() {
        let (plain, ends) = read_plainly(body);
        assert_eq!(read, plain, "the cut changes nothing");
        assert_eq!(code(&end), ends);
    }
}

/// A block of headers, or trailers: names and values behind their lengths.
pub fn headers(data: &[u8]) {
    let mut pairs = Vec::new();
    let mut rest = data;
    while let Some((name, after)) = take(rest)
        && let Some((value, after)) = take(after)
    {
        pairs.push((name, value));
        rest = after;
    }
    let block = replay::block(&pairs);
    if let Some(metadata) = replay::read_metadata(&block) {
        let written = replay::write_metadata(&metadata);
        assert_eq!(replay::read_metadata(&written), Some(metadata));
    }
    match replay::read_status(&block) {
        None | Some(Ok(_)) => {}
        Some(Err(status)) => {
            assert_ne!(status.code(), Code::Ok);
            let written = replay::write_status(&status);
            let Some(Err(back)) = replay::read_status(&written) else {
                panic!("{status:?} became {written:?}");
            };
            assert_eq!(back.code(), status.code());
            assert_eq!(back.was_accepted(), status.was_accepted());
            // What is too long is cut, or left out: and then it is written the same again.
            assert!(status.message().starts_with(back.message()));
            assert_eq!(replay::write_status(&back), written);
        }
    }
    for (_, value) in pairs {
        if let Some(timeout) = replay::read_timeout(value) {
            let written = replay::write_timeout(timeout).expect("it had room before");
            let back = replay::read_timeout(written.as_bytes()).expect("what was written is read");
            assert!(back >= timeout, "{timeout:?} became {back:?}");
            assert!(back - timeout <= timeout / 10_000 + Duration::from_nanos(1));
        }
    }
}

/// A connection: the first byte says in what cut it arrives, and what the rest is. Bytes as they are; or frames of HTTP/2, each a type,
/// flags, a stream, a length in two bytes, and so much of what follows.
pub fn connection(data: &[u8]) {
    let Some((&cut, rest)) = data.split_first() else {
        return;
    };
    let mut stream = BytesMut::from(PREFACE);
    if cut & 16 == 0 {
        stream.extend_from_slice(rest);
    } else {
        frames(rest, &mut stream);
    }
    let chunks = cut_up(&stream, cut);
    let info = allocation_counter::measure(|| {
        let router = Router::new().add(FuzzServer::new(Echo));
        drop(replay::serve(router, chunks.clone(), MAX_MESSAGE_BYTES));
    });
    let limit = CONNECTION_BYTES + 64 * stream.len() as u64;
    assert!(info.bytes_max <= limit, "{info:?}, the limit is {limit}");
}

/// What is called on a connection.
#[iroh_service(package = "fuzz.v1")]
trait Fuzz {
    async fn put(&self, text: String) -> Result<String>;
    async fn list(&self, count: u32) -> Result<Streaming<u32>>;
    async fn gather(&self, texts: Streaming<String>) -> Result<u64>;
    async fn chat(&self, texts: Streaming<String>) -> Result<Streaming<String>>;
    #[rpc(oneway)]
    async fn note(&self, text: String);
}

struct Echo;

impl Fuzz for Echo {
    async fn put(&self, text: String) -> Result<String> {
        Ok(text)
    }

    async fn list(&self, count: u32) -> Result<Streaming<u32>> {
        Ok(Streaming::from_iter(0..count % 1000))
    }

    async fn gather(&self, mut texts: Streaming<String>) -> Result<u64> {
        let mut bytes = 0;
        while let Some(text) = texts.next().await {
            bytes += text?.len() as u64;
        }
        Ok(bytes)
    }

    async fn chat(&self, texts: Streaming<String>) -> Result<Streaming<String>> {
        Ok(texts)
    }

    async fn note(&self, _: String) {}
}

/// Frames whose lengths are right.
fn frames(mut rest: &[u8], out: &mut BytesMut) {
    while let [kind, flags, stream, high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (payload, after) = after.split_at(length);
        put_frame(*kind, *flags, *stream, payload, out);
        rest = after;
    }
}

/// Writes a frame of HTTP/2.
pub(super) fn put_frame(kind: u8, flags: u8, stream: u8, payload: &[u8], out: &mut BytesMut) {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&[kind, flags, 0, 0, 0, stream]);
    out.extend_from_slice(payload);
}

/// The messages of a body that are not compressed, as the layout says, and what their end is told as.
fn read_plainly(mut rest: &[u8]) -> (Vec<Bytes>, Code) {
    let mut messages = Vec::new();
    loop {
        match rest {
            [] => return (messages, Code::Ok),
            [2..=255, ..] => return (messages, Code::Internal),
            _ => {}
        }
        let Some((prefix, after)) = rest.split_first_chunk::<PREFIX_BYTES>() else {
            return (messages, Code::Internal);
        };
        let [flag, length @ ..] = *prefix;
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_MESSAGE_BYTES {
            return (messages, Code::ResourceExhausted);
        }
        let Some((message, after)) = after.split_at_checked(length).filter(|_| flag == 0) else {
            return (messages, Code::Internal);
        };
        messages.push(Bytes::copy_from_slice(message));
        rest = after;
    }
}

fn code(end: &Result<()>) -> Code {
    end.as_ref().err().map_or(Code::Ok, |status| status.code())
}

/// Bytes behind their number, in one byte.
fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}
