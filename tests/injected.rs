//! What the faults of `blixard_rpc::testing` do to calls, and that they follow from their seed.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use blixard_rpc::{
    Channel, Code, Layer, Memory, Result, Router, Streaming, iroh_service, middleware::Retry,
    testing::Faults,
};
use tokio::time::Instant;

#[iroh_service(package = "injected.v1")]
trait Store {
    async fn add(&self, number: u64) -> Result<u64>;
    async fn list(&self, count: u64) -> Result<Streaming<u64>>;
    async fn sum(&self, numbers: Streaming<u64>) -> Result<u64>;
    async fn echo(&self, numbers: Streaming<u64>) -> Result<Streaming<u64>>;
}

/// Counts what reaches it.
#[derive(Clone, Default)]
struct MyStore {
    added: Arc<AtomicUsize>,
    /// Messages of streams that came before their end, and how that was.
    summed: Arc<AtomicUsize>,
    cancelled: Arc<AtomicUsize>,
}

impl Store for MyStore {
    async fn add(&self, number: u64) -> Result<u64> {
        self.added.fetch_add(1, Ordering::Relaxed);
        Ok(number)
    }
    async fn list(&self, count: u64) -> Result<Streaming<u64>> {
        Ok(Streaming::from_iter(0..count))
    }
    async fn sum(&self, mut numbers: Streaming<u64>) -> Result<u64> {
        let mut sum = 0;
        while let Some(number) = numbers.next().await {
            match number {
                Ok(number) => sum += number,
                Err(status) => {
                    assert_eq!(status.code(), Code::Cancelled, "{status}");
                    self.cancelled.fetch_add(1, Ordering::Relaxed);
                    return Err(status);
                }
            }
            self.summed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(sum)
    }
    async fn echo(&self, numbers: Streaming<u64>) -> Result<Streaming<u64>> {
        Ok(numbers)
    }
}

/// A client to a store, over these faults.
fn store(faults: &Faults) -> (StoreClient, MyStore) {
    let store = MyStore::default();
    let memory = Memory::new(Router::new().add(StoreServer::new(store.clone())));
    let channel = Channel::new(faults.layer(memory));
    (StoreClient::new(channel), store)
}

/// How so many calls ended: `.` well, `r` refused, `l` lost.
async fn outcomes(faults: Faults, calls: u64) -> String {
    let (client, _) = store(&faults);
    let mut outcomes = String::new();
    for number in 0..calls {
        outcomes.push(match client.add(number).await {
            Ok(answer) if answer == number => '.',
            Ok(answer) => panic!("{answer} is not {number}"),
            Err(status) if !status.was_accepted() => 'r',
            Err(_) => 'l',
        });
    }
    outcomes
}

#[tokio::test(start_paused = true)]
async fn what_befalls_calls_follows_from_the_seed() {
    let faults = |seed| Faults::new(seed).refuse(200).lose(100);
    let first = outcomes(faults(1), 300).await;
    assert_eq!(first, outcomes(faults(1), 300).await);
    assert_ne!(first, outcomes(faults(2), 300).await);
    let share = |what| first.matches(what).count();
    // Of 300, 60 and 24 are to be expected.
    assert!((30..90).contains(&share('r')), "{first}");
    assert!((10..50).contains(&share('l')), "{first}");
    // What one setting does, another does not change.
    let alone = outcomes(Faults::new(1).refuse(200), 300).await;
    assert_eq!(first.replace('l', "."), alone);
    assert_eq!(outcomes(Faults::new(1), 300).await, ".".repeat(300));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_may_be_sent_again_and_what_is_lost_may_not() {
    let (faults, calls) = (Faults::new(3).refuse(300), 100);
    let (_, counted) = store(&faults);
    let memory = Memory::new(Router::new().add(StoreServer::new(counted.clone())));
    let patient = Retry::new().max_attempts(20).layer(faults.layer(memory));
    let client = StoreClient::new(Channel::new(patient));
    for number in 0..calls {
        assert_eq!(client.add(number).await.unwrap(), number);
    }
    assert_eq!(counted.added.load(Ordering::Relaxed), 100, "each once");
    let injected = faults.injected();
    assert!(injected.refused > 0);
    assert_eq!(injected.calls - injected.refused as u64, calls);

    let faults = Faults::new(3).lose(1000);
    let (client, counted) = store(&faults);
    let status = client.add(1).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.was_accepted());
    assert!(status.message().contains("call 0 of seed 3"), "{status}");
    assert_eq!(counted.added.load(Ordering::Relaxed), 1);
    assert_eq!(faults.injected().lost, 1);
    faults.heal();
    assert_eq!(client.add(2).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn calls_are_delayed_within_the_range() {
    let (shortest, longest) = (Duration::from_millis(10), Duration::from_millis(50));
    let faults = Faults::new(4).delay(shortest..=longest);
    let (client, _) = store(&faults);
    let mut took = Vec::new();
    for number in 0..50 {
        let begin = Instant::now();
        client.add(number).await.unwrap();
        took.push(begin.elapsed());
    }
    // The clock goes in steps of a millisecond.
    let longest = longest + Duration::from_millis(1);
    assert!(
        took.iter().all(|took| (shortest..=longest).contains(took)),
        "{took:?}"
    );
    assert!(took.iter().max() > took.iter().min());
}

#[tokio::test(start_paused = true)]
async fn streams_are_cut_each_way() {
    for seed in 0..20 {
        let faults = Faults::new(seed).cut(1000, 3..=5);
        let (client, counted) = store(&faults);

        let mut numbers = client.list(100).await.unwrap();
        let mut came = 0;
        let status = loop {
            match numbers.next().await.unwrap() {
                Ok(number) => assert_eq!(number, came),
                Err(status) => break status,
            }
            came += 1;
        };
        assert!((3..=5).contains(&came), "{came}");
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.was_accepted());

        // One that is shorter passes.
        let numbers = client.list(2).await.unwrap().collect().await;
        assert_eq!(numbers.unwrap(), [0, 1]);

        let status = client.sum(Streaming::from_iter(0..100)).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert_eq!(counted.cancelled.load(Ordering::Relaxed), 1);
        let summed = counted.summed.load(Ordering::Relaxed);
        assert!((3..=5).contains(&summed), "{summed}");

        let echo = client.echo(Streaming::from_iter(0..100)).await.unwrap();
        let status = echo.collect().await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(faults.injected().cut >= 3);
    }
}
