//! One work on one stack, in this process: what `all` runs again and again.

use std::time::Duration;

use futures_util::future::BoxFuture;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{runtime::Builder, time::timeout};

use crate::{
    Counter, Outcome, link,
    net::Net,
    sample::{Sample, peak_bytes},
    stack::Stack,
    stacks::{
        IrohInline, IrohStreams, IrohTasks, Irpc, OursGrpc, OursIroh, OursMemory, Tarpc, Tls, Tonic,
    },
    work::{self, Kind, Round, Work},
};

/// A stack that can be asked for.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// What it is called on the command line, and in figures.
    pub name: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    /// Whether it has streams.
    streams: bool,
    /// Whether it goes over a network.
    network: bool,
    /// The one work that it is for.
    only: Option<&'static str>,
    prepare: fn(Net, Kind) -> BoxFuture<'static, Outcome<Round>>,
}

/// All of them, in the order of the tables.
pub(crate) const STACKS: &[Entry] = &[
    entry::<OursIroh<0>>("ours-iroh", "blixard-rpc over iroh"),
    Entry {
        only: Some("unary-64"),
        ..entry::<OursIroh<99>>(
            "ours-iroh-100",
            "blixard-rpc over iroh, 100 services in the router",
        )
    },
    entry::<OursGrpc<false>>("ours-grpc", "blixard-rpc over gRPC, plain TCP"),
    entry::<OursGrpc<true>>("ours-grpc-tls", "blixard-rpc over gRPC, TLS"),
    Entry {
        network: false,
        ..entry::<OursMemory>("ours-memory", "blixard-rpc in memory")
    },
    Entry {
        streams: false,
        ..entry::<IrohInline>(
            "iroh-inline",
            "raw iroh, coalesced, answered inline: the limit",
        )
    },
    Entry {
        streams: false,
        ..entry::<IrohTasks>("iroh-tasks", "raw iroh, coalesced, a task a call")
    },
    entry::<IrohStreams>("iroh-streams", "raw iroh, a stream a call"),
    entry::<Irpc<false>>("irpc", "irpc over iroh"),
    entry::<Irpc<true>>(
        "irpc-tuned",
        "irpc over iroh, with the settings of QUIC that ours has",
    ),
    entry::<Tonic<false>>("tonic", "tonic, plain TCP"),
    entry::<Tonic<true>>("tonic-tls", "tonic, TLS"),
    Entry {
        streams: false,
        ..entry::<Tarpc>("tarpc", "tarpc, plain TCP")
    },
    Entry {
        streams: false,
        ..entry::<Tls>("tls", "raw TLS, coalesced, answered inline")
    },
];

const fn entry<S: Stack>(name: &'static str, about: &'static str) -> Entry {
    Entry {
        name,
        about,
        streams: true,
        network: true,
        only: None,
        prepare: |net, kind| {
            Box::pin(async move { work::prepare(S::start(net).await?, kind).await })
        },
    }
}

impl Entry {
    /// Whether it has what this work asks for.
    pub(crate) fn does(&self, work: &Work) -> bool {
        if self.only.is_some_and(|only| only != work.name) || work.kind.streams() && !self.streams {
            return false;
        }
        // Without a network there is nothing to batch, to fill or to set up.
        let alone = matches!(
            work.kind,
            Kind::Echo {
                connections: 1,
                callers: 1,
                ..
            }
        );
        self.network || alone && !work.link || work.kind.streams()
    }
}

/// Does the work for about so long, after a quarter of that to warm up. With a counter it counts allocations, on one thread, and
/// nothing else.
pub(crate) fn one(
    stack: &Entry,
    work: &Work,
    time: Duration,
    workers: usize,
    counter: Option<Counter>,
) -> Outcome<Sample> {
    allow_many_sockets()?;
    let runtime = match counter {
        Some(_) => Builder::new_current_thread().enable_all().build()?,
        None => Builder::new_multi_thread()
            .worker_threads(workers)
            .enable_all()
            .build()?,
    };
    let net = if work.link { Net::LINK } else { Net::LOOPBACK };
    let round = runtime.block_on((stack.prepare)(net, work.kind))?;
    let run = |time: Duration| {
        runtime.block_on(async {
            // Whoever hangs is a figure too.
            let round = timeout(time * 10 + PATIENCE, round(time));
            tokio::spawn(round).await?.map_err(|_| "it hangs")?
        })
    };
    let time = time * work.times;
    if work.kind != Kind::Idle {
        run(time / 4)?;
    }
    let mut result = Err("it was not run".into());
    let sample = match counter {
        Some(count) => {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52 allocations")]
            let allocations = count(&mut || result = run(time)) as f64;
            let units = result?.units;
            Sample {
                units,
                allocations: Some(allocations / units),
                ..Sample::default()
            }
        }
        None => {
            let sample = run(time)?;
            Sample {
                peak_bytes: Some(peak_bytes()?),
                // Over the link, what carries the packets is another.
                others: sample.others.filter(|_| !work.link),
                tcp: work.link.then(link::tcp).transpose()?,
                ..sample
            }
        }
    };
    // Whoever is still connected is not waited for.
    drop(round);
    runtime.shutdown_background();
    Ok(sample)
}

/// A thousand connections are two thousand sockets.
fn allow_many_sockets() -> Outcome<()> {
    let limit = getrlimit(Resource::Nofile);
    let limit = Rlimit {
        current: limit.maximum,
        ..limit
    };
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// How much longer than it should a round may take, at the least.
const PATIENCE: Duration = Duration::from_secs(30);
