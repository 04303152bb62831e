//! Servers that send no headers before their first message, as those of many languages do: whoever speaks first, the call gets on.

use std::net::SocketAddr;

use blixard_rpc::{
    CallOptions, Channel, Code, ResponseMetadata, Result, Streaming, iroh_service,
    transport::grpc::{Grpc, GrpcConnector},
};
use blixard_tests::net::soon;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response};
use tokio::net::TcpListener;

use crate::raw::{bytes_value, framed};

#[iroh_service(package = "late.v1")]
trait Late {
    async fn talk(&self, words: Streaming<Bytes>) -> Result<Streaming<Bytes>>;
    async fn pour(&self, word: Bytes) -> Result<Streaming<Bytes>>;
}

/// A server by hand: it says nothing at all before it has heard `hello`, then echoes. What is not `hello` it refuses.
async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(answer(request.into_body(), respond));
                }
            });
        }
    });
    address
}

async fn answer(mut requests: h2::RecvStream, mut respond: h2::server::SendResponse<Bytes>) {
    let hello = framed(&bytes_value(b"hello"));
    let mut heard = BytesMut::new();
    while heard.len() < hello.len() {
        let Some(Ok(chunk)) = requests.data().await else {
            return;
        };
        heard.extend_from_slice(&chunk);
    }
    let head = Response::builder()
        .header("content-type", "application/grpc")
        .header("heard", "hello");
    if heard != hello {
        let head = head.header("grpc-status", "7").body(()).unwrap();
        respond.send_response(head, true).unwrap();
        return;
    }
    let mut stream = respond
        .send_response(head.body(()).unwrap(), false)
        .unwrap();
    stream.send_data(heard.freeze(), false).unwrap();
    while let Some(Ok(chunk)) = requests.data().await {
        stream.send_data(chunk, false).unwrap();
    }
    let ok = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        "0".parse().unwrap(),
    )]);
    stream.send_trailers(ok).unwrap();
}

/// Runs a test over our connection, and over tonic's channel.
async fn both(test: impl AsyncFn(LateClient)) {
    let address = serve().await;
    let dialled = GrpcConnector::new().dial(&address.into()).await.unwrap();
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let tonics = Grpc::new(endpoint.connect().await.unwrap());
    for channel in [Channel::new(dialled), Channel::new(tonics)] {
        test(LateClient::new(channel)).await;
    }
}

#[tokio::test]
async fn an_exchange_is_there_before_its_first_word() {
    both(async |client| {
        let seen = ResponseMetadata::new();
        let client = client.with(CallOptions::new().capture(&seen));
        let (say, words) = Streaming::channel(1);
        let mut heard = soon(client.talk(words)).await.unwrap();
        assert!(seen.headers().is_empty(), "nothing was said");
        for word in ["hello", "again"] {
            say.send(word.into()).await.unwrap();
            assert_eq!(soon(heard.next()).await.unwrap().unwrap(), word);
            assert_eq!(seen.headers().get("heard"), Some("hello"));
        }
        drop(say);
        assert!(soon(heard.next()).await.is_none());
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_then_comes_out_of_the_stream() {
    both(async |client| {
        let (say, words) = Streaming::channel(1);
        let mut heard = soon(client.talk(words)).await.unwrap();
        say.send("what?".into()).await.unwrap();
        let status = soon(heard.next()).await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
        assert!(soon(heard.next()).await.is_none());
        soon(say.closed()).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_said_whole_waits_for_its_answer() {
    both(async |client| {
        let words = || Streaming::from_iter([Bytes::from_static(b"what?")]);
        // The error is the call's own, as of every transport.
        let status = soon(client.talk(words())).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
        let status = soon(client.pour("what?".into())).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
        let poured = soon(client.pour("hello".into())).await.unwrap();
        assert_eq!(soon(poured.collect()).await.unwrap(), ["hello"]);
    })
    .await;
}
