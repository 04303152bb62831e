//! Services of others beside the router: what they do wrong is their own affair, and no call's beside them.

use std::{
    convert::Infallible,
    future::pending,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use blixard_rpc::{
    Router,
    transport::grpc::{GrpcHandle, GrpcServer},
};
use blixard_tests::net::soon;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body::Frame;
use tonic::{body::Body, server::NamedService};

use crate::{
    raw::{Raw, framed, request},
    target::{Handlers, Subject, TargetServer},
};

const OK: u32 = 0;
const UNKNOWN: u32 = 2;
const DEADLINE_EXCEEDED: u32 = 4;
const INTERNAL: u32 = 13;

/// A service of tower's that does what its methods are called after.
#[derive(Clone)]
struct Theirs;

impl NamedService for Theirs {
    const NAME: &'static str = "raw.v1.Theirs";
}

impl tower_service::Service<Request<Body>> for Theirs {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let does = request.uri().path().rsplit('/').next().map(str::to_owned);
        Box::pin(async move {
            let does = match does.as_deref() {
                Some("Panic") => panic!("as asked: this panic is part of a test"),
                Some("Wait") => pending().await,
                Some("PanicLater") => Does::Panic,
                Some("Stall") => Does::Stall,
                _ => Does::Pour,
            };
            let response = Response::builder().header("content-type", "application/grpc");
            Ok(response.body(Body::new(does)).unwrap())
        })
    }
}

/// What a body does after one message.
enum Does {
    Panic,
    Stall,
    Pour,
}

impl http_body::Body for Does {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match *self {
            Self::Panic => panic!("as asked: this panic is part of a test"),
            Self::Stall => Poll::Pending,
            Self::Pour => Poll::Ready(Some(Ok(Frame::data(framed(b""))))),
        }
    }
}

async fn serve() -> (GrpcHandle, Arc<Subject>) {
    let handlers = Handlers::default();
    let subject = Arc::clone(&handlers.0);
    let router = Router::new().add(TargetServer::new(handlers));
    let server = GrpcServer::new(router).add_service(Theirs);
    (server.bind("127.0.0.1:0").await.unwrap(), subject)
}

fn call(does: &str) -> http::request::Builder {
    request("").uri(format!("http://localhost/raw.v1.Theirs/{does}"))
}

#[tokio::test]
async fn a_panic_ends_its_call_and_nothing_beside_it() {
    let (server, subject) = serve().await;
    let raw = Raw::connect(&server).await;
    let sibling = tokio::spawn({
        let raw = raw.clone();
        async move { raw.call("Wait", &[b""]).await }
    });
    soon(subject.begins.notified()).await;
    for does in ["Panic", "PanicLater"] {
        let reply = raw
            .send(call(does).body(()).unwrap(), &[&framed(b"")])
            .await;
        reply.check(UNKNOWN, "panicked");
        assert!(!reply.message().contains("as asked"), "{reply:?}");
    }
    subject.go.send_replace(true);
    sibling.await.unwrap().check(OK, "");
}

#[tokio::test]
async fn a_deadline_is_kept_in_their_place() {
    let (server, _) = serve().await;
    let raw = Raw::connect(&server).await;
    for does in ["Wait", "Stall", "Pour"] {
        let call = call(does).header("grpc-timeout", "100m");
        let reply = raw.send(call.body(()).unwrap(), &[&framed(b"")]).await;
        reply.check(DEADLINE_EXCEEDED, "deadline");
    }
    let call = call("Wait").header("grpc-timeout", "soon");
    let reply = raw.send(call.body(()).unwrap(), &[&framed(b"")]).await;
    reply.check(INTERNAL, "grpc-timeout");
    raw.still_works().await;
}

/// Tonic takes the path alone for the name.
#[tokio::test]
async fn a_name_with_a_query_is_another_name() {
    let (server, _) = serve().await;
    let raw = Raw::connect(&server).await;
    let call = Request::post("http://localhost/raw.v1.Theirs/Pour?a=b")
        .header("content-type", "application/grpc");
    let reply = raw.send(call.body(()).unwrap(), &[&framed(b"")]).await;
    reply.check(12, "no query");
    assert_eq!(reply.head["blixard-not-accepted"], "1");
}
