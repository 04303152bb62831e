//! The server as a handler of iroh's own router, with another protocol beside it, on an endpoint that nobody has set up for calls.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

use std::time::Duration;

use blixard_rpc::{
    CallOptions, Code, Priority, Result, Router, Streaming, iroh_service,
    link::LivenessConfig,
    transport::iroh::{
        ALPN, Endpoint, IrohConnection, IrohConnector, IrohServer, SecretKey, presets,
    },
};
use blixard_tests::net::soon;
use bytes::Bytes;
use iroh::{
    endpoint::Connection,
    protocol::{AcceptError, ProtocolHandler, Router as IrohRouter},
};
use tokio::task::JoinSet;

#[iroh_service(package = "beside.v1")]
trait Work {
    async fn echo(&self, data: Bytes) -> Result<Bytes>;
    async fn take_ms(&self, time: u64) -> Result<u64>;
    async fn ticks(&self, each_ms: u64) -> Result<Streaming<u64>>;
    async fn upload(&self, parts: Streaming<Bytes>) -> Result<u64>;
    async fn boom(&self) -> Result<()>;
}

struct Worker;

impl Work for Worker {
    async fn echo(&self, data: Bytes) -> Result<Bytes> {
        Ok(data)
    }
    async fn take_ms(&self, time: u64) -> Result<u64> {
        tokio::time::sleep(Duration::from_millis(time)).await;
        Ok(time)
    }
    async fn ticks(&self, each_ms: u64) -> Result<Streaming<u64>> {
        let (sender, stream) = Streaming::channel(1);
        tokio::spawn(async move {
            for tick in 0..5 {
                tokio::time::sleep(Duration::from_millis(each_ms)).await;
                if sender.send(tick).await.is_err() {
                    return;
                }
            }
        });
        Ok(stream)
    }
    async fn upload(&self, mut parts: Streaming<Bytes>) -> Result<u64> {
        let mut total = 0;
        while let Some(part) = parts.next().await {
            total += part?.len() as u64;
        }
        Ok(total)
    }
    async fn boom(&self) -> Result<()> {
        panic!("boom")
    }
}

/// Somebody else's protocol: one stream, echoed.
#[derive(Debug)]
struct Other;

const OTHER: &[u8] = b"other/0";

impl ProtocolHandler for Other {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let (mut send, mut recv) = connection.accept_bi().await?;
        let said = recv.read_to_end(100).await.map_err(AcceptError::from_err)?;
        send.write_all(&said).await.map_err(AcceptError::from_err)?;
        send.finish()?;
        connection.closed().await;
        Ok(())
    }
}

/// An endpoint with iroh's defaults in everything but its address.
async fn plain_endpoint() -> Endpoint {
    Endpoint::builder(presets::Minimal)
        .secret_key(SecretKey::generate())
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")
        .unwrap()
        .bind()
        .await
        .unwrap()
}

struct Setup {
    router: IrohRouter,
    server: IrohServer,
    dialler: Endpoint,
    connection: IrohConnection,
    client: WorkClient<IrohConnection>,
}

async fn setup() -> Setup {
    let server = IrohServer::new(Router::new().add(WorkServer::new(Worker)));
    let router = IrohRouter::builder(plain_endpoint().await)
        .accept(ALPN, server.clone())
        .accept(OTHER, Other)
        .spawn();
    let dialler = plain_endpoint().await;
    let connection = IrohConnector::new(dialler.clone())
        .dial(router.endpoint().addr())
        .await
        .unwrap();
    Setup {
        client: WorkClient::new(connection.clone()),
        router,
        server,
        dialler,
        connection,
    }
}

/// Speaks the other protocol, to its end.
async fn other(setup: &Setup) {
    let address = setup.router.endpoint().addr();
    let connection = setup.dialler.connect(address, OTHER).await.unwrap();
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(b"hello").await.unwrap();
    send.finish().unwrap();
    assert_eq!(recv.read_to_end(100).await.unwrap(), b"hello");
    connection.close(0_u32.into(), b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_and_another_protocol_share_an_endpoint() {
    let setup = setup().await;
    let client = &setup.client;
    for _ in 0..2 {
        soon(other(&setup)).await;
        let data = Bytes::from_static(b"hello");
        assert_eq!(soon(client.echo(data.clone())).await.unwrap(), data);
        // A panic in a handler closes the whole endpoint, if it reaches iroh's router.
        assert_eq!(soon(client.boom()).await.unwrap_err().code(), Code::Unknown);
    }
    assert_eq!(setup.server.connections(), 1);
    setup.router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_its_own_endpoint_has_another_protocol_beside_it() {
    let server = IrohServer::new(Router::new().add(WorkServer::new(Worker))).beside(OTHER, Other);
    let server = server.spawn(plain_endpoint().await);
    let dialler = plain_endpoint().await;
    let address = server.endpoint().addr();
    let connection = IrohConnector::new(dialler.clone());
    let client = WorkClient::new(soon(connection.dial(address.clone())).await.unwrap());
    let speak = async || {
        let connection = dialler.connect(address.clone(), OTHER).await.unwrap();
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(b"hello").await.unwrap();
        send.finish().unwrap();
        assert_eq!(recv.read_to_end(100).await.unwrap(), b"hello");
        connection.close(0_u32.into(), b"");
    };
    for _ in 0..2 {
        soon(speak()).await;
        assert_eq!(soon(client.take_ms(1)).await.unwrap(), 1);
    }
    // Only calls are connections of the server.
    assert_eq!(server.server().connections(), 1);
    let unknown = dialler.connect(address, b"nobody/0");
    assert!(soon(unknown).await.is_err());
    soon(server.shutdown(Duration::from_secs(5))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_stay_open_leave_room_for_calls() {
    let setup = setup().await;
    // Long for a machine that is busy, short for a test.
    let liveness = LivenessConfig {
        interval: Duration::from_millis(50),
        timeout: Duration::from_secs(2),
    };
    let connection = IrohConnector::new(setup.dialler.clone())
        .liveness(liveness)
        .dial(setup.router.endpoint().addr())
        .await
        .unwrap();
    let client = WorkClient::new(connection.clone());
    let mut open = Vec::new();
    for _ in 0..200 {
        open.push(soon(client.ticks(1_000_000)).await.unwrap());
    }
    for priority in Priority::ALL {
        let client = client.with(CallOptions::new().priority(priority));
        let data = Bytes::from_static(b"hello");
        assert_eq!(soon(client.echo(data.clone())).await.unwrap(), data);
    }
    // Long enough for a ping to be missed.
    let closed = tokio::time::timeout(Duration::from_secs(3), connection.closed());
    assert!(closed.await.is_err());
    assert!(connection.round_trip().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_calls_than_a_plain_endpoint_has_streams() {
    let setup = setup().await;
    let mut calls = JoinSet::new();
    for n in 0..400_u64 {
        let client = setup.client.clone();
        calls.spawn(async move {
            match n % 4 {
                0 => assert_eq!(client.take_ms(n).await.unwrap(), n),
                1 => {
                    let data = Bytes::from(vec![7; 70_000]);
                    assert_eq!(client.echo(data.clone()).await.unwrap(), data);
                }
                2 => {
                    let ticks = client.ticks(1).await.unwrap().collect().await;
                    assert_eq!(ticks.unwrap().len(), 5);
                }
                _ => {
                    let parts = (0..3).map(|_| Bytes::from_static(&[1; 1000]));
                    let total = client.upload(Streaming::from_iter(parts)).await;
                    assert_eq!(total.unwrap(), 3000);
                }
            }
        });
    }
    let all = async { while calls.join_next().await.transpose().unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .expect("no call waits for ever");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_of_irohs_router_lets_calls_end() {
    let setup = setup().await;
    let client = setup.client.clone();
    let slow = tokio::spawn(async move { client.take_ms(600).await });
    let mut ticks = soon(setup.client.ticks(150)).await.unwrap();
    assert_eq!(soon(ticks.next()).await.unwrap().unwrap(), 0);

    let router = setup.router.clone();
    let shutdown = tokio::spawn(async move { router.shutdown().await });
    // The server says that it drains; from then on no new call is taken, and those before go on.
    let refused = soon(async {
        loop {
            match setup.client.echo(Bytes::new()).await {
                Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(status) => return status,
            }
        }
    })
    .await;
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(!refused.was_accepted(), "{refused}");
    assert!(!shutdown.is_finished());
    assert_eq!(soon(slow).await.unwrap().unwrap(), 600);
    assert_eq!(soon(ticks.collect()).await.unwrap(), [1, 2, 3, 4]);
    soon(shutdown).await.unwrap().unwrap();
    assert_eq!(setup.server.connections(), 0);
    let closed = soon(setup.connection.closed()).await;
    assert_eq!(closed.code(), Code::Unavailable, "{closed}");
    assert!(setup.router.endpoint().is_closed());
}
