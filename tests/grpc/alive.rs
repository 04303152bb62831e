//! Peers that are gone without a word, and connections that come back.

use std::time::Duration;

use blixard_rpc::{
    Channel, Code, Context, Pool, Router,
    transport::grpc::{GrpcConfig, GrpcConnector, GrpcServer, KeepAlive},
};
use blixard_tests::net::soon;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    frames::{Kind, Raw as Frames, call, data, frame},
    raw::{Raw, framed},
    target::{Handlers, Target, TargetClient, TargetServer, serve_with},
};

const QUICK: KeepAlive = KeepAlive {
    interval: Duration::from_millis(50),
    timeout: Duration::from_millis(100),
};

#[tokio::test]
async fn a_client_that_does_not_answer_is_given_up_and_its_calls_with_it() {
    let config = GrpcConfig {
        keep_alive: Some(QUICK),
        ..GrpcConfig::default()
    };
    let (server, subject) = serve_with(config).await;
    let honest = Raw::connect(&server).await;
    for round in 1..=3 {
        let mut raw = Frames::connect(&server).await;
        raw.send(&call(1, "Wait")).await;
        raw.send(&data(1, &framed(b""), true)).await;
        soon(subject.begins.notified()).await;
        raw.closed().await;
        soon(subject.ended(round)).await;
    }
    // Who answers stays.
    honest.still_works().await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_and_the_calls_to_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(&frame(Kind::SETTINGS, 0, 0, &[]))
            .await
            .unwrap();
        stream
            .write_all(&frame(Kind::SETTINGS, 1, 0, &[]))
            .await
            .unwrap();
        // It reads, and says nothing more.
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
    });
    let connector = GrpcConnector::new().keep_alive(QUICK);
    let dialled = connector.dial(&address.into()).await.unwrap();
    let client = TargetClient::new(Channel::new(dialled.clone()));
    let status = soon(client.wait(&Context::background())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.was_accepted(), "it may have begun");
    assert_eq!(soon(dialled.retired()).await.code(), Code::Unavailable);
    let status = soon(client.echo("a".into())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(!status.was_accepted(), "{status:?}");
}

#[tokio::test]
async fn a_pool_dials_anew_when_a_server_comes_back() {
    let serve = async |port: u16| {
        let router = Router::new().add(TargetServer::new(Handlers::default()));
        GrpcServer::new(router).bind(("127.0.0.1", port)).await
    };
    let server = serve(0).await.unwrap();
    let address = server.local_addr().unwrap();
    let pool = Pool::new(GrpcConnector::new());
    let client = TargetClient::new(Channel::new(pool.channel(address.into())));
    assert_eq!(soon(client.echo("a".into())).await.unwrap(), "a");
    assert_eq!(pool.connections(), 1);

    soon(server.shutdown(Duration::ZERO)).await;
    let status = soon(async {
        loop {
            if let Err(status) = client.echo("b".into()).await {
                return status;
            }
        }
    });
    let status = status.await;
    assert_eq!(status.code(), Code::Unavailable);
    assert!(!status.was_accepted(), "{status:?}");

    // The port may be in use for a moment longer.
    let again = soon(async {
        loop {
            match serve(address.port()).await {
                Ok(server) => return server,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
    let _again = again.await;
    let answer = soon(async {
        loop {
            match client.echo("c".into()).await {
                Ok(answer) => return answer,
                Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
            }
        }
    });
    assert_eq!(answer.await, "c");
}

#[tokio::test]
async fn the_last_handle_closes_the_connection_and_not_the_calls_on_it() {
    let (server, subject) = crate::target::serve().await;
    let dialled = GrpcConnector::new()
        .dial(&server.local_addr().unwrap().into())
        .await;
    let client = TargetClient::new(Channel::new(dialled.unwrap()));
    let mut items = soon(client.stall(&Context::background())).await.unwrap();
    drop(client);
    assert_eq!(soon(items.next()).await.unwrap().unwrap(), 0);
    assert_eq!(server.connections(), 1);
    drop(items);
    soon(subject.ended(1)).await;
    soon(async {
        while server.connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
