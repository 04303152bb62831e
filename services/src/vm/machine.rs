//! [`Life`]: which state of a machine leads where, and what is to be done next. Pure: the time is an argument, and nothing is done here.
//!
//! ```text
//! Created -> Starting -> Running <-> Paused      Running | Paused -> Stopping -> Stopped -> Starting
//! any active -> Failed -> Starting               any active <-> Unknown
//! Created | Stopped | Failed -> Deleting -> gone
//! here:  Running -> Migrating -> gone | Running          Created | Stopped | Failed -> Migrating -> gone | Stopped
//! there: Migrating -> Running | Stopped | Deleting
//! ```
//!
//! What is wanted ([`DesiredState`]) and what is ([`VmState`]) are kept apart. A [`Request`] changes what is wanted, and begins what it
//! leads to; an [`Observation`] says what became of it. [`Life::settle`] takes one step that needs no doing, [`Life::action`] names what
//! is to be done. Whoever drives it records each step before the next one, so that nobody misses a state.

use std::time::{Duration, SystemTime};

use blixard_rpc::{Result, Status, message};

use super::messages::{
    Cause,
    DesiredState::{self, Deleted},
    Migration, MigrationMode, MigrationPhase, Reason, RecoveryPolicy,
    VmState::{
        self, Created, Deleting, Failed, Migrating, Paused, Running, Starting, Stopped, Stopping,
    },
};

/// How long a guest has to power itself off, if nobody says how long.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(30);
/// The longest grace period.
pub const MAX_GRACE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a process has to quit when it was told to.
pub const QUIT_TIME: Duration = Duration::from_secs(1);

/// Every step there is from one state to another; `None` is gone.
pub const STEPS: [(VmState, Option<VmState>); 34] = {
    const UNKNOWN: VmState = VmState::Unspecified;
    [
        (Created, Some(Starting)),
        (Created, Some(Deleting)),
        (Starting, Some(Running)),
        (Starting, Some(Failed)),
        (Starting, Some(UNKNOWN)),
        (Running, Some(Paused)),
        (Running, Some(Stopping)),
        (Running, Some(Failed)),
        (Running, Some(Migrating)),
        (Running, Some(UNKNOWN)),
        (Paused, Some(Running)),
        (Paused, Some(Stopping)),
        (Paused, Some(Failed)),
        (Paused, Some(UNKNOWN)),
        (Stopping, Some(Stopped)),
        (Stopping, Some(Failed)),
        (Stopped, Some(Starting)),
        (Stopped, Some(Deleting)),
        (Failed, Some(Starting)),
        (Failed, Some(Deleting)),
        (Migrating, Some(Running)),
        (Migrating, Some(Stopped)),
        (Migrating, Some(Failed)),
        (Migrating, Some(UNKNOWN)),
        (Migrating, Some(Deleting)),
        (Migrating, None),
        (Created, Some(Migrating)),
        (Stopped, Some(Migrating)),
        (Failed, Some(Migrating)),
        (UNKNOWN, Some(Running)),
        (UNKNOWN, Some(Paused)),
        (UNKNOWN, Some(Stopping)),
        (UNKNOWN, Some(Failed)),
        (Deleting, None),
    ]
};

/// Where a machine is in its life.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub struct Life {
    /// How it is.
    pub state: VmState,
    /// How it is to be.
    pub desired: DesiredState,
    /// Why it is as it is.
    pub reason: Option<Reason>,
    /// When it came to its state.
    pub since: Option<SystemTime>,
    /// How it is being stopped; while it is.
    pub stop: Option<StopPlan>,
    /// How often it was started anew without having been well in between.
    pub recoveries: u32,
    /// When it is started anew; while it waits for that.
    pub recover_at: Option<SystemTime>,
    /// How far it is on its way; while it is.
    pub migration: Option<Migration>,
}

/// How a machine is being stopped.
#[message]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopPlan {
    /// When that began.
    pub began: SystemTime,
    /// How long its guest has to power itself off.
    pub grace: Duration,
}

/// What a stop does at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopPhase {
    /// The power button was pressed, and the guest has time.
    PowerButton,
    /// The process is told to quit.
    Quit,
    /// The process is killed.
    Kill,
}

impl StopPlan {
    /// What is done now, and when the next thing is, if there is one.
    #[must_use]
    pub fn phase(&self, now: SystemTime) -> (StopPhase, Option<Duration>) {
        // A clock that was set back gives the guest no more time than a whole grace period from now.
        let passed = now.duration_since(self.began).unwrap_or_default();
        if let Some(left) = self
            .grace
            .checked_sub(passed)
            .filter(|left| !left.is_zero())
        {
            return (StopPhase::PowerButton, Some(left));
        }
        match (self.grace + QUIT_TIME)
            .checked_sub(passed)
            .filter(|left| !left.is_zero())
        {
            Some(left) => (StopPhase::Quit, Some(left)),
            None => (StopPhase::Kill, None),
        }
    }
}

/// What somebody asks of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// That it runs.
    Start,
    /// That it does not, within a grace period.
    Stop(Duration),
    /// That it is held.
    Pause,
    /// That it goes on.
    Resume,
    /// That it stops, within a grace period, and starts.
    Restart(Duration),
    /// That it is no more; by force if it runs.
    Delete {
        /// Whether it may run.
        force: bool,
    },
}

/// What is seen of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// Its guest runs.
    Running,
    /// Its guest is held; for this reason if nobody asked for it.
    Paused(Option<String>),
    /// Its guest is at its end; its process may still be there.
    Ended(Reason),
    /// Its process is gone, or could not be started.
    Gone(Reason),
    /// Its process is there and does not answer.
    Unreachable(String),
    /// It has been well for long enough.
    Well,
    /// It is time to recover.
    RecoveryDue,
    /// All of it was sent to the other node, which has the last word from here on.
    Offered,
    /// It is here: the other node has it no more.
    Received,
    /// It stays here, and why.
    NotMoved(String),
    /// It does not come here, and why.
    NotReceived(String),
}

/// What is to be done for a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a process, and let its guest run.
    Launch,
    /// Hold the guest.
    Pause,
    /// Let the guest go on.
    Resume,
    /// Stop it, by this plan.
    Stop(StopPlan),
    /// Say that recovery is due, at this time.
    Recover(SystemTime),
    /// Remove what is left, and then the record.
    Remove,
    /// Send it to the other node.
    Send,
    /// Ask the other node whose it is.
    Ask,
    /// Take what the other node sends.
    Receive,
}

impl Life {
    /// The life of a machine that was created just now.
    #[must_use]
    pub const fn new(now: SystemTime) -> Self {
        Self {
            state: Created,
            desired: DesiredState::Stopped,
            reason: None,
            since: Some(now),
            stop: None,
            recoveries: 0,
            recover_at: None,
            migration: None,
        }
    }

    /// The life of a machine that comes from another node.
    #[must_use]
    pub const fn receiving(mut migration: Migration, now: SystemTime) -> Self {
        migration.phase = MigrationPhase::Receiving;
        migration.began = Some(now);
        Self {
            state: Migrating,
            desired: match migration.mode {
                MigrationMode::Live => DesiredState::Running,
                _ => DesiredState::Stopped,
            },
            reason: None,
            since: Some(now),
            stop: None,
            recoveries: 0,
            recover_at: None,
            migration: Some(migration),
        }
    }

    /// Whether it has, or may have, a process.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        !matches!(self.state, Created | Stopped | Failed | Deleting)
    }

    /// Changes what is wanted; answers whether that changed anything.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` if this cannot be asked in its state; then nothing has changed.
    pub fn request(&mut self, request: Request, now: SystemTime) -> Result<bool> {
        let before = self.clone();
        match request {
            Request::Start => self.start(now)?,
            Request::Stop(grace) => self.stop(grace, now)?,
            Request::Pause => self.pause()?,
            Request::Resume => self.resume()?,
            Request::Restart(grace) => self.restart(grace, now)?,
            Request::Delete { force } => self.delete(force, now)?,
        }
        Ok(*self != before)
    }

    fn start(&mut self, now: SystemTime) -> Result<()> {
        match (self.state, self.desired) {
            (Created | Stopped | Failed, _) if self.desired != Deleted => {
                self.recoveries = 0;
                self.recover_at = None;
                self.desired = DesiredState::Running;
                self.go(Starting, requested(), now);
                Ok(())
            }
            (Starting | Running | Stopping, DesiredState::Running) => Ok(()),
            (Paused, _) => refuse("is paused: resume it"),
            (Running, DesiredState::Paused) => refuse("is being paused: resume it"),
            (Starting | Stopping | Running, _) => {
                refuse("is being stopped: start it when it has stopped")
            }
            _ => self.refuse_otherwise(),
        }
    }

    fn stop(&mut self, grace: Duration, now: SystemTime) -> Result<()> {
        if self.desired == Deleted {
            return self.refuse_otherwise();
        }
        match self.state {
            // Its process is not there yet: it is stopped as soon as it is.
            Starting => {
                self.desired = DesiredState::Stopped;
                self.plan(grace, now);
            }
            Created | Stopped | Failed => {
                self.desired = DesiredState::Stopped;
                self.recover_at = None;
            }
            Running | Paused | Stopping | VmState::Unspecified | VmState::Other(_) => {
                self.desired = DesiredState::Stopped;
                self.plan(grace, now);
                if self.state != Stopping {
                    self.go(Stopping, requested(), now);
                }
            }
            Migrating | Deleting => return self.refuse_otherwise(),
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<()> {
        match (self.state, self.desired) {
            (Running | Paused, DesiredState::Running | DesiredState::Paused) => {
                self.desired = DesiredState::Paused;
                Ok(())
            }
            (Starting, _) => refuse("is starting: pause it when it runs"),
            (Created | Stopped | Failed, _) => refuse("does not run: start it"),
            _ => self.refuse_otherwise(),
        }
    }

    fn resume(&mut self) -> Result<()> {
        match (self.state, self.desired) {
            (Running | Paused, DesiredState::Running | DesiredState::Paused) => {
                self.desired = DesiredState::Running;
                Ok(())
            }
            (Starting, _) => refuse("is starting, and not paused"),
            (Created | Stopped | Failed, _) => refuse("does not run: start it"),
            _ => self.refuse_otherwise(),
        }
    }

    fn restart(&mut self, grace: Duration, now: SystemTime) -> Result<()> {
        match (self.state, self.desired) {
            (Stopping, DesiredState::Running) => {
                self.plan(grace, now);
                Ok(())
            }
            (Running | Paused, DesiredState::Running | DesiredState::Paused) => {
                self.desired = DesiredState::Running;
                self.plan(grace, now);
                self.go(Stopping, requested(), now);
                Ok(())
            }
            (Starting, _) => refuse("is starting already"),
            (Created | Stopped | Failed, _) => refuse("does not run: start it"),
            (VmState::Unspecified, _) => {
                refuse("does not answer: stop it, which ends in killing its process, and start it")
            }
            _ => self.refuse_otherwise(),
        }
    }

    fn delete(&mut self, force: bool, now: SystemTime) -> Result<()> {
        if self.desired == Deleted {
            return Ok(());
        }
        match self.state {
            Created | Stopped | Failed => {
                self.desired = Deleted;
                self.recover_at = None;
                self.go(Deleting, requested(), now);
            }
            Migrating => return self.refuse_otherwise(),
            _ if !force => {
                return refuse("has a process: stop it first, or delete it with force");
            }
            state => {
                self.desired = Deleted;
                self.plan(Duration::ZERO, now);
                if !matches!(state, Starting | Stopping) {
                    self.go(Stopping, requested(), now);
                }
            }
        }
        Ok(())
    }

    /// Begins to send it to another node; answers whether that changed anything.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` if it cannot go in its state, or not in that way.
    pub fn migrate(&mut self, mut migration: Migration, now: SystemTime) -> Result<bool> {
        use MigrationMode::{Cold, Live, Unspecified};
        if let Some(under_way) = self.migration.as_ref().filter(|_| self.state == Migrating) {
            let same = under_way.node == migration.node
                && under_way.phase != MigrationPhase::Receiving
                && [Unspecified, under_way.mode].contains(&migration.mode);
            return match same {
                true => Ok(false),
                false => self.refuse_otherwise(),
            };
        }
        migration.mode = match (self.state, self.desired, migration.mode) {
            (Running, DesiredState::Running, Live | Unspecified) => Live,
            (Running, DesiredState::Running | DesiredState::Paused, Cold) => {
                return refuse("runs: stop it first, or migrate it live");
            }
            (Running, DesiredState::Paused, _) => {
                return refuse("is being paused: resume it first");
            }
            (Paused, _, _) if self.desired != Deleted => {
                return refuse("is paused: resume it, or stop it, first");
            }
            (Created | Stopped | Failed, DesiredState::Stopped, Cold | Unspecified) => Cold,
            (Failed, DesiredState::Running, Cold | Unspecified) if self.recover_at.is_none() => {
                Cold
            }
            (Failed, DesiredState::Running, Cold | Unspecified) => {
                return refuse("has failed, and is to be started again: stop it first");
            }
            (Created | Stopped | Failed, _, Live) if self.desired != Deleted => {
                return refuse("does not run: start it first, or migrate it cold");
            }
            (Starting, DesiredState::Running, _) => {
                return refuse("is starting: migrate it when it runs");
            }
            _ => return self.refuse_otherwise(),
        };
        if migration.mode == Cold {
            self.desired = DesiredState::Stopped;
        }
        migration.phase = MigrationPhase::Sending;
        migration.began = Some(now);
        self.migration = Some(migration);
        self.go(Migrating, requested(), now);
        Ok(true)
    }

    /// Asks that it stays; once the other node has the last word, only if that node is gone for good. Answers whether that changed
    /// anything.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` if it is not being sent, or the other node has the last word.
    pub fn cancel_migration(&mut self, other_is_gone: bool) -> Result<bool> {
        let Some(migration) = self.migration.as_mut().filter(|_| self.state == Migrating) else {
            return refuse("is not being sent to another node");
        };
        match migration.phase {
            MigrationPhase::Sending => {}
            MigrationPhase::Offered if other_is_gone => {}
            MigrationPhase::Offered => {
                return refuse(
                    "was sent, and the other node has the last word: it is asked until it answers; if it is gone for good, say so, and the machine goes on here",
                );
            }
            _ => {
                return refuse("comes from another node: cancel it there");
            }
        }
        let changed = !migration.cancelled;
        migration.cancelled = true;
        Ok(changed)
    }

    fn phase(&self) -> MigrationPhase {
        match &self.migration {
            Some(migration) if self.state == Migrating => migration.phase,
            _ => MigrationPhase::Unspecified,
        }
    }

    fn refuse_otherwise<T>(&self) -> Result<T> {
        if self.desired == Deleted {
            return refuse("is being deleted");
        }
        match self.state {
            Stopping => refuse("is stopping: wait until it has stopped"),
            Migrating => match self.phase() {
                MigrationPhase::Receiving => {
                    refuse("is on its way here from another node: wait until it is here")
                }
                MigrationPhase::Received => refuse("has just come here: wait until it runs"),
                _ => refuse(
                    "is on its way to another node: wait until it is there, or cancel its migration",
                ),
            },
            Running | Paused | Starting => refuse("is being stopped: wait until it has stopped"),
            _ => refuse("does not answer: stop it, which ends in killing its process"),
        }
    }

    /// Takes in what was seen; answers whether that changed anything. What cannot be from here changes nothing.
    pub fn observe(
        &mut self,
        seen: Observation,
        policy: Option<&RecoveryPolicy>,
        now: SystemTime,
    ) -> bool {
        let before = self.clone();
        let sent = matches!(
            self.phase(),
            MigrationPhase::Sending | MigrationPhase::Offered | MigrationPhase::Receiving
        );
        match (seen, self.state) {
            (Observation::Offered, Migrating) if self.phase() == MigrationPhase::Sending => {
                if let Some(migration) = self.migration.as_mut().filter(|it| !it.cancelled) {
                    migration.phase = MigrationPhase::Offered;
                }
            }
            (Observation::NotMoved(message), Migrating)
                if sent && self.phase() != MigrationPhase::Receiving =>
            {
                let to = match self.migration.as_ref().map(|it| it.mode) {
                    Some(MigrationMode::Live) => Running,
                    _ => Stopped,
                };
                let cause = Cause::NotMoved;
                self.go(to, Some(Reason { cause, message }), now);
            }
            (Observation::NotReceived(message), Migrating)
                if self.phase() == MigrationPhase::Receiving =>
            {
                self.desired = Deleted;
                let cause = Cause::NotMoved;
                self.go(Deleting, Some(Reason { cause, message }), now);
            }
            (Observation::Received, Migrating) if self.phase() == MigrationPhase::Receiving => {
                match &mut self.migration {
                    Some(migration) if migration.mode == MigrationMode::Live => {
                        migration.phase = MigrationPhase::Received;
                    }
                    _ => self.go(Stopped, requested(), now),
                }
            }
            // What is seen of its process is for who sends or receives it: whose it is does not follow from it.
            (
                Observation::Running
                | Observation::Paused(_)
                | Observation::Ended(_)
                | Observation::Gone(_)
                | Observation::Unreachable(_),
                Migrating,
            ) if sent => {}
            (
                Observation::Running,
                Starting | Paused | Migrating | VmState::Unspecified | VmState::Other(_),
            ) => {
                self.go(Running, None, now);
            }
            (Observation::Paused(why), Running | VmState::Unspecified | VmState::Other(_)) => {
                let reason = match why {
                    None => requested(),
                    Some(message) => {
                        // Else it would be resumed at once, and held at once, for ever.
                        if self.desired == DesiredState::Running {
                            self.desired = DesiredState::Paused;
                        }
                        Some(Reason {
                            cause: Cause::Hypervisor,
                            message,
                        })
                    }
                };
                self.go(Paused, reason, now);
            }
            (Observation::Ended(reason), Running | Paused | VmState::Unspecified)
                if reason.cause == Cause::GuestShutdown =>
            {
                if self.desired != Deleted {
                    self.desired = DesiredState::Stopped;
                }
                self.plan(Duration::ZERO, now);
                self.go(Stopping, Some(reason), now);
            }
            (Observation::Gone(reason), Stopping) => {
                self.stop = None;
                let reason = match self.reason.take() {
                    Some(first) if first.cause != Cause::Requested => first,
                    _ if reason.cause == Cause::Lost => reason,
                    _ => Reason {
                        cause: Cause::Requested,
                        message: reason.message,
                    },
                };
                self.go(Stopped, Some(reason), now);
            }
            (Observation::Ended(_), Stopping) => {}
            (Observation::Ended(reason) | Observation::Gone(reason), _) if self.is_active() => {
                self.fail(reason, policy, now);
            }
            (Observation::Unreachable(message), Starting | Running | Paused | Migrating) => {
                let reason = Reason {
                    cause: Cause::Unspecified,
                    message,
                };
                self.go(VmState::Unspecified, Some(reason), now);
            }
            (Observation::Well, Running) => self.recoveries = 0,
            (Observation::RecoveryDue, Failed)
                if self.recover_at.take().is_some_and(|at| at <= now)
                    && self.desired == DesiredState::Running =>
            {
                self.recoveries += 1;
                let mut reason = self.reason.take().unwrap_or_default();
                reason.message = format!("recovery {}: {}", self.recoveries, reason.message);
                self.go(Starting, Some(reason), now);
            }
            _ => {
                *self = before;
                return false;
            }
        }
        *self != before
    }

    /// Takes one step that follows by itself; answers whether there was one.
    pub fn settle(&mut self, now: SystemTime) -> bool {
        match (self.state, self.desired) {
            (Running | Paused | VmState::Unspecified, DesiredState::Stopped | Deleted) => {
                if self.stop.is_none() {
                    self.plan(DEFAULT_GRACE, now);
                }
                self.go(Stopping, requested(), now);
            }
            (Stopped, DesiredState::Running) => self.go(Starting, self.reason.clone(), now),
            (Created | Stopped | Failed, Deleted) => self.go(Deleting, requested(), now),
            _ => return false,
        }
        true
    }

    /// What is to be done.
    #[must_use]
    pub fn action(&self) -> Option<Action> {
        match (self.state, self.desired) {
            (Starting, _) => Some(Action::Launch),
            (Running, DesiredState::Paused) => Some(Action::Pause),
            (Paused, DesiredState::Running) => Some(Action::Resume),
            (Stopping, _) => self.stop.map(Action::Stop),
            (Failed, DesiredState::Running) => self.recover_at.map(Action::Recover),
            (Deleting, _) => Some(Action::Remove),
            (Migrating, _) => match self.phase() {
                MigrationPhase::Sending => Some(Action::Send),
                MigrationPhase::Offered => Some(Action::Ask),
                MigrationPhase::Receiving => Some(Action::Receive),
                _ => Some(Action::Resume),
            },
            _ => None,
        }
    }

    /// Fails, and says when to recover if there is a policy that is not used up.
    fn fail(&mut self, reason: Reason, policy: Option<&RecoveryPolicy>, now: SystemTime) {
        self.stop = None;
        // Who held it wanted it back.
        if self.desired == DesiredState::Paused {
            self.desired = DesiredState::Running;
        }
        self.go(Failed, Some(reason), now);
        self.recover_at = policy
            .filter(|_| self.desired == DesiredState::Running)
            .and_then(|policy| delay(policy, self.recoveries))
            .and_then(|delay| now.checked_add(delay));
    }

    /// Plans a stop; one that comes sooner replaces one that comes later.
    fn plan(&mut self, grace: Duration, now: SystemTime) {
        let grace = grace.min(MAX_GRACE);
        let ends = |plan: StopPlan| plan.began + plan.grace;
        let plan = StopPlan { began: now, grace };
        if self.stop.is_none_or(|before| ends(plan) < ends(before)) {
            self.stop = Some(plan);
        }
    }

    fn go(&mut self, state: VmState, reason: Option<Reason>, now: SystemTime) {
        debug_assert!(
            STEPS.contains(&(self.state, Some(state))) || matches!(self.state, VmState::Other(_)),
            "there is no step from {:?} to {state:?}",
            self.state
        );
        self.state = state;
        self.reason = reason;
        self.since = Some(now);
        if state != Migrating {
            self.migration = None;
        }
        // A stop that was asked for while it started is still to come.
        let to_stop = matches!(self.desired, DesiredState::Stopped | Deleted);
        if !(matches!(state, Starting | Stopping) || to_stop && self.is_active()) {
            self.stop = None;
        }
    }
}

/// How long to wait before recovery number `done`, counted from zero; `None` if there are no more.
#[must_use]
pub fn delay(policy: &RecoveryPolicy, done: u32) -> Option<Duration> {
    if done >= policy.attempts {
        return None;
    }
    let growth = match policy.backoff {
        0 => 2,
        backoff => backoff,
    };
    let cap = match policy.max_delay {
        Duration::ZERO => Duration::from_secs(5 * 60),
        max => max,
    };
    let factor = growth.checked_pow(done).unwrap_or(u32::MAX);
    Some(policy.delay.checked_mul(factor).unwrap_or(cap).min(cap))
}

fn requested() -> Option<Reason> {
    Some(Reason {
        cause: Cause::Requested,
        message: String::new(),
    })
}

/// The machine's name is put before it by whoever knows it.
fn refuse<T>(why: &str) -> Result<T> {
    Err(Status::failed_precondition(why))
}

#[cfg(test)]
mod tests;
