//! [`Plan`]: which piece of an image is asked of whom. Pure: the time is an argument, and chance comes from a seed.
//!
//! Pieces that few have come first, and those who have everything are asked for what only they have: so many who fetch the same image
//! together take each piece from where it began about once, and the rest from each other.

use std::{
    collections::BTreeMap,
    ops::Range,
    time::{Duration, Instant},
};

use super::valid::Word;

/// The largest image that is fetched.
pub const MAX_IMAGE_BYTES: u64 = 16 << 40;
/// The least length of a piece.
const PIECE_BYTES: u64 = 4 << 20;
/// The most pieces of an image; longer ones have longer pieces.
const MAX_PIECES: u64 = 1 << 14;
/// How many pieces are asked of one provider at a time.
const IN_FLIGHT: usize = 3;
/// How long somebody who has only some pieces may give nothing before those who have everything are asked for them.
const PATIENCE: Duration = Duration::from_secs(3);

/// How an image is divided: pieces of a length that all nodes know, from its size alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pieces {
    pub(super) size_bytes: u64,
    pub(super) piece_bytes: u64,
}

impl Pieces {
    pub(super) fn of(size_bytes: u64) -> Self {
        let least = size_bytes.div_ceil(MAX_PIECES);
        Self {
            size_bytes,
            piece_bytes: least.next_power_of_two().max(PIECE_BYTES),
        }
    }

    pub(super) fn count(&self) -> usize {
        // At most as many as a constant says.
        self.size_bytes.div_ceil(self.piece_bytes) as usize
    }

    pub(super) fn bytes(&self, piece: usize) -> Range<u64> {
        let start = piece as u64 * self.piece_bytes;
        start..(start + self.piece_bytes).min(self.size_bytes)
    }
}

/// A set of pieces: a bit for each, the first is the lowest bit of the first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bits(Vec<u8>);

impl Bits {
    pub(super) fn none(pieces: Pieces) -> Self {
        Self(vec![0; pieces.count().div_ceil(8)])
    }

    /// What a peer says; `None` if it is no such set.
    pub(super) fn read(bytes: &[u8], pieces: Pieces) -> Option<Self> {
        (bytes.len() == pieces.count().div_ceil(8)).then(|| Self(bytes.to_vec()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn has(&self, piece: usize) -> bool {
        let byte = self.0.get(piece / 8);
        byte.is_some_and(|byte| byte >> (piece % 8) & 1 == 1)
    }

    pub(super) fn add(&mut self, piece: usize) {
        if let Some(byte) = self.0.get_mut(piece / 8) {
            *byte |= 1 << (piece % 8);
        }
    }

    fn take(&mut self, piece: usize) {
        if let Some(byte) = self.0.get_mut(piece / 8) {
            *byte &= !(1 << (piece % 8));
        }
    }
}

/// What a provider has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Has {
    All,
    Some(Bits),
}

impl Has {
    fn piece(&self, piece: usize) -> bool {
        match self {
            Self::All => true,
            Self::Some(bits) => bits.has(piece),
        }
    }
}

#[derive(Debug)]
struct Giver {
    has: Has,
    in_flight: usize,
    /// When it gave a piece, or could have begun to.
    gave_at: Instant,
}

/// What is here, what is asked for, and who has what.
#[derive(Debug)]
pub(super) struct Plan {
    pieces: Pieces,
    here: Bits,
    left: usize,
    asked: Bits,
    givers: BTreeMap<Word, Giver>,
    chance: u64,
}

impl Plan {
    /// Nothing is known of anybody; these pieces are here.
    pub(super) fn new(pieces: Pieces, here: Bits, seed: u64) -> Self {
        let left = (0..pieces.count()).filter(|it| !here.has(*it)).count();
        Self {
            pieces,
            here,
            left,
            asked: Bits::none(pieces),
            givers: BTreeMap::new(),
            chance: seed,
        }
    }

    pub(super) fn here(&self) -> &Bits {
        &self.here
    }

    pub(super) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// This provider has this, as was heard just now.
    pub(super) fn heard(&mut self, key: Word, has: Has, now: Instant) {
        match self.givers.get_mut(&key) {
            Some(giver) => giver.has = has,
            None => {
                let giver = Giver {
                    has,
                    in_flight: 0,
                    gave_at: now,
                };
                self.givers.insert(key, giver);
            }
        }
    }

    /// Whether anything was heard of this provider.
    pub(super) fn knows(&self, key: &Word) -> bool {
        self.givers.contains_key(key)
    }

    /// This provider gives nothing any more. What was asked of it has failed.
    pub(super) fn gone(&mut self, key: &Word) {
        self.givers.remove(key);
    }

    /// What to ask this provider for next, if anything. It counts as asked for until it is [here](Self::came) or has
    /// [failed](Self::failed).
    pub(super) fn next(&mut self, key: &Word, now: Instant) -> Option<usize> {
        let giver = self.givers.get(key)?;
        if giver.in_flight >= IN_FLIGHT {
            return None;
        }
        // Others that have only some, and give.
        let partial: Vec<&Bits> = self
            .givers
            .iter()
            .filter(|(of, it)| *of != key && now.saturating_duration_since(it.gave_at) < PATIENCE)
            .filter_map(|(_, it)| match &it.has {
                Has::Some(bits) => Some(bits),
                Has::All => None,
            })
            .collect();
        let all = giver.has == Has::All;
        let mut best: Option<(usize, usize)> = None;
        let mut ties: u64 = 0;
        for piece in 0..self.pieces.count() {
            if self.here.has(piece) || self.asked.has(piece) || !giver.has.piece(piece) {
                continue;
            }
            let holders = partial.iter().filter(|bits| bits.has(piece)).count();
            // They have it, and come for it themselves.
            if all && holders > 0 {
                continue;
            }
            match best {
                Some((least, _)) if holders > least => {}
                Some((least, _)) if holders == least => {
                    ties += 1;
                    if random(&mut self.chance).is_multiple_of(ties + 1) {
                        best = Some((holders, piece));
                    }
                }
                _ => {
                    ties = 0;
                    best = Some((holders, piece));
                }
            }
        }
        let (_, piece) = best?;
        self.asked.add(piece);
        if let Some(giver) = self.givers.get_mut(key) {
            if giver.in_flight == 0 {
                giver.gave_at = now;
            }
            giver.in_flight += 1;
        }
        Some(piece)
    }

    /// This piece is here, from this provider.
    pub(super) fn came(&mut self, piece: usize, from: &Word, now: Instant) {
        self.asked.take(piece);
        if !self.here.has(piece) {
            self.here.add(piece);
            self.left -= 1;
        }
        if let Some(giver) = self.givers.get_mut(from) {
            giver.in_flight = giver.in_flight.saturating_sub(1);
            giver.gave_at = now;
        }
    }

    /// This piece has not come from this provider; it is not asked for it again before it is [heard](Self::heard) of.
    pub(super) fn failed(&mut self, piece: usize, from: &Word) {
        self.asked.take(piece);
        if let Some(giver) = self.givers.get_mut(from) {
            giver.in_flight = giver.in_flight.saturating_sub(1);
            if let Has::Some(bits) = &mut giver.has {
                bits.take(piece);
            }
        }
    }
}

/// Numbers that look like chance (splitmix64).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn key(number: usize) -> Word {
        [number as u8; 32]
    }

    #[test]
    fn pieces_cover_an_image_and_are_never_too_many() {
        for size in [
            1,
            4 * MIB - 1,
            4 * MIB,
            4 * MIB + 1,
            1 << 36,
            (1 << 36) + 1,
            MAX_IMAGE_BYTES,
        ] {
            let pieces = Pieces::of(size);
            assert!(pieces.count() as u64 <= MAX_PIECES, "{size}");
            let mut at = 0;
            for piece in 0..pieces.count() {
                let bytes = pieces.bytes(piece);
                assert_eq!(bytes.start, at);
                assert!(bytes.end > at);
                at = bytes.end;
            }
            assert_eq!(at, size);
        }
        assert_eq!(Pieces::of(64 * MIB).count(), 16);
    }

    #[test]
    fn what_a_peer_says_it_has_fits_or_counts_for_nothing() {
        let pieces = Pieces::of(40 * MIB);
        assert_eq!(pieces.count(), 10);
        for length in [0, 1, 3, 1 << 20] {
            assert_eq!(Bits::read(&vec![255; length], pieces), None);
        }
        let bits = Bits::read(&[0b101, 0b10], pieces).unwrap();
        let has: Vec<usize> = (0..20).filter(|piece| bits.has(*piece)).collect();
        assert_eq!(has, [0, 2, 9]);
    }

    #[test]
    fn who_has_everything_gives_what_only_he_has() {
        let pieces = Pieces::of(16 * MIB);
        let now = Instant::now();
        let mut plan = Plan::new(pieces, Bits::none(pieces), 7);
        plan.heard(key(1), Has::All, now);
        let some = Bits::read(&[0b0111], pieces).unwrap();
        plan.heard(key(2), Has::Some(some), now);
        assert_eq!(plan.next(&key(1), now), Some(3));
        assert_eq!(plan.next(&key(1), now), None);
        let mut asked: Vec<usize> = (0..3).map(|_| plan.next(&key(2), now).unwrap()).collect();
        asked.sort_unstable();
        assert_eq!(asked, [0, 1, 2]);
        // It gives nothing for a while: the others are asked, and it may still answer.
        for piece in 0..3 {
            plan.failed(piece, &key(2));
        }
        let some = Bits::read(&[0b0111], pieces).unwrap();
        plan.heard(key(2), Has::Some(some), now);
        let later = now + PATIENCE;
        assert!(plan.next(&key(1), later).is_some());
        plan.gone(&key(2));
        assert!(plan.next(&key(1), later).is_some());
        assert_eq!(plan.next(&key(3), later), None);
    }

    /// Nodes that fetch an image together, each from the origin and from each other, one piece after the other in turns.
    fn together(nodes: usize, size: u64, seed: u64) -> f64 {
        let pieces = Pieces::of(size);
        let now = Instant::now();
        let mut plans: Vec<Plan> = (0..nodes)
            .map(|node| Plan::new(pieces, Bits::none(pieces), seed + node as u64 * 977))
            .collect();
        let mut from_origin = 0_u64;
        let mut rounds = 0;
        while plans.iter().any(|plan| !plan.is_done()) {
            rounds += 1;
            assert!(rounds < 10_000, "nobody gets on any more");
            let here: Vec<Bits> = plans.iter().map(|plan| plan.here().clone()).collect();
            for (node, plan) in plans.iter_mut().enumerate() {
                plan.heard(key(nodes), Has::All, now);
                for other in (0..nodes).filter(|it| *it != node) {
                    plan.heard(key(other), Has::Some(here[other].clone()), now);
                }
            }
            for plan in &mut plans {
                let mut asked = Vec::new();
                for giver in 0..=nodes {
                    if let Some(piece) = plan.next(&key(giver), now) {
                        asked.push((piece, giver));
                    }
                }
                for (piece, giver) in asked {
                    if giver == nodes {
                        let bytes = pieces.bytes(piece);
                        from_origin += bytes.end - bytes.start;
                    }
                    plan.came(piece, &key(giver), now);
                }
            }
        }
        from_origin as f64 / size as f64
    }

    #[test]
    fn many_together_take_each_piece_from_the_origin_about_once() {
        for seed in 0..20 {
            let times = together(8, 256 * MIB, seed);
            assert!((1.0..2.0).contains(&times), "seed {seed}: {times}");
        }
    }

    #[test]
    fn whoever_is_gone_is_asked_no_more_and_the_rest_comes_from_others() {
        let pieces = Pieces::of(400 * MIB);
        let now = Instant::now();
        let mut plan = Plan::new(pieces, Bits::none(pieces), 3);
        plan.heard(key(1), Has::All, now);
        plan.heard(key(2), Has::All, now);
        let mut given = [0, 0];
        while !plan.is_done() {
            if given[0] == 10 {
                plan.gone(&key(1));
            }
            for giver in 1..=2 {
                if let Some(piece) = plan.next(&key(giver), now) {
                    plan.came(piece, &key(giver), now);
                    given[giver - 1] += 1;
                }
            }
        }
        assert_eq!(given, [10, 90]);
    }
}
