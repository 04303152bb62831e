//! [`Keeper`]: the task that looks after one machine: it does what the state machine says, and says what it sees.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use blixard_rpc::{Result, Status};
use tokio::time::{sleep, timeout};

use super::{
    backend::{Adoption, Guest, GuestEvent, GuestState, Hypervisor, MachineId},
    checks::{Checking, Verdict},
    console::Console,
    machine::{Action, Observation, QUIT_TIME, StopPhase, StopPlan},
    messages::{Cause, Reason, VmHealth, VmState},
    record::Record,
    records::{Kept, Records},
};

/// The consoles of the machines that have a process, by their uuid.
#[derive(Clone, Debug, Default)]
pub(super) struct Consoles(Arc<Mutex<HashMap<String, Arc<Console>>>>);

impl Consoles {
    pub(super) fn of(&self, uuid: &str) -> Option<Arc<Console>> {
        self.0.lock().expect("no holder panics").get(uuid).cloned()
    }

    /// Lets go of all; who reads one is at its end.
    pub(super) fn clear(&self) {
        let mut consoles = self.0.lock().expect("no holder panics");
        for (_, console) in consoles.drain() {
            console.close();
        }
    }

    fn set(&self, uuid: &str, console: Option<&Arc<Console>>) {
        let mut consoles = self.0.lock().expect("no holder panics");
        match console {
            Some(console) => consoles.insert(uuid.to_owned(), Arc::clone(console)),
            None => consoles.remove(uuid),
        };
    }
}

/// Looks after one machine, from when it is known until it is gone. Dropping it leaves the machine as it is.
pub(super) struct Keeper<H: Hypervisor> {
    hypervisor: Arc<H>,
    records: Records,
    consoles: Consoles,
    kept: Kept,
    id: MachineId,
    guest: Option<H::Guest>,
    /// What was done of a stop.
    stopped: Option<(StopPlan, StopPhase)>,
    checking: Checking,
}

impl<H: Hypervisor> Keeper<H> {
    pub(super) fn new(
        hypervisor: Arc<H>,
        records: Records,
        consoles: Consoles,
        kept: Kept,
    ) -> Result<Self> {
        let id = {
            let record = kept.borrow();
            let uuid = record.uuid.parse().map_err(|error| {
                Status::internal(format!("{} has no uuid: {error}", record.name))
            })?;
            MachineId {
                name: record.name.clone(),
                uuid,
            }
        };
        Ok(Self {
            hypervisor,
            records,
            consoles,
            kept,
            id,
            guest: None,
            stopped: None,
            checking: Checking::new(),
        })
    }

    pub(super) async fn run(mut self) {
        while !self.adopt().await {
            sleep(RETRY).await;
        }
        loop {
            let record = Arc::clone(&self.kept.borrow_and_update());
            let console = self.guest.as_ref().map(Guest::console);
            self.checking.follow(&record, console);
            let Some(wake) = self.act(&record).await else {
                if record.life.action() == Some(Action::Remove) {
                    return;
                }
                continue;
            };
            tokio::select! {
                changed = self.kept.changed() => {
                    // It is gone, and so is whoever could say more of it.
                    if changed.is_err() {
                        return;
                    }
                }
                event = next(self.guest.as_mut()) => self.saw(event).await,
                verdict = self.checking.next() => self.judge(verdict).await,
                () = sleep(wake) => {}
            }
        }
    }

    /// Does what is to be done, and answers how long there is nothing more; or nothing, if what it did has changed the machine.
    async fn act(&mut self, record: &Record) -> Option<Duration> {
        match record.life.action() {
            Some(Action::Launch) if self.guest.is_none() => {
                self.launch(record).await;
                return None;
            }
            Some(Action::Pause) => {
                if let Some(guest) = &mut self.guest
                    && let Err(status) = guest.pause().await
                {
                    return Some(self.silent(&status).await);
                }
            }
            Some(Action::Resume) => {
                if let Some(guest) = &mut self.guest
                    && let Err(status) = guest.resume().await
                {
                    return Some(self.silent(&status).await);
                }
            }
            Some(Action::Stop(plan)) => return self.stop(plan).await,
            Some(Action::Recover(at)) => {
                let left = at.duration_since(SystemTime::now()).unwrap_or_default();
                if !left.is_zero() {
                    return Some(left);
                }
                self.observe(Observation::RecoveryDue).await;
                return None;
            }
            Some(Action::Remove) => {
                self.close().await;
                match self.hypervisor.remove(&self.id).await {
                    Ok(()) => {
                        self.records.remove(record).await;
                        return None;
                    }
                    Err(status) => {
                        tracing::warn!(machine = %self.id.name, %status, "what is left of a machine stays");
                        return Some(RETRY);
                    }
                }
            }
            Some(Action::Launch) | None => {}
        }
        if record.life.state == VmState::Running
            && record.life.recoveries > 0
            && record.health() != VmHealth::Unhealthy
        {
            let after = match record.recovery.map(|policy| policy.well_after) {
                None | Some(Duration::ZERO) => WELL_AFTER,
                Some(after) => after,
            };
            let since = record.life.since.unwrap_or(SystemTime::UNIX_EPOCH);
            let been = SystemTime::now().duration_since(since).unwrap_or_default();
            match after.checked_sub(been).filter(|left| !left.is_zero()) {
                Some(left) => return Some(left),
                None => {
                    self.observe(Observation::Well).await;
                    return None;
                }
            }
        }
        Some(IDLE)
    }

    async fn launch(&mut self, record: &Record) {
        let launched = self.hypervisor.launch(&self.id, &record.spec).await;
        let failed = match launched {
            Ok(guest) => {
                // Its guest does not run before it is known whose process it is.
                self.take(guest).await;
                match self.guest.as_mut().map(Guest::resume) {
                    Some(resumed) => resumed.await,
                    None => Ok(()),
                }
            }
            Err(status) => Err(status),
        };
        if let Err(status) = failed {
            self.close().await;
            tracing::warn!(machine = %self.id.name, %status, "a machine could not be started");
            self.observe(Observation::Gone(Reason {
                cause: Cause::StartFailed,
                message: status.message().to_owned(),
            }))
            .await;
        }
    }

    /// Has a process, and notes it.
    async fn take(&mut self, guest: H::Guest) {
        let process = guest.process().clone();
        self.consoles
            .set(&self.id.uuid.to_string(), Some(guest.console()));
        self.guest = Some(guest);
        let record = self.now();
        self.records
            .observe(&record, move |record, _| {
                let changed = record.process.as_ref() != Some(&process);
                record.process = Some(process.clone());
                changed
            })
            .await;
    }

    /// Finds what a daemon before this one has left; answers whether that is clear.
    async fn adopt(&mut self) -> bool {
        let record = self.now();
        let recorded = record.process.as_ref();
        let found = self
            .hypervisor
            .adopt(&self.id, &record.spec, recorded)
            .await;
        match (found, record.life.is_active()) {
            (Adoption::Found(guest, state), true) => {
                tracing::info!(machine = %self.id.name, ?state, "a machine was adopted");
                self.take(guest).await;
                match state {
                    GuestState::Prelaunch => {
                        if record.life.state != VmState::Stopping
                            && let Some(guest) = &mut self.guest
                            && let Err(status) = guest.resume().await
                        {
                            self.silent(&status).await;
                        }
                    }
                    GuestState::Running => self.observe(Observation::Running).await,
                    GuestState::Paused(why) => self.observe(Observation::Paused(why)).await,
                    GuestState::Ended(reason) => {
                        // It must have, to come to its end.
                        self.observe(Observation::Running).await;
                        self.saw(GuestEvent::Ended(reason)).await;
                    }
                    GuestState::Unreachable(message) => {
                        self.observe(Observation::Unreachable(message)).await;
                    }
                }
            }
            // What is left of a machine that has failed, or of one that was never said to have begun.
            (Adoption::Found(guest, _), false) => {
                self.guest = Some(guest);
                self.close().await;
            }
            (Adoption::Gone(_), true)
                if record.life.state == VmState::Starting && record.process.is_none() => {}
            (Adoption::Gone(found), true) => {
                tracing::warn!(machine = %self.id.name, found, "a machine was lost while the daemon was away");
                self.observe(Observation::Gone(Reason {
                    cause: Cause::Lost,
                    message: format!("while the node's daemon was away: {found}"),
                }))
                .await;
            }
            (Adoption::Gone(_), false) => {}
            (Adoption::Unclear(found), active) => {
                tracing::warn!(machine = %self.id.name, found, "it is not clear whether a machine has a process");
                if active {
                    self.observe(Observation::Unreachable(found)).await;
                }
                // One that is not to run can wait: a start of it takes the lock, or says who has it.
                return !active && record.life.state != VmState::Deleting;
            }
        }
        true
    }

    async fn stop(&mut self, plan: StopPlan) -> Option<Duration> {
        let (phase, next) = plan.phase(SystemTime::now());
        let Some(guest) = &mut self.guest else {
            self.observe(Observation::Gone(Reason::default())).await;
            return None;
        };
        if self.stopped != Some((plan, phase)) {
            self.stopped = Some((plan, phase));
            let told = match phase {
                StopPhase::PowerButton => {
                    // One that is held does not see its button.
                    match guest.resume().await {
                        Ok(()) => guest.power_button().await,
                        refused => refused,
                    }
                }
                StopPhase::Quit => guest.quit().await,
                StopPhase::Kill => {
                    guest.kill();
                    Ok(())
                }
            };
            if let Err(status) = told {
                // The next phase comes all the same, and the last cannot be refused.
                tracing::debug!(machine = %self.id.name, ?phase, %status, "a machine does not obey");
            }
        }
        Some(next.unwrap_or(IDLE))
    }

    async fn saw(&mut self, event: GuestEvent) {
        // One that did not answer may have a new one.
        if let Some(guest) = &self.guest {
            self.consoles
                .set(&self.id.uuid.to_string(), Some(guest.console()));
        }
        match event {
            GuestEvent::Running => self.observe(Observation::Running).await,
            GuestEvent::Paused(why) => self.observe(Observation::Paused(why)).await,
            GuestEvent::Ended(reason) => {
                tracing::info!(machine = %self.id.name, ?reason, "a guest has ended");
                self.observe(Observation::Ended(reason.clone())).await;
                // What has failed may be started again by now: that its process is gone would be said of the next one.
                let stopping = self.now().life.state == VmState::Stopping;
                self.close().await;
                if stopping {
                    self.observe(Observation::Gone(reason)).await;
                }
            }
            GuestEvent::Gone(reason) => {
                tracing::info!(machine = %self.id.name, ?reason, "a machine's process is gone");
                self.forget();
                self.observe(Observation::Gone(reason)).await;
            }
            GuestEvent::Unreachable(message) => {
                self.observe(Observation::Unreachable(message)).await;
            }
        }
    }

    async fn judge(&mut self, verdict: Verdict) {
        let verdict = match verdict {
            Verdict::AskProcess(place) => {
                let Some(guest) = &mut self.guest else { return };
                let result = match guest.state().await {
                    GuestState::Running => Ok(()),
                    state => Err(format!("its process says {state:?}")),
                };
                match self.checking.note(place, result) {
                    Some(verdict) => verdict,
                    None => return,
                }
            }
            verdict => verdict,
        };
        let Verdict::Health(check, health, message) = verdict else {
            return;
        };
        let record = self.now();
        let failed = format!("the health check {check} failed: {message}");
        self.records
            .observe(&record, move |record, _| {
                let status = record
                    .health_checks
                    .iter_mut()
                    .find(|status| status.check.name == check);
                let Some(status) = status else { return false };
                let before = status.clone();
                status.health = health;
                status.message.clone_from(&message);
                if health == VmHealth::Healthy && status.check.is_heard_once() {
                    record.heard.push(status.check.name.clone());
                    return true;
                }
                *status != before
            })
            .await;
        let record = self.now();
        if health == VmHealth::Unhealthy
            && record.recovery.is_some()
            && record.life.state == VmState::Running
        {
            self.saw(GuestEvent::Ended(Reason {
                cause: Cause::Unhealthy,
                message: failed,
            }))
            .await;
        }
    }

    /// Something could not be said to the process; if that is because it is gone, it says so itself.
    async fn silent(&self, status: &Status) -> Duration {
        let message = status.message().to_owned();
        self.observe(Observation::Unreachable(message)).await;
        RETRY
    }

    /// Ends the process that there may be, by force if need be.
    async fn close(&mut self) {
        if let Some(guest) = &mut self.guest {
            let ended = async {
                // It may be gone already.
                let _ = guest.quit().await;
                until_gone(guest).await;
            };
            if timeout(QUIT_TIME, ended).await.is_err() {
                guest.kill();
                until_gone(guest).await;
            }
        }
        self.forget();
    }

    fn forget(&mut self) {
        if let Some(guest) = self.guest.take() {
            guest.console().close();
        }
        self.consoles.set(&self.id.uuid.to_string(), None);
        self.stopped = None;
    }

    async fn observe(&self, seen: Observation) {
        let record = self.now();
        self.records
            .observe(&record, move |record, now| {
                let policy = record.recovery;
                record.life.observe(seen.clone(), policy.as_ref(), now)
            })
            .await;
    }

    fn now(&self) -> Arc<Record> {
        Arc::clone(&self.kept.borrow())
    }
}

async fn next<G: Guest>(guest: Option<&mut G>) -> GuestEvent {
    match guest {
        Some(guest) => guest.event().await,
        None => std::future::pending().await,
    }
}

async fn until_gone<G: Guest>(guest: &mut G) {
    while !matches!(guest.event().await, GuestEvent::Gone(_)) {}
}

/// What runs for so long has recovered, if the policy does not say.
const WELL_AFTER: Duration = Duration::from_secs(10 * 60);
const RETRY: Duration = Duration::from_secs(1);
/// Nothing is waited for: whatever happens wakes it.
const IDLE: Duration = Duration::from_secs(3600);
