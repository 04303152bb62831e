//! [`Listener`]: where the connections of a server come from.

use std::{future::Future, io, net::SocketAddr};

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
        Ok((stream, Peer::Address(address)))
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        Self::local_addr(self).ok()
    }
}

#[cfg(unix)]
impl Listener for tokio::net::UnixListener {
    type Io = tokio::net::UnixStream;

    async fn accept(&mut self) -> io::Result<(Self::Io, Peer)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((stream, Peer::Unknown))
    }
}
