//! [`PeerStatus`]: how a member is, for programs and people; and all that is counted, as Prometheus text. When something is counted is
//! decided elsewhere.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use blixard_rpc::runner::Transport as Route;

use crate::{
    class::{Class, Purpose},
    counts::{ClassCounts, Count, Refused},
    engine::Dropped,
    health::Standing,
    member::MemberId,
    shared::{PeerState, Shared},
};

/// How a member is.
#[derive(Clone, Debug)]
pub struct PeerStatus {
    /// Who.
    pub id: MemberId,
    /// Over what calls to it go, where that is known.
    pub route: Option<Route>,
    /// How it is in each class, in the order of [`Class::ALL`].
    pub classes: [ClassStatus; Class::ALL.len()],
}

/// How a member is in one class.
#[derive(Clone, Copy, Debug)]
pub struct ClassStatus {
    /// Which.
    pub class: Class,
    /// Whether it answers.
    pub standing: Standing,
    /// How long an acknowledgement took lately.
    pub round_trip: Option<Duration>,
    /// How many messages wait.
    pub queued_messages: usize,
    /// How many bytes they have.
    pub queued_bytes: usize,
    /// How many messages are under way and not acknowledged.
    pub in_flight_messages: usize,
    /// How many were sent.
    pub sent_messages: u64,
    /// How many came in.
    pub received_messages: u64,
    /// How many were dropped, for whatever reason.
    pub dropped_messages: u64,
}

impl PeerStatus {
    pub(crate) fn of(shared: &Shared, peer: &PeerState) -> Self {
        Self {
            id: peer.id(),
            route: peer.link(Purpose::Calls).route(shared.mode()),
            classes: Class::ALL.map(|class| {
                let queued = peer.queued(class);
                let counts = &peer.class(class).counts;
                let dropped = Dropped::ALL.map(|reason| counts.dropped(reason).get());
                ClassStatus {
                    class,
                    standing: peer.standing(class),
                    round_trip: peer.round_trip(class),
                    queued_messages: queued.messages,
                    queued_bytes: queued.bytes,
                    in_flight_messages: queued.in_flight,
                    sent_messages: counts.sent_messages.get(),
                    received_messages: counts.received_messages.get(),
                    dropped_messages: dropped.iter().sum(),
                }
            }),
        }
    }
}

/// All of it, in the text format of Prometheus.
pub(crate) fn render(shared: &Shared) -> String {
    let mut out = String::new();
    write_all(&mut out, shared).expect("a string takes all that is written");
    out
}

fn write_all(out: &mut String, shared: &Shared) -> fmt::Result {
    let peers = shared.peers();
    let each = || {
        peers
            .iter()
            .flat_map(|peer| Class::ALL.into_iter().map(move |class| (peer, class)))
    };
    for (name, help, count) in COUNTS {
        head(out, name, "counter", help)?;
        for (peer, class) in each() {
            let value = count(&peer.class(class).counts).get();
            writeln!(out, "{name}{} {value}", Labels(peer.id(), class))?;
        }
    }
    head(
        out,
        DROPPED,
        "counter",
        "Messages that were dropped, by reason.",
    )?;
    for (peer, class) in each() {
        for reason in Dropped::ALL {
            let value = peer.class(class).counts.dropped(reason).get();
            let (id, class, reason) = (peer.id(), class.name(), reason.name());
            writeln!(
                out,
                "{DROPPED}{{peer=\"{id}\",class=\"{class}\",reason=\"{reason}\"}} {value}"
            )?;
        }
    }
    let statuses: Vec<PeerStatus> = peers
        .iter()
        .map(|peer| PeerStatus::of(shared, peer))
        .collect();
    for (name, help, gauge) in GAUGES {
        head(out, name, "gauge", help)?;
        for status in &statuses {
            for class in &status.classes {
                // What was never measured has no series.
                if let Some(value) = gauge(class) {
                    writeln!(out, "{name}{} {value}", Labels(status.id, class.class))?;
                }
            }
        }
    }
    head(
        out,
        REFUSED,
        "counter",
        "What came in and was not given to the engine, by reason.",
    )?;
    for reason in Refused::ALL {
        let value = shared.refused.of(reason).get();
        writeln!(out, "{REFUSED}{{reason=\"{}\"}} {value}", reason.name())?;
    }
    Ok(())
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

struct Labels(MemberId, Class);

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{peer=\"{}\",class=\"{}\"}}", self.0, self.1.name())
    }
}

const DROPPED: &str = "blixard_raft_dropped_messages_total";
const REFUSED: &str = "blixard_raft_refused_total";

type CountOf = fn(&ClassCounts) -> &Count;

const COUNTS: [(&str, &str, CountOf); 6] = [
    (
        "blixard_raft_sent_messages_total",
        "Messages that were given to a connection.",
        |counts| &counts.sent_messages,
    ),
    (
        "blixard_raft_sent_bytes_total",
        "Bytes of their payloads.",
        |counts| &counts.sent_bytes,
    ),
    (
        "blixard_raft_sent_batches_total",
        "Batches in which they travelled.",
        |counts| &counts.sent_batches,
    ),
    (
        "blixard_raft_received_messages_total",
        "Messages that came in and were given to the engine.",
        |counts| &counts.received_messages,
    ),
    (
        "blixard_raft_received_bytes_total",
        "Bytes of their payloads.",
        |counts| &counts.received_bytes,
    ),
    (
        "blixard_raft_failed_total",
        "Calls and streams that failed.",
        |counts| &counts.failed,
    ),
];

type GaugeOf = fn(&ClassStatus) -> Option<f64>;

const GAUGES: [(&str, &str, GaugeOf); 5] = [
    (
        "blixard_raft_standing",
        "How the peer is: 0 up, 1 suspect, 2 down.",
        |status| Some(f64::from(status.standing as u8)),
    ),
    (
        "blixard_raft_round_trip_seconds",
        "How long an acknowledgement took lately.",
        |status| Some(status.round_trip?.as_secs_f64()),
    ),
    (
        "blixard_raft_queued_messages",
        "Messages that wait to be sent.",
        |status| Some(status.queued_messages as f64),
    ),
    (
        "blixard_raft_queued_bytes",
        "Bytes of their payloads.",
        |status| Some(status.queued_bytes as f64),
    ),
    (
        "blixard_raft_in_flight_messages",
        "Messages that were sent and are not acknowledged.",
        |status| Some(status.in_flight_messages as f64),
    ),
];
