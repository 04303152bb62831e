//! What blixard-rpc itself does for one small call, without the network below it: for callgrind, which counts instructions.
//!
//! `path lane 64 20000` makes 20000 calls over a lane, 64 in flight, both ends on one thread over pipes in memory. The same binary
//! and arguments count the same on every run, so two counts of different lengths give what one call costs. `memory` is a call without
//! frames, `frames` the frames of one without a call. `.ci/instructions` compares all with `counts.txt`.

mod frames;
mod pipe;

use std::{error::Error, sync::Arc};

use blixard_rpc::{
    Channel, Memory, Result, Router, iroh_service,
    link::{CallCount, Connection, Limits, LivenessConfig, Peaks, Services, serve},
};
use bytes::Bytes;
use tokio::sync::watch;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[iroh_service(package = "bench.v1")]
trait Bench {
    async fn echo(&self, payload: Bytes) -> Result<Bytes>;
}

struct Answers;

impl Bench for Answers {
    async fn echo(&self, payload: Bytes) -> Result<Bytes> {
        Ok(payload)
    }
}

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (way, in_flight, calls) = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [way @ ("frames" | "lane" | "memory"), in_flight, calls] => {
            (way, in_flight.parse()?, calls.parse()?)
        }
        // `cargo bench` and `cargo test --benches`: that it runs at all.
        ["--bench" | "--test", ..] | [] => ("lane", 64, 1000),
        _ => return Err("path frames|lane|memory IN_FLIGHT CALLS".into()),
    };
    if way == "frames" {
        return frames::run(calls);
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(run(way, in_flight, calls))
}

async fn run(way: &str, in_flight: usize, calls: usize) -> Outcome<()> {
    let router = Router::new().add(BenchServer::new(Answers));
    let (_drain, stop) = watch::channel(None);
    let channel = if way == "memory" {
        Channel::new(Memory::new(router))
    } else {
        let services = Services::new(router.services());
        let (here, there) = pipe::pair();
        tokio::spawn(async move {
            let (limits, calls) = (Limits::default(), Arc::new(CallCount::new(usize::MAX)));
            let peaks = Peaks::default();
            serve(
                there,
                Arc::new(router),
                services,
                limits,
                calls,
                &peaks,
                stop,
            )
            .await;
        });
        let connection = Connection::new(here, LivenessConfig::default());
        connection.hello().await?;
        Channel::new(connection)
    };
    drive(BenchClient::new(channel), in_flight, calls).await
}

/// Callers, one task each, share `calls`; each awaits its answer before it calls again.
async fn drive(client: BenchClient, in_flight: usize, calls: usize) -> Outcome<()> {
    let payload = Bytes::from_static(&[7; 64]);
    let callers: Vec<_> = (0..in_flight)
        .map(|_| tokio::spawn(caller(client.clone(), payload.clone(), calls / in_flight)))
        .collect();
    for caller in callers {
        caller.await??;
    }
    Ok(())
}

async fn caller(client: BenchClient, payload: Bytes, calls: usize) -> Result<()> {
    for _ in 0..calls {
        client.echo(payload.clone()).await?;
    }
    Ok(())
}
