//! The end of a server: calls in flight go on for a while, new ones are refused, and at last everything is cut in words.

use std::time::Duration;

use blixard_rpc::{Channel, Code, Context, transport::grpc::GrpcConnector};
use blixard_tests::net::soon;

use crate::{
    frames::{self, Kind},
    raw::{Raw, framed, request},
    target::{Target, TargetClient, serve},
};

const UNAVAILABLE: u32 = 14;
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn calls_in_flight_are_finished() {
    let (server, subject) = serve().await;
    let address = server.local_addr().unwrap();
    let raw = Raw::connect(&server).await;
    let call = tokio::spawn({
        let raw = raw.clone();
        async move { raw.call("Wait", &[b""]).await }
    });
    soon(subject.begins.notified()).await;
    let shutdown = tokio::spawn(server.shutdown(LONG));
    // The client has heard of it, and calls elsewhere.
    let mut send = raw.0.clone();
    let heard = async {
        loop {
            let ready = std::future::poll_fn(|cx| send.poll_ready(cx)).await;
            if let Err(error) = ready {
                return error;
            }
            tokio::task::yield_now().await;
        }
    };
    assert!(soon(heard).await.is_go_away());
    assert!(!shutdown.is_finished());
    subject.go.send_replace(true);
    call.await.unwrap().check(0, "");
    soon(shutdown).await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn calls_that_do_not_end_in_time_are_unavailable() {
    let (server, subject) = serve().await;
    let raw = Raw::connect(&server).await;
    let wait = |method: &'static str| {
        let raw = raw.clone();
        tokio::spawn(async move { raw.call(method, &[b""]).await })
    };
    let (unary, stream) = (wait("Wait"), wait("Stall"));
    soon(subject.begins.notified()).await;
    while subject.begun() < 2 {
        soon(subject.begins.notified()).await;
    }
    soon(server.shutdown(Duration::from_millis(100))).await;
    for reply in [unary.await.unwrap(), stream.await.unwrap()] {
        reply.check(UNAVAILABLE, "shut down");
    }
    soon(subject.ended(2)).await;
}

#[tokio::test]
async fn a_call_that_comes_while_it_drains_is_refused_in_words() {
    let (server, subject) = serve().await;
    // By hand, since every client that is right calls no more once it has heard of the drain.
    let mut raw = frames::Raw::connect(&server).await;
    raw.send(&frames::call(1, "Wait")).await;
    raw.send(&frames::data(1, &framed(b""), true)).await;
    soon(subject.begins.notified()).await;
    let shutdown = tokio::spawn(server.shutdown(LONG));
    raw.wait_for(|frame| frame.kind == Kind::GO_AWAY).await;
    raw.send(&frames::call(3, "Wait")).await;
    raw.send(&frames::data(3, &framed(b""), true)).await;
    let answer = raw.wait_for(|frame| frame.stream == 3).await;
    assert_eq!(answer.kind, Kind::HEADERS);
    assert!(answer.ends_stream(), "a status and nothing else");
    assert_eq!(subject.begun(), 1);
    subject.go.send_replace(true);
    raw.wait_for(|frame| frame.stream == 1 && frame.ends_stream())
        .await;
    drop(raw);
    soon(shutdown).await.unwrap();
}

#[tokio::test]
async fn a_client_of_ours_sees_it_all() {
    let (server, subject) = serve().await;
    let peer = server.local_addr().unwrap().into();
    let dialled = GrpcConnector::new().dial(&peer).await.unwrap();
    let client = TargetClient::new(Channel::new(dialled.clone()));
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.wait(&Context::background()).await }
    });
    soon(subject.begins.notified()).await;
    let shutdown = tokio::spawn(server.shutdown(Duration::from_millis(300)));
    let status = soon(dialled.retired()).await;
    assert_eq!(status.code(), Code::Unavailable);
    // Not sent: what is retried elsewhere is not done twice.
    let status = soon(client.echo("a".into())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(!status.was_accepted(), "{status:?}");
    let status = soon(call).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.was_accepted(), "{status:?}");
    soon(shutdown).await.unwrap();
    let status = GrpcConnector::new().dial(&peer).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(!status.was_accepted());
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_it_up() {
    let (server, _) = serve().await;
    let raw = Raw::connect(&server).await;
    raw.still_works().await;
    let reply = raw
        .send(request("Echo").body(()).unwrap(), &[&framed(b"")])
        .await;
    reply.check(0, "");
    soon(server.shutdown(LONG)).await;
}
