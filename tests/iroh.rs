//! Calls of every shape between two real iroh endpoints on loopback.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use blixard_rpc::{
    Channel, Code, Result, Router, Streaming, iroh_service,
    transport::iroh::{
        ALPN, Endpoint, IrohConnection, IrohConnector, IrohServer, SecretKey, ServerHandle,
        presets, transport_config,
    },
};
use bytes::Bytes;

#[iroh_service(package = "test.v1")]
trait Echo {
    async fn echo(&self, data: Bytes) -> Result<Bytes>;
    async fn slow(&self, data: Bytes) -> Result<Bytes>;
    async fn repeat(&self, data: String, #[tag(2)] times: u32) -> Result<Streaming<String>>;
    async fn count(&self, items: Streaming<String>) -> Result<u64>;
    async fn chat(&self, items: Streaming<String>) -> Result<Streaming<String>>;
    async fn boom(&self) -> Result<String>;
    async fn dear(&self, times: u32) -> Result<Streaming<u64>>;
}

struct Server;

impl Echo for Server {
    async fn echo(&self, data: Bytes) -> Result<Bytes> {
        Ok(data)
    }
    async fn slow(&self, data: Bytes) -> Result<Bytes> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(data)
    }
    async fn repeat(&self, data: String, times: u32) -> Result<Streaming<String>> {
        Ok(Streaming::from_iter(
            (0..times).map(move |n| format!("{data}{n}")),
        ))
    }
    async fn count(&self, mut items: Streaming<String>) -> Result<u64> {
        let mut n = 0;
        while let Some(item) = items.next().await {
            item?;
            n += 1;
        }
        Ok(n)
    }
    async fn chat(&self, items: Streaming<String>) -> Result<Streaming<String>> {
        Ok(items)
    }
    async fn boom(&self) -> Result<String> {
        panic!("boom")
    }
    async fn dear(&self, times: u32) -> Result<Streaming<u64>> {
        let turns = Arc::new(AtomicU64::new(0));
        let other = Arc::clone(&turns);
        tokio::spawn(async move {
            while Arc::strong_count(&other) > 1 {
                other.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        Ok(Streaming::from_iter((0..times).map(move |_| {
            // What takes the processor, and not only time, does the same.
            std::thread::sleep(Duration::from_millis(2));
            turns.load(Ordering::Relaxed)
        })))
    }
}

async fn endpoint() -> Endpoint {
    Endpoint::builder(presets::Minimal)
        .secret_key(SecretKey::generate())
        .alpns(vec![ALPN.to_vec()])
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")
        .expect("loopback is an address")
        .transport_config(transport_config())
        .bind()
        .await
        .expect("loopback can be bound")
}

async fn pair() -> (ServerHandle, IrohConnection) {
    let server =
        IrohServer::new(Router::new().add(EchoServer::new(Server))).spawn(endpoint().await);
    let connection = IrohConnector::new(endpoint().await)
        .dial(server.endpoint().addr())
        .await
        .expect("the server is there");
    (server, connection)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_shape() {
    let (server, connection) = pair().await;
    let client = EchoClient::new(connection.clone());
    for round in 0..2 {
        assert_eq!(client.echo(Bytes::from_static(b"hi")).await.unwrap(), "hi");
        assert_eq!(client.slow(Bytes::from_static(b"hi")).await.unwrap(), "hi");
        let big = Bytes::from(vec![7; 3 << 20]);
        assert_eq!(client.echo(big.clone()).await.unwrap(), big);
        let items = client
            .repeat("x".into(), 1000)
            .await
            .unwrap()
            .collect()
            .await
            .unwrap();
        assert_eq!(items.len(), 1000);
        assert_eq!(items[999], "x999");
        let names = Streaming::from_iter((0..500).map(|n| n.to_string()));
        assert_eq!(client.count(names).await.unwrap(), 500);
        let (sender, stream) = Streaming::channel(1);
        let mut back = client.chat(stream).await.unwrap();
        for n in 0..50 {
            sender.send(format!("m{n}")).await.unwrap();
            assert_eq!(back.next().await.unwrap().unwrap(), format!("m{n}"));
        }
        drop(sender);
        assert!(back.next().await.is_none());
        assert_eq!(client.boom().await.unwrap_err().code(), Code::Unknown);
        connection.hello().await.unwrap();
        println!("round {round} over");
    }
    server.shutdown(Duration::from_secs(1)).await;
    let error = client.echo(Bytes::new()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
}

#[tokio::test]
async fn items_that_are_dear_to_make_leave_others_their_turn() {
    let (_server, connection) = pair().await;
    let items = EchoClient::new(connection).dear(100).await.unwrap();
    let turns = items.collect().await.unwrap();
    // The runtime is one thread: what ran between two items ran in a turn of its own.
    let most = turns.chunk_by(|a, b| a == b).map(<[u64]>::len).max();
    assert!(most.unwrap() <= 2, "{turns:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_at_once() {
    let (_server, connection) = pair().await;
    let client = EchoClient::new(Channel::new(connection));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..1500u32 {
        let client = client.clone();
        tasks.spawn(async move {
            let data = Bytes::from(vec![n as u8; (n % 300) as usize * 300]);
            let back = if n % 2 == 0 {
                client.echo(data.clone()).await
            } else {
                client.slow(data.clone()).await
            };
            assert_eq!(back.unwrap(), data);
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}
