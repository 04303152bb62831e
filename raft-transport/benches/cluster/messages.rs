//! One-way messages from one member to another: how many, and how long an election message takes beside them.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use blixard_raft_transport::{Class, Engine, MemberId, RaftMessage, SendError, Transport};
use blixard_rpc::{
    Result,
    runner::{Mode, Running},
};

use crate::{
    Outcome, Plan,
    nodes::Sites,
    raw::Pair,
    report::{
        Least::{Any, Over, Under},
        Report,
        Unit::{Millis, PerSecond, Times},
        millis, quantile,
    },
};

/// Counts what is delivered, and notes how long elections took.
struct Counter {
    began: Instant,
    log: AtomicU64,
    elections: Mutex<Vec<f64>>,
}

impl Engine for Counter {
    async fn deliver(&self, _: MemberId, class: Class, messages: Vec<RaftMessage>) -> Result<()> {
        if class != Class::Election {
            self.log.fetch_add(messages.len() as u64, Ordering::Relaxed);
            return Ok(());
        }
        let now = self.began.elapsed();
        let took = messages
            .iter()
            .map(|message| millis(now.saturating_sub(Duration::from_nanos(message.term))));
        self.elections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(took);
        Ok(())
    }
}

struct Pairing {
    mode: Mode,
    from: Transport,
    there: Arc<Counter>,
    _sites: Sites,
    _running: [Running; 2],
}

impl Pairing {
    async fn start(mode: Mode) -> Outcome<Arc<Self>> {
        let sites = Sites::new()?;
        let counter = || {
            Arc::new(Counter {
                began: Instant::now(),
                log: AtomicU64::new(0),
                elections: Mutex::default(),
            })
        };
        let (here, there) = (
            sites.site(1, mode, |_| {}).await?,
            sites.site(2, mode, |_| {}).await?,
        );
        let (from, to) = (here.transport.clone(), counter());
        let running = [here.serve(counter())?, there.serve(Arc::clone(&to))?];
        Ok(Arc::new(Self {
            mode,
            from,
            there: to,
            _sites: sites,
            _running: running,
        }))
    }

    /// The log and elections at once, each by a task of its own, as engines have them.
    async fn both(self: &Arc<Self>, time: Duration) -> Outcome<Vec<f64>> {
        let (log, elections) = (Arc::clone(self), Arc::clone(self));
        let log = tokio::spawn(async move { log.full(time).await });
        let elections = tokio::spawn(async move { elections.elections(time).await });
        log.await??;
        elections.await?
    }

    /// As many messages of the log as go; how many came in a second.
    async fn full(&self, time: Duration) -> Outcome<f64> {
        let peer = self.from.peer(2).ok_or("2 is a member")?;
        let (began, before) = (Instant::now(), self.there.log.load(Ordering::Relaxed));
        let message = RaftMessage::new(1, vec![7; 64]);
        while began.elapsed() < time {
            match peer.send(Class::LogAppend, message.clone()) {
                Ok(()) => {}
                Err(SendError::Full(_)) => peer.room(Class::LogAppend).await,
                Err(error) => return Err(error.into()),
            }
        }
        let came = self.there.log.load(Ordering::Relaxed) - before;
        Ok(came as f64 / began.elapsed().as_secs_f64())
    }

    /// An election message every few milliseconds; how long each took.
    async fn elections(&self, time: Duration) -> Outcome<Vec<f64>> {
        let peer = self.from.peer(2).ok_or("2 is a member")?;
        let mut ticks = tokio::time::interval(Duration::from_millis(3));
        let began = Instant::now();
        while began.elapsed() < time {
            ticks.tick().await;
            let now = u64::try_from(self.there.began.elapsed().as_nanos())?;
            peer.send(Class::Election, RaftMessage::new(now, vec![7; 64]))?;
        }
        Ok(std::mem::take(
            &mut *self
                .there
                .elections
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

pub(crate) async fn run(plan: &Plan, report: &mut Report) -> Outcome<()> {
    let raw = Pair::connect().await?;
    let mut pairings = Vec::new();
    for mode in &plan.over {
        pairings.push(Pairing::start(*mode).await?);
    }
    for pairing in &pairings {
        pairing.full(plan.time / 4).await?;
        pairing.elections(plan.time / 4).await?;
    }
    for _ in 0..plan.rounds {
        let raw_rate = raw.items(plan.time).await?;
        report.add(
            "one-way messages, 64 B",
            PerSecond,
            Over(100_000.0),
            "raw iroh",
            raw_rate,
        );
        for pairing in &pairings {
            let name = pairing.mode.name();
            let alone = Arc::clone(pairing);
            let time = plan.time;
            let rate = tokio::spawn(async move { alone.full(time).await }).await??;
            report.add(
                "one-way messages, 64 B",
                PerSecond,
                Over(100_000.0),
                name,
                rate,
            );
            report.add(
                "- beside a raw iroh stream",
                Times,
                Over(0.5),
                name,
                rate / raw_rate,
            );
            let idle = quantile(&pairing.elections(plan.time).await?, 0.99);
            let beside = pairing.both(plan.time).await?;
            let loaded = quantile(&beside, 0.99);
            report.add("election message, idle, p99", Millis, Any, name, idle);
            report.add(
                "- under full load of the log, p99",
                Millis,
                Any,
                name,
                loaded,
            );
            report.add("- the difference", Millis, Under(1.0), name, loaded - idle);
        }
    }
    Ok(())
}
