//! What connections keep when nobody calls. What the kernel keeps of a socket is not seen here.

use std::{sync::Arc, time::Duration};

use super::Round;
use crate::{
    data,
    sample::{Clock, resident_bytes},
    stack::{Client, Stack},
};

/// Connections.
const COUNT: u32 = 1000;
/// How long they are left before memory is read: until what was sent is acknowledged, and buffers are given back.
const LEFT: Duration = Duration::from_secs(1);

pub(crate) fn prepare<S: Stack>(stack: S) -> Round {
    let stack = Arc::new(stack);
    Box::new(move |_| {
        let stack = Arc::clone(&stack);
        Box::pin(async move {
            // The first one loads what all share.
            let first = stack.connect().await?;
            first.echo(data::item()).await?;
            let before = resident_bytes()?;
            let (clock, mut clients) = (Clock::start(), Vec::new());
            for _ in 0..COUNT {
                let client = stack.connect().await?;
                client.echo(data::item()).await?;
                clients.push(client);
            }
            let mut sample = clock.stop(COUNT.into());
            tokio::time::sleep(LEFT).await;
            sample.idle_bytes = Some((resident_bytes()? - before) / f64::from(COUNT));
            // That they are still there.
            for client in &clients {
                client.echo(data::item()).await?;
            }
            Ok(sample)
        })
    })
}
