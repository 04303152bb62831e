//! The service that we serve, as a user of blixard-rpc writes it, over whatever carries it.

use std::time::{Duration, Instant};

use blixard_rpc::{Result, Router, Streaming, iroh_service};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;

use crate::{
    Outcome,
    data::{self, SMALL_BYTES},
    stack::Client,
};

/// What all stacks serve.
#[iroh_service(package = "bench.v1")]
pub(crate) trait Bench {
    /// The same bytes again.
    async fn echo(&self, payload: Bytes) -> Result<Bytes>;
    /// How many bytes came.
    async fn upload(&self, payload: Bytes) -> Result<u64>;
    /// So many bytes.
    async fn download(&self, bytes: u64) -> Result<Bytes>;
    /// So many items.
    async fn items(&self, count: u64) -> Result<Streaming<Bytes>>;
    /// How many items came.
    async fn collect(&self, items: Streaming<Bytes>) -> Result<u64>;
    /// Each item again.
    async fn ping_pong(&self, items: Streaming<Bytes>) -> Result<Streaming<Bytes>>;
}

/// Answers.
pub(crate) struct Answers;

impl Bench for Answers {
    async fn echo(&self, payload: Bytes) -> Result<Bytes> {
        Ok(payload)
    }

    async fn upload(&self, payload: Bytes) -> Result<u64> {
        Ok(payload.len() as u64)
    }

    async fn download(&self, bytes: u64) -> Result<Bytes> {
        Ok(data::asked(bytes))
    }

    async fn items(&self, count: u64) -> Result<Streaming<Bytes>> {
        let item = data::item();
        Ok(Streaming::from_iter((0..count).map(move |_| item.clone())))
    }

    async fn collect(&self, mut items: Streaming<Bytes>) -> Result<u64> {
        let mut count = 0;
        while let Some(item) = items.next().await.transpose()? {
            count += u64::from(item.len() == SMALL_BYTES);
        }
        Ok(count)
    }

    async fn ping_pong(&self, items: Streaming<Bytes>) -> Result<Streaming<Bytes>> {
        Ok(items)
    }
}

/// What is served.
pub(crate) fn router() -> Router {
    Router::new().add(BenchServer::new(Answers))
}

impl Client for BenchClient {
    async fn echo(&self, payload: Bytes) -> Outcome<Bytes> {
        Ok(Bench::echo(self, payload).await?)
    }

    async fn upload(&self, payload: Bytes) -> Outcome<u64> {
        Ok(Bench::upload(self, payload).await?)
    }

    async fn download(&self, bytes: u64) -> Outcome<Bytes> {
        Ok(Bench::download(self, bytes).await?)
    }

    async fn items(&self, count: u64) -> Outcome<u64> {
        let mut items = Bench::items(self, count).await?;
        let mut count = 0;
        while let Some(item) = items.next().await.transpose()? {
            count += u64::from(item.len() == SMALL_BYTES);
        }
        Ok(count)
    }

    async fn collect(&self, count: u64) -> Outcome<u64> {
        let item = data::item();
        let items = Streaming::from_iter((0..count).map(move |_| item.clone()));
        Ok(Bench::collect(self, items).await?)
    }

    async fn ping_pong(&self, time: Duration) -> Outcome<Vec<Duration>> {
        let (send, recv) = mpsc::channel(1);
        let items = stream::unfold(recv, |mut recv| async {
            let item = recv.recv().await?;
            Some((Ok(item), recv))
        });
        let mut answers = Bench::ping_pong(self, Streaming::new(items)).await?;
        let (begin, mut times) = (Instant::now(), Vec::new());
        while begin.elapsed() < time {
            let sent = Instant::now();
            send.send(data::item()).await?;
            answers.next().await.ok_or("the stream has ended")??;
            times.push(sent.elapsed());
        }
        Ok(times)
    }
}
