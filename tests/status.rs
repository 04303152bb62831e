//! What the nodes of a real cluster say of it, of themselves and of each other: three engines, over iroh.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use blixard_raft_cluster::kv::{Command, Kv};
use blixard_raft_transport::{
    Member, Network, Transport, TransportConfig,
    openraft::{Clients, Cluster, OpenRaft, StateStore, StoreOptions, Types, open},
};
use blixard_rpc::{
    Channel, Code, Memory, Router, Streaming,
    transport::iroh::{
        ALPN, Endpoint, IrohConnector, IrohServer, SecretKey, ServerHandle, presets,
        transport_config,
    },
};
use blixard_services::status::{
    ClusterResponse, Connections, MemberRole, NodeStatus, NodeStatusClient, PathKind, RaftResponse,
    RaftRole, Reachability, StatusReports, WatchResponse,
};
use blixard_tests::{folder::Folder, net::endpoint};
use openraft::{BasicNode, Config, Raft};

type Engine = Raft<Types<Kv>, StateStore<Kv>>;

/// Long, so that a machine that does much else elects no other leader.
const ELECTION_TIMEOUT: Duration = Duration::from_secs(2);

struct Node {
    endpoint: Endpoint,
    raft: Engine,
    server: ServerHandle,
    _transport: Transport,
}

impl Node {
    async fn new(id: u64, at: &[Endpoint], connections: Connections, folder: &Folder) -> Self {
        let endpoint = at[id as usize - 1].clone();
        let network = Network::new().iroh(IrohConnector::new(endpoint.clone()));
        let mut config = TransportConfig::new("status", id);
        config.election_timeout = ELECTION_TIMEOUT;
        config.snapshot.directory = folder.path().join(format!("{id}/incoming"));
        let transport = Transport::new(config, network).unwrap();
        for (id, endpoint) in (1..).zip(at) {
            transport
                .set_member(Member::new(id).iroh(endpoint.addr()))
                .unwrap();
        }
        let own = folder.path().join(id.to_string());
        let (log, state) = open(own, Kv, &StoreOptions::default()).unwrap();
        let milliseconds = ELECTION_TIMEOUT.as_millis() as u64;
        let config = Config {
            heartbeat_interval: milliseconds / 3,
            election_timeout_min: milliseconds,
            election_timeout_max: milliseconds * 2,
            ..Config::default()
        };
        let config = Arc::new(config.validate().unwrap());
        let clients = Clients::new(transport.clone());
        let raft = Engine::new(id, config, clients, log, state).await.unwrap();
        let inbound = OpenRaft::new();
        inbound.set(raft.clone());
        let key = *endpoint.id().as_bytes();
        let reports = StatusReports::new("1.2.3")
            .cluster(Cluster::new(raft.clone(), transport.clone()).key(key))
            .peers(connections);
        let router = Router::new()
            .add(transport.server(Arc::new(inbound)))
            .add(reports.server());
        Self {
            server: IrohServer::new(router).spawn(endpoint.clone()),
            endpoint,
            raft,
            _transport: transport,
        }
    }

    async fn client(&self) -> NodeStatusClient {
        let connector = IrohConnector::new(endpoint().await);
        let connection = connector.dial(self.server.endpoint().addr()).await.unwrap();
        NodeStatusClient::new(Channel::new(connection))
    }
}

/// Reads until the cluster is so.
#[track_caller]
fn until(
    watch: &mut Streaming<WatchResponse>,
    holds: impl Fn(&ClusterResponse) -> bool,
) -> impl Future<Output = ClusterResponse> {
    let caller = std::panic::Location::caller();
    async move {
        let mut last = None;
        let found = async {
            loop {
                let cluster = watch.next().await.unwrap().unwrap().cluster.unwrap();
                if holds(&cluster) {
                    return cluster;
                }
                last = Some(cluster);
            }
        };
        match tokio::time::timeout(Duration::from_secs(60), found).await {
            Ok(cluster) => cluster,
            Err(_) => panic!("it is {last:?}, at {caller}"),
        }
    }
}

/// Asks until the engine is so far.
#[track_caller]
fn raft_until(
    client: &NodeStatusClient,
    holds: impl Fn(&RaftResponse) -> bool,
) -> impl Future<Output = RaftResponse> {
    let caller = std::panic::Location::caller();
    async move {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let raft = client.raft().await.unwrap();
            if holds(&raft) {
                return raft;
            }
            assert!(Instant::now() < until, "it is {raft:?}, at {caller}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_three_is_told_as_it_is_and_as_it_changes() {
    let folder = Folder::new("status");
    let mut endpoints = Vec::new();
    let mut connections = Vec::new();
    for _ in 0..3 {
        let (endpoint, hooks) = hooked().await;
        endpoints.push(endpoint);
        connections.push(hooks);
    }
    let mut nodes = BTreeMap::new();
    for (id, connections) in (1..).zip(connections) {
        let node = Node::new(id, &endpoints, connections, &folder).await;
        nodes.insert(id, node);
    }
    let mut clients = BTreeMap::new();
    for (id, node) in &nodes {
        clients.insert(*id, node.client().await);
    }

    // Before there is a cluster there is no leader; and everybody sees when there is one.
    let mut watches = BTreeMap::new();
    for (id, client) in &clients {
        let mut watch = client.watch().await.unwrap();
        let first = until(&mut watch, |_| true).await;
        assert_eq!(
            (first.id, first.leader, first.members.len()),
            (*id, None, 0)
        );
        watches.insert(*id, watch);
    }
    let members = (1..).zip(&endpoints).map(|(id, endpoint)| {
        let address = endpoint.bound_sockets()[0].to_string();
        (id, BasicNode::new(address))
    });
    let members: BTreeMap<u64, BasicNode> = members.collect();
    nodes[&1].raft.initialize(members.clone()).await.unwrap();
    let mut leader = 0;
    for watch in watches.values_mut() {
        let cluster = until(watch, |it| it.leader.is_some() && it.members.len() == 3).await;
        leader = cluster.leader.unwrap();
        for (member, endpoint) in cluster.members.iter().zip(&endpoints) {
            assert_eq!(member.key, endpoint.id().as_bytes()[..]);
            assert_eq!(member.address, members[&member.id].addr);
            assert_eq!(member.role, MemberRole::Voter);
        }
    }
    let all_reachable = |it: &ClusterResponse| {
        let mut members = it.members.iter();
        members.all(|it| it.reachable == Reachability::Reachable)
    };
    let cluster = until(watches.get_mut(&leader).unwrap(), all_reachable).await;
    let asked = clients[&leader].cluster().await.unwrap();
    assert_eq!((asked.leader, asked.term), (cluster.leader, cluster.term));

    // What is written moves all of them, and the leader knows how far they are.
    let mut written = 0;
    for number in 0..10 {
        let command = Command::Put {
            key: format!("key-{number}"),
            value: "value".into(),
        };
        written = nodes[&leader]
            .raft
            .client_write(command)
            .await
            .unwrap()
            .log_id
            .index;
    }
    for (id, node) in &nodes {
        let wait = node.raft.wait(Some(Duration::from_secs(60)));
        wait.applied_index_at_least(Some(written), "all")
            .await
            .unwrap();
        let raft = raft_until(&clients[id], |it| {
            it.applied_index >= Some(written) && it.committed_index >= Some(written)
        });
        let raft = raft.await;
        let (role, replicas) = if *id == leader {
            (RaftRole::Leader, 2)
        } else {
            (RaftRole::Follower, 0)
        };
        assert_eq!((raft.id, raft.role, raft.leader), (*id, role, Some(leader)));
        assert_eq!(raft.term, cluster.term);
        let entries = raft.last_index.unwrap() + 1;
        assert_eq!(raft.log_entries, entries, "nothing was purged");
        assert_eq!(raft.replicas.len(), replicas, "{raft:?}");
        assert_eq!(raft.stopped, "");
    }
    let raft = raft_until(&clients[&leader], |it| {
        let mut replicas = it.replicas.iter();
        replicas.all(|it| it.lag_entries == 0)
    });
    let raft = raft.await;
    let mut replicas = raft.replicas.iter();
    assert!(replicas.all(|it| it.matched_index == raft.last_index));

    // The peers are those, and the client.
    let peers = clients[&leader].peers().await.unwrap().peers;
    for (id, endpoint) in (1..).zip(&endpoints) {
        let of = peers
            .iter()
            .filter(|it| it.key == endpoint.id().as_bytes()[..]);
        let of: Vec<_> = of.collect();
        assert_eq!(of.is_empty(), id == leader, "{peers:?}");
        for peer in of {
            assert_eq!(peer.protocol, "blixard-rpc/1");
            let path = peer.paths.iter().find(|path| path.selected).unwrap();
            assert_eq!(path.kind, PathKind::Direct);
            assert_eq!(path.address, members[&id].addr);
            assert!(path.round_trip.unwrap() > Duration::ZERO);
            assert!(path.sent_bytes > 0 && path.received_bytes > 0);
        }
    }
    assert!(peers.iter().any(|peer| peer.incoming));

    // The leader goes: those who are left say who leads, and that it does not answer.
    let gone = nodes.remove(&leader).unwrap();
    let mut watch = watches.remove(&leader).unwrap();
    gone.raft.shutdown().await.unwrap();
    gone.endpoint.close().await;
    let ended = async { while let Some(Ok(_)) = watch.next().await {} };
    tokio::time::timeout(Duration::from_secs(60), ended)
        .await
        .unwrap();
    let mut next = 0;
    for watch in watches.values_mut() {
        let cluster = until(watch, |it| it.leader.is_some_and(|it| it != leader)).await;
        assert!(cluster.term > raft.term);
        next = cluster.leader.unwrap();
    }
    let lost = |it: &ClusterResponse| {
        let mut members = it.members.iter();
        members.any(|it| it.id == leader && it.reachable == Reachability::Unreachable)
    };
    until(watches.get_mut(&next).unwrap(), lost).await;
}

#[tokio::test]
async fn a_node_without_a_cluster_says_so() {
    let reports = StatusReports::new("1.2.3");
    let router = Router::new().add(reports.server());
    let client = NodeStatusClient::new(Channel::new(Memory::new(router)));
    let first = client.version().await.unwrap();
    assert_eq!(first.version, "1.2.3");
    let second = client.version().await.unwrap();
    assert!(second.uptime >= first.uptime && second.started_at == first.started_at);
    for status in [
        client.cluster().await.unwrap_err(),
        client.raft().await.unwrap_err(),
        client.watch().await.unwrap_err(),
        client.peers().await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    }
}

/// An endpoint whose connections are known.
async fn hooked() -> (Endpoint, Connections) {
    let hooks = Connections::new();
    let builder = Endpoint::builder(presets::Minimal)
        .secret_key(SecretKey::generate())
        .alpns(vec![ALPN.to_vec()])
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")
        .unwrap();
    let builder = builder
        .transport_config(transport_config())
        .hooks(hooks.clone());
    (builder.bind().await.unwrap(), hooks)
}

#[tokio::test]
async fn who_comes_and_goes_is_watched_without_a_cluster() {
    let (here, hooks) = hooked().await;
    let reports = StatusReports::new("1").peers(hooks);
    let router = Router::new().add(reports.server());
    let client = NodeStatusClient::new(Channel::new(Memory::new(router.clone())));
    let mut watch = client.watch().await.unwrap();
    let first = watch.next().await.unwrap().unwrap();
    assert_eq!((first.cluster, first.peers), (None, vec![]));

    let server = IrohServer::new(router).spawn(here);
    let there = endpoint().await;
    let key = there.id();
    let connection = IrohConnector::new(there.clone());
    let connection = connection.dial(server.peer()).await.unwrap();
    let within = Duration::from_secs(60);
    let come = async {
        loop {
            let peers = watch.next().await.unwrap().unwrap().peers;
            if let [peer] = &peers[..]
                && peer.paths.iter().any(|path| path.selected)
            {
                assert_eq!(&peer.key[..], key.as_bytes());
                assert!(peer.incoming);
                return;
            }
        }
    };
    tokio::time::timeout(within, come).await.unwrap();
    // Calls over it are no change.
    let over = NodeStatusClient::new(Channel::new(connection));
    over.version().await.unwrap();
    drop(over);
    there.close().await;
    let gone = async { while !watch.next().await.unwrap().unwrap().peers.is_empty() {} };
    tokio::time::timeout(within, gone).await.unwrap();
}
