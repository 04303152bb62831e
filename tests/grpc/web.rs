//! gRPC-Web: what a browser sends, over HTTP/1.1 and HTTP/2, as bytes and as text, and which pages may.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use blixard_rpc::{
    Router,
    transport::grpc::{GrpcHandle, GrpcServer, Origins},
};
use blixard_tests::net::soon;
use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{
    raw::{Raw, bytes_value, framed},
    target::{Handlers, Subject, TargetServer},
};

const PAGE: &str = "https://app.example.org";

async fn serve() -> (GrpcHandle, Arc<Subject>) {
    let handlers = Handlers::default();
    let subject = Arc::clone(&handlers.0);
    let router = Router::new().add(TargetServer::new(handlers));
    let server = GrpcServer::new(router).web(Origins::only([PAGE]));
    (server.bind("127.0.0.1:0").await.unwrap(), subject)
}

/// One request on an HTTP/1.1 connection of its own.
async fn send(server: &GrpcHandle, request: Request<Full<Bytes>>) -> Response<Bytes> {
    soon(async {
        let stream = TcpStream::connect(server.local_addr().unwrap())
            .await
            .unwrap();
        let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let response = send.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Response::from_parts(parts, body)
    })
    .await
}

fn post(method: &str, content_type: &str) -> http::request::Builder {
    Request::post(format!("/raw.v1.Target/{method}"))
        .header("host", "localhost")
        .header("content-type", content_type)
        .header("x-grpc-web", "1")
}

/// The messages and the lines of the trailers.
fn read(mut body: Bytes) -> (Vec<Bytes>, String) {
    let mut messages = Vec::new();
    loop {
        let (flag, len) = (body.get_u8(), body.get_u32() as usize);
        let part = body.split_to(len);
        if flag == 0x80 {
            assert!(body.is_empty(), "trailers are the last");
            return (messages, String::from_utf8(part.to_vec()).unwrap());
        }
        assert_eq!(flag, 0);
        messages.push(part);
    }
}

#[tokio::test]
async fn calls_over_http1_as_bytes_and_as_text() {
    let (server, _) = serve().await;
    let echo = bytes_value(b"hello");
    let request = post("Echo", "application/grpc-web+proto").header("origin", PAGE);
    let response = send(&server, request.body(framed(&echo).into()).unwrap()).await;
    assert_eq!(response.status(), 200);
    let head = response.headers();
    assert_eq!(head["content-type"], "application/grpc-web+proto");
    assert_eq!(head["access-control-allow-origin"], PAGE);
    let exposed = head["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.contains("grpc-status"), "{exposed}");
    let (messages, trailers) = read(response.into_body());
    assert_eq!(
        (messages, &*trailers),
        (vec![Bytes::from(echo.clone())], "grpc-status:0\r\n")
    );

    // As text, of parts that are padded each; a stream of answers comes in parts too.
    let request = framed(&[8, 3, 16, 4]);
    let text = STANDARD.encode(&request[..4]) + &STANDARD.encode(&request[4..]);
    let request = post("Pour", "application/grpc-web-text");
    let response = send(&server, request.body(text.into()).unwrap()).await;
    assert_eq!(
        response.headers()["content-type"],
        "application/grpc-web-text+proto"
    );
    let text = response.into_body();
    let parts = text.chunks(4).map(|group| STANDARD.decode(group).unwrap());
    let bytes: Vec<u8> = parts.flatten().collect();
    let (messages, trailers) = read(bytes.into());
    assert_eq!(messages, vec![Bytes::from(bytes_value(&[7; 4])); 3]);
    assert_eq!(trailers, "grpc-status:0\r\n");
}

#[tokio::test]
async fn calls_over_http2_beside_plain_grpc() {
    let (server, _) = serve().await;
    let raw = Raw::connect(&server).await;
    raw.still_works().await;
    let echo = bytes_value(b"hello");
    let request = Request::post("http://localhost/raw.v1.Target/Echo")
        .header("content-type", "application/grpc-web")
        .body(())
        .unwrap();
    let reply = raw.send(request, &[&framed(&echo)]).await;
    assert!(reply.trailers.is_empty(), "browsers see none");
    let (messages, trailers) = read(reply.body.freeze());
    assert_eq!(
        (messages, &*trailers),
        (vec![Bytes::from(echo)], "grpc-status:0\r\n")
    );
}

#[tokio::test]
async fn errors_are_seen() {
    let (server, _) = serve().await;
    // At once: in the headers alone.
    let request = post("Panic", "application/grpc-web").body(framed(b"").into());
    let response = send(&server, request.unwrap()).await;
    assert_eq!(response.headers()["grpc-status"], "2");
    assert!(response.into_body().is_empty());
    // In a stream: in its last frame.
    let request = post("Stall", "application/grpc-web").header("grpc-timeout", "100m");
    let response = send(&server, request.body(framed(b"").into()).unwrap()).await;
    let (messages, trailers) = read(response.into_body());
    assert_eq!(messages.len(), 1);
    assert!(trailers.contains("grpc-status:4\r\n"), "{trailers}");
    // What is no base64.
    let request = post("Echo", "application/grpc-web-text").body(Bytes::from("!!!!").into());
    let response = send(&server, request.unwrap()).await;
    assert_eq!(response.headers()["grpc-status"], "13");
    let message = &response.headers()["grpc-message"];
    assert!(message.to_str().unwrap().contains("not base64"));
}

#[tokio::test]
async fn only_the_pages_that_may_do() {
    let (server, subject) = serve().await;
    let preflight = |origin: &str| {
        Request::options("/raw.v1.Target/Echo")
            .header("host", "localhost")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "content-type,x-grpc-web,authorization",
            )
            .body(Full::default())
            .unwrap()
    };
    let response = send(&server, preflight(PAGE)).await;
    assert_eq!(response.status(), 204);
    let head = response.headers();
    assert_eq!(head["access-control-allow-origin"], PAGE);
    assert_eq!(head["access-control-allow-methods"], "POST");
    let names = &head["access-control-allow-headers"];
    assert_eq!(names, "content-type,x-grpc-web,authorization");

    for request in [
        preflight("https://evil.example.org"),
        post("Wait", "application/grpc-web")
            .header("origin", "https://evil.example.org")
            .body(framed(b"").into())
            .unwrap(),
    ] {
        let response = send(&server, request).await;
        assert_eq!(response.status(), 403);
        assert!(
            !response
                .headers()
                .contains_key("access-control-allow-origin")
        );
    }
    assert_eq!(subject.begun(), 0);
}

#[tokio::test]
async fn what_http1_cannot_carry_is_said() {
    let (server, _) = serve().await;
    for (request, status) in [
        (
            post("Echo", "application/grpc").body(framed(b"").into()),
            505,
        ),
        (
            post("Echo", "application/grpc+proto").body(framed(b"").into()),
            505,
        ),
        (post("Echo", "application/json").body(Full::default()), 415),
        (
            Request::get("/")
                .header("host", "localhost")
                .body(Full::default()),
            415,
        ),
    ] {
        assert_eq!(send(&server, request.unwrap()).await.status(), status);
    }
    // Without gRPC-Web there is no HTTP/1.1 at all.
    let (plain, _) = crate::target::serve().await;
    let stream = TcpStream::connect(plain.local_addr().unwrap())
        .await
        .unwrap();
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = post("Echo", "application/grpc-web").body(Full::<Bytes>::from(framed(b"")));
    assert!(soon(send.send_request(request.unwrap())).await.is_err());
}

#[tokio::test]
async fn a_page_that_goes_away_drops_its_handler() {
    let (server, subject) = serve().await;
    let request = post("Stall", "application/grpc-web")
        .body(Full::<Bytes>::from(framed(b"")))
        .unwrap();
    let stream = TcpStream::connect(server.local_addr().unwrap())
        .await
        .unwrap();
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let response = soon(send.send_request(request)).await.unwrap();
    connection.abort();
    drop(response);
    soon(subject.ended(1)).await;
}

#[tokio::test]
async fn a_page_that_does_not_read_holds_its_call_until_the_deadline() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let (server, subject) = serve().await;
    let mut stream = TcpStream::connect(server.local_addr().unwrap())
        .await
        .unwrap();
    // An endless stream of 64 KiB each, of which nothing is read.
    let body = framed(&[0x10, 0x80, 0x80, 4]);
    let head = format!(
        "POST /raw.v1.Target/Pour HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/grpc-web\r\n\
         grpc-timeout: 200m\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    soon(subject.begins.notified()).await;
    soon(subject.ended(1)).await;
    // And the connection is closed, for there was no room for the end.
    soon(async {
        while server.connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut read = Vec::new();
    let _ = soon(stream.read_to_end(&mut read)).await;
    assert!(!read.ends_with(b"0\r\n\r\n"), "it was cut");
}

#[tokio::test]
async fn a_stream_that_outlasts_a_shutdown_is_ended_in_words() {
    let (server, subject) = serve().await;
    let address = server.local_addr().unwrap();
    let request = post("Stall", "application/grpc-web").body(Full::<Bytes>::from(framed(b"")));
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let response = soon(send.send_request(request.unwrap())).await.unwrap();
    soon(subject.begins.notified()).await;
    soon(server.shutdown(std::time::Duration::from_millis(50))).await;
    let body = soon(response.into_body().collect()).await.unwrap();
    let (messages, trailers) = read(body.to_bytes());
    assert_eq!(messages.len(), 1);
    assert!(trailers.contains("grpc-status:14\r\n"), "{trailers}");
}
