//! The trait that `blixard.vm.v1.VmService` is declared with.

use std::time::Duration;

use blixard_rpc::{Context, Result, Streaming, iroh_service};

use super::messages::{
    AddHealthCheckResponse, CancelMigrationResponse, Change, ConsoleRequest, ConsoleResponse,
    CreateResponse, CreateSnapshotResponse, DeleteResponse, DeleteSnapshotResponse,
    EnableHealthCheckResponse, EndMigrationResponse, GetResponse, HealthCheck,
    ListHealthChecksResponse, ListResponse, ListSnapshotsResponse, MigrateResponse, MigrationMode,
    PauseResponse, ReceiveRequest, ReceiveResponse, RecoveryPolicy, RemoveHealthCheckResponse,
    RestartResponse, RestoreSnapshotResponse, ResumeResponse, SetRecoveryResponse, StartResponse,
    StopResponse, VmSpec, WatchResponse,
};

/// The machines of one node.
///
/// A change is answered when it is recorded, and what is recorded survives a crash of the node's daemon; what it leads to is seen by
/// `Watch`. A change that is there already is OK, and not `changed`. One that a machine's state does not allow is
/// `FAILED_PRECONDITION`, and the message says what does.
#[iroh_service(package = "blixard.vm.v1", name = "VmService")]
pub trait Vms {
    /// Makes a machine known. It is not started.
    ///
    /// One of the same name and spec is answered as it is; with another spec it is `ALREADY_EXISTS`. Names are 1 to 63 of `a-z`, `0-9`
    /// and `-`, and begin and end with a letter or digit.
    #[rpc(max_message = "256 KiB")]
    async fn create(&self, name: String, spec: VmSpec, change: Change) -> Result<CreateResponse>;

    /// Starts a machine that was created, has stopped or failed.
    #[rpc(max_message = "256 KiB")]
    async fn start(&self, name: String, change: Change) -> Result<StartResponse>;

    /// Stops a machine: its power button is pressed; when the grace period is over, its process is told to quit, and a second later
    /// killed. Without a grace period it has 30 s; with zero the button is left out.
    ///
    /// A shorter grace period for a machine that is stopping already counts. A recovery that was to come does not.
    #[rpc(max_message = "256 KiB")]
    async fn stop(
        &self,
        name: String,
        grace: Option<Duration>,
        change: Change,
    ) -> Result<StopResponse>;

    /// Holds a machine that runs.
    #[rpc(max_message = "256 KiB")]
    async fn pause(&self, name: String, change: Change) -> Result<PauseResponse>;

    /// Lets a machine that is held go on.
    #[rpc(max_message = "256 KiB")]
    async fn resume(&self, name: String, change: Change) -> Result<ResumeResponse>;

    /// Stops a machine, as `Stop` does, and starts it again.
    #[rpc(max_message = "256 KiB")]
    async fn restart(
        &self,
        name: String,
        grace: Option<Duration>,
        change: Change,
    ) -> Result<RestartResponse>;

    /// Deletes a machine that does not run; by `force` any, without a grace period.
    #[rpc(max_message = "256 KiB")]
    async fn delete(&self, name: String, force: bool, change: Change) -> Result<DeleteResponse>;

    /// How a machine is.
    #[rpc(idempotent, max_message = "256 KiB")]
    async fn get(&self, #[tag(1)] name: String) -> Result<GetResponse>;

    /// How the machines are, by name: a page of at most 200, which begins where the page before says; the first with nothing.
    #[rpc(idempotent)]
    async fn list(&self, #[tag(1)] page: String) -> Result<ListResponse>;

    /// All machines, then `Synced`, then every change; or, from a version that was read before, the changes since then.
    ///
    /// Changes come in order, none is left out, and each state that a machine goes through is seen. A version from which the changes
    /// are not known any more, or a reader who is too slow, gets `OUT_OF_RANGE`: watch again without a version.
    #[rpc(idempotent)]
    async fn watch(&self, #[tag(1)] from_version: Option<u64>) -> Result<Streaming<WatchResponse>>;

    /// The console of a machine that has a process: what it said last, up to 64 KiB, then what it says and what is typed. It ends
    /// when the machine does; the end of what is typed ends nothing.
    #[rpc(max_message = "64 KiB")]
    async fn console(&self, input: Streaming<ConsoleRequest>)
    -> Result<Streaming<ConsoleResponse>>;

    /// Gives a machine a health check. One of the same name and content is there already; with another content it is
    /// `ALREADY_EXISTS`.
    #[rpc(max_message = "256 KiB")]
    async fn add_health_check(
        &self,
        name: String,
        health_check: HealthCheck,
        change: Change,
    ) -> Result<AddHealthCheckResponse>;

    /// Takes a health check away; one that is not there is no error.
    #[rpc(max_message = "256 KiB")]
    async fn remove_health_check(
        &self,
        name: String,
        health_check: String,
        change: Change,
    ) -> Result<RemoveHealthCheckResponse>;

    /// Lets a health check work, or rest.
    #[rpc(max_message = "256 KiB")]
    async fn enable_health_check(
        &self,
        name: String,
        health_check: String,
        enabled: bool,
        change: Change,
    ) -> Result<EnableHealthCheckResponse>;

    /// The health checks of a machine.
    #[rpc(idempotent, max_message = "256 KiB")]
    async fn list_health_checks(&self, #[tag(1)] name: String) -> Result<ListHealthChecksResponse>;

    /// Says what is done when a machine fails; without a policy nothing is.
    #[rpc(max_message = "256 KiB")]
    async fn set_recovery(
        &self,
        name: String,
        policy: Option<RecoveryPolicy>,
        change: Change,
    ) -> Result<SetRecoveryResponse>;

    /// Moves a machine to another node, named as this node knows it: live, while it runs; or cold, when it does not.
    ///
    /// It is `Migrating` until the other node has it, which watching here tells by `Moved`; or until it is clear that it stays: then it is
    /// as it was, and its reason says why. At any time one node has it and no other, whatever fails.
    #[rpc(max_message = "256 KiB")]
    async fn migrate(
        &self,
        name: String,
        node: String,
        mode: MigrationMode,
        change: Change,
    ) -> Result<MigrateResponse>;

    /// Lets a machine that is being sent stay.
    ///
    /// Once all was sent (`Offered`) the other node has the last word, and this node asks it until it answers. If it never will, say that
    /// it is gone: the machine goes on here. **If it is not gone, the machine may run twice.**
    #[rpc(max_message = "256 KiB")]
    async fn cancel_migration(
        &self,
        name: String,
        other_node_is_gone: bool,
        change: Change,
    ) -> Result<CancelMigrationResponse>;

    /// Keeps how the disks of a machine are, which does not run, within the disks. One of that name is there already: it stays as it is.
    #[rpc(max_message = "256 KiB")]
    async fn create_snapshot(
        &self,
        name: String,
        snapshot: String,
    ) -> Result<CreateSnapshotResponse>;

    /// Makes the disks of a machine, which does not run, as they were; what they were just now is gone.
    ///
    /// Done again after the machine has run, it throws away what was written meanwhile: say at which version of the machine it is meant.
    #[rpc(max_message = "256 KiB")]
    async fn restore_snapshot(
        &self,
        name: String,
        snapshot: String,
        if_version: Option<u64>,
    ) -> Result<RestoreSnapshotResponse>;

    /// Keeps a snapshot of a machine, which does not run, no more; one that is not there is no error.
    #[rpc(max_message = "256 KiB")]
    async fn delete_snapshot(
        &self,
        name: String,
        snapshot: String,
    ) -> Result<DeleteSnapshotResponse>;

    /// The snapshots of a machine.
    #[rpc(idempotent, max_message = "256 KiB")]
    async fn list_snapshots(&self, #[tag(1)] name: String) -> Result<ListSnapshotsResponse>;

    /// For nodes: takes a machine from the node that calls, part by part. It is the callee's from when it answers `Taken`.
    #[rpc(max_message = "1 MiB", priority = "bulk")]
    async fn receive(
        &self,
        cx: &Context,
        parts: Streaming<ReceiveRequest>,
    ) -> Result<Streaming<ReceiveResponse>>;

    /// For nodes: ends a migration that the node that calls has begun, and says whose the machine is. That is kept until it is to be
    /// forgotten, because who asks knows it.
    #[rpc(max_message = "256 KiB")]
    async fn end_migration(
        &self,
        cx: &Context,
        name: String,
        migration: String,
        forget: bool,
    ) -> Result<EndMigrationResponse>;
}
