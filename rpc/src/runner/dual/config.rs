//! [`DualConfig`]: the times and numbers of a [`DualChannel`](super::DualChannel).

use std::time::Duration;

use crate::backoff::Backoff;

/// When a [`DualChannel`](super::DualChannel) takes a side to be away, and when it goes back to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DualConfig {
    /// A side from which nothing has come for this long, while calls wait for it, is asked whether it is there.
    pub silence: Duration,
    /// How long it may take to answer, at most. One whose answers are known to come sooner has less time: some times as long as they
    /// take, and at least 200 ms. With [`silence`](Self::silence), this is how soon a dead side is noticed.
    pub probe_timeout: Duration,
    /// How often a side that is away is asked; and, for the adaptive choice, how often both are timed.
    pub probe_interval: Duration,
    /// How many good answers in a row a side that was away must give before calls go back to it; and how many times in a row the
    /// other side must be faster before the adaptive choice changes.
    pub good_probes: u32,
    /// How long a side that went away stays unused at least: longer each time, if it did not hold for
    /// [`stable_after`](Self::stable_after) in between.
    pub cool_down: Backoff,
    /// A side that goes away within this after it came back is not to be trusted as soon the next time.
    pub stable_after: Duration,
    /// By how much the other side must answer sooner for the adaptive choice to change: by this, and by a quarter of the time
    /// that it takes now.
    pub latency_threshold: Duration,
    /// After how long without calls nothing is asked any more. The next call then waits until a side has answered.
    pub idle_after: Duration,
}

impl Default for DualConfig {
    /// A side that is dead is noticed within 0.4 s where answers come in milliseconds, and in 0.75 s at most; one that is back is used
    /// again after three good answers half a second apart.
    fn default() -> Self {
        Self {
            silence: Duration::from_millis(150),
            probe_timeout: Duration::from_millis(500),
            probe_interval: Duration::from_millis(500),
            good_probes: 3,
            cool_down: Backoff {
                first: Duration::from_secs(1),
                longest: Duration::from_secs(60),
            },
            stable_after: Duration::from_secs(10),
            latency_threshold: Duration::from_millis(2),
            idle_after: Duration::from_secs(5),
        }
    }
}

impl DualConfig {
    /// How often the counts of calls are looked at while there are calls.
    pub(super) fn tick(&self) -> Duration {
        (self.silence / 3).max(Duration::from_millis(5))
    }

    /// How often a side that is up, and that no call goes to, is asked: nobody wants to learn in an outage that the other way has
    /// long been broken.
    pub(super) fn spare_interval(&self) -> Duration {
        self.probe_interval.saturating_mul(10)
    }
}
