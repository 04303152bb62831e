//! The Raft transport between real endpoints: what reaches the engine, from whom, in what order, and what never does.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

mod newest;
mod nodes;
mod order;
mod snapshots;
mod strangers;

use std::{sync::atomic::Ordering, time::Duration};

use blixard_raft_transport::{Ask, Class, Event, RaftMessage, SendError, Standing};
use blixard_rpc::runner::{Mode, Transport};
use blixard_tests::net::{endpoint_at, soon};
use futures_util::stream;

use nodes::{Cluster, NAME, Over, WITHIN, lock, number, numbered, tally};

const ASKS: [Ask; 4] = [Ask::Vote, Ask::PreVote, Ask::TransferLeader, Ask::Heartbeat];

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_is_answered_and_is_known() {
    let cluster = Cluster::default();
    for over in [Over::Iroh, Over::Grpc, Over::Both] {
        let nodes = cluster.start(over, 3).await;
        for from in &nodes {
            for to in nodes
                .iter()
                .filter(|to| to.transport.id() != from.transport.id())
            {
                let peer = from.transport.peer(to.transport.id()).unwrap();
                for ask in ASKS {
                    let answer = soon(peer.ask(ask, RaftMessage::new(3, "x"), WITHIN)).await;
                    assert_eq!(answer.unwrap(), RaftMessage::new(4, "x"), "{over:?}");
                    let asked = lock(&to.engine.asked).pop().unwrap();
                    let expected = (from.transport.id(), ask, RaftMessage::new(3, "x"));
                    assert_eq!(asked, expected, "{over:?}");
                }
                assert_eq!(peer.standing(Class::Election), Standing::Up);
                assert!(peer.round_trip(Class::Heartbeat).is_some());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_append_are_answered_in_order() {
    let cluster = Cluster::default();
    for over in [Over::Iroh, Over::Grpc, Over::Both] {
        let nodes = cluster.start(over, 2).await;
        let peer = nodes[0].transport.peer(2).unwrap();
        let requests = stream::iter((0..5000).map(|n| numbered(n, 100)));
        let mut responses = soon(peer.append(requests)).await.unwrap();
        for expected in 0..5000 {
            let response = soon(responses.next()).await.unwrap().unwrap();
            assert_eq!(number(&response.payload), expected, "{over:?}");
        }
        assert!(soon(responses.next()).await.is_none());
        let status = &nodes[0].transport.status()[0].classes[Class::LogAppend.index()];
        assert_eq!(status.sent_messages, 5000);
        assert_eq!(status.standing, Standing::Up);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_too_long_ends_its_stream_and_says_so() {
    let nodes = Cluster::default().start(Over::Iroh, 2).await;
    let peer = nodes[0].transport.peer(2).unwrap();
    let requests = [numbered(0, 8), numbered(1, 11 * 1024 * 1024)];
    // It may be found before the stream is open, or after.
    let error = match soon(peer.append(stream::iter(requests))).await {
        Err(error) => error,
        Ok(mut responses) => loop {
            if let Err(error) = soon(responses.next()).await.unwrap() {
                break error;
            }
        },
    };
    assert!(matches!(&error, SendError::Failed(_)), "{error:?}");
    assert!(error.to_string().contains("fewer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_arrive_in_the_order_of_their_class() {
    let cluster = Cluster::default();
    for over in [Over::Iroh, Over::Grpc, Over::Both] {
        let nodes = cluster.start(over, 2).await;
        let peer = nodes[0].transport.peer(2).unwrap();
        for n in 0..2000 {
            peer.send(Class::LogAppend, numbered(n, 64)).unwrap();
        }
        for n in 0..50 {
            peer.send(Class::Election, numbered(n, 64)).unwrap();
            peer.send_heartbeat(n, numbered(n, 64)).unwrap();
        }
        soon(nodes[1].engine.until(|delivered| delivered.len() == 2100)).await;
        for (class, count) in [
            (Class::Election, 50),
            (Class::Heartbeat, 50),
            (Class::LogAppend, 2000),
        ] {
            let expected: Vec<u64> = (0..count).collect();
            assert_eq!(nodes[1].engine.numbers(class), expected, "{over:?} {class}");
        }
        assert!(
            nodes[1]
                .engine
                .delivered()
                .iter()
                .all(|(from, ..)| *from == 1)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mode_changes_while_messages_flow_and_none_is_lost() {
    let nodes = Cluster::default().start(Over::Both, 2).await;
    let peer = nodes[0].transport.peer(2).unwrap();
    let mut sent = 0;
    for mode in [Mode::Iroh, Mode::Dual, Mode::Grpc, Mode::Dual, Mode::Iroh] {
        for _ in 0..500 {
            peer.send(Class::LogAppend, numbered(sent, 64)).unwrap();
            sent += 1;
        }
        nodes[0].transport.set_mode(mode).unwrap();
        assert_eq!(nodes[0].transport.mode(), mode);
        soon(
            nodes[1]
                .engine
                .until(|delivered| delivered.len() as u64 == sent),
        )
        .await;
        let answer = soon(peer.vote(RaftMessage::new(1, "x"), WITHIN)).await;
        assert!(answer.is_ok(), "{mode:?} {answer:?}");
    }
    let numbers = nodes[1].engine.numbers(Class::LogAppend);
    assert_eq!(numbers, (0..sent).collect::<Vec<_>>());
    assert!(nodes[0].engine.events.borrow().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_requests_ends_well_when_the_mode_changes() {
    let nodes = Cluster::default().start(Over::Both, 2).await;
    let peer = nodes[0].transport.peer(2).unwrap();
    let endless = stream::unfold(0, |n| async move {
        // As an engine sends: one batch, and then it waits for its clients.
        tokio::task::yield_now().await;
        Some((numbered(n, 64), n + 1))
    });
    let mut responses = soon(peer.append(endless)).await.unwrap();
    for expected in 0..100 {
        let response = soon(responses.next()).await.unwrap().unwrap();
        assert_eq!(number(&response.payload), expected);
    }
    nodes[0].transport.set_mode(Mode::Grpc).unwrap();
    soon(async {
        while let Some(response) = responses.next().await {
            response.unwrap();
        }
    })
    .await;
    let once = stream::iter([numbered(0, 64)]);
    let mut responses = soon(peer.append(once)).await.unwrap();
    soon(responses.next()).await.unwrap().unwrap();
    assert_eq!(nodes[1].engine.appended.load(Ordering::Relaxed), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_dead_under_load_costs_no_more_than_its_bounds() {
    let cluster = Cluster::default();
    let nodes = cluster
        .start_with(Over::Iroh, 2, |config| {
            config.log_append.messages = 100;
            config.log_append.bytes = 64 * 1024;
            config.in_flight.messages = 50;
            config.suspect_after = Duration::from_millis(200);
        })
        .await;
    let peer = nodes[0].transport.peer(2).unwrap();
    nodes[1].engine.log_stands_still.send_replace(true);
    let (mut sent, mut full) = (0_u64, 0);
    let most = || {
        let status = nodes[0].transport.status();
        let class = status[0].classes[Class::LogAppend.index()];
        // A batch is taken whole, so that what is under way may be one more.
        assert!(class.queued_messages <= 100, "{class:?}");
        assert!(class.queued_bytes <= 64 * 1024, "{class:?}");
        assert!(class.in_flight_messages <= 50 + 100, "{class:?}");
    };
    for n in 0..20_000 {
        match peer.send(Class::LogAppend, numbered(n, 512)) {
            Ok(()) => sent += 1,
            Err(SendError::Full(_)) => full += 1,
            Err(other) => panic!("{other}"),
        }
        if n % 1000 == 0 {
            most();
            tokio::task::yield_now().await;
        }
    }
    assert!(full > 0 && sent > 0);
    // It says nothing for too long: the engine is told, and what waited is dropped.
    let is_down = |event: &Event| {
        matches!(
            event,
            Event::Standing {
                peer: 2,
                class: Class::LogAppend,
                standing: Standing::Down
            }
        )
    };
    soon(nodes[0].engine.told(|events| events.iter().any(is_down))).await;
    assert_eq!(peer.standing(Class::LogAppend), Standing::Down);
    // The other classes are none the worse for it.
    let answer = soon(peer.vote(RaftMessage::new(1, "x"), WITHIN)).await;
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(peer.standing(Class::Election), Standing::Up);
    // And it comes back.
    nodes[1].engine.log_stands_still.send_replace(false);
    soon(async {
        while peer.standing(Class::LogAppend) != Standing::Up {
            let _ = peer.send(Class::LogAppend, numbered(99_999, 8));
            let before = nodes[1].engine.delivered().len();
            let more = nodes[1].engine.until(|delivered| delivered.len() > before);
            let _ = tokio::time::timeout(Duration::from_millis(100), more).await;
        }
    })
    .await;
    most();
    let tally = tally(&nodes[1].engine.numbers(Class::LogAppend));
    let twice = tally
        .iter()
        .filter(|(n, count)| **count > 1 && **n != 99_999);
    assert_eq!(twice.count(), 0, "a message came twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_comes_back_is_dialled_again() {
    let cluster = Cluster::default();
    let mut nodes = cluster.start(Over::Iroh, 2).await;
    let peer = nodes[0].transport.peer(2).unwrap();
    soon(peer.vote(RaftMessage::new(1, "x"), WITHIN))
        .await
        .unwrap();
    let mut gone = nodes.pop().unwrap();
    let endpoint = gone.endpoint.take().unwrap();
    let (key, port) = (
        endpoint.secret_key().clone(),
        endpoint.bound_sockets()[0].port(),
    );
    gone.iroh.take().unwrap().shutdown(Duration::ZERO).await;
    endpoint.close().await;
    drop((gone, endpoint));
    soon(async { while peer.vote(RaftMessage::new(1, "x"), WITHIN).await.is_ok() {} }).await;
    assert_ne!(peer.standing(Class::Election), Standing::Up);

    let again = soon(async {
        loop {
            // The system takes its time to let the port go.
            let bound = tokio::spawn(endpoint_at(port, key.clone()));
            if let Ok(endpoint) = bound.await {
                break endpoint;
            }
        }
    })
    .await;
    let again = cluster
        .node_on(Some(again), Over::Iroh, NAME, 2, |_| {})
        .await;
    again.transport.set_member(nodes[0].member.clone()).unwrap();
    // Its own call is a reason to dial it at once.
    let back = again.transport.peer(1).unwrap();
    soon(back.vote(RaftMessage::new(1, "x"), WITHIN))
        .await
        .unwrap();
    soon(async { while peer.vote(RaftMessage::new(1, "x"), WITHIN).await.is_err() {} }).await;
    peer.send(Class::LogAppend, numbered(1, 64)).unwrap();
    soon(again.engine.until(|delivered| delivered.len() == 1)).await;
    assert_eq!(peer.standing(Class::Election), Standing::Up);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_iroh_is_away_all_goes_on_over_grpc() {
    let mut nodes = Cluster::default().start(Over::Both, 2).await;
    let peer = nodes[0].transport.peer(2).unwrap();
    soon(peer.vote(RaftMessage::new(1, "x"), WITHIN))
        .await
        .unwrap();
    peer.send(Class::LogAppend, numbered(0, 64)).unwrap();
    soon(nodes[1].engine.until(|delivered| delivered.len() == 1)).await;
    assert_eq!(nodes[0].transport.status()[0].route, Some(Transport::Iroh));

    nodes[1].iroh.take().unwrap().shutdown(Duration::ZERO).await;
    nodes[1].endpoint.take().unwrap().close().await;
    soon(async { while peer.vote(RaftMessage::new(1, "x"), WITHIN).await.is_err() {} }).await;
    soon(async {
        let mut n = 1;
        while nodes[1].engine.delivered().len() < 2 {
            peer.send(Class::LogAppend, numbered(n, 64)).unwrap();
            n += 1;
            let came = nodes[1].engine.until(|delivered| delivered.len() > 1);
            let _ = tokio::time::timeout(Duration::from_millis(100), came).await;
        }
    })
    .await;
    assert_eq!(nodes[0].transport.status()[0].route, Some(Transport::Grpc));
    let requests = stream::iter([numbered(0, 64)]);
    let mut responses = soon(peer.append(requests)).await.unwrap();
    soon(responses.next()).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_is_printed() {
    let nodes = Cluster::default().start(Over::Iroh, 2).await;
    let peer = nodes[0].transport.peer(2).unwrap();
    for n in 0..10 {
        peer.send(Class::LogAppend, numbered(n, 64)).unwrap();
    }
    soon(nodes[1].engine.until(|delivered| delivered.len() == 10)).await;
    let text = nodes[0].transport.metrics();
    for line in [
        "# TYPE blixard_raft_sent_messages_total counter",
        "blixard_raft_sent_messages_total{peer=\"2\",class=\"log_append\"} 10",
        "blixard_raft_sent_bytes_total{peer=\"2\",class=\"log_append\"} 640",
        "blixard_raft_dropped_messages_total{peer=\"2\",class=\"election\",reason=\"stale\"} 0",
        "blixard_raft_standing{peer=\"2\",class=\"heartbeat\"} 0",
        "blixard_raft_refused_total{reason=\"stranger\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let received = "blixard_raft_received_messages_total{peer=\"1\",class=\"log_append\"} 10";
    assert!(nodes[1].transport.metrics().contains(received));
}
