//! [`TcpRelay`]: a stretch of network below TCP connections that a test can make silent: nothing is closed, and nothing passes any more.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// Passes bytes on between clients and a server. It ends when it is dropped, and its connections with it.
#[derive(Debug)]
pub struct TcpRelay {
    address: SocketAddr,
    cut: watch::Sender<bool>,
    accepts: JoinHandle<()>,
}

impl TcpRelay {
    /// Begins to pass on what comes for `server`.
    ///
    /// # Errors
    /// There is no socket for it.
    pub async fn before(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (cut, is_cut) = watch::channel(false);
        let accepts = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, server, is_cut.clone()));
            }
        });
        Ok(Self {
            address,
            cut,
            accepts,
        })
    }

    /// Where clients find it.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nothing pass any more, or all that has come meanwhile.
    pub fn cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }
}

impl Drop for TcpRelay {
    fn drop(&mut self) {
        self.accepts.abort();
    }
}

async fn relay(client: TcpStream, server: SocketAddr, is_cut: watch::Receiver<bool>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    tokio::join!(
        pass(from_client, to_server, is_cut.clone()),
        pass(from_server, to_client, is_cut),
    );
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut is_cut: watch::Receiver<bool>) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut bytes) => read,
            // Nobody can cut it any more: it is dropped.
            () = is_dropped(is_cut.clone()) => return,
        };
        let Ok(count @ 1..) = read else {
            return;
        };
        if is_cut.wait_for(|cut| !*cut).await.is_err()
            || to.write_all(&bytes[..count]).await.is_err()
        {
            return;
        }
    }
}

async fn is_dropped(mut is_cut: watch::Receiver<bool>) {
    while is_cut.changed().await.is_ok() {}
}
