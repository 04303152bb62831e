//! Who stops working, and when: deadlines, deadlines that are inherited, and callers who lose interest.
//!
//! `cargo run --example deadlines_and_cancel`

use std::{
    error::Error,
    time::{Duration, Instant},
};

use blixard_examples::serve_and_connect;
use blixard_rpc::{CallOptions, Context, Result, Router, Streaming, iroh_service};
use tokio::time::{sleep, timeout};

/// Works, slowly.
#[iroh_service(package = "deadlines.v1")]
pub trait Worker {
    /// Takes so many milliseconds.
    async fn work(&self, milliseconds: u64) -> Result<String>;
    /// The same, with a deadline for callers who say none.
    #[rpc(deadline = "100ms")]
    async fn quick(&self, milliseconds: u64) -> Result<String>;
    /// Lets another worker do it.
    async fn delegate(&self, cx: &Context, milliseconds: u64) -> Result<String>;
    /// A number every 40 ms, without end.
    async fn ticks(&self) -> Result<Streaming<u32>>;
}

/// A worker, and whom its `delegate` asks.
struct MyWorker(Option<WorkerClient>);

impl Worker for MyWorker {
    async fn work(&self, milliseconds: u64) -> Result<String> {
        let watch = Watch("work", Instant::now());
        sleep(Duration::from_millis(milliseconds)).await;
        std::mem::forget(watch);
        Ok(format!("worked for {milliseconds} ms"))
    }

    async fn quick(&self, milliseconds: u64) -> Result<String> {
        self.work(milliseconds).await
    }

    async fn delegate(&self, cx: &Context, milliseconds: u64) -> Result<String> {
        let left = cx.remaining().unwrap_or_default();
        println!("    delegate has {left:.0?} left");
        let other = self.0.as_ref().expect("only the first worker is asked");
        // With `cx` the call ends when ours does: the same deadline, the same cancellation, the same trace.
        other.with(cx).work(milliseconds).await
    }

    async fn ticks(&self) -> Result<Streaming<u32>> {
        let (sender, ticks) = Streaming::channel(1);
        tokio::spawn(async move {
            let _watch = Watch("ticks", Instant::now());
            let mut tick = 0;
            while sender.send(tick).await.is_ok() {
                sleep(Duration::from_millis(40)).await;
                tick += 1;
            }
        });
        Ok(ticks)
    }
}

/// Says so when a handler is dropped before it is done.
struct Watch(&'static str, Instant);

impl Drop for Watch {
    fn drop(&mut self) {
        println!("    {} was stopped after {:.0?}", self.0, self.1.elapsed());
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let router = |other| Router::new().add(WorkerServer::new(MyWorker(other)));
    let (channel, _other) = serve_and_connect(router(None)).await?;
    let (channel, _first) = serve_and_connect(router(Some(WorkerClient::new(channel)))).await?;
    let worker = WorkerClient::new(channel);
    let patient = worker.with(CallOptions::new().deadline(Duration::from_millis(150)));

    say("in time:", patient.work(20).await);
    say("too late:", patient.work(10_000).await);
    say("by the trait:", worker.quick(10_000).await);
    let delegated = patient.delegate(&Context::background(), 10_000).await;
    say("inherited:", delegated);
    sleep(PAUSE).await;

    println!("dropped by its caller:");
    let _ = timeout(PAUSE, worker.work(10_000)).await;
    sleep(PAUSE).await;

    println!("a deadline holds for a whole stream:");
    let mut ticks = patient.ticks().await?;
    while let Some(tick) = ticks.next().await {
        println!("  {tick:?}");
    }
    sleep(PAUSE).await;
    Ok(())
}

fn say(what: &str, result: Result<String>) {
    let outcome = result.unwrap_or_else(|status| status.to_string());
    println!("{what:20}{outcome}");
}

/// In which the servers say what they have to say.
const PAUSE: Duration = Duration::from_millis(60);
