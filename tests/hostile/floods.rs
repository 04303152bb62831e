//! Too much of what is allowed: calls, streams, bytes, time. Memory stays within its limits, and others are served.

use std::time::Duration;

use blixard_rpc::{
    link::{Limits, MAX_INBOUND_BYTES},
    transport::iroh::{
        AcceptConfig, CONNECTION_WINDOW_BYTES, IrohServer, SEND_WINDOW_BYTES, ServerHandle,
    },
};
use blixard_tests::net::{dial, endpoint, serve, soon};
use bytes::Bytes;
use tokio::{task::JoinSet, time::timeout};

use crate::{
    raw::{
        Attacker, DATA, ERROR, Heard, NONE, ONEWAY, PROTOBUF, bytes_message, data, end, frame,
        header, lane_request, listen, memory, ping, request, until,
    },
    target::{Seen, Target, TargetClient},
};

async fn serve_with(seen: &Seen, connection: Limits) -> ServerHandle {
    let config = AcceptConfig {
        connection,
        ..AcceptConfig::default()
    };
    IrohServer::with_config(seen.router(), config).spawn(endpoint().await)
}

async fn is_served(client: &impl Target) {
    let answer = soon(client.echo(Bytes::from_static(b"honest"))).await;
    assert_eq!(answer.unwrap(), "honest");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_large_messages_than_the_budgets_hold() {
    let server = serve(Seen::default().router()).await;
    let client = TargetClient::new(dial(&server).await);
    let mut calls = JoinSet::new();
    for _ in 0..24 {
        let client = client.clone();
        calls.spawn(async move { client.large(3 << 20).await });
    }
    while let Some(answer) = calls.join_next().await {
        assert_eq!(answer.unwrap().unwrap().len(), 3 << 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_nobody_reads_do_not_stop_the_others() {
    let seen = Seen::default();
    let server = serve(seen.router()).await;
    let client = TargetClient::new(dial(&server).await);
    let mut unread = Vec::new();
    for _ in 0..80 {
        unread.push(client.pour().await.unwrap());
    }
    // Until the handlers stand still.
    let mut before = 0;
    while seen.poured() != before {
        before = seen.poured();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    is_served(&client).await;
    assert!(soon(unread[79].next()).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_and_dripping_streams_are_reset() {
    let limits = Limits {
        first_frame: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = serve_with(&Seen::default(), limits).await;
    let attacker = Attacker::dial(&server).await;
    // All the streams that there are.
    let mut streams = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(100), attacker.connection.open_bi()).await
    {
        let (mut send, recv) = stream.unwrap();
        send.write_all(&[1]).await.unwrap();
        streams.push((send, recv));
    }
    assert!((1000..1200).contains(&streams.len()), "{}", streams.len());
    for (_, recv) in &mut streams {
        assert_eq!(soon(listen(recv)).await, Heard::Reset(2));
    }
    drop(streams);
    let (mut send, mut recv) = attacker.open(&[]).await;
    let drip = async {
        for byte in request(1, "Echo") {
            if send.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    };
    let (heard, ()) = tokio::join!(soon(listen(&mut recv)), drip);
    assert_eq!(heard, Heard::Reset(2));
    attacker.still_works().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_announced_and_never_sent_takes_no_memory() {
    let server = serve(Seen::default().router()).await;
    let honest = TargetClient::new(dial(&server).await);
    let attacker = Attacker::dial(&server).await;
    let before = memory();
    let mut streams = Vec::new();
    for id in 1..=500 {
        let announced = [
            request(id, "Echo"),
            header(DATA, PROTOBUF, 0, 10 << 20, id),
            vec![0; 4096],
        ]
        .concat();
        streams.push(attacker.open(&announced).await);
    }
    is_served(&honest).await;
    // Small calls of the same connection go on beside them.
    attacker.still_works().await;
    let grown = memory().saturating_sub(before);
    assert!(
        grown < 64 << 20,
        "{grown} bytes for 5 GB that were announced"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_without_an_end_stay_within_the_budget() {
    let server = serve(Seen::default().router()).await;
    let honest = TargetClient::new(dial(&server).await);
    let attacker = Attacker::dial(&server).await;
    let before = memory();
    let message = bytes_message(&vec![7; 8 << 20]);
    let mut sending = JoinSet::new();
    for id in 1..=16 {
        let (mut send, recv) = attacker.open(&request(id, "Echo")).await;
        let bytes = data(id, &[&message]);
        sending.spawn(async move {
            let _ = send.write_all(&bytes).await;
            std::future::pending::<()>().await;
            drop((send, recv));
        });
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    is_served(&honest).await;
    // What the server holds and what lies in its window; the attacker's own copies are in the same process.
    let held = MAX_INBOUND_BYTES + CONNECTION_WINDOW_BYTES as usize + 16 * (512 << 10);
    let own = 16 * message.len() + SEND_WINDOW_BYTES as usize;
    let grown = memory().saturating_sub(before);
    assert!(grown < 2 * held + own, "{grown} bytes");
    sending.abort_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_never_read_stop_their_handlers() {
    let seen = Seen::default();
    let server = serve(seen.router()).await;
    let honest = TargetClient::new(dial(&server).await);
    let attacker = Attacker::dial(&server).await;
    // A lane: requests go in until the server takes no more of them.
    let (mut send, _recv) = attacker.open(&ping()).await;
    let call = lane_request(1, "Echo", &bytes_message(&[7; 32 << 10]));
    let flood = async {
        for _ in 0..20_000 {
            send.write_all(&call).await.unwrap();
        }
    };
    assert!(
        timeout(Duration::from_secs(2), flood).await.is_err(),
        "the server took 640 MB"
    );
    assert!(
        seen.begun() < 2000,
        "{} answers of 32 KiB are held",
        seen.begun()
    );
    // Streams: each handler stops when its window is full.
    let mut unread = Vec::new();
    for id in 1..=20 {
        unread.push(
            attacker
                .open(&[request(id, "Pour"), data(id, &[&[]]), end(id)].concat())
                .await,
        );
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let limit = SEND_WINDOW_BYTES as usize + CONNECTION_WINDOW_BYTES as usize;
    assert!(seen.poured() < limit, "{} bytes were poured", seen.poured());
    is_served(&honest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_past_the_limit_are_refused() {
    let seen = Seen::default();
    let limits = Limits {
        max_calls: 8,
        ..Limits::default()
    };
    let server = serve_with(&seen, limits).await;
    let honest = TargetClient::new(dial(&server).await);
    let attacker = Attacker::dial(&server).await;
    let mut calls = ping();
    for id in 1..=500 {
        calls.extend(lane_request(id, "Park", &[]));
    }
    let (_send, mut recv) = attacker.open(&calls).await;
    for _ in 0..100 {
        let Heard::Status(code, text) = soon(listen(&mut recv)).await else {
            panic!("a call was answered");
        };
        assert_eq!(code, blixard_rpc::Code::ResourceExhausted);
        assert!(
            text.contains("8 calls are in flight on this connection, its limit"),
            "{text}"
        );
    }
    assert!(seen.running() <= 100, "{}", seen.running());
    is_served(&honest).await;
    drop(attacker);
    until("the handlers are cancelled", || seen.running() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_begun_and_cancelled_leave_nothing() {
    let seen = Seen::default();
    let server = serve(seen.router()).await;
    let honest = TargetClient::new(dial(&server).await);
    let attacker = Attacker::dial(&server).await;
    let mut flood = ping();
    for id in 1..=5000 {
        flood.extend(lane_request(id, "Park", &[]));
        flood.extend(frame(ERROR, NONE, id, &[]));
    }
    let _lane = attacker.open(&flood).await;
    for id in 10_001..=12_000 {
        let (mut send, _recv) = attacker
            .open(&[request(id, "Park"), data(id, &[&[]]), end(id)].concat())
            .await;
        let _ = send.reset(1_u32.into());
    }
    is_served(&honest).await;
    until("all of the lane were begun", || seen.begun() >= 5000).await;
    until("the handlers are cancelled", || seen.running() == 0).await;
    attacker.still_works().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_lanes_than_any_client_needs() {
    let server = serve(Seen::default().router()).await;
    let honest = TargetClient::new(dial(&server).await);
    let attacker = Attacker::dial(&server).await;
    let mut lanes = Vec::new();
    for _ in 0..65 {
        lanes.push(attacker.open(&ping()).await);
    }
    let (_, reason) = attacker.closed().await;
    assert_eq!(
        reason,
        "unexpected lane: the connection has as many as it may have"
    );
    is_served(&honest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_way_calls_are_never_answered() {
    let seen = Seen::default();
    let server = serve(seen.router()).await;
    let attacker = Attacker::dial(&server).await;
    let oneway = |id, method| {
        let mut bytes = lane_request(id, method, &[]);
        bytes[3] = ONEWAY;
        bytes
    };
    let mut flood = [ping(), oneway(1, "Nothing"), oneway(2, "Echo")].concat();
    for id in 10..5010 {
        flood.extend(oneway(id, "Note"));
    }
    flood.extend(lane_request(3, "Echo", &bytes_message(b"hi")));
    let heard = attacker.say(&flood, false).await;
    assert_eq!(heard, Heard::Response(bytes_message(b"hi")));
    until("all notes have come", || seen.noted() == 5000).await;
}
