//! [`Switch`]: which of the two sides calls go to, and what is to be done to know it. A pure state machine: the time, the counts of calls
//! and the random numbers are arguments, and whoever is told to ask a side does. What is known of one side lies in `side`.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    choice::Choice,
    clock::{Clock, Look},
    config::DualConfig,
    counts::{Counts, Standing},
    side::{Side, State},
};
use crate::{
    runner::{Prefer, Transport},
    status::Status,
};

/// What is known of the two sides.
#[derive(Debug)]
pub(super) struct Switch {
    config: DualConfig,
    sides: [Side; 2],
    choice: Choice,
    /// How often a side has come back. What a call says that began before is no news.
    era: u64,
    clock: Clock,
    last_begun: Instant,
    awake: bool,
    events: Vec<Event>,
}

/// What happened, for whoever writes the log.
#[derive(Debug)]
pub(super) enum Event {
    Away(Transport, Status),
    Back(Transport),
    Faster(Transport),
}

/// What is to be done now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Todo {
    /// The sides to ask, each under a number.
    pub(super) ask: [Option<u64>; 2],
    /// The sides whose waiting calls are to go on over the other, if they may.
    pub(super) give_up: [bool; 2],
    /// When to come again, without news.
    pub(super) next: Option<Instant>,
}

impl Switch {
    pub(super) fn new(config: DualConfig, now: Instant) -> Self {
        Self {
            config,
            sides: [Side::new(now), Side::new(now)],
            choice: Choice::default(),
            era: 0,
            clock: Clock::default(),
            last_begun: now,
            awake: false,
            events: Vec::new(),
        }
    }

    /// Where calls with this preference go; `None` while that is to be found out. One who has waited for it waits no more.
    pub(super) fn route(&self, prefer: Prefer, has_waited: bool) -> Option<Transport> {
        let first = match prefer {
            Prefer::Iroh => Transport::Iroh,
            Prefer::Grpc => Transport::Grpc,
            // Until one has answered, neither is the better one.
            Prefer::Adaptive => match self.choice.side() {
                Some(chosen) => chosen,
                None if has_waited || self.sides.iter().all(Side::is_away) => Transport::Iroh,
                None => return None,
            },
        };
        let other = first.other();
        match (self.side(first).state(), self.side(other).state()) {
            (State::Up, _) => Some(first),
            (State::Away(_), State::Up) => Some(other),
            // There is nothing better: no worse than without the other side.
            (State::Away(_), State::Away(_)) => Some(first),
            (State::Away(_), State::Unknown) => has_waited.then_some(other),
            (State::Unknown, State::Up) => has_waited.then_some(other),
            (State::Unknown, _) => has_waited.then_some(first),
        }
    }

    pub(super) const fn era(&self) -> u64 {
        self.era
    }

    pub(super) const fn is_up(&self, transport: Transport) -> bool {
        self.side(transport).is_up()
    }

    pub(super) const fn is_away(&self, transport: Transport) -> bool {
        self.side(transport).is_away()
    }

    pub(super) fn standing(&self, transport: Transport) -> Standing {
        self.side(transport).standing()
    }

    pub(super) const fn latency(&self, transport: Transport) -> Option<Duration> {
        self.side(transport).latency()
    }

    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// A call waits to be told where to go, or there is other news.
    pub(super) fn wake(&mut self, now: Instant) {
        if !self.awake {
            self.awake = true;
            self.last_begun = now;
            self.clock.stop();
            for side in &mut self.sides {
                side.wake(now);
            }
        }
    }

    /// The side did not take a call that began in this era. Tells whether that is news.
    pub(super) fn refused(
        &mut self,
        transport: Transport,
        reason: &Status,
        era: u64,
        now: Instant,
        random: u64,
    ) -> bool {
        let is_news = era >= self.era && !self.side(transport).is_away();
        if is_news {
            self.go_away(transport, reason.clone(), false, now, random);
        }
        is_news
    }

    /// A call that the side had taken was lost, or failed as if it was: the side is asked now.
    pub(super) fn suspect(&mut self, transport: Transport, now: Instant) {
        let config = self.config;
        self.side_mut(transport).suspect(&config, now);
    }

    /// What a look at the clock and the counts comes to.
    pub(super) fn tick(&mut self, counts: [Counts; 2], now: Instant, random: u64) -> Todo {
        let look = self.clock.look(&self.config, now);
        let mut begun = false;
        for transport in Transport::ALL {
            begun |= self.count(transport, counts[transport.index()], &look);
        }
        if begun {
            self.wake(now);
            self.last_begun = now;
        }
        if !self.awake {
            return Todo::default();
        }
        let mut todo = Todo {
            next: Some(now + self.config.tick()),
            ..Todo::default()
        };
        let waiting = counts.iter().any(|counts| counts.waiting() > 0);
        if !waiting && now.saturating_duration_since(self.last_begun) >= self.config.idle_after {
            self.sleep();
            // One more look: a call may have been begun while this was decided.
            return todo;
        }
        for transport in Transport::ALL {
            self.judge(transport, &look, random);
        }
        let config = self.config;
        for transport in Transport::ALL {
            let side = self.side_mut(transport);
            todo.ask[transport.index()] = side.ask(&config, &look);
            // No later than when an answer is overdue.
            let overdue = side
                .overdue_in(&look)
                .and_then(|left| now.checked_add(left.max(SOONEST)));
            todo.next = todo.next.into_iter().chain(overdue).min();
            todo.give_up[transport.index()] = counts[transport.index()].waiting() > 0
                && self.side(transport).is_silent()
                && self.is_up(transport.other());
        }
        todo
    }

    /// What came of a question: the time that the answer took, or why there is none. `compare`: somebody's choice is the adaptive one.
    pub(super) fn probed(
        &mut self,
        transport: Transport,
        number: u64,
        result: Result<Duration, Status>,
        compare: bool,
        now: Instant,
        random: u64,
    ) {
        let took = result.as_ref().ok().copied();
        let Some(timed) = self.side_mut(transport).answered(number, took) else {
            return;
        };
        match result {
            Ok(_) => {
                self.good(transport, compare, now);
                if timed && compare {
                    self.compare(transport);
                }
            }
            Err(reason) => self.bad(transport, reason, false, now, random),
        }
    }

    /// Nobody waits for the answer to a question any more.
    pub(super) fn unanswered(&mut self, transport: Transport, number: u64, now: Instant) {
        self.side_mut(transport).unanswered(number, now);
    }

    /// Notes how far the calls are; tells whether one was begun.
    fn count(&mut self, transport: Transport, counts: Counts, look: &Look) -> bool {
        let has_alternative = self.is_up(transport.other());
        let side = self.side_mut(transport);
        let told = side.count(counts, look);
        if told.answered {
            match side.state() {
                State::Up => {}
                State::Unknown => self.come_up(transport, look.now),
                // Once it was given up it has to prove itself, unless there is nothing better.
                State::Away(_) if has_alternative => {}
                State::Away(_) => self.come_back(transport, look.now),
            }
        }
        told.begun
    }

    /// Ends the question that has waited long enough for its answer.
    fn judge(&mut self, transport: Transport, look: &Look, random: u64) {
        let config = self.config;
        if let Some(time) = self.side_mut(transport).silent_for(&config, look) {
            let reason = Status::unavailable(format!("{transport} has not answered for {time:?}"));
            self.bad(transport, reason, true, look.now, random);
        }
    }

    fn good(&mut self, transport: Transport, compare: bool, now: Instant) {
        let config = self.config;
        let has_alternative = self.is_up(transport.other());
        let side = self.side_mut(transport);
        let is_proved = side.is_good(&config, now);
        match side.state() {
            State::Unknown => self.come_up(transport, now),
            State::Away(_) if is_proved || !has_alternative => self.come_back(transport, now),
            State::Up | State::Away(_) => {}
        }
        let side = self.side_mut(transport);
        if side.is_up() {
            side.ask_again(&config, compare, now);
        }
    }

    fn bad(
        &mut self,
        transport: Transport,
        why: Status,
        no_answer: bool,
        now: Instant,
        random: u64,
    ) {
        let config = self.config;
        let side = self.side_mut(transport);
        if !side.is_bad(&config, &why, no_answer, now) {
            self.go_away(transport, why, no_answer, now, random);
        }
    }

    fn go_away(
        &mut self,
        transport: Transport,
        reason: Status,
        silent: bool,
        now: Instant,
        random: u64,
    ) {
        let config = self.config;
        let side = self.side_mut(transport);
        side.go_away(&config, reason.clone(), silent, now, random);
        if self.choice.side() == Some(transport) && self.is_up(transport.other()) {
            self.choice.choose(transport.other());
        }
        self.events.push(Event::Away(transport, reason));
    }

    fn come_up(&mut self, transport: Transport, now: Instant) {
        self.side_mut(transport).come_up(now);
        self.choose_better(transport);
    }

    fn come_back(&mut self, transport: Transport, now: Instant) {
        self.side_mut(transport).come_back(now);
        self.era += 1;
        self.events.push(Event::Back(transport));
        self.choose_better(transport);
    }

    /// Chooses a side that is up, if what was chosen is not.
    fn choose_better(&mut self, up: Transport) {
        let chosen = self.choice.side();
        if chosen.is_none_or(|chosen| self.side(chosen).is_away()) {
            self.choice.choose(up);
        }
    }

    /// Changes the adaptive choice if the other side, which was timed just now, has been faster often enough.
    fn compare(&mut self, timed: Transport) {
        let Some(chosen) = self.choice.side() else {
            return;
        };
        let (Some(now), Some(then)) = (self.latency(chosen), self.latency(chosen.other())) else {
            return;
        };
        if timed == chosen || !self.is_up(timed) {
            return;
        }
        if self.choice.compare(&self.config, timed, now, then) {
            self.events.push(Event::Faster(timed));
        }
    }

    /// Nothing is asked any more, so that nothing is known before long.
    fn sleep(&mut self) {
        self.awake = false;
        self.clock.stop();
        for side in &mut self.sides {
            side.sleep();
        }
    }

    pub(super) const fn side(&self, transport: Transport) -> &Side {
        &self.sides[transport.index()]
    }

    const fn side_mut(&mut self, transport: Transport) -> &mut Side {
        &mut self.sides[transport.index()]
    }
}

/// So that a look that comes a little early is not followed by many.
const SOONEST: Duration = Duration::from_millis(5);
