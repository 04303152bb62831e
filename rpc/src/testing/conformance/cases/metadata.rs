//! Metadata both ways, and who the caller is.

use bytes::Bytes;

use super::super::{
    bed::Bed,
    item::item,
    plan::{Act, PLAN, Plan},
    service::{Conformance, ConformanceClient},
};
use crate::{CallOptions, Context, Metadata, Priority, ResponseMetadata, Streaming};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Calls in every shape, each to its end.
async fn call_all(client: &ConformanceClient, mut then: impl FnMut()) {
    let cx = Context::background();
    let requests = || Streaming::from_iter([item(0, 8)]);
    client.call(&cx, Bytes::new()).await.unwrap();
    then();
    client.call(&cx, item(0, 200_000)).await.unwrap();
    then();
    let responses = client.give(&cx, Bytes::new()).await.unwrap();
    responses.collect().await.unwrap();
    then();
    client.take(&cx, requests()).await.unwrap();
    then();
    let responses = client.chat(&cx, requests()).await.unwrap();
    responses.collect().await.unwrap();
    then();
}

fn every_byte() -> Bytes {
    (0..=255).collect::<Vec<u8>>().into()
}

pub(super) async fn of_a_request_reaches_the_handler(bed: &Bed) {
    let printable: String = (' '..='~').collect();
    let client = bed.client.with(
        CallOptions::new()
            .metadata("k", "first")
            .metadata("other_key.x-1", printable.clone())
            .metadata("k", "second")
            .metadata("empty", "")
            .metadata_bin("k-bin", every_byte())
            .metadata_bin("empty-bin", Bytes::new()),
    );
    let check = |metadata: &Metadata| {
        let values: Vec<_> = metadata.get_all("k").collect();
        assert_eq!(values, ["first", "second"]);
        assert_eq!(metadata.get("other_key.x-1"), Some(&*printable));
        assert_eq!(metadata.get("empty"), Some(""));
        assert_eq!(metadata.get_bin("k-bin"), Some(&every_byte()));
        assert_eq!(metadata.get_bin("empty-bin"), Some(&Bytes::new()));
        assert_eq!(metadata.get("not-sent"), None);
    };
    call_all(&client, || check(bed.subject.context(0).metadata())).await;
    client.note(&bed.cx, Bytes::new()).await;
    bed.subject.noted.reaches(1).await;
    check(bed.subject.context(0).metadata());
}

pub(super) async fn of_a_response_reaches_the_caller(bed: &Bed) {
    let seen = ResponseMetadata::new();
    let before = vec![
        Act::Header("k", "first".into()),
        Act::Header("k", "second".into()),
        Act::Header("k-bin", every_byte()),
        Act::Trailer("t", "1".into()),
        Act::Trailer("t-bin", every_byte()),
    ];
    let client = bed.plan(Plan {
        before,
        during: vec![Act::Items(2, 8), Act::Trailer("t", "2".into())],
    });
    let client = client.with(CallOptions::new().capture(&seen));
    let mut streams = [false, false, true, false, true].into_iter();
    call_all(&client, || {
        let (headers, trailers) = (seen.headers(), seen.trailers());
        let values: Vec<_> = headers.get_all("k").collect();
        assert_eq!(values, ["first", "second"]);
        assert_eq!(headers.get_bin("k-bin"), Some(&every_byte()));
        assert_eq!(headers.get("t"), None);
        let values: Vec<_> = trailers.get_all("t").collect();
        let expected: &[_] = if streams.next().unwrap() {
            &["1", "2"]
        } else {
            &["1"]
        };
        assert_eq!(values, expected);
        assert_eq!(trailers.get_bin("t-bin"), Some(&every_byte()));
        assert_eq!(trailers.get("k"), None);
    })
    .await;
}

pub(super) async fn of_a_large_answer_reaches_the_caller(bed: &Bed) {
    let seen = ResponseMetadata::new();
    let client = bed.plan(Plan::before([
        Act::Header("k", "v".into()),
        Act::Trailer("t", "w".into()),
        Act::Answer(1 << 20),
    ]));
    let client = client.with(CallOptions::new().capture(&seen));
    let answer = client.call(&bed.cx, Bytes::new());
    assert_eq!(answer.await.unwrap().len(), 1 << 20);
    assert_eq!(seen.headers().get("k"), Some("v"));
    assert_eq!(seen.trailers().get("t"), Some("w"));
}

pub(super) async fn comes_with_the_head_and_with_the_end(bed: &Bed) {
    let seen = ResponseMetadata::new();
    let client = bed.plan(Plan {
        before: vec![Act::Header("k", "v".into())],
        during: vec![Act::Wait, Act::Items(1, 8), Act::Trailer("t", "w".into())],
    });
    let client = client.with(CallOptions::new().capture(&seen));
    let responses = client.give(&bed.cx, Bytes::new());
    let mut responses = super::super::probe::soon("the head", responses)
        .await
        .unwrap();
    assert_eq!(seen.headers().get("k"), Some("v"));
    assert!(seen.trailers().is_empty());
    bed.subject.release();
    responses.next().await.unwrap().unwrap();
    assert!(responses.next().await.is_none());
    assert_eq!(seen.trailers().get("t"), Some("w"));
}

pub(super) async fn of_a_trace_is_inherited_and_nothing_else(bed: &Bed) {
    let inner = bed.subject.add_plan(Plan::default());
    let client = bed.plan(Plan::before([Act::Call(inner)])).with(
        CallOptions::new()
            .metadata("traceparent", TRACE)
            .metadata("tracestate", "vendor=value")
            .metadata("private", "to this call alone")
            .priority(Priority::High),
    );
    let call = client.call(&bed.cx, Bytes::new());
    call.await.unwrap();
    let (outer, inner) = (bed.subject.context(1), bed.subject.context(0));
    for context in [&outer, &inner] {
        assert_eq!(context.metadata().get("traceparent"), Some(TRACE));
        assert_eq!(context.metadata().get("tracestate"), Some("vendor=value"));
        assert_eq!(context.priority(), Priority::High);
    }
    assert!(outer.metadata().get("private").is_some());
    assert_eq!(inner.metadata().get("private"), None);
}

pub(super) async fn says_who_calls(bed: &Bed) {
    call_all(&bed.client, || {
        assert_eq!(bed.subject.context(0).peer(), &bed.connected.client);
    })
    .await;
    bed.client.note(&bed.cx, Bytes::new()).await;
    bed.subject.noted.reaches(1).await;
    assert_eq!(bed.subject.context(0).peer(), &bed.connected.client);
}

pub(super) async fn says_what_is_called_and_how_urgent_it_is(bed: &Bed) {
    let cx = bed.cx.clone();
    let seen = || bed.subject.context(0);
    bed.client.call(&cx, Bytes::new()).await.unwrap();
    assert_eq!(seen().path(), "/blixard.testing.v1.Conformance/Call");
    assert_eq!(seen().priority(), Priority::Normal);
    bed.client.urgent(&cx, Bytes::new()).await.unwrap();
    assert_eq!(seen().path(), "/blixard.testing.v1.Conformance/Urgent");
    assert_eq!(seen().priority(), Priority::Critical);
    let plan = bed.subject.add_plan(Plan::during([Act::Items(1, 8)]));
    for priority in Priority::ALL {
        let options = CallOptions::new()
            .priority(priority)
            .metadata(PLAN, plan.to_string());
        let client = bed.client.with(options);
        client.call(&cx, Bytes::new()).await.unwrap();
        assert_eq!(seen().priority(), priority);
        let responses = client.give(&cx, Bytes::new()).await.unwrap();
        responses.collect().await.unwrap();
        assert_eq!(seen().priority(), priority);
    }
}
