//! What streams promise: order, interaction, ends on either side, and errors on the way.

use bytes::Bytes;

use super::super::{
    bed::{Bed, check},
    item::{item, number},
    plan::{Act, Plan},
    probe::soon,
    service::Conformance,
};
use crate::{CallOptions, Code, ResponseMetadata, Status, Streaming};

pub(super) async fn ten_thousand_items_keep_their_order(bed: &Bed) {
    const ITEMS: u64 = 10_000;
    let cx = bed.cx.clone();
    let requests = || Streaming::from_iter((0..ITEMS).map(|n| item(n, 8 + n as usize % 90)));

    let mut responses = bed.client.chat(&cx, requests()).await.unwrap();
    for expected in 0..ITEMS {
        let item = responses.next().await.unwrap().unwrap();
        assert_eq!(number(&item), expected);
        assert_eq!(item.len(), 8 + expected as usize % 90);
    }
    assert!(responses.next().await.is_none());
    assert!(responses.next().await.is_none(), "the end stays the end");

    let total = bed.client.take(&cx, requests()).await.unwrap();
    assert_eq!(total.items, ITEMS);
}

pub(super) async fn many_small_responses(bed: &Bed) {
    const ITEMS: usize = 20_000;
    let client = bed.plan(Plan::during([Act::Items(ITEMS, 8)]));
    let responses = client.give(&bed.cx, Bytes::new());
    let mut responses = responses.await.unwrap();
    for expected in 0..ITEMS as u64 {
        assert_eq!(number(&responses.next().await.unwrap().unwrap()), expected);
    }
    assert!(responses.next().await.is_none());
}

pub(super) async fn large_response_to_a_small_request(bed: &Bed) {
    let client = bed.plan(Plan::before([Act::Answer(5 << 20)]));
    let answer = client.call(&bed.cx, Bytes::new());
    let answer = answer.await.unwrap();
    assert_eq!((answer.len(), number(&answer)), (5 << 20, 0));
}

pub(super) async fn small_response_to_a_large_request(bed: &Bed) {
    let client = bed.plan(Plan::before([Act::Answer(8)]));
    let answer = client.call(&bed.cx, item(1, 5 << 20));
    assert_eq!(answer.await.unwrap().len(), 8);
}

pub(super) async fn large_items_in_streams(bed: &Bed) {
    let cx = bed.cx.clone();
    let requests = Streaming::from_iter((0..3).map(|n| item(n, 2 << 20)));
    let mut responses = bed.client.chat(&cx, requests).await.unwrap();
    for expected in 0..3 {
        let item = responses.next().await.unwrap().unwrap();
        assert_eq!((item.len(), number(&item)), (2 << 20, expected));
    }
    assert!(responses.next().await.is_none());
}

pub(super) async fn ping_pong(bed: &Bed) {
    let (sender, requests) = Streaming::channel(1);
    let responses = bed.client.chat(&bed.cx, requests);
    let mut responses = soon("the head of a response, before any request", responses)
        .await
        .unwrap();
    for expected in 0..500 {
        sender.send(item(expected, 8)).await.unwrap();
        let answer = soon("the answer to the one request", responses.next()).await;
        assert_eq!(number(&answer.unwrap().unwrap()), expected);
    }
    drop(sender);
    assert!(soon("the end", responses.next()).await.is_none());
}

pub(super) async fn a_server_speaks_first(bed: &Bed) {
    let client = bed.plan(Plan::during([Act::Items(3, 8), Act::Echo]));
    let (sender, requests) = Streaming::channel(1);
    let mut responses = client.chat(&bed.cx, requests).await.unwrap();
    for expected in 0..3 {
        let item = soon("what the server says unasked", responses.next()).await;
        assert_eq!(number(&item.unwrap().unwrap()), expected);
    }
    sender.send(item(77, 8)).await.unwrap();
    let item = soon("the answer", responses.next()).await;
    assert_eq!(number(&item.unwrap().unwrap()), 77);
}

pub(super) async fn a_client_speaks_first(bed: &Bed) {
    // The handler answers when it has heard something, and the client says nothing before it has its stream.
    let seen = ResponseMetadata::new();
    let before = [Act::Read(1), Act::Header("k", "v".into())];
    let client = bed.plan(Plan {
        before: before.into(),
        during: vec![Act::Items(1, 8), Act::Echo],
    });
    let client = client.with(CallOptions::new().capture(&seen));
    let (sender, requests) = Streaming::channel(1);
    let responses = client.chat(&bed.cx, requests);
    let mut responses = soon("a stream whose server has said nothing yet", responses)
        .await
        .unwrap();
    assert!(seen.headers().is_empty());
    sender.send(item(1, 8)).await.unwrap();
    let item_0 = soon("the first item", responses.next()).await;
    assert_eq!(number(&item_0.unwrap().unwrap()), 0);
    assert_eq!(seen.headers().get("k"), Some("v"));
    for expected in 2..10 {
        sender.send(item(expected, 8)).await.unwrap();
        let answer = soon("the echo", responses.next()).await;
        assert_eq!(number(&answer.unwrap().unwrap()), expected);
    }
    drop(sender);
    assert!(soon("the end", responses.next()).await.is_none());
    assert_eq!(bed.subject.dropped.get(), 0);

    // The requests flow while nobody looks at the responses.
    let client = bed.plan(Plan::before([Act::Read(100)]));
    let (sender, requests) = Streaming::channel(1);
    let responses = soon("another stream", client.chat(&bed.cx, requests)).await;
    for number in 0..100 {
        let sent = soon("room for a request", sender.send(item(number, 8)));
        sent.await.unwrap();
    }
    drop(sender);
    let rest = soon("the end", responses.unwrap().collect()).await;
    assert!(rest.unwrap().is_empty());
}

pub(super) async fn half_close(bed: &Bed) {
    // The client ends its stream; the server goes on.
    let client = bed.plan(Plan::during([Act::Echo, Act::Wait, Act::Items(100, 8)]));
    let requests = Streaming::from_iter([item(5, 8)]);
    let mut responses = client.chat(&bed.cx, requests).await.unwrap();
    let first = soon("the echo", responses.next()).await;
    assert_eq!(number(&first.unwrap().unwrap()), 5);
    bed.subject.release();
    let rest = soon("what comes after the half-close", responses.collect()).await;
    assert_eq!(rest.unwrap().len(), 100);
    assert_eq!(bed.subject.dropped.get(), 0);
}

pub(super) async fn an_answer_before_the_requests_have_ended(bed: &Bed) {
    let client = bed.plan(Plan::before([Act::Read(2), Act::Answer(8)]));
    let (sender, requests) = Streaming::channel(1);
    let cx = bed.cx.clone();
    let (total, ()) = soon("an early answer", async {
        tokio::join!(client.take(&cx, requests), async {
            // Until nobody wants more: the call is over, and its stream with it.
            let mut number = 0;
            while sender.send(item(number, 1000)).await.is_ok() {
                number += 1;
            }
        })
    })
    .await;
    total.unwrap();
    assert_eq!(bed.subject.done.get(), 1);
    bed.still_works().await;
}

pub(super) async fn responses_that_end_before_the_requests(bed: &Bed) {
    let client = bed.plan(Plan::during([Act::Items(2, 8)]));
    let (sender, requests) = Streaming::channel(1);
    let responses = client.chat(&bed.cx, requests).await.unwrap();
    let items = soon("responses that end early", responses.collect()).await;
    assert_eq!(items.unwrap().len(), 2);
    soon("the end of the requests", sender.closed()).await;
    bed.still_works().await;
}

pub(super) async fn a_stream_says_that_it_was_opened_before_its_first_item(bed: &Bed) {
    let cx = bed.cx.clone();
    let client = bed.plan(Plan::during([Act::Wait, Act::Items(1, 8)]));
    let mut responses = soon(
        "the head of a response stream",
        client.give(&cx, Bytes::new()),
    )
    .await
    .unwrap();
    bed.subject.release();
    let item = soon("its item", responses.next()).await;
    item.unwrap().unwrap();
}

pub(super) async fn an_error_in_the_requests_is_the_result_of_the_call(bed: &Bed) {
    let cx = bed.cx.clone();
    let failing = || {
        let items = [Ok(item(0, 8)), Err(Status::data_loss("the disk is gone"))];
        Streaming::new(futures_util::stream::iter(items))
    };
    let total = soon("the result", bed.client.take(&cx, failing())).await;
    check(&total.unwrap_err(), Code::DataLoss, "the disk is gone");

    let responses = soon("the result", async {
        let mut responses = bed.client.chat(&cx, failing()).await?;
        while let Some(item) = responses.next().await {
            item?;
        }
        Ok::<_, Status>(())
    });
    check(
        &responses.await.unwrap_err(),
        Code::DataLoss,
        "the disk is gone",
    );
    bed.still_works().await;
}

pub(super) async fn a_cut_request_stream_is_not_a_good_end(bed: &Bed) {
    // Whoever reads the requests, and whenever: an end that the client did not say is an error.
    let client = bed.plan(Plan::before([Act::Delegate]));
    let (sender, requests) = Streaming::channel(1);
    let cx = bed.cx.clone();
    {
        let call = client.take(&cx, requests);
        tokio::pin!(call);
        let begun = async {
            sender.send(item(0, 8)).await.unwrap();
            bed.subject.started.reaches(1).await;
        };
        tokio::select! {
            total = &mut call => panic!("nobody answers this call, and {total:?} came"),
            () = begun => {}
        }
    }
    bed.subject.dropped.reaches(1).await;
    bed.subject.delegated.reaches(1).await;
    let end = bed.subject.ends().remove(0);
    let status = end.expect("a cut stream must not look complete");
    assert_eq!(status.code(), Code::Cancelled, "{status}");
}
