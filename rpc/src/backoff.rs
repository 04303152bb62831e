//! [`Backoff`]: how long to wait before the next attempt. Who waits, and for what, is not known here.

use std::time::Duration;

use crate::random::random_u64;

/// How long to wait before the next attempt: exponential, and jittered so that clients that failed together do not come back
/// together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The delay after the first failure, before jitter.
    pub first: Duration,
    /// The longest delay, before jitter.
    pub longest: Duration,
}

impl Backoff {
    /// The delay after `failures` failures in a row: at least half of, and at most, `first` doubled with each failure after the
    /// first. `random` is any number, of which all bits count.
    #[must_use]
    pub fn delay(&self, failures: u32, random: u64) -> Duration {
        let doubled = 1_u32
            .checked_shl(failures.saturating_sub(1))
            .unwrap_or(u32::MAX);
        let full = self.first.saturating_mul(doubled).min(self.longest);
        let share = (random >> 32) as u32;
        let half = full / 2;
        half + half.mul_f64(f64::from(share) / f64::from(u32::MAX))
    }

    /// [`delay`](Self::delay), with a random number.
    #[must_use]
    pub fn jittered(&self, failures: u32) -> Duration {
        self.delay(failures, random_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_are_jittered_by_half() {
        let backoff = Backoff {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(5),
        };
        for (failures, least, most) in [
            (0, 50, 100),
            (1, 50, 100),
            (2, 100, 200),
            (6, 1600, 3200),
            (7, 2500, 5000),
            (32, 2500, 5000),
            (u32::MAX, 2500, 5000),
        ] {
            let ends = [
                backoff.delay(failures, 0),
                backoff.delay(failures, u64::MAX),
            ];
            assert_eq!(ends, [least, most].map(Duration::from_millis), "{failures}");
            let jittered = backoff.jittered(failures);
            assert!((ends[0]..=ends[1]).contains(&jittered));
        }
    }
}
