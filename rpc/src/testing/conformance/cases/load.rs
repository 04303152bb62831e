//! Many calls at once.

use bytes::Bytes;
use tokio::task::JoinSet;

use super::super::{
    bed::Bed,
    item::{item, number},
    plan::{Act, Plan},
    probe::soon,
    service::{Conformance, ConformanceClient},
};
use crate::{Context, Streaming};

pub(super) async fn a_thousand_calls_in_mixed_shapes(bed: &Bed) {
    let client = bed.plan(Plan::during([Act::Items(20, 100)]));
    run(1000, |number| {
        mixed(client.clone(), bed.client.clone(), number)
    })
    .await;
    assert_eq!(bed.subject.dropped.get(), 0);
}

pub(super) async fn a_thousand_calls_that_all_wait(bed: &Bed) {
    // All of them are in their handlers at the same time.
    let client = bed.plan(Plan {
        before: vec![Act::Wait],
        during: vec![Act::Items(3, 8)],
    });
    let subject = std::sync::Arc::clone(&bed.subject);
    let releaser = tokio::spawn(async move {
        subject.started.reaches(1000).await;
        subject.release();
    });
    run(1000, |number| {
        let client = client.clone();
        async move {
            let cx = Context::background();
            if number % 2 == 0 {
                let data = item(number, 100);
                assert_eq!(client.call(&cx, data.clone()).await.unwrap(), data);
            } else {
                let responses = client.give(&cx, Bytes::new()).await.unwrap();
                assert_eq!(responses.collect().await.unwrap().len(), 3);
            }
        }
    })
    .await;
    releaser.await.unwrap();
    assert_eq!(bed.subject.dropped.get(), 0);
}

pub(super) async fn five_thousand_callers(bed: &Bed) {
    // More than a transport has places for: they wait for their turn, and none is refused.
    run(5000, |number| {
        let client = bed.client.clone();
        async move {
            let data = item(number, 100);
            assert_eq!(client.echo(data.clone()).await.unwrap(), data);
        }
    })
    .await;
}

pub(super) async fn three_thousand_streams(bed: &Bed) {
    let client = bed.plan(Plan::during([Act::Items(3, 8)]));
    run(3000, |_| {
        let client = client.clone();
        async move {
            let responses = client.give(&Context::background(), Bytes::new()).await;
            assert_eq!(responses.unwrap().collect().await.unwrap().len(), 3);
        }
    })
    .await;
    bed.subject.done.reaches(3000).await;
    assert_eq!(bed.subject.dropped.get(), 0);
}

/// Runs so many calls, each in a task of its own.
async fn run<F: Future<Output = ()> + Send + 'static>(count: u64, call: impl Fn(u64) -> F) {
    let mut calls: JoinSet<()> = (0..count).map(call).collect();
    while let Some(done) = soon("one of many calls", calls.join_next()).await {
        if let Err(error) = done {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

async fn mixed(giving: ConformanceClient, client: ConformanceClient, n: u64) {
    let cx = Context::background();
    match n % 5 {
        0 => {
            let data = item(n, 10 + n as usize);
            assert_eq!(client.call(&cx, data.clone()).await.unwrap(), data);
        }
        1 => {
            let data = item(n, if n % 20 == 1 { 70_000 } else { 700 });
            assert_eq!(client.echo(data.clone()).await.unwrap(), data);
        }
        2 => {
            let responses = giving.give(&cx, Bytes::new()).await.unwrap();
            let items = responses.collect().await.unwrap();
            assert!(items.iter().map(number).eq(0..20));
        }
        3 => {
            let requests = Streaming::from_iter((0..20).map(|n| item(n, 100)));
            assert_eq!(client.take(&cx, requests).await.unwrap().items, 20);
        }
        _ => {
            let requests = Streaming::from_iter((0..20).map(|n| item(n, 100)));
            let responses = client.chat(&cx, requests).await.unwrap();
            let items = responses.collect().await.unwrap();
            assert!(items.iter().map(number).eq(0..20));
        }
    }
}
