//! Servers that lie about which transport carries a service: a call is sent twice at most, done once at most, and told so; and when they
//! have stopped, calls go through.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicUsize, Ordering},
};

use blixard_rpc::{
    Code, Context, Dispatch, Memory, Metadata, Result, Router, Status,
    call::{Codec, Request, Response},
    method::ServiceDescriptor,
    runner::{Carry, DualChannel, DualConfig, Migration, MigrationStrategy, Prefer, Transport},
};
use blixard_tests::{
    ledger::{self, Book, Ledger, LedgerClient},
    net::soon,
};
use futures_util::future::join_all;

/// What the server of a side says of a call.
#[derive(Clone, Copy, Debug)]
enum Says {
    /// The answer.
    Truth,
    /// That it is carried by this.
    CarriedBy(&'static str),
    /// One or the other, as the dice fall: by either side, by something unknown, or the answer.
    Anything,
}

#[derive(Clone)]
struct Side {
    server: Memory<Router>,
    says: Arc<std::sync::Mutex<Says>>,
    dice: Arc<AtomicU32>,
    /// Calls that came here, health checks apart.
    calls: Arc<AtomicUsize>,
}

impl Dispatch for Side {
    async fn dispatch(&self, request: Request) -> Result<Response> {
        if request.method.path().contains("Health") {
            return self.server.dispatch(request).await;
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
        let says = *self.says.lock().unwrap();
        let name = match says {
            Says::Truth => return self.server.dispatch(request).await,
            Says::CarriedBy(name) => name,
            Says::Anything => match self.roll() % 4 {
                0 => "iroh",
                1 => "grpc",
                2 => "carrier pigeon",
                _ => return self.server.dispatch(request).await,
            },
        };
        // So that calls run beside one another.
        tokio::task::yield_now().await;
        let mut metadata = Metadata::new();
        metadata.append("blixard-carried-by", name).unwrap();
        Err(Status::unavailable("not here")
            .with_metadata(metadata)
            .with_not_accepted())
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        self.server.codec(service)
    }
}

impl Side {
    fn new(book: &Arc<Book>, seed: u32) -> Self {
        Self {
            server: Memory::new(book.router()),
            says: Arc::new(Says::Truth.into()),
            dice: Arc::new(AtomicU32::new(seed)),
            calls: Arc::default(),
        }
    }

    fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn roll(&self) -> u32 {
        let next = |state: u32| {
            let state = state ^ (state << 13);
            let state = state ^ (state >> 17);
            Some(state ^ (state << 5))
        };
        let before = self
            .dice
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        before.unwrap_or_else(|state| state) >> 8
    }
}

struct Bed {
    book: Arc<Book>,
    iroh: Side,
    grpc: Side,
    channel: DualChannel<Side, Side>,
}

impl Bed {
    fn new(prefer: Prefer) -> Self {
        let book = Arc::new(Book::default());
        let (iroh, grpc) = (Side::new(&book, 0x9e37_79b9), Side::new(&book, 0x85eb_ca6b));
        let migration = Migration::new(MigrationStrategy::new(Carry::Both(prefer)));
        let channel =
            DualChannel::with_config(iroh.clone(), grpc.clone(), DualConfig::default(), migration);
        Self {
            book,
            iroh,
            grpc,
            channel,
        }
    }

    fn side(&self, side: Transport) -> &Side {
        match side {
            Transport::Iroh => &self.iroh,
            Transport::Grpc => &self.grpc,
        }
    }

    /// Calls of every shape, at once; what became of each.
    async fn call(&self, ids: std::ops::Range<u64>) -> Vec<(u64, Result<()>)> {
        let calls = ids.map(async |id| {
            let client = LedgerClient::new(self.channel.clone());
            let answer = if id % 5 == 4 {
                let asked = client.ask(&Context::background(), id).await;
                asked.map(|answer| assert_eq!(answer, id))
            } else {
                ledger::call(&client, id).await
            };
            (id, answer)
        });
        soon(join_all(calls)).await
    }

    fn attempts(&self) -> usize {
        let calls = |side: &Side| side.calls.load(Ordering::Relaxed);
        calls(&self.iroh) + calls(&self.grpc)
    }

    /// That a call was sent twice at most, done once at most, and not at all if it was told so.
    fn check(&self, outcomes: &[(u64, Result<()>)], attempts_before: usize) {
        let attempts = self.attempts() - attempts_before;
        assert!(
            attempts <= 2 * outcomes.len(),
            "{attempts} for {} calls",
            outcomes.len()
        );
        for (id, outcome) in outcomes {
            let came = self.book.came(*id).len();
            match outcome {
                Ok(()) => assert_eq!(came, 1, "{id}"),
                Err(status) => {
                    assert_eq!(status.code(), Code::Unavailable, "{id}: {status:?}");
                    assert!(!status.was_accepted(), "{id}: {status:?}");
                    assert_eq!(came, 0, "{id}");
                }
            }
        }
    }
}

const CALLS: u64 = 500;

#[tokio::test]
async fn each_side_says_that_the_other_carries_it() {
    for prefer in [Prefer::Iroh, Prefer::Grpc, Prefer::Adaptive] {
        let bed = Bed::new(prefer);
        bed.iroh.say(Says::CarriedBy("grpc"));
        bed.grpc.say(Says::CarriedBy("iroh"));
        let outcomes = bed.call(0..CALLS).await;
        bed.check(&outcomes, 0);
        assert!(outcomes.iter().all(|(_, outcome)| outcome.is_err()));
        assert!(bed.attempts() >= CALLS as usize);
        // Whichever it was, the first call after the truth goes through.
        for truthful in Transport::ALL {
            bed.side(truthful).say(Says::Truth);
            let next = CALLS * (1 + truthful as u64);
            for (id, outcome) in bed.call(next..next + 5).await {
                outcome.unwrap_or_else(|status| panic!("{id} over {truthful}: {status:?}"));
            }
            let lie = truthful.other().name();
            bed.side(truthful).say(Says::CarriedBy(lie));
        }
    }
}

#[tokio::test]
async fn a_side_says_that_it_carries_what_it_refuses_or_that_nobody_does() {
    for lie in ["iroh", "grpc", "carrier pigeon", ""] {
        let bed = Bed::new(Prefer::Iroh);
        bed.iroh.say(Says::CarriedBy(lie));
        bed.grpc.say(Says::CarriedBy(lie));
        let outcomes = bed.call(0..CALLS).await;
        bed.check(&outcomes, 0);
        assert!(outcomes.iter().all(|(_, outcome)| outcome.is_err()));
    }
}

#[tokio::test]
async fn sides_that_say_now_this_and_now_that_double_nothing() {
    for prefer in [Prefer::Iroh, Prefer::Grpc, Prefer::Adaptive] {
        let bed = Bed::new(prefer);
        bed.iroh.say(Says::Anything);
        bed.grpc.say(Says::Anything);
        let (mut well, mut badly) = (0, 0);
        for round in 0..20 {
            let before = bed.attempts();
            let outcomes = bed.call(round * CALLS..(round + 1) * CALLS).await;
            bed.check(&outcomes, before);
            let good = outcomes
                .iter()
                .filter(|(_, outcome)| outcome.is_ok())
                .count();
            well += good;
            badly += outcomes.len() - good;
        }
        assert!(well > 0 && badly > 0, "{well} went well, {badly} did not");
        bed.iroh.say(Says::Truth);
        bed.grpc.say(Says::Truth);
        for (id, outcome) in bed.call(20 * CALLS..21 * CALLS).await {
            outcome.unwrap_or_else(|status| panic!("{id}: {status:?}"));
        }
    }
}
