//! irpc over iroh, as its examples have it: small calls are answered where they are read, streams by a task each.
//!
//! The glue between irpc and iroh is irpc-iroh's in a few lines: that crate turns on iroh's port mapping, for the whole workspace. A
//! client of a connection, as here, takes no lock, where irpc-iroh's lazy client takes one for each call.

use std::{
    io,
    time::{Duration, Instant},
};

use blixard_rpc::transport::iroh::transport_config;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use iroh::endpoint::{Connection, QuicTransportConfig, RecvStream, SendStream};
use irpc::{
    RequestError, WithChannels,
    channel::{mpsc, oneshot},
    rpc::{MAX_MESSAGE_SIZE, RemoteConnection, RemoteService},
    rpc_requests,
    util::AsyncReadVarintExt,
};
use serde::{Deserialize, Serialize};

use crate::{
    Outcome,
    data::{self, SMALL_BYTES},
    net::{Net, Quic},
    stack::{Client, Stack},
};

#[rpc_requests(message = BenchMessage)]
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Bench {
    #[rpc(tx = oneshot::Sender<Bytes>)]
    #[wrap(Echo)]
    Echo(Bytes),
    #[rpc(tx = oneshot::Sender<u64>)]
    #[wrap(Upload)]
    Upload(Bytes),
    #[rpc(tx = oneshot::Sender<Bytes>)]
    #[wrap(Download)]
    Download(u64),
    #[rpc(tx = mpsc::Sender<Bytes>)]
    #[wrap(Items)]
    Items(u64),
    #[rpc(rx = mpsc::Receiver<Bytes>, tx = oneshot::Sender<u64>)]
    #[wrap(Collect)]
    Collect(()),
    #[rpc(rx = mpsc::Receiver<Bytes>, tx = mpsc::Sender<Bytes>)]
    #[wrap(PingPong)]
    PingPong(()),
}

/// With the settings of QUIC that iroh has by itself, as in irpc's examples, or with ours.
pub(crate) struct Irpc<const TUNED: bool>(Quic);

impl<const TUNED: bool> Stack for Irpc<TUNED> {
    type Client = irpc::Client<Bench>;

    async fn start(net: Net) -> Outcome<Self> {
        let config = if TUNED {
            transport_config()
        } else {
            QuicTransportConfig::default()
        };
        let quic = Quic::serve_with(net, b"irpc/bench", config, serve).await?;
        Ok(Self(quic))
    }

    async fn connect(&self) -> Outcome<Self::Client> {
        Ok(irpc::Client::boxed(Remote(self.0.connect().await?)))
    }
}

async fn serve(connection: Connection) -> Outcome<()> {
    loop {
        let (send, mut recv) = connection.accept_bi().await?;
        let request = read_request(&mut recv).await?;
        handle(Bench::with_remote_channels(request, recv, send)).await;
    }
}

/// What irpc-iroh does with a new stream.
async fn read_request(recv: &mut RecvStream) -> Outcome<Bench> {
    let size = recv.read_varint_u64().await?.ok_or("nothing is asked")?;
    if size > MAX_MESSAGE_SIZE {
        return Err("the request is too large".into());
    }
    let mut buffer = vec![0; usize::try_from(size)?];
    recv.read_exact(&mut buffer).await?;
    postcard::from_bytes(&buffer).map_err(|error| io::Error::other(error).into())
}

async fn handle(message: BenchMessage) {
    // Who asked may be gone: an answer that nobody takes is no error here.
    match message {
        BenchMessage::Echo(WithChannels { tx, inner, .. }) => {
            let _ = tx.send(inner.0).await;
        }
        BenchMessage::Upload(WithChannels { tx, inner, .. }) => {
            let _ = tx.send(inner.0.len() as u64).await;
        }
        BenchMessage::Download(WithChannels { tx, inner, .. }) => {
            tokio::spawn(async move { tx.send(data::asked(inner.0)).await });
        }
        BenchMessage::Items(WithChannels { tx, inner, .. }) => {
            tokio::spawn(async move {
                for _ in 0..inner.0 {
                    tx.send(data::item()).await?;
                }
                Outcome::Ok(())
            });
        }
        BenchMessage::Collect(WithChannels { tx, mut rx, .. }) => {
            tokio::spawn(async move {
                let mut count = 0;
                while let Some(item) = rx.recv().await? {
                    count += u64::from(item.len() == SMALL_BYTES);
                }
                tx.send(count).await?;
                Outcome::Ok(())
            });
        }
        BenchMessage::PingPong(WithChannels { tx, mut rx, .. }) => {
            tokio::spawn(async move {
                while let Some(item) = rx.recv().await? {
                    tx.send(item).await?;
                }
                Outcome::Ok(())
            });
        }
    }
}

impl Client for irpc::Client<Bench> {
    async fn echo(&self, payload: Bytes) -> Outcome<Bytes> {
        Ok(self.rpc(Echo(payload)).await?)
    }

    async fn upload(&self, payload: Bytes) -> Outcome<u64> {
        Ok(self.rpc(Upload(payload)).await?)
    }

    async fn download(&self, bytes: u64) -> Outcome<Bytes> {
        Ok(self.rpc(Download(bytes)).await?)
    }

    async fn items(&self, count: u64) -> Outcome<u64> {
        let mut items = self.server_streaming(Items(count), QUEUE).await?;
        let mut count = 0;
        while let Some(item) = items.recv().await? {
            count += u64::from(item.len() == SMALL_BYTES);
        }
        Ok(count)
    }

    async fn collect(&self, count: u64) -> Outcome<u64> {
        let (items, answer) = self.client_streaming(Collect(()), QUEUE).await?;
        for _ in 0..count {
            items.send(data::item()).await?;
        }
        drop(items);
        Ok(answer.await?)
    }

    async fn ping_pong(&self, time: Duration) -> Outcome<Vec<Duration>> {
        let (send, mut recv) = self.bidi_streaming(PingPong(()), QUEUE, QUEUE).await?;
        let (begin, mut times) = (Instant::now(), Vec::new());
        while begin.elapsed() < time {
            let sent = Instant::now();
            send.send(data::item()).await?;
            recv.recv().await?.ok_or("the stream has ended")?;
            times.push(sent.elapsed());
        }
        Ok(times)
    }
}

/// A connection of iroh, for irpc.
#[derive(Clone, Debug)]
struct Remote(Connection);

impl RemoteConnection for Remote {
    fn clone_boxed(&self) -> Box<dyn RemoteConnection> {
        Box::new(self.clone())
    }

    fn open_bi(&self) -> BoxFuture<'static, Result<(SendStream, RecvStream), RequestError>> {
        let connection = self.0.clone();
        Box::pin(async move { Ok(connection.open_bi().await?) })
    }

    fn zero_rtt_rejected(&self) -> BoxFuture<'static, bool> {
        Box::pin(async { false })
    }
}

/// What irpc keeps of a stream within a process; over a network it is not asked.
const QUEUE: usize = 64;
