//! One measurement: how long some work took, in wall time and in CPU time of the whole process.
//!
//! Knows nothing of calls or networks.

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::Outcome;

/// What one round of one work on one stack came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Units of work done in the round: calls, items, MiB, connections.
    pub units: f64,
    /// Seconds that the round took.
    pub wall_s: f64,
    /// Seconds of CPU of all threads of the process, so of both ends.
    pub cpu_s: f64,
    /// The median time of one call, where it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<f64>,
    /// What 99 of 100 calls did not take longer than.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<f64>,
    /// Memory that one idle connection keeps, both ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_bytes: Option<f64>,
    /// MiB a second that went beside the calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside_mib_s: Option<f64>,
    /// How many processors were taken by whoever else was running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<f64>,
    /// How the kernel's TCP notices that a link is full, where that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,
    /// The most memory that the process had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<f64>,
    /// Allocations a unit, by the program that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocations: Option<f64>,
}

impl Sample {
    /// Units a second.
    pub(crate) fn rate(&self) -> f64 {
        self.units / self.wall_s
    }

    /// Microseconds of CPU a unit.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu_s * 1e6 / self.units
    }

    /// Whether somebody else took so much of the processors that this says little.
    pub(crate) fn is_disturbed(&self) -> bool {
        self.others.is_some_and(|others| others > DISTURBED)
    }

    /// With the quantiles of these times.
    pub(crate) fn times(mut self, mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |permille: usize| {
            let place = (times.len() * permille / 1000).min(times.len().saturating_sub(1));
            times.get(place).map(|it| it.as_secs_f64() * 1e6)
        };
        (self.p50_us, self.p99_us) = (at(500), at(990));
        self
    }
}

/// Wall and CPU clocks, read together.
#[derive(Debug)]
pub(crate) struct Clock {
    wall: Instant,
    cpu: Duration,
    machine: Option<Duration>,
}

/// Processors that others may take before a sample counts as disturbed.
const DISTURBED: f64 = 0.15;

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            wall: Instant::now(),
            cpu: process_cpu(),
            machine: machine_cpu(),
        }
    }

    /// The time since the start, for so many units.
    pub(crate) fn stop(&self, units: f64) -> Sample {
        let wall_s = self.wall.elapsed().as_secs_f64();
        let cpu_s = (process_cpu() - self.cpu).as_secs_f64();
        let machine = machine_cpu().zip(self.machine);
        let others = machine.map(|(now, then)| (now - then).as_secs_f64() - cpu_s);
        Sample {
            units,
            wall_s,
            cpu_s,
            others: others.map(|cpu| cpu.max(0.0) / wall_s),
            ..Sample::default()
        }
    }
}

/// What all processors have done, and what a hypervisor has taken of them.
fn machine_cpu() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let fields = stat.lines().next()?.split_whitespace().skip(1);
    let ticks: Vec<u64> = fields.map_while(|it| it.parse().ok()).collect();
    // user, nice, system, idle, waiting, irq, softirq, steal; then what is counted above already.
    let busy: u64 = ticks.iter().take(8).sum::<u64>() - ticks.get(3)? - ticks.get(4)?;
    Some(Duration::from_millis(busy * 10))
}

fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Bytes that the process has in memory now.
pub(crate) fn resident_bytes() -> Outcome<f64> {
    status_bytes("VmRSS:")
}

/// The most bytes that the process had in memory.
pub(crate) fn peak_bytes() -> Outcome<f64> {
    status_bytes("VmHWM:")
}

fn status_bytes(field: &str) -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib: f64 = kib.ok_or("Linux says no such thing of memory")?.parse()?;
    Ok(kib * 1024.0)
}
