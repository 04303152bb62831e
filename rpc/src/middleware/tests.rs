//! The layers, each around the service of the fixture.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::BytesMut;
use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::*;
use crate::{
    CallOptions, Channel, Code, Dispatch, Layer, Memory, Message, Result, Status,
    backoff::Backoff,
    call::{Batch, Body, Codec, Method, Recall, Request, Response},
    client::Client,
    fixture::*,
    observe::{Metrics, TraceContext},
};

const SECOND: Duration = Duration::from_secs(1);

fn code<T>(result: Result<T>) -> Code {
    result.map_or_else(|status| status.code(), |_| Code::Ok)
}

/// One call of each shape, each with what it ended with.
async fn all_shapes(client: &Client<Channel>) -> Vec<Code> {
    let count = async {
        let items = client.count("2").await?.collect().await?;
        assert_eq!(items.len(), 2);
        Ok(())
    };
    let chat = async { client.chat(words(&["a", "b"])).await?.collect().await };
    vec![
        code(client.ask(UNARY, "hello").await),
        code(count.await),
        code(client.join(words(&["a"])).await),
        code(chat.await),
    ]
}

#[tokio::test(start_paused = true)]
async fn authorization_comes_before_every_shape_and_what_does_not_exist() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let authorize = Authorize::new(move |caller: &Caller<'_>| {
        seen.lock()
            .unwrap()
            .push((caller.path().to_owned(), caller.method().is_some()));
        match caller.metadata().get("token") {
            Some("secret") => Ok(()),
            _ => Err(Status::permission_denied("no")),
        }
    });
    let mut kept = None;
    let (client, echo) = in_memory_with(|router| {
        let router = router.layer(authorize);
        kept = Some(router.clone());
        router
    });
    assert_eq!(all_shapes(&client).await, [Code::PermissionDenied; 4]);
    assert_eq!(echo.started(), 0);
    let allowed = client.with(CallOptions::new().metadata("token", "secret"));
    assert_eq!(all_shapes(&allowed).await, [Code::Ok; 4]);

    let router = kept.unwrap();
    for path in [
        "/test.v1.Echo/Nothing",
        "/test.v1.Nobody/Greet",
        "nonsense",
        "",
    ] {
        let mut request = Request::new(method(UNARY), Codec::Protobuf, Body::empty());
        request.method = Method::Path(path.into());
        let status = router.dispatch(request).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{path}");
        let last = asked.lock().unwrap().last().cloned();
        assert_eq!(last, Some((path.to_owned(), false)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_authorizer_may_wait() {
    struct Slow;
    impl Authorizer for Slow {
        async fn authorize(&self, caller: &Caller<'_>) -> Result<()> {
            tokio::time::sleep(SECOND).await;
            Err(Status::unauthenticated(caller.peer().to_string()))
        }
    }
    let (client, _) = in_memory_with(|router| router.layer(Authorize::new(Slow)));
    let status = client.ask(UNARY, "hello").await.unwrap_err();
    assert_eq!(status.message(), "memory");
}

#[tokio::test(start_paused = true)]
async fn a_limit_holds_until_streams_end() {
    let limit = Limit::with_queue("test", 2, 1);
    let (client, _) = in_memory_with(|router| router.layer(limit.clone()));
    let first = client.count("1").await.unwrap();
    let second = client.count("1 hang").await.unwrap();
    assert_eq!((limit.running(), limit.waiting()), (2, 0));

    // The third waits, in vain; the fourth may not.
    let impatient = client.with(CallOptions::new().deadline(SECOND));
    let (third, fourth) = tokio::join!(impatient.ask(UNARY, "hello"), client.ask(UNARY, "hello"));
    assert_eq!(code(third), Code::DeadlineExceeded);
    let status = fourth.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("\"test\""), "{status}");
    assert!(!status.was_accepted());
    assert_eq!(limit.waiting(), 0);

    // One that waits goes on when another ends, by its end or dropped.
    let (waited, _) = tokio::join!(client.ask(UNARY, "hello"), first.collect());
    assert_eq!(code(waited), Code::Ok);
    let third = client.count("1 hang").await.unwrap();
    let (waited, ()) = tokio::join!(client.ask(UNARY, "hello"), async { drop(second) });
    assert_eq!(code(waited), Code::Ok);
    drop(third);
    assert_eq!((limit.running(), limit.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_calls_share_a_limit() {
    let limit = Limit::with_queue("test", 10, 990);
    let (client, _) = in_memory_with(|router| router.layer(limit.clone()));
    let began = Instant::now();
    let calls = (0..1000).map(|_| client.ask(UNARY, "sleep"));
    assert!(join_all(calls).await.iter().all(Result::is_ok));
    // A hundred turns of half a second.
    assert!(began.elapsed() >= 50 * SECOND);
    assert_eq!(limit.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_for_those_that_have_none_and_a_longest_for_all() {
    let layer = Deadline::default_of(2 * SECOND).and_at_most(5 * SECOND);
    let (client, echo) = in_memory_with(|router| router.layer(layer));
    let with = |seconds| client.with(CallOptions::new().deadline(seconds * SECOND));
    for (client, seconds) in [(client.clone(), 2), (with(60), 5), (with(3), 3)] {
        let began = Instant::now();
        assert_eq!(
            code(client.ask(UNARY, "hang").await),
            Code::DeadlineExceeded
        );
        assert_eq!(began.elapsed().as_secs(), seconds);
        let began = Instant::now();
        let stream = client.count("2 hang").await.unwrap();
        assert_eq!(code(stream.collect().await), Code::DeadlineExceeded);
        assert_eq!(began.elapsed().as_secs(), seconds);
    }
    assert_eq!(echo.dropped(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_on_the_client_is_kept_without_the_server() {
    struct Silent;
    impl Dispatch for Silent {
        async fn dispatch(&self, _: Request) -> Result<Response> {
            std::future::pending().await
        }
    }
    let client = Client::new(Deadline::at_most(SECOND).layer(Silent));
    let status = client.ask(UNARY, "hello").await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

/// Fails so many times before it answers.
struct Flaky {
    inner: EchoServer<Script>,
    failures: AtomicU32,
    status: fn() -> Status,
    seen: Mutex<Vec<(Instant, Option<String>)>>,
}

impl Dispatch for Flaky {
    async fn dispatch(&self, request: Request) -> Result<Response> {
        let attempts = request.metadata.get("grpc-previous-rpc-attempts");
        let seen = (Instant::now(), attempts.map(str::to_owned));
        self.seen.lock().unwrap().push(seen);
        let left = self.failures.load(Ordering::Relaxed);
        if left > 0 {
            self.failures.store(left - 1, Ordering::Relaxed);
            return Err((self.status)());
        }
        self.inner.dispatch(request).await
    }
}

fn flaky(failures: u32, status: fn() -> Status) -> (Client<Channel>, Arc<Flaky>) {
    let flaky = Arc::new(Flaky {
        inner: EchoServer::new(Script::default()),
        failures: failures.into(),
        status,
        seen: Mutex::default(),
    });
    let retry = Retry::new().backoff(Backoff {
        first: SECOND,
        longest: 4 * SECOND,
    });
    let channel = Channel::new(retry.layer(Arc::clone(&flaky)));
    (Client::new(channel), flaky)
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_again_and_how_often() {
    let lost: fn() -> Status = || Status::unavailable("lost");
    let not_accepted: fn() -> Status = || Status::unavailable("busy").with_not_accepted();
    let wrong: fn() -> Status = || Status::wrong_codec("/a/B");
    let aborted: fn() -> Status = || Status::aborted("conflict");
    for (index, failures, status, attempts, ends) in [
        (UNARY, 1, lost, 1, Code::Unavailable),
        (UNARY, 1, not_accepted, 2, Code::Ok),
        (IDEMPOTENT, 1, lost, 2, Code::Ok),
        (IDEMPOTENT, 3, lost, 4, Code::Ok),
        (IDEMPOTENT, 4, lost, 4, Code::Unavailable),
        (IDEMPOTENT, 1, aborted, 1, Code::Aborted),
        // The client encodes it anew, once; and by then the server answers.
        (IDEMPOTENT, 1, wrong, 1, Code::Unavailable),
    ] {
        let (client, flaky) = flaky(failures, status);
        assert_eq!(code(client.ask(index, "hello").await), ends);
        assert_eq!(flaky.seen.lock().unwrap().len(), attempts);
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_apart_and_counted_and_within_the_deadline() {
    let (client, server) = flaky(3, || Status::unavailable("lost"));
    assert_eq!(code(client.ask(IDEMPOTENT, "hello").await), Code::Ok);
    let seen = server.seen.lock().unwrap().clone();
    let counted: Vec<_> = seen.iter().map(|(_, n)| n.as_deref()).collect();
    assert_eq!(counted, [None, Some("1"), Some("2"), Some("3")]);
    for (pair, longest) in seen.windows(2).zip([1, 2, 4]) {
        let apart = pair[1].0 - pair[0].0;
        let longest = longest * SECOND;
        assert!(apart >= longest / 2 && apart <= longest + SECOND / 100);
    }

    let (client, server) = flaky(3, || Status::unavailable("lost"));
    let client = client.with(CallOptions::new().deadline(SECOND / 4));
    let began = Instant::now();
    assert_eq!(
        code(client.ask(IDEMPOTENT, "hello").await),
        Code::Unavailable
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(server.seen.lock().unwrap().len(), 1);
}

/// A call that waits in a layer and is wanted back after a second: what it ended with, and after how long.
async fn recalled(channel: impl Dispatch, index: usize) -> (Status, Duration) {
    let mut request = Request::new(method(index), Codec::Protobuf, Body::one("".into()));
    let recall = Arc::new(Recall::default());
    request.recall = Some(Arc::clone(&recall));
    let (began, call) = (Instant::now(), channel.dispatch(request));
    let (answer, ()) = tokio::join!(call, async {
        tokio::time::sleep(SECOND).await;
        recall.set(true);
    });
    (answer.unwrap_err(), began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_be_sent_is_given_back_to_who_wants_it() {
    let limit = Limit::with_queue("test", 1, 1);
    let server = Channel::new(Memory::new(EchoServer::new(Script::default())));
    let client = Client::new(Channel::new(limit.layer(server.clone())));
    let first = client.count("1 hang").await.unwrap();
    let (status, took) = recalled(limit.layer(server), UNARY).await;
    assert_eq!(
        (status.code(), status.was_accepted(), took),
        (Code::Unavailable, false, SECOND)
    );
    assert_eq!((limit.running(), limit.waiting()), (1, 0));
    drop(first);

    // One that was sent before is not said to be harmless.
    let slow = Retry::new().backoff(Backoff {
        first: 60 * SECOND,
        longest: 60 * SECOND,
    });
    let refused: fn() -> Status = || Status::unavailable("busy").with_not_accepted();
    let lost: fn() -> Status = || Status::unavailable("lost");
    for (index, failure, was_accepted) in [(UNARY, refused, false), (IDEMPOTENT, lost, true)] {
        let (_, flaky) = flaky(2, failure);
        let (status, took) = recalled(slow.layer(Arc::clone(&flaky)), index).await;
        assert_eq!(
            (status.code(), status.was_accepted(), took),
            (Code::Unavailable, was_accepted, SECOND)
        );
        assert_eq!(flaky.seen.lock().unwrap().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn streams_of_requests_are_sent_once() {
    let (client, flaky) = flaky(1, || Status::unavailable("busy").with_not_accepted());
    assert_eq!(code(client.join(words(&["a"])).await), Code::Unavailable);
    assert_eq!(flaky.seen.lock().unwrap().len(), 1);
}

fn counted(metrics: &Metrics, line: &str) -> bool {
    metrics.render().lines().any(|found| found == line)
}

#[tokio::test(start_paused = true)]
async fn every_call_is_counted_once_it_has_ended() {
    let metrics = Metrics::new();
    let (client, _) = in_memory_with(|router| router.layer(Measure::server(&metrics)));
    let check = |method: &str, name: &str, more: &str, value: &str| {
        let line = format!(
            "blixard_rpc_{name}{{side=\"server\",service=\"test.v1.Echo\",method=\"{method}\"{more}}} {value}"
        );
        assert!(counted(&metrics, &line), "{line}\n{}", metrics.render());
    };
    all_shapes(&client).await;
    for method in ["Unary", "Count", "Join", "Chat"] {
        check(method, "calls_total", ",code=\"OK\"", "1");
        check(method, "calls_in_flight", "", "0");
    }
    // With the byte that names the codec.
    check("Unary", "received_bytes_total", "", "6");
    check("Unary", "sent_bytes_total", "", "6");
    check("Count", "sent_bytes_total", "", "4");
    check("Chat", "received_bytes_total", "", "4");
    check("Chat", "sent_bytes_total", "", "4");

    let stream = client.count("1 hang").await.unwrap();
    check("Count", "calls_in_flight", "", "1");
    check("Count", "calls_total", ",code=\"OK\"", "1");
    drop(stream);
    check("Count", "calls_in_flight", "", "0");
    check("Count", "calls_total", ",code=\"CANCELLED\"", "1");

    let stream = client.count("1 fail").await.unwrap();
    stream.collect().await.unwrap_err();
    check("Count", "calls_total", ",code=\"ABORTED\"", "1");

    timeout(SECOND, client.ask(UNARY, "hang"))
        .await
        .unwrap_err();
    check("Unary", "calls_total", ",code=\"CANCELLED\"", "1");
    client.ask(UNARY, "panic").await.unwrap_err();
    check("Unary", "calls_total", ",code=\"UNKNOWN\"", "1");
}

#[tokio::test(start_paused = true)]
async fn what_comes_together_passes_layers_as_what_comes_alone() {
    // How many are asked for alone, and then how many times for what is together.
    let ways = [("alone", 1, 0), ("together", 0, 1), ("in turns", 1, 1)];
    let ends = [
        ("3", Code::Ok),
        ("3 fail", Code::Aborted),
        ("3 panic", Code::Unknown),
    ];
    for ((way, alone, together), (ask, end)) in
        ways.into_iter().flat_map(|way| ends.map(|end| (way, end)))
    {
        let metrics = Metrics::new();
        let echo = Arc::new(Script::default());
        let router = crate::Router::new()
            .add(EchoServer::from_arc(echo))
            .layer(Deadline::at_most(SECOND))
            .layer(Limit::new("test", 1))
            .layer(Measure::server(&metrics));
        let mut encoded = BytesMut::new();
        Message::encode(&Text::from(ask), Codec::Postcard, &mut encoded).unwrap();
        let request = Request::new(method(COUNT), Codec::Postcard, Body::one(encoded.freeze()));
        let mut body = router.dispatch(request).await.unwrap().body;
        let (mut messages, mut batches) = (Vec::new(), Vec::new());
        let ended = loop {
            let next = if batches.len() % (alone + together) >= alone {
                poll_fn(|cx| body.poll_batch(cx)).await
            } else {
                let next = poll_fn(|cx| body.poll_next(cx)).await;
                next.map(|next| next.map(Batch::one))
            };
            match next {
                None => break Ok(body.take_trailers()),
                Some(Err(status)) => break Err(status),
                Some(Ok(batch)) => {
                    batches.push(batch.lengths().count());
                    messages.extend(batch.map(|message| Text::decode(Codec::Postcard, message)));
                }
            }
        };
        let case = format!("{ask:?}, {way}: {batches:?}");
        let messages: Result<Vec<_>> = messages.into_iter().collect();
        assert_eq!(messages.unwrap(), ["0", "1", "2"].map(Text::from), "{case}");
        let trailers = match &ended {
            Ok(trailers) => trailers,
            Err(status) => status.metadata(),
        };
        assert_eq!(trailers.get("tail"), Some("2"), "{case}");
        assert_eq!(ended.as_ref().map_or_else(Status::code, |_| Code::Ok), end);
        match way {
            "alone" => assert_eq!(batches, [1, 1, 1], "{case}"),
            "together" => assert!(batches.iter().any(|&count| count > 1), "{case}"),
            _ => assert_eq!(batches, [1, 2], "{case}"),
        }
        let of = "side=\"server\",service=\"test.v1.Echo\",method=\"Count\"";
        for line in [
            format!("blixard_rpc_sent_bytes_total{{{of}}} 6"),
            format!("blixard_rpc_calls_total{{{of},code=\"{end}\"}} 1"),
            format!("blixard_rpc_calls_in_flight{{{of}}} 0"),
        ] {
            assert!(
                counted(&metrics, &line),
                "{case}: {line}\n{}",
                metrics.render()
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_client_counts_a_deadline_as_one() {
    let metrics = Metrics::new();
    struct Silent;
    impl Dispatch for Silent {
        async fn dispatch(&self, _: Request) -> Result<Response> {
            std::future::pending().await
        }
    }
    let client = Client::new(Channel::new(Measure::client(&metrics).layer(Silent)));
    let client = client.with(CallOptions::new().deadline(SECOND));
    client.ask(UNARY, "hello").await.unwrap_err();
    assert!(counted(
        &metrics,
        "blixard_rpc_calls_total{side=\"client\",service=\"test.v1.Echo\",method=\"Unary\",code=\"DEADLINE_EXCEEDED\"} 1"
    ));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_exist_makes_no_series() {
    let metrics = Metrics::new();
    let router = crate::Router::new().layer(Measure::server(&metrics));
    for i in 0..100 {
        let mut request = Request::new(method(UNARY), Codec::Protobuf, Body::empty());
        request.method = Method::Path(format!("/made.Up{i}/Method").into());
        router.dispatch(request).await.unwrap_err();
    }
    assert!(counted(
        &metrics,
        "blixard_rpc_calls_total{side=\"server\",service=\"unknown\",method=\"unknown\",code=\"UNIMPLEMENTED\"} 100"
    ));
    assert!(!metrics.render().contains("made"));
}

#[tokio::test(start_paused = true)]
async fn a_trace_goes_through_clients_and_servers() {
    let echo = Arc::new(Script::default());
    let router = crate::Router::new()
        .add(EchoServer::from_arc(Arc::clone(&echo)))
        .layer(Trace::server());
    let client = Client::new(Channel::new(Trace::client().layer(Memory::new(router))));

    let running = client.count("1 hang").await.unwrap();
    let outer = echo.last_context();
    let first = TraceContext::extract(outer.metadata()).unwrap();

    client.with(&outer).ask(UNARY, "hello").await.unwrap();
    let second = TraceContext::extract(echo.last_context().metadata()).unwrap();
    assert_eq!(first.trace_id, second.trace_id);
    assert_ne!(first.span_id, second.span_id);

    client.ask(UNARY, "hello").await.unwrap();
    let other = TraceContext::extract(echo.last_context().metadata()).unwrap();
    assert_ne!(first.trace_id, other.trace_id);
    drop(running);
}

/// What a subscriber writes of closed spans.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn one_span_a_call_until_its_stream_ends() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::CLOSE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (client, _) = in_memory_with(|router| router.layer(Trace::server()));
    let sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let client = client.with(CallOptions::new().metadata("traceparent", sent));
    let stream = client.count("1 fail").await.unwrap();
    assert!(log.0.lock().unwrap().is_empty());
    stream.collect().await.unwrap_err();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
    for field in [
        "call{side=Server",
        "service=\"test.v1.Echo\"",
        "method=\"Count\"",
        "peer=memory",
        "code=\"ABORTED\"",
        "trace_id=0af7651916cd43dd8448eb211c80319c",
        "parent_id=b7ad6b7169203331",
    ] {
        assert!(log.contains(field), "{field} in {log}");
    }
}

#[tokio::test(start_paused = true)]
async fn layers_stack() {
    let metrics = Metrics::new();
    let deny = Authorize::new(|_: &Caller<'_>| Err(Status::permission_denied("no")));
    let stack = Stack::new(Measure::server(&metrics), deny);
    let (client, _) = in_memory_with(|router| router.layer(stack));
    assert_eq!(all_shapes(&client).await, [Code::PermissionDenied; 4]);
    assert!(counted(
        &metrics,
        "blixard_rpc_calls_total{side=\"server\",service=\"test.v1.Echo\",method=\"Chat\",code=\"PERMISSION_DENIED\"} 1"
    ));
}
