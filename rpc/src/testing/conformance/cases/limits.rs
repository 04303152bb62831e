//! Limits: what is just small enough passes, what is one byte too large is refused in words, and harms nothing.

use bytes::Bytes;

use super::super::{
    bed::{Bed, check},
    item::item,
    plan::{Act, Plan},
    probe::soon,
    service::Conformance,
};
use crate::{
    CallOptions, Code, Metadata, ResponseMetadata, Status, Streaming,
    metadata::ENTRY_OVERHEAD_BYTES,
    method::MAX_MESSAGE_BYTES,
    wire::limits::{MAX_METADATA_BYTES, MAX_METADATA_ENTRIES},
};

/// The length of the bytes whose message has exactly the limit.
fn largest_bytes(bed: &Bed) -> usize {
    bed.data_bytes(MAX_MESSAGE_BYTES)
}

fn check_too_large(status: &Status) {
    check(status, Code::ResourceExhausted, "10485761 bytes");
    check(status, Code::ResourceExhausted, "10485760 bytes");
}

fn check_too_much_metadata(status: &Status) {
    let over = MAX_METADATA_BYTES + 1;
    check(status, Code::ResourceExhausted, &format!("{over} bytes"));
}

pub(super) async fn a_message_of_ten_mebibytes_passes_both_ways(bed: &Bed) {
    let data = item(0, largest_bytes(bed));
    let back = bed.client.echo(data.clone()).await.unwrap();
    assert!(back == data);
}

pub(super) async fn ten_mebibytes_pass_in_streams_both_ways(bed: &Bed) {
    let cx = bed.cx.clone();
    let data = item(0, largest_bytes(bed));
    let requests = Streaming::from_iter([item(1, 8), data.clone(), item(2, 8)]);
    let items = bed.client.chat(&cx, requests).await.unwrap();
    let items = items.collect().await.unwrap();
    assert!(items == [item(1, 8), data, item(2, 8)]);
}

pub(super) async fn one_byte_more_is_refused_as_a_request(bed: &Bed) {
    let cx = bed.cx.clone();
    let data = item(0, largest_bytes(bed) + 1);
    let status = bed.client.call(&cx, data.clone()).await.unwrap_err();
    check_too_large(&status);
    assert!(!status.was_accepted(), "nothing was sent");
    check_too_large(&bed.client.give(&cx, data.clone()).await.unwrap_err());
    assert_eq!(bed.subject.started.get(), 0);

    let requests = Streaming::from_iter([item(0, 8), data.clone()]);
    let total = soon("the refusal", bed.client.take(&cx, requests)).await;
    check_too_large(&total.unwrap_err());

    let requests = Streaming::from_iter([item(0, 8), data.clone()]);
    let status = soon("the refusal", async {
        bed.client.chat(&cx, requests).await?.collect().await
    });
    check_too_large(&status.await.unwrap_err());

    // One-way, it is dropped and nobody is harmed.
    bed.client.note(&cx, data).await;
    bed.still_works().await;
    assert_eq!(bed.subject.noted.get(), 0);
}

pub(super) async fn one_byte_more_is_refused_as_a_response(bed: &Bed) {
    let cx = bed.cx.clone();
    let client = bed.plan(Plan::before([Act::Answer(largest_bytes(bed) + 1)]));
    let status = client.call(&cx, Bytes::new()).await.unwrap_err();
    check_too_large(&status);
    bed.still_works().await;

    let plan = Plan::during([Act::Items(2, 8), Act::Items(1, largest_bytes(bed) + 1)]);
    let mut responses = bed.plan(plan).give(&cx, Bytes::new()).await.unwrap();
    for _ in 0..2 {
        responses.next().await.unwrap().unwrap();
    }
    check_too_large(&responses.next().await.unwrap().unwrap_err());
    assert!(responses.next().await.is_none());
    bed.still_works().await;
}

pub(super) async fn of_a_method_hold_both_ways(bed: &Bed) {
    let cx = bed.cx.clone();
    let fits = bed.data_bytes(1024);
    bed.client.small(&cx, item(0, fits)).await.unwrap();
    let status = bed.client.small(&cx, item(0, fits + 1)).await.unwrap_err();
    check(&status, Code::ResourceExhausted, "1025 bytes");
    check(&status, Code::ResourceExhausted, "1024 bytes");
    assert_eq!(bed.subject.started.get(), 1);

    let client = bed.plan(Plan::before([Act::Answer(fits)]));
    assert_eq!(client.small(&cx, Bytes::new()).await.unwrap().len(), fits);
    let client = bed.plan(Plan::before([Act::Answer(fits + 1)]));
    let status = client.small(&cx, Bytes::new()).await.unwrap_err();
    check(&status, Code::ResourceExhausted, "1025 bytes");
    bed.still_works().await;
}

pub(super) async fn of_a_method_are_kept_by_the_server(bed: &Bed) {
    // A client that allows itself more does not allow it the server.
    let cx = bed.cx.clone();
    let client = bed
        .client
        .with(CallOptions::new().max_message_bytes(1 << 20));
    let data = item(0, bed.data_bytes(2000));
    let status = client.small(&cx, data).await.unwrap_err();
    check(&status, Code::ResourceExhausted, "2000 bytes");
    assert_eq!(bed.subject.started.get(), 0);
    bed.still_works().await;
}

pub(super) async fn of_metadata_in_a_request(bed: &Bed) {
    let cx = bed.cx.clone();
    let fits = "x".repeat(MAX_METADATA_BYTES - ENTRY_OVERHEAD_BYTES - 1);
    let client = bed
        .client
        .with(CallOptions::new().metadata("k", fits.clone()));
    client.call(&cx, Bytes::new()).await.unwrap();
    assert_eq!(bed.subject.context(0).metadata().get("k"), Some(&*fits));

    let over = CallOptions::new().metadata("k", format!("{fits}x"));
    let client = bed.client.with(over);
    let statuses = [
        client.call(&cx, Bytes::new()).await.unwrap_err(),
        client.give(&cx, Bytes::new()).await.unwrap_err(),
        client.take(&cx, Streaming::empty()).await.unwrap_err(),
        client.chat(&cx, Streaming::empty()).await.unwrap_err(),
    ];
    for status in statuses {
        check_too_much_metadata(&status);
        check(
            &status,
            Code::ResourceExhausted,
            &format!("{MAX_METADATA_BYTES} bytes"),
        );
        assert!(!status.was_accepted());
    }

    let many = |count| {
        let options = (0..count).fold(CallOptions::new(), |options, _| options.metadata("k", "v"));
        bed.client.with(options)
    };
    let client = many(MAX_METADATA_ENTRIES);
    client.call(&cx, Bytes::new()).await.unwrap();
    let client = many(MAX_METADATA_ENTRIES + 1);
    let status = client.call(&cx, Bytes::new()).await.unwrap_err();
    check(&status, Code::ResourceExhausted, "129 entries");
    bed.still_works().await;
    assert_eq!(bed.subject.started.get(), 2);
}

pub(super) async fn of_metadata_in_a_response(bed: &Bed) {
    let cx = bed.cx.clone();
    let fits = Bytes::from("x".repeat(MAX_METADATA_BYTES - ENTRY_OVERHEAD_BYTES - 1));
    let over = Bytes::from("x".repeat(MAX_METADATA_BYTES - ENTRY_OVERHEAD_BYTES));
    // In small and large answers, and in streams: each takes another way.
    for size in [8, 200_000] {
        let seen = ResponseMetadata::new();
        let act = |value: &Bytes| {
            Plan::before([
                Act::Header("k", value.clone()),
                Act::Trailer("k", value.clone()),
                Act::Answer(size),
            ])
        };
        let capture = CallOptions::new().capture(&seen);
        let client = bed.plan(act(&fits)).with(&capture);
        client.call(&cx, Bytes::new()).await.unwrap();
        let expected = std::str::from_utf8(&fits).unwrap();
        assert_eq!(seen.headers().get("k"), Some(expected));
        assert_eq!(seen.trailers().get("k"), Some(expected));

        let client = bed.plan(act(&over));
        let status = client.call(&cx, Bytes::new()).await.unwrap_err();
        check_too_much_metadata(&status);
    }
    let plan = Plan {
        before: vec![Act::Header("k", over.clone())],
        during: vec![Act::Items(1, 8)],
    };
    let status = bed.plan(plan).give(&cx, Bytes::new()).await.unwrap_err();
    check_too_much_metadata(&status);

    let plan = Plan::during([Act::Items(2, 8), Act::Trailer("k", over)]);
    let mut responses = bed.plan(plan).give(&cx, Bytes::new()).await.unwrap();
    for _ in 0..2 {
        responses.next().await.unwrap().unwrap();
    }
    let status = responses.next().await.unwrap().unwrap_err();
    check_too_much_metadata(&status);
    bed.still_works().await;
}

pub(super) async fn of_metadata_on_an_error_lose_the_metadata_and_not_the_error(bed: &Bed) {
    let mut metadata = Metadata::new();
    let over = "x".repeat(MAX_METADATA_BYTES);
    metadata.append("k", over).unwrap();
    let status = Status::aborted("as planned").with_metadata(metadata);
    let client = bed.plan(Plan::before([Act::Fail(status)]));
    let status = client.call(&bed.cx, Bytes::new()).await;
    check(&status.unwrap_err(), Code::Aborted, "as planned");
    bed.still_works().await;
}
