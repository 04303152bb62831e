//! [`Side`]: what is known of one side: whether it is up or away, how far its calls are, and the question that it is asked. What becomes
//! of the other side by it is not known here.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    clock::Look,
    config::DualConfig,
    counts::{Counts, Standing},
    patience::Patience,
};
use crate::{backoff::Backoff, status::Status};

/// What is known of a side.
#[derive(Debug)]
pub(super) struct Side {
    state: State,
    /// The question that is under way.
    question: Option<Question>,
    /// How many it was asked.
    questions: u64,
    /// When it was asked last.
    asked: Option<Instant>,
    /// When it is asked next, if nothing happens.
    ask_next: Instant,
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

/// How it is.
#[derive(Debug)]
pub(super) enum State {
    /// Nobody has asked it lately.
    Unknown,
    Up,
    Away(Away),
}

/// Since it does not answer.
#[derive(Debug)]
pub(super) struct Away {
    /// Not back before.
    until: Instant,
    /// How many good answers it has given in a row.
    good: u32,
    /// It did not say so: it said nothing at all.
    silent: bool,
    reason: Status,
}

/// Whether it is there.
#[derive(Debug)]
struct Question {
    number: u64,
    since: Instant,
    /// When it was asked, in time that was watched, and how long the answer may take.
    asked: Duration,
    patience: Duration,
    /// Whether the side was up: else the answer comes after a dial, and its time tells nothing.
    timed: bool,
}

/// What the counts of calls tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// A call was begun.
    pub(super) begun: bool,
    /// One was answered.
    pub(super) answered: bool,
}

impl Side {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            state: State::Unknown,
            question: None,
            questions: 0,
            asked: None,
            ask_next: now,
            heard: None,
            quiet_since: None,
            counts: Counts::default(),
            patience: Patience::default(),
            latency: None,
            back_since: None,
            trips: 0,
        }
    }

    pub(super) const fn state(&self) -> &State {
        &self.state
    }

    pub(super) const fn is_up(&self) -> bool {
        matches!(self.state, State::Up)
    }

    pub(super) const fn is_away(&self) -> bool {
        matches!(self.state, State::Away(_))
    }

    /// Whether it is away without having said so.
    pub(super) const fn is_silent(&self) -> bool {
        matches!(self.state, State::Away(Away { silent: true, .. }))
    }

    pub(super) fn standing(&self) -> Standing {
        match &self.state {
            State::Unknown => Standing::Unknown,
            State::Up => Standing::Up,
            State::Away(Away { reason, .. }) => Standing::Away(reason.clone()),
        }
    }

    /// How long its answers take, where it was timed.
    pub(super) const fn latency(&self) -> Option<Duration> {
        self.latency
    }

    #[cfg(test)]
    pub(super) const fn patience(&self) -> &Patience {
        &self.patience
    }

    // What happens to its calls.

    /// Notes how far they are.
    pub(super) fn count(&mut self, counts: Counts, look: &Look) -> Told {
        let before = std::mem::replace(&mut self.counts, counts);
        let told = Told {
            begun: counts.begun != before.begun,
            answered: counts.answered != before.answered,
        };
        if told.answered {
            self.hears(look.now);
        } else if look.was_away || !(told.begun || counts.waiting() > 0) {
            self.quiet_since = None;
        } else {
            let is_waited_for = before.waiting() > 0;
            let since = if is_waited_for {
                look.before
            } else {
                look.watched
            };
            self.quiet_since.get_or_insert(since);
        }
        told
    }

    /// One was lost: it is asked now.
    pub(super) fn suspect(&mut self, config: &DualConfig, now: Instant) {
        if self.is_away() {
            return;
        }
        // A handler that always says so must not make a flood of questions.
        let soonest = self
            .asked
            .map_or(now, |asked| now.max(asked + config.silence));
        self.ask_next = self.ask_next.min(soonest);
    }

    // What it is asked.

    /// The number of a question to ask now, if there is to be one.
    pub(super) fn ask(&mut self, config: &DualConfig, look: &Look) -> Option<u64> {
        if self.question.is_some() {
            return None;
        }
        let is_due = match self.state {
            State::Unknown => true,
            State::Up => self.is_quiet(config, look) || self.ask_next <= look.now,
            State::Away(_) => self.ask_next <= look.now,
        };
        if !is_due {
            return None;
        }
        // Else the answer comes after a dial.
        let timed = self.is_up();
        self.questions += 1;
        self.asked = Some(look.now);
        self.question = Some(Question {
            number: self.questions,
            since: look.now,
            asked: look.watched,
            patience: if timed {
                self.patience.lasts(config.probe_timeout)
            } else {
                config.probe_timeout
            },
            timed,
        });
        Some(self.questions)
    }

    fn is_quiet(&self, config: &DualConfig, look: &Look) -> bool {
        self.quiet_since
            .is_some_and(|since| look.watched - since >= config.silence)
    }

    /// In what time the answer to the question is overdue.
    pub(super) fn overdue_in(&self, look: &Look) -> Option<Duration> {
        let question = self.question.as_ref()?;
        let until = question.asked.saturating_add(question.patience);
        Some(until.saturating_sub(look.watched))
    }

    /// Ends the question if it has waited long enough for its answer. How long that was, if nothing at all was heard meanwhile.
    pub(super) fn silent_for(&mut self, config: &DualConfig, look: &Look) -> Option<Duration> {
        let question = self.question.as_mut()?;
        if look.was_away {
            (question.since, question.asked) = (look.now, look.watched);
        }
        if look.was_late || look.watched - question.asked < question.patience {
            return None;
        }
        let heard = self.heard.is_some_and(|heard| heard >= question.since);
        let patience = question.patience;
        self.question = None;
        self.quiet_since = None;
        if heard {
            // It answers others: it is there, if slow.
            self.ask_next = look.now + config.probe_interval;
            return None;
        }
        Some(patience)
    }

    /// The question with this number has an answer, after this time if it is a good one. `None` if it is waited for no more, else whether
    /// it was timed.
    pub(super) fn answered(&mut self, number: u64, took: Option<Duration>) -> Option<bool> {
        let question = self.question.take_if(|question| question.number == number);
        let timed = question.map(|question| question.timed);
        if let Some(took) = took {
            if timed == Some(true) {
                self.latency = Some(smoothed(self.latency, took));
                self.patience.measured(took);
            } else {
                // After a dial; or it was given up too soon.
                self.patience.bounded(took);
            }
        }
        timed
    }

    /// The one who asked waits no more. If the question is not overdue yet, this process has stood still: it is asked again.
    pub(super) fn unanswered(&mut self, number: u64, now: Instant) {
        let question = self.question.take_if(|question| question.number == number);
        if question.is_some() {
            self.ask_next = now;
        }
    }

    /// It gave a good answer. Tells whether it has proved by it that it is back.
    pub(super) fn is_good(&mut self, config: &DualConfig, now: Instant) -> bool {
        self.hears(now);
        self.ask_next = now + config.probe_interval;
        match &mut self.state {
            State::Unknown | State::Up => false,
            State::Away(away) => {
                away.good += 1;
                away.good >= config.good_probes && away.until <= now
            }
        }
    }

    /// When a side that is up, and has answered now, is asked again.
    pub(super) fn ask_again(&mut self, config: &DualConfig, compare: bool, now: Instant) {
        if !self.patience.is_measured() {
            // At once: how long its answers take is to be known before it falls silent.
            self.ask_next = now;
        } else if !compare {
            self.ask_next = now + config.spare_interval();
        }
    }

    /// It gave a bad answer, or none. Tells whether it was away before.
    pub(super) fn is_bad(
        &mut self,
        config: &DualConfig,
        why: &Status,
        no_answer: bool,
        now: Instant,
    ) -> bool {
        self.ask_next = now + config.probe_interval;
        let State::Away(away) = &mut self.state else {
            return false;
        };
        away.good = 0;
        away.silent |= no_answer;
        away.reason = why.clone();
        true
    }

    // What becomes of it.

    /// There are calls again.
    pub(super) fn wake(&mut self, now: Instant) {
        self.ask_next = now;
    }

    /// Nobody asks it any more.
    pub(super) fn sleep(&mut self) {
        self.question = None;
        self.quiet_since = None;
        if self.is_up() {
            self.state = State::Unknown;
        }
    }

    pub(super) fn come_up(&mut self, now: Instant) {
        self.state = State::Up;
        self.heard = Some(now);
    }

    pub(super) fn come_back(&mut self, now: Instant) {
        self.back_since = Some(now);
        self.come_up(now);
    }

    pub(super) fn go_away(
        &mut self,
        config: &DualConfig,
        reason: Status,
        silent: bool,
        now: Instant,
        random: u64,
    ) {
        let held = self
            .back_since
            .is_none_or(|since| now.saturating_duration_since(since) >= config.stable_after);
        self.trips = if held { 1 } else { self.trips + 1 };
        self.state = State::Away(Away {
            until: after(now, config.cool_down, self.trips, random),
            good: 0,
            silent,
            reason,
        });
        self.question = None;
        self.ask_next = now + config.probe_interval;
    }

    fn hears(&mut self, now: Instant) {
        self.heard = Some(now);
        self.quiet_since = None;
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
