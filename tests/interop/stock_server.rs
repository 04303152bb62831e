//! We call a stock server, over tonic's channel and over our own connections.

use std::time::Duration;

use blixard_rpc::{
    CallOptions, Channel, Code, Context, ResponseMetadata, Status, Streaming,
    transport::grpc::{Encoding, Grpc, GrpcConnector},
};
use blixard_tests::net::soon;
use tonic::codec::CompressionEncoding;

use crate::{
    host,
    service::{Depot, DepotClient, Item, failure, sample},
    stock::{StockKeeper, pb::depot_server::DepotServer},
};

fn named(name: &str) -> Item {
    Item {
        name: name.to_owned(),
        ..Item::default()
    }
}

/// Runs a test over tonic's channel, and over a connection of ours.
async fn both(test: impl AsyncFn(DepotClient)) {
    let address = host::tonics(DepotServer::new(StockKeeper)).await;
    let tonics = Channel::new(Grpc::new(host::channel(address).await));
    let ours = GrpcConnector::new().dial(&address.into()).await.unwrap();
    for channel in [tonics, Channel::new(ours)] {
        soon(test(DepotClient::new(channel))).await;
    }
}

#[tokio::test]
async fn calls_every_shape() {
    both(async |client| {
        let cx = Context::background();
        for item in [Item::default(), sample("a")] {
            assert_eq!(client.keep(&cx, item.clone()).await.unwrap(), item);
        }
        let items = client.browse("n".to_owned(), 100).await.unwrap();
        let items = items.collect().await.unwrap();
        assert!(items.iter().map(|item| item.count).eq(0..100));
        let names: Vec<_> = (0..50).map(|number| format!("item {number}")).collect();
        let sent = names.clone();
        let sent = || Streaming::from_iter(sent.clone().into_iter().map(|name| named(&name)));
        let receipt = client.load(sent()).await.unwrap();
        assert_eq!((receipt.items, &receipt.names), (50, &names));
        let back = client.trade(sent()).await.unwrap().collect().await.unwrap();
        assert!(back.iter().map(|item| &item.name).eq(&names));
        client.note(named("x")).await;
        assert_eq!(client.spell(7).await.unwrap(), "number 7");
    })
    .await;
}

#[tokio::test]
async fn exchanges_items_one_by_one() {
    both(async |client| {
        let (sender, requests) = Streaming::channel(1);
        let mut back = client.trade(requests).await.unwrap();
        for number in 0..20 {
            sender.send(named(&number.to_string())).await.unwrap();
            let item = back.next().await.unwrap().unwrap();
            assert_eq!(item.name, number.to_string());
        }
        sender.send(named("fail")).await.unwrap();
        let status = back.next().await.unwrap().unwrap_err();
        check_failure(&status);
        sender.closed().await;
    })
    .await;
}

#[tokio::test]
async fn sees_metadata_both_ways() {
    both(async |client| {
        let seen = ResponseMetadata::new();
        let bytes: Vec<u8> = (0..=255).collect();
        let options = CallOptions::new()
            .metadata("text", "a text")
            .metadata_bin("data-bin", bytes.clone())
            .deadline(Duration::from_secs(60))
            .capture(&seen);
        client
            .with(options)
            .keep(&Context::background(), named("a"))
            .await
            .unwrap();
        assert_eq!(seen.headers().get("head"), Some("a text"));
        assert_eq!(seen.headers().get_bin("data-bin").unwrap()[..], bytes);
        let timeout = seen.headers().get("timeout").unwrap().to_owned();
        assert!(timeout.ends_with('u') && timeout.len() == 9, "{timeout}");
    })
    .await;
}

fn check_failure(status: &Status) {
    let expected = failure();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.message(), expected.message());
    assert_eq!(status.details(), expected.details());
    assert_eq!(status.metadata().get("why"), Some("weight"));
    assert_eq!(status.metadata().get_bin("why-bin").unwrap()[..], [1, 2]);
    assert!(status.was_accepted());
}

#[tokio::test]
async fn sees_every_part_of_a_status() {
    both(async |client| {
        let status = client.keep(&Context::background(), named("fail")).await;
        check_failure(&status.unwrap_err());
        let sent = Streaming::from_iter([named("a"), named("fail")]);
        let mut back = client.trade(sent).await.unwrap();
        back.next().await.unwrap().unwrap();
        check_failure(&back.next().await.unwrap().unwrap_err());
    })
    .await;
}

#[tokio::test]
async fn keeps_its_own_deadline() {
    both(async |client| {
        let client = client.with(CallOptions::new().deadline(Duration::from_millis(200)));
        let status = client
            .keep(&Context::background(), named("wait"))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    })
    .await;
}

#[tokio::test]
async fn compresses_both_ways() {
    for (ours, theirs) in [
        (Encoding::Gzip, CompressionEncoding::Gzip),
        (Encoding::Zstd, CompressionEncoding::Zstd),
    ] {
        let server = DepotServer::new(StockKeeper)
            .accept_compressed(theirs)
            .send_compressed(theirs);
        let address = host::tonics(server).await;
        let tonics = Grpc::new(host::channel(address).await).send_compressed(ours);
        let connector = GrpcConnector::new().send_compressed(ours);
        let dialled = connector.dial(&address.into()).await.unwrap();
        for channel in [Channel::new(tonics), Channel::new(dialled)] {
            let item = Item {
                tags: vec!["the same again".to_owned(); 1000],
                ..Item::default()
            };
            let client = DepotClient::new(channel);
            let kept = soon(async { client.keep(&Context::background(), item.clone()).await });
            assert_eq!(kept.await.unwrap(), item);
        }
    }
}

#[tokio::test]
async fn what_was_not_accepted_is_known() {
    let cx = Context::background();
    // Nobody listens there any more.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let client = DepotClient::new(Channel::new(Grpc::new(endpoint.connect_lazy())));
    let status = client.keep(&cx, named("a")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(!status.was_accepted(), "{status:?}");
    let status = GrpcConnector::new()
        .dial(&address.into())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(!status.was_accepted(), "{status:?}");

    // A stock server says only that there is no such method: a handler may have said so too.
    let address = host::tonics(tonic_health::server::health_reporter().1).await;
    let dialled = GrpcConnector::new().dial(&address.into()).await.unwrap();
    let status = DepotClient::new(dialled)
        .keep(&cx, named("a"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.was_accepted());
}
