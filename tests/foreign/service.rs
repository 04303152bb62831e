//! The service that clients of other languages call, and that servers of other languages serve: each shape, and what is beside messages.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use blixard_rpc::{
    Code, Context, Result, Router, RpcError, Status, Streaming, iroh_service, message,
};
use bytes::Bytes;
use tokio::sync::watch;

/// A greeting.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Greeting {
    pub(crate) text: String,
    pub(crate) mood: Mood,
    pub(crate) within: Option<Duration>,
    /// How often who was greeted.
    pub(crate) counts: BTreeMap<String, u32>,
    pub(crate) sign: Option<Sign>,
}

/// How something is meant.
#[message]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Unspecified,
    Kind,
    #[unknown]
    Other(i32),
}

/// What stands below a greeting.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Sign {
    Name(String),
    Seal { wax: Bytes },
}

/// What a server sees of a call beside its message.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// Text metadata whose keys begin with `x-`.
    pub(crate) texts: BTreeMap<String, String>,
    /// Binary metadata whose keys begin with `x-`.
    pub(crate) blobs: BTreeMap<String, Bytes>,
    /// How much time the call has left.
    pub(crate) left: Option<Duration>,
}

/// Why a door stays shut.
#[derive(Debug, RpcError)]
#[rpc(package = "foreign.v1")]
pub(crate) enum DoorError {
    #[rpc(code = "FAILED_PRECONDITION", message = "{missing} keys are missing")]
    Locked { missing: u32 },
    #[rpc(status)]
    Other(Status),
}

/// What languages ask of each other.
#[iroh_service(package = "foreign.v1")]
pub(crate) trait Probe {
    /// Greets. One request, one response.
    async fn greet(&self, name: String, mood: Mood, seal: Option<Bytes>) -> Result<Greeting>;
    /// Counts down to nothing. One request, many responses.
    async fn count(&self, from: u32) -> Result<Streaming<u32>>;
    /// Adds up. Many requests, one response.
    async fn sum(&self, numbers: Streaming<i64>) -> Result<i64>;
    /// Says again what it hears, at once. Many requests, many responses.
    async fn talk(&self, words: Streaming<String>) -> Result<Streaming<String>>;
    /// Says what it sees, and answers `x-text` and `x-blob-bin` in headers, and with `-too` behind it in trailers.
    async fn see(&self, cx: &Context) -> Result<Seen>;
    /// Fails with this code and message.
    async fn fail(&self, code: u32, message: String) -> Result<()>;
    /// Fails with a detail.
    async fn open(&self, keys: u32) -> Result<(), DoorError>;
    /// Never answers. Whether it was cancelled is known under this name.
    async fn hang(&self, name: String) -> Result<()>;
    /// Answers once, and never again. Whether it was cancelled is known under this name.
    async fn drip(&self, name: String) -> Result<Streaming<u32>>;
    /// Answers when the call of this name was cancelled.
    async fn cancelled(&self, name: String) -> Result<()>;
}

/// The service as we have it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Real {
    cancelled: Arc<Mutex<BTreeMap<String, watch::Sender<bool>>>>,
}

impl Real {
    pub(crate) fn router(&self) -> Router {
        Router::new().add(ProbeServer::new(self.clone()))
    }

    fn told(&self, name: &str) -> watch::Sender<bool> {
        let mut cancelled = self.cancelled.lock().unwrap();
        cancelled.entry(name.to_owned()).or_default().clone()
    }
}

/// Says so when it is dropped.
struct Told(watch::Sender<bool>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

impl Probe for Real {
    async fn greet(&self, name: String, mood: Mood, seal: Option<Bytes>) -> Result<Greeting> {
        Ok(Greeting {
            text: format!("Hello, {name}!"),
            mood,
            within: Some(Duration::from_millis(1500)),
            counts: [(name, 1)].into(),
            sign: Some(match seal {
                Some(wax) => Sign::Seal { wax },
                None => Sign::Name("Rust".into()),
            }),
        })
    }

    async fn count(&self, from: u32) -> Result<Streaming<u32>> {
        Ok(Streaming::from_iter((0..=from).rev()))
    }

    async fn sum(&self, mut numbers: Streaming<i64>) -> Result<i64> {
        let mut sum = 0;
        while let Some(number) = numbers.next().await {
            sum += number?;
        }
        Ok(sum)
    }

    async fn talk(&self, words: Streaming<String>) -> Result<Streaming<String>> {
        Ok(words)
    }

    async fn see(&self, cx: &Context) -> Result<Seen> {
        let mut seen = Seen {
            left: cx.remaining(),
            ..Seen::default()
        };
        for (key, value) in cx.metadata().iter() {
            if !key.starts_with("x-") {
                continue;
            }
            if key.ends_with("-bin") {
                seen.blobs.insert(key.to_owned(), value.clone());
            } else {
                let text = String::from_utf8(value.to_vec())
                    .map_err(|error| Status::invalid_argument(error.to_string()))?;
                seen.texts.insert(key.to_owned(), text);
            }
        }
        if let Some(text) = cx.metadata().get("x-text") {
            cx.set_header("x-text", text)?;
            cx.set_trailer("x-text-too", text)?;
        }
        if let Some(blob) = cx.metadata().get_bin("x-blob-bin") {
            cx.set_header_bin("x-blob-bin", blob.clone())?;
            cx.set_trailer_bin("x-blob-too-bin", blob.clone())?;
        }
        Ok(seen)
    }

    async fn fail(&self, code: u32, message: String) -> Result<()> {
        Err(Status::new(Code::from_number(code), message))
    }

    async fn open(&self, keys: u32) -> Result<(), DoorError> {
        match 3_u32.checked_sub(keys) {
            None | Some(0) => Ok(()),
            Some(missing) => Err(DoorError::Locked { missing }),
        }
    }

    async fn hang(&self, name: String) -> Result<()> {
        let _told = Told(self.told(&name));
        std::future::pending().await
    }

    async fn drip(&self, name: String) -> Result<Streaming<u32>> {
        let told = Told(self.told(&name));
        let (sender, stream) = Streaming::channel(1);
        tokio::spawn(async move {
            let _told = told;
            // It is taken by whoever reads.
            let _ = sender.send(1).await;
            sender.closed().await;
        });
        Ok(stream)
    }

    async fn cancelled(&self, name: String) -> Result<()> {
        let mut told = self.told(&name).subscribe();
        // The sender is kept.
        let _ = told.wait_for(|told| *told).await;
        Ok(())
    }
}
