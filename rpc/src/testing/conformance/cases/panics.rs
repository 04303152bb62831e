//! Panics: of a handler, before its answer and in its stream. They end their own call, and nothing else.

use bytes::Bytes;
use tokio::task::JoinSet;

use super::super::{
    bed::{Bed, check},
    item::item,
    plan::{Act, Plan},
    probe::soon,
    service::Conformance,
};
use crate::{Code, Context, Status, Streaming};

fn check_panicked(status: &Status) {
    check(status, Code::Unknown, "panicked");
    assert!(
        !format!("{status:?}").contains("as planned"),
        "what a panic says may be nobody else's business: {status:?}"
    );
}

pub(super) async fn before_the_answer(bed: &Bed) {
    let cx = bed.cx.clone();
    let client = bed.plan(Plan::before([Act::Panic]));
    let requests = || Streaming::from_iter([item(0, 8)]);
    let statuses = soon("the end of calls whose handlers panic", async {
        [
            client.call(&cx, Bytes::new()).await.unwrap_err(),
            client.call(&cx, item(0, 200_000)).await.unwrap_err(),
            client.give(&cx, Bytes::new()).await.unwrap_err(),
            client.take(&cx, requests()).await.unwrap_err(),
            client.chat(&cx, requests()).await.unwrap_err(),
        ]
    });
    statuses.await.iter().for_each(check_panicked);
    bed.still_works().await;
}

pub(super) async fn after_a_wait(bed: &Bed) {
    let client = bed.plan(Plan::before([Act::Wait, Act::Panic]));
    let call = tokio::spawn(async move { client.call(&Context::background(), Bytes::new()).await });
    bed.subject.started.reaches(1).await;
    bed.subject.release();
    let status = soon("the end of the call", call).await.unwrap();
    check_panicked(&status.unwrap_err());
    bed.still_works().await;
}

pub(super) async fn in_a_response_stream(bed: &Bed) {
    let cx = bed.cx.clone();
    let client = bed.plan(Plan::during([Act::Items(3, 8), Act::Panic]));
    for _ in 0..2 {
        let mut responses = client.give(&cx, Bytes::new()).await.unwrap();
        for _ in 0..3 {
            responses.next().await.unwrap().unwrap();
        }
        let status = soon("the end of the stream", responses.next()).await;
        check_panicked(&status.unwrap().unwrap_err());
        assert!(responses.next().await.is_none());
    }
    bed.still_works().await;
}

pub(super) async fn of_a_one_way_handler(bed: &Bed) {
    let client = bed.plan(Plan::before([Act::Panic]));
    for size in [8, 200_000] {
        client.note(&bed.cx, item(0, size)).await;
    }
    bed.subject.dropped.reaches(2).await;
    bed.still_works().await;
}

pub(super) async fn leave_the_siblings(bed: &Bed) {
    let cx = bed.cx.clone();
    let waiting = bed.plan(Plan {
        before: vec![Act::Wait],
        during: vec![Act::Items(10, 8)],
    });
    let mut siblings = JoinSet::new();
    for number in 0..10 {
        let client = waiting.clone();
        siblings.spawn(async move {
            let data = item(number, 8);
            let back = client.call(&Context::background(), data.clone()).await;
            assert_eq!(back.unwrap(), data);
        });
        let client = waiting.clone();
        siblings.spawn(async move {
            let responses = client.give(&Context::background(), Bytes::new()).await;
            let items = responses.unwrap().collect().await.unwrap();
            assert_eq!(items.len(), 10);
        });
    }
    bed.subject.started.reaches(20).await;
    let panicking = bed.plan(Plan::before([Act::Panic]));
    for _ in 0..10 {
        let status = panicking.call(&cx, Bytes::new()).await.unwrap_err();
        check_panicked(&status);
    }
    bed.subject.release();
    while let Some(done) = soon("a sibling", siblings.join_next()).await {
        done.unwrap();
    }
}
