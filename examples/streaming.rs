//! Streams in all directions, and what happens when one end is slower than the other: the writer waits.
//!
//! `cargo run --example streaming`

use std::{
    error::Error,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use blixard_examples::serve_and_connect;
use blixard_rpc::{Result, Router, Streaming, iroh_service};

/// A weather station; it measures in degrees Celsius.
#[iroh_service(package = "streaming.v1")]
pub trait Station {
    /// Readings without end, as fast as they are read.
    async fn watch(&self) -> Result<Streaming<f64>>;
    /// The mean of the readings that are sent.
    async fn mean(&self, readings: Streaming<f64>) -> Result<f64>;
    /// Each reading in degrees Fahrenheit, as soon as it comes.
    async fn convert(&self, readings: Streaming<f64>) -> Result<Streaming<f64>>;
}

struct MyStation;

/// How many readings `watch` has made.
static MADE: AtomicU64 = AtomicU64::new(0);

impl Station for MyStation {
    async fn watch(&self) -> Result<Streaming<f64>> {
        // Any iterator is a stream; so is any `futures` Stream (`Streaming::new`) and any task with a `Sender`, as below.
        Ok(Streaming::from_iter((0..).map(|number| {
            MADE.fetch_add(1, Ordering::Relaxed);
            reading(number)
        })))
    }

    async fn mean(&self, mut readings: Streaming<f64>) -> Result<f64> {
        let (mut sum, mut count) = (0.0, 0.0);
        while let Some(reading) = readings.next().await {
            sum += reading?;
            count += 1.0;
        }
        Ok(sum / count)
    }

    async fn convert(&self, mut readings: Streaming<f64>) -> Result<Streaming<f64>> {
        let (sender, converted) = Streaming::channel(16);
        tokio::spawn(async move {
            while let Some(Ok(reading)) = readings.next().await {
                // An error says that nobody reads any more.
                if sender.send(reading * 1.8 + 32.0).await.is_err() {
                    break;
                }
            }
        });
        Ok(converted)
    }
}

fn reading(number: u64) -> f64 {
    20.0 + (number % 5) as f64
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let router = Router::new().add(StationServer::new(MyStation));
    let (channel, _server) = serve_and_connect(router).await?;
    let station = StationClient::new(channel);

    println!("server streaming: the first readings of a stream without end");
    let mut readings = station.watch().await?;
    for _ in 0..3 {
        println!("  {:?} °C", readings.next().await.transpose()?);
    }

    // Nobody reads now, so the windows of the stream fill, and then the handler's stream is not polled any more.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = MADE.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let after = MADE.load(Ordering::Relaxed);
    println!("backpressure: {before} made, and 300 ms later {after}");
    drop(readings); // ends the call on both sides

    println!("client streaming: the mean of 1000 readings");
    let readings = Streaming::from_iter((0..1000).map(reading));
    println!("  {:.1} °C", station.mean(readings).await?);

    println!("both: one reading out, one answer back, in turn");
    let (sender, readings) = Streaming::channel(1);
    let mut converted = station.convert(readings).await?;
    for number in 0..3 {
        sender.send(reading(number)).await?;
        println!("  {:.1?} °F", converted.next().await.transpose()?);
    }
    drop(sender); // a good end
    assert!(converted.next().await.is_none());
    Ok(())
}
