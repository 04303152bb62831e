//! [`VmHost`]: the machines of this node, and the service that answers for them.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use blixard_rpc::{Channel, Context, Peer, Result, Status, Streaming};
use futures_util::stream;
use tokio::{
    sync::{Notify, mpsc},
    task::{AbortHandle, JoinHandle, JoinSet},
    time::timeout,
};
use uuid::Uuid;

use super::{
    api::{Vms, VmsServer},
    backend::{Hypervisor, SnapshotWork},
    keeper::{Consoles, Keeper, Shared},
    machine::{DEFAULT_GRACE, Request},
    messages::{
        AddHealthCheckResponse, CancelMigrationResponse, Change, ConsoleRequest, ConsoleResponse,
        CreateResponse, CreateSnapshotResponse, DeleteResponse, DeleteSnapshotResponse,
        EnableHealthCheckResponse, EndMigrationResponse, GetResponse, HealthCheck,
        HealthCheckStatus, ListHealthChecksResponse, ListResponse, ListSnapshotsResponse,
        MigrateResponse, Migration, MigrationMode, MigrationPhase, PauseResponse, ReceiveRequest,
        ReceiveResponse, RecoveryPolicy, RemoveHealthCheckResponse, RestartResponse,
        RestoreSnapshotResponse, ResumeResponse, SetRecoveryResponse, StartResponse, StopResponse,
        TransferFile, TransferOffer, TransferPart, Vm, VmHealth, VmSpec, WatchResponse,
    },
    migrate::{Arrival, Arrivals, Nodes},
    record::Record,
    records::{Answer, Records, missing},
    valid,
};
use crate::kept;

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

/// What a host may, and whom it knows.
#[derive(Debug, Default)]
pub struct HostConfig {
    nodes: Nodes,
    memory_bytes: Option<u64>,
}

impl HostConfig {
    /// How other nodes are called, by the names that callers of `Migrate` have for them. Without it no machine leaves this node.
    ///
    /// The other node asks for the role [`Node`](crate::auth::Role::Node): the channel's connection proves who this node is.
    #[must_use]
    pub fn nodes(
        mut self,
        reach: impl Fn(&str) -> Result<Channel> + Send + Sync + 'static,
    ) -> Self {
        self.nodes = Nodes::new(reach);
        self
    }

    /// How much memory the machines that run may have together: one that does not fit is not started, and none comes from another node.
    /// Without it, what the hypervisor says: QEMU leaves the system an eighth of the node's memory, and at most a GiB.
    #[must_use]
    pub const fn memory_bytes(mut self, bytes: u64) -> Self {
        self.memory_bytes = Some(bytes);
        self
    }
}

#[derive(Debug)]
struct Inner<H> {
    shared: Shared<H>,
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
        Self::open_with(folder, hypervisor, HostConfig::default()).await
    }

    /// The same, and more is known.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with(
        folder: impl AsRef<Path>,
        hypervisor: H,
        config: HostConfig,
    ) -> Result<Self> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(|error| {
            Status::failed_precondition(format!(
                "the folder {} cannot be made: {error}",
                folder.display()
            ))
        })?;
        let (sender, mut kept) = mpsc::unbounded_channel();
        let memory = config.memory_bytes;
        let memory = memory.unwrap_or_else(|| hypervisor.memory_bytes());
        let shared = Shared {
            hypervisor: Arc::new(hypervisor),
            records: Records::open(folder.join(FILE), memory, sender).await?,
            consoles: Consoles::default(),
            nodes: config.nodes,
            arrivals: Arrivals::default(),
        };
        let stop = Arc::new(Notify::new());
        let keepers = {
            let shared = shared.clone();
            let stop = Arc::clone(&stop);
            async move {
                let mut keepers = JoinSet::new();
                loop {
                    tokio::select! {
                        () = stop.notified() => return keepers.shutdown().await,
                        next = kept.recv() => {
                            let Some(kept) = next else { return };
                            match Keeper::new(shared.clone(), kept) {
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
            shared,
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
        &self.0.shared.hypervisor
    }

    /// Which images the disks of machines begin as, and which machines: pairs of a hash and a name. They stay for as long as there is
    /// the machine.
    #[must_use]
    pub fn bases(&self) -> Vec<(String, String)> {
        let records = self.0.shared.records.all();
        let disks = records.iter().flat_map(|record| {
            let bases = record.spec.disks.iter().map(|disk| &disk.base);
            let bases = bases.filter(|base| !base.is_empty());
            bases.map(|base| (base.clone(), format!("the machine {}", record.name)))
        });
        disks.collect()
    }

    /// Lets go of the machines, which go on. Calls end with `UNAVAILABLE` from here on. Afterwards the folder can be opened again.
    pub async fn close(&self) {
        self.0.stop.notify_one();
        let keepers = self.0.keepers.lock().expect("no holder panics").take();
        if let Some(keepers) = keepers {
            // It has no answer, and a keeper that panicked looks after nothing either.
            let _ = keepers.await;
        }
        self.0.shared.consoles.clear();
        self.0.shared.records.close().await;
    }

    async fn ask(&self, name: String, request: Request, change: Change) -> Result<Answer> {
        valid::name("machine", &name)?;
        let asked = format!("{request:?}");
        let named = name.clone();
        let edit = move |record: Option<&Record>, now| {
            let mut record = record.ok_or_else(|| missing(&named))?.clone();
            let changed = record.life.request(request, now);
            let changed = changed.map_err(|status| of(&named, &status))?;
            Ok(changed.then_some(record))
        };
        self.0
            .shared
            .records
            .change(&name, change, &asked, edit)
            .await
    }

    /// Works on a snapshot of a machine that does not run. Should it be started meanwhile, its disks are locked, and it fails to start.
    async fn snapshot(
        &self,
        name: String,
        snapshot: String,
        if_version: Option<u64>,
        work: SnapshotWork,
    ) -> Result<bool> {
        valid::name("machine", &name)?;
        valid::name("snapshot", &snapshot)?;
        let record = self.0.shared.records.get(&name)?;
        if let Some(wanted) = if_version.filter(|wanted| *wanted != record.version) {
            return Err(Status::aborted(format!(
                "{name} is at version {}, and not {wanted}: read it again",
                record.version
            )));
        }
        if record.life.is_active() {
            return Err(Status::failed_precondition(format!(
                "{name} has a process, or is on its way: stop it first"
            )));
        }
        let id = record.id()?;
        let hypervisor = Arc::clone(&self.0.shared.hypervisor);
        // It is done to its end, whatever becomes of the call.
        let worked = tokio::spawn(async move {
            hypervisor
                .snapshot(&id, &record.spec, &snapshot, work)
                .await
        });
        worked
            .await
            .map_err(|error| Status::internal("work on a snapshot did not end").with_source(error))?
            .map_err(|status| about(&name, &status))
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
            // What another node may have already is changed there, or not at all.
            if let Some(migration) = record.life.migration.as_ref().filter(|it| {
                [MigrationPhase::Offered, MigrationPhase::Receiving].contains(&it.phase)
            }) {
                return Err(Status::failed_precondition(format!(
                    "{named} is on its way between this node and {}: wait until it is there",
                    migration.node
                )));
            }
            Ok(edit(&mut record)?.then_some(record))
        };
        self.0
            .shared
            .records
            .change(&name, change, &asked, edit)
            .await
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
        let known = self.0.shared.records.get(&name);
        let possible = match known {
            Ok(record) if record.spec == spec => Ok(()),
            _ => self.0.shared.hypervisor.check(&spec).await,
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
        let answer = self
            .0
            .shared
            .records
            .change(&name, change, &asked, edit)
            .await?;
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
        let vm = self.0.shared.records.get(&name)?.view();
        Ok(GetResponse { vm })
    }

    async fn list(&self, page: String) -> Result<ListResponse> {
        if !page.is_empty() {
            valid::name("machine", &page)?;
        }
        let (vms, next_page, version) = self.0.shared.records.list(&page, PAGE);
        Ok(ListResponse {
            vms,
            version,
            next_page,
        })
    }

    async fn watch(&self, from_version: Option<u64>) -> Result<Streaming<WatchResponse>> {
        self.0.shared.records.watch(from_version)
    }

    async fn console(
        &self,
        mut input: Streaming<ConsoleRequest>,
    ) -> Result<Streaming<ConsoleResponse>> {
        let first = input.next().await.transpose()?.ok_or_else(|| {
            Status::invalid_argument("the first message says whose console it is: send one")
        })?;
        valid::name("machine", &first.name)?;
        let record = self.0.shared.records.get(&first.name)?;
        let console = self.0.shared.consoles.of(&record.uuid).ok_or_else(|| {
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
        let health_checks = self.0.shared.records.get(&name)?.health_checks.clone();
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

    async fn migrate(
        &self,
        name: String,
        node: String,
        mode: MigrationMode,
        change: Change,
    ) -> Result<MigrateResponse> {
        valid::name("machine", &name)?;
        if node.is_empty() || node.len() > MAX_NODE_BYTES {
            return Err(Status::invalid_argument(format!(
                "the name of a node has 1 to {MAX_NODE_BYTES} bytes"
            )));
        }
        if let MigrationMode::Other(number) = mode {
            return Err(Status::invalid_argument(format!(
                "this node knows no way {number} to migrate: it may be older than you"
            )));
        }
        self.0.shared.nodes.of(&node)?;
        let asked = format!("Migrate {node} {mode:?}");
        let named = name.clone();
        let migration = Migration {
            id: Uuid::new_v4().to_string(),
            node,
            mode,
            ..Migration::default()
        };
        let edit = move |record: Option<&Record>, now| {
            let mut record = record.ok_or_else(|| missing(&named))?.clone();
            let changed = record
                .life
                .migrate(migration, now)
                .map_err(|status| of(&named, &status))?;
            let own = record.spec.disks.iter().any(|disk| !disk.read_only);
            if changed && own {
                return Err(Status::failed_precondition(format!(
                    "{named} has disks of its own, which stay on this node: copy them and create it there"
                )));
            }
            Ok(changed.then_some(record))
        };
        let records = &self.0.shared.records;
        let answer = records.change(&name, change, &asked, edit).await?;
        answered!(MigrateResponse, answer)
    }

    async fn cancel_migration(
        &self,
        name: String,
        other_node_is_gone: bool,
        change: Change,
    ) -> Result<CancelMigrationResponse> {
        valid::name("machine", &name)?;
        let asked = format!("CancelMigration {other_node_is_gone}");
        let named = name.clone();
        let edit = move |record: Option<&Record>, _| {
            let mut record = record.ok_or_else(|| missing(&named))?.clone();
            let changed = record.life.cancel_migration(other_node_is_gone);
            let changed = changed.map_err(|status| of(&named, &status))?;
            Ok(changed.then_some(record))
        };
        let records = &self.0.shared.records;
        let answer = records.change(&name, change, &asked, edit).await?;
        answered!(CancelMigrationResponse, answer)
    }

    async fn create_snapshot(
        &self,
        name: String,
        snapshot: String,
    ) -> Result<CreateSnapshotResponse> {
        let work = self.snapshot(name, snapshot, None, SnapshotWork::Create);
        let changed = work.await?;
        Ok(CreateSnapshotResponse { changed })
    }

    async fn restore_snapshot(
        &self,
        name: String,
        snapshot: String,
        if_version: Option<u64>,
    ) -> Result<RestoreSnapshotResponse> {
        let work = self.snapshot(name, snapshot, if_version, SnapshotWork::Restore);
        let changed = work.await?;
        Ok(RestoreSnapshotResponse { changed })
    }

    async fn delete_snapshot(
        &self,
        name: String,
        snapshot: String,
    ) -> Result<DeleteSnapshotResponse> {
        let work = self.snapshot(name, snapshot, None, SnapshotWork::Delete);
        let changed = work.await?;
        Ok(DeleteSnapshotResponse { changed })
    }

    async fn list_snapshots(&self, name: String) -> Result<ListSnapshotsResponse> {
        valid::name("machine", &name)?;
        let record = self.0.shared.records.get(&name)?;
        let hypervisor = &self.0.shared.hypervisor;
        let listed = hypervisor.snapshots(&record.id()?, &record.spec).await;
        let snapshots = listed.map_err(|status| about(&name, &status))?;
        Ok(ListSnapshotsResponse { snapshots })
    }

    async fn receive(
        &self,
        cx: &Context,
        mut parts: Streaming<ReceiveRequest>,
    ) -> Result<Streaming<ReceiveResponse>> {
        let first = timeout(FIRST_PART, parts.next()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("nothing was offered"))?;
        let Some(TransferPart::Offer(offer)) = first.transpose()?.map(|request| request.part)
        else {
            return Err(Status::invalid_argument(
                "the first part says which machine is offered: send that",
            ));
        };
        let record = offered(&offer)?;
        let shared = &self.0.shared;
        shared.hypervisor.check(&record.spec).await?;
        let ours = shared.hypervisor.files(&record.spec).await?;
        alike(&record.name, &offer.files, &ours)?;
        let migration = Migration {
            id: offer.migration,
            node: sender(cx.peer()),
            mode: offer.mode,
            ..Migration::default()
        };
        let (answers, responses) = Streaming::channel(ANSWERS_QUEUED);
        let arrival = Arrival {
            form: offer.form,
            parts,
            answers,
        };
        let uuid = record.uuid.clone();
        shared.arrivals.keep(&uuid, arrival)?;
        let (shared, kept) = (shared.clone(), shared.records.clone());
        // It is seen to its end whatever becomes of the call.
        tokio::spawn(async move {
            if let Err(status) = kept.receive(record, migration).await {
                shared.arrivals.refuse(&uuid, status).await;
            }
        });
        Ok(responses)
    }

    async fn end_migration(
        &self,
        cx: &Context,
        name: String,
        migration: String,
        forget: bool,
    ) -> Result<EndMigrationResponse> {
        valid::name("machine", &name)?;
        let (records, from) = (&self.0.shared.records, sender(cx.peer()));
        let has_it = records.end_migration(name, migration, from, forget).await?;
        Ok(EndMigrationResponse { has_it })
    }
}

/// What was refused, and of whom.
fn of(name: &str, status: &Status) -> Status {
    Status::new(status.code(), format!("{name} {}", status.message()))
}

/// What was said of a machine's disks, and of whose.
fn about(name: &str, status: &Status) -> Status {
    Status::new(status.code(), format!("{name}: {}", status.message()))
}

/// Who sends machines here, as it is recorded: its key, if it has proved that it holds one.
fn sender(peer: &Peer) -> String {
    match peer.key() {
        Some(key) => Peer::Key(*key).to_string(),
        None => String::new(),
    }
}

/// Reads what another node offers: what it says of a machine is checked as what users say is.
fn offered(offer: &TransferOffer) -> Result<Record> {
    let record: Record = kept::decode(&offer.machine.record, "what is offered")?;
    valid::name("machine", &record.name)?;
    valid::spec(&record.spec)?;
    for status in &record.health_checks {
        valid::health_check(&status.check)?;
    }
    if let Some(policy) = &record.recovery {
        valid::recovery(policy)?;
    }
    let ids = [&record.uuid, &offer.migration];
    if ids.iter().any(|id| id.parse::<Uuid>().is_err())
        || record.health_checks.len() > valid::MAX_HEALTH_CHECKS
        || record.version > MAX_VERSION
        || !matches!(offer.mode, MigrationMode::Live | MigrationMode::Cold)
    {
        return Err(Status::invalid_argument(
            "what is offered is no machine that a node could have",
        ));
    }
    Ok(record)
}

/// What two nodes must have alike.
fn alike(name: &str, theirs: &[TransferFile], ours: &[TransferFile]) -> Result<()> {
    match ours.iter().find(|file| !theirs.contains(file)) {
        Some(file) => Err(Status::failed_precondition(format!(
            "{name} is made of {:?}, which is another file there: copy it there first",
            file.name
        ))),
        None if theirs.len() == ours.len() => Ok(()),
        None => Err(Status::invalid_argument(
            "what is offered is made of other files than it says",
        )),
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
const MAX_NODE_BYTES: usize = 256;
/// No node has made so many changes; above it there is room for them.
const MAX_VERSION: u64 = 1 << 62;
/// How long a node that sends has to say what.
const FIRST_PART: Duration = Duration::from_secs(10);
/// So many machines of the largest size fit a message.
const PAGE: usize = 200;
const ANSWERS_QUEUED: usize = 2;
const CONSOLE_READ_BYTES: usize = 16 * 1024;
