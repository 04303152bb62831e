//! What a call passes on its way over iroh: authorization, counts, traces; and what goes on with it from hop to hop: deadline,
//! cancellation, trace.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use blixard_rpc::{
    CallOptions, Channel, Code, Context, Dispatch, Layer, Result, Router, Status, Streaming,
    iroh_service,
    middleware::{Authorize, Caller, Measure, Trace},
    observe::{Metrics, TraceContext},
    transport::iroh::{Endpoint, IrohConnector, ServerHandle},
};
use blixard_tests::net::{dial, endpoint, serve, soon};
use tokio::{sync::Notify, time::Instant};

#[iroh_service(package = "chain.v1")]
trait Hop {
    /// The path of the call through the servers, and what the last one knows of it.
    async fn ask(&self, cx: &Context, hops: u32) -> Result<String>;
    /// Never ends by itself.
    async fn hang(&self, cx: &Context, hops: u32) -> Result<u32>;
    /// As above, with one item before.
    async fn hang_stream(&self, cx: &Context, hops: u32) -> Result<Streaming<u32>>;
    async fn count(&self, items: Streaming<u32>) -> Result<u32>;
    async fn echo(&self, items: Streaming<u32>) -> Result<Streaming<u32>>;
    #[rpc(oneway)]
    async fn note(&self, text: String);
}

/// One server: asks the next, if there is one.
#[derive(Clone, Default)]
struct Node {
    next: Option<HopClient>,
    seen: Arc<Seen>,
}

/// What happened on a server.
#[derive(Default)]
struct Seen {
    /// How long the last call had left when it came.
    remaining: Mutex<Option<Duration>>,
    began: Notify,
    /// Calls whose handlers, or streams, are alive.
    alive: Arc<AtomicUsize>,
    noted: Notify,
}

struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Node {
    fn begin(&self, cx: &Context) -> Alive {
        *self.seen.remaining.lock().unwrap() = cx.remaining();
        self.seen.alive.fetch_add(1, Ordering::SeqCst);
        self.seen.began.notify_one();
        Alive(Arc::clone(&self.seen.alive))
    }

    fn next(&self, hops: u32) -> Option<&HopClient> {
        self.next.as_ref().filter(|_| hops > 0)
    }
}

impl Hop for Node {
    async fn ask(&self, cx: &Context, hops: u32) -> Result<String> {
        let _alive = self.begin(cx);
        let trace = TraceContext::extract(cx.metadata());
        let here = format!("{:?};", trace.map(|trace| trace.trace_id));
        match self.next(hops) {
            Some(next) => Ok(here + &next.ask(cx, hops - 1).await?),
            None => Ok(here),
        }
    }

    async fn hang(&self, cx: &Context, hops: u32) -> Result<u32> {
        let _alive = self.begin(cx);
        match self.next(hops) {
            Some(next) => next.hang(cx, hops - 1).await,
            None => std::future::pending().await,
        }
    }

    async fn hang_stream(&self, cx: &Context, hops: u32) -> Result<Streaming<u32>> {
        let alive = self.begin(cx);
        let mut inner = match self.next(hops) {
            Some(next) => Some(next.hang_stream(cx, hops - 1).await?),
            None => None,
        };
        let mut first = Some(hops);
        Ok(Streaming::new(futures_util::stream::poll_fn(move |cx| {
            let _ = &alive;
            match (&mut inner, first.take()) {
                (Some(inner), _) => futures_util::Stream::poll_next(std::pin::Pin::new(inner), cx),
                (None, Some(first)) => std::task::Poll::Ready(Some(Ok(first))),
                (None, None) => std::task::Poll::Pending,
            }
        })))
    }

    async fn count(&self, items: Streaming<u32>) -> Result<u32> {
        Ok(items.collect().await?.len() as u32)
    }

    async fn echo(&self, items: Streaming<u32>) -> Result<Streaming<u32>> {
        Ok(items)
    }

    async fn note(&self, _: String) {
        self.seen.noted.notify_one();
    }
}

/// A, which the test is, calls B, which calls C.
struct Chain {
    client: HopClient,
    b: Arc<Seen>,
    c: Arc<Seen>,
    _servers: [ServerHandle; 2],
}

async fn chain() -> Chain {
    let traced = |node: Node| {
        Router::new()
            .add(HopServer::new(node))
            .layer(Trace::server())
    };
    let last = Node::default();
    let c = serve(traced(last.clone())).await;
    let to_c = Channel::new(Trace::client().layer(dial(&c).await));
    let middle = Node {
        next: Some(HopClient::new(to_c)),
        ..Node::default()
    };
    let b = serve(traced(middle.clone())).await;
    let client = HopClient::new(Channel::new(dial(&b).await));
    Chain {
        client,
        b: middle.seen,
        c: last.seen,
        _servers: [b, c],
    }
}

impl Chain {
    async fn both_began(&self) {
        soon(self.b.began.notified()).await;
        soon(self.c.began.notified()).await;
    }

    /// Waits until no handler runs on either server.
    async fn both_ended(&self) {
        for seen in [&self.b, &self.c] {
            soon(async {
                while seen.alive.load(Ordering::SeqCst) > 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
            .await;
        }
    }
}

fn background() -> Context {
    Context::background()
}

#[tokio::test]
async fn a_deadline_goes_from_hop_to_hop() {
    let chain = chain().await;
    let within = Duration::from_millis(400);
    let client = chain.client.with(CallOptions::new().deadline(within));
    // Once without an expiry, for the connections to be open.
    soon(client.ask(&background(), 1)).await.unwrap();
    let began = Instant::now();
    let status = soon(client.hang(&background(), 1)).await.unwrap_err();
    let took = began.elapsed();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert!(took >= within, "{took:?}");
    assert!(took < within * 5, "{took:?}");
    // What is left gets less on the way, and no hop begins anew.
    let left = |seen: &Seen| seen.remaining.lock().unwrap().unwrap();
    let (b, c) = (left(&chain.b), left(&chain.c));
    assert!(within >= b && b >= c && c > Duration::ZERO, "{b:?} {c:?}");
    chain.both_ended().await;
}

#[tokio::test]
async fn a_deadline_ends_a_stream_on_all_hops() {
    let chain = chain().await;
    let within = Duration::from_millis(400);
    let client = chain.client.with(CallOptions::new().deadline(within));
    let mut stream = soon(client.hang_stream(&background(), 1)).await.unwrap();
    assert_eq!(soon(stream.next()).await.unwrap().unwrap(), 0);
    // Nobody reads or drops it here: the servers end it by themselves.
    chain.both_ended().await;
    let status = soon(stream.next()).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}

#[tokio::test]
async fn the_deadline_of_a_context_is_that_of_its_calls() {
    let chain = chain().await;
    let context = Context::with_deadline(Duration::from_millis(300));
    // A later one of the client's own does not put it off.
    let client = chain
        .client
        .with(CallOptions::new().deadline(Duration::from_secs(60)));
    let status = soon(client.hang(&context, 1)).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    chain.both_ended().await;
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled_on_all_hops() {
    let chain = chain().await;
    let context = background();
    let mut call = Box::pin(chain.client.hang(&context, 1));
    tokio::select! {
        ended = &mut call => panic!("{ended:?}"),
        () = chain.both_began() => {}
    }
    assert_eq!(chain.c.alive.load(Ordering::SeqCst), 1);
    drop(call);
    chain.both_ended().await;
    // The connections are as good as before.
    soon(chain.client.ask(&context, 1)).await.unwrap();
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_cancelled_on_all_hops() {
    let chain = chain().await;
    let mut stream = soon(chain.client.hang_stream(&background(), 1))
        .await
        .unwrap();
    assert_eq!(soon(stream.next()).await.unwrap().unwrap(), 0);
    assert_eq!(chain.b.alive.load(Ordering::SeqCst), 1);
    assert_eq!(chain.c.alive.load(Ordering::SeqCst), 1);
    drop(stream);
    chain.both_ended().await;
    soon(chain.client.ask(&background(), 1)).await.unwrap();
}

#[tokio::test]
async fn a_trace_goes_from_hop_to_hop() {
    let chain = chain().await;
    let trace = TraceContext::generate(true);
    let client = chain
        .client
        .with(CallOptions::new().metadata("traceparent", trace.to_string()));
    let path = soon(client.ask(&background(), 1)).await.unwrap();
    let of_trace = format!("{:?};", Some(trace.trace_id));
    assert_eq!(path, of_trace.repeat(2));
    // Who names none gets one, and it is the same on both servers.
    let path = soon(chain.client.ask(&background(), 1)).await.unwrap();
    let (b, c) = path.split_at(path.len() / 2);
    assert_eq!(b, c);
    assert_ne!(b, of_trace);
    assert_ne!(b, "None;");
}

/// Tries every method; tells which codes they ended with, in the order of their declaration.
async fn every_method<C: Dispatch + Clone>(client: &HopClient<C>) -> [Code; 5] {
    fn code<T>(result: Result<T>) -> Code {
        result.map_or_else(|status| status.code(), |_| Code::Ok)
    }
    async fn code_of_stream<T>(stream: Result<Streaming<T>>) -> Code {
        match stream {
            Ok(mut stream) => code(soon(stream.next()).await.transpose()),
            Err(status) => status.code(),
        }
    }
    let items = || Streaming::from_iter(0..3);
    [
        code(soon(client.ask(&background(), 0)).await),
        code_of_stream(soon(client.hang_stream(&background(), 0)).await).await,
        code(soon(client.count(items())).await),
        code_of_stream(soon(client.echo(items())).await).await,
        code(
            soon(
                client
                    .with(CallOptions::new().deadline(Duration::from_millis(50)))
                    .hang(&background(), 0),
            )
            .await,
        ),
    ]
}

async fn client_of(endpoint: &Endpoint, server: &ServerHandle) -> HopClient {
    let connector = IrohConnector::new(endpoint.clone());
    let connection = connector.dial(server.endpoint().addr()).await.unwrap();
    HopClient::new(Channel::new(connection))
}

#[tokio::test]
async fn who_may_call_what_follows_from_the_key() {
    use Code::{DeadlineExceeded, Ok as Good, PermissionDenied as Denied};

    let (owner, guest, stranger) = (endpoint().await, endpoint().await, endpoint().await);
    let [owner_key, guest_key] = [&owner, &guest].map(|it| *it.id().as_bytes());
    let authorize = Authorize::new(move |caller: &Caller<'_>| {
        let may = match caller.peer().key() {
            Some(key) if *key == owner_key => true,
            Some(key) if *key == guest_key => {
                ["/chain.v1.Hop/Ask", "/chain.v1.Hop/Echo"].contains(&caller.path())
            }
            _ => false,
        };
        if may {
            Ok(())
        } else {
            Err(Status::permission_denied(format!(
                "{} may not call {}",
                caller.peer(),
                caller.path()
            )))
        }
    });
    let node = Node::default();
    let server = serve(
        Router::new()
            .add(HopServer::new(node.clone()))
            .layer(authorize),
    )
    .await;

    let client = client_of(&owner, &server).await;
    let all = [Good, Good, Good, Good, DeadlineExceeded];
    assert_eq!(every_method(&client).await, all);
    client.note("noted".into()).await;
    soon(node.seen.noted.notified()).await;

    let client = client_of(&guest, &server).await;
    assert_eq!(
        every_method(&client).await,
        [Good, Denied, Denied, Good, Denied]
    );
    client.note("not noted".into()).await;

    let stranger_client = client_of(&stranger, &server).await;
    assert_eq!(every_method(&stranger_client).await, [Denied; 5]);
    let status = stranger_client.ask(&background(), 0).await.unwrap_err();
    let expected = format!("{} may not call /chain.v1.Hop/Ask", stranger.id());
    assert_eq!(status.message(), expected);

    // A one-way call is answered with nothing; that the guest's was refused shows in that no handler ran.
    soon(client.ask(&background(), 0)).await.unwrap();
    let noted = tokio::time::timeout(Duration::from_millis(100), node.seen.noted.notified());
    assert!(noted.await.is_err());
}

#[tokio::test]
async fn both_sides_count_the_same_calls() {
    let (on_client, on_server) = (Metrics::new(), Metrics::new());
    let router = Router::new()
        .add(HopServer::new(Node::default()))
        .layer(Measure::server(&on_server));
    let server = serve(router).await;
    let measured = Measure::client(&on_client).layer(dial(&server).await);
    let client = HopClient::new(Channel::new(measured));
    for _ in 0..3 {
        soon(client.ask(&background(), 0)).await.unwrap();
    }
    let echo = soon(client.echo(Streaming::from_iter(0..1000))).await;
    assert_eq!(soon(echo.unwrap().collect()).await.unwrap().len(), 1000);
    let hurried = client.with(CallOptions::new().deadline(Duration::from_millis(100)));
    soon(hurried.hang(&background(), 0)).await.unwrap_err();
    let stream = soon(client.hang_stream(&background(), 0)).await.unwrap();

    for (side, metrics) in [("client", &on_client), ("server", &on_server)] {
        let values = parse(&metrics.render());
        let labels = |method: &str, more: &str| {
            format!("{{side=\"{side}\",service=\"chain.v1.Hop\",method=\"{method}\"{more}}}")
        };
        let value = |name: &str, method: &str, more: &str| {
            let series = format!("blixard_rpc_{name}{}", labels(method, more));
            *values
                .get(&series)
                .unwrap_or_else(|| panic!("no {series} in {values:#?}"))
        };
        assert_eq!(value("calls_total", "Ask", ",code=\"OK\""), 3.0);
        assert_eq!(value("calls_total", "Echo", ",code=\"OK\""), 1.0);
        // The server's clock ends a call, or the client's, which then cancels it; the client knows of one alone.
        let ended = |code: &str| {
            let series = format!(
                "blixard_rpc_calls_total{}",
                labels("Hang", &format!(",code=\"{code}\""))
            );
            values.get(&series).copied().unwrap_or(0.0)
        };
        let (late, cancelled) = (ended("DEADLINE_EXCEEDED"), ended("CANCELLED"));
        assert_eq!(late + cancelled, 1.0);
        assert!(side == "server" || late == 1.0);
        assert_eq!(value("calls_in_flight", "Ask", ""), 0.0);
        assert_eq!(value("calls_in_flight", "HangStream", ""), 1.0);
        assert_eq!(value("call_duration_seconds_count", "Ask", ""), 3.0);
        assert!(value("call_duration_seconds_sum", "Hang", "") >= 0.05);
        // Numbers below 128 have 2 bytes or less in either codec, none but the first of protobuf are empty.
        for bytes in ["sent_bytes_total", "received_bytes_total"] {
            let bytes = value(bytes, "Echo", "");
            assert!((1000.0..=3000.0).contains(&bytes), "{bytes}");
        }
    }
    drop(stream);
    soon(async {
        let cancelled = "method=\"HangStream\",code=\"CANCELLED\"} 1";
        while !on_server.render().contains(cancelled) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// Reads the text format of Prometheus, strictly: every line is a comment with its kind, or a series and its value; each metric is
/// described before its series, which stand together; histograms add up.
fn parse(text: &str) -> HashMap<String, f64> {
    let mut values = HashMap::new();
    let mut kinds: HashMap<&str, &str> = HashMap::new();
    let mut current = "";
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let [what, name, rest] = comment.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                panic!("{line}");
            };
            match what {
                "HELP" => assert!(!rest.is_empty()),
                "TYPE" => {
                    assert!(["counter", "gauge", "histogram"].contains(&rest), "{line}");
                    assert!(kinds.insert(name, rest).is_none(), "{line}");
                    current = name;
                }
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let name = series.split('{').next().unwrap();
        let of = match kinds[current] {
            "histogram" => ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix))
                .unwrap_or_else(|| panic!("{line}")),
            "counter" => {
                assert!(name.ends_with("_total"), "{line}");
                name
            }
            _ => name,
        };
        assert_eq!(of, current, "{line}");
        if let Some((_, labels)) = series.split_once('{') {
            let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
            for label in labels.split(',') {
                let (key, value) = label.split_once('=').unwrap_or_else(|| panic!("{line}"));
                assert!(
                    key.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
                    "{line}"
                );
                assert!(
                    value.len() >= 2 && value.starts_with('"') && value.ends_with('"'),
                    "{line}"
                );
            }
        }
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(
            values.insert(series.to_owned(), value).is_none(),
            "twice: {line}"
        );
    }
    // The last bucket of a histogram holds all.
    for (series, value) in &values {
        if let Some(all) = series.strip_suffix(",le=\"+Inf\"}") {
            let count = format!("{}}}", all.replacen("_bucket{", "_count{", 1));
            assert_eq!(values[&count], *value, "{series}");
        }
    }
    values
}
