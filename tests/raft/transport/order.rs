//! What is urgent is not held up by what is not.

use std::{
    collections::BTreeMap,
    io::Cursor,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use blixard_raft_transport::{
    Ask, Class, Member, Network, OutgoingSnapshot, Purpose, RaftMessage, SendError, Transport,
    TransportConfig,
};
use blixard_rpc::{
    Channel, Dispatch, Priority, Result, Status,
    call::{Request, Response},
    transport::iroh::{EndpointAddr, SecretKey},
};
use blixard_tests::net::soon;
use futures_util::{FutureExt as _, stream};

use super::nodes::{Cluster, NAME, Over, WITHIN, lock, numbered};

#[tokio::test(flavor = "multi_thread")]
async fn an_election_overtakes_a_log_that_stands_still() {
    let cluster = Cluster::default();
    for over in [Over::Iroh, Over::Grpc] {
        let nodes = cluster.start(over, 2).await;
        let (peer, engine) = (nodes[0].transport.peer(2).unwrap(), &nodes[1].engine);
        engine.log_stands_still.send_replace(true);
        // More than the windows of a stream take.
        for n in 0..200 {
            peer.send(Class::LogAppend, numbered(n, 64 * 1024)).unwrap();
        }
        peer.send(Class::Election, numbered(0, 64)).unwrap();
        peer.send_heartbeat(0, numbered(0, 64)).unwrap();
        soon(engine.until(|delivered| delivered.len() >= 2)).await;
        let classes: Vec<Class> = engine
            .delivered()
            .iter()
            .map(|(_, class, _)| *class)
            .collect();
        assert!(!classes.contains(&Class::LogAppend), "{over:?} {classes:?}");
        soon(peer.vote(RaftMessage::new(1, "x"), WITHIN))
            .await
            .unwrap();
        soon(peer.heartbeat(RaftMessage::new(1, "x"), WITHIN))
            .await
            .unwrap();
        engine.log_stands_still.send_replace(false);
        soon(engine.until(|delivered| delivered.len() >= 202)).await;
        let expected: Vec<u64> = (0..200).collect();
        assert_eq!(engine.numbers(Class::LogAppend), expected, "{over:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_told_that_there_is_no_room_is_told_when_there_is() {
    let nodes = Cluster::default().start(Over::Iroh, 2).await;
    let (peer, engine) = (nodes[0].transport.peer(2).unwrap(), &nodes[1].engine);
    soon(peer.room(Class::LogAppend)).await;
    engine.log_stands_still.send_replace(true);
    let mut count = 0;
    let refused = loop {
        match peer.send(Class::LogAppend, numbered(count, 64 * 1024)) {
            Ok(()) => count += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, SendError::Full(_)), "{refused}");
    // A quarter of what waits is under way at most.
    let mut room = pin!(peer.room(Class::LogAppend));
    assert!(room.as_mut().now_or_never().is_none());
    engine.log_stands_still.send_replace(false);
    soon(room).await;
    peer.send(Class::LogAppend, numbered(count, 64 * 1024))
        .unwrap();
    let all = count as usize + 1;
    soon(engine.until(|delivered| delivered.len() == all)).await;
    let expected: Vec<u64> = (0..=count).collect();
    assert_eq!(engine.numbers(Class::LogAppend), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_heartbeats_only_the_newest_waits() {
    let nodes = Cluster::default().start(Over::Iroh, 2).await;
    let peer = nodes[0].transport.peer(2).unwrap();
    let beat = |n| {
        let peer = peer.clone();
        tokio::spawn(async move { peer.heartbeat(numbered(n, 8), Duration::from_secs(1)).await })
    };
    let beats: Vec<_> = (0..200).map(beat).collect();
    let (mut answered, mut superseded) = (0, 0);
    for beat in beats {
        match soon(beat).await.unwrap() {
            Ok(_) => answered += 1,
            Err(SendError::Superseded) => superseded += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(answered + superseded, 200);
    assert!(answered >= 2 && superseded > 0, "{answered} {superseded}");
}

/// Notes how calls go out, and lets none arrive.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<BTreeMap<String, (Purpose, Priority)>>>);

struct Noting(Purpose, Notes);

impl Dispatch for Noting {
    async fn dispatch(&self, request: Request) -> Result<Response> {
        let name = request.method.path().rsplit('/').next().unwrap().to_owned();
        lock(&self.1.0).insert(name, (self.0, request.priority));
        Err(Status::unavailable("nobody is there"))
    }
}

#[tokio::test]
async fn each_class_goes_with_its_priority_on_its_connection() {
    let notes = Notes::default();
    let noted = notes.clone();
    let network =
        Network::new().custom(move |_, purpose| Channel::new(Noting(purpose, noted.clone())));
    let mut config = TransportConfig::new(NAME, 1);
    config.insecure = true;
    config.snapshot.give_up_after = Duration::ZERO;
    let transport = Transport::new(config, network).unwrap();
    transport.set_member(Member::new(2)).unwrap();
    let peer = transport.peer(2).unwrap();
    for ask in [Ask::Vote, Ask::PreVote, Ask::TransferLeader, Ask::Heartbeat] {
        peer.ask(ask, numbered(0, 8), WITHIN).await.unwrap_err();
    }
    let requests = stream::iter([numbered(0, 8)]);
    peer.append(requests).await.unwrap_err();
    for class in [Class::Election, Class::Heartbeat, Class::LogAppend] {
        peer.send(class, numbered(0, 8)).unwrap();
    }
    let snapshot = OutgoingSnapshot {
        id: "x".to_owned(),
        term: 1,
        payload: "".into(),
        total_bytes: 0,
        source: Cursor::new(Vec::new()),
    };
    soon(peer.snapshot(snapshot)).await.unwrap_err();
    let expected = [
        ("Vote", Class::Election),
        ("PreVote", Class::Election),
        ("TransferLeader", Class::Election),
        ("ElectionMessages", Class::Election),
        ("Heartbeat", Class::Heartbeat),
        ("HeartbeatMessages", Class::Heartbeat),
        ("Append", Class::LogAppend),
        ("AppendMessages", Class::LogAppend),
        ("Snapshot", Class::Snapshot),
    ];
    soon(async {
        while lock(&notes.0).len() < expected.len() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let found = lock(&notes.0).clone();
    for (name, class) in expected {
        assert_eq!(found[name], (class.purpose(), class.priority()), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_that_hangs_holds_up_no_other_member() {
    let cluster = Cluster::default();
    let nodes = cluster
        .start_with(Over::Iroh, 2, |config| config.election_timeout = WITHIN)
        .await;
    // Takes packets, and says nothing: a dial is waited for as long as it may take.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let key = SecretKey::generate().public();
    let address = EndpointAddr::new(key).with_ip_addr(silent.local_addr().unwrap());
    nodes[0]
        .transport
        .set_member(Member::new(3).iroh(address))
        .unwrap();
    let (there, away) = (
        nodes[0].transport.peer(2).unwrap(),
        nodes[0].transport.peer(3).unwrap(),
    );
    let mut order = Vec::new();
    let mut hanging = Box::pin(away.vote(RaftMessage::new(1, "x"), WITHIN));
    let mut answered = Box::pin(async {
        for _ in 0..3 {
            there.vote(RaftMessage::new(1, "x"), WITHIN).await.unwrap();
        }
    });
    // The dial has begun before anything else is asked for.
    assert!(futures_util::poll!(&mut hanging).is_pending());
    soon(async {
        while order.len() < 2 {
            tokio::select! {
                failed = &mut hanging, if !order.contains(&"away") => {
                    failed.unwrap_err();
                    order.push("away");
                }
                () = &mut answered, if !order.contains(&"there") => order.push("there"),
            }
        }
    })
    .await;
    assert_eq!(order, ["there", "away"]);
}
