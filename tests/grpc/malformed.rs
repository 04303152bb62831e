//! HTTP/2 that is none: what the server makes of it, and that nobody else notices.

use blixard_tests::net::soon;
use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    frames::{
        self, END_HEADERS, END_STREAM, Kind, Raw as Frames, block, call, call_headers, data, frame,
    },
    raw::{Raw, framed},
    target::serve,
};

const PROTOCOL_ERROR: u32 = 1;

/// What a case ends with.
enum Ends {
    /// The connection, with a code in a GOAWAY. Which one is the affair of `h2`, which knows fewer than RFC 9113 has.
    Connection,
    /// Stream 1, by a RST_STREAM for a protocol error; the connection goes on.
    Stream,
}

#[tokio::test]
async fn frames_that_break_the_protocol_end_their_stream_or_connection() {
    let (server, _) = serve().await;
    let honest = Raw::connect(&server).await;
    let call_with = |extra: &[(&str, &str)], flags| {
        let headers = call_headers("Echo");
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .chain(extra.iter().copied())
            .collect();
        frame(Kind::HEADERS, flags, 1, &block(&headers))
    };
    let without = |left_out: &str| {
        let headers = call_headers("Echo");
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .filter(|(name, _)| *name != left_out)
            .collect();
        frame(Kind::HEADERS, END_HEADERS | END_STREAM, 1, &block(&headers))
    };
    let both = |first: &[u8], second: &[u8]| {
        let mut out = BytesMut::new();
        out.put_slice(first);
        out.put_slice(second);
        out.freeze()
    };
    let cases = [
        ("DATA on stream 0", data(0, b"x", false), Ends::Connection),
        (
            "DATA on a stream that was not opened",
            data(1, b"x", false),
            Ends::Connection,
        ),
        (
            "HEADERS on stream 0",
            frame(Kind::HEADERS, END_HEADERS, 0, &block(&[])),
            Ends::Connection,
        ),
        (
            "HEADERS on an even stream",
            call(2, "Echo"),
            Ends::Connection,
        ),
        (
            "an older stream than the last",
            both(&call(5, "Wait"), &call(3, "Wait")),
            Ends::Connection,
        ),
        (
            "a frame larger than may be",
            frame(Kind::DATA, 0, 1, &vec![0; 70_000]),
            Ends::Connection,
        ),
        (
            "SETTINGS of five bytes",
            frame(Kind::SETTINGS, 0, 0, &[0; 5]),
            Ends::Connection,
        ),
        (
            "SETTINGS on a stream",
            frame(Kind::SETTINGS, 0, 1, &[]),
            Ends::Connection,
        ),
        (
            "a window of 2^31",
            frame(Kind::SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]),
            Ends::Connection,
        ),
        (
            "PING of seven bytes",
            frame(Kind::PING, 0, 0, &[0; 7]),
            Ends::Connection,
        ),
        (
            "PING on a stream",
            frame(Kind::PING, 0, 1, &[0; 8]),
            Ends::Connection,
        ),
        (
            "WINDOW_UPDATE of 0",
            frame(Kind::WINDOW_UPDATE, 0, 0, &[0; 4]),
            Ends::Connection,
        ),
        (
            "a window that overflows",
            frame(Kind::WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
            Ends::Connection,
        ),
        (
            "RST_STREAM of a stream that was not opened",
            frame(Kind::RST_STREAM, 0, 1, &[0; 4]),
            Ends::Connection,
        ),
        (
            "PUSH_PROMISE from a client",
            both(
                &call(1, "Wait"),
                &frame(Kind::PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
            ),
            Ends::Connection,
        ),
        (
            "CONTINUATION of nothing",
            frame(Kind::CONTINUATION, END_HEADERS, 1, &[]),
            Ends::Connection,
        ),
        (
            "another frame within a block of headers",
            both(&call_with(&[], 0), &frame(Kind::PING, 0, 0, &[0; 8])),
            Ends::Connection,
        ),
        (
            "a block that is no HPACK",
            frame(Kind::HEADERS, END_HEADERS, 1, &[0xff; 20]),
            Ends::Connection,
        ),
        (
            "padding longer than its frame",
            frame(Kind::HEADERS, END_HEADERS | 8, 1, &[200, 0]),
            Ends::Connection,
        ),
        (
            "a name in capitals",
            call_with(&[("Name", "x")], END_HEADERS),
            Ends::Connection,
        ),
        (
            "a header of HTTP/1's",
            call_with(&[("connection", "close")], END_HEADERS),
            Ends::Stream,
        ),
        (
            "another TE than trailers",
            call_with(&[("te", "gzip")], END_HEADERS),
            Ends::Stream,
        ),
        (
            "a pseudo-header after others",
            call_with(&[(":status", "200")], END_HEADERS),
            Ends::Stream,
        ),
        ("no method", without(":method"), Ends::Stream),
        ("no path", without(":path"), Ends::Stream),
        (
            "a path that is none",
            {
                let headers = [
                    (":method", "POST"),
                    (":scheme", "http"),
                    (":path", "no path"),
                    ("content-type", "application/grpc"),
                ];
                frame(Kind::HEADERS, END_HEADERS | END_STREAM, 1, &block(&headers))
            },
            Ends::Stream,
        ),
        (
            "a length that the body has not",
            both(
                &call_with(&[("content-length", "7")], END_HEADERS),
                &data(1, &framed(b""), true),
            ),
            Ends::Stream,
        ),
        (
            "trailers that do not end the stream",
            both(
                &call(1, "Wait"),
                &frame(Kind::HEADERS, END_HEADERS, 1, &block(&[("x", "y")])),
            ),
            Ends::Stream,
        ),
    ];
    for (what, bytes, ends) in cases {
        let mut raw = Frames::connect(&server).await;
        raw.send(&bytes).await;
        match ends {
            Ends::Connection => {
                let code = raw.closed().await;
                assert!(code.is_some_and(|code| code != 0), "{what}: {code:?}");
            }
            Ends::Stream => {
                let reset = raw.find(|frame| frame.stream == 1).await;
                let reset = reset.unwrap_or_else(|| panic!("{what}: the connection was closed"));
                let code = (reset.kind, reset.error_code());
                assert_eq!(code, (Kind::RST_STREAM, Some(PROTOCOL_ERROR)), "{what}");
                raw.send(&frame(Kind::PING, 0, 0, &[7; 8])).await;
                raw.wait_for(|frame| frame.kind == Kind::PING && frame.flags == 1)
                    .await;
            }
        }
        honest.still_works().await;
    }
}

#[tokio::test]
async fn what_is_no_http2_at_all_is_closed() {
    let (server, _) = serve().await;
    let honest = Raw::connect(&server).await;
    for bytes in [
        &b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &[0; 64],
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ] {
        let mut stream = tokio::net::TcpStream::connect(server.local_addr().unwrap())
            .await
            .unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.write_all(&[0; 64]).await.unwrap();
        let mut answer = Vec::new();
        let _ = soon(stream.read_to_end(&mut answer)).await;
        honest.still_works().await;
    }
}

#[tokio::test]
async fn a_connection_that_ends_anywhere_harms_nothing() {
    let (server, subject) = serve().await;
    let honest = Raw::connect(&server).await;
    let mut all = BytesMut::new();
    all.put_slice(frames::PREFACE);
    all.put_slice(&frame(Kind::SETTINGS, 0, 0, &[]));
    all.put_slice(&call(1, "Sum"));
    all.put_slice(&data(1, &framed(&[8, 1]), false));
    for end in (0..all.len()).step_by(7) {
        let mut raw = Frames::silent(&server).await;
        raw.send(&all[..end]).await;
    }
    let mut raw = Frames::silent(&server).await;
    raw.send(&all).await;
    soon(async {
        while subject.begun() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(raw);
    honest.still_works().await;
    // Whatever had begun has ended with its connection.
    soon(async {
        while *subject.ended.borrow() < subject.begun() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn nested_bombs_are_within_their_budgets() {
    let (server, _) = serve().await;
    let raw = Raw::connect(&server).await;
    // A hundred levels are allowed; a million, and a million empty branches, are not.
    let nested = |levels: usize| {
        let mut inner = BytesMut::new();
        for _ in 0..levels {
            let mut outer = BytesMut::new();
            outer.put_u8(0x0a);
            prost::encoding::encode_varint(inner.len() as u64, &mut outer);
            outer.put_slice(&inner);
            inner = outer;
        }
        inner
    };
    raw.call("Tree", &[&nested(99)]).await.check(0, "");
    for levels in [101, 2000] {
        raw.call("Tree", &[&nested(levels)]).await.check(8, "Tree");
    }
    let mut wide = BytesMut::new();
    for _ in 0..1_000_000 {
        wide.put_slice(&[0x0a, 0]);
    }
    let reply = raw.call("Tree", &[&wide]).await;
    assert!(matches!(reply.code(), Some(0 | 8)), "{:?}", reply.code());
    raw.still_works().await;
}
