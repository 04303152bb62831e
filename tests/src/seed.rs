//! Numbers from a seed that is printed: a run that failed can be had again with `BLIXARD_SEED`.

use std::{
    env,
    ops::Range,
    time::{SystemTime, UNIX_EPOCH},
};

/// Where a test's choices come from.
#[derive(Clone, Debug)]
pub struct Seed(u64);

impl Seed {
    /// That of the variable `BLIXARD_SEED`, or of the clock; printed.
    ///
    /// # Panics
    /// If the variable is not a number.
    #[must_use]
    pub fn of_this_run() -> Self {
        let seed = match env::var("BLIXARD_SEED") {
            Ok(text) => text.parse().expect("BLIXARD_SEED is a number"),
            Err(_) => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| {
                    u64::try_from(since.as_micros()).unwrap_or_default()
                }),
        };
        println!("BLIXARD_SEED={seed}");
        Self(seed)
    }

    /// One of the numbers in the range.
    ///
    /// # Panics
    /// If there are none.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        assert!(!range.is_empty(), "there is a number in {range:?}");
        range.start + self.next() % (range.end - range.start)
    }

    /// Another source of choices, that does not depend on how often this one is asked later.
    #[must_use]
    pub fn branch(&mut self) -> Self {
        Self(self.next())
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
