//! Calls of every shape, their deadlines, cancellation, metadata and limits, from client to server in memory.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout};

use super::memory::{MAX_ONEWAY_IN_FLIGHT, Memory, cancellable};
use crate::{
    CallOptions, Channel, Code, Dispatch, Priority, ResponseMetadata, Result, Status, Streaming,
    call::{Body, BodyStream, Codec, Request, Response},
    client::Client,
    fixture::*,
    method::{MAX_MESSAGE_BYTES, MethodDescriptor, ServiceDescriptor},
};

fn check(status: &Status, code: Code, says: &str) {
    assert_eq!(status.code(), code, "{status}");
    assert!(
        status.message().contains(says),
        "{status} should say {says:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn all_shapes_come_back() {
    for codec in [Codec::Postcard, Codec::Protobuf] {
        let router = crate::Router::new().add(EchoServer::new(Script::default()));
        let client = Client::new(Memory::new(router).with_codec(codec));
        assert_eq!(client.ask(UNARY, "hello").await.unwrap(), "hello");
        let counted = client.count("3").await.unwrap().collect().await.unwrap();
        assert_eq!(counted, ["0", "1", "2"].map(Text::from));
        assert_eq!(client.join(words(&["a", "b"])).await.unwrap(), "a b");
        let lines = client.chat(words(&["a", "b"])).await.unwrap();
        assert_eq!(lines.collect().await.unwrap(), ["a", "b"].map(Text::from));
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_handler_does_is_what_the_caller_sees() {
    let (client, _) = in_memory();
    for (index, ask, code, says) in [
        (UNARY, "fail", Code::NotFound, "as asked"),
        (UNARY, "panic", Code::Unknown, "the handler panicked"),
        (SMALL, "12345678", Code::ResourceExhausted, "9 bytes"),
        (SMALL, "big", Code::ResourceExhausted, "limit of 8 bytes"),
        (UNARY, "huge", Code::ResourceExhausted, "10485761 bytes"),
        (TIMED, "hang", Code::DeadlineExceeded, "1s"),
    ] {
        check(&client.ask(index, ask).await.unwrap_err(), code, says);
    }
    let status = client.ask(UNARY, "panic").await.unwrap_err();
    assert!(!format!("{status:?}").contains("secret"));
    // None of it harmed anything else.
    assert_eq!(client.ask(UNARY, "hello").await.unwrap(), "hello");
}

#[tokio::test(start_paused = true)]
async fn what_a_response_stream_does_is_what_the_caller_sees() {
    let (client, echo) = in_memory();
    let client = client.with(CallOptions::new().deadline(Duration::from_secs(2)));
    for (ask, code, says) in [
        ("2 fail", Code::Aborted, "as asked"),
        ("2 panic", Code::Unknown, "the handler panicked"),
        ("2 hang", Code::DeadlineExceeded, "2s"),
        ("x", Code::InvalidArgument, "not a count"),
    ] {
        let (mut items, mut end) = (0, None);
        match client.count(ask).await {
            Ok(mut stream) => {
                while let Some(item) = stream.next().await {
                    match item {
                        Ok(_) => items += 1,
                        Err(status) => end = Some(status),
                    }
                }
                assert_eq!(items, 2);
            }
            Err(status) => end = Some(status),
        }
        check(&end.unwrap(), code, says);
        assert!(echo.last_context().is_cancelled(), "{ask}");
    }
    assert_eq!(echo.dropped(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_always_ready_ends_at_its_deadline() {
    let (client, _) = in_memory();
    let client = client.with(CallOptions::new().deadline(Duration::from_secs(1)));
    let mut stream = client.count("1 again").await.unwrap();
    for _ in 0..100 {
        stream.next().await.unwrap().unwrap();
    }
    tokio::time::advance(Duration::from_secs(2)).await;
    let status = stream.next().await.unwrap().unwrap_err();
    check(&status, Code::DeadlineExceeded, "1s");
    assert!(stream.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_drops_its_handler() {
    let (client, echo) = in_memory();
    let call = client.ask(UNARY, "hang");
    timeout(Duration::from_secs(1), call).await.unwrap_err();
    assert_eq!((echo.started(), echo.dropped()), (1, 1));
    assert!(echo.last_context().is_cancelled());

    let mut stream = client.count("1 hang").await.unwrap();
    stream.next().await.unwrap().unwrap();
    assert!(!echo.last_context().is_cancelled());
    drop(stream);
    assert_eq!(echo.dropped(), 2);
    assert!(echo.last_context().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_request_stream_ends_with_its_call_whoever_reads_it() {
    let (client, _) = in_memory();
    let (lines, requests) = Streaming::<Text>::channel(1);
    let mut responses = client.chat(requests).await.unwrap();
    lines.send("a".into()).await.unwrap();
    assert_eq!(responses.next().await.unwrap().unwrap(), "a".into());
    drop(responses);
    lines.closed().await;
    assert!(lines.send("b".into()).await.is_err());

    // As a handler does that gives its requests to another task.
    let (mut body, end) = cancellable(Body::stream(Never));
    let reader = tokio::spawn(async move { body.next().await });
    tokio::task::yield_now().await;
    drop(end);
    let status = reader.await.unwrap().unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Cancelled);
}

#[test]
fn without_a_runtime_an_exchange_runs_while_its_responses_are_read() {
    fn now<T>(future: impl Future<Output = T>) -> T {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(future).poll(&mut cx) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("there is nothing to wait for"),
        }
    }
    /// Answers with the first request, and not before.
    struct Listens;
    impl Dispatch for Listens {
        async fn dispatch(&self, mut request: Request) -> Result<Response> {
            let first = request.body.next().await.transpose()?;
            Ok(Response::new(Body::one(first.unwrap())))
        }
    }
    let client = Client::new(Channel::new(Memory::new(Listens)));
    let (lines, requests) = Streaming::<Text>::channel(1);
    let mut responses = now(client.chat(requests)).unwrap();
    now(lines.send("a".into())).unwrap();
    assert_eq!(now(responses.next()).unwrap().unwrap(), "a".into());
    assert!(now(responses.next()).is_none());
    now(lines.closed());
}

struct Never;

impl BodyStream for Never {
    fn poll_message(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_in_the_requests_cancels_the_call_and_is_its_result() {
    let failing = || {
        Streaming::new(stream::iter([
            Ok(Text::from("a")),
            Err(Status::data_loss("disk")),
            Ok(Text::from("b")),
        ]))
    };
    let (client, echo) = in_memory();
    check(
        &client.join(failing()).await.unwrap_err(),
        Code::DataLoss,
        "disk",
    );
    assert!(echo.last_context().is_cancelled());

    let mut responses = client.chat(failing()).await.unwrap();
    assert_eq!(responses.next().await.unwrap().unwrap(), "a".into());
    let status = responses.next().await.unwrap().unwrap_err();
    check(&status, Code::DataLoss, "disk");
    assert!(responses.next().await.is_none());

    // Too long for the method is the same.
    let long = Streaming::from_iter([Text("x".repeat(MAX_MESSAGE_BYTES))]);
    let status = client.join(long).await.unwrap_err();
    check(&status, Code::ResourceExhausted, "10485761 bytes");
}

#[tokio::test(start_paused = true)]
async fn metadata_goes_both_ways() {
    let (client, _) = in_memory();
    let seen = ResponseMetadata::new();
    let client = client.with(CallOptions::new().metadata("sent", "this").capture(&seen));
    assert_eq!(client.ask(UNARY, "metadata").await.unwrap(), "this");
    assert_eq!(seen.headers().get("head"), Some("1"));
    assert_eq!(seen.trailers().get("tail"), Some("2"));

    client.ask(UNARY, "hello").await.unwrap();
    assert!(seen.headers().is_empty() && seen.trailers().is_empty());

    let stream = client.count("1").await.unwrap();
    assert_eq!(seen.headers().get("head"), Some("1"));
    assert!(seen.trailers().is_empty());
    stream.collect().await.unwrap();
    assert_eq!(seen.trailers().get("tail"), Some("2"));

    let status = client.ask(UNARY, "fail").await.unwrap_err();
    assert_eq!(status.metadata().get("why"), Some("asked"));
    assert_eq!(seen.trailers().get("why"), Some("asked"));
    assert!(seen.headers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn metadata_that_cannot_be_sent_fails_the_call() {
    let (client, echo) = in_memory();
    for (options, code, says) in [
        (
            CallOptions::new().metadata("a b", "x"),
            Code::InvalidArgument,
            "\"a b\"",
        ),
        (
            CallOptions::new().metadata("a", "x".repeat(20_000)),
            Code::ResourceExhausted,
            "20033 bytes",
        ),
    ] {
        let status = client.with(options).ask(UNARY, "hello").await.unwrap_err();
        check(&status, code, says);
        assert!(!status.was_accepted());
    }
    assert_eq!(echo.started(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_inherits_from_the_context_it_is_made_with() {
    let (client, echo) = in_memory();
    let outer = client
        .with(
            CallOptions::new()
                .deadline(Duration::from_secs(5))
                .priority(Priority::High)
                .metadata("traceparent", "00-1-2-01")
                .metadata("private", "x"),
        )
        .count("1 hang")
        .await
        .unwrap();
    let parent = echo.last_context();

    let longer = CallOptions::new().deadline(Duration::from_secs(60));
    let inner = client.with(&parent).with(longer);
    inner.ask(UNARY, "hello").await.unwrap();
    let seen = echo.last_context();
    assert_eq!(seen.deadline(), parent.deadline());
    assert_eq!(seen.priority(), Priority::High);
    assert_eq!(seen.metadata().get("traceparent"), Some("00-1-2-01"));
    assert_eq!(seen.metadata().get("private"), None);

    let ender = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(outer);
    };
    let (status, ()) = tokio::join!(inner.ask(UNARY, "hang"), ender);
    check(&status.unwrap_err(), Code::Cancelled, "on whose behalf");
    assert_eq!(echo.dropped(), 2);
    // And from then on, at once.
    let started = echo.started();
    let status = inner.ask(UNARY, "hello").await.unwrap_err();
    check(&status, Code::Cancelled, "on whose behalf");
    assert_eq!(echo.started(), started);
}

#[tokio::test(start_paused = true)]
async fn the_handler_is_stopped_at_the_deadline_without_the_client() {
    let echo = Arc::new(Script::default());
    let server = EchoServer::from_arc(Arc::clone(&echo));
    let request = |deadline| {
        let mut request = ask(method(UNARY), "hang");
        request.deadline = Some(deadline);
        request
    };
    let status = server.dispatch(request(Instant::now())).await.unwrap_err();
    check(&status, Code::DeadlineExceeded, "before the call began");
    assert_eq!(echo.started.load(Ordering::Relaxed), 0);

    let in_a_second = Instant::now() + Duration::from_secs(1);
    let status = server.dispatch(request(in_a_second)).await.unwrap_err();
    check(&status, Code::DeadlineExceeded, "stopped at the deadline");
    assert!(Instant::now() <= in_a_second + Duration::from_millis(1));
    assert_eq!((echo.started(), echo.dropped()), (1, 1));
}

fn ask(method: &'static MethodDescriptor, ask: &str) -> Request {
    let mut message = vec![Codec::Postcard as u8];
    message.extend(ask.as_bytes());
    Request::new(method, Codec::Postcard, Body::one(message.into()))
}

#[tokio::test(start_paused = true)]
async fn a_unary_call_has_exactly_one_message() {
    let server = EchoServer::new(Script::default());
    let message = || Ok(Bytes::from_static(b"\x01a"));
    for (body, code, says) in [
        (Body::empty(), Code::Unimplemented, "no message"),
        (
            Body::stream(Items(vec![])),
            Code::Unimplemented,
            "no message",
        ),
        (
            Body::stream(Items(vec![message(), message()])),
            Code::Unimplemented,
            "more than one",
        ),
        (
            Body::one(Bytes::from_static(b"\x02a")),
            Code::Internal,
            "not a text",
        ),
        (
            Body::stream(Items(vec![Err(Status::cancelled("gone"))])),
            Code::Cancelled,
            "gone",
        ),
    ] {
        let request = Request::new(method(UNARY), Codec::Postcard, body);
        check(&server.dispatch(request).await.unwrap_err(), code, says);
    }
    let body = Body::stream(Items(vec![message()]));
    let request = Request::new(method(UNARY), Codec::Postcard, body);
    assert!(server.dispatch(request).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_unary_response_has_exactly_one_message() {
    type Answer = fn() -> Body;
    struct Answers(Answer);
    impl Dispatch for Answers {
        async fn dispatch(&self, _: Request) -> Result<Response> {
            Ok(Response::new((self.0)()))
        }
    }
    let answers: [(Answer, Code, &str); 4] = [
        (Body::empty, Code::Unimplemented, "none came"),
        (|| Body::stream(Items(vec![])), Code::Unimplemented, "none"),
        (
            || Body::stream(Items(vec![Ok(Bytes::new()), Ok(Bytes::new())])),
            Code::Unimplemented,
            "more than one",
        ),
        (|| Body::one(Bytes::new()), Code::Internal, "not a text"),
    ];
    for (answer, code, says) in answers {
        let client = Client::new(Answers(answer));
        check(&client.ask(UNARY, "").await.unwrap_err(), code, says);
    }
}

struct Items(Vec<Result<Bytes>>);

impl BodyStream for Items {
    fn poll_message(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let is_empty = self.0.is_empty();
        Poll::Ready((!is_empty).then(|| self.0.remove(0)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_in_the_wrong_codec_is_encoded_anew() {
    /// A connection that was replaced after the codec was asked for.
    struct Replaced(EchoServer<Script>, Mutex<Vec<Codec>>);
    impl Dispatch for Replaced {
        async fn dispatch(&self, request: Request) -> Result<Response> {
            self.1.lock().unwrap().push(request.codec);
            match request.codec {
                Codec::Postcard => Err(Status::wrong_codec(request.method.path())),
                Codec::Protobuf => self.0.dispatch(request).await,
            }
        }

        fn codec(&self, _: &'static ServiceDescriptor) -> Codec {
            match self.1.lock().unwrap().len() {
                0 => Codec::Postcard,
                _ => Codec::Protobuf,
            }
        }
    }
    let server = EchoServer::new(Script::default());
    let client = Client::new(Replaced(server, Mutex::default()));
    assert_eq!(client.ask(UNARY, "hello").await.unwrap(), "hello");
    let codecs = client.channel().1.lock().unwrap().clone();
    assert_eq!(codecs, [Codec::Postcard, Codec::Protobuf]);
}

#[tokio::test(start_paused = true)]
async fn oneway_calls_are_done_when_queued_and_dropped_when_there_are_too_many() {
    let (client, echo) = in_memory();
    let before = crate::observe::oneway_dropped_total();
    for i in 0..=MAX_ONEWAY_IN_FLIGHT {
        client.oneway(method(NOTE), Text(i.to_string())).await;
    }
    assert!(echo.notes.lock().unwrap().is_empty());
    assert!(crate::observe::oneway_dropped_total() > before);
    while echo.notes.lock().unwrap().len() < MAX_ONEWAY_IN_FLIGHT {
        tokio::task::yield_now().await;
    }
    client.oneway(method(NOTE), Text::from("again")).await;
    tokio::task::yield_now().await;
    assert_eq!(echo.notes.lock().unwrap().last().unwrap(), "again");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_calls_at_once() {
    let (client, echo) = in_memory();
    let calls = stream::iter(0..1000)
        .map(|i| {
            let client = client.clone();
            async move { client.ask(UNARY, "sleep").await.map(|_| i) }
        })
        .buffer_unordered(1000);
    assert_eq!(calls.filter_map(async |i| i.ok()).count().await, 1000);
    assert_eq!(echo.started(), 1000);
}

#[test]
fn a_unary_call_makes_few_allocations() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let echo = crate::Router::new().add(QuickServer::new(Same));
    let client = Client::new(Channel::new(Memory::new(echo)));
    let quick = &QuickService::descriptor().methods[0];
    let call = || async {
        let answer: Result<Text> = client.unary(quick, Text::from("hello")).await;
        assert_eq!(answer.unwrap().0, "hello");
    };
    runtime.block_on(call());
    let counted = allocation_counter::measure(|| runtime.block_on(call()));
    // The call, boxed; and three strings of the test's own. The two messages are encoded where others were before.
    assert_eq!(counted.count_total, 1 + 3);
}
