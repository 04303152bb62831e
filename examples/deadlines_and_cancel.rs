//! Who stops working, and when: deadlines, deadlines that are inherited, and callers who lose interest.
//!
//! `cargo run --example deadlines_and_cancel`

use std::{
    error::Error,
    time::{Duration, Instant},
};

use blixard_examples::serve_and_connect;
use blixard_rpc::{CallOptions, Context, Result, Router, Status, Streaming, iroh_service};

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

struct MyWorker {
    /// Whom `delegate` asks.
    other: Option<WorkerClient>,
}

impl Worker for MyWorker {
    async fn work(&self, milliseconds: u64) -> Result<String> {
        let watch = Watch("work", Instant::now());
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        std::mem::forget(watch);
        Ok(format!("worked for {milliseconds} ms"))
    }

    async fn quick(&self, milliseconds: u64) -> Result<String> {
        self.work(milliseconds).await
    }

    async fn delegate(&self, cx: &Context, milliseconds: u64) -> Result<String> {
        let left = cx.remaining().unwrap_or_default();
        println!("    delegate has {left:.0?} left");
        let other = self.other.as_ref().expect("only the first worker is asked");
        // With `cx` the call ends when ours does: the same deadline, the same cancellation, the same trace.
        other.with(cx).work(milliseconds).await
    }

    async fn ticks(&self) -> Result<Streaming<u32>> {
        let (sender, ticks) = Streaming::channel(1);
        tokio::spawn(async move {
            let _watch = Watch("ticks", Instant::now());
            for tick in 1.. {
                tokio::time::sleep(Duration::from_millis(40)).await;
                if sender.send(tick).await.is_err() {
                    break;
                }
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
    let other = Router::new().add(WorkerServer::new(MyWorker { other: None }));
    let (channel, _server) = serve_and_connect(other).await?;
    let first = MyWorker {
        other: Some(WorkerClient::new(channel)),
    };
    let (channel, _server) = serve_and_connect(Router::new().add(WorkerServer::new(first))).await?;
    let worker = WorkerClient::new(channel);
    let patient = worker.with(CallOptions::new().deadline(Duration::from_millis(150)));
    let cx = Context::background();

    println!("in time:            {:?}", patient.work(20).await?);
    println!("too late:           {}", late(patient.work(10_000).await));
    println!("by the trait:       {}", late(worker.quick(10_000).await));
    let delegated = patient.delegate(&cx, 10_000).await;
    println!("inherited:          {}", late(delegated));
    settle().await;

    println!("dropped by its caller:");
    tokio::select! {
        _ = worker.work(10_000) => unreachable!("it takes 10 s"),
        () = tokio::time::sleep(Duration::from_millis(60)) => {}
    }
    settle().await;

    println!("a deadline holds for a whole stream:");
    let mut ticks = patient.ticks().await?;
    while let Some(tick) = ticks.next().await {
        println!("  {tick:?}");
    }
    settle().await;
    Ok(())
}

fn late(result: Result<String>) -> Status {
    result.expect_err("it takes 10 s")
}

/// Lets the servers say what they have to say.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(60)).await;
}
