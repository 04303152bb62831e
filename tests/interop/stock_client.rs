//! A stock client calls us, over our server and over tonic's.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use blixard_rpc::{
    Code, Router,
    transport::grpc::{Encoding, GrpcServer, GrpcService},
};
use blixard_tests::net::soon;
use tokio_stream::StreamExt;
use tonic::{Request, codec::CompressionEncoding, metadata::MetadataValue, transport::Channel};

use crate::{
    host,
    service::{DepotServer, Item, Keeper, failure, sample},
    stock::{
        ours,
        pb::{self, depot_client::DepotClient},
        rpc_status_bytes, theirs,
    },
};

type Client = DepotClient<Channel>;

fn named(name: &str) -> pb::Item {
    theirs(&Item {
        name: name.to_owned(),
        ..Item::default()
    })
}

/// Runs a test over our own server, and over tonic's with the generated server as it stands.
async fn both(test: impl AsyncFn(Client, Arc<Keeper>)) {
    let keeper = Arc::new(Keeper::default());
    let router = Router::new().add(DepotServer::from_arc(Arc::clone(&keeper)));
    let server = GrpcServer::new(router).bind("127.0.0.1:0").await.unwrap();
    let channel = host::channel(server.local_addr().unwrap()).await;
    soon(test(DepotClient::new(channel), keeper)).await;

    let keeper = Arc::new(Keeper::default());
    let address = host::tonics(DepotServer::from_arc(Arc::clone(&keeper))).await;
    let channel = host::channel(address).await;
    soon(test(DepotClient::new(channel), keeper)).await;
}

#[tokio::test]
async fn calls_every_shape() {
    both(async |mut client, keeper| {
        for item in [Item::default(), sample("a")] {
            let kept = client.keep(theirs(&item)).await.unwrap().into_inner();
            assert_eq!(ours(&kept), item);
        }
        let request = pb::DepotBrowseRequest {
            name: "n".to_owned(),
            count: 100,
        };
        let items = client.browse(request).await.unwrap().into_inner();
        let items: Vec<_> = items.collect::<Result<_, _>>().await.unwrap();
        assert!(items.iter().map(|item| item.count).eq(0..100));

        let names: Vec<_> = (0..50).map(|number| format!("item {number}")).collect();
        let sent: Vec<_> = names.iter().map(|name| named(name)).collect();
        let receipt = client
            .load(tokio_stream::iter(sent.clone()))
            .await
            .unwrap()
            .into_inner();
        assert_eq!((receipt.items, receipt.names), (50, names.clone()));
        let back = client
            .trade(tokio_stream::iter(sent))
            .await
            .unwrap()
            .into_inner();
        let back: Vec<_> = back.collect::<Result<_, _>>().await.unwrap();
        assert!(back.iter().map(|item| &item.name).eq(&names));

        client.note(named("x")).await.unwrap();
        keeper.noted.notified().await;
        let request = pb::DepotSpellRequest { number: 7 };
        let spelled = client.spell(request).await.unwrap().into_inner();
        assert_eq!(spelled.value, "number 7");
    })
    .await;
}

#[tokio::test]
async fn exchanges_items_one_by_one() {
    both(async |mut client, _| {
        let (sender, requests) = tokio::sync::mpsc::channel(1);
        let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
        let mut back = client.trade(requests).await.unwrap().into_inner();
        for number in 0..20 {
            sender.send(named(&number.to_string())).await.unwrap();
            let item = back.next().await.unwrap().unwrap();
            assert_eq!(item.name, number.to_string());
        }
        sender.send(named("fail")).await.unwrap();
        let status = back.next().await.unwrap().unwrap_err();
        assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    })
    .await;
}

#[tokio::test]
async fn sees_metadata_both_ways_and_who_it_is() {
    both(async |mut client, _| {
        let mut request = Request::new(named("metadata"));
        request.set_timeout(Duration::from_secs(60));
        request
            .metadata_mut()
            .insert("text", "a text".parse().unwrap());
        let bytes: Vec<u8> = (0..=255).collect();
        request
            .metadata_mut()
            .insert_bin("data-bin", MetadataValue::from_bytes(&bytes));
        let response = client.keep(request).await.unwrap();
        // Headers and trailers are one to tonic's unary calls.
        let metadata = response.metadata();
        assert_eq!(metadata.get("head").unwrap(), "a text");
        assert_eq!(
            metadata.get_bin("tail-bin").unwrap().to_bytes().unwrap(),
            bytes
        );
        let peer: SocketAddr = metadata
            .get("peer")
            .unwrap()
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(peer.ip().is_loopback());
        let left = metadata.get("seconds-left").unwrap().to_str().unwrap();
        assert!(matches!(left, "58" | "59" | "60"), "{left}");
    })
    .await;
}

#[tokio::test]
async fn sees_every_part_of_a_status() {
    both(async |mut client, _| {
        let expected = failure();
        let in_stream = {
            let sent = tokio_stream::iter([named("a"), named("fail")]);
            let mut back = client.trade(sent).await.unwrap().into_inner();
            back.next().await.unwrap().unwrap();
            back.next().await.unwrap().unwrap_err()
        };
        for status in [client.keep(named("fail")).await.unwrap_err(), in_stream] {
            assert_eq!(status.code(), tonic::Code::FailedPrecondition);
            assert_eq!(status.message(), expected.message());
            assert_eq!(status.details(), rpc_status_bytes());
            assert_eq!(status.metadata().get("why").unwrap(), "weight");
            let bytes = status.metadata().get_bin("why-bin").unwrap();
            assert_eq!(bytes.to_bytes().unwrap(), [1, 2][..]);
        }
        let status = client.keep(named("panic")).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unknown);
        assert!(!status.message().contains("as asked"), "{status}");
    })
    .await;
}

#[tokio::test]
async fn gives_up_and_the_handler_is_dropped() {
    both(async |mut client, keeper| {
        let waiting = keeper.waiting.notified();
        let mut other = client.clone();
        let call = tokio::spawn(async move { other.keep(named("wait")).await });
        waiting.await;
        call.abort();
        keeper.dropped.notified().await;

        let mut request = Request::new(named("wait"));
        request.set_timeout(Duration::from_millis(200));
        let status = client.keep(request).await.unwrap_err();
        // Tonic's client says it so when its own timer is first.
        let expected = [tonic::Code::DeadlineExceeded, tonic::Code::Cancelled];
        assert!(expected.contains(&status.code()), "{status:?}");
        keeper.dropped.notified().await;
    })
    .await;
}

#[tokio::test]
async fn compresses_both_ways() {
    let keeper = Arc::new(Keeper::default());
    let router = Router::new().add(DepotServer::from_arc(Arc::clone(&keeper)));
    let server = GrpcServer::new(router)
        .send_compressed(Encoding::ALL)
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let service = GrpcService::new(DepotServer::from_arc(keeper)).send_compressed(Encoding::ALL);
    let tonics = host::tonics(service).await;
    for address in [server.local_addr().unwrap(), tonics] {
        for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
            let channel = host::channel(address).await;
            let mut client = DepotClient::new(channel)
                .send_compressed(encoding)
                .accept_compressed(encoding);
            let item = pb::Item {
                tags: vec!["the same again".to_owned(); 1000],
                ..pb::Item::default()
            };
            let response = client.keep(item.clone()).await.unwrap();
            let name = match encoding {
                CompressionEncoding::Gzip => "gzip",
                _ => "zstd",
            };
            assert_eq!(response.metadata().get("grpc-encoding").unwrap(), name);
            assert_eq!(response.into_inner(), item);
        }
    }
}

#[tokio::test]
async fn is_told_of_what_is_not_there() {
    let server = host::ours(Keeper::default()).await;
    let channel = host::channel(server.local_addr().unwrap()).await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    let status = health
        .check(tonic_health::pb::HealthCheckRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unimplemented);
    assert!(
        status.message().contains("grpc.health.v1.Health"),
        "{status}"
    );
    assert_eq!(Code::Unimplemented.number(), 12);
}

#[tokio::test]
async fn finds_ours_beside_tonics_services_in_tonics_server() {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(health)
        .add_service(DepotServer::new(Keeper::default()));
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(server.serve_with_incoming(incoming));
    let channel = host::channel(address).await;
    let mut client = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    let answer = client
        .check(tonic_health::pb::HealthCheckRequest::default())
        .await;
    assert_eq!(answer.unwrap().into_inner().status, 1);
    let kept = DepotClient::new(channel).keep(named("a")).await.unwrap();
    assert_eq!(kept.into_inner().name, "a");
}

#[tokio::test]
async fn finds_tonics_services_beside_ours() {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter
        .set_service_status("", tonic_health::ServingStatus::Serving)
        .await;
    let router = Router::new().add(DepotServer::new(Keeper::default()));
    let server = GrpcServer::new(router)
        .add_service(health)
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let channel = host::channel(server.local_addr().unwrap()).await;
    let mut client = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    let answer = client
        .check(tonic_health::pb::HealthCheckRequest::default())
        .await;
    assert_eq!(answer.unwrap().into_inner().status, 1);
    let kept = DepotClient::new(channel).keep(named("a")).await.unwrap();
    assert_eq!(kept.into_inner().name, "a");
}
