//! Deadlines: on both sides, over whole streams, before the call began, and inherited.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::super::{
    bed::{Bed, check},
    item::item,
    plan::{Act, PLAN, Plan},
    probe::soon,
    service::{Conformance, ConformanceClient},
};
use crate::{CallOptions, Code, Context, Dispatch, Result, Status, Streaming};

/// Long enough for a call to reach its handler, where nothing hangs on it.
const DEADLINE: Duration = Duration::from_millis(250);

/// Long enough for a call to reach its handler, and for its first items to come back, on a very busy machine.
const STREAM_DEADLINE: Duration = Duration::from_secs(1);

fn within(client: &ConformanceClient, deadline: Duration) -> ConformanceClient {
    client.with(CallOptions::new().deadline(deadline))
}

async fn read_all(responses: Result<Streaming<Bytes>>) -> Status {
    let mut responses = match responses {
        Ok(responses) => responses,
        Err(status) => return status,
    };
    loop {
        match responses.next().await {
            Some(Ok(_)) => {}
            Some(Err(status)) => {
                assert!(responses.next().await.is_none(), "an error is the end");
                return status;
            }
            None => panic!("the stream ended well, and its deadline was to end it"),
        }
    }
}

pub(super) async fn unary(bed: &Bed) {
    let client = within(&bed.plan(Plan::before([Act::Hang])), STREAM_DEADLINE);
    let began = Instant::now();
    let call = client.call(&bed.cx, Bytes::new());
    let status = soon("the deadline", call).await.unwrap_err();
    check(&status, Code::DeadlineExceeded, "deadline");
    assert!(began.elapsed() >= STREAM_DEADLINE, "not before its time");
    bed.subject.dropped.reaches(1).await;
    soon("the end of the context", bed.subject.context(0).cancelled()).await;
    bed.still_works().await;
}

pub(super) async fn of_large_requests_and_responses(bed: &Bed) {
    let client = within(&bed.plan(Plan::before([Act::Hang])), STREAM_DEADLINE);
    let call = client.call(&bed.cx, item(0, 1 << 20));
    let status = soon("the deadline", call).await.unwrap_err();
    check(&status, Code::DeadlineExceeded, "deadline");
    bed.subject.gone.reaches(bed.subject.started.get()).await;
    bed.still_works().await;
}

pub(super) async fn over_a_whole_response_stream(bed: &Bed) {
    let plan = Plan::during([Act::Items(3, 8), Act::Hang]);
    let client = within(&bed.plan(plan), STREAM_DEADLINE);
    let began = Instant::now();
    let responses = client.give(&bed.cx, Bytes::new()).await;
    let status = soon("the deadline", read_all(responses)).await;
    check(&status, Code::DeadlineExceeded, "deadline");
    assert!(began.elapsed() >= STREAM_DEADLINE, "not before its time");
    bed.subject.dropped.reaches(1).await;
}

pub(super) async fn over_a_stream_that_is_always_ready(bed: &Bed) {
    let plan = Plan::during([Act::Endless(100)]);
    let client = within(&bed.plan(plan), STREAM_DEADLINE);
    let responses = client.give(&bed.cx, Bytes::new()).await;
    let status = soon("the deadline", read_all(responses)).await;
    check(&status, Code::DeadlineExceeded, "deadline");
    bed.subject.dropped.reaches(1).await;
}

pub(super) async fn over_items_that_came_in_time(bed: &Bed) {
    let plan = Plan::during([Act::Items(100, 8)]);
    let client = within(&bed.plan(plan), STREAM_DEADLINE);
    let mut responses = client.give(&bed.cx, Bytes::new()).await.unwrap();
    responses.next().await.unwrap().unwrap();
    // The others may be here too; whoever is slow to read them has no more time for it than for a server that is slow.
    tokio::time::sleep(STREAM_DEADLINE).await;
    let next = responses.next().await.unwrap();
    check(&next.unwrap_err(), Code::DeadlineExceeded, "deadline");
    assert!(responses.next().await.is_none(), "an error is the end");
}

pub(super) async fn over_a_whole_request_stream(bed: &Bed) {
    let client = within(&bed.client, DEADLINE);
    let (sender, requests) = Streaming::channel(1);
    let cx = bed.cx.clone();
    let (total, ()) = soon("the deadline", async {
        tokio::join!(client.take(&cx, requests), async {
            sender.send(item(0, 8)).await.unwrap();
            // The stream is given up with the call.
            sender.closed().await;
        })
    })
    .await;
    check(&total.unwrap_err(), Code::DeadlineExceeded, "deadline");
    bed.subject.gone.reaches(bed.subject.started.get()).await;
}

pub(super) async fn over_both_streams(bed: &Bed) {
    let client = within(&bed.client, STREAM_DEADLINE);
    let (sender, requests) = Streaming::channel(1);
    let cx = bed.cx.clone();
    let (status, ()) = soon("the deadline", async {
        tokio::join!(
            async { read_all(client.chat(&cx, requests).await).await },
            async {
                let mut number = 0;
                while sender.send(item(number, 8)).await.is_ok() {
                    number += 1;
                }
            }
        )
    })
    .await;
    check(&status, Code::DeadlineExceeded, "deadline");
    bed.subject.gone.reaches(bed.subject.started.get()).await;
}

pub(super) async fn are_kept_by_the_server_too(bed: &Bed) {
    // Below the client, where nobody but the server watches the time.
    let deadline = || Some(Instant::now() + DEADLINE);
    for (method, plan) in [
        ("Call", Plan::before([Act::Hang])),
        ("Give", Plan::before([Act::Hang])),
        ("Give", Plan::during([Act::Items(2, 8), Act::Hang])),
    ] {
        let mut request = bed.request(method, plan, &Bytes::new());
        request.deadline = deadline();
        let status = soon("the server's deadline", async {
            let mut response = bed.connected.channel.dispatch(request).await?;
            while let Some(message) = response.body.next().await {
                message?;
            }
            Ok::<_, Status>(())
        })
        .await
        .expect_err("nobody answers this call");
        check(&status, Code::DeadlineExceeded, "deadline");
    }
    bed.subject.gone.reaches(bed.subject.started.get()).await;
    bed.still_works().await;
}

pub(super) async fn that_have_passed_begin_nothing(bed: &Bed) {
    let client = within(&bed.client, Duration::ZERO);
    let cx = bed.cx.clone();
    let statuses = soon("calls that are too late", async {
        [
            client.call(&cx, Bytes::new()).await.unwrap_err(),
            client.give(&cx, Bytes::new()).await.unwrap_err(),
            client.take(&cx, Streaming::empty()).await.unwrap_err(),
            client.chat(&cx, Streaming::empty()).await.unwrap_err(),
        ]
    });
    for status in statuses.await {
        check(&status, Code::DeadlineExceeded, "before the call began");
        assert!(!status.was_accepted());
    }
    bed.still_works().await;
    assert_eq!(bed.subject.started.get(), 0);
}

pub(super) async fn that_have_passed_are_seen_by_the_server(bed: &Bed) {
    let mut request = bed.request("Call", Plan::before([Act::Hang]), &Bytes::new());
    request.deadline = Some(Instant::now());
    let dispatched = bed.connected.channel.dispatch(request);
    let status = soon("the server's deadline", dispatched).await.unwrap_err();
    check(&status, Code::DeadlineExceeded, "deadline");
    assert_eq!(bed.subject.started.get(), 0);
}

pub(super) async fn of_the_method_hold_unless_another_is_said(bed: &Bed) {
    let cx = bed.cx.clone();
    let client = bed.plan(Plan::before([Act::Hang]));
    let status = soon("the method's deadline", client.hasty(&cx, Bytes::new())).await;
    check(&status.unwrap_err(), Code::DeadlineExceeded, "deadline");

    let client = within(&bed.client, Duration::from_secs(100));
    client.hasty(&cx, Bytes::new()).await.unwrap();
    let remaining = bed.subject.context(0).remaining().unwrap();
    assert!(remaining > Duration::from_secs(50), "{remaining:?}");
}

pub(super) async fn are_what_the_handler_sees(bed: &Bed) {
    let cx = bed.cx.clone();
    bed.client.call(&cx, Bytes::new()).await.unwrap();
    assert_eq!(bed.subject.context(0).deadline(), None);

    let minute = Duration::from_secs(60);
    let began = Instant::now();
    let client = within(&bed.client, minute);
    client.call(&cx, Bytes::new()).await.unwrap();
    let ended = Instant::now();
    let deadline = bed.subject.context(0).deadline().unwrap();
    // It travels as remaining time: what the way takes is added, and nothing else.
    let slack = Duration::from_millis(1);
    assert!(deadline + slack >= began + minute);
    assert!(deadline <= ended + minute + slack);

    // More time than any clock has is none.
    let client = within(&bed.client, Duration::MAX);
    client.call(&cx, Bytes::new()).await.unwrap();
}

pub(super) async fn are_inherited(bed: &Bed) {
    let inner = bed.subject.add_plan(Plan::before([Act::Hang]));
    let client = within(&bed.plan(Plan::before([Act::Call(inner)])), STREAM_DEADLINE);
    let call = client.call(&bed.cx, Bytes::new());
    let status = soon("the deadline", call).await.unwrap_err();
    check(&status, Code::DeadlineExceeded, "deadline");
    // The outer handler is dropped, or hears of the inner call's deadline first.
    bed.subject.started.reaches(2).await;
    for context in [bed.subject.context(1), bed.subject.context(0)] {
        soon("the end of the context", context.cancelled()).await;
    }
    let inner = bed.subject.context(0).deadline();
    let inner = inner.expect("the inner call has the deadline of the outer one");
    assert!(inner <= Instant::now() + STREAM_DEADLINE, "not extended");
}

pub(super) async fn of_the_handler_bound_longer_ones(bed: &Bed) {
    let parent = Context::with_deadline(DEADLINE);
    let client = within(
        &bed.plan(Plan::before([Act::Hang])),
        Duration::from_secs(60),
    );
    let status = soon("the parent's deadline", client.call(&parent, Bytes::new())).await;
    check(&status.unwrap_err(), Code::DeadlineExceeded, "deadline");
    bed.subject.gone.reaches(bed.subject.started.get()).await;
}

pub(super) async fn end_one_way_calls_at_the_server(bed: &Bed) {
    let client = within(&bed.plan(Plan::before([Act::Hang])), STREAM_DEADLINE);
    client.note(&bed.cx, Bytes::new()).await;
    bed.subject.started.reaches(1).await;
    bed.subject.dropped.reaches(1).await;
}

pub(super) async fn that_are_met_do_no_harm(bed: &Bed) {
    let plan = bed.subject.add_plan(Plan::during([Act::Items(10, 8)]));
    let client = bed.client.with(
        CallOptions::new()
            .deadline(Duration::from_secs(60))
            .metadata(PLAN, plan.to_string()),
    );
    let cx = bed.cx.clone();
    for _ in 0..20 {
        client.call(&cx, Bytes::new()).await.unwrap();
        let items = client.give(&cx, Bytes::new()).await.unwrap();
        assert_eq!(items.collect().await.unwrap().len(), 10);
    }
    bed.subject.done.reaches(40).await;
    assert_eq!(bed.subject.dropped.get(), 0);
}
