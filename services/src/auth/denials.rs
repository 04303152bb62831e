//! [`Denials`]: which denied calls are worth a line of the log. Pure; time is an argument.

use std::time::{Duration, Instant};

/// Lines of the log in a window, so that nobody fills a disk by being denied.
#[derive(Debug, Default)]
pub(super) struct Denials {
    since: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl Denials {
    /// Whether a denial gets a line; and if so how many before it got none.
    pub(super) fn line(&mut self, now: Instant) -> Option<u64> {
        let is_new = self
            .since
            .is_none_or(|since| now.saturating_duration_since(since) >= WINDOW);
        if is_new {
            self.since = Some(now);
            self.lines = 0;
        }
        if self.lines == LINES {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

const WINDOW: Duration = Duration::from_secs(1);
const LINES: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gets_some_lines_a_second_and_the_rest_is_counted() {
        let mut denials = Denials::default();
        let begin = Instant::now();
        for _ in 0..LINES {
            assert_eq!(denials.line(begin), Some(0));
        }
        for _ in 0..1000 {
            assert_eq!(denials.line(begin + WINDOW / 2), None);
        }
        assert_eq!(denials.line(begin + WINDOW), Some(1000));
        assert_eq!(denials.line(begin + WINDOW), Some(0));
    }
}
