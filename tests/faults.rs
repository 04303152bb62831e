//! What a client sees of a server that is frozen, full, shutting down, or busy with someone else. Killed processes are in `process.rs`.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use blixard_rpc::{
    Code, Result, Router, iroh_service,
    link::CloseCode,
    transport::iroh::{
        AcceptConfig, IrohConnection, IrohConnector, IrohPeer, IrohServer, SecretKey, ServerHandle,
    },
};
use blixard_tests::{
    net::{dial, endpoint, serve, soon},
    talk::{Talk, TalkClient},
};
use bytes::Bytes;
use tokio::{task::JoinSet, time::Instant};

#[iroh_service(package = "faults.v1")]
trait Echo {
    async fn echo(&self, data: Bytes) -> Result<Bytes>;
    /// Answers after so many milliseconds.
    async fn slow(&self, millis: u64) -> Result<u64>;
}

struct Same;

impl Echo for Same {
    async fn echo(&self, data: Bytes) -> Result<Bytes> {
        Ok(data)
    }
    async fn slow(&self, millis: u64) -> Result<u64> {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(millis)
    }
}

fn router() -> Router {
    Router::new().add(EchoServer::new(Same))
}

fn full(config: AcceptConfig) -> IrohServer {
    IrohServer::with_config(router(), config)
}

/// A call on a connection that the server refuses.
async fn is_refused(connection: &IrohConnection, why: &str) {
    let client = EchoClient::new(connection.clone());
    let status = soon(client.echo(Bytes::new())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains(why), "{status}");
    assert!(!status.was_accepted(), "another server may be asked");
    let code = CloseCode::TooManyConnections as u32;
    let closed = soon(connection.closed()).await;
    let expected = format!("closed with code {code}");
    assert!(closed.message().contains(&expected), "{closed}");
}

async fn works(connection: &IrohConnection) {
    let client = EchoClient::new(connection.clone());
    assert_eq!(
        soon(client.echo(Bytes::from_static(b"hi"))).await.unwrap(),
        "hi"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_past_the_limit_are_refused_and_say_so() {
    let config = AcceptConfig {
        max_connections: 2,
        ..AcceptConfig::default()
    };
    let server = full(config).spawn(endpoint().await);
    let (first, second) = (dial(&server).await, dial(&server).await);
    works(&first).await;
    works(&second).await;
    is_refused(
        &dial(&server).await,
        "the server has as many connections as it takes",
    )
    .await;
    works(&first).await;
    second.close();
    // The place is free when the server has heard of it.
    for _ in 0..500 {
        if server.server().connections() < 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    works(&dial(&server).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_one_peer_past_its_limit_are_refused_and_say_so() {
    let config = AcceptConfig {
        max_connections_per_peer: 1,
        ..AcceptConfig::default()
    };
    let server = full(config).spawn(endpoint().await);
    let greedy = IrohConnector::new(endpoint().await);
    let address = server.endpoint().addr();
    let first = greedy.dial(address.clone()).await.unwrap();
    works(&first).await;
    let second = greedy.dial(address).await.unwrap();
    is_refused(
        &second,
        "the peer has as many connections as one peer may have",
    )
    .await;
    works(&first).await;
    works(&dial(&server).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_ends_what_is_in_flight_well_and_refuses_what_comes() {
    let server: ServerHandle = serve(router()).await;
    let connection = dial(&server).await;
    let client = EchoClient::new(connection.clone());
    works(&connection).await;
    let slow = {
        let client = client.clone();
        tokio::spawn(async move { client.slow(1500).await })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    let shutdown = tokio::spawn(server.shutdown(Duration::from_secs(20)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let status = soon(client.echo(Bytes::new())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains("shutting down"), "{status}");
    assert!(!status.was_accepted());
    assert_eq!(soon(slow).await.unwrap().unwrap(), 1500, "it was in flight");
    soon(shutdown).await.unwrap();
    let status = soon(client.echo(Bytes::new())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(!status.was_accepted());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_one_peer_are_limited_over_all_its_connections() {
    let config = AcceptConfig {
        max_calls_per_peer: 8,
        ..AcceptConfig::default()
    };
    let server = full(config).spawn(endpoint().await);
    let greedy = IrohConnector::new(endpoint().await);
    let mut slow = JoinSet::new();
    for _ in 0..4 {
        let client = EchoClient::new(greedy.dial(server.endpoint().addr()).await.unwrap());
        for _ in 0..8 {
            let client = client.clone();
            slow.spawn(async move { client.slow(1000).await });
        }
    }
    let mut refused = 0;
    while let Some(answer) = slow.join_next().await {
        if let Err(status) = answer.unwrap() {
            assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
            assert!(
                status.message().contains("8 calls of this peer"),
                "{status}"
            );
            assert!(!status.was_accepted());
            refused += 1;
        }
    }
    assert_eq!(refused, 32 - 8);
    works(&greedy.dial(server.endpoint().addr()).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_dials_a_server_that_shuts_down_is_refused_at_once() {
    let server = serve(router()).await;
    let address = server.endpoint().addr();
    let client = EchoClient::new(dial(&server).await);
    let slow = tokio::spawn(async move { client.slow(2000).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let shutdown = tokio::spawn(server.shutdown(Duration::MAX));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begin = Instant::now();
    let status = IrohConnector::new(endpoint().await)
        .dial(address)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(
        begin.elapsed() < Duration::from_millis(1500),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(soon(slow).await.unwrap().unwrap(), 2000, "it was in flight");
    soon(shutdown).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_drained_is_retired_before_it_is_closed() {
    let server = serve(router()).await;
    let connection = dial(&server).await;
    works(&connection).await;
    let client = EchoClient::new(connection.clone());
    let slow = tokio::spawn(async move { client.slow(1000).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let shutdown = tokio::spawn(server.shutdown(Duration::from_secs(20)));
    let status = soon(connection.retired()).await;
    assert!(status.message().contains("shutting down"), "{status}");
    assert!(connection.close_status().is_none(), "a call is in flight");
    assert_eq!(soon(slow).await.unwrap().unwrap(), 1000);
    soon(shutdown).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_at_the_ends_of_their_types_work() {
    let config = AcceptConfig {
        max_connections: usize::MAX,
        max_handshakes: 0,
        ..AcceptConfig::default()
    };
    let server = full(config).spawn(endpoint().await);
    works(&dial(&server).await).await;
    soon(server.shutdown(Duration::MAX)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_cuts_what_outlasts_its_grace() {
    let server = serve(router()).await;
    let connection = dial(&server).await;
    let client = EchoClient::new(connection.clone());
    let slow = tokio::spawn(async move { client.slow(60_000).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    soon(server.shutdown(Duration::from_millis(300))).await;
    let status = soon(slow).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(
        status.message().contains("the server shuts down"),
        "{status}"
    );
    assert!(status.was_accepted(), "its handler was running");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_client_beside_a_flooding_one_is_served() {
    let server = serve(router()).await;
    let honest = EchoClient::new(dial(&server).await);
    let greedy = EchoClient::new(dial(&server).await);
    let over = Arc::new(AtomicBool::new(false));
    let mut flood = JoinSet::new();
    for n in 0..200_usize {
        let (greedy, over) = (greedy.clone(), Arc::clone(&over));
        flood.spawn(async move {
            let mut calls = 0;
            while !over.load(Ordering::Relaxed) {
                let bytes = if n % 20 == 0 { 1 << 20 } else { 100 };
                greedy.echo(Bytes::from(vec![0; bytes])).await.unwrap();
                calls += 1;
            }
            calls
        });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let before = Instant::now();
        soon(honest.echo(Bytes::from_static(b"hi"))).await.unwrap();
        slowest = slowest.max(before.elapsed());
    }
    over.store(true, Ordering::Relaxed);
    let calls: usize = soon(flood.join_all()).await.into_iter().sum();
    println!("{calls} calls of the other; the slowest of ours took {slowest:?}");
    assert!(calls > 200, "there was no flood");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
}

/// Another process that serves; it does not outlive the test.
#[cfg(unix)]
struct Other(Child);

#[cfg(unix)]
impl Other {
    fn server() -> (Self, IrohPeer) {
        let key = SecretKey::generate().to_bytes();
        let key = key.map(|byte| format!("{byte:02x}")).concat();
        let child = Command::new(env!("CARGO_BIN_EXE_peer"))
            .args(["serve", "0", &key])
            .stdout(Stdio::piped())
            .spawn();
        let mut other = Self(child.unwrap());
        let mut ticket = String::new();
        let mut output = BufReader::new(other.0.stdout.take().unwrap());
        output.read_line(&mut ticket).unwrap();
        (other, ticket.parse().unwrap())
    }

    fn freeze(&self) {
        let id = self.0.id().to_string();
        let froze = Command::new("kill").args(["-STOP", &id]).status();
        assert!(froze.unwrap().success());
    }
}

#[cfg(unix)]
impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_noticed() {
    use blixard_rpc::Connect;

    let (other, peer) = Other::server();
    let connector = IrohConnector::new(endpoint().await);
    let client = TalkClient::new(soon(connector.connect(&peer)).await.unwrap());
    client.echo(Bytes::new()).await.unwrap();
    other.freeze();
    let before = Instant::now();
    let status = soon(client.echo(Bytes::new())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(
        before.elapsed() < Duration::from_secs(6),
        "{:?}",
        before.elapsed()
    );
    assert!(
        ["has not answered a ping", "the connection was lost"]
            .iter()
            .any(|why| status.message().contains(why)),
        "{status}"
    );
}
