//! `Status::was_accepted`: what a client may know of a call that failed, from servers that end it in every way there is.

use std::net::SocketAddr;

use blixard_rpc::{
    Channel, Code, Context, Status,
    transport::grpc::{Grpc, GrpcConfig, GrpcConnector},
};
use blixard_tests::net::soon;
use bytes::Bytes;
use h2::{Reason, server::SendResponse};
use http::{HeaderMap, Response};
use tokio::net::TcpListener;

use crate::{
    frames::{Kind, frame},
    raw::framed,
    target::{Target, TargetClient, serve_with},
};

/// What a server by hand does with the first call of each connection.
type Does = fn(&mut h2::server::Connection<tokio::net::TcpStream, Bytes>, SendResponse<Bytes>);

/// A server by hand.
async fn serve(does: Does) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, respond))) = connection.accept().await {
                    does(&mut connection, respond);
                }
            });
        }
    });
    address
}

/// What our clients make of it, over our connection and over tonic's channel.
async fn both(does: Does) -> [Status; 2] {
    let address = serve(does).await;
    let dialled = GrpcConnector::new().dial(&address.into()).await.unwrap();
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let tonics = Grpc::new(endpoint.connect().await.unwrap());
    let mut statuses = Vec::new();
    for channel in [Channel::new(dialled), Channel::new(tonics)] {
        let client = TargetClient::new(channel);
        let cx = Context::background();
        statuses.push(soon(client.wait(&cx)).await.unwrap_err());
    }
    statuses.try_into().unwrap()
}

#[track_caller]
fn check(statuses: &[Status], code: Code, accepted: bool) {
    for status in statuses {
        assert_eq!(status.code(), code, "{status:?}");
        assert_eq!(status.was_accepted(), accepted, "{status:?}");
    }
}

fn respond(
    mut respond: SendResponse<Bytes>,
    head: Response<()>,
    trailers: &[(&'static str, &str)],
) {
    let mut stream = respond.send_response(head, false).unwrap();
    let trailers: HeaderMap = trailers
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
        .collect();
    stream.send_trailers(trailers).unwrap();
}

/// Dropped, it would reset the stream.
fn keep(stream: h2::SendStream<Bytes>) {
    tokio::spawn(async move {
        std::future::pending::<()>().await;
        drop(stream);
    });
}

fn head() -> Response<()> {
    Response::builder()
        .header("content-type", "application/grpc")
        .body(())
        .unwrap()
}

#[tokio::test]
async fn a_refused_stream_was_not() {
    let statuses = both(|_, mut respond| respond.send_reset(Reason::REFUSED_STREAM)).await;
    check(&statuses, Code::Unavailable, false);
}

#[tokio::test]
async fn streams_that_are_reset_otherwise_may_have_been() {
    for (reason, code) in [
        (Reason::CANCEL, Code::Cancelled),
        (Reason::INTERNAL_ERROR, Code::Internal),
        (Reason::ENHANCE_YOUR_CALM, Code::ResourceExhausted),
        (Reason::INADEQUATE_SECURITY, Code::PermissionDenied),
        (Reason::PROTOCOL_ERROR, Code::Internal),
    ] {
        let address = serve_reset(reason).await;
        let dialled = GrpcConnector::new().dial(&address.into()).await.unwrap();
        let client = TargetClient::new(Channel::new(dialled));
        let status = soon(client.wait(&Context::background())).await.unwrap_err();
        check(&[status], code, true);
    }
}

async fn serve_reset(reason: Reason) -> SocketAddr {
    match reason {
        Reason::CANCEL => serve(|_, mut respond| respond.send_reset(Reason::CANCEL)).await,
        Reason::INTERNAL_ERROR => {
            serve(|_, mut respond| respond.send_reset(Reason::INTERNAL_ERROR)).await
        }
        Reason::ENHANCE_YOUR_CALM => {
            serve(|_, mut respond| respond.send_reset(Reason::ENHANCE_YOUR_CALM)).await
        }
        Reason::INADEQUATE_SECURITY => {
            serve(|_, mut respond| respond.send_reset(Reason::INADEQUATE_SECURITY)).await
        }
        _ => serve(|_, mut respond| respond.send_reset(Reason::PROTOCOL_ERROR)).await,
    }
}

#[tokio::test]
async fn a_connection_that_breaks_in_between_may_have_been() {
    let statuses = both(|connection, _| connection.abrupt_shutdown(Reason::INTERNAL_ERROR)).await;
    for status in statuses {
        assert!(status.was_accepted(), "{status:?}");
    }
}

#[tokio::test]
async fn what_the_server_says_of_it_counts() {
    let refused = |_: &mut h2::server::Connection<_, _>, mut respond: SendResponse<Bytes>| {
        let mut head = head();
        let block = head.headers_mut();
        block.insert("grpc-status", "14".parse().unwrap());
        block.insert("blixard-not-accepted", "1".parse().unwrap());
        respond.send_response(head, true).unwrap();
    };
    check(&both(refused).await, Code::Unavailable, false);
    let unavailable = |_: &mut h2::server::Connection<_, _>, send: SendResponse<Bytes>| {
        respond(send, head(), &[("grpc-status", "14")]);
    };
    check(&both(unavailable).await, Code::Unavailable, true);
}

#[tokio::test]
async fn answers_that_are_no_answers_have_a_code() {
    // Trailers without a status, and none at all.
    check(
        &both(|_, send| respond(send, head(), &[("x", "y")])).await,
        Code::Unknown,
        true,
    );
    check(
        &both(|_, mut respond| drop(respond.send_response(head(), true))).await,
        Code::Unknown,
        true,
    );
    // HTTP alone.
    let http = |_: &mut h2::server::Connection<_, _>, mut respond: SendResponse<Bytes>| {
        let head = Response::builder().status(503).body(()).unwrap();
        respond.send_response(head, true).unwrap();
    };
    check(&both(http).await, Code::Unavailable, true);
    let html = |_: &mut h2::server::Connection<_, _>, mut respond: SendResponse<Bytes>| {
        let head = Response::builder().header("content-type", "text/html");
        let mut stream = respond
            .send_response(head.body(()).unwrap(), false)
            .unwrap();
        stream.send_data("<html>".into(), true).unwrap();
    };
    check(&both(html).await, Code::Unknown, true);
    let web = |_: &mut h2::server::Connection<_, _>, mut respond: SendResponse<Bytes>| {
        let head = Response::builder().header("content-type", "application/grpc-web+proto");
        let mut stream = respond
            .send_response(head.body(()).unwrap(), false)
            .unwrap();
        stream.send_data(framed(b""), true).unwrap();
    };
    for status in both(web).await {
        assert_eq!(status.code(), Code::Unknown, "{status:?}");
        assert!(status.message().contains("grpc-web"), "{status:?}");
    }
    // OK, and no message; two messages; a message that is none, in which the status counts.
    check(
        &both(|_, send| respond(send, head(), &[("grpc-status", "0")])).await,
        Code::Unimplemented,
        true,
    );
    let two = |_: &mut h2::server::Connection<_, _>, mut respond: SendResponse<Bytes>| {
        let mut stream = respond.send_response(head(), false).unwrap();
        stream.send_data(framed(b""), false).unwrap();
        stream.send_data(framed(b""), false).unwrap();
        let status = HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            "0".parse().unwrap(),
        )]);
        stream.send_trailers(status).unwrap();
    };
    check(&both(two).await, Code::Unimplemented, true);
    let too_large = |_: &mut h2::server::Connection<_, _>, mut respond: SendResponse<Bytes>| {
        let mut stream = respond.send_response(head(), false).unwrap();
        let prefix = Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff, 1]);
        stream.send_data(prefix, false).unwrap();
        keep(stream);
    };
    check(&both(too_large).await, Code::ResourceExhausted, true);
    let no_flag = |_: &mut h2::server::Connection<_, _>, mut respond: SendResponse<Bytes>| {
        let mut stream = respond.send_response(head(), false).unwrap();
        stream.send_data(Bytes::from_static(&[7]), false).unwrap();
        keep(stream);
    };
    check(&both(no_flag).await, Code::Internal, true);
    let encoded = |_: &mut h2::server::Connection<_, _>, mut respond: SendResponse<Bytes>| {
        let mut head = head();
        head.headers_mut()
            .insert("grpc-encoding", "snappy".parse().unwrap());
        keep(respond.send_response(head, false).unwrap());
    };
    check(&both(encoded).await, Code::Internal, true);
    // More headers than a client reads.
    let flood = |_: &mut h2::server::Connection<_, _>, mut respond: SendResponse<Bytes>| {
        let mut head = head();
        for number in 0..10 {
            let name: http::HeaderName = format!("x-{number}").parse().unwrap();
            head.headers_mut()
                .insert(name, "y".repeat(10_000).parse().unwrap());
        }
        keep(respond.send_response(head, false).unwrap());
    };
    // Far more than it reads, and HTTP/2 gives the connection up.
    for status in both(flood).await {
        let code = status.code();
        assert!(
            matches!(code, Code::Internal | Code::Unavailable),
            "{status:?}"
        );
        assert!(status.was_accepted());
    }
}

#[tokio::test]
async fn a_server_that_goes_away_says_what_it_has_not_begun() {
    // It takes one call, and goes away before it has seen the second.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (first, begun) = tokio::sync::oneshot::channel();
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        use crate::frames::{Kind, frame};

        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(&frame(Kind::SETTINGS, 0, 0, &[]))
            .await
            .unwrap();
        stream
            .write_all(&frame(Kind::SETTINGS, 1, 0, &[]))
            .await
            .unwrap();
        let mut bytes = [0; 4096];
        // Enough to have both calls, whatever else comes.
        stream.read_buf(&mut &mut bytes[..]).await.unwrap();
        first.send(()).unwrap();
        gone.await.unwrap();
        // The last that was begun is stream 1.
        let payload = [0, 0, 0, 1, 0, 0, 0, 0];
        stream
            .write_all(&frame(Kind::GO_AWAY, 0, 0, &payload))
            .await
            .unwrap();
        std::future::pending::<()>().await;
    });
    let dialled = GrpcConnector::new().dial(&address.into()).await.unwrap();
    let client = TargetClient::new(Channel::new(dialled.clone()));
    let other = client.clone();
    let call = async move { other.wait(&Context::background()).await };
    let mut one = Box::pin(call);
    // Sent in this order.
    assert!(futures_util::poll!(&mut one).is_pending());
    let mut two = Box::pin(async { client.wait(&Context::background()).await });
    assert!(futures_util::poll!(&mut two).is_pending());
    soon(begun).await.unwrap();
    go.send(()).unwrap();
    let status = soon(two).await.unwrap_err();
    check(&[status], Code::Unavailable, false);
    assert!(
        futures_util::poll!(&mut one).is_pending(),
        "it may yet be answered"
    );
    let status = soon(dialled.retired()).await;
    check(&[status], Code::Unavailable, false);
}

#[tokio::test]
async fn what_speaks_no_http2_is_said_to() {
    use tokio::io::AsyncWriteExt;

    // HTTP/1.1, and TLS that was sent no handshake.
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"[..],
        b"\x15\x03\x01\x00\x02\x02\x46",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(bytes).await.unwrap();
            stream
        });
        let dialled = soon(GrpcConnector::new().dial(&address.into())).await;
        let status = dialled.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains("does it want https?"), "{status}");
        drop(server.await);
    }
}

#[tokio::test]
async fn a_server_that_allows_no_calls_is_said_to() {
    let dial = async |relents| {
        let peer = allowing_no_calls(relents).await.into();
        soon(GrpcConnector::new().dial(&peer)).await
    };
    let status = dial(false).await.unwrap_err();
    assert!(
        status
            .message()
            .contains("allows no calls (SETTINGS_MAX_CONCURRENT_STREAMS is 0)"),
        "{status}"
    );
    check(&[status], Code::Unavailable, false);
    dial(true).await.unwrap();
}

/// A server that begins with no calls, and once that was read goes on so or allows one.
async fn allowing_no_calls(relents: bool) -> SocketAddr {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let allow = |calls: u8| frame(Kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, calls]);
        stream.write_all(&allow(0)).await.unwrap();
        // It acknowledges what it has read, in the last frame that it sends at first.
        let acknowledged = frame(Kind::SETTINGS, 1, 0, &[]);
        let mut said = Vec::new();
        while !said.ends_with(&acknowledged) {
            assert!(stream.read_buf(&mut said).await.unwrap() > 0, "{said:?}");
        }
        if relents {
            stream.write_all(&allow(1)).await.unwrap();
        }
        while matches!(stream.read_buf(&mut said).await, Ok(1..)) {}
    });
    address
}

#[tokio::test]
async fn a_client_sends_no_more_calls_than_it_was_told_it_may() {
    let config = GrpcConfig {
        max_calls_per_connection: 4,
        ..GrpcConfig::default()
    };
    let (server, _) = serve_with(config).await;
    let address = server.local_addr().unwrap();
    // At once, before anything else has come from the server.
    let dialled = GrpcConnector::new().dial(&address.into()).await.unwrap();
    let client = TargetClient::new(Channel::new(dialled));
    let calls: tokio::task::JoinSet<_> = (0..200)
        .map(|_| {
            let client = client.clone();
            async move { client.echo("a".into()).await }
        })
        .collect();
    for answer in soon(calls.join_all()).await {
        assert_eq!(answer.unwrap(), "a");
    }
}
