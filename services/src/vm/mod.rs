//! `blixard.vm.v1.VmService`: machines of a node, from their creation to their end.
//!
//! The trait ([`Vms`]), its messages and the state machine ([`machine`]) are always here: whoever calls needs no more. With the feature
//! `vm-host` a node runs machines: `VmHost` keeps their records and looks after them, `Qemu` runs them.
//!
//! ```no_run
//! # #[cfg(feature = "vm-host")]
//! # async fn run() -> blixard_rpc::Result<()> {
//! use blixard_rpc::{Channel, Memory, Router};
//! use blixard_services::vm::{Change, KernelBoot, Qemu, QemuConfig, VmHost, VmSpec, Vms, VmsClient};
//!
//! let folder = "/var/lib/blixard";
//! let host = VmHost::open(folder, Qemu::open(QemuConfig::new(folder))?).await?;
//! let router = Router::new().add(host.server()); // over iroh, gRPC or both
//!
//! let vms = VmsClient::new(Channel::new(Memory::new(router)));
//! let kernel = KernelBoot { kernel: "vmlinuz".into(), ..KernelBoot::default() };
//! let spec = VmSpec { cpus: 1, memory_bytes: 256 << 20, kernel: Some(kernel), ..VmSpec::default() };
//! vms.create("web".into(), spec, Change::default()).await?;
//! // Sent again, it is made once.
//! vms.start("web".into(), Change::id("5e9c4e1b-2a7f-4c0e-8f3b-6d0e0c1c9d11")).await?;
//! # Ok(())
//! # }
//! ```
//!
//! What is acknowledged is on disk, and machines are processes of their own: a daemon that is killed and started again finds both.

mod api;
#[cfg(feature = "vm-host")]
pub mod backend;
#[cfg(feature = "vm-host")]
mod checks;
#[cfg(feature = "vm-host")]
mod console;
#[cfg(feature = "vm-host")]
mod host;
#[cfg(feature = "vm-host")]
mod keeper;
pub mod machine;
mod messages;
#[cfg(feature = "vm-host")]
mod migrate;
#[cfg(feature = "vm-host")]
pub mod qemu;
#[cfg(feature = "vm-host")]
mod record;
#[cfg(feature = "vm-host")]
mod records;
#[cfg(feature = "vm-host")]
mod store;
#[cfg(feature = "vm-host")]
mod valid;

pub use api::{Vms, VmsClient, VmsServer, VmsService};
#[cfg(feature = "vm-host")]
pub use console::{CONSOLE_KEPT_BYTES, Console, Heard};
#[cfg(feature = "vm-host")]
pub use host::{HostConfig, VmHost};
pub use messages::{
    AddHealthCheckResponse, CancelMigrationResponse, Cause, Change, ConsoleRequest,
    ConsoleResponse, CreateResponse, CreateSnapshotResponse, DeleteResponse,
    DeleteSnapshotResponse, DesiredState, Disk, DiskFormat, EnableHealthCheckResponse,
    EndMigrationResponse, GetResponse, HealthCheck, HealthCheckStatus, KernelBoot,
    ListHealthChecksResponse, ListResponse, ListSnapshotsResponse, MigrateResponse, Migration,
    MigrationMode, MigrationPhase, PauseResponse, PortForward, Probe, Reason, ReceiveRequest,
    ReceiveResponse, RecoveryPolicy, RemoveHealthCheckResponse, ResetPolicy, RestartResponse,
    RestoreSnapshotResponse, ResumeResponse, SetRecoveryResponse, Snapshot, StartResponse,
    StopResponse, TransferAnswer, TransferDisk, TransferFile, TransferOffer, TransferPart,
    TransferRecord, Vm, VmEvent, VmHealth, VmMoved, VmProcess, VmSpec, VmState, WatchResponse,
};
#[cfg(feature = "vm-host")]
pub use qemu::{Accelerator, Qemu, QemuConfig};
#[cfg(feature = "vm-host")]
pub use records::{
    MAX_ARRIVED, MAX_CHANGES_KEPT, MAX_MACHINES, MAX_REQUEST_ID_BYTES, MAX_REQUESTS_KEPT,
    MAX_REQUESTS_KEPT_BYTES, REQUESTS_KEPT_FOR,
};
#[cfg(feature = "vm-host")]
pub use valid::{
    MAX_COMMAND_LINE_BYTES, MAX_DISKS, MAX_HEALTH_CHECKS, MAX_NAME_BYTES, MAX_PORTS,
    MAX_PROBE_BYTES,
};
