//! [`Slot`]: what is known of the connection to one peer. A pure state machine: the time and the random numbers are arguments,
//! and whoever is told to dial does.

use std::{mem, time::Duration};

use tokio::time::Instant;

use super::config::PoolConfig;
use crate::status::Status;

/// What is known of the connection to one peer.
#[derive(Debug)]
pub(super) struct Slot<K> {
    state: State<K>,
    /// Attempts so far; the number of an attempt is the identity of the connection that came of it.
    attempts: u64,
    /// Attempts that failed since there was a connection that held.
    failures: u32,
    /// Calls that have not ended.
    calls: usize,
    last_used: Instant,
    /// The connection that was given up last, for whoever holds the lock to drop when it does no more.
    gone: Option<K>,
}

#[derive(Debug)]
enum State<K> {
    /// Nobody has needed it, or what there was is gone.
    Idle,
    Dialling,
    Open {
        connection: K,
        since: Instant,
    },
    BackingOff {
        until: Instant,
        reason: Status,
    },
}

/// What somebody who wants to call is to do.
#[derive(Debug)]
pub(super) enum Next<K> {
    /// Call on this connection, and say [`Slot::release`] afterwards.
    Call(K),
    /// Dial, and tell [`Slot::dialled`] under this number; then wait.
    Dial(u64),
    /// Somebody dials: wait until there is news.
    Wait,
    /// Give up for now.
    Refuse {
        /// Why there is no connection.
        reason: Status,
        /// When it will be tried again.
        until: Instant,
    },
}

impl<K: Clone> Slot<K> {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            state: State::Idle,
            attempts: 0,
            failures: 0,
            calls: 0,
            last_used: now,
            gone: None,
        }
    }

    /// Somebody wants to call. One who has waited for an attempt does not wait for a second if that failed.
    pub(super) fn ask(&mut self, now: Instant, has_waited: bool) -> Next<K> {
        match &self.state {
            State::Open { connection, .. } => {
                let connection = connection.clone();
                self.calls += 1;
                self.last_used = now;
                Next::Call(connection)
            }
            State::Dialling => Next::Wait,
            State::BackingOff { until, reason } if has_waited || now < *until => Next::Refuse {
                reason: reason.clone(),
                until: *until,
            },
            State::Idle | State::BackingOff { .. } => {
                self.attempts += 1;
                self.state = State::Dialling;
                Next::Dial(self.attempts)
            }
        }
    }

    /// A call has ended.
    pub(super) const fn release(&mut self, now: Instant) {
        self.calls -= 1;
        self.last_used = now;
    }

    /// An attempt has ended. Tells whether its connection is the one of the slot now.
    pub(super) fn dialled(
        &mut self,
        attempt: u64,
        result: Result<K, Status>,
        config: &PoolConfig,
        now: Instant,
        random: u64,
    ) -> bool {
        if attempt != self.attempts || !matches!(self.state, State::Dialling) {
            return false;
        }
        match result {
            Ok(connection) => {
                self.last_used = now;
                self.state = State::Open {
                    connection,
                    since: now,
                };
                true
            }
            Err(reason) => {
                self.back_off(reason, config, now, random);
                false
            }
        }
    }

    /// The connection that came of this attempt was lost.
    pub(super) fn closed(
        &mut self,
        attempt: u64,
        reason: Status,
        config: &PoolConfig,
        now: Instant,
        random: u64,
    ) {
        match &self.state {
            State::Open { since, .. } if attempt == self.attempts => {
                if now.saturating_duration_since(*since) < config.stable_after {
                    self.back_off(reason, config, now, random);
                } else {
                    self.reset();
                }
            }
            _ => {}
        }
    }

    /// Gives the connection up if it has no calls, and has had none for long enough; else tells when to ask again.
    pub(super) fn expire(
        &mut self,
        attempt: u64,
        config: &PoolConfig,
        now: Instant,
    ) -> Option<Instant> {
        if attempt != self.attempts || !matches!(self.state, State::Open { .. }) {
            return None;
        }
        if self.calls > 0 {
            return Some(after(now, config.idle_timeout));
        }
        let at = after(self.last_used, config.idle_timeout);
        if now < at {
            return Some(at);
        }
        self.reset();
        None
    }

    /// Since when it could be given up for another peer's: `None` while it has calls, or no connection.
    pub(super) const fn idle_since(&self) -> Option<Instant> {
        match self.state {
            State::Open { .. } if self.calls == 0 => Some(self.last_used),
            _ => None,
        }
    }

    /// Whether there is a connection, or soon may be.
    pub(super) const fn is_live(&self) -> bool {
        matches!(self.state, State::Open { .. } | State::Dialling)
    }

    /// The connection, where it is open.
    pub(super) const fn connection(&self) -> Option<&K> {
        match &self.state {
            State::Open { connection, .. } => Some(connection),
            State::Idle | State::Dialling | State::BackingOff { .. } => None,
        }
    }

    /// Forgets the connection, or the attempt, and what failed before.
    pub(super) fn reset(&mut self) {
        self.leave(State::Idle);
        self.failures = 0;
    }

    /// The connection that was given up since this was asked last. What dropping it does is not known here: no lock may be held.
    pub(super) const fn take_gone(&mut self) -> Option<K> {
        self.gone.take()
    }

    fn leave(&mut self, state: State<K>) {
        if let State::Open { connection, .. } = mem::replace(&mut self.state, state) {
            self.gone = Some(connection);
        }
    }

    fn back_off(&mut self, reason: Status, config: &PoolConfig, now: Instant, random: u64) {
        self.failures = self.failures.saturating_add(1);
        let until = after(now, config.backoff.delay(self.failures, random));
        self.leave(State::BackingOff { until, reason });
    }
}

/// So long after `start`, or at a time that is never reached.
pub(super) fn after(start: Instant, duration: Duration) -> Instant {
    start.checked_add(duration).unwrap_or(start + NEVER)
}

/// Thirty years.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::Backoff;

    const CONFIG: PoolConfig = PoolConfig {
        connect_timeout: Duration::from_secs(5),
        backoff: Backoff {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(4),
        },
        stable_after: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(60),
        max_connections: 1,
    };

    /// Drives a slot by a script, one step a line of what happens and what comes of it; the clock stands at the seconds before.
    fn check(script: &str) {
        let start = Instant::now();
        let mut slot: Slot<u64> = Slot::new(start);
        for line in script
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            let (event, expected) = line.split_once(" => ").unwrap();
            let mut words = event.split(' ');
            let seconds: u64 = words.next().unwrap().parse().unwrap();
            let now = start + Duration::from_secs(seconds);
            let since_start = |at: Instant| (at - start).as_secs();
            let event = words.next().unwrap();
            let number = words.next().map_or(0, |word| word.parse().unwrap());
            let lost = || Status::unavailable("lost");
            let got = match event {
                "ask" | "again" => match slot.ask(now, event == "again") {
                    Next::Call(connection) => format!("call {connection}"),
                    Next::Dial(attempt) => format!("dial {attempt}"),
                    Next::Wait => "wait".to_owned(),
                    Next::Refuse { until, .. } => format!("refuse until {}", since_start(until)),
                },
                "open" => {
                    let current = slot.dialled(number, Ok(number), &CONFIG, now, u64::MAX);
                    format!("{current}")
                }
                "fail" => {
                    let current = slot.dialled(number, Err(lost()), &CONFIG, now, u64::MAX);
                    format!("{current}")
                }
                "close" => {
                    slot.closed(number, lost(), &CONFIG, now, u64::MAX);
                    format!("live {}", slot.is_live())
                }
                "expire" => match slot.expire(number, &CONFIG, now) {
                    Some(at) => format!("ask at {}", since_start(at)),
                    None => format!("live {}", slot.is_live()),
                },
                "release" => {
                    slot.release(now);
                    format!("idle {}", slot.idle_since().is_some())
                }
                "reset" => {
                    slot.reset();
                    format!("live {}", slot.is_live())
                }
                other => panic!("{other}"),
            };
            assert_eq!(got, expected, "{line}");
        }
    }

    #[test]
    fn one_dials_and_the_others_wait() {
        check(
            "0 ask => dial 1
             0 ask => wait
             1 open 1 => true
             1 again => call 1
             2 ask => call 1
             3 release => idle false
             3 release => idle true",
        );
    }

    #[test]
    fn failures_double_the_pause_and_fail_calls_at_once() {
        check(
            "0 ask => dial 1
             0 fail 1 => false
             0 ask => refuse until 1
             1 ask => dial 2
             1 fail 2 => false
             2 ask => refuse until 3
             3 ask => dial 3
             3 fail 3 => false
             7 ask => dial 4
             7 fail 4 => false
             7 ask => refuse until 11",
        );
    }

    #[test]
    fn one_who_waited_in_vain_does_not_dial_again() {
        check(
            "0 ask => dial 1
             0 fail 1 => false
             9 again => refuse until 1
             9 ask => dial 2",
        );
    }

    #[test]
    fn a_connection_that_held_is_dialled_again_at_once_and_one_that_did_not_later() {
        check(
            "0 ask => dial 1
             0 open 1 => true
             20 close 1 => live false
             20 ask => dial 2
             20 open 2 => true
             21 close 2 => live false
             21 ask => refuse until 22
             22 ask => dial 3
             22 open 3 => true
             23 close 3 => live false
             23 ask => refuse until 25
             25 ask => dial 4
             25 open 4 => true
             40 close 4 => live false
             40 ask => dial 5
             40 fail 5 => false
             40 ask => refuse until 41",
        );
    }

    #[test]
    fn what_is_said_of_an_older_connection_counts_for_nothing() {
        check(
            "0 ask => dial 1
             0 reset => live false
             0 ask => dial 2
             1 open 1 => false
             1 fail 1 => false
             1 open 2 => true
             20 close 1 => live true
             99 expire 1 => live true
             99 ask => call 2",
        );
    }

    #[test]
    fn a_time_that_is_never_reached_is_one() {
        let now = Instant::now();
        assert!(after(now, Duration::MAX) > now + Duration::from_secs(1_000_000));
    }

    #[test]
    fn a_connection_that_is_given_up_is_handed_out() {
        let now = Instant::now();
        let mut slot = Slot::new(now);
        for attempt in 1..=2 {
            let _ = slot.ask(now, false);
            assert!(slot.dialled(attempt, Ok(attempt), &CONFIG, now, 0));
            assert_eq!(slot.take_gone(), None);
            slot.reset();
            assert_eq!(slot.take_gone(), Some(attempt));
        }
    }

    #[test]
    fn a_connection_without_calls_expires() {
        check(
            "0 ask => dial 1
             0 open 1 => true
             0 expire 1 => ask at 60
             30 ask => call 1
             60 expire 1 => ask at 120
             100 release => idle true
             120 expire 1 => ask at 160
             160 expire 1 => live false
             160 ask => dial 2",
        );
    }
}
