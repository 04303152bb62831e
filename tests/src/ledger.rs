//! A service that notes which call came how often and over what, in all shapes; and the calls, each with a number of its own.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use blixard_rpc::{
    Context, Dispatch, Result, Router, Status, Streaming, call::Peer, iroh_service,
    runner::Transport,
};
use futures_util::stream;
use tokio::sync::watch;

/// Notes the number of each call.
#[iroh_service(package = "ledger.v1")]
pub trait Ledger {
    /// One number, and the same back.
    async fn put(&self, cx: &Context, id: u64) -> Result<u64>;
    /// The number, [`LENGTH`] times.
    async fn list(&self, cx: &Context, id: u64) -> Result<Streaming<u64>>;
    /// The number several times; how often.
    async fn gather(&self, cx: &Context, ids: Streaming<u64>) -> Result<u64>;
    /// Every number back.
    async fn chat(&self, cx: &Context, ids: Streaming<u64>) -> Result<Streaming<u64>>;
    /// As `put`, and may be asked again.
    #[rpc(idempotent)]
    async fn ask(&self, cx: &Context, id: u64) -> Result<u64>;
    /// As `list`, and may be asked again.
    #[rpc(idempotent)]
    async fn ask_list(&self, cx: &Context, id: u64) -> Result<Streaming<u64>>;
    /// As `gather`, and may be asked again.
    #[rpc(idempotent)]
    async fn ask_gather(&self, cx: &Context, ids: Streaming<u64>) -> Result<u64>;
    /// As `chat`, and may be asked again.
    #[rpc(idempotent)]
    async fn ask_chat(&self, cx: &Context, ids: Streaming<u64>) -> Result<Streaming<u64>>;
}

/// How many messages the streams have.
pub const LENGTH: usize = 5;

/// The calls that came.
#[derive(Debug, Default)]
pub struct Book {
    calls: Mutex<HashMap<u64, Vec<Transport>>>,
    /// How long a handler takes, in milliseconds.
    pub pause_ms: AtomicU64,
    /// Whether a handler that begins now never answers, and how many do so.
    holds: AtomicBool,
    held: watch::Sender<usize>,
}

impl Book {
    /// Serves it.
    pub fn router(self: &std::sync::Arc<Self>) -> Router {
        Router::new().add(LedgerServer::from_arc(std::sync::Arc::clone(self)))
    }

    /// How many calls came over this transport.
    pub fn over(&self, transport: Transport) -> usize {
        let calls = self.lock();
        let all = calls.values().flatten();
        all.filter(|over| **over == transport).count()
    }

    /// Over what the call with this number came, each time that it came.
    pub fn came(&self, id: u64) -> Vec<Transport> {
        self.lock().get(&id).cloned().unwrap_or_default()
    }

    /// From now on handlers wait for ever. Resolves when so many do.
    pub async fn hold(&self, calls: usize) {
        self.holds.store(true, Ordering::Relaxed);
        let mut held = self.held.subscribe();
        // The sender is here: it cannot end before.
        let _ = held.wait_for(|held| *held >= calls).await;
    }

    async fn note(&self, cx: &Context, id: u64) {
        let over = match cx.peer() {
            Peer::Key(_) => Transport::Iroh,
            _ => Transport::Grpc,
        };
        self.lock().entry(id).or_default().push(over);
        if self.holds.load(Ordering::Relaxed) {
            self.held.send_modify(|held| *held += 1);
            std::future::pending::<()>().await;
        }
        match self.pause_ms.load(Ordering::Relaxed) {
            0 => tokio::task::yield_now().await,
            pause => tokio::time::sleep(Duration::from_millis(pause)).await,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Vec<Transport>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger for Book {
    async fn put(&self, cx: &Context, id: u64) -> Result<u64> {
        self.note(cx, id).await;
        Ok(id)
    }

    async fn list(&self, cx: &Context, id: u64) -> Result<Streaming<u64>> {
        self.note(cx, id).await;
        Ok(slowly(id))
    }

    async fn gather(&self, cx: &Context, mut ids: Streaming<u64>) -> Result<u64> {
        let mut count = 0;
        while let Some(id) = ids.next().await {
            let id = id?;
            if count == 0 {
                self.note(cx, id).await;
            }
            count += 1;
        }
        Ok(count)
    }

    async fn chat(&self, cx: &Context, mut ids: Streaming<u64>) -> Result<Streaming<u64>> {
        let first = ids
            .next()
            .await
            .unwrap_or_else(|| Err(Status::invalid_argument("no number")))?;
        self.note(cx, first).await;
        let rest = stream::unfold(ids, async |mut ids| Some((ids.next().await?, ids)));
        let all = futures_util::StreamExt::chain(stream::iter([Ok(first)]), rest);
        Ok(Streaming::new(all))
    }

    async fn ask(&self, cx: &Context, id: u64) -> Result<u64> {
        self.put(cx, id).await
    }

    async fn ask_list(&self, cx: &Context, id: u64) -> Result<Streaming<u64>> {
        self.list(cx, id).await
    }

    async fn ask_gather(&self, cx: &Context, ids: Streaming<u64>) -> Result<u64> {
        self.gather(cx, ids).await
    }

    async fn ask_chat(&self, cx: &Context, ids: Streaming<u64>) -> Result<Streaming<u64>> {
        self.chat(cx, ids).await
    }
}

/// The number, [`LENGTH`] times, with others running in between.
fn slowly(id: u64) -> Streaming<u64> {
    Streaming::new(stream::unfold(0, move |sent| async move {
        tokio::task::yield_now().await;
        (sent < LENGTH).then_some((Ok(id), sent + 1))
    }))
}

/// Makes the call with this number, whose shape follows from it; the answer is checked.
///
/// # Errors
/// Those of the call.
///
/// # Panics
/// If the answer is wrong.
pub async fn call<C: Dispatch + Clone>(client: &LedgerClient<C>, id: u64) -> Result<()> {
    let cx = Context::background();
    let answer = match id % 4 {
        0 => vec![client.put(&cx, id).await?],
        1 => client.list(&cx, id).await?.collect().await?,
        2 => {
            let count = client.gather(&cx, slowly(id)).await?;
            assert_eq!(count, LENGTH as u64, "call {id} lost messages");
            return Ok(());
        }
        _ => client.chat(&cx, slowly(id)).await?.collect().await?,
    };
    let expected = if id.is_multiple_of(4) { 1 } else { LENGTH };
    assert_eq!(answer, vec![id; expected], "call {id}");
    Ok(())
}

/// The same by the methods that may be asked again: what became of the stream of responses, once the call was answered.
///
/// # Errors
/// Those of calls that were not answered.
///
/// # Panics
/// If the answer is wrong.
pub async fn ask<C: Dispatch + Clone>(
    client: &LedgerClient<C>,
    id: u64,
) -> Result<impl Future<Output = Result<()>> + use<C>> {
    let cx = Context::background();
    let mut stream = match id % 4 {
        0 => Streaming::from_iter([client.ask(&cx, id).await?]),
        1 => client.ask_list(&cx, id).await?,
        2 => {
            let count = client.ask_gather(&cx, slowly(id)).await?;
            assert_eq!(count, LENGTH as u64, "call {id} lost messages");
            Streaming::from_iter([id])
        }
        _ => client.ask_chat(&cx, slowly(id)).await?,
    };
    let expected = if id.is_multiple_of(2) { 1 } else { LENGTH };
    Ok(async move {
        let mut count = 0;
        while let Some(answer) = stream.next().await {
            assert_eq!(answer?, id);
            count += 1;
        }
        assert_eq!(count, expected, "call {id}");
        Ok(())
    })
}
