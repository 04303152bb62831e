//! Cancellation: who drops a call or one of its streams drops the handler, and nothing else.

use std::{future::Future, pin::pin};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::super::{
    bed::{Bed, check},
    item::item,
    plan::{Act, Plan},
    probe::soon,
    service::Conformance,
};
use crate::{Code, Context, Streaming};

/// Drives `call` until `begun`, then drops it.
async fn drop_when(call: impl Future, begun: impl Future<Output = ()>) {
    let mut call = pin!(call);
    tokio::select! {
        _ = &mut call => panic!("nobody answers this call, and an answer came"),
        () = begun => {}
    }
}

pub(super) async fn a_dropped_call_drops_its_handler(bed: &Bed) {
    let cx = bed.cx.clone();
    for (round, size) in [8, 200_000].into_iter().enumerate() {
        let client = bed.plan(Plan::before([Act::Hang]));
        let call = client.call(&cx, item(0, size));
        drop_when(call, bed.subject.started.reaches(round + 1)).await;
        bed.subject.dropped.reaches(round + 1).await;
        soon("the end of the context", bed.subject.context(0).cancelled()).await;
    }
    bed.still_works().await;
}

pub(super) async fn a_dropped_response_stream_drops_its_handler(bed: &Bed) {
    let cx = bed.cx.clone();
    let client = bed.plan(Plan::during([Act::Items(3, 8), Act::Hang]));
    let mut responses = client.give(&cx, Bytes::new()).await.unwrap();
    for _ in 0..3 {
        let item = soon("an item", responses.next()).await;
        item.unwrap().unwrap();
    }
    assert_eq!(bed.subject.dropped.get(), 0);
    drop(responses);
    bed.subject.dropped.reaches(1).await;
    soon("the end of the context", bed.subject.context(0).cancelled()).await;
    bed.still_works().await;
}

pub(super) async fn a_response_stream_dropped_unread_drops_its_handler(bed: &Bed) {
    let cx = bed.cx.clone();
    // Once while the handler waits, once while it is held back by a reader who does not read.
    for (round, act) in [Act::Hang, Act::Endless(10_000)].into_iter().enumerate() {
        let client = bed.plan(Plan::during([act]));
        let responses = client.give(&cx, Bytes::new()).await.unwrap();
        bed.subject.given.settles().await;
        drop(responses);
        bed.subject.dropped.reaches(round + 1).await;
    }
    bed.still_works().await;
}

pub(super) async fn a_dropped_call_with_requests_drops_its_handler(bed: &Bed) {
    let cx = bed.cx.clone();
    let (sender, requests) = Streaming::channel(1);
    let begun = async {
        sender.send(item(0, 8)).await.unwrap();
        bed.subject.taken.reaches(1).await;
    };
    drop_when(bed.client.take(&cx, requests), begun).await;
    bed.subject.gone.reaches(1).await;
    soon("the end of the request stream", sender.closed()).await;
    bed.still_works().await;
}

pub(super) async fn a_call_with_requests_that_are_always_ready(bed: &Bed) {
    let cx = bed.cx.clone();
    let endless = Streaming::from_iter((0..).map(|number| item(number, 1000)));
    drop_when(
        bed.client.take(&cx, endless),
        bed.subject.taken.reaches(100),
    )
    .await;
    bed.subject.gone.reaches(1).await;
    bed.still_works().await;
}

pub(super) async fn a_dropped_exchange_drops_its_handler(bed: &Bed) {
    let cx = bed.cx.clone();
    let (sender, requests) = Streaming::channel(1);
    let mut responses = bed.client.chat(&cx, requests).await.unwrap();
    sender.send(item(0, 8)).await.unwrap();
    let item = soon("the echo", responses.next()).await;
    item.unwrap().unwrap();
    drop(responses);
    bed.subject.gone.reaches(1).await;
    soon("the end of the request stream", sender.closed()).await;
    bed.still_works().await;
}

pub(super) async fn a_dropped_exchange_that_was_not_answered(bed: &Bed) {
    let cx = bed.cx.clone();
    let client = bed.plan(Plan::before([Act::Hang]));
    // Whose client has nothing more to say, and waits.
    let requests = Streaming::from_iter([item(0, 8)]);
    drop_when(client.chat(&cx, requests), bed.subject.started.reaches(1)).await;
    bed.subject.dropped.reaches(1).await;
    // Whose client has its stream already.
    let (sender, requests) = Streaming::channel(1);
    let responses = soon("a stream", client.chat(&cx, requests)).await;
    bed.subject.started.reaches(2).await;
    drop(responses);
    bed.subject.dropped.reaches(2).await;
    soon("the end of the request stream", sender.closed()).await;
}

pub(super) async fn of_one_call_leaves_the_others(bed: &Bed) {
    let cx = bed.cx.clone();
    let client = bed.plan(Plan::before([Act::Wait]));
    let mut calls = JoinSet::new();
    for number in 0..20 {
        let client = client.clone();
        calls.spawn(async move {
            let data = item(number, 8);
            let back = client.call(&Context::background(), data.clone()).await;
            assert_eq!(back.unwrap(), data);
        });
    }
    bed.subject.started.reaches(20).await;
    let hanging = bed.plan(Plan::before([Act::Hang]));
    let call = hanging.call(&cx, Bytes::new());
    drop_when(call, bed.subject.started.reaches(21)).await;
    bed.subject.dropped.reaches(1).await;
    bed.subject.release();
    while let Some(done) = soon("the other calls", calls.join_next()).await {
        done.unwrap();
    }
    assert_eq!(bed.subject.dropped.get(), 1);
}

pub(super) async fn at_any_point(bed: &Bed) {
    // Polled so many times and dropped: wherever a call is then, it leaves nothing behind.
    let cx = bed.cx.clone();
    let waiting = bed.plan(Plan {
        before: vec![Act::Wait],
        during: vec![Act::Items(5, 8), Act::Hang],
    });
    bed.subject.release();
    for polls in 0..60 {
        let data = item(polls as u64, if polls % 3 == 0 { 100_000 } else { 8 });
        poll_times(waiting.call(&cx, data.clone()), polls).await;
        poll_times(async { drop(waiting.give(&cx, data.clone()).await) }, polls).await;
        let requests = Streaming::from_iter((0..10).map(|number| item(number, 8)));
        poll_times(waiting.take(&cx, requests), polls).await;
        let requests = Streaming::from_iter((0..10).map(|number| item(number, 8)));
        poll_times(async { drop(waiting.chat(&cx, requests).await) }, polls).await;
    }
    bed.still_works().await;
    // Those that were sent and not yet seen are still to come, and to go.
    let ended = async {
        loop {
            let started = bed.subject.started.settles().await;
            if bed.subject.gone.get() == started {
                break;
            }
        }
    };
    soon("the end of every handler", ended).await;
}

async fn poll_times(call: impl Future, polls: usize) {
    let mut call = pin!(call);
    for _ in 0..polls {
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx)));
        if polled.await.is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

pub(super) async fn of_five_hundred_calls_at_once(bed: &Bed) {
    let client = bed.plan(Plan {
        before: vec![],
        during: vec![Act::Hang],
    });
    let hanging = bed.plan(Plan::before([Act::Hang]));
    for round in 1..=3 {
        let mut calls = JoinSet::new();
        for number in 0..500_u64 {
            let (client, hanging) = (client.clone(), hanging.clone());
            calls.spawn(async move {
                let cx = Context::background();
                if number % 2 == 0 {
                    let _ = hanging.call(&cx, item(number, 8)).await;
                } else {
                    let responses = client.give(&cx, Bytes::new()).await.unwrap();
                    let _ = responses.collect().await;
                }
            });
        }
        bed.subject.started.reaches(500 * round).await;
        soon("the end of the tasks", calls.shutdown()).await;
        bed.subject.dropped.reaches(500 * round).await;
    }
    bed.still_works().await;
}

pub(super) async fn frees_the_places_of_calls(bed: &Bed) {
    // Nearly as many as a transport lets fly at once, several times over, none waiting for the end of the ones before.
    const CALLS: usize = 1000;
    let hanging = bed.plan(Plan::before([Act::Hang]));
    for _ in 0..4 {
        let mut calls = JoinSet::new();
        let before = bed.subject.started.get();
        for number in 0..CALLS as u64 {
            let client = hanging.clone();
            calls.spawn(async move {
                let cx = Context::background();
                client.call(&cx, item(number, 8)).await.map(drop)
            });
        }
        let full = bed.subject.started.reaches(before + CALLS);
        tokio::select! {
            () = full => {}
            Some(ended) = calls.join_next() => panic!("a call that hangs ended: {ended:?}"),
        }
        calls.shutdown().await;
    }
    bed.subject.dropped.reaches(4 * CALLS).await;
    bed.still_works().await;
}

pub(super) async fn is_inherited(bed: &Bed) {
    let cx = bed.cx.clone();
    let inner = bed.subject.add_plan(Plan::before([Act::Hang]));
    let client = bed.plan(Plan::before([Act::Call(inner)]));
    let call = client.call(&cx, Bytes::new());
    drop_when(call, bed.subject.started.reaches(2)).await;
    bed.subject.dropped.reaches(2).await;

    // A call that is made for one that has ended is not begun.
    let ended = bed.subject.context(1);
    soon("the end of the context", ended.cancelled()).await;
    let status = bed.client.call(&ended, Bytes::new()).await.unwrap_err();
    check(&status, Code::Cancelled, "on whose behalf");
    assert!(!status.was_accepted());
}

pub(super) async fn never_follows_a_good_end(bed: &Bed) {
    let cx = bed.cx.clone();
    let client = bed.plan(Plan::during([Act::Items(3, 8)]));
    for _ in 0..50 {
        client.call(&cx, Bytes::new()).await.unwrap();
        let items = client.give(&cx, Bytes::new()).await.unwrap();
        assert_eq!(items.collect().await.unwrap().len(), 3);
    }
    bed.subject.done.reaches(100).await;
    assert_eq!(bed.subject.dropped.get(), 0);
}
