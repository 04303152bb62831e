//! The life of a connection on iroh: its hello, its limit of calls, its end by either side, and what calls in flight learn of it.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use blixard_rpc::{
    Code, Dispatch, Layer, Result, Router, Status, Streaming,
    call::{Request, Response},
    codec::Codec,
    iroh_service,
    link::Limits,
    method::{MethodDescriptor, ServiceDescriptor},
    transport::iroh::{AcceptConfig, IrohConnection, IrohServer, ServerHandle},
};
use blixard_tests::net::{dial, endpoint, serve, soon};
use bytes::Bytes;
use futures_util::poll;
use tokio::{sync::watch, task::JoinSet};

#[iroh_service(package = "test.v1")]
trait Work {
    /// Waits for the gate, then answers with so many bytes.
    async fn run(&self, number: u64, answer_bytes: u64, padding: Bytes) -> Result<Bytes>;
    /// Gives one item, waits for the gate, then gives so many more.
    async fn give(&self, number: u64, items: u64) -> Result<Streaming<u64>>;
    /// Counts what comes, and then waits for the gate.
    async fn take(&self, items: Streaming<u64>) -> Result<u64>;
    #[rpc(oneway)]
    async fn note(&self, number: u64);
}

/// What the handlers have seen.
struct Worker {
    gate: watch::Sender<bool>,
    begun: watch::Sender<usize>,
    ended: watch::Sender<usize>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    numbers: Mutex<HashSet<u64>>,
}

impl Worker {
    fn new(open: bool) -> Arc<Self> {
        Arc::new(Self {
            gate: watch::Sender::new(open),
            begun: watch::Sender::new(0),
            ended: watch::Sender::new(0),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            numbers: Mutex::default(),
        })
    }

    fn router(self: &Arc<Self>) -> Router {
        Router::new().add(WorkServer::new(Handlers(Arc::clone(self))))
    }

    fn open(&self) {
        self.gate.send_replace(true);
    }

    fn begin(self: &Arc<Self>, number: u64) -> Running {
        self.numbers.lock().unwrap().insert(number);
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        self.begun.send_modify(|count| *count += 1);
        Running(Arc::clone(self))
    }

    async fn has_begun(&self, goal: usize) {
        let mut begun = self.begun.subscribe();
        soon(begun.wait_for(|count| *count >= goal)).await.unwrap();
    }

    async fn has_ended(&self, goal: usize) {
        let mut ended = self.ended.subscribe();
        soon(ended.wait_for(|count| *count >= goal)).await.unwrap();
    }
}

/// A handler while it runs.
struct Running(Arc<Worker>);

impl Running {
    async fn wait(&self) {
        let mut gate = self.0.gate.subscribe();
        gate.wait_for(|open| *open).await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.at_once.fetch_sub(1, Ordering::SeqCst);
        self.0.ended.send_modify(|count| *count += 1);
    }
}

struct Handlers(Arc<Worker>);

impl Work for Handlers {
    async fn run(&self, number: u64, answer_bytes: u64, _: Bytes) -> Result<Bytes> {
        let running = self.0.begin(number);
        running.wait().await;
        Ok(vec![7; answer_bytes as usize].into())
    }

    async fn give(&self, number: u64, items: u64) -> Result<Streaming<u64>> {
        let running = self.0.begin(number);
        let (sender, stream) = Streaming::channel(1);
        tokio::spawn(async move {
            let _ = sender.send(0).await;
            tokio::select! {
                () = running.wait() => {}
                () = sender.closed() => return,
            }
            for number in 1..=items {
                if sender.send(number).await.is_err() {
                    return;
                }
            }
        });
        Ok(stream)
    }

    async fn take(&self, mut items: Streaming<u64>) -> Result<u64> {
        let running = self.0.begin(u64::MAX);
        let mut count = 0;
        while let Some(item) = items.next().await {
            item?;
            count += 1;
        }
        running.wait().await;
        Ok(count)
    }

    async fn note(&self, number: u64) {
        let running = self.0.begin(number);
        running.wait().await;
    }
}

async fn pair(worker: &Arc<Worker>) -> (ServerHandle, IrohConnection) {
    let server = serve(worker.router()).await;
    let connection = dial(&server).await;
    connection.hello().await.unwrap();
    (server, connection)
}

/// A call that is alone reads what its lane brings. Where it no longer looks, others must be answered all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_does_not_look_holds_nobody_up() {
    let worker = Worker::new(false);
    let (_server, connection) = pair(&worker).await;
    let client = WorkClient::new(connection);
    for (round, is_dropped) in [true, false].into_iter().cycle().take(20).enumerate() {
        worker.gate.send_replace(false);
        let mut first = Box::pin(client.run(0, 10, Bytes::new()));
        assert!(poll!(&mut first).is_pending());
        worker.has_begun(2 * round + 1).await;
        let first = if is_dropped {
            drop(first);
            worker.has_ended(2 * round + 1).await;
            None
        } else {
            Some(first)
        };
        worker.open();
        let second = soon(client.run(1, 20, Bytes::new())).await;
        assert_eq!(second.unwrap().len(), 20);
        if let Some(first) = first {
            assert_eq!(soon(first).await.unwrap().len(), 10);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_answers_all_that_was_begun() {
    const ITEMS: u64 = 5000;
    const LARGE: usize = 6 << 20;
    let worker = Worker::new(false);
    let (server, connection) = pair(&worker).await;
    let client = WorkClient::new(connection.clone());
    let mut calls = JoinSet::new();
    for number in 0..10 {
        let (small, client) = (client.clone(), client.clone());
        calls.spawn(async move {
            let answer = small.run(number, 10, Bytes::new()).await.unwrap();
            assert_eq!(answer.len(), 10);
        });
        let (large, client) = (client.clone(), client.clone());
        if number < 3 {
            calls.spawn(async move {
                let answer = large.run(number, LARGE as u64, Bytes::new()).await;
                assert_eq!(answer.unwrap().len(), LARGE);
            });
        }
        let (streamed, client) = (client.clone(), client.clone());
        calls.spawn(async move {
            let items = streamed.give(number, ITEMS).await.unwrap();
            let items = items.collect().await.unwrap();
            assert!(items.into_iter().eq(0..=ITEMS));
        });
        calls.spawn(async move {
            let count = client.take(Streaming::from_iter(0..100)).await;
            assert_eq!(count.unwrap(), 100);
        });
    }
    client.note(99).await;
    worker.has_begun(34).await;
    let shutdown = tokio::spawn(server.shutdown(Duration::from_secs(60)));

    // What comes now is refused, and nobody has seen it. (What comes before the server has heard of it waits for the gate.)
    let refused = soon(async {
        loop {
            let call = client.run(1000, 10, Bytes::new());
            if let Ok(Err(status)) = tokio::time::timeout(Duration::from_millis(200), call).await {
                break status;
            }
        }
    });
    let status = refused.await;
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(!status.was_accepted(), "{status:?}");
    let large = client.run(1001, 10, vec![0; 100_000].into()).await;
    assert!(!large.unwrap_err().was_accepted());
    let stream = client.give(1002, 1).await;
    assert!(!stream.unwrap_err().was_accepted());
    assert!(!shutdown.is_finished());

    worker.open();
    while let Some(done) = soon(calls.join_next()).await {
        done.unwrap();
    }
    soon(shutdown).await.unwrap();
    let numbers = worker.numbers.lock().unwrap();
    assert!(!numbers.contains(&1001) && !numbers.contains(&1002));
    assert!(numbers.contains(&99), "the one-way call was let end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_waits_for_a_slow_reader() {
    // The server has long written everything when the client begins to read.
    let worker = Worker::new(true);
    let (server, connection) = pair(&worker).await;
    let client = WorkClient::new(connection.clone());
    let mut items = client.give(1, 2000).await.unwrap();
    assert_eq!(items.next().await.unwrap().unwrap(), 0);
    worker.has_ended(1).await;
    let large = client.run(2, 400_000, Bytes::new());
    let (large, ()) = tokio::join!(large, soon(server.shutdown(Duration::from_secs(60))));
    // The connection is closed, and nothing that had arrived is lost with it.
    soon(connection.closed()).await;
    assert_eq!(items.collect().await.unwrap().len(), 2000);
    if let Err(status) = large {
        assert!(!status.was_accepted());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_cuts_what_does_not_end() {
    let worker = Worker::new(false);
    let (server, connection) = pair(&worker).await;
    let client = WorkClient::new(connection.clone());
    let waiting = client.clone();
    let call = tokio::spawn(async move { waiting.run(1, 10, Bytes::new()).await });
    let mut items = client.give(2, 10).await.unwrap();
    items.next().await.unwrap().unwrap();
    worker.has_begun(2).await;
    soon(server.shutdown(Duration::from_millis(100))).await;
    for status in [
        soon(call).await.unwrap().unwrap_err(),
        soon(items.next()).await.unwrap().unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(status.was_accepted(), "its handler ran: {status:?}");
    }
    worker.has_ended(2).await;
    let status = soon(connection.closed()).await;
    assert_eq!(status.code(), Code::Unavailable);
}

/// Calls from many tasks until their connection ends: what each was told must be true.
async fn calls_until_the_end(
    worker: &Arc<Worker>,
    client: WorkClient<IrohConnection>,
    end: impl AsyncFnOnce(),
) {
    let (stop, ends) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for task in 0..16_u64 {
        let (client, stop) = (client.clone(), Arc::clone(&stop));
        tasks.spawn(async move {
            let mut results = Vec::new();
            let numbers = (0..).map(|round| task * 1_000_000 + round);
            for number in numbers {
                let result = match number % 4 {
                    0 => client.give(number, 20).await,
                    _ => Err(Status::unknown("")),
                };
                let result = match (number % 4, result) {
                    (0, Ok(items)) => items.collect().await.map(drop),
                    (0, Err(status)) => Err(status),
                    (1, _) => {
                        let call = client.run(number, 100_000, Bytes::new());
                        call.await.map(drop)
                    }
                    (2, _) => {
                        let call = client.run(number, 10, vec![1; 100_000].into());
                        call.await.map(drop)
                    }
                    _ => client.run(number, 10, Bytes::new()).await.map(drop),
                };
                let failed = result.is_err();
                results.push((number, result));
                if failed || stop.load(Ordering::Relaxed) {
                    break;
                }
            }
            results
        });
    }
    worker.has_begun(200).await;
    end().await;
    stop.store(true, Ordering::Relaxed);
    while let Some(results) = soon(tasks.join_next()).await {
        let numbers = worker.numbers.lock().unwrap();
        for (number, result) in results.unwrap() {
            match result {
                Ok(()) => assert!(numbers.contains(&number), "{number} was answered by nobody"),
                Err(status) => {
                    ends.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(status.code(), Code::Unavailable, "{number}: {status:?}");
                    assert!(
                        status.was_accepted() || !numbers.contains(&number),
                        "{number} was said to be accepted by nobody, and was: {status:?}"
                    );
                }
            }
        }
    }
    assert!(ends.load(Ordering::Relaxed) > 0, "nobody saw the end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_calls_are_told_of_a_drain_is_true() {
    for _ in 0..5 {
        let worker = Worker::new(true);
        let (server, connection) = pair(&worker).await;
        let client = WorkClient::new(connection);
        let end = async || soon(server.shutdown(Duration::from_secs(60))).await;
        calls_until_the_end(&worker, client, end).await;
        let (begun, ended) = (*worker.begun.borrow(), *worker.ended.borrow());
        assert_eq!(begun, ended);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_calls_are_told_of_a_sudden_end_is_true() {
    for _ in 0..5 {
        let worker = Worker::new(true);
        let (server, connection) = pair(&worker).await;
        let client = WorkClient::new(connection);
        let end = async || soon(server.endpoint().close()).await;
        calls_until_the_end(&worker, client, end).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_calls_are_told_when_their_own_side_closes_is_true() {
    let worker = Worker::new(true);
    let (_server, connection) = pair(&worker).await;
    let client = WorkClient::new(connection.clone());
    let end = async || connection.close();
    calls_until_the_end(&worker, client, end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_end_with_their_connection() {
    let worker = Worker::new(false);
    let (server, connection) = pair(&worker).await;
    let client = WorkClient::new(connection.clone());
    let mut calls = JoinSet::new();
    for number in 0..20 {
        let client = client.clone();
        calls.spawn(async move {
            if number % 2 == 0 {
                client.run(number, 10, Bytes::new()).await.map(drop)
            } else {
                let items = client.give(number, 10).await?;
                items.collect().await.map(drop)
            }
        });
    }
    worker.has_begun(20).await;
    connection.close();
    while let Some(result) = soon(calls.join_next()).await {
        let status = result.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    }
    worker.has_ended(20).await;
    // The server goes on for others.
    worker.open();
    let other = WorkClient::new(dial(&server).await);
    other.run(1, 1, Bytes::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_stream_keeps_its_connection() {
    let worker = Worker::new(false);
    let (_server, connection) = pair(&worker).await;
    let client = WorkClient::new(connection);
    let mut items = client.give(1, 1000).await.unwrap();
    items.next().await.unwrap().unwrap();
    drop(client);
    worker.open();
    assert_eq!(soon(items.collect()).await.unwrap().len(), 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_handle_closes_the_connection() {
    let worker = Worker::new(false);
    let (server, connection) = pair(&worker).await;
    let client = WorkClient::new(connection);
    let waiting = client.clone();
    let call = tokio::spawn(async move { waiting.run(1, 1, Bytes::new()).await });
    worker.has_begun(1).await;
    assert_eq!(server.server().connections(), 1);
    drop(client);
    call.abort();
    worker.has_ended(1).await;
    soon(async {
        while server.server().connections() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Notes the codecs of calls.
#[derive(Clone, Default)]
struct Codecs(Arc<Mutex<Vec<Codec>>>);

struct Noting<D>(D, Codecs);

impl Layer for Codecs {
    type Dispatch<D: Dispatch> = Noting<D>;

    fn layer<D: Dispatch>(&self, inner: D) -> Noting<D> {
        Noting(inner, self.clone())
    }
}

impl<D: Dispatch> Dispatch for Noting<D> {
    async fn dispatch(&self, request: Request) -> Result<Response> {
        self.1.0.lock().unwrap().push(request.codec);
        self.0.dispatch(request).await
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        self.0.codec(service)
    }

    fn resolve(&self, path: &str) -> Option<&'static MethodDescriptor> {
        self.0.resolve(path)
    }
}

// One thread: no task of the connection runs between the dial and the first call.
#[tokio::test(flavor = "current_thread")]
async fn calls_are_protobuf_before_the_hello_and_postcard_after() {
    let (worker, codecs) = (Worker::new(true), Codecs::default());
    let server = serve(worker.router().layer(codecs.clone())).await;
    let connection = dial(&server).await;
    assert!(!connection.has_hello());
    let client = WorkClient::new(connection.clone());
    // In every shape, and none of them waits for the hello.
    let (small, large, items, count) = tokio::join!(
        client.run(1, 1, Bytes::new()),
        client.run(2, 1, vec![0; 100_000].into()),
        client.give(3, 3),
        client.take(Streaming::from_iter(0..3)),
    );
    assert_eq!((small.unwrap().len(), large.unwrap().len()), (1, 1));
    assert_eq!(items.unwrap().collect().await.unwrap(), [0, 1, 2, 3]);
    assert_eq!(count.unwrap(), 3);
    connection.hello().await.unwrap();
    client.run(4, 1, Bytes::new()).await.unwrap();
    client.give(5, 3).await.unwrap().collect().await.unwrap();
    let expected = [[Codec::Protobuf; 4].as_slice(), &[Codec::Postcard; 2]].concat();
    assert_eq!(*codecs.0.lock().unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_limit_of_calls_is_kept_and_refuses_nobody() {
    const LIMIT: u32 = 8;
    let worker = Worker::new(true);
    let config = AcceptConfig {
        connection: Limits {
            max_calls: LIMIT,
            ..Limits::default()
        },
        ..AcceptConfig::default()
    };
    let server = IrohServer::with_config(worker.router(), config).spawn(endpoint().await);
    let connection = dial(&server).await;
    connection.hello().await.unwrap();
    let client = WorkClient::new(connection);
    let mut calls = JoinSet::new();
    for number in 0..1200 {
        let client = client.clone();
        calls.spawn(async move {
            match number % 3 {
                0 => client.run(number, 10, Bytes::new()).await.map(drop),
                1 => client.run(number, 70_000, Bytes::new()).await.map(drop),
                _ => match client.give(number, 3).await {
                    Ok(items) => items.collect().await.map(drop),
                    Err(status) => Err(status),
                },
            }
        });
    }
    while let Some(result) = soon(calls.join_next()).await {
        result.unwrap().unwrap();
    }
    // A handler's task may end a little after its answer has arrived.
    let most = worker.most_at_once.load(Ordering::SeqCst);
    assert!(most <= 2 * LIMIT as usize, "{most} handlers ran at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_way_calls_that_were_sent_arrive_before_the_end_of_a_drain() {
    let worker = Worker::new(true);
    let (server, connection) = pair(&worker).await;
    let client = WorkClient::new(connection);
    for number in 0..1000 {
        client.note(number).await;
    }
    // An answer on the same lane: what was sent before it has arrived.
    client.run(5000, 1, Bytes::new()).await.unwrap();
    soon(server.shutdown(Duration::from_secs(10))).await;
    let numbers = worker.numbers.lock().unwrap();
    assert!((0..1000).all(|number| numbers.contains(&number)));
}
