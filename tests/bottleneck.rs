//! Calls over a path that is narrow, or loses packets: what is urgent goes first, and a lost packet stops few.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

use std::time::Duration;

use blixard_rpc::{
    Result, Router, Streaming, iroh_service,
    link::MAX_LANES,
    transport::iroh::{
        EndpointAddr, IrohConnection, IrohConnector, IrohServer, LivenessConfig, SEND_WINDOW_BYTES,
        ServerHandle,
    },
};
use blixard_tests::{
    net::{endpoint, endpoint_v6, endpoint_with, soon},
    udp::UdpRelay,
};
use bytes::Bytes;
use iroh::{TransportAddr, endpoint::QuicTransportConfig};
use tokio::{sync::watch, task::JoinSet};

#[iroh_service(package = "bottleneck.v1")]
trait Node {
    /// Takes what is sent, without end.
    #[rpc(priority = "bulk")]
    async fn upload(&self, items: Streaming<Bytes>) -> Result<u64>;
    /// As patient as an upload.
    #[rpc(priority = "bulk")]
    async fn patient(&self, data: Bytes) -> Result<Bytes>;
    async fn normal(&self, data: Bytes) -> Result<Bytes>;
    #[rpc(priority = "critical")]
    async fn urgent(&self, data: Bytes) -> Result<Bytes>;
}

struct MyNode;

impl Node for MyNode {
    async fn upload(&self, mut items: Streaming<Bytes>) -> Result<u64> {
        let mut bytes = 0;
        while let Some(item) = items.next().await {
            bytes += item?.len() as u64;
        }
        Ok(bytes)
    }
    async fn patient(&self, data: Bytes) -> Result<Bytes> {
        Ok(data)
    }
    async fn normal(&self, data: Bytes) -> Result<Bytes> {
        Ok(data)
    }
    async fn urgent(&self, data: Bytes) -> Result<Bytes> {
        Ok(data)
    }
}

/// A client and a server, and what is between them.
struct Bed {
    connection: IrohConnection,
    bottleneck: UdpRelay,
    _server: ServerHandle,
}

impl Bed {
    /// `None` where the machine cannot: without IPv6, packets would find a way around the bottleneck.
    async fn new(bytes_per_second: u64, liveness: LivenessConfig) -> Option<Self> {
        let Some(server) = endpoint_v6().await else {
            let skipped = "skipped: this machine has no IPv6 on loopback";
            assert!(std::env::var_os("CI").is_none(), "{skipped}");
            println!("{skipped}");
            return None;
        };
        let router = Router::new().add(NodeServer::new(MyNode));
        let server = IrohServer::new(router).spawn(server);
        let peer = server.endpoint().addr();
        let inside = *peer.ip_addrs().next().unwrap();
        let bottleneck = UdpRelay::before(inside).await.unwrap();
        bottleneck.narrow(bytes_per_second);
        let peer = EndpointAddr::new(peer.id).with_ip_addr(bottleneck.address());
        let connector = IrohConnector::new(endpoint().await).liveness(liveness);
        let connection = soon(connector.dial(peer)).await.unwrap();
        soon(connection.hello()).await.unwrap();
        Some(Self {
            connection,
            bottleneck,
            _server: server,
        })
    }

    fn client(&self) -> NodeClient<IrohConnection> {
        NodeClient::new(self.connection.clone())
    }

    /// How many bytes go to the server until the call is answered.
    async fn passed_during(&self, call: impl Future<Output = Result<Bytes>>) -> u64 {
        let before = self.bottleneck.passed_bytes();
        soon(call).await.unwrap();
        self.bottleneck.passed_bytes() - before
    }

    /// That no packet went another way.
    fn check_path(&self) {
        let paths = self.connection.link().connection().paths();
        let through = TransportAddr::Ip(self.bottleneck.address());
        assert!(!paths.is_empty());
        for path in &paths {
            assert_eq!(*path.remote_addr(), through);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urgent_calls_overtake_uploads_that_fill_the_window() {
    const UPLOADS: usize = 1000;
    const CALLS: usize = 10;
    let Some(bed) = Bed::new(4 << 20, LivenessConfig::default()).await else {
        return;
    };
    let client = bed.client();
    let sent = watch::Sender::new(0_u64);
    let mut uploads = JoinSet::new();
    for _ in 0..UPLOADS {
        let (client, sent) = (client.clone(), sent.clone());
        let item = Bytes::from(vec![0; 16 * 1024]);
        let items = std::iter::repeat_with(move || {
            sent.send_modify(|sent| *sent += item.len() as u64);
            item.clone()
        });
        uploads.spawn(async move { client.upload(Streaming::from_iter(items)).await });
    }
    // All of them share the window, and wait for room in it.
    let mut ahead = sent.subscribe();
    let full = ahead.wait_for(|sent| *sent >= SEND_WINDOW_BYTES * 3 / 4);
    let ahead = *soon(full).await.unwrap() - bed.bottleneck.passed_bytes();

    // How many bytes went through while each call was under way.
    let [mut patient, mut normal, mut urgent] = [const { Vec::new() }; 3];
    for _ in 0..CALLS {
        urgent.push(bed.passed_during(client.urgent(Bytes::new())).await);
        normal.push(bed.passed_during(client.normal(Bytes::new())).await);
        patient.push(bed.passed_during(client.patient(Bytes::new())).await);
    }
    bed.check_path();
    println!("{ahead} bytes were ahead; before each call went:");
    println!("urgent {urgent:?}\nnormal {normal:?}\npatient {patient:?}");
    // In turn, each would have waited for all that was ahead.
    for call in urgent.iter().chain(&normal) {
        assert!(*call < ahead / 8, "{call} of {ahead} bytes went first");
    }
    let middle = |mut calls: Vec<u64>| {
        calls.sort_unstable();
        calls[CALLS / 2]
    };
    let (urgent, patient) = (middle(urgent), middle(patient));
    assert!(
        urgent < patient / 4 * 3,
        "{urgent} bytes went before an urgent call, {patient} before a patient one"
    );
    assert!(uploads.try_join_next().is_none(), "the uploads go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_spread_over_lanes_while_packets_are_lost() {
    // How the path is, is looked at with each ping.
    let liveness = LivenessConfig {
        interval: Duration::from_millis(100),
        ..LivenessConfig::default()
    };
    let Some(bed) = Bed::new(16 << 20, liveness).await else {
        return;
    };
    let until = |lanes: usize| {
        let (connection, client) = (bed.connection.clone(), bed.client());
        async move {
            let mut callers = JoinSet::new();
            for _ in 0..2 * MAX_LANES {
                let (connection, client) = (connection.clone(), client.clone());
                callers.spawn(async move {
                    let mut calls = 0_u32;
                    while connection.round_trip().is_none() || connection.lanes() < lanes {
                        let data = Bytes::from(calls.to_string());
                        assert_eq!(client.normal(data.clone()).await.unwrap(), data);
                        calls += 1;
                    }
                });
            }
            callers.join_all().await
        }
    };
    soon(until(1)).await;
    let stats = bed.connection.link().connection().stats();
    if stats.lost_packets == 0 {
        // One for the calls, one for pings.
        assert_eq!(bed.connection.lanes(), 2, "on a path without losses");
    }
    bed.bottleneck.lose(30, 2);
    soon(until(1 + MAX_LANES)).await;
    bed.check_path();
    assert!(bed.bottleneck.lost() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_pass_windows_that_are_smaller_than_they_are() {
    let tiny = || QuicTransportConfig::builder().send_window(10).build();
    let (inside, outside) = tokio::join!(endpoint_with(tiny()), endpoint_with(tiny()));
    let server = IrohServer::new(Router::new().add(NodeServer::new(MyNode))).spawn(inside);
    let connector = IrohConnector::new(outside);
    let client = NodeClient::new(soon(connector.dial(server.peer())).await.unwrap());
    let data = Bytes::from(vec![7; 100]);
    // Each opens a lane, with a hello.
    assert_eq!(soon(client.patient(data.clone())).await.unwrap(), data);
    assert_eq!(soon(client.normal(data.clone())).await.unwrap(), data);
    assert_eq!(soon(client.urgent(data.clone())).await.unwrap(), data);
    let items = Streaming::from_iter([data.clone(), data]);
    assert_eq!(soon(client.upload(items)).await.unwrap(), 200);
}
