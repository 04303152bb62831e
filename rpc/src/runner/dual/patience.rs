//! [`Patience`]: how long a side may take to answer a question, by how long it took before. The times are arguments.

use std::time::Duration;

/// What is known of how long answers take, smoothed as TCP smooths its round trips (RFC 6298).
#[derive(Debug, Default)]
pub(super) struct Patience(Option<Known>);

#[derive(Debug)]
struct Known {
    usual: Duration,
    deviation: Duration,
    /// Or no more than a bound: the answer may have come after a dial.
    is_measured: bool,
}

/// How many times as long as an answer takes at worst it is waited for: so long that what was lost on the way twice has come again.
const TIMES: u32 = 3;

/// No less, however soon answers come: no shorter than a packet that is lost on a fast path, or a machine that was busy for a moment, make
/// them late. TCP too waits so long before it sends anything again.
const LEAST: Duration = Duration::from_millis(200);

impl Patience {
    /// An answer took so long.
    pub(super) fn measured(&mut self, took: Duration) {
        match &mut self.0 {
            Some(Known {
                usual,
                deviation,
                is_measured: true,
            }) => {
                *deviation = (*deviation * 3 + usual.abs_diff(took)) / 4;
                *usual = (*usual * 7 + took) / 8;
            }
            known => *known = Some(Known::first(took, true)),
        }
    }

    /// An answer took so long, and that may be for other reasons.
    pub(super) fn bounded(&mut self, took: Duration) {
        self.0 = Some(Known::first(took, false));
    }

    pub(super) const fn is_measured(&self) -> bool {
        matches!(
            self.0,
            Some(Known {
                is_measured: true,
                ..
            })
        )
    }

    /// How long to wait for an answer, at most `most`.
    pub(super) fn lasts(&self, most: Duration) -> Duration {
        match &self.0 {
            None => most,
            Some(Known {
                usual, deviation, ..
            }) => {
                let worst = usual.saturating_add(deviation.saturating_mul(4));
                worst.saturating_mul(TIMES).max(LEAST).min(most)
            }
        }
    }
}

impl Known {
    fn first(took: Duration, is_measured: bool) -> Self {
        Self {
            usual: took,
            deviation: took / 2,
            is_measured,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_millis(500);

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn after(answers: &[u64]) -> Duration {
        let mut patience = Patience::default();
        for took in answers {
            patience.measured(millis(*took));
        }
        patience.lasts(MOST)
    }

    #[test]
    fn it_is_by_what_is_usual() {
        assert_eq!(after(&[]), MOST, "nothing is known");
        assert_eq!(after(&[1]), LEAST);
        assert_eq!(after(&[30]), millis(3 * (30 + 60)));
        assert_eq!(after(&[300]), MOST);
        // What comes evenly is expected more exactly, and what does not is not.
        let even = after(&[60; 40]);
        assert_eq!(even, LEAST);
        assert_eq!(after(&[5, 90].repeat(20)), MOST);
        // One that was slow does not stay so for ever.
        assert_eq!(after(&[&[300][..], &[2; 40]].concat()), LEAST);
    }

    #[test]
    fn a_bound_holds_until_something_is_measured() {
        let mut patience = Patience::default();
        patience.bounded(millis(400));
        assert!(!patience.is_measured());
        assert_eq!(patience.lasts(MOST), MOST);
        patience.measured(millis(2));
        assert_eq!(patience.lasts(MOST), LEAST);
        // An answer that was given up and came after all: it is slower than was known.
        patience.bounded(millis(250));
        assert_eq!(patience.lasts(MOST), MOST);
    }

    #[test]
    fn times_that_nobody_would_set_do_no_harm() {
        assert_eq!(after(&[u64::MAX]), MOST);
        let patience = Patience::default();
        assert_eq!(patience.lasts(Duration::MAX), Duration::MAX);
        let mut quick = Patience::default();
        quick.measured(millis(1));
        assert_eq!(quick.lasts(millis(20)), millis(20));
    }
}
