//! Errors: every code, what comes with it, wherever in a call it happens.

use bytes::Bytes;

use super::super::{
    bed::{Bed, check},
    item::{item, number},
    plan::{Act, Plan},
    probe::soon,
    service::{
        Absent, AbsentClient, Conformance, ConformanceClient, Refusal, Younger, YoungerClient,
    },
};
use crate::{
    CallOptions, Code, Context, Metadata, ResponseMetadata, Result, Status, Streaming,
    status::Detail,
};

/// What each shape of call ends with, when it fails before there is a response.
async fn all_shapes(client: &ConformanceClient) -> Vec<Status> {
    let cx = Context::background();
    let requests = || Streaming::from_iter([item(0, 8)]);
    let given = |result: Result<Streaming<Bytes>>| async {
        match result {
            Ok(mut responses) => responses.next().await.unwrap().unwrap_err(),
            Err(status) => status,
        }
    };
    soon("the end of calls that fail", async {
        vec![
            client.call(&cx, Bytes::new()).await.unwrap_err(),
            client.call(&cx, item(0, 200_000)).await.unwrap_err(),
            given(client.give(&cx, Bytes::new()).await).await,
            client.take(&cx, requests()).await.unwrap_err(),
            given(client.chat(&cx, requests()).await).await,
        ]
    })
    .await
}

pub(super) async fn every_code_in_every_shape(bed: &Bed) {
    for code in Code::ALL.into_iter().filter(|code| *code != Code::Ok) {
        let message = format!("this is {code}");
        let client = bed.plan(Plan::before([Act::Fail(Status::new(code, &message))]));
        for status in all_shapes(&client).await {
            assert_eq!((status.code(), status.message()), (code, &*message));
            assert!(status.was_accepted(), "the handler has seen the call");
        }
    }
}

pub(super) async fn after_some_items(bed: &Bed) {
    let cx = bed.cx.clone();
    for code in Code::ALL.into_iter().filter(|code| *code != Code::Ok) {
        let fail = Act::Fail(Status::new(code, "in the middle"));
        let client = bed.plan(Plan::during([Act::Items(3, 8), fail]));
        let mut responses = client.give(&cx, Bytes::new()).await.unwrap();
        for expected in 0..3 {
            let item = responses.next().await.unwrap().unwrap();
            assert_eq!(number(&item), expected);
        }
        let status = responses.next().await.unwrap().unwrap_err();
        check(&status, code, "in the middle");
        assert!(responses.next().await.is_none(), "an error is the end");
    }
}

pub(super) async fn in_the_middle_of_an_exchange(bed: &Bed) {
    let fail = Act::Fail(Status::out_of_range("enough"));
    let client = bed.plan(Plan::during([Act::Items(1, 8), fail]));
    let (sender, requests) = Streaming::channel(1);
    let mut responses = client.chat(&bed.cx, requests).await.unwrap();
    responses.next().await.unwrap().unwrap();
    let status = soon("the error", responses.next()).await;
    check(&status.unwrap().unwrap_err(), Code::OutOfRange, "enough");
    soon("the end of the requests", sender.closed()).await;
}

pub(super) async fn before_the_answer_to_an_exchange_that_is_open(bed: &Bed) {
    // Whose stream the client has already: then the error comes out of that, with all that belongs to it.
    let detail = Detail {
        type_url: "type.googleapis.com/a.B".to_owned(),
        value: Bytes::from_static(b"detail"),
    };
    let status = Status::not_found("nobody is here").with_detail(detail);
    let trailer = Act::Trailer("tail", "set".into());
    let client = bed.plan(Plan::before([
        Act::Read(1),
        trailer,
        Act::Fail(status.clone()),
    ]));
    let seen = ResponseMetadata::new();
    let client = client.with(CallOptions::new().capture(&seen));
    let (sender, requests) = Streaming::channel(1);
    let responses = soon("a stream", client.chat(&bed.cx, requests)).await;
    let mut responses = responses.unwrap();
    sender.send(item(0, 8)).await.unwrap();
    let error = soon("the error", responses.next()).await;
    let error = error.unwrap().unwrap_err();
    check(&error, Code::NotFound, "nobody is here");
    assert_eq!(error.details(), status.details());
    assert!(error.was_accepted(), "the handler has seen the call");
    assert_eq!(seen.trailers().get("tail"), Some("set"));
    assert!(responses.next().await.is_none(), "an error is the end");
    soon("the end of the requests", sender.closed()).await;

    // The client's own, too.
    let client = bed.plan(Plan::before([Act::Read(1), Act::Hang]));
    let (sender, requests) = Streaming::channel(1);
    let responses = soon("a stream", client.chat(&bed.cx, requests)).await;
    sender
        .fail(Status::data_loss("the disk is gone"))
        .await
        .unwrap();
    let error = soon("the error", responses.unwrap().collect()).await;
    check(&error.unwrap_err(), Code::DataLoss, "the disk is gone");
    bed.subject.gone.reaches(bed.subject.started.get()).await;
    bed.still_works().await;
}

pub(super) async fn while_the_requests_go_on(bed: &Bed) {
    let fail = Act::Fail(Status::failed_precondition("not now"));
    let client = bed.plan(Plan::before([Act::Read(2), fail]));
    let (sender, requests) = Streaming::channel(1);
    let cx = bed.cx.clone();
    let (total, ()) = soon("an early error", async {
        tokio::join!(client.take(&cx, requests), async {
            let mut number = 0;
            while sender.send(item(number, 1000)).await.is_ok() {
                number += 1;
            }
        })
    })
    .await;
    check(&total.unwrap_err(), Code::FailedPrecondition, "not now");
}

pub(super) async fn keep_their_words(bed: &Bed) {
    for message in ["", "a", "zwei\nZeilen\tund \"mehr\" %20 \u{7f}", "世界 🌍"] {
        let fail = Act::Fail(Status::not_found(message));
        for status in all_shapes(&bed.plan(Plan::before([fail.clone()]))).await {
            assert_eq!((status.code(), status.message()), (Code::NotFound, message));
        }
    }
    // A very long one may be cut, and never in the middle of a letter.
    let long = "ä".repeat(100_000);
    let fail = Act::Fail(Status::not_found(long.clone()));
    for status in all_shapes(&bed.plan(Plan::before([fail.clone()]))).await {
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().len() >= 1000 && long.starts_with(status.message()));
    }
}

pub(super) async fn keep_their_details(bed: &Bed) {
    let details = [
        Detail {
            type_url: "type.googleapis.com/a.B".to_owned(),
            value: (0..=255).collect::<Vec<u8>>().into(),
        },
        Detail {
            type_url: "type.googleapis.com/c.D".to_owned(),
            value: Bytes::new(),
        },
    ];
    let status = details
        .iter()
        .cloned()
        .fold(Status::aborted("see details"), Status::with_detail);
    let fail = Act::Fail(status.clone());
    for status in all_shapes(&bed.plan(Plan::before([fail.clone()]))).await {
        assert_eq!(status.details(), details);
    }
    let client = bed.plan(Plan::during([Act::Items(1, 8), fail]));
    let mut responses = client.give(&bed.cx, Bytes::new()).await.unwrap();
    responses.next().await.unwrap().unwrap();
    let status = responses.next().await.unwrap().unwrap_err();
    assert_eq!(status.details(), details);
}

pub(super) async fn keep_their_metadata(bed: &Bed) {
    let mut metadata = Metadata::new();
    metadata.append("reason", "first").unwrap();
    metadata.append("reason", "second").unwrap();
    let bytes = Bytes::from((0..=255).collect::<Vec<u8>>());
    metadata.append_bin("reason-bin", bytes.clone()).unwrap();
    let fail = Act::Fail(Status::internal("see metadata").with_metadata(metadata));
    // What the handler set beside is not lost.
    let header = Act::Header("head", "set".into());
    let trailer = Act::Trailer("tail", "set".into());
    for status in all_shapes(&bed.plan(Plan::before([header, trailer, fail]))).await {
        let metadata = status.metadata();
        let reasons: Vec<_> = metadata.get_all("reason").collect();
        assert_eq!(reasons, ["first", "second"]);
        assert_eq!(metadata.get_bin("reason-bin"), Some(&bytes));
        assert_eq!(metadata.get("head"), Some("set"));
        assert_eq!(metadata.get("tail"), Some("set"));
    }
}

pub(super) async fn of_the_services_own_come_back_as_they_were(bed: &Bed) {
    let check_refusal = |which, refusal| match (which, refusal) {
        (0, Refusal::Nobody { name, similar }) => {
            assert_eq!(
                (&*name, &*similar),
                ("Æsop", &["".into(), "Aesop".into()][..])
            );
        }
        (1, Refusal::TooMany(count)) => assert_eq!(count, u64::MAX),
        (2, Refusal::Closed) => {}
        (3, Refusal::Other(status)) => check(&status, Code::DataLoss, "something else"),
        (_, other) => panic!("refusal {which} came back as {other:?}"),
    };
    for which in 0..4 {
        check_refusal(which, bed.client.refuse(which).await.unwrap_err());
        let mut responses = bed.client.refuse_later(which).await.unwrap();
        assert_eq!(responses.next().await.unwrap().unwrap(), 1);
        assert_eq!(responses.next().await.unwrap().unwrap(), 2);
        check_refusal(which, responses.next().await.unwrap().unwrap_err());
    }
    // And so do those that never were one: here the channel's own.
    let absent = ConformanceClient::new(crate::Memory::new(crate::Router::new()));
    match absent.refuse(0).await.unwrap_err() {
        Refusal::Other(status) => check(&status, Code::Unimplemented, "no service"),
        other => panic!("a call that nobody served came back as {other:?}"),
    }
}

pub(super) async fn of_other_servers_are_the_handlers_own(bed: &Bed) {
    // What a handler asked had not accepted its call, and it says so with `?`. Its own call it has: to send that again may do it twice.
    let fail = Act::Fail(Status::unavailable("the database is away").with_not_accepted());
    for status in all_shapes(&bed.plan(Plan::before([fail.clone()]))).await {
        check(&status, Code::Unavailable, "the database is away");
        assert!(status.was_accepted(), "the handler has seen it: {status:?}");
    }
    let client = bed.plan(Plan::during([Act::Items(1, 8), fail]));
    let mut responses = client.give(&bed.cx, Bytes::new()).await.unwrap();
    responses.next().await.unwrap().unwrap();
    let status = responses.next().await.unwrap().unwrap_err();
    check(&status, Code::Unavailable, "the database is away");
    assert!(status.was_accepted(), "the handler has seen it: {status:?}");
}

pub(super) async fn of_an_unknown_method(bed: &Bed) {
    let client = YoungerClient::new(bed.connected.channel.clone());
    let requests = || Streaming::from_iter([item(0, 8)]);
    let statuses = soon("the answers to calls of unknown methods", async {
        [
            client.invented(item(0, 8)).await.unwrap_err(),
            client.invented(item(0, 200_000)).await.unwrap_err(),
            opened(client.poured(item(0, 8)).await).await,
            client.filled(requests()).await.unwrap_err(),
            opened(client.talked(requests()).await).await,
        ]
    });
    for status in statuses.await {
        check(&status, Code::Unimplemented, "no method");
        assert!(!status.was_accepted(), "no handler has seen it: {status:?}");
    }
    bed.still_works().await;
}

pub(super) async fn of_an_unknown_service(bed: &Bed) {
    let client = AbsentClient::new(bed.connected.channel.clone());
    let status = client.call(item(0, 8)).await.unwrap_err();
    check(&status, Code::Unimplemented, "blixard.testing.v1.Absent");
    assert!(!status.was_accepted());
    let requests = Streaming::from_iter([item(0, 8)]);
    let status = opened(client.chat(requests).await).await;
    check(&status, Code::Unimplemented, "blixard.testing.v1.Absent");
    bed.still_works().await;
}

/// The status of a stream that fails as it is opened: a transport may say so at once or with the first item.
async fn opened(result: Result<Streaming<Bytes>>) -> Status {
    match result {
        Ok(mut responses) => responses.next().await.unwrap().unwrap_err(),
        Err(status) => status,
    }
}
