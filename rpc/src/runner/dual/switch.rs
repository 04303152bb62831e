//! [`Switch`]: what is known of the two sides, and which of them calls go to. A pure state machine: the time, the counts of calls and
//! the random numbers are arguments, and whoever is told to ask a side does.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    config::DualConfig,
    counts::{Counts, Standing},
    patience::Patience,
};
use crate::{
    backoff::Backoff,
    runner::{Prefer, Transport},
    status::Status,
};

/// What is known of the two sides.
#[derive(Debug)]
pub(super) struct Switch {
    config: DualConfig,
    sides: [Side; 2],
    /// The adaptive choice: the side that answered first, until the other is faster.
    chosen: Option<Transport>,
    /// How many times in a row the other side was faster.
    faster: u32,
    /// How often a side has come back. What a call says that began before is no news.
    era: u64,
    last_tick: Option<Instant>,
    /// How long it has been looked on. While this process stands still nobody is heard, and that is nobody's fault: a look counts for
    /// no more than two ticks.
    watched: Duration,
    last_begun: Instant,
    awake: bool,
    events: Vec<Event>,
}

#[derive(Debug)]
struct Side {
    state: State,
    /// The question that is under way.
    probe: Option<Probe>,
    /// The number of the last question.
    probes: u64,
    /// When it was asked last.
    asked: Option<Instant>,
    /// When it is asked next, if nothing happens.
    next_probe: Instant,
    heard: Option<Instant>,
    /// Since when calls wait and nothing comes, in time that was watched.
    quiet_since: Option<Duration>,
    counts: Counts,
    patience: Patience,
    latency: Option<Duration>,
    /// When it came back last.
    back_since: Option<Instant>,
    /// How often in a row it went away soon after it had come back.
    trips: u32,
}

#[derive(Debug)]
enum State {
    /// Nobody has asked it lately.
    Unknown,
    Up,
    Away {
        /// Not before.
        until: Instant,
        good: u32,
        /// It did not say so: it said nothing at all.
        silent: bool,
        reason: Status,
    },
}

#[derive(Debug)]
struct Probe {
    number: u64,
    since: Instant,
    /// When it was asked, in time that was watched, and how long the answer may take.
    asked: Duration,
    patience: Duration,
    /// Whether the side was up: else the answer comes after a dial, and its time tells nothing.
    timed: bool,
}

/// What there is to say of the time since the last look at the clock.
#[derive(Debug)]
struct Look {
    /// How long had been watched before it.
    before: Duration,
    /// The look comes late.
    was_late: bool,
    /// So late that all that anybody waited for begins anew.
    was_away: bool,
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
    /// So that a look that comes a little early is not followed by many.
    const SOONEST: Duration = Duration::from_millis(5);

    pub(super) fn new(config: DualConfig, now: Instant) -> Self {
        let side = || Side {
            state: State::Unknown,
            probe: None,
            probes: 0,
            asked: None,
            next_probe: now,
            heard: None,
            quiet_since: None,
            counts: Counts::default(),
            patience: Patience::default(),
            latency: None,
            back_since: None,
            trips: 0,
        };
        Self {
            config,
            sides: [side(), side()],
            chosen: None,
            faster: 0,
            era: 0,
            last_tick: None,
            watched: Duration::ZERO,
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
            Prefer::Adaptive => match self.chosen {
                Some(chosen) => chosen,
                None if has_waited || self.sides.iter().all(Side::is_away) => Transport::Iroh,
                None => return None,
            },
        };
        let other = first.other();
        match (&self.side(first).state, &self.side(other).state) {
            (State::Up, _) => Some(first),
            (State::Away { .. }, State::Up) => Some(other),
            // There is nothing better: no worse than without the other side.
            (State::Away { .. }, State::Away { .. }) => Some(first),
            (State::Away { .. }, State::Unknown) => has_waited.then_some(other),
            (State::Unknown, State::Up) => has_waited.then_some(other),
            (State::Unknown, _) => has_waited.then_some(first),
        }
    }

    pub(super) const fn era(&self) -> u64 {
        self.era
    }

    pub(super) fn is_up(&self, transport: Transport) -> bool {
        matches!(self.side(transport).state, State::Up)
    }

    pub(super) fn standing(&self, transport: Transport) -> Standing {
        match &self.side(transport).state {
            State::Unknown => Standing::Unknown,
            State::Up => Standing::Up,
            State::Away { reason, .. } => Standing::Away(reason.clone()),
        }
    }

    pub(super) fn latency(&self, transport: Transport) -> Option<Duration> {
        self.side(transport).latency
    }

    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// A call waits to be told where to go, or there is other news.
    pub(super) fn wake(&mut self, now: Instant) {
        if !self.awake {
            self.awake = true;
            self.last_begun = now;
            self.last_tick = None;
            for side in &mut self.sides {
                side.next_probe = now;
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
        let silence = self.config.silence;
        let side = self.side_mut(transport);
        if side.is_away() {
            return;
        }
        // A handler that always says so must not make a flood of questions.
        let soonest = side.asked.map_or(now, |asked| now.max(asked + silence));
        side.next_probe = side.next_probe.min(soonest);
    }

    /// What a look at the clock and the counts comes to.
    pub(super) fn tick(&mut self, counts: [Counts; 2], now: Instant, random: u64) -> Todo {
        let look = self.look(now);
        let mut begun = false;
        for transport in Transport::ALL {
            begun |= self.count(transport, counts[transport.index()], &look, now);
        }
        if begun {
            self.wake(now);
            self.last_begun = now;
        }
        if !self.awake {
            return Todo::default();
        }
        let waiting = counts.iter().any(|counts| counts.waiting() > 0);
        if !waiting && now.saturating_duration_since(self.last_begun) >= self.config.idle_after {
            self.sleep();
            // One more look: a call may have been begun while this was decided.
            return Todo {
                next: Some(now + self.config.tick()),
                ..Todo::default()
            };
        }
        for transport in Transport::ALL {
            self.judge(transport, &look, now, random);
        }
        let mut todo = Todo {
            next: Some(now + self.config.tick()),
            ..Todo::default()
        };
        for transport in Transport::ALL {
            todo.ask[transport.index()] = self.ask(transport, now);
            // No later than when an answer is overdue.
            let left = self
                .side(transport)
                .probe
                .as_ref()
                .map(|probe| (probe.asked + probe.patience).saturating_sub(self.watched));
            let overdue = left.map(|left| now + left.max(Self::SOONEST));
            todo.next = todo.next.into_iter().chain(overdue).min();
            todo.give_up[transport.index()] = counts[transport.index()].waiting() > 0
                && self.is_up(transport.other())
                && matches!(self.side(transport).state, State::Away { silent: true, .. });
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
        let side = self.side_mut(transport);
        let Some(probe) = side.probe.take_if(|probe| probe.number == number) else {
            if let Ok(took) = result {
                // It was given up too soon.
                side.patience.bounded(took);
            }
            return;
        };
        match result {
            Ok(took) => {
                if probe.timed {
                    side.latency = Some(smoothed(side.latency, took));
                    side.patience.measured(took);
                } else {
                    side.patience.bounded(took);
                }
                self.good(transport, compare, now);
                if probe.timed && compare {
                    self.compare(transport);
                }
            }
            Err(reason) => self.bad(transport, reason, false, now, random),
        }
    }

    /// What can be said of the time since the last look.
    fn look(&mut self, now: Instant) -> Look {
        let tick = self.config.tick();
        let since = self
            .last_tick
            .map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        self.last_tick = Some(now);
        let before = self.watched;
        self.watched += since.min(tick * 2);
        Look {
            before,
            was_late: since > tick * 2,
            was_away: since > tick + self.config.silence,
        }
    }

    /// Notes how far the calls are; tells whether one was begun.
    fn count(&mut self, transport: Transport, counts: Counts, look: &Look, now: Instant) -> bool {
        let has_alternative = self.is_up(transport.other());
        let watched = self.watched;
        let side = self.side_mut(transport);
        let before = std::mem::replace(&mut side.counts, counts);
        let begun = counts.begun != before.begun;
        if counts.answered != before.answered {
            side.heard = Some(now);
            side.quiet_since = None;
            match side.state {
                State::Up => {}
                State::Unknown => self.come_up(transport, now),
                // Once it was given up it has to prove itself, unless there is nothing better.
                State::Away { .. } if has_alternative => {}
                State::Away { .. } => self.come_back(transport, now),
            }
        } else if look.was_away || !(begun || counts.waiting() > 0) {
            side.quiet_since = None;
        } else {
            let is_waited_for = before.waiting() > 0;
            let since = if is_waited_for { look.before } else { watched };
            side.quiet_since.get_or_insert(since);
        }
        begun
    }

    /// Ends the question that has waited long enough for its answer.
    fn judge(&mut self, transport: Transport, look: &Look, now: Instant, random: u64) {
        let (watched, probe_interval) = (self.watched, self.config.probe_interval);
        let side = self.side_mut(transport);
        let Some(probe) = &mut side.probe else { return };
        if look.was_away {
            (probe.since, probe.asked) = (now, watched);
        }
        // What has come while this process stood still is there, and not seen yet.
        if look.was_late || watched - probe.asked < probe.patience {
            return;
        }
        let heard = side.heard.is_some_and(|heard| heard >= probe.since);
        let patience = probe.patience;
        side.probe = None;
        side.quiet_since = None;
        if heard {
            // It answers others: it is there, if slow.
            side.next_probe = now + probe_interval;
            return;
        }
        let reason = Status::unavailable(format!("{transport} has not answered for {patience:?}"));
        self.bad(transport, reason, true, now, random);
    }

    /// The number of a question to ask now, if there is to be one.
    fn ask(&mut self, transport: Transport, now: Instant) -> Option<u64> {
        let DualConfig {
            silence,
            probe_timeout,
            ..
        } = self.config;
        let watched = self.watched;
        let side = self.side_mut(transport);
        if side.probe.is_some() {
            return None;
        }
        let quiet = side
            .quiet_since
            .is_some_and(|since| watched - since >= silence);
        let is_due = match side.state {
            State::Unknown => true,
            State::Up => quiet || side.next_probe <= now,
            State::Away { .. } => side.next_probe <= now,
        };
        if !is_due {
            return None;
        }
        // Else the answer comes after a dial.
        let timed = matches!(side.state, State::Up);
        side.probes += 1;
        side.asked = Some(now);
        side.probe = Some(Probe {
            number: side.probes,
            since: now,
            asked: watched,
            patience: if timed {
                side.patience.lasts(probe_timeout)
            } else {
                probe_timeout
            },
            timed,
        });
        Some(side.probes)
    }

    fn good(&mut self, transport: Transport, compare: bool, now: Instant) {
        let DualConfig {
            probe_interval,
            good_probes,
            ..
        } = self.config;
        let spare = self.config.spare_interval();
        let has_alternative = self.is_up(transport.other());
        let side = self.side_mut(transport);
        side.heard = Some(now);
        side.quiet_since = None;
        side.next_probe = now + probe_interval;
        match &mut side.state {
            State::Up => {}
            State::Unknown => self.come_up(transport, now),
            State::Away { until, good, .. } => {
                *good += 1;
                let is_proved = *good >= good_probes && *until <= now;
                if is_proved || !has_alternative {
                    self.come_back(transport, now);
                }
            }
        }
        let side = self.side_mut(transport);
        if matches!(side.state, State::Up) {
            if !side.patience.is_measured() {
                // At once again: how long its answers take is to be known before it falls silent.
                side.next_probe = now;
            } else if !compare {
                side.next_probe = now + spare;
            }
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
        let next = now + self.config.probe_interval;
        let side = self.side_mut(transport);
        side.next_probe = next;
        match &mut side.state {
            State::Away {
                good,
                silent,
                reason,
                ..
            } => {
                *good = 0;
                *silent |= no_answer;
                *reason = why;
            }
            State::Unknown | State::Up => self.go_away(transport, why, no_answer, now, random),
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
        let DualConfig {
            cool_down,
            stable_after,
            probe_interval,
            ..
        } = self.config;
        let side = self.side_mut(transport);
        let held = side
            .back_since
            .is_none_or(|since| now.saturating_duration_since(since) >= stable_after);
        side.trips = if held { 1 } else { side.trips + 1 };
        side.state = State::Away {
            until: after(now, cool_down, side.trips, random),
            good: 0,
            silent,
            reason: reason.clone(),
        };
        side.probe = None;
        side.next_probe = now + probe_interval;
        if self.chosen == Some(transport) && self.is_up(transport.other()) {
            self.choose(transport.other());
        }
        self.events.push(Event::Away(transport, reason));
    }

    fn come_up(&mut self, transport: Transport, now: Instant) {
        let side = self.side_mut(transport);
        side.state = State::Up;
        side.heard = Some(now);
        let is_better = match self.chosen {
            None => true,
            Some(chosen) => self.side(chosen).is_away(),
        };
        if is_better {
            self.choose(transport);
        }
    }

    fn come_back(&mut self, transport: Transport, now: Instant) {
        self.side_mut(transport).back_since = Some(now);
        self.era += 1;
        self.events.push(Event::Back(transport));
        self.come_up(transport, now);
    }

    /// Changes the adaptive choice if the other side, which was timed just now, has been faster often enough.
    fn compare(&mut self, timed: Transport) {
        let Some(chosen) = self.chosen else { return };
        let (Some(now), Some(then)) =
            (self.side(chosen).latency, self.side(chosen.other()).latency)
        else {
            return;
        };
        if timed == chosen || !self.is_up(timed) {
            return;
        }
        let enough = self.config.latency_threshold.max(now / 4);
        if then.saturating_add(enough) > now {
            self.faster = 0;
            return;
        }
        self.faster += 1;
        if self.faster >= self.config.good_probes {
            self.choose(timed);
            self.events.push(Event::Faster(timed));
        }
    }

    fn choose(&mut self, transport: Transport) {
        self.chosen = Some(transport);
        self.faster = 0;
    }

    /// Nothing is asked any more, so that nothing is known before long.
    fn sleep(&mut self) {
        self.awake = false;
        self.last_tick = None;
        for side in &mut self.sides {
            side.probe = None;
            side.quiet_since = None;
            if matches!(side.state, State::Up) {
                side.state = State::Unknown;
            }
        }
    }

    const fn side(&self, transport: Transport) -> &Side {
        &self.sides[transport.index()]
    }

    const fn side_mut(&mut self, transport: Transport) -> &mut Side {
        &mut self.sides[transport.index()]
    }
}

impl Side {
    const fn is_away(&self) -> bool {
        matches!(self.state, State::Away { .. })
    }
}

fn after(now: Instant, cool_down: Backoff, trips: u32, random: u64) -> Instant {
    let delay = cool_down.delay(trips, random);
    now.checked_add(delay).unwrap_or(now + LONGEST_COOL_DOWN)
}

/// A quarter of each new time: some eight answers are remembered.
fn smoothed(before: Option<Duration>, took: Duration) -> Duration {
    before.map_or(took, |before| (before * 3 + took) / 4)
}

/// For a configuration whose times are too long for the clock: a year.
const LONGEST_COOL_DOWN: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
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

    struct Driver {
        prefer: Prefer,
        start: Instant,
        switch: Switch,
        counts: [Counts; 2],
        ticked: u64,
        /// When to tick next.
        next: u64,
    }

    impl Driver {
        fn new(prefer: Prefer) -> Self {
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
        fn check(&mut self, script: &str) {
            for line in script
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
            {
                let (event, expected) = line.split_once(" => ").unwrap();
                assert_eq!(self.step(event), expected, "{line}");
            }
        }

        fn step(&mut self, event: &str) -> String {
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
        fn busy(&mut self, transport: &str, from: u64, to: u64) -> Vec<String> {
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
    fn questions(todo: &str) -> Vec<&str> {
        assert!(
            todo == "nothing" || todo.starts_with("ask "),
            "it is {todo}"
        );
        let parts = todo.split(", ");
        parts.filter_map(|part| part.strip_prefix("ask ")).collect()
    }

    fn check(prefer: Prefer, script: &str) {
        Driver::new(prefer).check(script);
    }

    #[test]
    fn at_first_both_are_asked_and_the_preferred_is_waited_for() {
        check(
            Prefer::Iroh,
            "0 wake => wait
             0 tick => ask iroh 1, ask grpc 1
             5 good grpc 1 5 => wait
             20 good iroh 1 20 => iroh",
        );
    }

    #[test]
    fn a_preferred_side_that_refuses_is_passed_over_at_once_and_a_silent_one_after_its_time() {
        check(
            Prefer::Iroh,
            "0 wake => wait
             0 tick => ask iroh 1, ask grpc 1
             5 bad iroh 1 => wait
             6 good grpc 1 6 => grpc",
        );
        check(
            Prefer::Grpc,
            "0 wake => wait
             0 tick => ask iroh 1, ask grpc 1
             5 good iroh 1 5 => wait
             10 tick => ask iroh 2
             11 good iroh 2 1 => wait
             499 ticks => nothing
             499 wake => wait
             500 tick => nothing
             500 wake => iroh",
        );
    }

    #[test]
    fn one_who_has_waited_is_sent_somewhere() {
        let mut driver = Driver::new(Prefer::Iroh);
        for prefer in [Prefer::Iroh, Prefer::Adaptive] {
            assert_eq!(driver.switch.route(prefer, false), None);
            assert_eq!(driver.switch.route(prefer, true), Some(Transport::Iroh));
        }
        driver.check("0 tick => sleep\n0 wake => wait\n0 tick => ask iroh 1, ask grpc 1\n0 good grpc 1 0 => wait");
        assert_eq!(
            driver.switch.route(Prefer::Iroh, true),
            Some(Transport::Grpc)
        );
    }

    /// Both are up, and answer in a millisecond.
    fn running(prefer: Prefer) -> Driver {
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

    #[test]
    fn sides_that_are_up_are_timed_now_and_then() {
        let mut driver = running(Prefer::Iroh);
        let asked = driver.busy("iroh", 50, 10_050);
        assert_eq!(asked, ["5050 iroh 3", "5050 grpc 3"]);
    }

    #[test]
    fn a_side_that_falls_silent_is_asked_then_given_up_within_half_a_second() {
        let mut driver = running(Prefer::Iroh);
        driver.busy("iroh", 50, 1050);
        driver.check(
            "1001 call iroh => iroh
             1050 tick => nothing
             1200 ticks => ask iroh 3
             1399 ticks => nothing
             1400 tick => give up iroh
             1400 wake => grpc
             1450 tick => give up iroh
             1451 lose iroh => grpc
             1451 call grpc => grpc
             1452 answer grpc => grpc
             1500 tick => nothing",
        );
    }

    #[test]
    fn a_side_that_takes_long_to_answer_is_waited_for_longer() {
        let mut driver = Driver::new(Prefer::Iroh);
        driver.check(
            "0 wake => wait
             0 tick => ask iroh 1, ask grpc 1
             5 good grpc 1 5 => wait
             150 good iroh 1 150 => iroh
             150 tick => ask iroh 2, ask grpc 2
             151 good grpc 2 1 => iroh
             250 ticks => nothing
             270 good iroh 2 120 => iroh
             271 call iroh => iroh
             300 ticks => nothing
             450 ticks => ask iroh 3
             949 ticks => nothing
             950 tick => give up iroh",
        );
        // And one that has become slower is not given up for ever: what came too late is remembered.
        let mut driver = running(Prefer::Iroh);
        driver.check(
            "51 call iroh => iroh
             55 tick => nothing
             205 ticks => ask iroh 3
             405 ticks => give up iroh
             455 good iroh 3 250 => grpc",
        );
        let known = &driver.switch.side(Transport::Iroh).patience;
        assert_eq!(known.lasts(millis(500)), millis(500));
    }

    #[test]
    fn it_looks_when_an_answer_is_overdue() {
        let mut driver = running(Prefer::Iroh);
        driver.check("51 call iroh => iroh\n55 tick => nothing\n205 ticks => ask iroh 3\n380 ticks => nothing");
        assert_eq!(driver.next, 405);
    }

    #[test]
    fn calls_that_are_never_answered_in_their_time_are_silence_too() {
        let mut driver = running(Prefer::Iroh);
        driver.busy("iroh", 50, 1050);
        for at in (1100..1250).step_by(50) {
            driver.check(&format!("{at} call iroh => iroh\n{at} lose iroh => iroh"));
            // Each is a reason to ask.
            if at == 1100 {
                driver.check("1100 tick => ask iroh 3");
            } else {
                driver.check(&format!("{at} tick => nothing"));
            }
        }
        driver.check(
            "1299 ticks => nothing\n1299 wake => iroh\n1300 tick => nothing\n1300 wake => grpc",
        );
    }

    #[test]
    fn slow_handlers_are_not_silence() {
        let mut driver = running(Prefer::Iroh);
        driver.check("50 call iroh => iroh");
        let mut asked = 0;
        for at in (50..4000).step_by(50) {
            let todo = driver.step(&format!("{at} tick"));
            for question in questions(&todo) {
                asked += 1;
                driver.check(&format!("{at} good {question} 1 => iroh"));
            }
        }
        assert_eq!(asked, 26, "one each 150 ms");
    }

    #[test]
    fn a_handler_that_says_that_it_is_unavailable_makes_no_flood_of_questions() {
        let mut driver = running(Prefer::Iroh);
        let mut questions = 0;
        for at in 100..1100 {
            driver.check(&format!("{at} call iroh => iroh\n{at} lose iroh => iroh"));
            let todo = driver.step(&format!("{at} tick"));
            if let Some(number) = todo.strip_prefix("ask iroh ") {
                driver.check(&format!("{at} good iroh {number} 0 => iroh"));
                questions += 1;
            }
        }
        assert_eq!(questions, 7, "one each 150 ms");
    }

    #[test]
    fn a_process_that_stood_still_blames_nobody() {
        let mut driver = running(Prefer::Iroh);
        driver.check(
            "50 call iroh => iroh
             50 tick => nothing
             100 tick => nothing
             150 tick => nothing
             200 tick => ask iroh 3
             9000 tick => ask grpc 3
             9001 good grpc 3 1 => iroh
             9190 ticks => nothing
             9191 good iroh 3 8991 => iroh",
        );
        // For a shorter time: what has come meanwhile is read before anyone is judged.
        let mut driver = running(Prefer::Iroh);
        driver.check(
            "50 call iroh => iroh
             50 tick => nothing
             200 ticks => ask iroh 3
             350 ticks => nothing
             500 tick => nothing
             501 good iroh 3 301 => iroh",
        );
    }

    #[test]
    fn a_process_that_is_always_late_finds_out_all_the_same() {
        let mut driver = running(Prefer::Iroh);
        driver.check("50 call iroh => iroh\n50 tick => nothing");
        let mut said = String::new();
        while said != "give up iroh" {
            let at = driver.next + 70;
            assert!(at < 1500, "{said}");
            said = driver.step(&format!("{at} tick"));
        }
    }

    #[test]
    fn a_slow_answer_while_others_come_is_no_reason_to_leave() {
        let mut driver = running(Prefer::Iroh);
        driver.check(
            "200 call iroh => iroh
             200 lose iroh => iroh
             200 tick => ask iroh 3",
        );
        assert_eq!(driver.busy("iroh", 250, 850), [""; 0]);
        driver.check("850 wake => iroh\n851 good iroh 3 651 => iroh");
    }

    #[test]
    fn back_after_good_answers_in_a_row_and_no_sooner() {
        let mut driver = running(Prefer::Iroh);
        driver.check(
            "100 call iroh => iroh
             100 refuse iroh => grpc
             100 refuse iroh => grpc
             100 call grpc => grpc
             100 tick => nothing
             600 tick => ask iroh 3
             601 bad iroh 3 => grpc
             1100 answer grpc => grpc
             1110 tick => ask iroh 4
             1111 good iroh 4 1 => grpc
             1611 tick => ask iroh 5
             1612 good iroh 5 1 => grpc
             2112 tick => ask iroh 6
             2113 bad iroh 6 => grpc
             2613 tick => ask iroh 7
             2614 good iroh 7 1 => grpc
             3114 tick => ask iroh 8
             3115 good iroh 8 1 => grpc
             3615 tick => ask iroh 9
             3616 good iroh 9 1 => iroh
             3617 refuse-old iroh => iroh",
        );
    }

    /// How long the preferred side is away from when it refuses, if it answers every question from then on.
    fn away_for(driver: &mut Driver, from: u64) -> u64 {
        driver.check(&format!(
            "{from} call iroh => iroh\n{from} refuse iroh => grpc"
        ));
        let mut at = from;
        loop {
            at += 50;
            driver.step(&format!("{at} call grpc"));
            driver.step(&format!("{at} answer grpc"));
            let todo = driver.step(&format!("{at} tick"));
            if let Some(number) = todo.strip_prefix("ask iroh ") {
                let number = number.split(',').next().unwrap();
                if driver.step(&format!("{at} good iroh {number} 1")) == "iroh" {
                    return at - from;
                }
            }
            assert!(at - from < 60_000, "it never comes back");
        }
    }

    #[test]
    fn a_side_that_does_not_hold_is_left_for_longer_each_time() {
        let mut driver = running(Prefer::Iroh);
        let mut now = 1000;
        let mut times = Vec::new();
        for _ in 0..4 {
            let away = away_for(&mut driver, now);
            times.push(away);
            now += away + 1000;
        }
        assert_eq!(times, [1500, 2000, 4000, 4000]);
        driver.busy("iroh", now, now + 10_000);
        assert_eq!(
            away_for(&mut driver, now + 10_000),
            1500,
            "it has held since"
        );
    }

    #[test]
    fn with_both_away_the_preferred_is_tried_and_the_first_to_answer_is_taken() {
        let mut driver = running(Prefer::Iroh);
        driver.check(
            "100 call iroh => iroh
             100 refuse iroh => grpc
             100 call grpc => grpc
             100 refuse grpc => iroh
             100 tick => nothing
             600 tick => ask iroh 3, ask grpc 3
             601 good grpc 3 1 => grpc
             601 bad iroh 3 => grpc",
        );
        let mut driver = running(Prefer::Iroh);
        driver.check(
            "100 call iroh => iroh
             100 refuse iroh => grpc
             100 call grpc => grpc
             100 refuse grpc => iroh
             101 call iroh => iroh
             102 answer iroh => iroh
             102 tick => nothing
             102 refuse grpc => iroh",
        );
        assert!(driver.switch.is_up(Transport::Iroh));
    }

    #[test]
    fn without_calls_it_sleeps_and_then_finds_out_anew() {
        let mut driver = running(Prefer::Iroh);
        driver.check("50 call iroh => iroh\n60 answer iroh => iroh\n60 tick => nothing");
        for at in (100..5000).step_by(50) {
            driver.check(&format!("{at} tick => nothing"));
        }
        driver.check(
            "5060 tick => nothing
             5060 wake => wait
             5060 tick => ask iroh 3, ask grpc 3",
        );
        let mut driver = running(Prefer::Iroh);
        driver.check("6000 tick => nothing\n6050 tick => sleep\n9000 good grpc 3 1 => wait");
        // One that slipped through while it fell asleep.
        driver.check("9000 call iroh => wait\n9000 tick => ask iroh 3, ask grpc 3");
    }

    #[test]
    fn no_calls_but_one_that_waits_is_no_reason_to_sleep() {
        let mut driver = running(Prefer::Iroh);
        driver.check("50 call iroh => iroh\n50 tick => nothing");
        for at in (200..20_000).step_by(200) {
            let todo = driver.step(&format!("{at} tick"));
            if let Some(question) = todo.strip_prefix("ask ") {
                for question in question.split(", ask ") {
                    driver.check(&format!("{at} good {question} 1 => iroh"));
                }
            } else {
                assert_eq!(todo, "nothing", "{at}");
            }
        }
    }

    #[test]
    fn the_adaptive_choice_begins_with_who_answers_first() {
        check(
            Prefer::Adaptive,
            "0 wake => wait
             0 tick => ask iroh 1, ask grpc 1
             5 good grpc 1 5 => grpc
             6 good iroh 1 6 => grpc",
        );
        check(
            Prefer::Adaptive,
            "0 wake => wait
             0 tick => ask iroh 1, ask grpc 1
             5 bad grpc 1 => wait
             6 bad iroh 1 => iroh",
        );
    }

    /// The questions of some seconds, answered in these milliseconds; the times at which the choice changed.
    fn timed(driver: &mut Driver, from: u64, to: u64, iroh: u64, grpc: u64) -> Vec<(u64, String)> {
        let mut changes = Vec::new();
        let mut route = driver.step(&format!("{from} wake"));
        for at in (from..to).step_by(50) {
            driver.step(&format!("{at} call {route}"));
            driver.step(&format!("{at} answer {route}"));
            let todo = driver.step(&format!("{at} tick"));
            for asked in todo
                .split(", ")
                .filter_map(|part| part.strip_prefix("ask "))
            {
                let took = if asked.starts_with("iroh") {
                    iroh
                } else {
                    grpc
                };
                let now = driver.step(&format!("{at} good {asked} {took}"));
                if now != route {
                    changes.push((at, now.clone()));
                    route = now;
                }
            }
        }
        changes
    }

    #[test]
    fn the_adaptive_choice_changes_for_what_is_faster_by_the_threshold() {
        let none: [(u64, String); 0] = [];
        let start = || {
            let mut driver = Driver::new(Prefer::Adaptive);
            driver.check("0 wake => wait\n0 tick => ask iroh 1, ask grpc 1\n1 good iroh 1 1 => iroh\n1 good grpc 1 1 => iroh");
            driver
        };
        // Faster by less than 2 ms; then by less than a quarter.
        assert_eq!(timed(&mut start(), 50, 20_000, 3, 2), none);
        assert_eq!(timed(&mut start(), 50, 20_000, 100, 80), none);
        let mut driver = start();
        let changes = timed(&mut driver, 50, 20_000, 100, 50);
        assert_eq!(changes, [(1050, "grpc".to_owned())], "at the third time");
        // It stays there until it is the slower one by as much, and does not flap in between.
        assert_eq!(timed(&mut driver, 20_000, 40_000, 50, 50), none);
        assert_eq!(timed(&mut driver, 40_000, 60_000, 45, 50), none);
        let changes = timed(&mut driver, 60_000, 80_000, 10, 50);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].1, "iroh");
    }

    #[test]
    fn the_adaptive_choice_leaves_a_side_that_is_away_and_does_not_come_back_for_nothing() {
        let mut driver = Driver::new(Prefer::Adaptive);
        driver.check(
            "0 wake => wait
             0 tick => ask iroh 1, ask grpc 1
             1 good iroh 1 1 => iroh
             1 good grpc 1 1 => iroh
             50 call iroh => iroh
             50 refuse iroh => grpc",
        );
        let changes = timed(&mut driver, 100, 20_000, 10, 10);
        assert!(changes.is_empty(), "{changes:?}");
        assert!(driver.switch.is_up(Transport::Iroh), "it is back");
        driver.check("20000 call grpc => grpc\n20000 refuse grpc => iroh");
    }
}
