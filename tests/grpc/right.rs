//! What the gRPC documents say a server answers, and many servers do not.

use blixard_tests::net::soon;
use bytes::{BufMut, BytesMut};
use http::Request;

use crate::{
    raw::{Raw, bytes_value, flagged, framed, read, request},
    target::serve,
};

const OK: u32 = 0;
const UNKNOWN: u32 = 2;
const DEADLINE_EXCEEDED: u32 = 4;
const RESOURCE_EXHAUSTED: u32 = 8;
const UNIMPLEMENTED: u32 = 12;
const INTERNAL: u32 = 13;

const LIMIT: usize = 10 * 1024 * 1024;

#[tokio::test]
async fn a_message_over_the_limit_is_resource_exhausted() {
    let (server, _) = serve().await;
    let raw = Raw::connect(&server).await;
    // By its prefix alone: not a byte of it is waited for.
    let mut prefix = BytesMut::new();
    prefix.put_u8(0);
    prefix.put_u32(LIMIT as u32 + 1);
    let reply = raw
        .send(request("Echo").body(()).unwrap(), &[&prefix])
        .await;
    reply.check(RESOURCE_EXHAUSTED, "10485761 bytes");
    let reply = raw.call("Small", &[&bytes_value(&[7; 2000])]).await;
    reply.check(RESOURCE_EXHAUSTED, "2003 bytes");
    raw.still_works().await;
}

#[tokio::test]
async fn a_panic_is_unknown_and_its_siblings_go_on() {
    let (server, subject) = serve().await;
    let raw = Raw::connect(&server).await;
    let sibling = tokio::spawn({
        let raw = raw.clone();
        async move { raw.call("Wait", &[b""]).await }
    });
    soon(subject.begins.notified()).await;
    for _ in 0..3 {
        let reply = raw.call("Panic", &[b""]).await;
        reply.check(UNKNOWN, "panicked");
        assert!(!reply.message().contains("as asked"), "{reply:?}");
    }
    subject.go.send_replace(true);
    sibling.await.unwrap().check(OK, "");
}

#[tokio::test]
async fn a_time_out_that_cannot_be_read_is_internal_and_none_left_is_deadline_exceeded() {
    let (server, subject) = serve().await;
    let raw = Raw::connect(&server).await;
    let with_timeout = |timeout: &str| {
        let request = request("Wait").header("grpc-timeout", timeout);
        request.body(()).unwrap()
    };
    for timeout in [
        "",
        "1",
        "S",
        "1s",
        "-1S",
        "+1S",
        "1.5S",
        "123456789S",
        "1 S",
        "1SS",
        "x",
    ] {
        let reply = raw.send(with_timeout(timeout), &[&framed(b"")]).await;
        reply.check(INTERNAL, "grpc-timeout");
    }
    for timeout in ["0n", "0u", "0m", "0S", "0M", "0H", "00000000S"] {
        let reply = raw.send(with_timeout(timeout), &[&framed(b"")]).await;
        reply.check(DEADLINE_EXCEEDED, "deadline");
    }
    assert_eq!(subject.begun(), 0);
    for timeout in ["1n", "20m", "00000020m"] {
        let reply = raw.send(with_timeout(timeout), &[&framed(b"")]).await;
        reply.check(DEADLINE_EXCEEDED, "deadline");
    }
    subject.go.send_replace(true);
    for timeout in ["99999999H", "1M"] {
        let reply = raw.send(with_timeout(timeout), &[&framed(b"")]).await;
        reply.check(OK, "");
    }
}

#[tokio::test]
async fn what_is_no_grpc_is_answered_by_http() {
    let (server, _) = serve().await;
    let raw = Raw::connect(&server).await;
    let post = || Request::post("http://localhost/raw.v1.Target/Echo");
    let typed = |value: &str| post().header("content-type", value).body(()).unwrap();
    let echo = framed(&bytes_value(b"a"));
    for request in [
        post().body(()).unwrap(),
        typed(""),
        typed("text/plain"),
        typed("application/json"),
        typed("application/grpcx"),
        typed("application/grpc-web+proto"),
        typed("Application/GRPC"),
    ] {
        let reply = raw.send(request, &[&echo]).await;
        assert_eq!((reply.http, reply.code()), (415, None), "{reply:?}");
        assert_eq!(reply.head["accept"], "application/grpc");
    }
    for value in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc;charset=utf-8",
        "application/grpc+proto;a=b",
    ] {
        raw.send(typed(value), &[&echo]).await.check(OK, "");
    }
    let reply = raw.send(typed("application/grpc+json"), &[&echo]).await;
    reply.check(UNIMPLEMENTED, "json");
    let get = Request::get("http://localhost/raw.v1.Target/Echo")
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let reply = raw.send(get, &[]).await;
    assert_eq!((reply.http, reply.code()), (405, None));
    assert_eq!(reply.head["allow"], "POST");
}

#[tokio::test]
async fn two_messages_or_none_where_there_is_one_are_unimplemented() {
    let (server, subject) = serve().await;
    let raw = Raw::connect(&server).await;
    let message = bytes_value(b"a");
    for method in ["Echo", "Wait", "Stall"] {
        let message: &[u8] = if method == "Echo" { &message } else { b"" };
        for messages in [&[message, message][..], &[message; 3], &[]] {
            raw.call(method, messages)
                .await
                .check(UNIMPLEMENTED, "exactly one");
        }
        // Not even a body.
        let reply = raw.send(request(method).body(()).unwrap(), &[]).await;
        reply.check(UNIMPLEMENTED, "exactly one");
        // The second one in a chunk of its own, a little later.
        let reply = raw
            .send(
                request(method).body(()).unwrap(),
                &[&framed(message), b"", &framed(message)],
            )
            .await;
        reply.check(UNIMPLEMENTED, "exactly one");
    }
    assert_eq!(subject.begun(), 0);
}

#[tokio::test]
async fn what_is_not_there_is_unimplemented() {
    let (server, _) = serve().await;
    let raw = Raw::connect(&server).await;
    for (path, says) in [
        ("/raw.v1.Target/Nothing", "no method"),
        ("/raw.v1.Target/echo", "no method"),
        ("/raw.v1.Target/Echo/", "no method"),
        ("/raw.v1.Target/", "no method"),
        ("/raw.v1.Target/Echo?", "no method \"Echo?\""),
        ("/raw.v1.Target/Echo?a=b", "no method \"Echo?a=b\""),
        ("/raw.v1.Target?/Echo", "raw.v1.Target?"),
        ("/raw.v1.Nobody/Echo", "raw.v1.Nobody"),
        ("/raw.v1.Target", "path"),
        ("/", "path"),
    ] {
        let request = Request::post(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .body(())
            .unwrap();
        let reply = raw.send(request, &[&framed(&[0xff; 100])]).await;
        reply.check(UNIMPLEMENTED, says);
        assert_eq!(reply.head["blixard-not-accepted"], "1");
    }
}

#[tokio::test]
async fn what_cannot_be_parsed_is_internal() {
    let (server, _) = serve().await;
    let raw = Raw::connect(&server).await;
    for message in [&[0xff; 9][..], &[0x0a, 5, 1], &[0x08, 1], &[0x0b]] {
        raw.call("Echo", &[message]).await.check(INTERNAL, "Echo");
    }
    let send = |chunks: &'static [&'static [u8]]| {
        let raw = raw.clone();
        async move { raw.send(request("Echo").body(()).unwrap(), chunks).await }
    };
    // A flag that is none, seen before anything follows it.
    send(&[&[2]]).await.check(INTERNAL, "flag 2");
    send(&[&[255, 0, 0, 0, 0]])
        .await
        .check(INTERNAL, "flag 255");
    // Compressed, and nothing says how.
    send(&[&[1, 0, 0, 0, 0]])
        .await
        .check(INTERNAL, "compressed");
    // The end in the middle of a message, or of its prefix.
    send(&[&[0, 0, 0, 0, 5, 1, 2]])
        .await
        .check(INTERNAL, "middle of a message");
    send(&[&[0, 0, 0]])
        .await
        .check(INTERNAL, "middle of a message");
    raw.still_works().await;
}

#[tokio::test]
async fn an_encoding_that_is_not_read_is_unimplemented_and_those_that_are_are_said() {
    let (server, _) = serve().await;
    let raw = Raw::connect(&server).await;
    let message = bytes_value(b"a");
    let encoded = |encoding: &str| {
        let request = request("Echo").header("grpc-encoding", encoding);
        request.body(()).unwrap()
    };
    for encoding in ["deflate", "snappy", "", "GZIP", "gzip,zstd"] {
        let reply = raw.send(encoded(encoding), &[&flagged(1, &message)]).await;
        reply.check(UNIMPLEMENTED, "encoding");
        assert_eq!(reply.head["grpc-accept-encoding"], "identity,zstd,gzip");
    }
    raw.send(encoded("identity"), &[&framed(&message)])
        .await
        .check(OK, "");
    // Not every message is compressed where some are.
    raw.send(encoded("gzip"), &[&framed(&message)])
        .await
        .check(OK, "");
    // What says that it is compressed and is not.
    for encoding in ["gzip", "zstd"] {
        let reply = raw.send(encoded(encoding), &[&flagged(1, &message)]).await;
        reply.check(INTERNAL, encoding);
    }
    raw.still_works().await;
}

#[tokio::test]
async fn responses_are_compressed_only_if_that_was_asked_for() {
    let (server, _) = serve().await;
    let raw = Raw::connect(&server).await;
    let asked = request("Echo").header("grpc-accept-encoding", "gzip,zstd");
    let message = bytes_value(&[7; 1000]);
    let reply = raw
        .send(asked.body(()).unwrap(), &[&framed(&message)])
        .await;
    reply.check(OK, "");
    assert_eq!(reply.body, framed(&message));
    assert!(!reply.head.contains_key("grpc-encoding"));
}

#[tokio::test]
async fn a_deadline_is_kept_over_whole_streams() {
    let (server, subject) = serve().await;
    let raw = Raw::connect(&server).await;
    let with_timeout = |method: &str| {
        let request = request(method).header("grpc-timeout", "200m");
        request.body(()).unwrap()
    };
    // A response stream that waits, and one that is always ready.
    let reply = raw.send(with_timeout("Stall"), &[&framed(b"")]).await;
    reply.check(DEADLINE_EXCEEDED, "deadline");
    assert_eq!(reply.body.len(), 5, "one item came, of no bytes");
    let reply = raw.send(with_timeout("Pour"), &[&framed(&[0x10, 1])]).await;
    reply.check(DEADLINE_EXCEEDED, "deadline");
    assert!(!reply.body.is_empty());
    // A request stream that is never ended.
    let mut send = raw.0.clone();
    let (response, mut stream) = send.send_request(with_timeout("Sum"), false).unwrap();
    stream.send_data(framed(&[8, 1]), false).unwrap();
    soon(read(response))
        .await
        .check(DEADLINE_EXCEEDED, "deadline");
    // And a request message that never comes to its end.
    let (response, mut stream) = send.send_request(with_timeout("Echo"), false).unwrap();
    stream.send_data(framed(&[8, 1]).slice(..6), false).unwrap();
    soon(read(response))
        .await
        .check(DEADLINE_EXCEEDED, "deadline");
    soon(subject.ended(3)).await;
}

#[tokio::test]
async fn metadata_is_base64_where_it_is_binary_and_within_its_limit() {
    let (server, _) = serve().await;
    let raw = Raw::connect(&server).await;
    let echo = framed(&bytes_value(b"a"));
    let with = |key: &str, value: String| request("Echo").header(key, value).body(()).unwrap();
    for value in ["A", "A===", "!!", "AA==AA=="] {
        let reply = raw.send(with("k-bin", value.to_owned()), &[&echo]).await;
        reply.check(INTERNAL, "k-bin");
    }
    for value in ["", "AA", "AA==", "AA,AQ=="] {
        raw.send(with("k-bin", value.to_owned()), &[&echo])
            .await
            .check(OK, "");
    }
    // 8 KiB as metadata counts, and a byte.
    let fits = "x".repeat(8192 - 32 - 1);
    raw.send(with("k", fits.clone()), &[&echo])
        .await
        .check(OK, "");
    let reply = raw.send(with("k", fits + "x"), &[&echo]).await;
    reply.check(RESOURCE_EXHAUSTED, "8193 bytes");
    // More than is read at all: HTTP/2 itself says so.
    let reply = raw.send(with("k", "x".repeat(17_000)), &[&echo]).await;
    assert_eq!((reply.http, reply.code()), (431, None), "{reply:?}");
    raw.still_works().await;
}
