//! Raw TLS over TCP: frames of many calls coalesced on one connection, answered inline by the server.

use std::{net::SocketAddr, sync::Arc};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, split},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};

use crate::{
    Outcome,
    net::Net,
    raw::{Callers, Frames, RawClient, answer},
    stack::Stack,
    tls::{NAME, Secrets},
};

pub(crate) struct Tls {
    peer: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Stack for Tls {
    type Client = RawClient;

    async fn start(net: Net) -> Outcome<Self> {
        let (server, config) = Secrets::new()?.configs()?;
        let listener = TcpListener::bind(net.bind()).await?;
        let peer = net.seen(listener.local_addr()?);
        let acceptor = TlsAcceptor::from(server);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::spawn(serve(acceptor.clone(), stream));
            }
            #[expect(unreachable_code, reason = "names the task's type")]
            Outcome::Ok(())
        });
        Ok(Self { peer, config })
    }

    async fn connect(&self) -> Outcome<Self::Client> {
        let stream = TcpStream::connect(self.peer).await?;
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector
            .connect(ServerName::try_from(NAME)?, stream)
            .await?;
        let (mut read, mut write) = split(stream);
        let (callers, mut ends) = (Arc::new(Callers::default()), JoinSet::new());
        ends.spawn({
            let callers = Arc::clone(&callers);
            async move {
                loop {
                    write.write_all(&callers.to_write().await).await?;
                    write.flush().await?;
                }
            }
        });
        ends.spawn({
            let callers = Arc::clone(&callers);
            async move {
                let mut frames = Frames::default();
                while fill(&mut frames, &mut read).await? {
                    callers.answered(&mut frames);
                }
                Ok(())
            }
        });
        Ok(RawClient::new(callers, ends))
    }
}

/// All frames of a wake-up are answered with one write.
async fn serve(acceptor: TlsAcceptor, stream: TcpStream) -> Outcome<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let (mut frames, mut out) = (Frames::default(), BytesMut::new());
    while fill(&mut frames, &mut stream).await? {
        while let Some((call, asked, payload)) = frames.next() {
            answer(&mut out, call, asked, &payload);
        }
        if !out.is_empty() {
            stream.write_all(&out).await?;
            stream.flush().await?;
            out.clear();
        }
    }
    Ok(())
}

/// Takes what has arrived; `false` at the end of the stream.
async fn fill<R: tokio::io::AsyncRead + Unpin>(frames: &mut Frames, read: &mut R) -> Outcome<bool> {
    frames.buffer.reserve(READ_BYTES);
    Ok(read.read_buf(&mut frames.buffer).await? > 0)
}

/// Bytes that are read at once, at least: a record of TLS.
const READ_BYTES: usize = 16 * 1024;
