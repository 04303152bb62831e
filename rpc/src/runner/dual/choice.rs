//! [`Choice`]: the adaptive choice between two sides, by the times of their answers.

use std::time::Duration;

use super::config::DualConfig;
use crate::runner::Transport;

/// The side that answered first, until the other one is faster.
#[derive(Debug, Default)]
pub(super) struct Choice {
    side: Option<Transport>,
    /// How many times in a row the other side was faster.
    faster: u32,
}

impl Choice {
    /// The side; `None` until one has answered.
    pub(super) const fn side(&self) -> Option<Transport> {
        self.side
    }

    /// Whatever was measured before.
    pub(super) fn choose(&mut self, side: Transport) {
        self.side = Some(side);
        self.faster = 0;
    }

    /// The other side was timed. Tells whether it has been faster often enough, and then it is chosen.
    pub(super) fn compare(
        &mut self,
        config: &DualConfig,
        other: Transport,
        chosen_takes: Duration,
        other_takes: Duration,
    ) -> bool {
        let enough = config.latency_threshold.max(chosen_takes / 4);
        if other_takes.saturating_add(enough) > chosen_takes {
            self.faster = 0;
            return false;
        }
        self.faster += 1;
        let is_faster = self.faster >= config.good_probes;
        if is_faster {
            self.choose(other);
        }
        is_faster
    }
}
