//! The messages of `blixard.vm.v1`. What the methods do is in `api`; which states lead where, in `machine`.

use std::time::{Duration, SystemTime};

use blixard_rpc::message;
use bytes::Bytes;

/// A machine, as it is known.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub struct Vm {
    /// Its name on this node.
    pub name: String,
    /// Its own for life: a machine that is deleted and created anew has another.
    pub uuid: String,
    /// Grows with every change of any machine on this node; so it orders them all.
    pub version: u64,
    /// What it was created with.
    pub spec: VmSpec,
    /// How it is.
    pub state: VmState,
    /// How it is to be.
    pub desired: DesiredState,
    /// Why it is as it is, where there is something to say.
    pub reason: Option<Reason>,
    /// When it was created.
    pub created_at: Option<SystemTime>,
    /// When it came to its state.
    pub since: Option<SystemTime>,
    /// What its health checks say.
    pub health: VmHealth,
    /// Its health checks, and what each said last.
    pub health_checks: Vec<HealthCheckStatus>,
    /// What is done when it fails; nothing if there is none.
    pub recovery: Option<RecoveryPolicy>,
    /// How often it was started anew, one after the other, without having been well in between.
    pub recoveries: u32,
    /// The process that runs it.
    pub process: Option<VmProcess>,
    /// How far it is on its way to another node, or from one; while it is `Migrating`.
    pub migration: Option<Migration>,
}

/// What a machine is made of.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VmSpec {
    /// Processors: at least one, and no more than the node has.
    pub cpus: u32,
    /// Memory: whole MiB, at least 16, and no more than the node has.
    pub memory_bytes: u64,
    /// A kernel that is started at once; without one, the first disk is.
    pub kernel: Option<KernelBoot>,
    /// Its disks, in order.
    pub disks: Vec<Disk>,
    /// Ports of the node's loopback that lead to ports of the guest. They are all of its network: it reaches nothing by itself.
    pub ports: Vec<PortForward>,
    /// What becomes of it when its guest resets it.
    pub on_reset: ResetPolicy,
}

/// A kernel and what it is started with. The files are named relative to the node's images.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KernelBoot {
    /// The kernel.
    pub kernel: String,
    /// Its first file system; none if empty.
    pub initrd: String,
    /// Its command line.
    pub command_line: String,
}

/// A disk.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Disk {
    /// The file, named relative to the node's images.
    pub image: String,
    /// Its format. It is never guessed: a guest could write what is taken for another.
    pub format: DiskFormat,
    /// Whether the guest may only read it.
    pub read_only: bool,
    /// In place of a file, the BLAKE3 hash of an image that the disk begins as, 64 digits of `0-9a-f`; `format` is that of the image. The
    /// image stays as it is: what is written goes to an overlay of the machine's own, and is gone with the machine.
    pub base: String,
}

/// The format of a disk.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskFormat {
    /// Nothing was said: refused.
    #[default]
    Unspecified = 0,
    /// The bytes of the disk.
    Raw = 1,
    /// QEMU's own, without a backing file, an external data file or encryption.
    Qcow2 = 2,
    /// A format that this version does not know.
    #[unknown]
    Other(i32),
}

/// A port of the node's loopback that leads to one of the guest, over TCP.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortForward {
    /// On the node.
    pub node_port: u16,
    /// In the guest.
    pub guest_port: u16,
}

/// What becomes of a machine when its guest resets it, or faults so that it is reset.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetPolicy {
    /// Nothing was said: it boots again.
    #[default]
    Unspecified = 0,
    /// It boots again, as hardware does.
    Reboot = 1,
    /// It has failed.
    Fail = 2,
    /// A policy that this version does not know.
    #[unknown]
    Other(i32),
}

/// How a machine is.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VmState {
    /// Unknown: there is a process, and it does not answer.
    #[default]
    Unspecified = 0,
    /// It is known, and was not started yet.
    Created = 1,
    /// Its process is being started.
    Starting = 2,
    /// Its guest runs.
    Running = 3,
    /// It is being stopped.
    Stopping = 4,
    /// It does not run, as was wanted: by its user, or by its own guest.
    Stopped = 5,
    /// It does not run, though it should; the reason says why.
    Failed = 6,
    /// Its guest is held, and goes on where it was.
    Paused = 7,
    /// It is on its way to another node.
    Migrating = 8,
    /// It is being deleted.
    Deleting = 9,
    /// A state that this version does not know.
    #[unknown]
    Other(i32),
}

/// How a machine is to be.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DesiredState {
    /// Nothing was said.
    #[default]
    Unspecified = 0,
    /// It is not to run.
    Stopped = 1,
    /// It is to run.
    Running = 2,
    /// It is to be held.
    Paused = 3,
    /// It is not to be.
    Deleted = 4,
    /// A state that this version does not know.
    #[unknown]
    Other(i32),
}

/// Why a machine is as it is.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reason {
    /// For programs.
    pub cause: Cause,
    /// For people.
    pub message: String,
}

/// What brought a machine where it is.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cause {
    /// None of the others.
    #[default]
    Unspecified = 0,
    /// Somebody asked for it.
    Requested = 1,
    /// The guest powered itself off.
    GuestShutdown = 2,
    /// The guest reset itself, or faulted so that it was reset.
    GuestReset = 3,
    /// The guest reported that it panicked.
    GuestPanic = 4,
    /// The process that ran it ended from outside, or by a fault of its own.
    Killed = 5,
    /// It could not be started.
    StartFailed = 6,
    /// After a restart of the node's daemon it was not there any more.
    Lost = 7,
    /// Its health checks failed.
    Unhealthy = 8,
    /// Its hypervisor held it, and not its user.
    Hypervisor = 9,
    /// It was to go to another node, and is still here.
    NotMoved = 10,
    /// A cause that this version does not know.
    #[unknown]
    Other(i32),
}

/// How a machine gets from one node to another.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migration {
    /// Its own, the same on both nodes.
    pub id: String,
    /// The other node: as `Migrate` named it, or on the node that receives the key of the one that sends, if it has one.
    pub node: String,
    /// In which way.
    pub mode: MigrationMode,
    /// How far it is.
    pub phase: MigrationPhase,
    /// When it began on this node.
    pub began: Option<SystemTime>,
    /// Somebody has asked that it stays.
    pub cancelled: bool,
}

/// In which way a machine gets to another node.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MigrationMode {
    /// Nothing was said: live if it runs, cold if it does not.
    #[default]
    Unspecified = 0,
    /// It runs meanwhile, and is held for a moment.
    Live = 1,
    /// It does not run, and its disks are copied.
    Cold = 2,
    /// A way that this version does not know: refused.
    #[unknown]
    Other(i32),
}

/// How far a migration is. Whose the machine is follows from it.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MigrationPhase {
    /// There is none.
    #[default]
    Unspecified = 0,
    /// This node has the machine, and sends it.
    Sending = 1,
    /// All was sent, and the other node has the last word: the machine is held until it is known.
    Offered = 2,
    /// The other node has the machine, and sends it.
    Receiving = 3,
    /// It came from the other node, and is this one's.
    Received = 4,
    /// A phase that this version does not know.
    #[unknown]
    Other(i32),
}

/// A process on the node, named so that no other is taken for it.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmProcess {
    /// Its number, which is used again after it has ended.
    pub pid: u32,
    /// When it was started, in ticks since the node booted.
    pub start_ticks: u64,
    /// Which boot of the node these ticks count from.
    pub boot_id: String,
}

/// What health checks say.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VmHealth {
    /// There are no checks, they rest, or they have not said enough yet.
    #[default]
    Unspecified = 0,
    /// All is well.
    Healthy = 1,
    /// Something is not.
    Unhealthy = 2,
    /// One that this version does not know.
    #[unknown]
    Other(i32),
}

/// A health check: what is asked, how often, and how often it must be said to count. It rests while the machine does not run.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheck {
    /// Its name, among those of its machine.
    pub name: String,
    /// What is asked.
    pub probe: Probe,
    /// From one to the next, and from the start to the first; 10 s if it is zero.
    pub interval: Duration,
    /// How long an answer may take; 5 s if it is zero.
    pub timeout: Duration,
    /// So many failures in a row make it unhealthy; 3 if it is zero.
    pub failures: u32,
    /// So many successes in a row make it healthy; 1 if it is zero, or if something is waited for that is said once.
    pub successes: u32,
    /// Whether it rests.
    pub disabled: bool,
}

impl HealthCheck {
    /// Whether it waits for something that is said once: what was heard stays heard until the machine's process ends.
    #[must_use]
    pub fn is_heard_once(&self) -> bool {
        matches!(&self.probe, Probe::Console { send, .. } if send.is_empty())
    }
}

/// What a health check asks.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// A `GET` by HTTP/1.1 is answered with 200 to 399.
    Http {
        /// IP address and port, as seen from the node: `127.0.0.1:8080`.
        address: String,
        /// What is asked for; `/` if empty.
        path: String,
    },
    /// A connection by TCP can be made.
    Tcp {
        /// IP address and port, as seen from the node: `127.0.0.1:8080`.
        address: String,
    },
    /// Text appears on the console.
    Console {
        /// What is typed for each check. If empty, nothing is asked: it is healthy from when the text is said, for as long as the
        /// machine's process lives, and fails until then.
        send: String,
        /// What is to appear.
        pattern: String,
    },
    /// The hypervisor's process answers, and says that the guest runs.
    Process,
    /// A command in the guest ends with code 0. It is run by QEMU's agent in the guest, never on the node.
    Guest {
        /// The program, by its path in the guest.
        program: String,
        /// What it is told.
        arguments: Vec<String>,
    },
    /// One that this version does not know: refused.
    #[unknown]
    Unknown,
}

/// A health check, and what it said.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheckStatus {
    /// The check.
    pub check: HealthCheck,
    /// What it says.
    pub health: VmHealth,
    /// What it said when it failed last, if it is not healthy.
    pub message: String,
}

/// What is done when a machine fails, or its checks do: it is started again. A user's stop ends it.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RecoveryPolicy {
    /// So many times in a row; then it stays as it is.
    pub attempts: u32,
    /// Before the first.
    pub delay: Duration,
    /// By this the delay grows each time; 2 if it is zero.
    pub backoff: u32,
    /// No delay is longer; 5 min if it is zero.
    pub max_delay: Duration,
    /// What runs for so long has recovered, and the count begins anew; 10 min if it is zero.
    pub well_after: Duration,
}

/// What every change can say of itself.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The caller's own, up to 64 bytes, best a UUID. The same change with the same id is made once, and answered the same, for an hour.
    /// If empty, a change that is sent twice is two.
    pub request_id: String,
    /// The change is only made if this is the machine's version, else it is `ABORTED`.
    pub if_version: Option<u64>,
}

impl Change {
    /// A change that can be sent again.
    pub fn id(request_id: impl Into<String>) -> Self {
        Self {
            request_id: request_id.into(),
            if_version: None,
        }
    }

    /// Only if the machine's version is this.
    #[must_use]
    pub fn if_version(mut self, version: u64) -> Self {
        self.if_version = Some(version);
        self
    }
}

/// Declares the answers of changes: each method has a type of its own, so that one can grow without the others.
macro_rules! changed {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[message]
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            /// The machine, right after the change.
            pub vm: Vm,
            /// Whether there was anything to change.
            pub changed: bool,
        }
    )*};
}

changed! {
    /// What `Create` answers.
    CreateResponse,
    /// What `Start` answers.
    StartResponse,
    /// What `Stop` answers.
    StopResponse,
    /// What `Pause` answers.
    PauseResponse,
    /// What `Resume` answers.
    ResumeResponse,
    /// What `Restart` answers.
    RestartResponse,
    /// What `Delete` answers.
    DeleteResponse,
    /// What `AddHealthCheck` answers.
    AddHealthCheckResponse,
    /// What `RemoveHealthCheck` answers.
    RemoveHealthCheckResponse,
    /// What `EnableHealthCheck` answers.
    EnableHealthCheckResponse,
    /// What `SetRecovery` answers.
    SetRecoveryResponse,
    /// What `Migrate` answers.
    MigrateResponse,
    /// What `CancelMigration` answers.
    CancelMigrationResponse,
}

/// What `Get` answers.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub struct GetResponse {
    /// The machine.
    pub vm: Vm,
}

/// What `List` answers.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListResponse {
    /// The machines, by name.
    pub vms: Vec<Vm>,
    /// What `Watch` goes on from.
    pub version: u64,
    /// Where the next page begins; empty after the last.
    pub next_page: String,
}

/// What `ListHealthChecks` answers.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListHealthChecksResponse {
    /// The checks of the machine, in the order in which they were added.
    pub health_checks: Vec<HealthCheckStatus>,
}

/// One item of `Watch`.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub struct WatchResponse {
    /// What to go on from after this item.
    pub version: u64,
    /// What has happened.
    pub event: VmEvent,
}

/// What has happened to a machine.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub enum VmEvent {
    /// This is how it is now.
    Changed(Box<Vm>),
    /// The machine of this name is gone.
    Removed(String),
    /// All that there was has been said: from here on come changes.
    Synced,
    /// The machine is gone from here: another node has it.
    Moved(VmMoved),
    /// What only newer nodes say.
    #[unknown]
    Unknown,
}

/// How the disks of a machine were once, kept within them.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name, among those of its machine.
    pub name: String,
    /// When it was made.
    pub created_at: Option<SystemTime>,
}

/// What `CreateSnapshot` answers.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CreateSnapshotResponse {
    /// Whether there was none of that name yet.
    pub changed: bool,
}

/// What `RestoreSnapshot` answers.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoreSnapshotResponse {
    /// Always: what the disks were before is gone.
    pub changed: bool,
}

/// What `DeleteSnapshot` answers.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeleteSnapshotResponse {
    /// Whether there was one of that name.
    pub changed: bool,
}

/// What `ListSnapshots` answers.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListSnapshotsResponse {
    /// The snapshots of the machine, by name.
    pub snapshots: Vec<Snapshot>,
}

/// Where a machine went.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmMoved {
    /// Its name, here and there.
    pub name: String,
    /// It keeps it.
    pub uuid: String,
    /// The node that has it, as `Migrate` named it.
    pub node: String,
    /// How long its guest was held at most, if it ran and that is known.
    pub held: Option<Duration>,
}

/// What the node that has a machine says to the one that is to have it.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub struct ReceiveRequest {
    /// One thing after the other.
    pub part: TransferPart,
}

/// A part of a machine on its way: `Offer`; once that is answered `Ready`, for each disk a `Disk` and its `Data`, then the `Data` of its
/// memory; and `Take`, which is answered `Taken`.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub enum TransferPart {
    /// Which machine it is. Nothing else comes before it is answered.
    Offer(TransferOffer),
    /// Bytes of the disk before them, or of the memory.
    Data(Bytes),
    /// A disk begins.
    Disk(TransferDisk),
    /// Its memory begins.
    Memory,
    /// All was said: whoever gets this has the machine as soon as it has recorded so.
    Take(TransferRecord),
    /// What only newer nodes say: refused.
    #[unknown]
    Unknown,
}

/// Which machine is on its way.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TransferOffer {
    /// The migration.
    pub migration: String,
    /// In which way.
    pub mode: MigrationMode,
    /// The machine.
    pub machine: TransferRecord,
    /// What its hypervisor says of how it runs; only another of the same kind can go on with it.
    pub form: String,
    /// The files that both nodes must have alike.
    pub files: Vec<TransferFile>,
}

/// All that a node keeps of a machine, as it keeps it.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TransferRecord {
    /// The record. Newer nodes read those of older ones.
    pub record: Bytes,
}

/// A file that two nodes must have alike.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransferFile {
    /// Its name below the images of a node.
    pub name: String,
    /// How long it is.
    pub size_bytes: u64,
    /// The BLAKE3 hash of what is in it.
    pub hash: Bytes,
}

/// A disk on its way.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransferDisk {
    /// Which of the machine's disks.
    pub index: u32,
    /// How many bytes come.
    pub size_bytes: u64,
}

/// What the node that is to have a machine answers.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiveResponse {
    /// The answer.
    pub answer: TransferAnswer,
}

/// An answer of the node that is to have a machine.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TransferAnswer {
    /// None.
    #[default]
    Unspecified = 0,
    /// There is a place for it.
    Ready = 1,
    /// It is this node's now.
    Taken = 2,
    /// One that this version does not know.
    #[unknown]
    Other(i32),
}

/// What `EndMigration` answers.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndMigrationResponse {
    /// Whether the node that was asked has the machine. If not, it never will by this migration.
    pub has_it: bool,
}

/// What is typed at a console.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsoleRequest {
    /// Whose; counts in the first message.
    pub name: String,
    /// What is typed; may be empty.
    pub data: Bytes,
}

/// What a console says.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsoleResponse {
    /// Bytes, as the guest wrote them.
    pub data: Bytes,
    /// How many bytes before these were lost to a slow reader, or were too old to be kept.
    pub lost_bytes: u64,
}
