//! One channel over iroh and gRPC: what becomes of calls when a side is killed, stopped, walled off or slow, and comes back.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use blixard_rpc::{
    Channel, Code, Context, Layer, Memory, Pool, PoolConfig, PooledChannel, Status,
    backoff::Backoff,
    runner::{
        Carry, DualChannel, DualConfig, Gate, Migration, MigrationStrategy, Prefer, Standing,
        Transport,
    },
    testing::Faults,
    transport::{
        grpc::{GrpcConfig, GrpcConnector, GrpcHandle, GrpcServer},
        iroh::{
            AcceptConfig, IrohConnector, IrohPeer, IrohServer, Limits, SecretKey, ServerHandle,
        },
    },
};
use blixard_services::health::{
    Health, HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
    HealthServer, ServingStatus,
};
use blixard_tests::{
    ledger::{self, Book, Ledger, LedgerClient},
    net::{endpoint, endpoint_at, endpoint_of, endpoint_v6, soon},
    tcp::TcpRelay,
    udp::UdpRelay,
};
use tokio::{task::JoinSet, time::Instant};

type Dual = DualChannel<PooledChannel<IrohConnector>, PooledChannel<GrpcConnector>>;

/// Calls go on over the other side within a second of when their own fell silent.
const GONE_ON: Duration = Duration::from_secs(1);

/// How often a side falls silent in a test. It is the middle time that is judged: once, the machine may have been busy with something
/// else.
const ROUNDS: usize = 3;

#[track_caller]
fn check_gone_on(mut longest: Vec<Duration>) {
    longest.sort();
    println!("the longest call of each round, of those that go on: {longest:?}");
    assert_eq!(longest.len(), ROUNDS);
    assert!(longest[ROUNDS / 2] < GONE_ON, "{longest:?}");
}

/// Servers that are back are found soon: nothing of this is about how long a pool waits.
const POOL: PoolConfig = PoolConfig {
    connect_timeout: Duration::from_secs(1),
    backoff: Backoff {
        first: Duration::from_millis(50),
        longest: Duration::from_millis(200),
    },
    stable_after: Duration::from_secs(1),
    idle_timeout: Duration::from_secs(300),
    max_connections: 16,
};

async fn dual(prefer: Prefer, iroh: IrohPeer, grpc: SocketAddr) -> Dual {
    dual_with(DualConfig::default(), prefer, iroh, grpc).await
}

async fn dual_with(config: DualConfig, prefer: Prefer, iroh: IrohPeer, grpc: SocketAddr) -> Dual {
    let strategy = MigrationStrategy::new(Carry::Both(prefer));
    DualChannel::with_config(
        Pool::with_config(IrohConnector::new(endpoint().await), POOL).channel(iroh),
        Pool::with_config(GrpcConnector::new(), POOL).channel(grpc.into()),
        config,
        Migration::new(strategy),
    )
}

/// Serves the ledger over iroh in another process; it does not outlive the test.
struct Other {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Other {
    fn serve(port: u16, key: &SecretKey) -> (Self, IrohPeer) {
        let key = key.to_bytes().map(|byte| format!("{byte:02x}")).concat();
        let mut child = Command::new(env!("CARGO_BIN_EXE_peer"))
            .args(["serve", &port.to_string(), &key, &CALLERS.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        let mut other = Self { child, says };
        let ticket = other.line();
        (other, ticket.parse().unwrap())
    }

    /// Until the calls of all callers are in handlers, none of which answers any more.
    fn hold_all(&mut self) {
        writeln!(self.child.stdin.as_ref().unwrap()).unwrap();
        tokio::task::block_in_place(|| assert_eq!(self.line(), CALLERS.to_string()));
    }

    fn kill(mut self) {
        // On Unix this is SIGKILL: nothing in the process runs any more, and nothing is closed.
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn serve_grpc(book: &Arc<Book>, address: SocketAddr) -> GrpcHandle {
    loop {
        match GrpcServer::new(book.router()).bind(address).await {
            Ok(server) => return server,
            // The one before may not have let go of the port yet.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Callers that call without a pause: half of them what may be asked again, half what may not, each in a shape of its own.
struct Load {
    over: Arc<AtomicBool>,
    callers: JoinSet<()>,
    seen: Arc<Seen>,
}

/// What the callers saw.
#[derive(Default)]
struct Seen {
    next: AtomicU64,
    /// The numbers of the calls of either kind that went well.
    well: Mutex<Vec<u64>>,
    asked: Mutex<Vec<u64>>,
    /// How long those that may be asked again waited at most for their answer since a side fell silent.
    waited: Mutex<Waited>,
    /// The calls that did not.
    failed: Mutex<Vec<(u64, Status)>>,
    /// Those that may be asked again, were answered, and whose responses broke off then: they stay where they are.
    broken: Mutex<Vec<(u64, Status)>>,
    in_flight: Mutex<BTreeSet<u64>>,
}

/// How long it took at most, counted from `since`.
#[derive(Default)]
struct Waited {
    since: Option<Instant>,
    longest: Duration,
}

/// Whether the call with this number may be asked again; what shape it has, says [`ledger::call`].
const fn may_be_asked_again(id: u64) -> bool {
    id & 4 != 0
}

const CALLERS: u64 = 64;

impl Load {
    fn new(channel: &Dual) -> Self {
        let (over, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Seen::default()));
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (over, seen) = (Arc::clone(&over), Arc::clone(&seen));
            let client = LedgerClient::new(channel.clone());
            callers.spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    seen.call(&client, caller % 8).await;
                }
            });
        }
        Self {
            over,
            callers,
            seen,
        }
    }

    /// Until so many more calls have come over a side.
    async fn until(&self, channel: &Dual, side: Transport, calls: u64) {
        let enough = channel.stats().side(side).calls + calls;
        let reached = async {
            while channel.stats().side(side).calls < enough {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(30), reached)
            .await
            .is_err()
        {
            panic!("no calls over {side}: {:?}", channel.stats());
        }
    }

    async fn until_back(&self, channel: &Dual, side: Transport) {
        let back = async {
            while channel.stats().route != Some(side) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(30), back)
            .await
            .is_err()
        {
            panic!("{side} is not back: {:?}", channel.stats());
        }
    }

    async fn until_none_waits(&self, channel: &Dual, side: Transport) {
        soon(async {
            while channel.stats().side(side).waiting > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// Until the callers know what became of these calls.
    async fn until_all_know(&self, calls: &BTreeSet<u64>) {
        soon(async {
            while !self.seen.in_flight.lock().unwrap().is_disjoint(calls) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    async fn end(mut self) -> Arc<Seen> {
        self.over.store(true, Ordering::Relaxed);
        while let Some(caller) = soon(self.callers.join_next()).await {
            caller.unwrap();
        }
        self.seen
    }
}

impl Seen {
    async fn call(&self, client: &LedgerClient<Dual>, kind: u64) {
        let id = self.next.fetch_add(1, Ordering::Relaxed) * 8 + kind;
        self.in_flight.lock().unwrap().insert(id);
        if may_be_asked_again(id) {
            let begin = Instant::now();
            let responses = match ledger::ask(client, id).await {
                Ok(responses) => responses,
                Err(status) => panic!("{id} may be asked again: {status:?}"),
            };
            {
                let mut waited = self.waited.lock().unwrap();
                let since = waited.since.map_or(begin, |since| since.max(begin));
                waited.longest = waited.longest.max(since.elapsed());
            }
            match responses.await {
                Ok(()) => self.asked.lock().unwrap().push(id),
                Err(status) => self.broken.lock().unwrap().push((id, status)),
            }
        } else {
            match ledger::call(client, id).await {
                Ok(()) => self.well.lock().unwrap().push(id),
                Err(status) => self.failed.lock().unwrap().push((id, status)),
            }
        }
        self.in_flight.lock().unwrap().remove(&id);
    }

    /// A side falls silent.
    fn count_from_now(&self) {
        *self.waited.lock().unwrap() = Waited {
            since: Some(Instant::now()),
            longest: Duration::ZERO,
        };
    }

    /// How long calls that may be asked again have waited since then.
    fn longest(&self) -> Duration {
        self.waited.lock().unwrap().longest
    }

    fn failures(&self) -> usize {
        self.failed.lock().unwrap().len() + self.broken.lock().unwrap().len()
    }

    /// That only calls failed which a side had taken and lost, at most one a caller each time that a side fell silent; and of those that
    /// may be asked again only such as were answered before.
    fn check_failures(&self, times: usize) {
        for (calls, callers) in [(&self.failed, CALLERS / 2), (&self.broken, CALLERS / 4)] {
            let failed = calls.lock().unwrap();
            for (id, status) in &*failed {
                assert_eq!(status.code(), Code::Unavailable, "{id}: {status:?}");
                assert!(
                    !status.message().contains("both transports"),
                    "{id} was sent twice: {status:?}"
                );
            }
            assert!(failed.len() <= times * callers as usize, "{failed:?}");
        }
    }

    /// What became of calls that were in the handlers of a side when it died: those that may be asked again went on over gRPC, and the
    /// others were lost, and told so once.
    fn check_in_handlers(&self, calls: &BTreeSet<u64>, book: &Book) {
        let asked: BTreeSet<u64> = self.asked.lock().unwrap().iter().copied().collect();
        let failed: Vec<u64> = {
            let failed = self.failed.lock().unwrap();
            failed.iter().map(|(id, _)| *id).collect()
        };
        for kind in 0..8 {
            let of_kind = calls.iter().filter(|id| **id % 8 == kind);
            assert_eq!(of_kind.count() as u64, CALLERS / 8, "of kind {kind}");
        }
        for id in calls {
            let came = book.came(*id);
            let failures = failed.iter().filter(|failed| *failed == id).count();
            if may_be_asked_again(*id) {
                assert_eq!(came, [Transport::Grpc], "{id} goes on");
                assert!(asked.contains(id), "{id} is answered");
            } else {
                assert_eq!(came, [], "{id} may not be done twice");
                assert_eq!(failures, 1, "{id} is told once");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_iroh_side_is_killed_under_load_and_comes_back() {
    let (key, book) = (SecretKey::generate(), Arc::new(Book::default()));
    let (mut other, peer) = Other::serve(0, &key);
    let port = peer.address().ip_addrs().next().unwrap().port();
    let grpc = serve_grpc(&book, any()).await;
    let channel = dual(Prefer::Iroh, peer.clone(), grpc.local_addr().unwrap()).await;
    let load = Load::new(&channel);
    let mut longest = Vec::new();
    for round in 1..=ROUNDS {
        load.until(&channel, Transport::Iroh, 500).await;
        let (over_grpc, failed) = (book.over(Transport::Grpc), load.seen.failures());

        other.hold_all();
        let in_handlers = load.seen.in_flight.lock().unwrap().clone();
        load.seen.count_from_now();
        let killed = Instant::now();
        other.kill();
        load.until(&channel, Transport::Grpc, 1).await;
        println!(
            "the first call went on {:?} after the kill",
            killed.elapsed()
        );
        load.until(&channel, Transport::Grpc, 500).await;
        // Those that may not be sent again wait for what iroh finds out.
        load.until_none_waits(&channel, Transport::Iroh).await;
        println!(
            "the last that was lost was told {:?} after the kill",
            killed.elapsed()
        );
        load.until_all_know(&in_handlers).await;
        longest.push(load.seen.longest());
        load.seen.check_in_handlers(&in_handlers, &book);
        assert_eq!(
            load.seen.failures() - failed,
            CALLERS as usize / 2,
            "no others are lost"
        );
        if round == 1 {
            assert_eq!(over_grpc, 0);
        }

        let (again, same) = Other::serve(port, &key);
        assert_eq!(same, peer);
        other = again;
        let failed = load.seen.failures();
        load.until_back(&channel, Transport::Iroh).await;
        load.until(&channel, Transport::Iroh, 1000).await;
        assert_eq!(load.seen.failures(), failed, "on the way back none is lost");
        let stats = channel.stats();
        assert_eq!(
            stats.switches,
            2 * round as u64,
            "there and back: {stats:?}"
        );
    }
    load.end().await.check_failures(ROUNDS);
    check_gone_on(longest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_firewall_that_eats_udp() {
    let book = Arc::new(Book::default());
    // Most calls wait for a place all the time: a dead side is noticed all the same.
    let config = AcceptConfig {
        connection: Limits {
            max_calls: 16,
            ..Limits::default()
        },
        ..AcceptConfig::default()
    };
    let (iroh, relay) = behind_relay(&book, config).await;
    let grpc = serve_grpc(&book, any()).await;
    let channel = dual(
        Prefer::Iroh,
        by_way_of(&iroh, &relay),
        grpc.local_addr().unwrap(),
    )
    .await;
    let load = Load::new(&channel);
    let mut longest = Vec::new();
    for round in 1..=ROUNDS {
        load.until(&channel, Transport::Iroh, 500).await;
        assert!(relay.passed() > 0, "there is another way");
        let over_grpc = book.over(Transport::Grpc);

        load.seen.count_from_now();
        relay.cut(true);
        let cut = Instant::now();
        load.until(&channel, Transport::Grpc, 1).await;
        println!("the first call went on {:?} after the cut", cut.elapsed());
        load.until(&channel, Transport::Grpc, 500).await;
        load.until_none_waits(&channel, Transport::Iroh).await;
        longest.push(load.seen.longest());
        let Standing::Away(reason) = channel.stats().iroh.standing else {
            panic!("nothing passes: {:?}", channel.stats());
        };
        println!("iroh is away: {reason}");
        if round == 1 {
            assert_eq!(over_grpc, 0);
        }

        relay.cut(false);
        load.until_back(&channel, Transport::Iroh).await;
        load.until(&channel, Transport::Iroh, 1000).await;
        let stats = channel.stats();
        assert_eq!(
            stats.switches,
            2 * round as u64,
            "there and back: {stats:?}"
        );
    }
    let seen = load.end().await;
    seen.check_failures(ROUNDS);

    // Both sides have one book here: nothing was done twice that may not be.
    for id in &*seen.well.lock().unwrap() {
        assert_eq!(book.came(*id).len(), 1, "{id}");
    }
    for (id, status) in &*seen.failed.lock().unwrap() {
        assert!(book.came(*id).len() <= 1, "{id}: {status:?}");
    }
    for id in &*seen.asked.lock().unwrap() {
        assert!((1..=2).contains(&book.came(*id).len()), "{id}");
    }
    check_gone_on(longest);
}

/// Whatever a call may not, it may take another way as long as none of it was sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_wait_for_a_place_go_on_when_their_side_falls_silent() {
    for side in Transport::ALL {
        let mut longest = Vec::new();
        for _ in 0..5 * ROUNDS {
            longest.extend(falls_silent_with_all_places_taken(side).await);
            if longest.len() == ROUNDS {
                break;
            }
        }
        check_gone_on(longest);
    }
}

/// How long the last of those that waited took to go on; `None` where the machine is so busy that the side is given up before it falls
/// silent.
async fn falls_silent_with_all_places_taken(side: Transport) -> Option<Duration> {
    /// One of each kind.
    const TAKEN: u32 = 8;
    const WAITING: u64 = 32;
    let books = [Arc::new(Book::default()), Arc::new(Book::default())];
    let book = |side: Transport| &books[usize::from(side == Transport::Grpc)];
    let config = AcceptConfig {
        connection: Limits {
            max_calls: TAKEN,
            ..Limits::default()
        },
        ..AcceptConfig::default()
    };
    let (iroh, udp) = behind_relay(book(Transport::Iroh), config).await;
    let config = GrpcConfig {
        // One is kept for critical calls.
        max_calls_per_connection: TAKEN + 1,
        ..GrpcConfig::default()
    };
    let grpc = GrpcServer::with_config(book(Transport::Grpc).router(), config);
    let grpc = grpc.bind(any()).await.unwrap();
    let tcp = TcpRelay::before(grpc.local_addr().unwrap()).await.unwrap();
    let prefer = match side {
        Transport::Iroh => Prefer::Iroh,
        Transport::Grpc => Prefer::Grpc,
    };
    let channel = dual(prefer, by_way_of(&iroh, &udp), tcp.address()).await;
    let client = LedgerClient::new(channel.clone());
    soon(ledger::call(&client, 0)).await.unwrap();

    // Half of those in handlers may be asked again, and leave their places when the side is given up.
    let mut sent = JoinSet::new();
    let in_handlers = async {
        let send = async {
            for id in 8..8 + u64::from(TAKEN) {
                let client = client.clone();
                sent.spawn(async move {
                    if may_be_asked_again(id) {
                        let answer = async { ledger::ask(&client, id).await?.await };
                        (id, answer.await)
                    } else {
                        (id, ledger::call(&client, id).await)
                    }
                });
            }
        };
        tokio::join!(book(side).hold(TAKEN as usize), send);
    };
    let has_switched = async {
        while channel.stats().switches == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(async {
        tokio::select! {
            () = in_handlers => Some(()),
            () = has_switched => None,
        }
    })
    .await?;
    let mut waiting = JoinSet::new();
    let all = 100..100 + WAITING;
    for id in all.clone() {
        let client = client.clone();
        waiting.spawn(async move { (id, ledger::call(&client, id).await) });
    }
    soon(async {
        while channel.stats().side(side).waiting < u64::from(TAKEN) + WAITING {
            if channel.stats().switches > 0 {
                return None;
            }
            tokio::task::yield_now().await;
        }
        Some(())
    })
    .await?;

    match side {
        Transport::Iroh => udp.cut(true),
        Transport::Grpc => tcp.cut(true),
    }
    let gone_on = async {
        while let Some(answer) = waiting.join_next().await {
            let (id, answer) = answer.unwrap();
            assert!(answer.is_ok(), "{id} was not sent to {side}: {answer:?}");
        }
    };
    let took = soon(time_of(gone_on)).await;
    for id in all {
        assert_eq!(book(side).came(id), [], "{id} was only held");
        assert_eq!(book(side.other()).came(id), [side.other()], "{id}");
    }

    // Where TCP falls silent it may be long before anybody says so: the connection is lost.
    let _still_needed = (side == Transport::Iroh).then_some(tcp);
    let mut lost = 0;
    while let Some(sent) = soon(sent.join_next()).await {
        let (id, answer) = sent.unwrap();
        assert_eq!(book(side).came(id), [side], "{id}");
        if may_be_asked_again(id) {
            assert!(answer.is_ok(), "{id} goes on: {answer:?}");
            assert_eq!(book(side.other()).came(id), [side.other()], "{id}");
        } else {
            let status = answer.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable, "{id}: {status:?}");
            assert!(status.was_accepted(), "{id}: {status:?}");
            assert_eq!(
                book(side.other()).came(id),
                [],
                "{id} may not be done twice"
            );
            lost += 1;
        }
    }
    assert_eq!(lost, TAKEN / 2);
    Some(took)
}

/// How long it takes. Time in which this process stands still does not count.
async fn time_of(what: impl Future<Output = ()>) -> Duration {
    const STEP: Duration = Duration::from_millis(10);
    let mut what = std::pin::pin!(what);
    let (mut took, mut last) = (Duration::ZERO, Instant::now());
    loop {
        let ended = tokio::time::timeout(STEP, &mut what).await.is_ok();
        took += last.elapsed().min(5 * STEP);
        last = Instant::now();
        if ended {
            return took;
        }
    }
}

/// Counts the questions whether a server is there.
#[derive(Debug, Default)]
struct Questions(AtomicU64);

impl Health for Questions {
    async fn check(&self, _: HealthCheckRequest) -> blixard_rpc::Result<HealthCheckResponse> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(HealthCheckResponse {
            status: ServingStatus::Serving,
        })
    }

    async fn list(&self, _: HealthListRequest) -> blixard_rpc::Result<HealthListResponse> {
        Err(Status::unimplemented("nobody asks for it"))
    }

    async fn watch(
        &self,
        _: HealthCheckRequest,
    ) -> blixard_rpc::Result<blixard_rpc::Streaming<HealthCheckResponse>> {
        Err(Status::unimplemented("nobody asks for it"))
    }
}

/// That nobody takes a side to be away whose calls wait for each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_side_whose_places_are_all_taken_is_not_silent() {
    const PLACES: u32 = 4;
    /// So long that a side that is silent is given up.
    const SLOW_MS: u64 = 2000;
    for side in Transport::ALL {
        let (book, asked) = (Arc::new(Book::default()), Arc::new(Questions::default()));
        let router = || {
            book.router()
                .add(HealthServer::from_arc(Arc::clone(&asked)))
        };
        let config = AcceptConfig {
            connection: Limits {
                max_calls: PLACES,
                ..Limits::default()
            },
            ..AcceptConfig::default()
        };
        let iroh = IrohServer::with_config(router(), config).spawn(endpoint().await);
        let config = GrpcConfig {
            max_calls_per_connection: PLACES,
            ..GrpcConfig::default()
        };
        let grpc = GrpcServer::with_config(router(), config);
        let grpc = grpc.bind(any()).await.unwrap();
        let prefer = match side {
            Transport::Iroh => Prefer::Iroh,
            Transport::Grpc => Prefer::Grpc,
        };
        let channel = dual(prefer, iroh.peer(), grpc.local_addr().unwrap()).await;
        let client = LedgerClient::new(channel.clone());
        soon(ledger::call(&client, 0)).await.unwrap();

        book.pause_ms.store(SLOW_MS, Ordering::Relaxed);
        let calls: JoinSet<_> = (1..=u64::from(PLACES) * 4)
            .map(|id| {
                let client = client.clone();
                async move { client.ask(&Context::background(), id).await }
            })
            .collect();
        soon(async {
            while channel.stats().side(side).waiting < u64::from(PLACES) * 4 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let asked_before = asked.0.load(Ordering::Relaxed);
        for answer in tokio::time::timeout(Duration::from_secs(60), calls.join_all())
            .await
            .unwrap()
        {
            let id = answer.unwrap();
            assert_eq!(book.came(id), [side], "{id}");
        }
        let stats = channel.stats();
        assert_eq!(stats.switches, 0, "{stats:?}");
        // If nothing is asked any more by now, nothing is known.
        let standing = &stats.side(side).standing;
        assert!(!matches!(standing, Standing::Away(_)), "{stats:?}");
        let questions = asked.0.load(Ordering::Relaxed) - asked_before;
        assert!(questions > 5, "{side} was asked {questions} times");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_firewall_that_was_there_before_costs_the_first_calls_half_a_second() {
    let book = Arc::new(Book::default());
    let (iroh, relay) = behind_relay(&book, AcceptConfig::default()).await;
    relay.cut(true);
    let grpc = serve_grpc(&book, any()).await;
    let channel = dual(
        Prefer::Iroh,
        by_way_of(&iroh, &relay),
        grpc.local_addr().unwrap(),
    )
    .await;
    let client = LedgerClient::new(channel.clone());
    for id in 0..20 {
        let begin = Instant::now();
        soon(ledger::call(&client, id)).await.unwrap();
        let took = begin.elapsed();
        // Half of it, and as much again for a busy machine.
        assert!(took < 2 * GONE_ON, "call {id} took {took:?}");
    }
    for id in 0..20 {
        assert_eq!(book.came(id), [Transport::Grpc]);
    }
    assert_eq!(channel.stats().iroh.calls, 0, "none was risked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_side_that_shuts_down_loses_no_call() {
    let book = Arc::new(Book::default());
    let key = SecretKey::generate();
    let mut iroh = IrohServer::new(book.router()).spawn(endpoint_of(key.clone()).await);
    let port = iroh.endpoint().bound_sockets()[0].port();
    let mut grpc = serve_grpc(&book, any()).await;
    let address = grpc.local_addr().unwrap();
    for side in Transport::ALL {
        let prefer = match side {
            Transport::Iroh => Prefer::Iroh,
            Transport::Grpc => Prefer::Grpc,
        };
        let book_before = book.over(side.other());
        let channel = dual(prefer, iroh.peer(), address).await;
        let load = Load::new(&channel);
        load.until(&channel, side, 500).await;
        assert_eq!(book.over(side.other()), book_before);
        match side {
            Transport::Iroh => {
                soon(iroh.shutdown(Duration::from_secs(5))).await;
                load.until(&channel, side.other(), 500).await;
                iroh = IrohServer::new(book.router()).spawn(endpoint_at(port, key.clone()).await);
            }
            Transport::Grpc => {
                soon(grpc.shutdown(Duration::from_secs(5))).await;
                load.until(&channel, side.other(), 500).await;
                grpc = serve_grpc(&book, address).await;
            }
        }
        load.until_back(&channel, side).await;
        load.until(&channel, side, 500).await;
        let seen = load.end().await;
        for failed in [&seen.failed, &seen.broken] {
            let failed = failed.lock().unwrap();
            assert!(failed.is_empty(), "{side}: {failed:?}");
        }
        assert_eq!(channel.stats().switches, 2, "{:?}", channel.stats());
        println!(
            "{side}: {} calls, none lost",
            seen.next.load(Ordering::Relaxed)
        );
    }
    drop((iroh, grpc));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_adaptive_choice_goes_where_answers_come_sooner() {
    let book = Arc::new(Book::default());
    let (iroh, relay) = behind_relay(&book, AcceptConfig::default()).await;
    // At first there is iroh alone.
    let later = std::net::TcpListener::bind(any()).unwrap();
    let address = later.local_addr().unwrap();
    drop(later);
    // More than the noise of a busy machine.
    let config = DualConfig {
        latency_threshold: Duration::from_millis(20),
        ..DualConfig::default()
    };
    let peer = by_way_of(&iroh, &relay);
    let channel = dual_with(config, Prefer::Adaptive, peer, address).await;
    // One call after another: else answers take as long as there are calls before them.
    let client = LedgerClient::new(channel.clone());
    let call_until = async |reached: &dyn Fn() -> bool| {
        let calls = async {
            for id in 0.. {
                ledger::call(&client, id).await.unwrap();
                if reached() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let wait = Duration::from_secs(30);
        if tokio::time::timeout(wait, calls).await.is_err() {
            panic!("it never came to that: {:?}", channel.stats());
        }
    };
    let goes = |side| channel.stats().route == Some(side);
    call_until(&|| goes(Transport::Iroh)).await;
    let _grpc = serve_grpc(&book, address).await;
    call_until(&|| channel.stats().grpc.latency.is_some()).await;
    assert_eq!(
        channel.stats().switches,
        0,
        "it is no reason that the other is there too"
    );

    let delay = Duration::from_millis(40);
    relay.delay(delay);
    call_until(&|| goes(Transport::Grpc)).await;
    let stats = channel.stats();
    let (slow, quick) = (stats.iroh.latency.unwrap(), stats.grpc.latency.unwrap());
    println!("it went from {slow:?} to {quick:?}");
    assert!(slow > quick + config.latency_threshold);
    assert!(stats.iroh.standing.is_up(), "slow is not away: {stats:?}");
    assert_eq!(stats.switches, 1);
}

/// The ledger over iroh, where only a relay leads to: the server has IPv6 alone, and clients of these tests IPv4.
async fn behind_relay(book: &Arc<Book>, config: AcceptConfig) -> (ServerHandle, UdpRelay) {
    let endpoint = endpoint_v6()
        .await
        .expect("the loopback of IPv6 can be bound");
    let target = endpoint.bound_sockets()[0];
    let server = IrohServer::with_config(book.router(), config).spawn(endpoint);
    (server, UdpRelay::before(target).await.unwrap())
}

fn by_way_of(server: &ServerHandle, relay: &UdpRelay) -> IrohPeer {
    use blixard_rpc::transport::iroh::EndpointAddr;

    EndpointAddr::new(server.endpoint().id())
        .with_ip_addr(relay.address())
        .into()
}

/// What must hold whatever befalls calls: nothing is done twice that may not be, and what is said not to be taken was not.
#[tokio::test(start_paused = true)]
async fn no_call_is_done_twice_whatever_befalls_it() {
    let seed = std::env::var("SEED").map_or_else(|_| random(), |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let (book, server) = (Arc::new(Book::default()), Migration::default());
    let side = |transport, seed| {
        let faults = Faults::new(seed)
            .delay(Duration::ZERO..=Duration::from_millis(40))
            .refuse(20)
            .lose(50)
            .cut(50, 0..=4);
        let gated = book.router().layer(Gate::new(transport, server.clone()));
        Channel::new(faults.layer(Memory::new(gated)))
    };
    let channel = DualChannel::new(
        side(Transport::Iroh, seed),
        side(Transport::Grpc, seed.wrapping_add(1)),
    );
    let client = LedgerClient::new(Channel::new(channel.clone()));
    let (calls, mut callers) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
    for caller in 0..8 {
        let (client, calls, book) = (client.clone(), Arc::clone(&calls), Arc::clone(&book));
        callers.spawn(async move {
            let mut outcomes = [0; 3];
            for _ in 0..1000 {
                let id = calls.fetch_add(1, Ordering::Relaxed);
                let idempotent = caller % 4 == 0;
                let answer = if idempotent {
                    client.ask(&Context::background(), id).await.map(drop)
                } else {
                    ledger::call(&client, id).await
                };
                let came = book.came(id).len();
                let most = if idempotent { 2 } else { 1 };
                match answer {
                    Ok(()) => {
                        assert!((1..=most).contains(&came), "{id} came {came} times");
                        outcomes[0] += 1;
                    }
                    Err(status) => {
                        assert_eq!(status.code(), Code::Unavailable, "{id}: {status:?}");
                        let most = if status.was_accepted() { most } else { 0 };
                        assert!(came <= most, "{id} came {came} times: {status:?}");
                        outcomes[1 + usize::from(status.was_accepted())] += 1;
                    }
                }
            }
            outcomes
        });
    }
    let mut all = [0; 3];
    let mut carries = [Carry::Iroh, Carry::Grpc, Carry::default()]
        .into_iter()
        .cycle();
    while !callers.is_empty() {
        tokio::select! {
            outcomes = callers.join_next() => {
                let outcomes: [u64; 3] = outcomes.unwrap().unwrap();
                all.iter_mut().zip(outcomes).for_each(|(all, one)| *all += one);
            }
            () = tokio::time::sleep(Duration::from_millis(700)) => {
                server.set(MigrationStrategy::new(carries.next().unwrap()));
            }
        }
    }
    let [well, refused, lost] = all;
    let stats = channel.stats();
    println!("{well} calls went well, {refused} were refused twice, {lost} were lost; {stats:?}");
    assert!(
        lost > 100 && stats.iroh.moved > 100,
        "too little befell them"
    );
    // One in fifty is refused at first. Two thirds of the time one side alone carries the service, and there is nowhere to go on.
    assert!(refused < 8000 / 50, "{refused} were refused twice");
}

fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};

    RandomState::new().hash_one(0)
}
