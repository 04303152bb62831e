//! A channel over two sides in memory, each of which can be cut in several ways, on paused time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::super::*;
use crate::{
    CallOptions, Channel, Code, Dispatch, Layer, Memory, Result, Router, Status, Streaming,
    call::{Body, Codec, Method, Request, Response},
    client::Client,
    fixture::*,
    method::ServiceDescriptor,
    runner::{Carry, Gate, Migration, MigrationStrategy, Prefer, Transport},
};

const SECOND: Duration = Duration::from_secs(1);

/// How a side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Calls pass, in so many milliseconds.
    Open(u64),
    /// Calls are not taken, and told so.
    Refuses,
    /// Calls are read, as far as two messages, and then not taken.
    ReadsAndRefuses,
    /// Nothing comes back any more, for calls in flight neither.
    Silent,
    /// Calls are taken and then lost; those in flight too.
    Loses,
}

/// One side: the way to a server, and the server.
struct End {
    way: watch::Sender<Way>,
    script: Arc<Script>,
    /// Calls that came here, health checks apart.
    calls: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Side {
    way: watch::Receiver<Way>,
    server: Memory<Router>,
    calls: Arc<AtomicUsize>,
    _open: Arc<()>,
}

impl Dispatch for Side {
    async fn dispatch(&self, mut request: Request) -> Result<Response> {
        if !request.method.path().contains("Health") {
            self.calls.fetch_add(1, Ordering::Relaxed);
        }
        let mut way = self.way.clone();
        let now = *way.borrow_and_update();
        match now {
            Way::Open(millis) => {
                sleep(Duration::from_millis(millis)).await;
                let cut = way.wait_for(|way| matches!(way, Way::Silent | Way::Loses));
                let cut = tokio::select! {
                    biased;
                    cut = cut => cut.map(|way| *way),
                    response = self.server.dispatch(request) => return response,
                };
                match cut {
                    Ok(Way::Loses) => Err(lost()),
                    _ => std::future::pending().await,
                }
            }
            Way::Refuses => Err(Status::unavailable("refused").with_not_accepted()),
            Way::ReadsAndRefuses => {
                for _ in 0..2 {
                    request.body.next().await;
                }
                Err(Status::unavailable("refused").with_not_accepted())
            }
            Way::Silent => std::future::pending().await,
            Way::Loses => {
                let _ = self.server.dispatch(request).await;
                Err(lost())
            }
        }
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        self.server.codec(service)
    }
}

fn lost() -> Status {
    Status::unavailable("lost")
}

impl End {
    fn new(change: impl FnOnce(Router) -> Router) -> (Self, Side) {
        let script = Arc::new(Script::default());
        let router = change(Router::new().add(EchoServer::from_arc(Arc::clone(&script))));
        let way = watch::Sender::new(Way::Open(1));
        let calls = Arc::new(AtomicUsize::new(0));
        let side = Side {
            way: way.subscribe(),
            server: Memory::new(router),
            calls: Arc::clone(&calls),
            _open: Arc::default(),
        };
        let end = Self { way, script, calls };
        (end, side)
    }

    fn is(&self, way: Way) {
        self.way.send_replace(way);
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

type Dual = DualChannel<Side, Side>;

/// A channel, a client of it, and its two ends.
struct Bed {
    channel: Dual,
    client: Client<Dual>,
    iroh: End,
    grpc: End,
}

fn bed() -> Bed {
    bed_with(DualConfig::default(), Migration::default(), |_, router| {
        router
    })
}

fn bed_with(
    config: DualConfig,
    migration: Migration,
    change: impl Fn(Transport, Router) -> Router,
) -> Bed {
    let (iroh, iroh_side) = End::new(|router| change(Transport::Iroh, router));
    let (grpc, grpc_side) = End::new(|router| change(Transport::Grpc, router));
    let channel = DualChannel::with_config(iroh_side, grpc_side, config, migration);
    Bed {
        client: Client::new(channel.clone()),
        channel,
        iroh,
        grpc,
    }
}

impl Bed {
    fn calls(&self) -> (usize, usize) {
        (self.iroh.calls(), self.grpc.calls())
    }

    fn begun(&self) -> (usize, usize) {
        (self.iroh.script.started(), self.grpc.script.started())
    }

    async fn works(&self) {
        assert_eq!(self.client.ask(UNARY, "hello").await.unwrap(), "hello");
    }

    /// One call of each shape; what each ended with.
    async fn all_shapes(&self) -> [Code; 4] {
        let code = |result: Result<()>| result.map_or_else(|status| status.code(), |()| Code::Ok);
        let unary = async {
            assert_eq!(self.client.ask(UNARY, "hello").await?, "hello");
            Ok(())
        };
        let count = async {
            assert_eq!(self.client.count("3").await?.collect().await?.len(), 3);
            Ok(())
        };
        let join = async {
            let joined = self.client.join(words(&["a", "b", "c"])).await?;
            assert_eq!(joined, "a b c");
            Ok(())
        };
        let chat = async {
            let said = self.client.chat(words(&["a", "b", "c"])).await?;
            assert_eq!(said.collect().await?.len(), 3);
            Ok(())
        };
        [
            code(unary.await),
            code(count.await),
            code(join.await),
            code(chat.await),
        ]
    }
}

/// Time passes, with a call now and then that may go on over the other side, so that the channel does not sleep.
async fn calls_for(bed: &Bed, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        bed.client.ask(IDEMPOTENT, "hello").await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn calls_of_every_shape_go_over_the_preferred_side() {
    for (prefer, expected) in [(Prefer::Iroh, (4, 0)), (Prefer::Grpc, (0, 4))] {
        let migration = Migration::new(MigrationStrategy::new(Carry::Both(prefer)));
        let bed = bed_with(DualConfig::default(), migration, |_, router| router);
        assert_eq!(bed.all_shapes().await, [Code::Ok; 4]);
        assert_eq!(bed.calls(), expected);
        let stats = bed.channel.stats();
        assert_eq!(
            (stats.iroh.calls, stats.grpc.calls),
            (expected.0 as u64, expected.1 as u64)
        );
        assert_eq!(
            (stats.iroh.waiting, stats.iroh.moved, stats.switches),
            (0, 0, 0)
        );
        assert!(stats.iroh.standing.is_up() && stats.grpc.standing.is_up());
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_side_does_not_take_goes_over_the_other_whole() {
    for way in [Way::Refuses, Way::ReadsAndRefuses] {
        let bed = bed();
        bed.works().await;
        let before = Instant::now();
        bed.iroh.is(way);
        assert_eq!(bed.all_shapes().await, [Code::Ok; 4], "{way:?}");
        assert_eq!(bed.begun(), (1, 4), "{way:?}");
        assert_eq!(bed.iroh.calls(), 2, "the second call does not try any more");
        assert!(before.elapsed() < Duration::from_millis(50));
        assert_eq!(bed.channel.stats().iroh.moved, 1);
    }
    // Each shape by itself.
    for shape in 0..4 {
        let bed = bed();
        bed.works().await;
        bed.iroh.is(Way::ReadsAndRefuses);
        match shape {
            0 => bed.works().await,
            1 => assert_eq!(
                bed.client
                    .count("3")
                    .await
                    .unwrap()
                    .collect()
                    .await
                    .unwrap()
                    .len(),
                3
            ),
            2 => assert_eq!(
                bed.client.join(words(&["a", "b", "c"])).await.unwrap(),
                "a b c"
            ),
            _ => {
                let said = bed.client.chat(words(&["a", "b", "c"])).await.unwrap();
                assert_eq!(said.collect().await.unwrap().len(), 3);
            }
        }
        assert_eq!((bed.calls(), bed.begun()), ((2, 1), (1, 1)), "{shape}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_lost_fails_once_unless_it_is_idempotent() {
    let bed = bed();
    bed.works().await;
    // It was asked just now how long its answers take, and is not asked again so soon.
    sleep(SECOND / 10).await;
    bed.iroh.is(Way::Loses);
    let status = bed.client.ask(UNARY, "hello").await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "lost")
    );
    assert!(status.was_accepted());
    assert_eq!(bed.begun(), (2, 0), "once");
    assert_eq!(bed.client.ask(IDEMPOTENT, "again").await.unwrap(), "again");
    assert_eq!(bed.begun(), (3, 1));
    let status = bed.client.join(words(&["a"])).await.unwrap_err();
    assert_eq!(status.message(), "lost");
}

#[tokio::test(start_paused = true)]
async fn a_side_that_is_dead_from_the_start_costs_the_first_calls_half_a_second() {
    for way in [Way::Silent, Way::Refuses] {
        let bed = bed();
        bed.iroh.is(way);
        let before = Instant::now();
        join_all((0..64).map(|_| bed.works())).await;
        assert!(
            before.elapsed() < Duration::from_millis(600),
            "{:?}",
            before.elapsed()
        );
        assert_eq!(bed.calls(), (0, 64), "only questions go there");
        let before = Instant::now();
        bed.works().await;
        assert!(before.elapsed() < Duration::from_millis(10));
        let standing = bed.channel.stats().iroh.standing.to_string();
        assert!(standing.starts_with("away: "), "{standing}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_on_a_side_that_falls_silent_go_on_within_a_second_if_they_may() {
    let bed = bed();
    calls_for(&bed, SECOND).await;
    let (may, may_not) = (bed.client.clone(), bed.client.clone());
    bed.iroh.is(Way::Open(10));
    let may = tokio::spawn(async move {
        let before = Instant::now();
        may.ask(IDEMPOTENT, "hello").await.map(|_| before.elapsed())
    });
    let may_not = tokio::spawn(async move { may_not.ask(UNARY, "hang").await });
    sleep(Duration::from_millis(5)).await;
    bed.iroh.is(Way::Silent);
    let took = may.await.unwrap().unwrap();
    assert!(took < SECOND, "{took:?}");
    assert!(!may_not.is_finished(), "nobody knows whether it was begun");
    assert_eq!(bed.grpc.calls(), 1);
    // Those that come now wait for nothing.
    let before = Instant::now();
    bed.works().await;
    assert!(before.elapsed() < Duration::from_millis(10));
    may_not.abort();
}

#[tokio::test(start_paused = true)]
async fn it_goes_back_once_and_does_not_flap() {
    let bed = bed();
    calls_for(&bed, SECOND).await;
    bed.iroh.is(Way::Silent);
    calls_for(&bed, SECOND * 20).await;
    assert_eq!(bed.channel.stats().route, Some(Transport::Grpc));
    let (iroh, _) = bed.calls();
    bed.iroh.is(Way::Open(1));
    let back = async {
        while bed.channel.stats().route != Some(Transport::Iroh) {
            bed.works().await;
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SECOND * 3, back).await.expect("it goes back");
    assert_eq!(bed.iroh.calls(), iroh, "not before");
    calls_for(&bed, SECOND * 20).await;
    assert_eq!(bed.channel.stats().switches, 2);
    assert!(bed.iroh.calls() > iroh + 100);
}

#[tokio::test(start_paused = true)]
async fn a_side_that_comes_and_goes_is_used_less_and_less_and_no_call_is_lost() {
    let bed = bed();
    for _ in 0..60 {
        bed.iroh.is(Way::Open(1));
        calls_for(&bed, SECOND).await;
        bed.iroh.is(Way::Refuses);
        calls_for(&bed, SECOND).await;
    }
    let switches = bed.channel.stats().switches;
    assert!(switches < 12, "{switches} switches in two minutes");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_for_both_sides_together() {
    let bed = bed();
    bed.works().await;
    bed.grpc.is(Way::Open(400));
    bed.iroh.is(Way::Loses);
    let client = bed
        .client
        .with(CallOptions::new().deadline(Duration::from_millis(300)));
    let before = Instant::now();
    let status = client.ask(IDEMPOTENT, "hello").await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert_eq!(before.elapsed(), Duration::from_millis(300));
}

#[tokio::test(start_paused = true)]
async fn what_fails_on_both_sides_says_both_reasons() {
    let bed = bed();
    bed.works().await;
    bed.iroh.is(Way::Refuses);
    bed.grpc.is(Way::Refuses);
    let status = bed.client.ask(UNARY, "hello").await.unwrap_err();
    assert_eq!(
        status.to_string(),
        "UNAVAILABLE: /test.v1.Echo/Unary failed on both transports: over iroh: refused; over gRPC: refused"
    );
    assert!(!status.was_accepted());
    bed.grpc.is(Way::Loses);
    let status = bed.client.ask(UNARY, "hello").await.unwrap_err();
    assert!(status.was_accepted(), "{status:?}");
    assert_eq!(bed.begun(), (1, 1));
    // The first to be back is taken.
    bed.grpc.is(Way::Open(1));
    bed.works().await;
}

#[tokio::test(start_paused = true)]
async fn answers_are_answers() {
    let bed = bed();
    let status = bed.client.ask(UNARY, "fail").await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let mut request = Request::new(method(UNARY), Codec::Protobuf, Body::one("\u{2}x".into()));
    request.method = Method::Path("/test.v1.Nobody/Greet".into());
    let status = bed.channel.dispatch(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(!status.was_accepted());
    assert!(bed.channel.stats().iroh.standing.is_up());
    assert_eq!(bed.calls(), (2, 1), "the other might have known it");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_unavailable_does_not_move_the_others() {
    struct Always;
    impl Layer for Always {
        type Dispatch<D: Dispatch> = Answered<D>;
        fn layer<D: Dispatch>(&self, inner: D) -> Answered<D> {
            Answered(inner)
        }
    }
    struct Answered<D>(D);
    impl<D: Dispatch> Dispatch for Answered<D> {
        async fn dispatch(&self, request: Request) -> Result<Response> {
            match request.method.descriptor() {
                Some(method) if method.index == IDEMPOTENT => {
                    Err(Status::unavailable("no database"))
                }
                _ => self.0.dispatch(request).await,
            }
        }
        fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
            self.0.codec(service)
        }
    }
    let bed = bed_with(DualConfig::default(), Migration::default(), |_, router| {
        router.layer(Always)
    });
    for _ in 0..100 {
        let status = bed.client.ask(IDEMPOTENT, "hello").await.unwrap_err();
        assert!(status.message().contains("no database"), "{status}");
        bed.works().await;
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(bed.channel.stats().switches, 0);
    assert_eq!(bed.begun(), (100, 0));
}

fn gated(migration: &Migration) -> impl Fn(Transport, Router) -> Router {
    let migration = migration.clone();
    move |transport, router| router.layer(Gate::new(transport, migration.clone()))
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_moved_is_followed_and_remembered() {
    let server = Migration::default();
    let bed = bed_with(DualConfig::default(), Migration::default(), gated(&server));
    assert_eq!(bed.all_shapes().await, [Code::Ok; 4]);
    assert_eq!(bed.begun(), (4, 0));
    server.set(MigrationStrategy::default().service(echo().name, Carry::Grpc));
    assert_eq!(bed.all_shapes().await, [Code::Ok; 4]);
    assert_eq!(bed.begun(), (4, 4));
    assert_eq!(bed.iroh.calls(), 5, "one found out");
    assert!(
        bed.channel.stats().iroh.standing.is_up(),
        "the side is not away"
    );
    assert_eq!(bed.channel.stats().switches, 0);

    // Now and then one call asks again.
    calls_for(&bed, SECOND * 30).await;
    let asked = bed.iroh.calls() - 5;
    assert!((14..=15).contains(&asked), "{asked}");
    assert_eq!(bed.begun().0, 4);

    server.set(MigrationStrategy::default());
    let back = async {
        while bed.begun().0 == 4 {
            bed.works().await;
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(SECOND * 3, back).await.expect("it is found again");
    let before = bed.calls();
    calls_for(&bed, SECOND).await;
    assert_eq!(bed.grpc.calls(), before.1, "all of them");
}

#[tokio::test(start_paused = true)]
async fn a_strategy_that_client_and_server_share_moves_a_service_at_once() {
    let shared = Migration::default();
    let bed = bed_with(DualConfig::default(), shared.clone(), gated(&shared));
    for (carry, expected) in [
        (Carry::Iroh, (4, 0)),
        (Carry::Grpc, (4, 4)),
        (Carry::Both(Prefer::Grpc), (4, 8)),
        (Carry::Both(Prefer::Iroh), (8, 8)),
    ] {
        shared.set(MigrationStrategy::new(carry));
        assert_eq!(bed.all_shapes().await, [Code::Ok; 4]);
        assert_eq!(bed.calls(), expected, "{carry:?}");
    }
    assert_eq!(bed.begun(), (8, 8));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_nowhere_else_fails_when_its_side_does_and_says_so() {
    let server = Migration::new(MigrationStrategy::new(Carry::Iroh));
    let bed = bed_with(DualConfig::default(), Migration::default(), gated(&server));
    bed.works().await;
    bed.iroh.is(Way::Refuses);
    for _ in 0..3 {
        let status = bed.client.ask(UNARY, "hello").await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        for part in ["refused", "test.v1.Echo is not carried by gRPC any more"] {
            assert!(status.message().contains(part), "{status}");
        }
        assert!(!status.was_accepted());
    }
    assert!(bed.channel.stats().grpc.standing.is_up());
}

#[tokio::test(start_paused = true)]
async fn one_way_calls_go_over_the_other_side_too() {
    let bed = bed();
    bed.works().await;
    bed.iroh.is(Way::Refuses);
    bed.client.oneway(method(NOTE), Text::from("noted")).await;
    sleep(SECOND).await;
    assert_eq!(*bed.grpc.script.notes.lock().unwrap(), ["noted"]);
}

#[tokio::test(start_paused = true)]
async fn one_way_calls_alone_show_that_a_side_is_dead() {
    let bed = bed();
    bed.works().await;
    bed.iroh.is(Way::Silent);
    let patient = bed
        .client
        .with(CallOptions::new().deadline(Duration::from_millis(100)));
    for _ in 0..10 {
        patient.oneway(method(NOTE), Text::from("noted")).await;
    }
    assert_eq!(bed.channel.stats().route, Some(Transport::Grpc));
}

#[tokio::test(start_paused = true)]
async fn calls_are_encoded_in_what_both_carry() {
    let bed = bed();
    assert_eq!(bed.channel.codec(echo()), Codec::Postcard);
    let (_iroh, iroh) = End::new(|router| router);
    let (_grpc, grpc) = End::new(|router| router);
    let protobuf = grpc.server.clone().with_codec(Codec::Protobuf);
    for dual in [
        DualChannel::new(Channel::new(iroh.clone()), Channel::new(protobuf.clone())),
        DualChannel::new(Channel::new(protobuf), Channel::new(iroh)),
    ] {
        assert_eq!(dual.codec(echo()), Codec::Protobuf);
        let client = Client::new(dual);
        assert_eq!(client.ask(UNARY, "hello").await.unwrap(), "hello");
    }
}

#[test]
fn a_call_that_goes_well_allocates_no_more_than_its_message_to_keep() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let server = || Memory::new(Router::new().add(EchoServer::new(Script::default())));
    let plain = Client::new(Channel::new(server()));
    let dual = DualChannel::new(Channel::new(server()), Channel::new(server()));
    let dual = Client::new(Channel::new(dual));
    let count = |client: &Client<Channel>| {
        let call = async || client.ask(UNARY, "hello").await.unwrap();
        // The first one finds out which side is up.
        runtime.block_on(call());
        allocation_counter::measure(|| drop(runtime.block_on(call()))).count_total
    };
    let (plain, dual) = (count(&plain), count(&dual));
    // The box of the side's own future, and what two handles of one message share.
    assert!(dual <= plain + 2, "{dual} and not {plain}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_channel_leaves_nothing_behind() {
    let (_iroh, iroh) = End::new(|router| router);
    let (grpc_end, grpc) = End::new(|router| router);
    let open = Arc::downgrade(&iroh._open);
    grpc_end.is(Way::Silent);
    let channel = DualChannel::new(iroh, grpc);
    let client = Client::new(channel.clone());
    assert_eq!(client.ask(UNARY, "hello").await.unwrap(), "hello");
    drop(channel);
    assert!(open.upgrade().is_some());
    drop(client);
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    assert!(
        open.upgrade().is_none(),
        "a question is under way, and does not keep it"
    );
}

#[test]
fn without_a_runtime_calls_go_over_the_preferred_side() {
    let preferred = Memory::new(Router::new().add(EchoServer::new(Script::default())));
    let client = Client::new(DualChannel::new(preferred, Memory::new(Router::new())));
    let mut call = std::pin::pin!(client.ask(UNARY, "hello"));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(answer) = call.as_mut().poll(&mut cx) else {
        panic!("there is nothing to wait for");
    };
    assert_eq!(answer.unwrap(), "hello");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_dropped_on_whichever_side_it_is() {
    let bed = bed();
    bed.works().await;
    let client = bed.client.clone();
    for (way, dropped) in [(Way::Open(1), (1, 0)), (Way::Refuses, (1, 1))] {
        bed.iroh.is(way);
        let client = client.clone();
        let call = tokio::spawn(async move { client.ask(UNARY, "hang").await });
        sleep(Duration::from_millis(10)).await;
        call.abort();
        sleep(Duration::from_millis(10)).await;
        assert_eq!(
            (bed.iroh.script.dropped(), bed.grpc.script.dropped()),
            dropped
        );
    }
    assert_eq!(bed.channel.stats().grpc.waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_open_goes_on_when_its_side_is_given_up() {
    let bed = bed();
    bed.works().await;
    let (sender, lines) = Streaming::channel(1);
    let mut said = bed.client.chat(lines).await.unwrap();
    for _ in 0..3 {
        sender.send("a".into()).await.unwrap();
        assert_eq!(said.next().await.unwrap().unwrap(), "a".into());
        bed.iroh.is(Way::Refuses);
        calls_for(&bed, SECOND).await;
    }
    assert_eq!(bed.begun().0, 2);
}

#[tokio::test(start_paused = true)]
async fn what_people_see_of_it() {
    let bed = bed();
    bed.works().await;
    bed.iroh.is(Way::Refuses);
    bed.works().await;
    let stats = bed.channel.stats();
    let text = stats.render("to \"b\"");
    for line in [
        "blixard_rpc_dual_calls_total{channel=\"to \\\"b\\\"\",transport=\"iroh\"} 2",
        "blixard_rpc_dual_calls_total{channel=\"to \\\"b\\\"\",transport=\"grpc\"} 1",
        "blixard_rpc_dual_calls_moved_total{channel=\"to \\\"b\\\"\",transport=\"iroh\"} 1",
        "blixard_rpc_dual_up{channel=\"to \\\"b\\\"\",transport=\"iroh\"} 0",
        "blixard_rpc_dual_up{channel=\"to \\\"b\\\"\",transport=\"grpc\"} 1",
        "blixard_rpc_dual_switches_total{channel=\"to \\\"b\\\"\"} 1",
    ] {
        assert!(text.lines().any(|it| it == line), "{text}\n has no {line}");
    }
    assert_eq!(stats.iroh.standing.to_string(), "away: refused");
    assert!(format!("{:?}", bed.channel).contains("switches: 1"));
}
