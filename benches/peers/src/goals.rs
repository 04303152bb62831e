//! What ours is meant to reach beside the others, and whether a run shows it.

use std::fmt::Write as _;

use crate::{
    report::{Did, OURS, Report, median, spread},
    sample::Sample,
};

/// One thing that must be so.
struct Goal {
    about: &'static str,
    value: Value,
    bound: Bound,
}

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// What is judged.
enum Value {
    /// Ours divided by what another stack did of the same work.
    Beside(&'static str, &'static str, Figure),
    /// What a stack did of one work, divided by what the same did of another.
    Change(&'static str, &'static str, Figure),
    /// What this one stack did.
    Own(&'static str, &'static str, Figure),
    /// How ours beside raw iroh changes from one work to another.
    Growth(&'static str, &'static str),
}

#[derive(Clone, Copy)]
enum Figure {
    Rate,
    Cpu,
    P50,
    P99,
    Idle,
    Allocations,
}

#[rustfmt::skip]
const GOALS: &[Goal] = &[
    beside("64 in flight, calls/s beside the raw limit", "unary-64", INLINE, Figure::Rate, at_least(0.8)),
    beside("64 in flight, CPU a call beside the raw limit", "unary-64", INLINE, Figure::Cpu, at_most(1.25)),
    beside("256 in flight, calls/s beside the raw limit", "unary-256", INLINE, Figure::Rate, at_least(0.8)),
    beside("256 in flight, CPU a call beside the raw limit", "unary-256", INLINE, Figure::Cpu, at_most(1.25)),
    beside("64 in flight, calls/s beside irpc", "unary-64", "irpc", Figure::Rate, at_least(4.0)),
    beside("64 in flight, CPU a call beside irpc", "unary-64", "irpc", Figure::Cpu, at_most(0.25)),
    beside("256 in flight, calls/s beside irpc", "unary-256", "irpc", Figure::Rate, at_least(8.0)),
    beside("256 in flight, CPU a call beside irpc", "unary-256", "irpc", Figure::Cpu, at_most(0.125)),
    beside("64 in flight, calls/s beside tonic over TLS", "unary-64", TONIC, Figure::Rate, at_least(5.0)),
    beside("64 in flight, CPU a call beside tonic over TLS", "unary-64", TONIC, Figure::Cpu, at_most(0.2)),
    beside("256 in flight, calls/s beside tonic over TLS", "unary-256", TONIC, Figure::Rate, at_least(10.0)),
    beside("256 in flight, CPU a call beside tonic over TLS", "unary-256", TONIC, Figure::Cpu, at_most(0.1)),
    beside("256 in flight, calls/s beside tarpc over plain TCP", "unary-256", "tarpc", Figure::Rate, at_least(1.0)),
    beside("1 in flight, p50 beside raw iroh, a stream a call", "unary-1", STREAMS, Figure::P50, at_most(1.05)),
    beside("1 in flight, p50 beside irpc", "unary-1", "irpc", Figure::P50, at_most(1.0)),
    beside("1 in flight, p50 beside tonic over TLS", "unary-1", TONIC, Figure::P50, at_most(1.0)),
    beside("1 MiB uploads, MiB/s beside raw iroh", "upload", STREAMS, Figure::Rate, at_least(0.97)),
    beside("1 MiB uploads, CPU a MiB beside raw iroh", "upload", STREAMS, Figure::Cpu, at_most(1.05)),
    beside("1 MiB downloads, MiB/s beside raw iroh", "download", STREAMS, Figure::Rate, at_least(0.97)),
    beside("1 MiB downloads, CPU a MiB beside raw iroh", "download", STREAMS, Figure::Cpu, at_most(1.05)),
    beside("server streaming, items/s beside raw iroh", "items", STREAMS, Figure::Rate, at_least(0.8)),
    beside("server streaming, items/s beside irpc", "items", "irpc", Figure::Rate, at_least(1.5)),
    beside("client streaming, items/s beside raw iroh", "collect", STREAMS, Figure::Rate, at_least(0.8)),
    beside("client streaming, items/s beside irpc", "collect", "irpc", Figure::Rate, at_least(1.5)),
    goal("p99 of small calls beside 10 MiB calls, by that alone",
        Value::Change("small-beside-huge", "small-alone", Figure::P99), at_most(2.0)),
    beside("p99 of small calls beside 10 MiB calls, beside tonic over TLS",
        "small-beside-huge", TONIC, Figure::P99, at_most(1.0)),
    beside("1 % loss, 20 ms: p99 of small calls beside tonic over TLS",
        "link-small-alone", TONIC, Figure::P99, at_most(1.0)),
    beside("the same with 64 in flight", "link-unary-64", TONIC, Figure::P99, at_most(1.0)),
    beside("memory of an idle connection beside raw iroh", "idle", STREAMS, Figure::Idle, at_most(1.1)),
    goal("in memory, us of CPU a call", Value::Own("unary-1", "ours-memory", Figure::Cpu), at_most(1.0)),
    goal("in memory, allocations a call", Value::Own("unary-1", "ours-memory", Figure::Allocations), at_most(4.0)),
    goal("calls/s by raw iroh's, 10 connections by 1", Value::Growth("connections-10", "connections-1"), at_least(0.9)),
    goal("calls/s by raw iroh's, 100 connections by 1", Value::Growth("connections-100", "connections-1"), at_least(0.9)),
    beside("CPU a call, 1 service in the router by 100", "unary-64", "ours-iroh-100", Figure::Cpu, at_least(0.9)),
];

const INLINE: &str = "iroh-inline";
const STREAMS: &str = "iroh-streams";
const TONIC: &str = "tonic-tls";

const fn goal(about: &'static str, value: Value, bound: Bound) -> Goal {
    Goal {
        about,
        value,
        bound,
    }
}

const fn beside(
    about: &'static str,
    work: &'static str,
    other: &'static str,
    figure: Figure,
    bound: Bound,
) -> Goal {
    goal(about, Value::Beside(work, other, figure), bound)
}

const fn at_least(bound: f64) -> Bound {
    Bound::AtLeast(bound)
}

const fn at_most(bound: f64) -> Bound {
    Bound::AtMost(bound)
}

/// Those that this run says something of.
pub(crate) fn table(report: &Report) -> String {
    let (works, mut out) = (report.works(), String::new());
    for goal in GOALS {
        let values = goal.value.of(&works);
        if values.is_empty() {
            continue;
        }
        let value = median(values.iter().copied());
        let (sign, bound, reached) = match goal.bound {
            Bound::AtLeast(bound) => ("at least", bound, value >= bound),
            Bound::AtMost(bound) => ("at most", bound, value <= bound),
        };
        let _ = writeln!(
            out,
            "  {:<62}{value:>7.2} ±{:>3.0}%   {sign} {bound:<6}{}",
            goal.about,
            spread(&values) * 100.0,
            if reached { "" } else { "missed" },
        );
    }
    if !out.is_empty() {
        out.insert_str(0, "\nWhat blixard-rpc over iroh is meant to reach:\n");
    }
    out
}

impl Value {
    /// One for each round; none without the figures.
    fn of(&self, works: &[Did<'_>]) -> Vec<f64> {
        let did = |work: &str| works.iter().find(|it| it.work == work);
        match *self {
            Self::Beside(work, other, figure) => {
                did(work).map_or_else(Vec::new, |did| figure.ratios(did, OURS, did, other))
            }
            Self::Change(work, by, figure) => match (did(work), did(by)) {
                (Some(work), Some(by)) => figure.ratios(work, OURS, by, OURS),
                _ => Vec::new(),
            },
            Self::Own(work, stack, figure) => did(work).and_then(|did| did.by(stack)).map_or_else(
                Vec::new,
                |figures| match figure {
                    Figure::Allocations => figures.allocations.into_iter().collect(),
                    _ => figures
                        .samples
                        .iter()
                        .filter_map(|(_, it)| figure.of(it))
                        .collect(),
                },
            ),
            Self::Growth(work, from) => {
                let beside = |work| {
                    let did = did(work)?;
                    let ratios = Figure::Rate.ratios(did, OURS, did, INLINE);
                    (!ratios.is_empty()).then(|| median(ratios))
                };
                match (beside(work), beside(from)) {
                    (Some(work), Some(from)) => vec![work / from],
                    _ => Vec::new(),
                }
            }
        }
    }
}

impl Figure {
    fn of(self, sample: &Sample) -> Option<f64> {
        match self {
            Self::Rate => Some(sample.rate()),
            Self::Cpu => Some(sample.cpu_us()),
            Self::P50 => sample.p50_us,
            Self::P99 => sample.p99_us,
            Self::Idle => sample.idle_bytes,
            Self::Allocations => sample.allocations,
        }
    }

    /// One divided by the other, in each round that has both.
    fn ratios(self, did: &Did<'_>, stack: &str, by: &Did<'_>, other: &str) -> Vec<f64> {
        let (Some(ours), Some(its)) = (did.by(stack), by.by(other)) else {
            return Vec::new();
        };
        let ratio = |sample: &Sample, other: &Sample| Some(self.of(sample)? / self.of(other)?);
        ours.pairs(its).filter_map(|(a, b)| ratio(a, b)).collect()
    }
}
