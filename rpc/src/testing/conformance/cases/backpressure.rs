//! Backpressure: a slow reader stops the writer, in both directions, and nobody else.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use futures_util::future::join_all;

use super::super::{
    bed::Bed,
    harness::Queued,
    item::{item, number},
    plan::{Act, Plan},
    probe::soon,
    service::Conformance,
};
use crate::{Context, Streaming};

const ITEM_BYTES: usize = 10_000;

/// What both sides may hold of a stream beside the transport's windows: one batch being made, one being read, a few items.
const SLACK_BYTES: usize = 4 * 64 * 1024;

/// How many items may be under way to a reader who does not read.
fn most(bed: &Bed) -> usize {
    match bed.connected.queued {
        Queued::Nothing(_) => bed.connected.ahead_bytes / ITEM_BYTES + 1,
        Queued::Unknown(_) | Queued::Bytes(_) => {
            (bed.connected.ahead_bytes + SLACK_BYTES) / ITEM_BYTES
        }
    }
}

/// That each side has queued a message of this size, and no more than so many calls and the limits on large responses allow.
fn check_queued(bed: &Bed, calls: usize, message_bytes: usize) {
    let Queued::Bytes(queues) = &bed.connected.queued else {
        return;
    };
    // And a call more, for what tells each side of the other.
    let small = (calls + 1) * queues.call_limit_bytes;
    let (received, sent) = if message_bytes > queues.call_limit_bytes {
        (queues.received_limit_bytes, queues.sent_limit_bytes)
    } else {
        (0, 0)
    };
    queues.check(
        message_bytes..=small + received,
        message_bytes..=small + sent,
    );
}

pub(super) async fn a_slow_reader_stops_the_server(bed: &Bed) {
    let client = bed.plan(Plan::during([Act::Endless(ITEM_BYTES)]));
    let responses = client.give(&bed.cx, Bytes::new());
    let mut responses = responses.await.unwrap();
    let mut read = 0;
    for _ in 0..3 {
        let given = bed.subject.given.settles().await;
        assert!(
            given - read <= most(bed),
            "{given} items were given and {read} read: more than {} are under way",
            most(bed)
        );
        // Whoever reads on gets on, in order, for as long as he reads.
        for _ in 0..2 * most(bed) {
            let item = soon("an item for a reader", responses.next()).await;
            assert_eq!(number(&item.unwrap().unwrap()), read as u64);
            read += 1;
        }
    }
    check_queued(bed, 1, ITEM_BYTES);
    drop(responses);
    bed.subject.dropped.reaches(1).await;
}

pub(super) async fn a_slow_handler_stops_the_client(bed: &Bed) {
    let client = bed.plan(Plan::before([Act::Wait]));
    let sent = Arc::new(AtomicU64::new(0));
    let total = 2 * most(bed) as u64;
    let counter = Arc::clone(&sent);
    let requests = Streaming::from_iter((0..total).map(move |number| {
        counter.fetch_add(1, Ordering::SeqCst);
        item(number, ITEM_BYTES)
    }));
    let call = tokio::spawn(async move { client.take(&Context::background(), requests).await });
    bed.subject.started.reaches(1).await;
    let mut before = u64::MAX;
    while before != sent.load(Ordering::SeqCst) {
        before = sent.load(Ordering::SeqCst);
        bed.subject.taken.settles().await;
    }
    assert!(
        before <= most(bed) as u64,
        "{before} items were sent and none read: more than {} are under way",
        most(bed)
    );
    bed.subject.release();
    let answer = soon("the answer to a client that was held back", call).await;
    assert_eq!(answer.unwrap().unwrap().items, total);
    check_queued(bed, 1, ITEM_BYTES);
}

pub(super) async fn an_exchange_is_stopped_by_either_side(bed: &Bed) {
    // A client that sends and does not read: the echo stops, and then the client's own stream.
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let total = 3 * most(bed) as u64;
    let requests = Streaming::from_iter((0..total).map(move |number| {
        counter.fetch_add(1, Ordering::SeqCst);
        item(number, ITEM_BYTES)
    }));
    let responses = bed.client.chat(&bed.cx, requests).await;
    let mut before = u64::MAX;
    while before != sent.load(Ordering::SeqCst) {
        before = sent.load(Ordering::SeqCst);
        bed.subject.taken.settles().await;
    }
    assert!(before <= 2 * most(bed) as u64, "{before} items were sent");
    let mut responses = responses.unwrap();
    for expected in 0..total {
        let item = soon("an item for a reader", responses.next()).await;
        assert_eq!(number(&item.unwrap().unwrap()), expected);
    }
    assert!(responses.next().await.is_none());
    check_queued(bed, 1, ITEM_BYTES);
}

pub(super) async fn stalled_streams_stop_nobody_else(bed: &Bed) {
    const STALLED: usize = 50;
    let cx = bed.cx.clone();
    let client = bed.plan(Plan::during([Act::Endless(ITEM_BYTES)]));
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        let responses = soon("one more stream", client.give(&cx, Bytes::new())).await;
        stalled.push(responses.unwrap());
    }
    bed.subject.given.settles().await;
    for size in [8, 1000, 200_000] {
        let data = item(1, size);
        let answer = soon("a call beside streams that nobody reads", async {
            bed.client.echo(data.clone()).await
        });
        assert_eq!(answer.await.unwrap(), data);
    }
    // Each goes on where it stood.
    for responses in &mut stalled {
        for expected in 0..10 {
            let item = soon("an item of a stream that stood", responses.next()).await;
            assert_eq!(number(&item.unwrap().unwrap()), expected);
        }
    }
    drop(stalled);
    bed.subject.dropped.reaches(STALLED).await;
    // And one beside them at a time.
    check_queued(bed, STALLED + 1, ITEM_BYTES);
}

pub(super) async fn large_messages_that_are_held_stop_nobody_else(bed: &Bed) {
    const HELD: usize = 8;
    const LARGE_BYTES: usize = 9 << 20;
    // Each reader keeps one large message and asks for no other.
    let cx = bed.cx.clone();
    let client = bed.plan(Plan::during([Act::Items(1, LARGE_BYTES), Act::Items(1, 8)]));
    let held = join_all((0..HELD).map(async |_| {
        let mut responses = client.give(&cx, Bytes::new()).await.unwrap();
        let item = soon("one more large message", responses.next()).await;
        assert_eq!(item.unwrap().unwrap().len(), LARGE_BYTES);
        responses
    }));
    for responses in held.await {
        assert_eq!(responses.collect().await.unwrap().len(), 1);
    }
    check_queued(bed, HELD, LARGE_BYTES);
}
