//! The pure core in a simulated network, from thousands of seeds: lanes whose streams are slow, are cut, cannot be opened, lose
//! acknowledgements and get them twice, each class at its own pace. Time is simulated too.
//!
//! A seed that fails is printed, and can be run alone: `BLIXARD_SEED=17 cargo test -p blixard-raft-transport --test simulation`.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use blixard_raft_transport::{
    Class, MAX_BATCH_BYTES, MAX_BATCH_MESSAGES, RaftMessage, Standing, TransportConfig,
    health::Failure,
    lane::{Lane, Next, Step},
};
use bytes::Bytes;
use tokio::time::Instant;

const SEEDS: u64 = 2000;
const CLASSES: [Class; 3] = [Class::Election, Class::Heartbeat, Class::LogAppend];
const MS: Duration = Duration::from_millis(1);

/// Numbers from a seed: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// A batch on its way, or its acknowledgement on the way back.
struct Transit {
    at: Instant,
    stream: u64,
    sequence: u64,
    messages: Vec<u64>,
}

/// One class between two members.
struct Link {
    class: Class,
    lane: Lane,
    /// The number of the stream that is being opened or open, and when it is open.
    stream: Option<(u64, Instant)>,
    forth: VecDeque<Transit>,
    back: VecDeque<Transit>,
    /// The newest stream that the receiver knows.
    newest: u64,
    delivered: Vec<u64>,
    /// When each message was queued, and under which key.
    queued: HashMap<u64, (Instant, Option<u64>)>,
    opens: Vec<Instant>,
    accepted: usize,
    full: usize,
    sent: usize,
    acked: usize,
    cut: usize,
    stale: usize,
    superseded: usize,
    down: usize,
}

struct Sim {
    seed: u64,
    random: Random,
    now: Instant,
    /// What payloads are made of.
    zeros: Bytes,
    config: TransportConfig,
    links: Vec<Link>,
    number: u64,
    /// Until when nothing can be opened, and nothing arrives.
    dark_until: Instant,
    /// Since when it is so without a break.
    dark_since: Option<Instant>,
}

impl Sim {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut config = TransportConfig::new("sim", 1);
        config.election_timeout = 150 * MS;
        config.stale_after = Duration::from_secs(1);
        config.suspect_after = 100 * MS;
        config.append_window = MS * random.below(11) as u32;
        config.log_append.messages = 1 + random.below(300) as usize;
        config.log_append.bytes = 1 + random.below(3 * MAX_BATCH_BYTES as u64) as usize;
        config.heartbeat.messages = 1 + random.below(8) as usize;
        config.in_flight.messages = 1 + random.below(300) as usize;
        let now = Instant::now();
        let links = CLASSES.map(|class| Link {
            class,
            lane: Lane::new(class, &config),
            stream: None,
            forth: VecDeque::new(),
            back: VecDeque::new(),
            newest: 0,
            delivered: Vec::new(),
            queued: HashMap::new(),
            opens: Vec::new(),
            accepted: 0,
            full: 0,
            sent: 0,
            acked: 0,
            cut: 0,
            stale: 0,
            superseded: 0,
            down: 0,
        });
        Self {
            seed,
            random,
            now,
            zeros: vec![0; 2 * MAX_BATCH_BYTES].into(),
            config,
            links: links.into(),
            number: 0,
            dark_until: now,
            dark_since: None,
        }
    }

    fn run(&mut self) {
        let healthy_from = self.now + Duration::from_secs(4);
        let quiet_from = healthy_from + Duration::from_secs(1);
        let end = quiet_from + Duration::from_secs(2);
        while self.now < end {
            self.now += MS * (1 + self.random.below(12)) as u32;
            let has_faults = self.now < healthy_from;
            if has_faults && self.random.one_in(150) {
                self.dark_until = self.now + MS * self.random.below(1500) as u32;
            }
            let is_dark = has_faults && self.now < self.dark_until;
            self.dark_since = is_dark.then(|| self.dark_since.unwrap_or(self.now));
            for place in 0..self.links.len() {
                if self.now < quiet_from {
                    self.push(place);
                }
                self.open(place, is_dark);
                self.carry(place);
                self.arrive(place, is_dark, has_faults);
                self.check(place);
            }
        }
        for link in &self.links {
            self.check_end(link);
        }
    }

    /// The engine sends, in bursts.
    fn push(&mut self, place: usize) {
        let burst = match self.random.below(20) {
            0 => self.random.below(150),
            1..5 => 1 + self.random.below(3),
            _ => 0,
        };
        for _ in 0..burst {
            self.number += 1;
            let number = self.number;
            let length = match self.random.below(200) {
                0 => MAX_BATCH_BYTES + 10,
                1..10 => 300_000,
                _ => 8 + self.random.below(100) as usize,
            };
            let payload = self.zeros.slice(..length);
            let link = &mut self.links[place];
            let key = (link.class == Class::Heartbeat).then_some(number % 5);
            // The term tells messages apart.
            let message = RaftMessage::new(number, payload);
            if link.lane.push(self.now, key, message).is_ok() {
                link.accepted += 1;
                link.queued.insert(number, (self.now, key));
            } else {
                link.full += 1;
            }
            link.count();
        }
    }

    /// Whoever looks after the stream.
    fn open(&mut self, place: usize, is_dark: bool) {
        let random = self.random.next();
        let link = &mut self.links[place];
        match link.lane.step(self.now) {
            Step::Open(stream) => {
                assert!(link.stream.is_none(), "seed {}: two streams", self.seed);
                link.opens.push(self.now);
                if is_dark {
                    link.lane.lost(self.now, Failure::Dial, random);
                } else {
                    let ready = self.now + MS * (random % 30) as u32;
                    link.stream = Some((stream, ready));
                }
            }
            Step::Cut => {
                link.stream = None;
                link.lane.lost(self.now, Failure::Silence, random);
            }
            Step::Wait(_) => {}
        }
        link.count();
    }

    /// Whoever carries the stream, as long as it takes something.
    fn carry(&mut self, place: usize) {
        let link = &mut self.links[place];
        let Some((stream, ready)) = link.stream else {
            return;
        };
        // One that was given up asks once more, and gets nothing.
        if stream > 1 {
            assert_eq!(link.lane.next(self.now, stream - 1), Next::End);
        }
        if self.now < ready || self.random.one_in(4) {
            return;
        }
        while let Next::Send { sequence, messages } = link.lane.next(self.now, stream) {
            let bytes: usize = messages.iter().map(|message| message.payload.len()).sum();
            assert!(!messages.is_empty() && messages.len() <= MAX_BATCH_MESSAGES);
            assert!(messages.len() == 1 || bytes <= MAX_BATCH_BYTES);
            link.sent += messages.len();
            let messages: Vec<u64> = messages.iter().map(|message| message.term).collect();
            for number in &messages {
                let (queued, _) = link.queued[number];
                let age = self.now - queued;
                let stale_after = self.config.stale_after(link.class);
                assert!(age < stale_after, "seed {}: {age:?} old", self.seed);
            }
            // In order on a stream, each at its own pace.
            let earliest = link.forth.back().map_or(self.now, |last| last.at);
            link.forth.push_back(Transit {
                at: earliest.max(self.now + MS * self.random.below(20) as u32),
                stream,
                sequence,
                messages,
            });
        }
        link.count();
    }

    /// What is on its way arrives, or does not.
    fn arrive(&mut self, place: usize, is_dark: bool, has_faults: bool) {
        let random = self.random.next();
        let link = &mut self.links[place];
        if has_faults && random.is_multiple_of(100) && link.stream.take().is_some() {
            // The stream is cut: what was on its way arrives late, in part, or never; and nobody hears of it.
            let arrives = (random >> 8) as usize % (link.forth.len() + 1);
            link.forth.truncate(arrives);
            for late in &mut link.forth {
                late.at += MS * ((random >> 16) % 50) as u32;
            }
            link.back.clear();
            link.lane.lost(self.now, Failure::Cut, random);
            link.count();
        }
        if is_dark {
            return;
        }
        while link.forth.front().is_some_and(|next| next.at <= self.now) {
            let batch = link.forth.pop_front().unwrap();
            // The receiver knows the newest stream by its first batch, and takes nothing from an older one.
            if batch.stream < link.newest {
                continue;
            }
            link.newest = batch.stream;
            link.delivered.extend(&batch.messages);
            if link
                .stream
                .is_some_and(|(stream, _)| stream == batch.stream)
            {
                link.back.push_back(Transit {
                    at: self.now + MS * self.random.below(20) as u32,
                    ..batch
                });
            }
        }
        while link.back.front().is_some_and(|next| next.at <= self.now) {
            let receipt = link.back.pop_front().unwrap();
            let before = link.lane.in_flight().0;
            link.lane.acked(self.now, receipt.sequence);
            link.acked += before - link.lane.in_flight().0;
            // Twice, or one that was never sent.
            let after = link.lane.in_flight();
            link.lane.acked(self.now, receipt.sequence);
            link.lane.acked(self.now, u64::MAX);
            assert_eq!(link.lane.in_flight(), after);
        }
        if self.random.one_in(50) {
            link.lane.heard();
        }
        link.count();
    }

    fn check(&self, place: usize) {
        let (link, seed) = (&self.links[place], self.seed);
        let limits = self.config.limits(link.class);
        let queue = link.lane.queue();
        assert!(queue.len() <= limits.messages, "seed {seed}");
        assert!(
            queue.bytes() <= limits.bytes || queue.len() == 1,
            "seed {seed}"
        );
        let (messages, bytes) = link.lane.in_flight();
        let most = self.config.in_flight;
        assert!(messages < most.messages + MAX_BATCH_MESSAGES, "seed {seed}");
        assert!(bytes < most.bytes + 2 * MAX_BATCH_BYTES, "seed {seed}");
        // Whatever was accepted is somewhere, or somebody was told that it is not.
        let gone = link.stale + link.superseded + link.down;
        assert_eq!(link.accepted, link.sent + gone + queue.len(), "seed {seed}");
        assert_eq!(link.sent, link.acked + link.cut + messages, "seed {seed}");
        assert!(link.acked <= link.delivered.len(), "seed {seed}");
        // A peer that is away is not tried in a loop.
        if let Some(since) = self.dark_since {
            let tried = link
                .opens
                .iter()
                .rev()
                .take_while(|at| **at >= since)
                .count();
            let seconds = (self.now - since).as_secs_f64();
            // Each contact is a reason for one more, and the first attempts are close together.
            let most = 8.0 + seconds * (4.0 + 4.5);
            assert!(
                (tried as f64) <= most,
                "seed {seed}: {tried} in {seconds} s"
            );
        }
    }

    fn check_end(&self, link: &Link) {
        let (seed, class) = (self.seed, link.class);
        assert!(
            link.lane.queue().is_empty(),
            "seed {seed}: {class} waits for ever"
        );
        assert_eq!(link.lane.in_flight(), (0, 0), "seed {seed}: {class}");
        let unique: HashSet<u64> = link.delivered.iter().copied().collect();
        assert_eq!(
            unique.len(),
            link.delivered.len(),
            "seed {seed}: {class} twice"
        );
        if class == Class::Heartbeat {
            let mut newest: HashMap<u64, u64> = HashMap::new();
            for number in &link.delivered {
                let (_, key) = link.queued[number];
                let before = newest.insert(key.unwrap(), *number);
                assert!(
                    before < Some(*number),
                    "seed {seed}: an older heartbeat after a newer"
                );
            }
        } else {
            assert!(
                link.delivered.is_sorted(),
                "seed {seed}: {class} out of order"
            );
        }
        if link.acked > 0 {
            assert_eq!(
                link.lane.health().standing(),
                Standing::Up,
                "seed {seed}: {class}"
            );
        }
    }
}

impl Link {
    fn count(&mut self) {
        let drops = self.lane.take_drops();
        self.stale += drops.stale;
        self.superseded += drops.superseded;
        self.cut += drops.cut;
        self.down += drops.down;
    }
}

#[test]
fn nothing_is_lost_untold_and_nothing_grows_without_bound() {
    if let Ok(seed) = std::env::var("BLIXARD_SEED") {
        return Sim::new(seed.parse().unwrap()).run();
    }
    // What must have happened for this to say anything.
    let mut seen = [0_usize; 8];
    for seed in 0..SEEDS {
        let mut sim = Sim::new(seed);
        let run = std::panic::AssertUnwindSafe(|| sim.run());
        if let Err(panic) = std::panic::catch_unwind(run) {
            println!("BLIXARD_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
        for link in &sim.links {
            let counts = [
                link.full,
                link.acked,
                link.cut,
                link.stale,
                link.superseded,
                link.down,
                link.opens.len().saturating_sub(1),
                link.delivered.len() - link.acked,
            ];
            for (all, one) in seen.iter_mut().zip(counts) {
                *all += one;
            }
        }
    }
    assert!(
        seen.iter().all(|count| *count > 0),
        "something never happened: {seen:?}"
    );
}

/// Without faults nothing is lost at all, and no message waits longer than its window.
#[test]
fn a_network_without_faults_loses_nothing_and_waits_for_nothing() {
    for seed in 0..200 {
        let mut sim = Sim::new(seed);
        sim.config.log_append = blixard_raft_transport::QueueLimits {
            messages: 10_000,
            bytes: usize::MAX / 2,
        };
        sim.config.in_flight = sim.config.log_append;
        let window = sim.config.append_window;
        let mut lane = Lane::new(Class::LogAppend, &sim.config);
        let start = sim.now;
        for number in 0..150_u64 {
            lane.push(
                start,
                None,
                RaftMessage::new(1, number.to_be_bytes().to_vec()),
            )
            .unwrap();
        }
        let Step::Open(stream) = lane.step(start) else {
            panic!("there is something to send");
        };
        // The first hundred fill a batch, and go at once; the others wait for the window.
        let Next::Send { sequence, messages } = lane.next(start, stream) else {
            panic!("a full batch waits");
        };
        assert_eq!((sequence, messages.len()), (1, 100));
        let ready = start + window;
        if window > Duration::ZERO {
            assert_eq!(lane.next(start, stream), Next::Wait(Some(ready)));
        }
        let Next::Send { sequence, messages } = lane.next(ready, stream) else {
            panic!("the window is over");
        };
        assert_eq!((sequence, messages.len()), (2, 50));
        lane.acked(ready, 2);
        lane.end();
        assert_eq!(lane.next(ready, stream), Next::End);
        lane.ended();
        assert_eq!(lane.take_drops(), Default::default());
    }
}
