//! Connecting, one after another: each until its first call is answered. Then it is left.

use std::{sync::Arc, time::Instant};

use super::Round;
use crate::{
    data,
    sample::Clock,
    stack::{Client, Stack},
};

pub(crate) fn prepare<S: Stack>(stack: S) -> Round {
    let stack = Arc::new(stack);
    Box::new(move |time| {
        let stack = Arc::clone(&stack);
        Box::pin(async move {
            let (clock, begin, mut times) = (Clock::start(), Instant::now(), Vec::new());
            while begin.elapsed() < time {
                let dialled = Instant::now();
                stack.connect().await?.echo(data::item()).await?;
                times.push(dialled.elapsed());
            }
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52 connections")]
            Ok(clock.stop(times.len() as f64).times(times))
        })
    })
}
