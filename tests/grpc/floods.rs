//! Floods: more of something than anybody needs. Memory stays within limits with names, and siblings notice nothing.

use std::io::Write as _;

use blixard_rpc::transport::grpc::GrpcConfig;
use blixard_tests::net::soon;
use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    frames::{END_HEADERS, Kind, Raw as Frames, block, call, data, frame},
    raw::{Raw, bytes_value, flagged, framed, read, request},
    target::{serve, serve_with},
};

const RESOURCE_EXHAUSTED: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

#[tokio::test]
async fn calls_that_are_reset_at_once_harm_nobody() {
    let (server, subject) = serve().await;
    let honest = Raw::connect(&server).await;
    let mut raw = Frames::connect(&server).await;
    let mut sent = 0;
    for round in 0..100 {
        let mut burst = BytesMut::new();
        for at in 0..200 {
            let stream = 2 * (round * 200 + at) + 1;
            burst.put_slice(&call(stream, "Wait"));
            burst.put_slice(&data(stream, &framed(b""), true));
            burst.put_slice(&frame(Kind::RST_STREAM, 0, stream, &[0, 0, 0, 8]));
            sent += 1;
        }
        raw.send(&burst).await;
        honest.still_works().await;
    }
    // Those that were begun were dropped with their streams.
    drop(raw);
    soon(async {
        while *subject.ended.borrow() < subject.begun() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(subject.begun() <= sent);
    honest.still_works().await;
}

#[tokio::test]
async fn more_calls_than_may_be_are_refused() {
    let config = GrpcConfig {
        max_calls_per_connection: 4,
        max_calls: 6,
        ..GrpcConfig::default()
    };
    let (server, subject) = serve_with(config).await;
    // A client that does not keep to what it is told: HTTP/2 refuses the stream.
    let mut raw = Frames::connect(&server).await;
    for stream in [1, 3, 5, 7, 9] {
        raw.send(&call(stream, "Wait")).await;
        raw.send(&data(stream, &framed(b""), true)).await;
    }
    let reset = raw.wait_for(|frame| frame.stream == 9).await;
    assert_eq!(
        (reset.kind, reset.error_code()),
        (Kind::RST_STREAM, Some(7))
    );
    while subject.begun() < 4 {
        soon(subject.begins.notified()).await;
    }
    // Two more on another connection, and then no more.
    let other = Raw::connect(&server).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let other = other.clone();
        waiting.push(tokio::spawn(
            async move { other.call("Wait", &[b""]).await },
        ));
    }
    while subject.begun() < 6 {
        soon(subject.begins.notified()).await;
    }
    let reply = other.call("Echo", &[b""]).await;
    reply.check(RESOURCE_EXHAUSTED, "6 calls are in flight");
    assert_eq!(reply.head["blixard-not-accepted"], "1");
    subject.go.send_replace(true);
    for reply in waiting {
        reply.await.unwrap().check(0, "");
    }
    other.still_works().await;
}

#[tokio::test]
async fn more_connections_than_may_be_are_closed() {
    let config = GrpcConfig {
        max_connections: 2,
        ..GrpcConfig::default()
    };
    let (server, _) = serve_with(config).await;
    let (one, two) = (Raw::connect(&server).await, Raw::connect(&server).await);
    one.still_works().await;
    two.still_works().await;
    let mut third = Frames::silent(&server).await;
    assert_eq!(third.closed().await, None);
    drop(two);
    soon(async {
        while server.connections() > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    Raw::connect(&server).await.still_works().await;
}

#[tokio::test]
async fn floods_of_headers_are_not_kept() {
    let (server, _) = serve().await;
    let honest = Raw::connect(&server).await;
    // One block without an end, in frames of 16 KiB.
    let mut raw = Frames::connect(&server).await;
    let filler = block(&[("x", &"y".repeat(16_000))]);
    let mut first =
        BytesMut::from(&block(&[(":method", "POST"), (":scheme", "http"), (":path", "/")])[..]);
    first.put_slice(&filler);
    raw.send(&frame(Kind::HEADERS, 0, 1, &first)).await;
    for _ in 0..1000 {
        raw.send(&frame(Kind::CONTINUATION, 0, 1, &filler)).await;
    }
    let code = raw.closed().await;
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    honest.still_works().await;

    // Blocks that are too large, one after the other: each call is refused, the connection goes on.
    let mut raw = Frames::connect(&server).await;
    for stream in (1..200).step_by(2) {
        let mut headers = vec![(":method", "POST"), (":scheme", "http"), (":path", "/a/B")];
        let long = "y".repeat(10_000);
        headers.extend([
            ("content-type", "application/grpc"),
            ("x", &*long),
            ("z", &*long),
        ]);
        let block = block(&headers);
        raw.send(&frame(Kind::HEADERS, 0, stream, &block[..16_000]))
            .await;
        raw.send(&frame(
            Kind::CONTINUATION,
            END_HEADERS,
            stream,
            &block[16_000..],
        ))
        .await;
        let answer = raw.wait_for(|frame| frame.stream == stream).await;
        assert_eq!(answer.kind, Kind::HEADERS, "431 by HTTP/2");
    }
    honest.still_works().await;
}

#[tokio::test]
async fn floods_of_frames_that_say_nothing_are_answered_in_order_or_ended() {
    let (server, _) = serve().await;
    let honest = Raw::connect(&server).await;
    let floods = [
        frame(Kind::PING, 0, 0, &[7; 8]),
        frame(Kind::SETTINGS, 0, 0, &[]),
        frame(Kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 16]),
        data(1, b"", false),
        // A type that nobody knows.
        frame(Kind(0xee), 0, 0, &[0; 100]),
    ];
    for flood in floods {
        let mut raw = Frames::connect(&server).await;
        raw.send(&call(1, "Sum")).await;
        let mut burst = BytesMut::new();
        for _ in 0..20_000 {
            burst.put_slice(&flood);
        }
        // Nobody reads what is answered: the server must not keep it all.
        let send = async { raw.send(&burst).await };
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), send).await;
        honest.still_works().await;
        drop(raw);
    }
    honest.still_works().await;
}

#[tokio::test]
async fn bombs_are_refused_before_they_are_whole() {
    let (server, _) = serve().await;
    let raw = Raw::connect(&server).await;
    // 200 MiB of zeros in some hundred kilobytes.
    let zeros = vec![0; 1 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    for _ in 0..200 {
        gzip.write_all(&zeros).unwrap();
        zstd.write_all(&zeros).unwrap();
    }
    for (encoding, bomb) in [
        ("gzip", gzip.finish().unwrap()),
        ("zstd", zstd.finish().unwrap()),
    ] {
        assert!(bomb.len() < 1 << 20);
        let call = request("Echo").header("grpc-encoding", encoding);
        let reply = raw
            .send(call.body(()).unwrap(), &[&flagged(1, &bomb)])
            .await;
        reply.check(RESOURCE_EXHAUSTED, "decompressed");
    }
    // A window of 2 GiB, asked for in a few bytes.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8];
    frame.extend([0x01, 0x00, 0x00]);
    let call = request("Echo").header("grpc-encoding", "zstd");
    let reply = raw
        .send(call.body(()).unwrap(), &[&flagged(1, &frame)])
        .await;
    reply.check(13, "zstd");
    raw.still_works().await;
}

#[tokio::test]
async fn a_thousand_lengths_alone_hold_no_memory_and_stop_nobody() {
    let (server, _) = serve().await;
    let raw = Raw::connect(&server).await;
    let mut held = Vec::new();
    let mut prefix = BytesMut::new();
    prefix.put_u8(0);
    prefix.put_u32(10 * 1024 * 1024);
    let prefix = prefix.freeze();
    for _ in 0..1000 {
        let mut send = raw.0.clone().ready().await.unwrap();
        let call = request("Echo").body(()).unwrap();
        let (response, mut stream) = send.send_request(call, false).unwrap();
        stream.send_data(prefix.clone(), false).unwrap();
        held.push((response, stream));
    }
    raw.still_works().await;
    // Each ends where it stands.
    let (response, mut stream) = held.pop().unwrap();
    stream.send_data(Bytes::new(), true).unwrap();
    soon(read(response)).await.check(13, "middle of a message");
    drop(held);
    raw.still_works().await;
}

#[tokio::test]
async fn requests_that_do_not_come_whole_have_a_limit_together() {
    let config = GrpcConfig {
        max_inbound_bytes: 3 << 20,
        ..GrpcConfig::default()
    };
    let (server, _) = serve_with(config).await;
    // All but the last byte of 900 KiB, again and again, over two connections.
    let message = framed(&bytes_value(&vec![7; 900 * 1024]));
    let most = message.slice(..message.len() - 1);
    let raws = [Raw::connect(&server).await, Raw::connect(&server).await];
    let mut held = Vec::new();
    let mut refused = 0;
    for at in 0..8 {
        let mut send = raws[at % 2].0.clone().ready().await.unwrap();
        let call = request("Echo").body(()).unwrap();
        let (response, mut stream) = send.send_request(call, false).unwrap();
        stream.send_data(most.clone(), false).unwrap();
        // Behind what was sent: its answer says that all of it was read, or refused.
        raws[at % 2].still_works().await;
        let mut response = Box::pin(read(response));
        match futures_util::poll!(&mut response) {
            std::task::Poll::Ready(reply) => {
                reply.check(RESOURCE_EXHAUSTED, "3145728 bytes");
                refused += 1;
            }
            std::task::Poll::Pending => held.push((response, stream)),
        }
    }
    let waiting = held.len();
    for (response, mut stream) in held {
        // One that was refused meanwhile takes nothing more.
        let _ = stream.send_data(message.slice(message.len() - 1..), true);
        match soon(response).await.code() {
            Some(0) => {}
            Some(RESOURCE_EXHAUSTED) => refused += 1,
            code => panic!("{code:?}"),
        }
    }
    assert!(refused >= 4, "{waiting} waited, {refused} were refused");
    // What was held was given back.
    for raw in &raws {
        raw.send(request("Echo").body(()).unwrap(), &[&message])
            .await
            .check(0, "");
    }
}

#[tokio::test]
async fn requests_of_noise_are_answered() {
    let (server, _) = serve().await;
    let raw = Raw::connect(&server).await;
    let mut state = 0x2545_f491_u32;
    let mut noise = |len: usize| {
        let mut bytes = Vec::with_capacity(len);
        for _ in 0..len {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            bytes.push(state as u8);
        }
        bytes
    };
    for len in 0..200 {
        let bytes = noise(len);
        let reply = raw.send(request("Echo").body(()).unwrap(), &[&bytes]).await;
        assert!(matches!(reply.code(), Some(1..)), "{len}: {reply:?}");
        let reply = raw.call("Tree", &[&bytes]).await;
        assert!(reply.code().is_some(), "{len}: {reply:?}");
    }
    raw.still_works().await;
}
