//! A server, and a client, that are written by hand on tonic: with a codec that leaves messages as bytes, as proxies have it.

use std::{
    convert::Infallible,
    task::{Context as TaskContext, Poll},
};

use blixard_rpc::{Channel, Context, Streaming, transport::grpc::GrpcConnector};
use blixard_tests::net::soon;
use bytes::{Buf, BufMut, Bytes};
use tonic::{
    Request, Response, Status,
    body::Body,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::BoxFuture,
    server::{NamedService, StreamingService, UnaryService},
};

use crate::{
    host,
    service::{Depot, DepotClient, Item, Keeper, sample},
};

#[derive(Clone, Copy, Default)]
struct AsBytes;

impl Codec for AsBytes {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for AsBytes {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for AsBytes {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, input: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(input.copy_to_bytes(input.remaining())))
    }
}

/// Answers every method with what was sent.
#[derive(Clone)]
struct Mirror;

impl NamedService for Mirror {
    const NAME: &'static str = "interop.v1.Depot";
}

impl UnaryService<Bytes> for Mirror {
    type Response = Bytes;
    type Future = BoxFuture<Response<Bytes>, Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        Box::pin(async move { Ok(Response::new(request.into_inner())) })
    }
}

impl StreamingService<Bytes> for Mirror {
    type Response = Bytes;
    type ResponseStream = tonic::Streaming<Bytes>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<tonic::Streaming<Bytes>>) -> Self::Future {
        Box::pin(async move { Ok(Response::new(request.into_inner())) })
    }
}

impl tower_service::Service<http::Request<Body>> for Mirror {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(AsBytes);
            Ok(match request.uri().path() {
                "/interop.v1.Depot/Keep" => grpc.unary(Self, request).await,
                _ => grpc.streaming(Self, request).await,
            })
        })
    }
}

#[tokio::test]
async fn a_server_of_bytes_is_called() {
    let address = host::tonics(Mirror).await;
    let dialled = GrpcConnector::new().dial(&address.into()).await.unwrap();
    let client = DepotClient::new(Channel::new(dialled));
    let kept = soon(async { client.keep(&Context::background(), sample("a")).await });
    assert_eq!(kept.await.unwrap(), sample("a"));
    let sent = [sample("a"), Item::default()];
    let back = soon(async {
        let back = client.trade(Streaming::from_iter(sent.clone())).await?;
        back.collect().await
    });
    assert_eq!(back.await.unwrap(), sent);
}

#[tokio::test]
async fn a_client_of_bytes_calls() {
    let server = host::ours(Keeper::default()).await;
    let channel = host::channel(server.local_addr().unwrap()).await;
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/interop.v1.Depot/Spell");
    // The number 7 in protobuf's wrapper, and the text in another.
    let request = Request::new(Bytes::from_static(&[8, 7]));
    let response = soon(grpc.unary(request, path, AsBytes)).await.unwrap();
    assert_eq!(response.into_inner(), &b"\x0a\x08number 7"[..]);
}
