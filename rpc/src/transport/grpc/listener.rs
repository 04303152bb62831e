//! [`Listener`]: where the connections of a server come from.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

use crate::call::Peer;

/// Where the connections of a server come from: a TCP or Unix socket, or whatever else gives streams of bytes.
pub trait Listener: Send + 'static {
    /// One connection.
    type Io: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection, and who is at its other end as far as that is known.
    ///
    /// # Errors
    /// Why there is none now. It is logged, and asked again a little later.
    ///
    /// # Cancel safety
    /// No connection is lost when the future is dropped.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, Peer)>> + Send;

    /// Where it listens, if that is an address of the network.
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }
}

impl Listener for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Peer)> {
        let (stream, address) = Self::accept(self).await?;
        // Small answers must not wait for acknowledgements of earlier ones.
        stream.set_nodelay(true)?;
        watch(&stream);
        Ok((stream, Peer::Address(address)))
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        Self::local_addr(self).ok()
    }
}

/// Lets the system notice a client that is gone without a word: over HTTP/1.1 there is no ping of our own.
fn watch(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(20))
        .with_interval(Duration::from_secs(5))
        .with_retries(2);
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

#[cfg(unix)]
impl Listener for tokio::net::UnixListener {
    type Io = tokio::net::UnixStream;

    async fn accept(&mut self) -> io::Result<(Self::Io, Peer)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((stream, Peer::Unknown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_system_asks_whether_a_client_is_there() {
        let mut listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Listener::local_addr(&listener).unwrap();
        let _client = TcpStream::connect(address).await.unwrap();
        let (stream, _) = Listener::accept(&mut listener).await.unwrap();
        assert!(SockRef::from(&stream).keepalive().unwrap());
    }
}
