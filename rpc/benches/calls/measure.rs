//! One measurement: how long some work took, in wall time and in CPU time of the whole process.
//!
//! Knows nothing of calls or networks.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What one round of one subject came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// Units of work done in the round: calls, items, MiB.
    pub units: f64,
    /// Wall time of the round.
    pub wall: Duration,
    /// CPU time of all threads of the process in the round.
    pub cpu: Duration,
    /// The median time of one unit, where it was taken.
    pub p50: Option<Duration>,
}

impl Sample {
    /// Units a second.
    pub(crate) fn rate(&self) -> f64 {
        self.units / self.wall.as_secs_f64()
    }

    /// Microseconds of CPU a unit.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.units
    }
}

/// Wall and CPU clocks, read together.
#[derive(Debug)]
pub(crate) struct Clock {
    wall: Instant,
    cpu: Duration,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            wall: Instant::now(),
            cpu: process_cpu(),
        }
    }

    /// The time since the start, for so many units.
    pub(crate) fn stop(&self, units: f64) -> Sample {
        Sample {
            units,
            wall: self.wall.elapsed(),
            cpu: process_cpu() - self.cpu,
            p50: None,
        }
    }
}

/// The middle one of `values`, which must not be empty.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = ((values.len() - 1) / 2, values.len() / 2);
    f64::midpoint(values[low], values[high])
}

/// Half the distance between the extremes, as a share of the median.
pub(crate) fn spread(values: &[f64]) -> f64 {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (high - low) / 2.0 / median(values.iter().copied())
}

fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
