//! tarpc over plain TCP, as its example-service has it, with bincode in place of JSON: the faster of the formats that it comes with. It
//! has no streams.
//!
//! It leaves Nagle's algorithm on. Without that it makes fewer calls a second, and takes more CPU for each.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::StreamExt;
use tarpc::{
    client, context,
    serde_transport::tcp,
    server::{BaseChannel, Channel},
    tokio_serde::formats::Bincode,
};

use crate::{
    Outcome, data,
    net::Net,
    stack::{Client, Stack},
};

#[allow(missing_docs, reason = "tarpc's macro writes items without docs")]
mod service {
    use bytes::Bytes;

    #[tarpc::service]
    pub(crate) trait Bench {
        async fn echo(payload: Bytes) -> Bytes;
        async fn upload(payload: Bytes) -> u64;
        async fn download(bytes: u64) -> Bytes;
    }
}

use service::{Bench, BenchClient};

#[derive(Clone)]
struct Answers;

impl Bench for Answers {
    async fn echo(self, _: context::Context, payload: Bytes) -> Bytes {
        payload
    }

    async fn upload(self, _: context::Context, payload: Bytes) -> u64 {
        payload.len() as u64
    }

    async fn download(self, _: context::Context, bytes: u64) -> Bytes {
        data::asked(bytes)
    }
}

pub(crate) struct Tarpc(SocketAddr);

impl Stack for Tarpc {
    type Client = BenchClient;

    async fn start(net: Net) -> Outcome<Self> {
        let mut listener = tcp::listen(net.bind(), Bincode::default).await?;
        listener.config_mut().max_frame_length(usize::MAX);
        let peer = net.seen(listener.local_addr());
        tokio::spawn(async move {
            while let Some(transport) = listener.next().await {
                let answers = BaseChannel::with_defaults(transport?).execute(Answers.serve());
                tokio::spawn(answers.for_each(|answer| async {
                    tokio::spawn(answer);
                }));
            }
            Outcome::Ok(())
        });
        Ok(Self(peer))
    }

    async fn connect(&self) -> Outcome<BenchClient> {
        let mut transport = tcp::connect(self.0, Bincode::default);
        transport.config_mut().max_frame_length(usize::MAX);
        let mut config = client::Config::default();
        config.max_in_flight_requests = MAX_CALLS;
        config.pending_request_buffer = MAX_CALLS;
        Ok(BenchClient::new(config, transport.await?).spawn())
    }
}

impl Client for BenchClient {
    async fn echo(&self, payload: Bytes) -> Outcome<Bytes> {
        Ok(self.echo(context::current(), payload).await?)
    }

    async fn upload(&self, payload: Bytes) -> Outcome<u64> {
        Ok(self.upload(context::current(), payload).await?)
    }

    async fn download(&self, bytes: u64) -> Outcome<Bytes> {
        Ok(self.download(context::current(), bytes).await?)
    }
}

/// Calls in flight on a connection: 1000 unless it is told otherwise, 100 of them not yet sent.
const MAX_CALLS: usize = 2048;
