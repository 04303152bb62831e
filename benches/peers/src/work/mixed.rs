//! Small calls that begin at a fixed pace, whether or not earlier ones are answered, and others beside them on the same connection.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::interval};

use super::{Beside, Round};
use crate::{
    Outcome,
    data::{self, HUGE_BYTES, LARGE_BYTES},
    sample::{Clock, Sample},
    stack::{Client, Stack},
};

/// A small call begins so often.
const SMALL_EVERY: Duration = Duration::from_millis(2);
/// A huge one begins so often, up and down in turn: 50 MiB/s, one in a hundred calls.
const HUGE_EVERY: Duration = Duration::from_millis(200);

pub(crate) async fn prepare<S: Stack>(stack: S, beside: Beside) -> Outcome<Round> {
    let client = stack.connect().await?;
    let stack = Arc::new(stack);
    Ok(Box::new(move |time| {
        let (stack, client) = (Arc::clone(&stack), client.clone());
        Box::pin(async move {
            let sample = run(client, beside, time).await;
            drop(stack);
            sample
        })
    }))
}

async fn run<C: Client>(client: C, beside: Beside, time: Duration) -> Outcome<Sample> {
    let clock = Clock::start();
    let others = match beside {
        Beside::Nothing => None,
        Beside::Huge => Some(tokio::spawn(huge_calls(client.clone(), time))),
        Beside::Large => Some(tokio::spawn(large_calls(client.clone(), time))),
    };
    let (begin, mut every, mut calls) = (Instant::now(), interval(SMALL_EVERY), JoinSet::new());
    while begin.elapsed() < time {
        every.tick().await;
        let client = client.clone();
        calls.spawn(async move {
            let begin = Instant::now();
            client.echo(data::item()).await?;
            Outcome::Ok(begin.elapsed())
        });
    }
    let mut times = Vec::new();
    while let Some(call) = calls.join_next().await {
        times.push(call??);
    }
    let moved = match others {
        Some(others) => Some(others.await??),
        None => None,
    };
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (calls, moved) = (times.len() as f64, moved.map(|bytes| bytes as f64));
    let mut sample = clock.stop(calls).times(times);
    sample.beside_mib_s = moved.map(|bytes| bytes / 1024.0 / 1024.0 / sample.wall_s);
    Ok(sample)
}

/// Answers how many bytes were moved.
async fn huge_calls<C: Client>(client: C, time: Duration) -> Outcome<u64> {
    let (begin, mut every, mut calls) = (Instant::now(), interval(HUGE_EVERY), JoinSet::new());
    let mut up = false;
    while begin.elapsed() < time {
        every.tick().await;
        up = !up;
        let (client, up) = (client.clone(), up);
        calls.spawn(async move {
            if up {
                client.upload(data::payload(HUGE_BYTES)).await
            } else {
                let bytes = client.download(HUGE_BYTES as u64).await?;
                Outcome::Ok(bytes.len() as u64)
            }
        });
    }
    let mut moved = 0;
    while let Some(call) = calls.join_next().await {
        moved += call??;
    }
    Ok(moved)
}

/// Answers how many bytes were moved.
async fn large_calls<C: Client>(client: C, time: Duration) -> Outcome<u64> {
    let (begin, mut moved) = (Instant::now(), 0);
    while begin.elapsed() < time {
        moved += client.upload(data::payload(LARGE_BYTES)).await?;
    }
    Ok(moved)
}
