//! A service that two processes talk by: every shape of calls. Which process does what is the tests' own affair.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use blixard_rpc::{Context, Result, Router, Streaming, iroh_service};
use bytes::Bytes;
use tokio::sync::Notify;

/// Talks.
#[iroh_service(package = "process.v1")]
pub trait Talk {
    /// The caller's key, and the process that answers.
    async fn who(&self, cx: &Context) -> Result<String>;
    /// What was sent.
    async fn echo(&self, data: Bytes) -> Result<Bytes>;
    /// From zero on.
    async fn numbers(&self, count: u32) -> Result<Streaming<u32>>;
    /// All together.
    async fn sum(&self, numbers: Streaming<u32>) -> Result<u32>;
    /// What was sent, as it comes.
    async fn chat(&self, lines: Streaming<String>) -> Result<Streaming<String>>;
    /// Keeps a text.
    #[rpc(oneway)]
    async fn note(&self, text: String);
    /// The text that was kept.
    async fn noted(&self) -> Result<String>;
    /// Never ends by itself.
    async fn hang(&self) -> Result<()>;
}

/// Talks.
#[derive(Debug, Default)]
pub struct Talker {
    note: Mutex<String>,
    /// The calls that hang.
    pub hanging: Arc<Hanging>,
}

/// When a call hangs.
#[derive(Debug, Default)]
pub struct Hanging {
    /// A call began to.
    pub began: Notify,
    /// A call was ended.
    pub ended: Notify,
}

struct Ended(Arc<Hanging>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended.notify_one();
    }
}

impl Talker {
    /// Serves it.
    #[must_use]
    pub fn router(self) -> Router {
        Router::new().add(TalkServer::new(self))
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.note.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Talk for Talker {
    async fn who(&self, cx: &Context) -> Result<String> {
        Ok(format!("{} {}", cx.peer(), std::process::id()))
    }
    async fn echo(&self, data: Bytes) -> Result<Bytes> {
        Ok(data)
    }
    async fn numbers(&self, count: u32) -> Result<Streaming<u32>> {
        Ok(Streaming::from_iter(0..count))
    }
    async fn sum(&self, mut numbers: Streaming<u32>) -> Result<u32> {
        let mut sum = 0;
        while let Some(number) = numbers.next().await {
            sum += number?;
        }
        Ok(sum)
    }
    async fn chat(&self, lines: Streaming<String>) -> Result<Streaming<String>> {
        Ok(lines)
    }
    async fn note(&self, text: String) {
        *self.lock() = text;
    }
    async fn noted(&self) -> Result<String> {
        Ok(self.lock().clone())
    }
    async fn hang(&self) -> Result<()> {
        let _ended = Ended(Arc::clone(&self.hanging));
        self.hanging.began.notify_one();
        std::future::pending().await
    }
}
