//! [`Holders`]: who else has some of an image, as they said themselves. Pure: the time is an argument.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{messages::Provider, valid::Word};

/// The most holders that are known of an image.
pub const MAX_HOLDERS: usize = 32;
/// The most images whose holders are known.
const MAX_IMAGES: usize = 1024;
/// How long somebody counts who has not been heard of.
pub const HOLDERS_KEPT_FOR: Duration = Duration::from_secs(600);

/// Who has some of which image. Beyond what is kept, those are forgotten who were heard of the longest ago.
#[derive(Debug, Default)]
pub(super) struct Holders(BTreeMap<Word, BTreeMap<Word, (Instant, Provider)>>);

impl Holders {
    /// This one has some of this image, or will soon.
    pub(super) fn heard(&mut self, hash: Word, key: Word, provider: Provider, now: Instant) {
        self.forget(now);
        if !self.0.contains_key(&hash) && self.0.len() >= MAX_IMAGES {
            let last = |of: &BTreeMap<Word, (Instant, Provider)>| of.values().map(|it| it.0).max();
            let oldest = self.0.iter().min_by_key(|(_, of)| last(of));
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                self.0.remove(&oldest);
            }
        }
        let of = self.0.entry(hash).or_default();
        if !of.contains_key(&key) && of.len() >= MAX_HOLDERS {
            let oldest = of.iter().min_by_key(|(_, it)| it.0).map(|(key, _)| *key);
            if let Some(oldest) = oldest {
                of.remove(&oldest);
            }
        }
        of.insert(key, (now, provider));
    }

    /// Who has some of this image beside this one.
    pub(super) fn others(&self, hash: &Word, beside: &Word, now: Instant) -> Vec<Provider> {
        let of = self.0.get(hash).into_iter().flatten();
        let others = of.filter(|(key, (at, _))| *key != beside && is_fresh(*at, now));
        others.map(|(_, (_, provider))| provider.clone()).collect()
    }

    fn forget(&mut self, now: Instant) {
        self.0.retain(|_, of| {
            of.retain(|_, (at, _)| is_fresh(*at, now));
            !of.is_empty()
        });
    }
}

fn is_fresh(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < HOLDERS_KEPT_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(number: usize) -> (Word, Provider) {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        let provider = Provider {
            key: number.to_string(),
            ..Provider::default()
        };
        (key, provider)
    }

    #[test]
    fn others_are_known_for_a_while_and_never_too_many() {
        let start = Instant::now();
        let mut holders = Holders::default();
        for number in 0..MAX_HOLDERS + 3 {
            let (key, provider) = named(number);
            let now = start + Duration::from_secs(number as u64);
            holders.heard([1; 32], key, provider, now);
        }
        let others = |holders: &Holders, after: u64| {
            let now = start + Duration::from_secs(after);
            let others = holders.others(&[1; 32], &named(9).0, now);
            others.into_iter().map(|it| it.key).collect::<Vec<_>>()
        };
        let known = others(&holders, 40);
        // The three that were heard of first are forgotten, and nobody is told of himself.
        assert_eq!(known.len(), MAX_HOLDERS - 1);
        assert!(!known.contains(&"2".into()) && !known.contains(&"9".into()));
        assert_eq!(others(&holders, 600 + 33), ["34"]);
        assert!(holders.others(&[2; 32], &[0; 32], start).is_empty());

        for number in 0..MAX_IMAGES + 5 {
            let (key, provider) = named(number);
            holders.heard(key, [7; 32], provider, start + Duration::from_secs(50));
        }
        assert_eq!(holders.0.len(), MAX_IMAGES);
    }
}
