//! The service under attack, and a view of what its handlers do.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use blixard_rpc::{Result, Router, Streaming, iroh_service, message};
use bytes::Bytes;

#[iroh_service(package = "hostile.v1")]
pub(crate) trait Target {
    async fn echo(&self, data: Bytes) -> Result<Bytes>;
    /// Never answers.
    async fn park(&self, data: Bytes) -> Result<Bytes>;
    /// Answers with so many bytes.
    async fn large(&self, bytes: u32) -> Result<Bytes>;
    async fn count(&self, items: Streaming<Bytes>) -> Result<u64>;
    /// Items of 32 KiB without end.
    async fn pour(&self) -> Result<Streaming<Bytes>>;
    async fn tree(&self, tree: Tree) -> Result<Tree>;
    async fn units(&self, units: Units) -> Result<u64>;
    #[rpc(oneway)]
    async fn note(&self, data: Bytes);
}

/// A message that holds itself.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tree {
    pub(crate) next: Option<Box<Self>>,
}

/// A message that is short on the wire.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Units {
    pub(crate) units: Vec<Nothing>,
}

/// A message of no bytes.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Nothing;

/// What the handlers do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    running: AtomicUsize,
    begun: AtomicUsize,
    noted: AtomicUsize,
    poured: AtomicUsize,
}

impl Seen {
    /// How many handlers of `park` run.
    pub(crate) fn running(&self) -> usize {
        self.0.running.load(Ordering::SeqCst)
    }

    /// How many handlers of any method were begun.
    pub(crate) fn begun(&self) -> usize {
        self.0.begun.load(Ordering::SeqCst)
    }

    /// How many notes came.
    pub(crate) fn noted(&self) -> usize {
        self.0.noted.load(Ordering::SeqCst)
    }

    /// How many bytes `pour` has given away.
    pub(crate) fn poured(&self) -> usize {
        self.0.poured.load(Ordering::SeqCst)
    }

    /// A router that serves the target.
    pub(crate) fn router(&self) -> Router {
        Router::new().add(TargetServer::new(Victim(self.clone())))
    }

    fn begin(&self) {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
    }
}

struct Victim(Seen);

struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Target for Victim {
    async fn echo(&self, data: Bytes) -> Result<Bytes> {
        self.0.begin();
        Ok(data)
    }

    async fn park(&self, _: Bytes) -> Result<Bytes> {
        self.0.begin();
        let running = &self.0.0.running;
        running.fetch_add(1, Ordering::SeqCst);
        let _running = Running(running);
        pending().await
    }

    async fn large(&self, bytes: u32) -> Result<Bytes> {
        self.0.begin();
        Ok(Bytes::from(vec![7; bytes as usize]))
    }

    async fn count(&self, mut items: Streaming<Bytes>) -> Result<u64> {
        self.0.begin();
        let mut count = 0;
        while let Some(item) = items.next().await {
            item?;
            count += 1;
        }
        Ok(count)
    }

    async fn pour(&self) -> Result<Streaming<Bytes>> {
        self.0.begin();
        let seen = self.0.clone();
        Ok(Streaming::from_iter(std::iter::repeat_with(move || {
            seen.0.poured.fetch_add(32 << 10, Ordering::SeqCst);
            Bytes::from_static(&[0; 32 << 10])
        })))
    }

    async fn tree(&self, tree: Tree) -> Result<Tree> {
        Ok(tree)
    }

    async fn units(&self, units: Units) -> Result<u64> {
        Ok(units.units.len() as u64)
    }

    async fn note(&self, _: Bytes) {
        self.0.0.noted.fetch_add(1, Ordering::SeqCst);
    }
}
