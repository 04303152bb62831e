//! [`Keeper`]: the task that looks after one machine: it does what the state machine says, and says what it sees.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use blixard_rpc::{Context, Result, Status};
use tokio::time::{sleep, timeout};

use super::{
    api::Vms as _,
    backend::{Adoption, Guest, GuestEvent, GuestState, Hypervisor, MachineId},
    checks::{Checking, Verdict},
    console::Console,
    machine::{Action, Observation, QUIT_TIME, StopPhase, StopPlan},
    messages::{
        Cause, Migration, MigrationMode, MigrationPhase, Reason, TransferAnswer, TransferOffer,
        TransferPart, TransferRecord, VmHealth, VmMoved, VmState,
    },
    migrate::{Arrival, Arrivals, Call, Nodes, SILENCE, next, send_guest, take_in},
    record::Record,
    records::{Kept, Records},
};
use crate::kept;

/// What all keepers of a node share.
#[derive(Debug)]
pub(super) struct Shared<H> {
    pub(super) hypervisor: Arc<H>,
    pub(super) records: Records,
    pub(super) consoles: Consoles,
    pub(super) nodes: Nodes,
    pub(super) arrivals: Arrivals,
}

impl<H> Clone for Shared<H> {
    fn clone(&self) -> Self {
        Self {
            hypervisor: Arc::clone(&self.hypervisor),
            records: self.records.clone(),
            consoles: self.consoles.clone(),
            nodes: self.nodes.clone(),
            arrivals: self.arrivals.clone(),
        }
    }
}

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
    shared: Shared<H>,
    kept: Kept,
    id: MachineId,
    guest: Option<H::Guest>,
    /// How its process ended, while that says nothing yet: another node may have the machine.
    lost: Option<Reason>,
    /// What was done of a stop.
    stopped: Option<(StopPlan, StopPhase)>,
    checking: Checking,
}

impl<H: Hypervisor> Keeper<H> {
    pub(super) fn new(shared: Shared<H>, kept: Kept) -> Result<Self> {
        let id = kept.borrow().id()?;
        Ok(Self {
            shared,
            kept,
            id,
            guest: None,
            lost: None,
            stopped: None,
            checking: Checking::new(),
        })
    }

    pub(super) async fn run(mut self) {
        while !self.adopt().await {
            sleep(RETRY).await;
        }
        // Until it is gone, and so is whoever could say more of it.
        while self.kept.has_changed().is_ok() {
            let record = Arc::clone(&self.kept.borrow_and_update());
            let console = self.guest.as_ref().map(Guest::console);
            let agent = || self.guest.as_ref().map(Guest::agent);
            self.checking.follow(&record, console, agent);
            let Some(wake) = self.act(&record).await else {
                continue;
            };
            tokio::select! {
                // If it is gone, that is seen above.
                _ = self.kept.changed() => {}
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
                match self.shared.hypervisor.remove(&self.id).await {
                    Ok(()) => {
                        self.shared.records.remove(record).await;
                        return None;
                    }
                    Err(status) => {
                        tracing::warn!(machine = %self.id.name, %status, "what is left of a machine stays");
                        return Some(RETRY);
                    }
                }
            }
            Some(Action::Send) => {
                self.send(record).await;
                return None;
            }
            Some(Action::Ask) => return self.ask(record).await,
            Some(Action::Receive) => {
                self.receive(record).await;
                return None;
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
        let launched = self.shared.hypervisor.launch(&self.id, &record.spec).await;
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
        self.shared
            .consoles
            .set(&self.id.uuid.to_string(), Some(guest.console()));
        self.guest = Some(guest);
        let record = self.now();
        self.shared
            .records
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
        if let Some(migration) = &record.life.migration
            && record.life.state == VmState::Migrating
            && migration.phase != MigrationPhase::Received
        {
            return self.adopt_on_its_way(&record, migration).await;
        }
        let found = self
            .shared
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

    /// Finds a machine that was on its way when the daemon before this one ended.
    async fn adopt_on_its_way(&mut self, record: &Record, migration: &Migration) -> bool {
        let uuid = self.id.uuid.to_string();
        if migration.phase == MigrationPhase::Receiving && self.shared.arrivals.is_there(&uuid) {
            return true;
        }
        let recorded = record.process.as_ref();
        let found = self
            .shared
            .hypervisor
            .adopt(&self.id, &record.spec, recorded)
            .await;
        match found {
            Adoption::Found(guest, _) if migration.phase == MigrationPhase::Receiving => {
                self.guest = Some(guest);
                self.close().await;
            }
            Adoption::Found(guest, _) => self.take(guest).await,
            Adoption::Gone(found) => {
                self.lost = Some(Reason {
                    cause: Cause::Lost,
                    message: format!("while the node's daemon was away: {found}"),
                });
            }
            Adoption::Unclear(found) => {
                tracing::warn!(machine = %self.id.name, found, "it is not clear whether a machine on its way has a process");
                return false;
            }
        }
        let why = "the node's daemon was restarted meanwhile";
        match migration.phase {
            MigrationPhase::Receiving => {
                self.observe(Observation::NotReceived(why.to_owned())).await;
            }
            MigrationPhase::Sending => self.stay(migration, why, None).await,
            _ => {}
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
            self.shared
                .consoles
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
                self.lost = Some(reason.clone());
                self.observe(Observation::Gone(reason)).await;
            }
            GuestEvent::Unreachable(message) => {
                self.observe(Observation::Unreachable(message)).await;
            }
            // Nobody sends or receives it any more.
            GuestEvent::Sent(_) | GuestEvent::NotSent | GuestEvent::Received => {}
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
        self.shared
            .records
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
        self.shared.consoles.set(&self.id.uuid.to_string(), None);
        self.stopped = None;
    }

    /// Sends it to another node. Afterwards it is gone, stays, or the other node has the last word.
    async fn send(&mut self, record: &Record) {
        let Some(migration) = record.life.migration.clone() else {
            return;
        };
        let kept = self.kept.clone();
        let sent = tokio::select! {
            biased;
            () = cancelled(kept) => {
                Err((Status::cancelled("somebody has cancelled that"), None))
            }
            sent = timeout(MAX_SENDING, self.try_send(record, &migration)) => {
                sent.unwrap_or_else(|_| Err((
                    Status::deadline_exceeded(format!("it was not there after {MAX_SENDING:?}")),
                    None,
                )))
            }
        };
        let (status, event) = match sent {
            Ok(held) => return self.has_moved(&migration, held).await,
            Err(failed) => failed,
        };
        tracing::warn!(machine = %self.id.name, node = migration.node, %status, "a machine could not be sent");
        let now = self.now();
        let under_way = now.life.migration.as_ref();
        if under_way.is_some_and(|it| it.phase == MigrationPhase::Offered && !it.cancelled) {
            // It is asked from now on.
            if let Some(event) = event {
                self.saw(event).await;
            }
            return;
        }
        self.stay(&migration, status.message(), event).await;
    }

    /// Answers how long its guest was held; or why it could not be sent, and what has happened to its guest if it was that.
    async fn try_send(
        &mut self,
        record: &Record,
        migration: &Migration,
    ) -> Result<Option<Duration>, (Status, Option<GuestEvent>)> {
        let plain = |status| (status, None);
        let vms = self.shared.nodes.of(&migration.node).map_err(plain)?;
        let mut form = String::new();
        if let Some(guest) = &mut self.guest {
            form = guest.form().await.map_err(plain)?;
        }
        let files = self.shared.hypervisor.files(&record.spec);
        let offer = TransferOffer {
            migration: migration.id.clone(),
            mode: migration.mode,
            machine: sent(record).map_err(plain)?,
            form,
            files: files.await.map_err(plain)?,
        };
        let mut call = Call::offer(&vms, offer).await.map_err(plain)?;
        let mut held = None;
        if migration.mode == MigrationMode::Live {
            let guest = self.guest.as_mut();
            let guest = guest.ok_or_else(|| plain(Status::unavailable("it has no process")))?;
            call.part(TransferPart::Memory).await.map_err(plain)?;
            let wire = guest.send().await.map_err(plain)?;
            held = Some(send_guest(guest, &mut call, wire).await?);
        }
        let offered = self.shared.records.observe_once(record, |record, now| {
            record.life.observe(Observation::Offered, None, now)
        });
        offered.await.map_err(plain)?;
        let record = self.now();
        let under_way = record.life.migration.as_ref();
        if under_way.is_none_or(|it| it.phase != MigrationPhase::Offered) {
            return Err(plain(Status::cancelled("somebody has cancelled that")));
        }
        let take = TransferPart::Take(sent(&record).map_err(plain)?);
        call.part(take).await.map_err(plain)?;
        let taken = timeout(SILENCE, call.answer(TransferAnswer::Taken)).await;
        taken
            .unwrap_or_else(|_| Err(Status::unavailable("it does not say whether it has it")))
            .map_err(plain)?;
        Ok(held.and_then(|since| SystemTime::now().duration_since(since).ok()))
    }

    /// Asks the other node, which has the last word, whose the machine is.
    async fn ask(&mut self, record: &Record) -> Option<Duration> {
        let migration = record.life.migration.as_ref()?;
        if migration.cancelled {
            let why = "it was sent, and somebody said that the other node is gone for good";
            self.stay(migration, why, None).await;
            return None;
        }
        let asked = async {
            let vms = self.shared.nodes.of(&migration.node)?;
            let cx = Context::with_deadline(ASK);
            let (name, id) = (self.id.name.clone(), migration.id.clone());
            vms.end_migration(&cx, name, id, false).await
        };
        let kept = self.kept.clone();
        let answer = tokio::select! {
            () = cancelled(kept) => return None,
            answer = asked => answer,
        };
        match answer {
            Ok(answer) if answer.has_it => {
                self.has_moved(migration, None).await;
                None
            }
            Ok(_) => {
                let why = "it does not have it, though all was sent";
                self.stay(migration, why, None).await;
                None
            }
            Err(status) => {
                tracing::warn!(machine = %self.id.name, node = migration.node, %status, "it is not known yet whose a machine is: the other node is asked again");
                Some(RETRY)
            }
        }
    }

    /// The other node has it: what is left of it here goes.
    async fn has_moved(&mut self, migration: &Migration, held: Option<Duration>) {
        self.close().await;
        while let Err(status) = self.shared.hypervisor.remove(&self.id).await {
            tracing::warn!(machine = %self.id.name, %status, "what is left of a machine stays for now");
            sleep(RETRY).await;
        }
        let (name, uuid) = (self.id.name.clone(), self.id.uuid.to_string());
        let node = migration.node.clone();
        tracing::info!(machine = name, node, ?held, "a machine has moved");
        let moved = VmMoved {
            name: name.clone(),
            uuid,
            node,
            held,
        };
        let record = self.now();
        self.shared.records.moved(&record, moved).await;
        let (vms, id) = (self.shared.nodes.of(&migration.node), migration.id.clone());
        tokio::spawn(async move {
            let cx = Context::with_deadline(ASK);
            if let Ok(vms) = vms
                && let Err(status) = vms.end_migration(&cx, name, id, true).await
            {
                // It keeps a little more than it needs.
                tracing::debug!(%status, "a node was not told that it may forget a migration");
            }
        });
    }

    /// It stays here, and goes on.
    async fn stay(&mut self, migration: &Migration, why: &str, event: Option<GuestEvent>) {
        let live = migration.mode == MigrationMode::Live;
        let mut message = format!("it did not move to {}: {why}", migration.node);
        let mut silent = None;
        if let Some(guest) = self.guest.as_mut().filter(|_| live) {
            match guest.stay().await {
                Ok(Some(said)) => message = format!("{message}; QEMU says: {said}"),
                Ok(None) => {}
                Err(status) => silent = Some(status),
            }
        }
        self.observe(Observation::NotMoved(message)).await;
        if let Some(event) = event {
            self.saw(event).await;
        } else if !live {
        } else if let Some(guest) = &mut self.guest {
            match guest.state().await {
                GuestState::Ended(reason) => self.saw(GuestEvent::Ended(reason)).await,
                GuestState::Paused(why) => self.observe(Observation::Paused(why)).await,
                GuestState::Running | GuestState::Prelaunch | GuestState::Unreachable(_) => {}
            }
            if let Some(status) = silent {
                self.silent(&status).await;
            }
        }
        if live && self.guest.is_none() {
            let lost = self.lost.take().unwrap_or_default();
            self.observe(Observation::Gone(lost)).await;
        }
    }

    /// Takes what another node sends. Afterwards it is this node's, or is being removed.
    async fn receive(&mut self, record: &Record) {
        let arrived = self.shared.arrivals.take(&self.id.uuid.to_string());
        let Some((mut arrival, place)) = arrived else {
            let why = "nobody sends it any more".to_owned();
            return self.observe(Observation::NotReceived(why)).await;
        };
        let received = self.try_receive(record, &mut arrival).await;
        drop(place);
        let answered = match received {
            Ok(()) => arrival.answer(TransferAnswer::Taken).await,
            Err(status) => {
                tracing::warn!(machine = %self.id.name, %status, "a machine was not received");
                let why = status.message().to_owned();
                // It is certain before it is said.
                self.observe(Observation::NotReceived(why)).await;
                arrival.answers.fail(status).await
            }
        };
        if let Err(status) = answered {
            tracing::debug!(machine = %self.id.name, %status, "whoever sent a machine does not wait any more: it will ask");
        }
    }

    async fn try_receive(&mut self, record: &Record, arrival: &mut Arrival) -> Result<()> {
        let migration = record.life.migration.clone().unwrap_or_default();
        let live = migration.mode == MigrationMode::Live;
        if live {
            let hypervisor = &self.shared.hypervisor;
            let guest = hypervisor.receive(&self.id, &record.spec, &arrival.form);
            self.take(guest.await?).await;
        }
        arrival.answer(TransferAnswer::Ready).await?;
        let mut kept = self.kept.clone();
        let sent = tokio::select! {
            sent = take_in(self.guest.as_mut(), arrival) => sent?,
            // Whoever sends it has ended the migration.
            _ = kept.wait_for(|record| record.life.action() != Some(Action::Receive)) => {
                return Err(Status::cancelled("the migration was ended"));
            }
        };
        let sent: Record = kept::decode(&sent.record, &self.id.name)?;
        if (&sent.name, &sent.uuid, &sent.spec) != (&record.name, &record.uuid, &record.spec) {
            return Err(Status::invalid_argument(
                "what was sent last is another machine than what was offered",
            ));
        }
        let records = &self.shared.records;
        records.received(record, sent, migration.id).await?;
        if let Some(guest) = &mut self.guest
            && let Err(status) = guest.resume().await
        {
            // It is this node's all the same, and is resumed again.
            tracing::warn!(machine = %self.id.name, %status, "a machine that came does not go on yet");
            if let GuestState::Ended(reason) = guest.state().await {
                self.observe(Observation::Running).await;
                self.saw(GuestEvent::Ended(reason)).await;
            }
        }
        Ok(())
    }

    async fn observe(&self, seen: Observation) {
        let record = self.now();
        self.shared
            .records
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

/// A machine as it is sent.
fn sent(record: &Record) -> Result<TransferRecord> {
    let record = kept::encode(record)?.freeze();
    Ok(TransferRecord { record })
}

/// Resolves when somebody asks that a machine that is being sent stays, or when it is gone.
async fn cancelled(mut kept: Kept) {
    let cancelled =
        |record: &Arc<Record>| record.life.migration.as_ref().is_none_or(|it| it.cancelled);
    // If it is gone, nobody waits for what this was for.
    let _ = kept.wait_for(cancelled).await;
}

async fn until_gone<G: Guest>(guest: &mut G) {
    while !matches!(guest.event().await, GuestEvent::Gone(_)) {}
}

/// What runs for so long has recovered, if the policy does not say.
const WELL_AFTER: Duration = Duration::from_secs(10 * 60);
const RETRY: Duration = Duration::from_secs(1);
/// A machine that changes faster than it can be sent stays where it is.
const MAX_SENDING: Duration = Duration::from_secs(30 * 60);
/// How long another node has to say whose a machine is.
const ASK: Duration = Duration::from_secs(10);
/// Nothing is waited for: whatever happens wakes it.
const IDLE: Duration = Duration::from_secs(3600);
