//! `blixard.vm.v1.VmService`: machines of a node, from their creation to their end.
//!
//! The trait ([`Vms`]), its messages and the state machine ([`machine`]) are always here.

mod api;
pub mod machine;
mod messages;

pub use api::{Vms, VmsClient, VmsServer, VmsService};
pub use messages::{
    AddHealthCheckResponse, Cause, Change, ConsoleRequest, ConsoleResponse, CreateResponse,
    DeleteResponse, DesiredState, Disk, DiskFormat, EnableHealthCheckResponse, GetResponse,
    HealthCheck, HealthCheckStatus, KernelBoot, ListHealthChecksResponse, ListResponse,
    PauseResponse, PortForward, Probe, Reason, RecoveryPolicy, RemoveHealthCheckResponse,
    ResetPolicy, RestartResponse, ResumeResponse, SetRecoveryResponse, StartResponse, StopResponse,
    Vm, VmEvent, VmHealth, VmProcess, VmSpec, VmState, WatchResponse,
};
