//! Wherever connections come from: a Unix socket, and streams of bytes in memory.

use std::{io, time::Duration};

use blixard_rpc::{
    Router,
    call::Peer,
    transport::grpc::{GrpcServer, Listener},
};
use blixard_tests::net::soon;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    sync::mpsc::{Receiver, channel},
};

use crate::{
    raw::{bytes_value, framed, read, request},
    target::{Handlers, TargetServer},
};

fn server() -> GrpcServer {
    GrpcServer::new(Router::new().add(TargetServer::new(Handlers::default())))
}

/// One call over a stream of bytes.
async fn check(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
    let (mut send, connection) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let call = request("Echo").body(()).unwrap();
    let (response, mut stream) = send.send_request(call, false).unwrap();
    let message = framed(&bytes_value(b"a"));
    stream.send_data(message.clone(), true).unwrap();
    let reply = soon(read(response)).await;
    reply.check(0, "");
    assert_eq!(reply.body, message);
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket() {
    use tokio::net::{UnixListener, UnixStream};

    let folder = std::env::temp_dir().join(format!("blixard-grpc-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let handle = server().spawn(UnixListener::bind(&path).unwrap());
    assert_eq!(handle.local_addr(), None);
    check(UnixStream::connect(&path).await.unwrap()).await;
    soon(handle.shutdown(Duration::ZERO)).await;
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Gives what it is sent, and before each of them an error.
struct Given {
    streams: Receiver<DuplexStream>,
    fails: bool,
}

impl Listener for Given {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, Peer)> {
        self.fails = !self.fails;
        if self.fails {
            return Err(io::Error::other("none just now"));
        }
        match self.streams.recv().await {
            Some(stream) => Ok((stream, Peer::Memory)),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn streams_of_ones_own_and_errors_between_them() {
    let (give, streams) = channel(1);
    let handle = server().spawn(Given {
        streams,
        fails: false,
    });
    for _ in 0..3 {
        let (here, there) = tokio::io::duplex(1024);
        soon(give.send(there)).await.unwrap();
        check(here).await;
    }
    soon(handle.shutdown(Duration::ZERO)).await;
}
