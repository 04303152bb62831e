//! Health that is watched by more than anybody needs, who do not read: each costs its call and one status, and nobody notices.

use blixard_rpc::{
    Router,
    transport::grpc::{GrpcConfig, GrpcHandle, GrpcServer},
};
use blixard_services::health::Reporter;
use blixard_tests::net::soon;
use bytes::{BufMut, BytesMut};

use crate::{
    frames::{END_HEADERS, Frame, Kind, PREFACE, Raw as Frames, block, data, frame},
    raw::{Raw, framed},
    target::{Handlers, TargetServer},
};

/// On each connection.
const WATCHERS: u32 = 1000;

const RESOURCE_EXHAUSTED: u32 = 8;

/// Watchers of the whole server whose windows are closed from the beginning, and that were all answered.
async fn watchers(server: &GrpcHandle) -> Frames {
    let mut raw = Frames::silent(server).await;
    raw.send(PREFACE).await;
    // SETTINGS_INITIAL_WINDOW_SIZE.
    raw.send(&frame(Kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]))
        .await;
    raw.send(&frame(Kind::SETTINGS, 1, 0, &[])).await;
    let watch = block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/grpc.health.v1.Health/Watch"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
    ]);
    let mut burst = BytesMut::new();
    for stream in streams() {
        burst.put(frame(Kind::HEADERS, END_HEADERS, stream, &watch));
        burst.put(data(stream, &framed(b""), true));
    }
    raw.send(&burst).await;
    raw
}

fn streams() -> impl Iterator<Item = u32> {
    (0..WATCHERS).map(|at| 2 * at + 1)
}

/// The heads of the answers: each says whether the call goes on.
async fn answered(raw: &mut Frames) -> Vec<Frame> {
    let mut heads = Vec::new();
    while heads.len() < WATCHERS as usize {
        heads.push(raw.wait_for(|frame| frame.kind == Kind::HEADERS).await);
    }
    heads
}

#[tokio::test]
async fn watchers_that_do_not_read_cost_a_status_each() {
    let reporter = Reporter::new();
    let router = Router::new()
        .add(reporter.server())
        .add(TargetServer::new(Handlers::default()));
    // Room for two connections full of them, and ten calls more.
    let config = GrpcConfig {
        max_calls: 2 * WATCHERS as usize + 10,
        ..GrpcConfig::default()
    };
    let server = GrpcServer::with_config(router, config);
    let server = server.bind("127.0.0.1:0").await.unwrap();
    let honest = Raw::connect(&server).await;
    let mut floods = [watchers(&server).await, watchers(&server).await];
    for flood in &mut floods {
        for head in answered(flood).await {
            assert!(!head.ends_stream(), "{head:?}");
        }
    }
    // The limit of calls is for them as for others: more are refused, and what is left goes on.
    let mut more = watchers(&server).await;
    let heads = answered(&mut more).await;
    let refused = heads.iter().filter(|head| head.ends_stream()).count();
    assert!(refused >= WATCHERS as usize - 10, "{refused}");
    drop(more);
    honest_after(&honest).await;

    // Thousands of changes, of which nobody reads any.
    for change in 0..2000 {
        if change % 2 == 0 {
            reporter.set_not_serving("");
        } else {
            reporter.set_serving("");
        }
        if change % 20 == 0 {
            honest.still_works().await;
        }
    }
    reporter.set_not_serving("");
    // Who reads then gets what had been sent, and the newest: nothing was kept in between.
    let [flood, other] = &mut floods;
    let mut open = BytesMut::new();
    for stream in streams() {
        open.put(frame(
            Kind::WINDOW_UPDATE,
            0,
            stream,
            &1000_u32.to_be_bytes(),
        ));
    }
    flood.send(&open).await;
    let mut last = vec![None; WATCHERS as usize];
    let mut messages = 0;
    while last.iter().any(|status| *status != Some(NOT_SERVING)) {
        let frame = flood.wait_for(|frame| frame.kind == Kind::DATA).await;
        for message in frame.payload.chunks(7) {
            let [0, 0, 0, 0, 2, 8, status] = message else {
                panic!("{message:?} is no status");
            };
            last[frame.stream as usize / 2] = Some(*status);
            messages += 1;
        }
    }
    println!("{messages} statuses had been kept for {WATCHERS} watchers");
    assert!(messages <= 3 * WATCHERS, "{messages} were kept");

    // And when they go, so does all that they took.
    other.send(b"no frame of HTTP/2").await;
    drop(floods);
    soon(async {
        while server.connections() > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut again = watchers(&server).await;
    assert!(
        answered(&mut again)
            .await
            .iter()
            .all(|head| !head.ends_stream())
    );
    honest.still_works().await;
}

/// `NOT_SERVING`.
const NOT_SERVING: u8 = 2;

/// Calls go on once the watchers that were too many are gone.
async fn honest_after(honest: &Raw) {
    soon(async {
        loop {
            let reply = honest.call("Echo", &[b""]).await;
            match reply.code() {
                Some(0) => return,
                code => assert_eq!(code, Some(RESOURCE_EXHAUSTED), "{reply:?}"),
            }
        }
    })
    .await;
}
