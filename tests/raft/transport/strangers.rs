//! Who is no member of the cluster, or pretends to be another one, never reaches the engine.

use blixard_raft_transport::{
    Class, Member, Network, RaftMessage, SendError, Transport, TransportConfig,
};
use blixard_rpc::{
    CallOptions, Channel, Code, Context, Memory, Router, Streaming,
    runner::Mode,
    transport::{
        grpc::{GrpcConnector, GrpcServer},
        iroh::IrohConnector,
    },
};
use blixard_services::raft::{
    MessageBatch, Raft as _, RaftClient, RaftRequest, SnapshotBegin, SnapshotPart,
};
use blixard_tests::net::{endpoint, soon};

use super::nodes::{Cluster, NAME, Node, Over, Recorder, WITHIN, https, introduce, lock};

fn request(cluster: &str, target: u64) -> RaftRequest {
    RaftRequest {
        cluster: cluster.to_owned(),
        target,
        term: 1,
        payload: "x".into(),
    }
}

/// Says everything that can be said, and is refused with this code each time.
async fn check_refused(client: &RaftClient, cluster: &str, target: u64, code: Code) {
    let cx = &Context::background();
    let ask = || request(cluster, target);
    let batches = || {
        Streaming::from_iter([MessageBatch {
            cluster: cluster.to_owned(),
            target,
            sequence: 1,
            messages: vec![RaftMessage::new(1, "x")],
        }])
    };
    let mut codes = Vec::new();
    for refused in [
        soon(client.vote(cx, ask())).await,
        soon(client.pre_vote(cx, ask())).await,
        soon(client.transfer_leader(cx, ask())).await,
        soon(client.heartbeat(cx, ask())).await,
    ] {
        codes.push(refused.unwrap_err().code());
    }
    for stream in [
        soon(client.append(cx, batches())).await,
        soon(client.election_messages(cx, batches())).await,
        soon(client.heartbeat_messages(cx, batches())).await,
        soon(client.append_messages(cx, batches())).await,
    ] {
        codes.push(match stream {
            Err(status) => status.code(),
            Ok(mut answers) => soon(answers.next()).await.unwrap().unwrap_err().code(),
        });
    }
    let begin = SnapshotPart::Begin(SnapshotBegin {
        cluster: cluster.to_owned(),
        target,
        id: "1".to_owned(),
        ..SnapshotBegin::default()
    });
    codes.push(
        match soon(client.snapshot(cx, Streaming::from_iter([begin]))).await {
            Err(status) => status.code(),
            Ok(mut answers) => soon(answers.next()).await.unwrap().unwrap_err().code(),
        },
    );
    assert_eq!(codes, vec![code; 9]);
}

fn check_untouched(node: &Node) {
    assert_eq!(lock(&node.engine.asked).len(), 0);
    assert_eq!(node.engine.delivered().len(), 0);
    assert_eq!(lock(&node.engine.snapshots).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_refused_over_iroh() {
    let nodes = Cluster::default().start(Over::Iroh, 2).await;
    let stranger = IrohConnector::new(endpoint().await);
    let connection = soon(stranger.dial(nodes[0].iroh_peer())).await.unwrap();
    let client = RaftClient::new(Channel::new(connection));
    check_refused(&client, NAME, 1, Code::PermissionDenied).await;
    // What it says of itself counts for nothing.
    let liar = client.with(CallOptions::new().metadata("blixard-raft-insecure-sender", "2"));
    check_refused(&liar, NAME, 1, Code::PermissionDenied).await;
    check_untouched(&nodes[0]);
    assert!(
        nodes[0]
            .transport
            .metrics()
            .contains("refused_total{reason=\"stranger\"} 18")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_refused_over_grpc() {
    let cluster = Cluster::default();
    let nodes = cluster.start(Over::Grpc, 2).await;
    let peer = https(nodes[0].grpc.as_ref().unwrap().local_addr().unwrap());
    // The authority vouches for it, but as somebody else.
    let connection = cluster.connector("node-3").dial(&peer).await.unwrap();
    let client = RaftClient::new(Channel::new(connection));
    check_refused(&client, NAME, 1, Code::PermissionDenied).await;
    check_untouched(&nodes[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tls_nothing_is_proved_and_all_is_refused() {
    let nodes = Cluster::default().start(Over::Iroh, 2).await;
    let engine = std::sync::Arc::clone(&nodes[0].engine);
    let router = Router::new().add(nodes[0].transport.server(engine));
    let server = GrpcServer::new(router).bind("127.0.0.1:0").await.unwrap();
    let peer = server.local_addr().unwrap().into();
    let connection = GrpcConnector::new().dial(&peer).await.unwrap();
    let client = RaftClient::new(Channel::new(connection));
    let liar = client.with(CallOptions::new().metadata("blixard-raft-insecure-sender", "2"));
    check_refused(&liar, NAME, 1, Code::Unauthenticated).await;
    check_untouched(&nodes[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_another_cluster_is_refused() {
    let cluster = Cluster::default();
    let ours = cluster.node(Over::Iroh, NAME, 1, |_| {}).await;
    let theirs = cluster.node(Over::Iroh, "billing", 2, |_| {}).await;
    // They know each other's keys: somebody has mixed up two lists of members.
    let nodes = [ours, theirs];
    introduce(&nodes);
    let peer = nodes[1].transport.peer(1).unwrap();
    let refused = soon(peer.vote(RaftMessage::new(1, "x"), WITHIN)).await;
    assert!(matches!(refused, Err(SendError::Refused(_))), "{refused:?}");
    let client = IrohConnector::new(nodes[1].endpoint.clone().unwrap());
    let client = RaftClient::new(Channel::new(
        soon(client.dial(nodes[0].iroh_peer())).await.unwrap(),
    ));
    check_refused(&client, "billing", 1, Code::PermissionDenied).await;
    // And one who calls another member than it means to.
    check_refused(&client, NAME, 3, Code::FailedPrecondition).await;
    check_untouched(&nodes[0]);
    soon(client.vote(&Context::background(), request(NAME, 1)))
        .await
        .unwrap();
    assert_eq!(lock(&nodes[0].engine.asked).pop().unwrap().0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_removed_is_refused_on_streams_that_are_open_too() {
    let nodes = Cluster::default().start(Over::Iroh, 2).await;
    let peer = nodes[0].transport.peer(2).unwrap();
    peer.send(Class::LogAppend, super::numbered(0, 8)).unwrap();
    soon(nodes[1].engine.until(|delivered| delivered.len() == 1)).await;
    nodes[1].transport.remove_member(1);
    let cut = |events: &Vec<_>| !events.is_empty();
    peer.send(Class::LogAppend, super::numbered(1, 8)).unwrap();
    soon(nodes[0].engine.told(cut)).await;
    assert_eq!(nodes[1].engine.delivered().len(), 1);
    let refused = soon(peer.vote(RaftMessage::new(1, "x"), WITHIN)).await;
    assert!(matches!(refused, Err(SendError::Refused(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_proves_nothing_does_not_start() {
    let plain: std::net::SocketAddr = "127.0.0.1:1".parse().unwrap();
    let mut config = TransportConfig::new(NAME, 1);
    config.mode = Mode::Grpc;
    let network = || Network::new().grpc(GrpcConnector::new());
    let transport = Transport::new(config.clone(), network()).unwrap();
    for (member, says) in [
        (Member::new(2).key([2; 32]).grpc(plain), "mutual TLS"),
        (Member::new(2), "by which it is known"),
    ] {
        let status = transport.set_member(member).unwrap_err();
        assert!(status.message().contains(says), "{status}");
    }
    transport.set_member(Member::new(2).key([2; 32])).unwrap();
    let twin = transport
        .set_member(Member::new(3).key([2; 32]))
        .unwrap_err();
    assert!(twin.message().contains("in common"), "{twin}");
    config.insecure = true;
    let transport = Transport::new(config, network()).unwrap();
    transport.set_member(Member::new(2).grpc(plain)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn in_tests_the_word_of_the_sender_is_enough() {
    let engine = std::sync::Arc::new(Recorder::default());
    let mut config = TransportConfig::new(NAME, 1);
    config.insecure = true;
    let transport = Transport::new(
        config,
        Network::new().custom(|_, _| Channel::new(Memory::new(Router::new()))),
    )
    .unwrap();
    transport.set_member(Member::new(2)).unwrap();
    let router = Router::new().add(transport.server(std::sync::Arc::clone(&engine)));
    let mut config = TransportConfig::new(NAME, 2);
    config.insecure = true;
    let channel = Channel::new(Memory::new(router));
    let network = Network::new().custom(move |_, _| channel.clone());
    let other = Transport::new(config, network).unwrap();
    other.set_member(Member::new(1)).unwrap();
    let peer = other.peer(1).unwrap();
    soon(peer.vote(RaftMessage::new(1, "x"), WITHIN))
        .await
        .unwrap();
    assert_eq!(lock(&engine.asked).pop().unwrap().0, 2);
}
