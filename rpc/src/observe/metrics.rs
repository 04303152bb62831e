//! [`Metrics`]: what happened to calls, counted, and as Prometheus text. When something is counted is decided in the middleware.

use std::{
    collections::HashMap,
    fmt::{self, Write},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{names, oneway_dropped_total};
use crate::{code::Code, method::MethodDescriptor};

/// The counts of a process, or of as much of it as shares a handle: a clone is another handle of the same counts.
///
/// The number of series is bounded by the methods that exist: calls for any other are counted as one method, `unknown`.
#[derive(Clone, Default)]
pub struct Metrics(Arc<RwLock<HashMap<Key, Arc<MethodMetrics>>>>);

/// On which side of a call it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// By the caller.
    Client,
    /// By the one who answers.
    Server,
}

impl Side {
    const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// By name, and not by descriptor: two versions of a service in one process are one series.
type Key = (Side, &'static str, &'static str);

impl Metrics {
    /// What to answer as the content type of [`render`](Self::render).
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// All counts at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The counts of one method; `None` for one that does not exist.
    pub(crate) fn of(
        &self,
        side: Side,
        method: Option<&'static MethodDescriptor>,
    ) -> Arc<MethodMetrics> {
        let key = match method {
            Some(method) => (side, method.service().name, method.name()),
            None => (side, names::UNKNOWN, names::UNKNOWN),
        };
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = known.get(&key) {
            return Arc::clone(metrics);
        }
        drop(known);
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(key).or_default())
    }

    /// All counts in the
    /// [text format of Prometheus](https://prometheus.io/docs/instrumenting/exposition_formats/), version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let mut all: Vec<(Key, Arc<MethodMetrics>)> = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(key, metrics)| (*key, Arc::clone(metrics)))
            .collect();
        all.sort_by_key(|(key, _)| *key);
        let mut out = String::new();
        write_all(&mut out, &all).expect("a string takes all that is written");
        out
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// The counts of one method on one side.
#[derive(Debug, Default)]
pub(crate) struct MethodMetrics {
    ended: [AtomicU64; Code::ALL.len()],
    in_flight: AtomicI64,
    /// How many calls fell into each bucket, and one more for those longer than the last.
    durations: [AtomicU64; BUCKETS.len() + 1],
    duration_sum_us: AtomicU64,
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
}

impl MethodMetrics {
    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self, code: Code, took: Duration) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.ended[code as usize].fetch_add(1, Ordering::Relaxed);
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS.partition_point(|(le, _)| *le < seconds);
        self.durations[bucket].fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.duration_sum_us.fetch_add(us, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.received_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

fn write_all(out: &mut String, all: &[(Key, Arc<MethodMetrics>)]) -> fmt::Result {
    head(out, names::CALLS_TOTAL, "counter", "Calls that have ended.")?;
    for (key, metrics) in all {
        for code in Code::ALL {
            let count = metrics.ended[code as usize].load(Ordering::Relaxed);
            // Codes that never came are left out, but for the first: a rate needs a zero to start from.
            if count > 0 || code == Code::Ok {
                series(out, names::CALLS_TOTAL, key, &[("code", code.name())])?;
                writeln!(out, "{count}")?;
            }
        }
    }
    head(
        out,
        names::CALLS_IN_FLIGHT,
        "gauge",
        "Calls that have not ended.",
    )?;
    for (key, metrics) in all {
        series(out, names::CALLS_IN_FLIGHT, key, &[])?;
        writeln!(out, "{}", metrics.in_flight.load(Ordering::Relaxed))?;
    }
    head(
        out,
        names::CALL_DURATION_SECONDS,
        "histogram",
        "How long calls took, streams until their end.",
    )?;
    for (key, metrics) in all {
        write_durations(out, key, metrics)?;
    }
    for (name, help, count) in BYTE_COUNTS {
        head(out, name, "counter", help)?;
        for (key, metrics) in all {
            series(out, name, key, &[])?;
            writeln!(out, "{}", count(metrics).load(Ordering::Relaxed))?;
        }
    }
    head(
        out,
        names::ONEWAY_DROPPED_TOTAL,
        "counter",
        "One-way calls of this process that were dropped before they were queued.",
    )?;
    writeln!(
        out,
        "{} {}",
        names::ONEWAY_DROPPED_TOTAL,
        oneway_dropped_total()
    )
}

fn write_durations(out: &mut String, key: &Key, metrics: &MethodMetrics) -> fmt::Result {
    let name = names::CALL_DURATION_SECONDS;
    let mut count = 0;
    let labels = BUCKETS.iter().map(|(_, label)| *label).chain(["+Inf"]);
    for (bucket, le) in metrics.durations.iter().zip(labels) {
        // In the text, each bucket holds those below it too.
        count += bucket.load(Ordering::Relaxed);
        series(out, &format!("{name}_bucket"), key, &[("le", le)])?;
        writeln!(out, "{count}")?;
    }
    let sum_us = metrics.duration_sum_us.load(Ordering::Relaxed);
    series(out, &format!("{name}_sum"), key, &[])?;
    writeln!(out, "{}.{:06}", sum_us / 1_000_000, sum_us % 1_000_000)?;
    series(out, &format!("{name}_count"), key, &[])?;
    writeln!(out, "{count}")
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

/// Everything of a line before the value.
fn series(
    out: &mut String,
    name: &str,
    (side, service, method): &Key,
    more: &[(&str, &str)],
) -> fmt::Result {
    let labels = [
        ("side", side.name()),
        ("service", service),
        ("method", method),
    ];
    write!(out, "{name}{{")?;
    for (i, (label, value)) in labels.iter().chain(more).enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(out, "{comma}{label}=\"")?;
        for char in value.chars() {
            match char {
                '\\' => out.write_str("\\\\")?,
                '"' => out.write_str("\\\"")?,
                '\n' => out.write_str("\\n")?,
                other => out.write_char(other)?,
            }
        }
        out.write_char('"')?;
    }
    out.write_str("} ")
}

type Count = fn(&MethodMetrics) -> &AtomicU64;

const BYTE_COUNTS: [(&str, &str, Count); 2] = [
    (
        names::RECEIVED_BYTES_TOTAL,
        "Bytes of the messages that came in.",
        |metrics| &metrics.received_bytes,
    ),
    (
        names::SENT_BYTES_TOTAL,
        "Bytes of the messages that went out.",
        |metrics| &metrics.sent_bytes,
    ),
];

/// The upper ends of the buckets, in seconds, and as they are written.
const BUCKETS: [(f64, &str); 16] = [
    (0.0001, "0.0001"),
    (0.00025, "0.00025"),
    (0.0005, "0.0005"),
    (0.001, "0.001"),
    (0.0025, "0.0025"),
    (0.005, "0.005"),
    (0.01, "0.01"),
    (0.025, "0.025"),
    (0.05, "0.05"),
    (0.1, "0.1"),
    (0.25, "0.25"),
    (0.5, "0.5"),
    (1.0, "1"),
    (2.5, "2.5"),
    (5.0, "5"),
    (10.0, "10"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let metrics = Metrics::new();
        let method = metrics.of(Side::Server, None);
        for (code, ms) in [(Code::Ok, 1), (Code::Ok, 3), (Code::NotFound, 20_000)] {
            method.begin();
            method.end(code, Duration::from_millis(ms));
        }
        method.begin();
        method.received(7);
        method.sent(11);
        let text = metrics.render();
        let labels = "side=\"server\",service=\"unknown\",method=\"unknown\"";
        for line in [
            "# TYPE blixard_rpc_calls_total counter".to_owned(),
            format!("blixard_rpc_calls_total{{{labels},code=\"OK\"}} 2"),
            format!("blixard_rpc_calls_total{{{labels},code=\"NOT_FOUND\"}} 1"),
            format!("blixard_rpc_calls_in_flight{{{labels}}} 1"),
            "# TYPE blixard_rpc_call_duration_seconds histogram".to_owned(),
            format!("blixard_rpc_call_duration_seconds_bucket{{{labels},le=\"0.0005\"}} 0"),
            format!("blixard_rpc_call_duration_seconds_bucket{{{labels},le=\"0.001\"}} 1"),
            format!("blixard_rpc_call_duration_seconds_bucket{{{labels},le=\"10\"}} 2"),
            format!("blixard_rpc_call_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 3"),
            format!("blixard_rpc_call_duration_seconds_sum{{{labels}}} 20.004000"),
            format!("blixard_rpc_call_duration_seconds_count{{{labels}}} 3"),
            format!("blixard_rpc_received_bytes_total{{{labels}}} 7"),
            format!("blixard_rpc_sent_bytes_total{{{labels}}} 11"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn label_values_are_escaped() {
        let mut out = String::new();
        let key = (Side::Client, "a\\b", "c\"d\ne");
        series(&mut out, "m", &key, &[("le", "1")]).unwrap();
        assert_eq!(
            out,
            r#"m{side="client",service="a\\b",method="c\"d\ne",le="1"} "#
        );
    }

    #[test]
    fn what_does_not_exist_is_one_series() {
        let metrics = Metrics::new();
        let (a, b) = (
            metrics.of(Side::Server, None),
            metrics.of(Side::Server, None),
        );
        assert!(Arc::ptr_eq(&a, &b));
    }
}
