//! [`Health`]: how a peer is in one class, by what it acknowledges. Pure: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// How a peer is in one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
    /// It answers, or nothing speaks against it.
    #[default]
    Up,
    /// It is silent for longer than it should be, or something was lost.
    Suspect,
    /// It cannot be reached, or is silent for too long.
    Down,
}

impl Standing {
    /// The name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Down => "down",
        }
    }
}

/// What has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is no connection, and none could be made.
    Dial,
    /// A stream or call was lost on its way.
    Cut,
    /// An answer did not come in time.
    Silence,
}

/// How a peer is in one class, by what it acknowledges.
///
/// - Up: it has acknowledged last what there was, or nothing was sent.
/// - Suspect: it acknowledges nothing for `suspect_after` while something is awaited; or something was cut.
/// - Down: nothing for twice as long; or two failures in a row; or it cannot be dialled.
///
/// Only an acknowledgement of this class makes it up again: that heartbeats pass says nothing of the log.
#[derive(Clone, Debug)]
pub struct Health {
    suspect_after: Duration,
    standing: Standing,
    /// What was sent and is neither acknowledged nor given up.
    awaited: usize,
    /// Since when there is silence although something is awaited.
    silent_since: Option<Instant>,
    failures: u32,
    round_trip: Option<Duration>,
    acked_at: Option<Instant>,
}

impl Health {
    /// Nothing speaks against the peer.
    #[must_use]
    pub const fn new(suspect_after: Duration) -> Self {
        Self {
            suspect_after,
            standing: Standing::Up,
            awaited: 0,
            silent_since: None,
            failures: 0,
            round_trip: None,
            acked_at: None,
        }
    }

    /// How it is, as of the last [`check`](Self::check).
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// How long an acknowledgement took lately, smoothed.
    #[must_use]
    pub const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// When something was acknowledged last.
    #[must_use]
    pub const fn acked_at(&self) -> Option<Instant> {
        self.acked_at
    }

    /// So many things were sent, each of which will be acknowledged.
    pub fn sent(&mut self, now: Instant, count: usize) {
        self.awaited += count;
        if count > 0 {
            self.silent_since.get_or_insert(now);
        }
    }

    /// So many were acknowledged, the last so long after it was sent.
    pub fn acked(&mut self, now: Instant, took: Duration, count: usize) {
        self.awaited = self.awaited.saturating_sub(count);
        self.silent_since = (self.awaited > 0).then_some(now);
        self.failures = 0;
        self.standing = Standing::Up;
        self.acked_at = Some(now);
        self.round_trip = Some(match self.round_trip {
            Some(before) => (before * 7 + took) / 8,
            None => took,
        });
    }

    /// So many that were sent are not awaited any more, and that says nothing of the peer.
    pub fn forgotten(&mut self, count: usize) {
        self.awaited = self.awaited.saturating_sub(count);
        if self.awaited == 0 {
            self.silent_since = None;
        }
    }

    /// All that was sent is not awaited any more, as the stream that carried it is gone.
    pub const fn forget_all(&mut self) {
        self.awaited = 0;
        self.silent_since = None;
    }

    /// Something failed.
    pub const fn failed(&mut self, failure: Failure) {
        self.failures = self.failures.saturating_add(1);
        self.standing = match failure {
            Failure::Dial => Standing::Down,
            Failure::Cut | Failure::Silence if self.failures > 1 => Standing::Down,
            // What is down stays so until it answers.
            Failure::Cut | Failure::Silence => match self.standing {
                Standing::Down => Standing::Down,
                Standing::Up | Standing::Suspect => Standing::Suspect,
            },
        };
    }

    /// How it is now.
    pub fn check(&mut self, now: Instant) -> Standing {
        if let Some(since) = self.silent_since {
            let silent = now.saturating_duration_since(since);
            let by_silence = if self.is_silent(now) {
                Standing::Down
            } else if silent >= self.suspect_after {
                Standing::Suspect
            } else {
                Standing::Up
            };
            self.standing = self.standing.max(by_silence);
        }
        self.standing
    }

    /// Whether nothing was acknowledged for so long that nothing more is to be expected. One that is down for another reason may yet
    /// answer.
    #[must_use]
    pub fn is_silent(&self, now: Instant) -> bool {
        self.silent_since
            .is_some_and(|since| now.saturating_duration_since(since) >= self.suspect_after * 2)
    }

    /// When the next [`check`](Self::check) may come to something else, if nothing happens.
    #[must_use]
    pub fn next_check(&self) -> Option<Instant> {
        let since = self.silent_since?;
        match self.standing {
            Standing::Up => Some(since + self.suspect_after),
            Standing::Suspect | Standing::Down => Some(since + self.suspect_after * 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn health() -> (Health, Instant) {
        (Health::new(SECOND), Instant::now())
    }

    #[test]
    fn silence_is_only_silence_while_something_is_awaited() {
        let (mut health, start) = health();
        assert_eq!(health.check(start + 100 * SECOND), Standing::Up);
        health.sent(start, 1);
        for (after_ms, standing) in [
            (0, Standing::Up),
            (999, Standing::Up),
            (1000, Standing::Suspect),
            (1999, Standing::Suspect),
            (2000, Standing::Down),
        ] {
            let now = start + Duration::from_millis(after_ms);
            assert_eq!(health.check(now), standing, "{after_ms}");
        }
        health.acked(start + 3 * SECOND, SECOND, 1);
        assert_eq!(health.check(start + 100 * SECOND), Standing::Up);
        assert_eq!(health.next_check(), None);
    }

    #[test]
    fn any_acknowledgement_breaks_the_silence() {
        let (mut health, start) = health();
        for second in 0..10 {
            health.sent(start + second * SECOND, 1);
        }
        health.acked(start + 10 * SECOND, SECOND, 1);
        assert_eq!(health.check(start + 10 * SECOND + SECOND / 2), Standing::Up);
        assert_eq!(health.next_check(), Some(start + 11 * SECOND));
        assert_eq!(health.check(start + 11 * SECOND), Standing::Suspect);
        assert_eq!(health.next_check(), Some(start + 12 * SECOND));
        health.forget_all();
        assert_eq!(health.check(start + 100 * SECOND), Standing::Suspect);
    }

    #[test]
    fn one_cut_is_suspicious_and_two_are_enough() {
        let (mut health, start) = health();
        health.failed(Failure::Cut);
        assert_eq!(health.check(start), Standing::Suspect);
        health.failed(Failure::Silence);
        assert_eq!(health.check(start), Standing::Down);
        health.failed(Failure::Cut);
        assert_eq!(health.check(start), Standing::Down);
        health.acked(start, SECOND, 1);
        health.failed(Failure::Cut);
        assert_eq!(health.check(start), Standing::Suspect);
        health.failed(Failure::Dial);
        assert_eq!(health.check(start), Standing::Down);
    }

    #[test]
    fn one_that_is_down_is_given_time_to_answer() {
        let (mut health, start) = health();
        health.failed(Failure::Dial);
        health.sent(start, 1);
        assert_eq!(health.check(start), Standing::Down);
        assert!(!health.is_silent(start + SECOND));
        assert!(health.is_silent(start + 2 * SECOND));
        assert_eq!(health.next_check(), Some(start + 2 * SECOND));
    }

    #[test]
    fn the_round_trip_follows_what_is_measured() {
        let (mut health, start) = health();
        assert_eq!(health.round_trip(), None);
        health.acked(start, 8 * SECOND, 1);
        assert_eq!(health.round_trip(), Some(8 * SECOND));
        health.acked(start, Duration::ZERO, 1);
        assert_eq!(health.round_trip(), Some(7 * SECOND));
    }
}
