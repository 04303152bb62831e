//! [`Rate`]: how many bytes a second may be sent. Pure: the time is an argument, and whoever must wait does.

use std::time::Duration;

use tokio::time::Instant;

/// How many bytes a second may be sent, by all who share it.
#[derive(Debug)]
pub struct Rate {
    bytes_per_second: Option<u64>,
    /// When what was taken so far has been sent at that rate.
    free_at: Instant,
}

impl Rate {
    /// So many bytes a second; as many as go, if none is said.
    #[must_use]
    pub const fn new(bytes_per_second: Option<u64>, now: Instant) -> Self {
        Self {
            bytes_per_second,
            free_at: now,
        }
    }

    /// Takes so many bytes; says how long to wait before they are sent. What was not used before now is lost, so that nobody saves up for
    /// a burst.
    pub fn take(&mut self, now: Instant, bytes: usize) -> Duration {
        let Some(rate) = self.bytes_per_second else {
            return Duration::ZERO;
        };
        let start = self.free_at.max(now);
        self.free_at = start + Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
        start.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_too_soon_has_to_wait() {
        let start = Instant::now();
        let mut rate = Rate::new(Some(1000), start);
        let second = Duration::from_secs(1);
        assert_eq!(rate.take(start, 500), Duration::ZERO);
        assert_eq!(rate.take(start, 500), second / 2);
        assert_eq!(rate.take(start + second / 4, 1000), second * 3 / 4);
        // A long silence is no credit.
        assert_eq!(rate.take(start + 10 * second, 1000), Duration::ZERO);
        assert_eq!(rate.take(start + 10 * second, 1), second);
    }

    #[test]
    fn no_limit_never_waits() {
        let start = Instant::now();
        let mut rate = Rate::new(None, start);
        assert_eq!(rate.take(start, usize::MAX), Duration::ZERO);
        assert_eq!(rate.take(start, usize::MAX), Duration::ZERO);
    }
}
