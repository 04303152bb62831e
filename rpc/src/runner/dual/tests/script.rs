//! A script of what happens to a switch, and what comes of it: a line a step.

use std::time::Duration;

use tokio::time::Instant;

use super::super::{
    config::DualConfig,
    counts::Counts,
    switch::{Switch, Todo},
};
use crate::{
    backoff::Backoff,
    runner::{Prefer, Transport},
    status::Status,
};

pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Ticks are 50 ms apart; the random number makes cool-downs the longest: 1 s, 2 s, 4 s.
fn config() -> DualConfig {
    DualConfig {
        cool_down: Backoff {
            first: millis(1000),
            longest: millis(4000),
        },
        ..DualConfig::default()
    }
}

pub(super) struct Driver {
    prefer: Prefer,
    pub(super) start: Instant,
    pub(super) switch: Switch,
    counts: [Counts; 2],
    ticked: u64,
    /// When to tick next.
    pub(super) next: u64,
}

impl Driver {
    pub(super) fn new(prefer: Prefer) -> Self {
        let start = Instant::now();
        Self {
            prefer,
            start,
            switch: Switch::new(config(), start),
            counts: Default::default(),
            ticked: 0,
            next: 0,
        }
    }

    /// One step a line: the time in milliseconds, what happens, and what comes of it. A tick comes to what is to be done, all else
    /// to where calls go. `ticks` are all since the last one, of which only the last comes to anything.
    pub(super) fn check(&mut self, script: &str) {
        for line in script
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            let (event, expected) = line.split_once(" => ").unwrap();
            assert_eq!(self.step(event), expected, "{line}");
        }
    }

    pub(super) fn step(&mut self, event: &str) -> String {
        let words: Vec<&str> = event.split(' ').collect();
        let now = self.start + millis(words[0].parse().unwrap());
        let transport = || Transport::from_name(words[2]).unwrap();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        let compare = self.prefer == Prefer::Adaptive;
        match words[1] {
            "wake" => self.switch.wake(now),
            "call" => self.counts[transport().index()].begun += 1,
            "answer" => self.counts[transport().index()].answered += 1,
            "lose" => {
                self.counts[transport().index()].unanswered += 1;
                self.switch.suspect(transport(), now);
            }
            "refuse" => {
                self.counts[transport().index()].unanswered += 1;
                let (reason, era) = (Status::unavailable("refused"), self.switch.era());
                self.switch
                    .refused(transport(), &reason, era, now, u64::MAX);
            }
            "refuse-old" => {
                let (reason, era) = (Status::unavailable("refused"), self.switch.era() - 1);
                self.switch
                    .refused(transport(), &reason, era, now, u64::MAX);
            }
            "good" => {
                let result = Ok(millis(number(4)));
                self.switch
                    .probed(transport(), number(3), result, compare, now, u64::MAX);
            }
            "bad" => {
                let result = Err(Status::unavailable("bad"));
                self.switch
                    .probed(transport(), number(3), result, compare, now, u64::MAX);
            }
            "over" => self.switch.unanswered(transport(), number(3), now),
            "tick" => return self.tick(number(0)),
            "ticks" => {
                while self.ticked + 50 < number(0) {
                    let at = self.ticked + 50;
                    assert_eq!(self.tick(at), "nothing", "{at}");
                }
                return self.tick(number(0));
            }
            other => panic!("{other}"),
        }
        match self.switch.route(self.prefer, false) {
            Some(transport) => transport.name().to_owned(),
            None => "wait".to_owned(),
        }
    }

    fn tick(&mut self, at: u64) -> String {
        self.ticked = at;
        let now = self.start + millis(at);
        let todo = self.switch.tick(self.counts, now, u64::MAX);
        let next = todo.next.map(|next| next - self.start);
        self.next = next.map_or(u64::MAX, |next| next.as_millis() as u64);
        said(&todo)
    }

    /// Calls go to a side and are answered, tick by tick, in these milliseconds; what was
    /// asked meanwhile, and answered well.
    pub(super) fn busy(&mut self, transport: &str, from: u64, to: u64) -> Vec<String> {
        let mut asked = Vec::new();
        for at in (from..to).step_by(50) {
            self.step(&format!("{at} call {transport}"));
            self.step(&format!("{at} answer {transport}"));
            let todo = self.step(&format!("{at} tick"));
            for question in questions(&todo) {
                self.step(&format!("{at} good {question} 1"));
                asked.push(format!("{at} {question}"));
            }
        }
        asked
    }
}

fn said(todo: &Todo) -> String {
    let mut parts = Vec::new();
    for transport in Transport::ALL {
        if let Some(number) = todo.ask[transport.index()] {
            parts.push(format!("ask {} {number}", transport.name()));
        }
        if todo.give_up[transport.index()] {
            parts.push(format!("give up {}", transport.name()));
        }
    }
    if todo.next.is_none() {
        parts.push("sleep".to_owned());
    }
    if parts.is_empty() {
        return "nothing".to_owned();
    }
    parts.join(", ")
}

/// What a tick asks.
pub(super) fn questions(todo: &str) -> Vec<&str> {
    assert!(
        todo == "nothing" || todo.starts_with("ask "),
        "it is {todo}"
    );
    let parts = todo.split(", ");
    parts.filter_map(|part| part.strip_prefix("ask ")).collect()
}

pub(super) fn check(prefer: Prefer, script: &str) {
    Driver::new(prefer).check(script);
}

/// Both are up, and answer in a millisecond.
pub(super) fn running(prefer: Prefer) -> Driver {
    let mut driver = Driver::new(prefer);
    driver.check(
        "0 wake => wait
         0 tick => ask iroh 1, ask grpc 1
         5 good iroh 1 5 => iroh
         5 good grpc 1 5 => iroh
         5 tick => ask iroh 2, ask grpc 2
         6 good iroh 2 1 => iroh
         6 good grpc 2 1 => iroh",
    );
    driver
}
