//! Streams of small items, one after another on one connection.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Kind, Round};
use crate::{
    Outcome,
    sample::{Clock, Sample},
    stack::{Client, Stack},
};

/// Items of one stream.
const ITEMS: u64 = 50_000;

/// Items one way, or to and fro.
pub(crate) async fn prepare<S: Stack>(stack: S, kind: Kind) -> Outcome<Round> {
    let client = stack.connect().await?;
    let stack = Arc::new(stack);
    Ok(Box::new(move |time| {
        let (stack, client) = (Arc::clone(&stack), client.clone());
        Box::pin(async move {
            let sample = match kind {
                Kind::PingPong => ping_pong(&client, time).await,
                _ => one_way(&client, kind, time).await,
            };
            drop(stack);
            sample
        })
    }))
}

async fn one_way(client: &impl Client, kind: Kind, time: Duration) -> Outcome<Sample> {
    let (clock, begin, mut units) = (Clock::start(), Instant::now(), 0.0);
    while begin.elapsed() < time {
        let count = match kind {
            Kind::Items => client.items(ITEMS).await?,
            _ => client.collect(ITEMS).await?,
        };
        if count != ITEMS {
            return Err(format!("{count} items came of {ITEMS}").into());
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 items")]
        {
            units += count as f64;
        }
    }
    Ok(clock.stop(units))
}

async fn ping_pong(client: &impl Client, time: Duration) -> Outcome<Sample> {
    let clock = Clock::start();
    let times = client.ping_pong(time).await?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 turns")]
    Ok(clock.stop(times.len() as f64).times(times))
}
