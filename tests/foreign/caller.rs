//! What we check of a server in another language.

use std::{net::SocketAddr, time::Duration};

use blixard_rpc::{
    CallOptions, Channel, Code, ResponseMetadata, Streaming, transport::grpc::GrpcConnector,
};
use blixard_services::health::{Health, HealthCheckRequest, HealthClient, ServingStatus};
use blixard_tests::net::soon;
use bytes::Bytes;

use super::service::{DoorError, Mood, Probe, ProbeClient, ProbeService, Sign};

/// Calls a server that does what ours does, in each shape, and all that is beside messages.
pub(super) async fn calls(address: SocketAddr, language: &str) {
    let connection = GrpcConnector::new().dial(&address.into()).await.unwrap();
    let channel = Channel::new(connection);
    let probe = ProbeClient::new(channel.clone());
    shapes(&probe, language).await;
    metadata(&probe).await;
    deadlines(&probe).await;
    cancellation(&probe).await;
    statuses(&probe).await;
    health(&HealthClient::new(channel)).await;
}

async fn shapes(probe: &ProbeClient, language: &str) {
    let seal = Bytes::from_static(b"\x00\xff");
    let greeting = soon(probe.greet("Ada".into(), Mood::Kind, Some(seal.clone())))
        .await
        .unwrap();
    assert_eq!(greeting.text, "Hello, Ada!");
    assert_eq!(greeting.mood, Mood::Kind);
    assert_eq!(greeting.within, Some(Duration::from_millis(1500)));
    assert_eq!(greeting.counts, [("Ada".into(), 1)].into());
    assert_eq!(greeting.sign, Some(Sign::Seal { wax: seal }));
    // What only one side knows comes back.
    let greeting = soon(probe.greet(String::new(), Mood::Other(77), None))
        .await
        .unwrap();
    assert_eq!(greeting.mood, Mood::Other(77));
    assert_eq!(greeting.sign, Some(Sign::Name(language.into())));

    let counted = soon(probe.count(3)).await.unwrap();
    assert_eq!(soon(counted.collect()).await.unwrap(), [3, 2, 1, 0]);
    let sum = probe.sum(Streaming::from_iter(-1..=100));
    assert_eq!(soon(sum).await.unwrap(), 5049);
    assert_eq!(soon(probe.sum(Streaming::empty())).await.unwrap(), 0);

    // Each word is heard before the next is said. Nothing is said before the call is made, and many servers send no headers before
    // their first message.
    let (say, words) = Streaming::channel(1);
    let mut heard = soon(probe.talk(words)).await.unwrap();
    for word in ["one", "two", "drei 🐻"] {
        say.send(word.to_owned()).await.unwrap();
        assert_eq!(soon(heard.next()).await.unwrap().unwrap(), word);
    }
    drop(say);
    assert!(soon(heard.next()).await.is_none());
}

async fn metadata(probe: &ProbeClient) {
    let answered = ResponseMetadata::new();
    let blob = Bytes::from_static(&[0, 1, 0xFE, 0xFF]);
    let options = CallOptions::new()
        .metadata("x-text", "plain text")
        .metadata_bin("x-blob-bin", blob.clone())
        .capture(&answered);
    let seen = soon(probe.with(options).see(&blixard_rpc::Context::background()))
        .await
        .unwrap();
    assert_eq!(seen.texts, [("x-text".into(), "plain text".into())].into());
    assert_eq!(seen.blobs, [("x-blob-bin".into(), blob.clone())].into());
    assert_eq!(answered.headers().get("x-text"), Some("plain text"));
    assert_eq!(answered.headers().get_bin("x-blob-bin"), Some(&blob));
    assert_eq!(answered.trailers().get("x-text-too"), Some("plain text"));
    assert_eq!(answered.trailers().get_bin("x-blob-too-bin"), Some(&blob));
}

async fn deadlines(probe: &ProbeClient) {
    let background = blixard_rpc::Context::background();
    let options = CallOptions::new().deadline(Duration::from_secs(20));
    let left = soon(probe.with(options).see(&background))
        .await
        .unwrap()
        .left;
    let expected = Duration::from_secs(10)..=Duration::from_secs(20);
    assert!(
        left.is_some_and(|left| expected.contains(&left)),
        "{left:?}"
    );
    assert_eq!(soon(probe.see(&background)).await.unwrap().left, None);
    // Enforced, and known to the other side: it stops.
    let late = probe.with(CallOptions::new().deadline(Duration::from_millis(300)));
    let status = soon(late.hang("late".into())).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    soon(probe.cancelled("late".into())).await.unwrap();
    let mut drops = soon(late.drip("late stream".into())).await.unwrap();
    assert_eq!(soon(drops.next()).await.unwrap().unwrap(), 1);
    let status = soon(drops.next()).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    soon(probe.cancelled("late stream".into())).await.unwrap();
}

async fn cancellation(probe: &ProbeClient) {
    let mut drops = soon(probe.drip("a stream".into())).await.unwrap();
    assert_eq!(soon(drops.next()).await.unwrap().unwrap(), 1);
    drop(drops);
    soon(probe.cancelled("a stream".into())).await.unwrap();

    let hanging = probe.hang("a call".into());
    // The call is under way when one after it was answered.
    tokio::select! {
        biased;
        status = hanging => panic!("it answered {status:?}"),
        answered = probe.count(0) => drop(answered.unwrap()),
    }
    soon(probe.cancelled("a call".into())).await.unwrap();
}

async fn statuses(probe: &ProbeClient) {
    for number in 1..=16 {
        let code = Code::from_number(number);
        let message = format!("größer als 100 %, {code}\nand more");
        let status = soon(probe.fail(number, message.clone())).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, &*message));
    }
    soon(probe.open(3)).await.unwrap();
    match soon(probe.open(1)).await.unwrap_err() {
        DoorError::Locked { missing } => assert_eq!(missing, 2),
        DoorError::Other(status) => panic!("{status} has no detail that we know"),
    }
}

async fn health(health: &HealthClient) {
    for service in ["", ProbeService::descriptor().name] {
        let response = soon(health.check(HealthCheckRequest::of(service))).await;
        assert_eq!(response.unwrap().status, ServingStatus::Serving);
    }
    let unknown = || HealthCheckRequest::of("no.Such");
    let status = soon(health.check(unknown())).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status}");
    let mut watch = soon(health.watch(unknown())).await.unwrap();
    let first = soon(watch.next()).await.unwrap().unwrap();
    assert_eq!(first.status, ServingStatus::ServiceUnknown);
}
