//! [`VmHost`]: the machines of this node, and the service that answers for them.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use blixard_rpc::{Result, Status, Streaming};
use futures_util::stream;
use tokio::{
    sync::{Notify, mpsc},
    task::{AbortHandle, JoinHandle, JoinSet},
};

use super::{
    api::{Vms, VmsServer},
    backend::Hypervisor,
    keeper::{Consoles, Keeper},
    machine::{DEFAULT_GRACE, Request},
    messages::{
        AddHealthCheckResponse, Change, ConsoleRequest, ConsoleResponse, CreateResponse,
        DeleteResponse, EnableHealthCheckResponse, GetResponse, HealthCheck, HealthCheckStatus,
        ListHealthChecksResponse, ListResponse, PauseResponse, RecoveryPolicy,
        RemoveHealthCheckResponse, RestartResponse, ResumeResponse, SetRecoveryResponse,
        StartResponse, StopResponse, Vm, VmHealth, VmSpec, WatchResponse,
    },
    record::Record,
    records::{Answer, Records, missing},
    valid,
};

/// The machines of this node. A clone is another handle of the same.
///
/// When the last handle is dropped, or it is [closed](Self::close), nobody looks after the machines any more; they go on, and the
/// next host with the same folder adopts them.
#[derive(Debug)]
pub struct VmHost<H>(Arc<Inner<H>>);

impl<H> Clone for VmHost<H> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Inner<H> {
    hypervisor: Arc<H>,
    records: Records,
    consoles: Consoles,
    /// Says that the keepers are to let go.
    stop: Arc<Notify>,
    /// Until it was waited for.
    keepers: Mutex<Option<JoinHandle<()>>>,
}

impl<H> Drop for Inner<H> {
    fn drop(&mut self) {
        // Who panicked has not taken it.
        if let Ok(Some(keepers)) = self.keepers.get_mut() {
            keepers.abort();
        }
    }
}

impl<H: Hypervisor> VmHost<H> {
    /// Opens the records in this folder, adopts the machines that are there, and looks after them.
    ///
    /// # Errors
    /// The records cannot be opened: another host has them, or the disk says no.
    pub async fn open(folder: impl AsRef<Path>, hypervisor: H) -> Result<Self> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(|error| {
            Status::failed_precondition(format!(
                "the folder {} cannot be made: {error}",
                folder.display()
            ))
        })?;
        let hypervisor = Arc::new(hypervisor);
        let consoles = Consoles::default();
        let (sender, mut kept) = mpsc::unbounded_channel();
        let records = Records::open(folder.join(FILE), sender).await?;
        let stop = Arc::new(Notify::new());
        let keepers = {
            let (hypervisor, records, consoles) =
                (Arc::clone(&hypervisor), records.clone(), consoles.clone());
            let stop = Arc::clone(&stop);
            async move {
                let mut keepers = JoinSet::new();
                loop {
                    tokio::select! {
                        () = stop.notified() => return keepers.shutdown().await,
                        next = kept.recv() => {
                            let Some(kept) = next else { return };
                            let keeper = Keeper::new(
                                Arc::clone(&hypervisor),
                                records.clone(),
                                consoles.clone(),
                                kept,
                            );
                            match keeper {
                                Ok(keeper) => drop(keepers.spawn(keeper.run())),
                                Err(status) => tracing::error!(%status, "nobody looks after a machine"),
                            }
                        }
                        Some(ended) = keepers.join_next() => {
                            if let Err(error) = ended {
                                tracing::error!(%error, "nobody looks after a machine any more");
                            }
                        }
                    }
                }
            }
        };
        Ok(Self(Arc::new(Inner {
            hypervisor,
            records,
            consoles,
            stop,
            keepers: Mutex::new(Some(tokio::spawn(keepers))),
        })))
    }

    /// The service, for a router: `Router::new().add(host.server())`.
    #[must_use]
    pub fn server(&self) -> VmsServer<Self> {
        VmsServer::new(self.clone())
    }

    /// What runs the machines.
    #[must_use]
    pub fn hypervisor(&self) -> &Arc<H> {
        &self.0.hypervisor
    }

    /// Lets go of the machines, which go on. Calls end with `UNAVAILABLE` from here on. Afterwards the folder can be opened again.
    pub async fn close(&self) {
        self.0.stop.notify_one();
        let keepers = self.0.keepers.lock().expect("no holder panics").take();
        if let Some(keepers) = keepers {
            // It has no answer, and a keeper that panicked looks after nothing either.
            let _ = keepers.await;
        }
        self.0.consoles.clear();
        self.0.records.close().await;
    }

    async fn ask(&self, name: String, request: Request, change: Change) -> Result<Answer> {
        valid::name("machine", &name)?;
        let asked = format!("{request:?}");
        let named = name.clone();
        let edit = move |record: Option<&Record>, now| {
            let mut record = record.ok_or_else(|| missing(&named))?.clone();
            let changed = record.life.request(request, now).map_err(|status| {
                Status::new(status.code(), format!("{named} {}", status.message()))
            })?;
            Ok(changed.then_some(record))
        };
        self.0.records.change(&name, change, &asked, edit).await
    }

    /// Changes something of a machine that says nothing of its life.
    async fn edit(
        &self,
        name: String,
        change: Change,
        asked: String,
        edit: impl FnOnce(&mut Record) -> Result<bool> + Send + 'static,
    ) -> Result<Answer> {
        valid::name("machine", &name)?;
        let named = name.clone();
        let edit = move |record: Option<&Record>, _| {
            let mut record = record.ok_or_else(|| missing(&named))?.clone();
            Ok(edit(&mut record)?.then_some(record))
        };
        self.0.records.change(&name, change, &asked, edit).await
    }
}

/// Makes the answer of a method of what has changed.
macro_rules! answered {
    ($response:ident, $answer:expr) => {{
        let (vm, changed): (Vm, bool) = $answer;
        Ok($response { vm, changed })
    }};
}

impl<H: Hypervisor> Vms for VmHost<H> {
    async fn create(&self, name: String, spec: VmSpec, change: Change) -> Result<CreateResponse> {
        valid::name("machine", &name)?;
        valid::spec(&spec)?;
        // Whether it could be made counts only if it is to be made: one that is there needs no image any more, and an answer that is sent
        // again is the same whatever has become of the images.
        let known = self.0.records.get(&name);
        let possible = match known {
            Ok(record) if record.spec == spec => Ok(()),
            _ => self.0.hypervisor.check(&spec).await,
        };
        let asked = format!("Create {spec:?}");
        let named = name.clone();
        let edit = move |record: Option<&Record>, now| match record {
            Some(record)
                if record.spec == spec
                    && record.life.action() != Some(super::machine::Action::Remove) =>
            {
                Ok(None)
            }
            Some(record) if record.spec == spec => Err(Status::failed_precondition(format!(
                "{named} is being deleted: create it when it is gone"
            ))),
            Some(_) => Err(Status::already_exists(format!(
                "there is a machine {named} with another spec: delete it first, or use another name"
            ))),
            None => possible.map(|()| Some(Record::new(named, spec, now))),
        };
        let answer = self.0.records.change(&name, change, &asked, edit).await?;
        answered!(CreateResponse, answer)
    }

    async fn start(&self, name: String, change: Change) -> Result<StartResponse> {
        answered!(StartResponse, self.ask(name, Request::Start, change).await?)
    }

    async fn stop(
        &self,
        name: String,
        grace: Option<Duration>,
        change: Change,
    ) -> Result<StopResponse> {
        let request = Request::Stop(grace.unwrap_or(DEFAULT_GRACE));
        answered!(StopResponse, self.ask(name, request, change).await?)
    }

    async fn pause(&self, name: String, change: Change) -> Result<PauseResponse> {
        answered!(PauseResponse, self.ask(name, Request::Pause, change).await?)
    }

    async fn resume(&self, name: String, change: Change) -> Result<ResumeResponse> {
        answered!(
            ResumeResponse,
            self.ask(name, Request::Resume, change).await?
        )
    }

    async fn restart(
        &self,
        name: String,
        grace: Option<Duration>,
        change: Change,
    ) -> Result<RestartResponse> {
        let request = Request::Restart(grace.unwrap_or(DEFAULT_GRACE));
        answered!(RestartResponse, self.ask(name, request, change).await?)
    }

    async fn delete(&self, name: String, force: bool, change: Change) -> Result<DeleteResponse> {
        let request = Request::Delete { force };
        answered!(DeleteResponse, self.ask(name, request, change).await?)
    }

    async fn get(&self, name: String) -> Result<GetResponse> {
        valid::name("machine", &name)?;
        let vm = self.0.records.get(&name)?.view();
        Ok(GetResponse { vm })
    }

    async fn list(&self, page: String) -> Result<ListResponse> {
        if !page.is_empty() {
            valid::name("machine", &page)?;
        }
        let (vms, next_page, version) = self.0.records.list(&page, PAGE);
        Ok(ListResponse {
            vms,
            version,
            next_page,
        })
    }

    async fn watch(&self, from_version: Option<u64>) -> Result<Streaming<WatchResponse>> {
        self.0.records.watch(from_version)
    }

    async fn console(
        &self,
        mut input: Streaming<ConsoleRequest>,
    ) -> Result<Streaming<ConsoleResponse>> {
        let first = input.next().await.transpose()?.ok_or_else(|| {
            Status::invalid_argument("the first message says whose console it is: send one")
        })?;
        valid::name("machine", &first.name)?;
        let record = self.0.records.get(&first.name)?;
        let console = self.0.consoles.of(&record.uuid).ok_or_else(|| {
            Status::failed_precondition(format!(
                "{} has no console, since it has no process: start it",
                first.name
            ))
        })?;
        let typed = Arc::clone(&console);
        let typing = tokio::spawn(async move {
            let mut next = Some(Ok(first));
            // Who stops typing may go on reading.
            while let Some(Ok(request)) = next {
                if !request.data.is_empty() && typed.send(request.data).await.is_err() {
                    return;
                }
                next = input.next().await;
            }
        });
        let reading = (console, 0, Aborted(typing.abort_handle()));
        Ok(Streaming::new(stream::unfold(
            reading,
            |(console, from, typing)| async move {
                let (data, lost_bytes) = console.read(from, CONSOLE_READ_BYTES).await?;
                let from = from + lost_bytes + data.len() as u64;
                let response = ConsoleResponse { data, lost_bytes };
                Some((Ok(response), (console, from, typing)))
            },
        )))
    }

    async fn add_health_check(
        &self,
        name: String,
        health_check: HealthCheck,
        change: Change,
    ) -> Result<AddHealthCheckResponse> {
        valid::health_check(&health_check)?;
        let asked = format!("AddHealthCheck {health_check:?}");
        let answer = self.edit(name, change, asked, move |record| {
            let known = record.health_checks.iter();
            let mut known = known.map(|status| &status.check);
            if let Some(known) = known.find(|check| check.name == health_check.name) {
                if *known == health_check {
                    return Ok(false);
                }
                return Err(Status::already_exists(format!(
                    "{} has a health check {} that asks something else: remove it first",
                    record.name, health_check.name
                )));
            }
            if record.health_checks.len() >= valid::MAX_HEALTH_CHECKS {
                return Err(Status::resource_exhausted(format!(
                    "a machine has at most {} health checks: remove one first",
                    valid::MAX_HEALTH_CHECKS
                )));
            }
            record.health_checks.push(HealthCheckStatus {
                check: health_check,
                health: VmHealth::Unspecified,
                message: String::new(),
            });
            Ok(true)
        });
        answered!(AddHealthCheckResponse, answer.await?)
    }

    async fn remove_health_check(
        &self,
        name: String,
        health_check: String,
        change: Change,
    ) -> Result<RemoveHealthCheckResponse> {
        valid::name("health check", &health_check)?;
        let asked = format!("RemoveHealthCheck {health_check}");
        let answer = self.edit(name, change, asked, move |record| {
            let before = record.health_checks.len();
            record
                .health_checks
                .retain(|status| status.check.name != health_check);
            Ok(record.health_checks.len() < before)
        });
        answered!(RemoveHealthCheckResponse, answer.await?)
    }

    async fn enable_health_check(
        &self,
        name: String,
        health_check: String,
        enabled: bool,
        change: Change,
    ) -> Result<EnableHealthCheckResponse> {
        valid::name("health check", &health_check)?;
        let asked = format!("EnableHealthCheck {health_check} {enabled}");
        let answer = self.edit(name, change, asked, move |record| {
            let mut known = record.health_checks.iter_mut();
            let status = known
                .find(|status| status.check.name == health_check)
                .ok_or_else(|| {
                    Status::not_found(format!(
                        "{} has no health check {health_check}: add it first",
                        record.name
                    ))
                })?;
            let changed = status.check.disabled == enabled;
            status.check.disabled = !enabled;
            Ok(changed)
        });
        answered!(EnableHealthCheckResponse, answer.await?)
    }

    async fn list_health_checks(&self, name: String) -> Result<ListHealthChecksResponse> {
        valid::name("machine", &name)?;
        let health_checks = self.0.records.get(&name)?.health_checks.clone();
        Ok(ListHealthChecksResponse { health_checks })
    }

    async fn set_recovery(
        &self,
        name: String,
        policy: Option<RecoveryPolicy>,
        change: Change,
    ) -> Result<SetRecoveryResponse> {
        if let Some(policy) = &policy {
            valid::recovery(policy)?;
        }
        let asked = format!("SetRecovery {policy:?}");
        let answer = self.edit(name, change, asked, move |record| {
            let changed = record.recovery != policy;
            record.recovery = policy;
            if policy.is_none() {
                record.life.recover_at = None;
            }
            Ok(changed)
        });
        answered!(SetRecoveryResponse, answer.await?)
    }
}

/// A task that ends with what it was for.
struct Aborted(AbortHandle);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

const FILE: &str = "machines.redb";
/// So many machines of the largest size fit a message.
const PAGE: usize = 200;
const CONSOLE_READ_BYTES: usize = 16 * 1024;
