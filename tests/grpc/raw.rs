//! A client that speaks HTTP/2 by the `h2` crate and gRPC by hand.

use std::net::SocketAddr;

use blixard_rpc::transport::grpc::GrpcHandle;
use blixard_tests::net::soon;
use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use tokio::net::TcpStream;

/// A connection.
#[derive(Clone)]
pub(crate) struct Raw(pub(crate) SendRequest<Bytes>);

/// All that was answered.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) http: u16,
    pub(crate) head: HeaderMap,
    pub(crate) body: BytesMut,
    pub(crate) trailers: HeaderMap,
    pub(crate) reset: Option<h2::Reason>,
}

impl Reply {
    /// The gRPC status, of the trailers or of a head that is alone.
    pub(crate) fn code(&self) -> Option<u32> {
        let blocks = [&self.head, &self.trailers];
        let status = blocks.iter().find_map(|block| block.get("grpc-status"))?;
        Some(status.to_str().unwrap().parse().unwrap())
    }

    pub(crate) fn message(&self) -> String {
        let blocks = [&self.head, &self.trailers];
        let message = blocks.iter().find_map(|block| block.get("grpc-message"));
        message.map_or_else(String::new, |text| text.to_str().unwrap().to_owned())
    }

    /// That the call ended so, over HTTP 200.
    #[track_caller]
    pub(crate) fn check(&self, code: u32, says: &str) {
        assert_eq!((self.http, self.code()), (200, Some(code)), "{self:?}");
        assert!(
            self.message().contains(says),
            "{self:?} should say {says:?}"
        );
        assert_eq!(self.head["content-type"], "application/grpc");
    }
}

impl Raw {
    pub(crate) async fn connect(server: &GrpcHandle) -> Self {
        Self::connect_to(server.local_addr().unwrap()).await
    }

    pub(crate) async fn connect_to(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    pub(crate) async fn over(stream: TcpStream) -> Self {
        let mut builder = h2::client::Builder::new();
        // So that nothing but the server refuses headers, and streams that are not read stop no others.
        builder
            .max_header_list_size(1 << 20)
            .initial_connection_window_size(16 << 20);
        let (send, connection) = builder.handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self(send)
    }

    /// Sends the headers and chunks, and the end; answers all that comes back.
    pub(crate) async fn send(&self, request: Request<()>, chunks: &[&[u8]]) -> Reply {
        soon(async {
            let mut send = self.0.clone().ready().await.unwrap();
            let (response, mut stream) = send.send_request(request, chunks.is_empty()).unwrap();
            for (at, chunk) in chunks.iter().enumerate() {
                let last = at + 1 == chunks.len();
                let _ = stream.send_data(Bytes::copy_from_slice(chunk), last);
            }
            read(response).await
        })
        .await
    }

    /// A call with whole messages.
    pub(crate) async fn call(&self, method: &str, messages: &[&[u8]]) -> Reply {
        let framed: BytesMut = messages
            .iter()
            .flat_map(|message| framed(message))
            .collect();
        self.send(request(method).body(()).unwrap(), &[&framed])
            .await
    }

    /// That an honest call works.
    pub(crate) async fn still_works(&self) {
        let reply = self.call("Echo", &[&bytes_value(b"honest")]).await;
        reply.check(0, "");
        assert_eq!(reply.body, framed(&bytes_value(b"honest")));
    }
}

/// Reads an answer to its end.
pub(crate) async fn read(response: h2::client::ResponseFuture) -> Reply {
    let mut reply = Reply::default();
    let response = match response.await {
        Ok(response) => response,
        Err(error) => {
            reply.reset = error.reason();
            return reply;
        }
    };
    reply.http = response.status().as_u16();
    reply.head.clone_from(response.headers());
    let mut body = response.into_body();
    while let Some(chunk) = body.data().await {
        match chunk {
            Ok(chunk) => {
                let _ = body.flow_control().release_capacity(chunk.len());
                reply.body.extend_from_slice(&chunk);
            }
            Err(error) => {
                reply.reset = error.reason();
                return reply;
            }
        }
    }
    match body.trailers().await {
        Ok(trailers) => reply.trailers = trailers.unwrap_or_default(),
        Err(error) => reply.reset = error.reason(),
    }
    reply
}

/// The headers of a call, as they should be.
pub(crate) fn request(method: &str) -> http::request::Builder {
    Request::post(format!("http://localhost/raw.v1.Target/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

/// A message behind its prefix.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    flagged(0, message)
}

pub(crate) fn flagged(flag: u8, message: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(flag);
    out.put_u32(message.len() as u32);
    out.put_slice(message);
    out.freeze()
}

/// `google.protobuf.BytesValue`.
pub(crate) fn bytes_value(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::bytes::encode(1, &data.to_vec(), &mut out);
    out
}
