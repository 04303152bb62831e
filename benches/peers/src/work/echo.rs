//! Callers, one task each, that await the answer before they call again. Bulk work has the same callers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::Round;
use crate::{
    Outcome, data,
    sample::{Clock, Sample},
    stack::{Client, Stack},
};

/// Echoes of so many bytes by so many callers on each of so many connections.
pub(crate) async fn prepare<S: Stack>(
    stack: S,
    bytes: usize,
    connections: usize,
    callers: usize,
) -> Outcome<Round> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(stack.connect().await?);
    }
    // They take turns, so that no connection has all its callers before the next has any.
    let clients: Vec<_> = clients
        .iter()
        .cycle()
        .take(connections * callers)
        .cloned()
        .collect();
    let payload = data::payload(bytes);
    let call = move |client: S::Client| {
        let payload = payload.clone();
        async move {
            let answer = client.echo(payload).await?;
            if answer.len() == bytes {
                Ok(())
            } else {
                Err(format!("{} bytes came back of {bytes}", answer.len()).into())
            }
        }
    };
    let stack = Arc::new(stack);
    Ok(Box::new(move |time| {
        let (stack, clients, call) = (Arc::clone(&stack), clients.clone(), call.clone());
        Box::pin(async move {
            let sample = drive(clients, call, 1.0, time).await;
            drop(stack);
            sample
        })
    }))
}

/// Lets each client call, in a task of its own, until the time is over; each call counts so many units.
pub(crate) async fn drive<C, F, Fut>(
    clients: Vec<C>,
    call: F,
    units: f64,
    time: Duration,
) -> Outcome<Sample>
where
    C: Clone + Send + 'static,
    F: Fn(C) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Outcome<()>> + Send,
{
    let mut callers = JoinSet::new();
    let (clock, end) = (Clock::start(), Instant::now() + time);
    for client in clients {
        let call = call.clone();
        callers.spawn(async move {
            let mut times = Vec::with_capacity(1024);
            let mut begin = Instant::now();
            // One reading of the clock a call: the end of one is the beginning of the next.
            while begin < end {
                call(client.clone()).await?;
                let now = Instant::now();
                times.push(now - begin);
                begin = now;
            }
            Outcome::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(caller) = callers.join_next().await {
        times.append(&mut caller??);
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 calls")]
    let sample = clock.stop(times.len() as f64 * units);
    Ok(sample.times(times))
}
