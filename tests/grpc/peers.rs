//! Who takes more than one peer may: it is closed, and nobody else notices.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use blixard_rpc::transport::grpc::{GrpcConfig, GrpcHandle};
use blixard_tests::net::soon;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpSocket, TcpStream},
};

use crate::{raw::Raw, target::serve_with};

/// Another host, as far as anybody can tell: all of 127.0.0.0/8 is loopback. `None` where it is not.
async fn from_another(server: &GrpcHandle) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    let own = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0));
    if let Err(error) = socket.bind(own) {
        let has_all = std::env::consts::OS == "linux";
        assert!(!has_all, "loopback has all its addresses: {error}");
        println!("skipped: the system has one loopback address");
        return None;
    }
    Some(socket.connect(server.local_addr().unwrap()).await.unwrap())
}

/// Whether the server closes it; the one that it has not closed waits for ever.
async fn closed(mut stream: TcpStream) {
    let mut bytes = [0; 1024];
    while !matches!(stream.read(&mut bytes).await, Ok(0) | Err(_)) {}
}

/// A time-out longer than any test: who is let in was let in at once.
const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn who_says_nothing_holds_up_nobody_else() {
    let config = GrpcConfig {
        max_handshakes: 4,
        max_handshakes_per_address: 3,
        handshake_timeout: LONG,
        ..GrpcConfig::default()
    };
    let (server, _) = serve_with(config).await;
    let mut silent = Vec::new();
    for _ in 0..16 {
        let Some(stream) = from_another(&server).await else {
            return;
        };
        silent.push(stream);
    }
    // The first three wait, as they may; the others are closed.
    for stream in silent.split_off(3) {
        soon(closed(stream)).await;
    }
    Raw::connect(&server).await.still_works().await;
    assert_eq!(server.connections(), 3 + 1);
    // Their places come back with their ends.
    drop(silent);
    soon(async {
        while server.connections() > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let stream = from_another(&server).await.unwrap();
    Raw::over(stream).await.still_works().await;
}

#[tokio::test]
async fn who_has_as_many_connections_as_one_may_leaves_the_rest_to_others() {
    let config = GrpcConfig {
        max_connections: 4,
        max_connections_per_address: 3,
        ..GrpcConfig::default()
    };
    let (server, _) = serve_with(config).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        let Some(stream) = from_another(&server).await else {
            return;
        };
        let raw = Raw::over(stream).await;
        raw.still_works().await;
        idle.push(raw);
    }
    for _ in 0..10 {
        let stream = from_another(&server).await.unwrap();
        soon(closed(stream)).await;
    }
    Raw::connect(&server).await.still_works().await;
    for raw in &idle {
        raw.still_works().await;
    }
}
