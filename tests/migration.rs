//! Services on gRPC, on iroh and on both, and moved from one to the other while they are called.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use blixard_rpc::{
    Channel, Code, Context, Pool, PooledChannel, Router,
    runner::{
        Carry, DualChannel, DualConfig, Migration, MigrationStrategy, Mode, Prefer, RunnerConfig,
        Running, ServiceRunner, Transport,
    },
    transport::{
        grpc::{GrpcConnector, GrpcServer},
        iroh::{IrohConnector, IrohServer},
    },
};
use blixard_tests::{
    ledger::{self, Book, Ledger, LedgerClient, LedgerService},
    net::{endpoint, soon},
    talk::{Talk, TalkClient, TalkServer, Talker},
};
use tokio::{net::TcpListener, task::JoinSet};

type Dual = DualChannel<PooledChannel<IrohConnector>, PooledChannel<GrpcConnector>>;

/// Serves both services in a mode.
async fn serve(book: &Arc<Book>, mode: Mode, migration: Migration) -> Running {
    runner(book.router(), mode)
        .await
        .migration(migration)
        .start()
        .unwrap()
}

async fn runner(router: Router, mode: Mode) -> ServiceRunner {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    ServiceRunner::new(router.add(TalkServer::new(Talker::default())), mode)
        .iroh(endpoint().await, IrohServer::new)
        .grpc(listener, GrpcServer::new)
}

async fn over_iroh(running: &Running) -> PooledChannel<IrohConnector> {
    Pool::new(IrohConnector::new(endpoint().await)).channel(running.iroh_peer().unwrap())
}

fn over_grpc(running: &Running) -> PooledChannel<GrpcConnector> {
    Pool::new(GrpcConnector::new()).channel(running.grpc_addr().unwrap().into())
}

async fn dual(running: &Running, migration: Migration) -> Dual {
    DualChannel::with_config(
        over_iroh(running).await,
        over_grpc(running),
        DualConfig::default(),
        migration,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mode_serves_what_it_says() {
    for (mode, iroh, grpc) in [
        (Mode::Grpc, false, true),
        (Mode::Iroh, true, false),
        (Mode::Dual, true, true),
    ] {
        let book = Arc::new(Book::default());
        let running = serve(&book, mode, Migration::default()).await;
        assert_eq!(running.mode(), mode);
        assert_eq!(running.iroh_peer().is_some(), iroh, "{mode:?}");
        assert_eq!(running.grpc_addr().is_some(), grpc, "{mode:?}");
        let mut expected = Vec::new();
        if iroh {
            let client = LedgerClient::new(over_iroh(&running).await);
            soon(client.put(&Context::background(), 1)).await.unwrap();
            expected.push(Transport::Iroh);
        }
        if grpc {
            let client = LedgerClient::new(over_grpc(&running));
            soon(client.put(&Context::background(), 1)).await.unwrap();
            expected.push(Transport::Grpc);
        }
        assert_eq!(book.came(1), expected);
        soon(running.shutdown(Duration::from_secs(5))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_service_on_grpc_and_one_on_iroh() {
    let book = Arc::new(Book::default());
    let strategy =
        MigrationStrategy::new(Carry::Iroh).service(LedgerService::descriptor().name, Carry::Grpc);
    let running = serve(&book, Mode::Dual, Migration::new(strategy)).await;
    let cx = Context::background();

    // Each where it is carried, and told so where it is not.
    let (iroh, grpc) = (over_iroh(&running).await, over_grpc(&running));
    soon(LedgerClient::new(grpc.clone()).put(&cx, 1))
        .await
        .unwrap();
    soon(TalkClient::new(iroh.clone()).who(&cx)).await.unwrap();
    let refused = [
        soon(LedgerClient::new(iroh).put(&cx, 2)).await.unwrap_err(),
        soon(TalkClient::new(grpc).who(&cx)).await.unwrap_err(),
    ];
    for (status, says) in refused.iter().zip([
        "ledger.v1.Ledger is not carried by iroh any more: call it over gRPC",
        "process.v1.Talk is not carried by gRPC any more: call it over iroh",
    ]) {
        assert_eq!((status.code(), status.message()), (Code::Unavailable, says));
        assert!(!status.was_accepted());
    }
    assert_eq!(book.came(2), []);

    // One channel finds both, whatever it prefers.
    for prefer in [Prefer::Iroh, Prefer::Grpc, Prefer::Adaptive] {
        let migration = Migration::new(MigrationStrategy::new(Carry::Both(prefer)));
        let channel = Channel::new(dual(&running, migration).await);
        let (ledger, talk) = (LedgerClient::new(channel.clone()), TalkClient::new(channel));
        for id in 4..12 {
            soon(ledger::call(&ledger, id)).await.unwrap();
            let who = soon(talk.who(&cx)).await.unwrap();
            assert!(!who.starts_with("127.0.0.1"), "{who} is no key");
        }
    }
    for id in 4..12 {
        assert_eq!(book.came(id), [Transport::Grpc; 3], "{id}");
    }
}

/// How many callers there are at once.
const CALLERS: u64 = 64;

/// Moves the ledger to and fro while it is called, each time until so many calls have come over where it is.
async fn moved_under_load(running: &Running, book: &Arc<Book>, channel: &Dual) {
    let client = LedgerClient::new(channel.clone());
    let (over, next) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (over, next, client) = (Arc::clone(&over), Arc::clone(&next), client.clone());
        callers.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let id = next.fetch_add(1, Ordering::Relaxed);
                // Not one may fail.
                ledger::call(&client, id).await.unwrap();
            }
        });
    }
    let carries = [
        (Carry::Grpc, Transport::Grpc),
        (Carry::Iroh, Transport::Iroh),
        (Carry::Grpc, Transport::Grpc),
        (Carry::Both(Prefer::Iroh), Transport::Iroh),
        (Carry::Grpc, Transport::Grpc),
        (Carry::Iroh, Transport::Iroh),
    ];
    for (carry, transport) in carries {
        let name = LedgerService::descriptor().name;
        let strategy = MigrationStrategy::default().service(name, carry);
        running.apply(strategy).unwrap();
        let enough = book.over(transport) + 4 * CALLERS as usize;
        let reached = async {
            while book.over(transport) < enough {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reached)
            .await
            .unwrap_or_else(|_| panic!("no calls over {transport} after {carry:?}"));
    }
    over.store(true, Ordering::Relaxed);
    while let Some(caller) = soon(callers.join_next()).await {
        caller.unwrap();
    }
    let calls = next.load(Ordering::Relaxed);
    for id in 0..calls {
        let came = book.came(id);
        assert_eq!(came.len(), 1, "call {id} came {came:?}");
    }
    let stats = channel.stats();
    println!(
        "{calls} calls: {} over iroh, {} over gRPC; {} found out that the service had moved",
        book.over(Transport::Iroh),
        book.over(Transport::Grpc),
        stats.iroh.moved + stats.grpc.moved
    );
    assert_eq!(stats.switches, 0, "no side was away: {stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_moves_under_load_and_clients_follow_the_server() {
    let book = Arc::new(Book::default());
    let running = serve(&book, Mode::Dual, Migration::default()).await;
    let channel = dual(&running, Migration::default()).await;
    moved_under_load(&running, &book, &channel).await;
    let moved = channel.stats();
    assert!(moved.iroh.moved + moved.grpc.moved > 0, "nobody was told");
    soon(running.shutdown(Duration::from_secs(5))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_moves_under_load_with_one_strategy_for_both() {
    let book = Arc::new(Book::default());
    let migration = Migration::default();
    let running = serve(&book, Mode::Dual, migration.clone()).await;
    let channel = dual(&running, migration).await;
    moved_under_load(&running, &book, &channel).await;
    soon(running.shutdown(Duration::from_secs(5))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_flight_goes_on_where_it_is() {
    let book = Arc::new(Book::default());
    let running = serve(&book, Mode::Dual, Migration::default()).await;
    let client = LedgerClient::new(dual(&running, Migration::default()).await);
    let cx = Context::background();
    let (sender, ids) = blixard_rpc::Streaming::channel(1);
    sender.send(1).await.unwrap();
    let mut back = soon(client.chat(&cx, ids)).await.unwrap();
    assert_eq!(soon(back.next()).await.unwrap().unwrap(), 1);
    running.apply(MigrationStrategy::new(Carry::Grpc)).unwrap();
    soon(client.put(&cx, 2)).await.unwrap();
    for number in 3..10 {
        sender.send(number).await.unwrap();
        assert_eq!(soon(back.next()).await.unwrap().unwrap(), number);
    }
    drop(sender);
    assert!(soon(back.next()).await.is_none());
    assert_eq!(book.came(1), [Transport::Iroh]);
    assert_eq!(book.came(2), [Transport::Grpc]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_ends_what_is_in_flight_on_both_and_begins_nothing() {
    let book = Arc::new(Book::default());
    book.pause_ms.store(500, Ordering::Relaxed);
    let running = serve(&book, Mode::Dual, Migration::default()).await;
    let (iroh, grpc) = (
        LedgerClient::new(Channel::new(over_iroh(&running).await)),
        LedgerClient::new(Channel::new(over_grpc(&running))),
    );
    let mut calls = JoinSet::new();
    for (id, client) in [(1, iroh.clone()), (2, grpc.clone())] {
        calls.spawn(async move { client.put(&Context::background(), id).await });
    }
    soon(async {
        while book.came(1).is_empty() || book.came(2).is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    soon(running.shutdown(Duration::from_secs(5))).await;
    while let Some(call) = soon(calls.join_next()).await {
        call.unwrap().unwrap();
    }
    for (id, client) in [(3, iroh), (4, grpc)] {
        let status = soon(client.put(&Context::background(), id))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert_eq!(book.came(id), []);
    }
}

#[tokio::test]
async fn what_cannot_be_served_does_not_start() {
    let book = Arc::new(Book::default());
    let grpc_only = MigrationStrategy::new(Carry::Grpc);
    let unknown = MigrationStrategy::default().service("ledger.v1.Leger", Carry::Grpc);
    for (mode, strategy, says) in [
        (
            Mode::Dual,
            unknown.clone(),
            "migration.services.\"ledger.v1.Leger\".carry = \"grpc\": no such service is served here; those are [\"ledger.v1.Ledger\", \"process.v1.Talk\"]",
        ),
        (
            Mode::Iroh,
            grpc_only.clone(),
            "migration.carry = \"grpc\": that is all that carries ledger.v1.Ledger, and mode = \"iroh\" does not serve it; allowed is \"both\" or \"iroh\", or the mode \"dual\"",
        ),
        (
            Mode::Grpc,
            MigrationStrategy::default().service("ledger.v1.Ledger", Carry::Iroh),
            "migration.services.\"ledger.v1.Ledger\".carry = \"iroh\": that is all that carries ledger.v1.Ledger, and mode = \"grpc\" does not serve it; allowed is \"both\" or \"grpc\", or the mode \"dual\"",
        ),
    ] {
        let runner = runner(book.router(), mode).await;
        let status = runner
            .migration(Migration::new(strategy))
            .start()
            .unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::InvalidArgument, says)
        );
    }
    let status = ServiceRunner::new(book.router(), Mode::Dual)
        .iroh(endpoint().await, IrohServer::new)
        .start()
        .unwrap_err();
    assert!(status.message().contains("call `.grpc(..)`"), "{status}");

    // Nor is it applied later.
    let running = serve(&book, Mode::Iroh, Migration::default()).await;
    for strategy in [grpc_only, unknown] {
        running.apply(strategy).unwrap_err();
        assert_eq!(*running.migration().current(), MigrationStrategy::default());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_is_served() {
    let page = "
        mode = \"dual\"
        iroh = { bind = \"127.0.0.1:0\", relays = \"none\" }
        migration.services.\"ledger.v1.Ledger\".carry = \"iroh\"
    ";
    let variables = [("TEST_GRPC__LISTEN".to_owned(), "127.0.0.1:0".to_owned())];
    let config = RunnerConfig::parse(page, "TEST", variables).unwrap();
    let book = Arc::new(Book::default());
    let router = book.router().add(TalkServer::new(Talker::default()));
    let running = config.runner(router).await.unwrap().start().unwrap();
    let channel = dual(&running, Migration::new(config.migration.clone())).await;
    let client = LedgerClient::new(channel);
    for id in 0..4 {
        soon(ledger::call(&client, id)).await.unwrap();
        assert_eq!(book.came(id), [Transport::Iroh]);
    }
    let who = soon(TalkClient::new(over_grpc(&running)).who(&Context::background())).await;
    who.unwrap();
    soon(running.shutdown(config.shutdown_grace)).await;
}

#[tokio::test]
async fn a_configuration_that_cannot_be_served_says_which_key_it_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = listener.local_addr().unwrap();
    let folder = env!("CARGO_MANIFEST_DIR");
    for (page, says) in [
        (
            format!("mode = \"grpc\"\ngrpc.listen = \"{taken}\""),
            format!("grpc.listen = \"{taken}\": it cannot be bound: "),
        ),
        (
            "mode = \"iroh\"\niroh.secret_key_file = \"/nowhere/key\"".to_owned(),
            "iroh.secret_key_file = \"/nowhere/key\": it cannot be read: ".to_owned(),
        ),
        (
            format!("mode = \"iroh\"\niroh.secret_key_file = \"{folder}/Cargo.toml\""),
            format!(
                "iroh.secret_key_file = \"{folder}/Cargo.toml\": it holds no key; allowed are 64 hexadecimal digits"
            ),
        ),
        (
            format!(
                "mode = \"grpc\"\n[grpc]\nlisten = \"127.0.0.1:0\"\ntls = {{ certificate_file = \"{folder}/Cargo.toml\", key_file = \"/nowhere/key\" }}"
            ),
            "grpc.tls.key_file = \"/nowhere/key\": it cannot be read: ".to_owned(),
        ),
        (
            format!(
                "mode = \"grpc\"\n[grpc]\nlisten = \"127.0.0.1:0\"\ntls = {{ certificate_file = \"{folder}/Cargo.toml\", key_file = \"{folder}/Cargo.toml\" }}"
            ),
            "grpc.tls: ".to_owned(),
        ),
        // Said before anything is bound.
        (
            format!("mode = \"grpc\"\ngrpc.listen = \"{taken}\"\nmigration.carry = \"iroh\""),
            "migration.carry = \"iroh\": that is all that carries ledger.v1.Ledger".to_owned(),
        ),
        (
            format!(
                "mode = \"grpc\"\ngrpc.listen = \"{taken}\"\nmigration.services.\"a.B\".carry = \"grpc\""
            ),
            "migration.services.\"a.B\".carry = \"grpc\": no such service".to_owned(),
        ),
    ] {
        let config = RunnerConfig::parse(&page, "TEST", []).unwrap();
        let router = Arc::new(Book::default()).router();
        let error = config.runner(router).await.unwrap_err().to_string();
        assert!(
            error.starts_with(&says),
            "{error:?} does not begin with {says:?}"
        );
    }
}
