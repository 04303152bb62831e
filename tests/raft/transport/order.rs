//! What is urgent is not held up by what is not.

use std::time::Duration;

use blixard_raft_transport::{Class, RaftMessage, SendError};
use blixard_tests::net::soon;

use super::nodes::{Cluster, Over, WITHIN, numbered};

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
