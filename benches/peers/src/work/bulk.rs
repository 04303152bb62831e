//! Large messages on one connection.

use std::sync::Arc;

use super::{Round, echo::drive};
use crate::{
    Outcome,
    data::{self, LARGE_BYTES},
    stack::{Client, Stack},
};

/// Which way the message goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Up,
    Down,
}

/// 1 MiB by so many callers.
pub(crate) async fn prepare<S: Stack>(stack: S, way: Way, callers: usize) -> Outcome<Round> {
    let client = stack.connect().await?;
    let payload = data::payload(LARGE_BYTES);
    let call = move |client: S::Client| {
        let payload = payload.clone();
        async move {
            let moved = match way {
                Way::Up => client.upload(payload).await?,
                Way::Down => client.download(LARGE_BYTES as u64).await?.len() as u64,
            };
            if moved == LARGE_BYTES as u64 {
                Ok(())
            } else {
                Err(format!("only {moved} bytes came").into())
            }
        }
    };
    let stack = Arc::new(stack);
    Ok(Box::new(move |time| {
        let (stack, call) = (Arc::clone(&stack), call.clone());
        let clients = vec![client.clone(); callers];
        Box::pin(async move {
            let sample = drive(clients, call, 1.0, time).await;
            drop(stack);
            sample
        })
    }))
}
