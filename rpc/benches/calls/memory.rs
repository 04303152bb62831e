//! Calls without a network: what encoding, dispatching and decoding cost by themselves.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

use crate::{
    measure::{Clock, Sample},
    net::{Outcome, PAYLOAD_BYTES},
    ours::{self, Bench, BenchClient},
};

/// A client, its server, and the one thread that both run on.
pub(crate) struct InMemory {
    runtime: Runtime,
    client: BenchClient,
}

impl InMemory {
    pub(crate) fn new() -> Outcome<Self> {
        Ok(Self {
            runtime: Builder::new_current_thread().enable_all().build()?,
            client: ours::in_memory(),
        })
    }

    /// Calls for `time`, one after another.
    pub(crate) fn round(&self, time: Duration) -> Outcome<Sample> {
        const BATCH: u32 = 1000;
        let mut calls = 0;
        let clock = Clock::start();
        let begin = Instant::now();
        while begin.elapsed() < time {
            self.calls(BATCH)?;
            calls += BATCH;
        }
        Ok(clock.stop(f64::from(calls)))
    }

    fn calls(&self, count: u32) -> Outcome<()> {
        let payload = Bytes::from_static(&[7; PAYLOAD_BYTES]);
        self.runtime.block_on(async {
            for _ in 0..count {
                let answer = self.client.echo(payload.clone()).await?;
                assert_eq!(answer.len(), PAYLOAD_BYTES, "the echo is another");
            }
            Ok(())
        })
    }
}
