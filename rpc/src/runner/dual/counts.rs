//! What is counted of the calls on each side, and [`DualStats`]: what people and programs see of it.

use std::{
    fmt::{self, Write},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::{observe::names, runner::Transport, status::Status};

/// The calls on one side, as counted while they run.
#[derive(Debug, Default)]
pub(super) struct SideCounts {
    begun: AtomicU64,
    answered: AtomicU64,
    unanswered: AtomicU64,
    moved: AtomicU64,
}

impl SideCounts {
    /// A call goes to this side.
    pub(super) fn begin(&self) -> Waiting<'_> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Waiting {
            counts: self,
            answered: false,
        }
    }

    /// A call goes on over the other side.
    pub(super) fn moved(&self) {
        self.moved.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn moved_total(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    pub(super) fn now(&self) -> Counts {
        // In this order, so that none is counted as ended that is not counted as begun.
        let answered = self.answered.load(Ordering::Relaxed);
        let unanswered = self.unanswered.load(Ordering::Relaxed);
        let begun = self.begun.load(Ordering::Relaxed);
        Counts {
            begun,
            answered,
            unanswered,
        }
    }
}

/// A call that waits for its answer, until it is dropped.
pub(super) struct Waiting<'a> {
    counts: &'a SideCounts,
    answered: bool,
}

impl Waiting<'_> {
    /// The other side has shown that it is there.
    pub(super) const fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let counter = if self.answered {
            &self.counts.answered
        } else {
            &self.counts.unanswered
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// How far the calls on one side are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) begun: u64,
    /// By something that only the other side can have said.
    pub(super) answered: u64,
    /// Dropped, or ended by something that this side may have said.
    pub(super) unanswered: u64,
}

impl Counts {
    pub(super) const fn waiting(self) -> u64 {
        self.begun
            .saturating_sub(self.answered)
            .saturating_sub(self.unanswered)
    }
}

/// What is known of a side.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Nobody has asked it lately.
    Unknown,
    /// It answers.
    Up,
    /// It does not, and why; calls go to the other side where that is up.
    Away(Status),
}

impl Standing {
    /// Whether it answers.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self, Self::Up)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Up => f.write_str("up"),
            Self::Away(reason) => write!(f, "away: {}", reason.message()),
        }
    }
}

/// One side of a [`DualChannel`](super::DualChannel), as it is now.
#[derive(Clone, Debug)]
pub struct SideStats {
    /// Calls that were sent over it since the beginning.
    pub calls: u64,
    /// Those of them that wait for an answer, or for the first message of one.
    pub waiting: u64,
    /// Those of them that went on over the other side.
    pub moved: u64,
    /// Whether it answers.
    pub standing: Standing,
    /// How long it took lately to answer a health check; known where the other choice is [`Adaptive`](crate::runner::Prefer), else
    /// seldom measured.
    pub latency: Option<Duration>,
}

/// What a [`DualChannel`](super::DualChannel) has done, and how it sees its two sides.
#[derive(Clone, Debug)]
pub struct DualStats {
    /// The side over iroh.
    pub iroh: SideStats,
    /// The side over gRPC.
    pub grpc: SideStats,
    /// Where calls go now; `None` while that is to be found out.
    pub route: Option<Transport>,
    /// How often that has changed.
    pub switches: u64,
}

impl DualStats {
    /// This side.
    #[must_use]
    pub const fn side(&self, transport: Transport) -> &SideStats {
        match transport {
            Transport::Iroh => &self.iroh,
            Transport::Grpc => &self.grpc,
        }
    }

    /// All of it in the [text format of Prometheus](https://prometheus.io/docs/instrumenting/exposition_formats/), for this
    /// channel among others: to be appended to what [`Metrics::render`](crate::observe::Metrics::render) says.
    #[must_use]
    pub fn render(&self, channel: &str) -> String {
        let mut out = String::new();
        self.write(&mut out, channel)
            .expect("a string takes all that is written");
        out
    }

    fn write(&self, out: &mut String, channel: &str) -> fmt::Result {
        let channel = channel
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        for (name, kind, help, value) in SERIES {
            writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
            for transport in Transport::ALL {
                if let Some(value) = value(self.side(transport)) {
                    let transport = transport.name();
                    writeln!(
                        out,
                        "{name}{{channel=\"{channel}\",transport=\"{transport}\"}} {value}"
                    )?;
                }
            }
        }
        let name = names::DUAL_SWITCHES_TOTAL;
        writeln!(
            out,
            "# HELP {name} How often calls were sent over another transport than before.\n# TYPE {name} counter"
        )?;
        writeln!(out, "{name}{{channel=\"{channel}\"}} {}", self.switches)
    }
}

type Series = (
    &'static str,
    &'static str,
    &'static str,
    fn(&SideStats) -> Option<f64>,
);

#[allow(clippy::cast_precision_loss, reason = "Prometheus counts in floats")]
const SERIES: [Series; 5] = [
    (
        names::DUAL_CALLS_TOTAL,
        "counter",
        "Calls that were sent over a transport.",
        |side| Some(side.calls as f64),
    ),
    (
        names::DUAL_WAITING,
        "gauge",
        "Calls that wait for an answer over a transport.",
        |side| Some(side.waiting as f64),
    ),
    (
        names::DUAL_MOVED_TOTAL,
        "counter",
        "Calls that went on over the other transport.",
        |side| Some(side.moved as f64),
    ),
    (
        names::DUAL_UP,
        "gauge",
        "Whether the peer answers over a transport; absent while nobody asks.",
        |side| match side.standing {
            Standing::Unknown => None,
            Standing::Up => Some(1.0),
            Standing::Away(_) => Some(0.0),
        },
    ),
    (
        names::DUAL_LATENCY_SECONDS,
        "gauge",
        "How long a health check took lately over a transport.",
        |side| side.latency.map(|latency| latency.as_secs_f64()),
    ),
];
