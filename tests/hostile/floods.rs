//! Too much of what is allowed: calls, streams, bytes. Memory stays within its limits, and others are served.

use std::time::Duration;

use blixard_tests::net::{dial, serve, soon};
use bytes::Bytes;
use tokio::task::JoinSet;

use crate::target::{Seen, Target, TargetClient};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_large_messages_than_the_budgets_hold() {
    let server = serve(Seen::default().router()).await;
    let client = TargetClient::new(dial(&server).await);
    let mut calls = JoinSet::new();
    for _ in 0..24 {
        let client = client.clone();
        calls.spawn(async move { client.echo(Bytes::from(vec![7; 4 << 20])).await });
    }
    while let Some(answer) = calls.join_next().await {
        assert_eq!(answer.unwrap().unwrap().len(), 4 << 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_nobody_reads_do_not_stop_the_others() {
    let server = serve(Seen::default().router()).await;
    let client = TargetClient::new(dial(&server).await);
    let mut unread = Vec::new();
    for _ in 0..40 {
        unread.push(client.pour().await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..3 {
        let answer = soon(client.echo(Bytes::from_static(b"hi"))).await;
        assert_eq!(answer.unwrap(), "hi");
    }
}
