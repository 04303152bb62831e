//! What is called: handlers of every kind that a peer may meet, and what became of them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use blixard_rpc::{
    Context, Result, Router, Streaming, iroh_service, message,
    transport::grpc::{GrpcConfig, GrpcHandle, GrpcServer},
};
use bytes::Bytes;
use tokio::sync::{Notify, watch};

/// Nested as deep as somebody likes.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tree {
    #[tag(1)]
    pub(crate) branches: Vec<Self>,
    #[tag(2)]
    pub(crate) leaf: u64,
}

#[iroh_service(package = "raw.v1")]
pub(crate) trait Target {
    async fn echo(&self, data: Bytes) -> Result<Bytes>;
    #[rpc(max_message = "1KiB")]
    async fn small(&self, data: Bytes) -> Result<Bytes>;
    async fn panic(&self) -> Result<()>;
    /// Answers when it is let go.
    async fn wait(&self, cx: &Context) -> Result<u64>;
    /// So many items of so many bytes, none of them waiting; for ever, if it is 0.
    async fn pour(&self, cx: &Context, count: u64, size: u64) -> Result<Streaming<Bytes>>;
    /// One item, and then nothing.
    async fn stall(&self, cx: &Context) -> Result<Streaming<u64>>;
    async fn sum(&self, cx: &Context, numbers: Streaming<u64>) -> Result<u64>;
    async fn tree(&self, tree: Tree) -> Result<u64>;
    /// So many empty items, each by itself.
    async fn drip(&self, count: u64) -> Result<Streaming<Bytes>>;
    /// Counts what comes, when it is let go.
    async fn hold(&self, cx: &Context, items: Streaming<Bytes>) -> Result<u64>;
}

#[derive(Debug)]
pub(crate) struct Subject {
    /// Handlers that have begun.
    pub(crate) begun: AtomicUsize,
    /// Contexts that have ended, and who wants to know.
    pub(crate) ended: watch::Sender<usize>,
    pub(crate) begins: Notify,
    pub(crate) go: watch::Sender<bool>,
}

impl Default for Subject {
    fn default() -> Self {
        Self {
            begun: AtomicUsize::new(0),
            ended: watch::Sender::new(0),
            begins: Notify::new(),
            go: watch::Sender::new(false),
        }
    }
}

impl Subject {
    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// Waits until so many handlers have ended, well or badly.
    pub(crate) async fn ended(&self, goal: usize) {
        let mut ended = self.ended.subscribe();
        ended.wait_for(|ended| *ended >= goal).await.unwrap();
    }

    fn begin(self: &Arc<Self>, cx: &Context) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.begins.notify_one();
        let (this, cx) = (Arc::clone(self), cx.clone());
        tokio::spawn(async move {
            cx.cancelled().await;
            this.ended.send_modify(|ended| *ended += 1);
        });
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Handlers(pub(crate) Arc<Subject>);

impl Target for Handlers {
    async fn echo(&self, data: Bytes) -> Result<Bytes> {
        Ok(data)
    }

    async fn small(&self, data: Bytes) -> Result<Bytes> {
        Ok(data)
    }

    async fn panic(&self) -> Result<()> {
        panic!("as asked: this panic is part of a test")
    }

    async fn wait(&self, cx: &Context) -> Result<u64> {
        self.0.begin(cx);
        let mut go = self.0.go.subscribe();
        go.wait_for(|go| *go).await.unwrap();
        Ok(7)
    }

    async fn pour(&self, cx: &Context, count: u64, size: u64) -> Result<Streaming<Bytes>> {
        self.0.begin(cx);
        let count = if count == 0 { u64::MAX } else { count };
        let item = Bytes::from(vec![7; size as usize]);
        Ok(Streaming::from_iter((0..count).map(move |_| item.clone())))
    }

    async fn stall(&self, cx: &Context) -> Result<Streaming<u64>> {
        self.0.begin(cx);
        let stream = futures_util::stream::unfold(0, |at| async move {
            if at > 0 {
                std::future::pending::<()>().await;
            }
            Some((Ok(at), at + 1))
        });
        Ok(Streaming::new(stream))
    }

    async fn sum(&self, cx: &Context, mut numbers: Streaming<u64>) -> Result<u64> {
        self.0.begin(cx);
        let mut sum = 0;
        while let Some(number) = numbers.next().await {
            sum += number?;
        }
        Ok(sum)
    }

    async fn tree(&self, tree: Tree) -> Result<u64> {
        Ok(tree.leaf)
    }

    async fn drip(&self, count: u64) -> Result<Streaming<Bytes>> {
        let items = futures_util::stream::unfold(0, move |at| async move {
            tokio::task::yield_now().await;
            (at < count).then_some((Ok(Bytes::new()), at + 1))
        });
        Ok(Streaming::new(items))
    }

    async fn hold(&self, cx: &Context, mut items: Streaming<Bytes>) -> Result<u64> {
        self.0.begin(cx);
        let mut go = self.0.go.subscribe();
        go.wait_for(|go| *go).await.unwrap();
        let mut count = 0;
        while let Some(item) = items.next().await {
            item?;
            count += 1;
        }
        Ok(count)
    }
}

/// A server on loopback, and its handlers.
pub(crate) async fn serve() -> (GrpcHandle, Arc<Subject>) {
    serve_with(GrpcConfig::default()).await
}

pub(crate) async fn serve_with(config: GrpcConfig) -> (GrpcHandle, Arc<Subject>) {
    let handlers = Handlers::default();
    let subject = Arc::clone(&handlers.0);
    let router = Router::new().add(TargetServer::new(handlers));
    let server = GrpcServer::with_config(router, config);
    (server.bind("127.0.0.1:0").await.unwrap(), subject)
}
