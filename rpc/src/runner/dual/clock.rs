//! [`Clock`]: how long the sides have been watched. While this process stands still nobody is heard, and that is nobody's fault.

use std::time::Duration;

use tokio::time::Instant;

use super::config::DualConfig;

/// Counts the time in which somebody looked.
#[derive(Debug, Default)]
pub(super) struct Clock {
    last: Option<Instant>,
    watched: Duration,
}

/// A look at the clock, and what there is to say of the time since the last one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) now: Instant,
    /// How long had been watched at the last look.
    pub(super) before: Duration,
    /// How long has been watched.
    pub(super) watched: Duration,
    /// The look comes late: what has come in the meantime is there, and may not have been seen yet.
    pub(super) was_late: bool,
    /// So late that all that anybody waited for begins anew.
    pub(super) was_away: bool,
}

impl Clock {
    /// Looks. It counts for no more than two ticks.
    pub(super) fn look(&mut self, config: &DualConfig, now: Instant) -> Look {
        let tick = config.tick();
        let last = self.last.replace(now).unwrap_or(now);
        let since = now.saturating_duration_since(last);
        let before = self.watched;
        self.watched += since.min(tick * 2);
        Look {
            now,
            before,
            watched: self.watched,
            was_late: since > tick * 2,
            was_away: since > tick + config.silence,
        }
    }

    /// Nobody looks for now.
    pub(super) fn stop(&mut self) {
        self.last = None;
    }
}
