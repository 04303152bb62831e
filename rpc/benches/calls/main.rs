//! Calls of blixard-rpc beside the same work on raw iroh, in one run, round by round in turn.
//!
//! `cargo bench -p blixard-rpc` takes about a minute; `-- --quick` only shows that everything runs; `-- --json PATH` also writes
//! the figures; `--only PART` does only what has `PART` in "work: subject". Client and server live in one process and talk over loopback, on a runtime of two workers, so CPU time is that of
//! both ends together. Read the ratios: absolute figures are the machine's.

mod drive;
mod measure;
mod memory;
mod net;
mod ours;
mod raw_bulk;
mod raw_coalesced;
mod raw_streams;
mod report;

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;

use measure::{Clock, Sample};
use net::{ITEMS, Outcome, PAYLOAD_BYTES, UPLOAD_BYTES, UPLOADS, drive};
use ours::{Bench as _, BenchClient};
use report::{OURS, Report};

const COALESCED: &str = "raw iroh, coalesced";
const STREAMS: &str = "raw iroh, stream per call";
const STREAM: &str = "raw iroh, one stream";
const IN_FLIGHT: [usize; 3] = [1, 64, 256];

/// How much to measure.
struct Plan {
    rounds: usize,
    time: Duration,
    only: Option<String>,
    json: Option<PathBuf>,
}

impl Plan {
    fn from_args() -> Outcome<Self> {
        let mut plan = Self {
            rounds: 7,
            time: Duration::from_millis(600),
            only: None,
            json: None,
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--quick" => (plan.rounds, plan.time) = (1, Duration::from_millis(50)),
                "--only" => plan.only = Some(args.next().ok_or("--only needs part of a name")?),
                "--json" => plan.json = Some(args.next().ok_or("--json needs a path")?.into()),
                // What cargo itself passes to a benchmark.
                "--bench" => {}
                unknown => {
                    return Err(format!(
                        "unknown argument {unknown}; there are --quick, --only NAME and --json PATH"
                    )
                    .into());
                }
            }
        }
        Ok(plan)
    }

    fn wants(&self, work: &str, subject: &str) -> bool {
        let name = format!("{work}: {subject}");
        self.only
            .as_ref()
            .is_none_or(|only| name.contains(only.as_str()))
    }
}

fn main() -> Outcome<()> {
    let plan = Plan::from_args()?;
    let mut report = Report::default();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(over_iroh(&plan, &mut report))?;
    in_memory(&plan, &mut report)?;
    print!("{}", report.table());
    if let Some(path) = &plan.json {
        std::fs::write(path, report.json())?;
        println!("written to {}", path.display());
    }
    Ok(())
}

fn in_memory(plan: &Plan, report: &mut Report) -> Outcome<()> {
    let work = "64-byte echo in memory";
    if plan.wants(work, OURS) {
        let memory = memory::InMemory::new()?;
        memory.round(plan.time / 2)?;
        for _ in 0..plan.rounds {
            report.add(work, "calls", OURS, memory.round(plan.time / 2)?);
        }
    }
    Ok(())
}

async fn over_iroh(plan: &Plan, report: &mut Report) -> Outcome<()> {
    // A connection for each kind of work, so that none inherits the state of another.
    let (ours, _server) = ours::over_iroh().await?;
    let (our_items, _server) = ours::over_iroh().await?;
    let (our_uploads, _server) = ours::over_iroh().await?;
    let coalesced = raw_coalesced::Client::start().await?;
    let streams = raw_streams::start().await?;
    let items = raw_bulk::start_items().await?;
    let uploads = raw_bulk::start_uploads().await?;
    let payload = Bytes::from_static(&[7; PAYLOAD_BYTES]);
    let message = Bytes::from(vec![7; UPLOAD_BYTES]);
    let time = plan.time;

    // Round 0 warms up and is thrown away.
    for round in 0..=plan.rounds {
        eprint!("\rround {round} of {}", plan.rounds);
        let mut record = |work: &str, unit, subject, sample: Sample| {
            if round > 0 {
                report.add(work, unit, subject, sample);
            }
        };
        for in_flight in IN_FLIGHT {
            let work = format!("64-byte echo, {in_flight} in flight");
            if plan.wants(&work, OURS) {
                let call = caller(&ours, &payload, |client: BenchClient, payload| async move {
                    client.echo(payload).await.map(drop).map_err(Into::into)
                });
                let sample = drive(call, in_flight, time).await?;
                record(&work, "calls", OURS, sample);
            }
            if plan.wants(&work, COALESCED) {
                let call = caller(&coalesced, &payload, |client, payload| async move {
                    client.echo(&payload).await.map(drop)
                });
                let sample = drive(call, in_flight, time).await?;
                record(&work, "calls", COALESCED, sample);
            }
            if plan.wants(&work, STREAMS) {
                let call = caller(
                    &streams.client,
                    &payload,
                    |connection, payload| async move {
                        raw_streams::echo(&connection, payload).await.map(drop)
                    },
                );
                let sample = drive(call, in_flight, time).await?;
                record(&work, "calls", STREAMS, sample);
            }
        }
        let work = "stream of 64-byte items";
        if plan.wants(work, OURS) {
            let clock = Clock::start();
            let mut stream = our_items.items(ITEMS as u64).await?;
            let mut count = 0;
            while let Some(item) = stream.next().await.transpose()? {
                count += usize::from(item.len() == PAYLOAD_BYTES);
            }
            assert_eq!(count, ITEMS, "items were lost");
            record(work, "items", OURS, clock.stop(count as f64));
        }
        if plan.wants(work, STREAM) {
            let clock = Clock::start();
            let count = raw_bulk::items(&items.client).await?;
            assert_eq!(count, ITEMS, "items were lost");
            record(work, "items", STREAM, clock.stop(count as f64));
        }
        let work = "1 MiB upload, 8 in flight";
        if plan.wants(work, OURS) {
            let call = caller(
                &our_uploads,
                &message,
                |client: BenchClient, message| async move {
                    let bytes = client.upload(message).await?;
                    assert_eq!(bytes, UPLOAD_BYTES as u64, "the upload was cut");
                    Ok(())
                },
            );
            record(work, "MiB", OURS, drive(call, UPLOADS, time).await?);
        }
        if plan.wants(work, STREAMS) {
            let call = caller(
                &uploads.client,
                &message,
                |connection, message| async move { raw_bulk::upload(&connection, message).await },
            );
            record(work, "MiB", STREAMS, drive(call, UPLOADS, time).await?);
        }
    }
    eprintln!();
    Ok(())
}

/// A call that each caller makes with its own handle of `target`.
fn caller<T, C, F>(target: &T, payload: &Bytes, call: C) -> impl Fn() -> F + Clone + Send + 'static
where
    T: Clone + Send + 'static,
    C: Fn(T, Bytes) -> F + Clone + Send + 'static,
{
    let (target, payload) = (target.clone(), payload.clone());
    move || call(target.clone(), payload.clone())
}
