//! [`Hypervisor`] and [`Guest`]: all that is asked of what runs machines. QEMU is one; a test double, or another, fits as well.
//!
//! A backend only does and sees. What is wanted, what is recorded and when something is tried again is decided above.

use std::{fmt, pin::Pin, sync::Arc, time::SystemTime};

use blixard_rpc::Result;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    console::Console,
    messages::{Reason, Snapshot, TransferFile, VmProcess, VmSpec},
};

/// Which machine is meant: its name is for people, its uuid is its own for life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineId {
    /// Its name on this node.
    pub name: String,
    /// Its own for life.
    pub uuid: uuid::Uuid,
}

/// What runs machines.
pub trait Hypervisor: Send + Sync + 'static {
    /// A machine that has a process.
    type Guest: Guest;

    /// Whether a machine like this could run here, as far as can be said without running it.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`, `NOT_FOUND` or `RESOURCE_EXHAUSTED`, and what to do about it.
    fn check(&self, spec: &VmSpec) -> impl Future<Output = Result<()>> + Send;

    /// Whether machines can be started here at all, as far as can be said without one.
    ///
    /// # Errors
    /// Why not, and what to do about it.
    fn ready(&self) -> impl Future<Output = Result<()>> + Send;

    /// How much memory its machines may have together on this node, if nobody says.
    fn memory_bytes(&self) -> u64;

    /// Starts the process of a machine; its guest does not run until it is [resumed](Guest::resume).
    ///
    /// A machine has one process at most, whatever befalls the daemon: if there is one already, nothing is started.
    ///
    /// # Errors
    /// Why it could not be started. There is no process then.
    fn launch(
        &self,
        id: &MachineId,
        spec: &VmSpec,
    ) -> impl Future<Output = Result<Self::Guest>> + Send;

    /// Starts the process of a machine that takes in a guest which another node [sends](Guest::send), of this [form](Guest::form). The
    /// guest does not run before it is [resumed](Guest::resume).
    ///
    /// # Errors
    /// Why it cannot be. There is no process then.
    fn receive(
        &self,
        id: &MachineId,
        spec: &VmSpec,
        form: &str,
    ) -> impl Future<Output = Result<Self::Guest>> + Send;

    /// The files of a machine that two nodes must have alike for it to go from one to the other.
    ///
    /// # Errors
    /// `NOT_FOUND`, or one cannot be read.
    fn files(&self, spec: &VmSpec) -> impl Future<Output = Result<Vec<TransferFile>>> + Send;

    /// The snapshots of a machine's disks.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` if it has no disks that can have any.
    fn snapshots(
        &self,
        id: &MachineId,
        spec: &VmSpec,
    ) -> impl Future<Output = Result<Vec<Snapshot>>> + Send;

    /// Works on the snapshots of a machine that has no process; answers whether that changed anything. It is not to be given up halfway.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` if it has no disks that can have any, or one is in use; `NOT_FOUND` if there is none to restore.
    fn snapshot(
        &self,
        id: &MachineId,
        spec: &VmSpec,
        name: &str,
        work: SnapshotWork,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Finds the process of a machine that a daemon before this one has started. It stays as it is.
    ///
    /// `recorded` is what is known of it, if the daemon before came to record it.
    fn adopt(
        &self,
        id: &MachineId,
        spec: &VmSpec,
        recorded: Option<&VmProcess>,
    ) -> impl Future<Output = Adoption<Self::Guest>> + Send;

    /// Removes whatever it keeps of a machine that has no process.
    ///
    /// # Errors
    /// Something is left.
    fn remove(&self, id: &MachineId) -> impl Future<Output = Result<()>> + Send;
}

/// What is done with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotWork {
    /// The disks are kept as they are; one that is there stays as it is.
    Create,
    /// The disks become as they were.
    Restore,
    /// It is kept no more; one that is not there is no error.
    Delete,
}

/// What was found of a machine.
#[derive(Debug)]
pub enum Adoption<G> {
    /// Its process, and how its guest is.
    Found(G, GuestState),
    /// None, and what was found instead.
    Gone(String),
    /// It cannot be said, and why: it is asked again in a while. There may be a process.
    Unclear(String),
}

/// How a guest is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestState {
    /// It has not begun to run.
    Prelaunch,
    /// It runs.
    Running,
    /// It is held; for this reason if nobody asked for it.
    Paused(Option<String>),
    /// It is at its end, though its process is there.
    Ended(Reason),
    /// Its process does not say.
    Unreachable(String),
}

/// What has happened to a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestEvent {
    /// It runs.
    Running,
    /// It is held; for this reason if nobody asked for it.
    Paused(Option<String>),
    /// It is at its end; its process is still there.
    Ended(Reason),
    /// Its process is gone. Nothing comes after this.
    Gone(Reason),
    /// Its process does not answer any more.
    Unreachable(String),
    /// It was sent whole, and is held since then.
    Sent(SystemTime),
    /// It could not be sent.
    NotSent,
    /// It was received whole, and is held.
    Received,
}

/// Who runs commands in a guest, and never on the node.
pub trait Agent: fmt::Debug + Send + Sync + 'static {
    /// Runs a command to its end; one that is given up goes on in the guest, and is not run again before it has ended.
    ///
    /// # Errors
    /// The guest does not answer, or there is no such program in it.
    fn run(
        &self,
        program: String,
        arguments: Vec<String>,
    ) -> Pin<Box<dyn Future<Output = Result<Ran>> + Send>>;
}

/// What came of a command in a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i64>,
    /// What it wrote, within bounds.
    pub said: Bytes,
}

/// A machine that has a process. Dropping it leaves the process as it is.
pub trait Guest: Send + Sync + 'static {
    /// By this a guest travels from one process to another.
    type Wire: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The process.
    fn process(&self) -> &VmProcess;

    /// Its console.
    fn console(&self) -> &Arc<Console>;

    /// Who runs commands in its guest.
    fn agent(&self) -> Arc<dyn Agent>;

    /// Lets it run.
    ///
    /// # Errors
    /// It does not answer.
    fn resume(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// Holds it.
    ///
    /// # Errors
    /// It does not answer.
    fn pause(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// Presses its power button.
    ///
    /// # Errors
    /// It does not answer.
    fn power_button(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// Tells its process to quit.
    ///
    /// # Errors
    /// It does not answer.
    fn quit(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// Kills its process.
    fn kill(&mut self);

    /// How its guest runs, as far as another process must be alike to go on with it.
    ///
    /// # Errors
    /// It does not answer.
    fn form(&mut self) -> impl Future<Output = Result<String>> + Send;

    /// Begins to send its guest, which runs meanwhile: what comes out of the wire, to its end, is the guest. [`Sent`](GuestEvent::Sent)
    /// or [`NotSent`](GuestEvent::NotSent) says what became of it.
    ///
    /// # Errors
    /// It does not answer, or cannot send this guest.
    fn send(&mut self) -> impl Future<Output = Result<Self::Wire>> + Send;

    /// Sends its guest no more, and lets it run on, however far that was. If it failed by itself, says why.
    ///
    /// # Errors
    /// It does not answer.
    fn stay(&mut self) -> impl Future<Output = Result<Option<String>>> + Send;

    /// What goes into this wire is the guest that is [received](Hypervisor::receive). [`Received`](GuestEvent::Received) says that it was
    /// enough.
    ///
    /// # Errors
    /// It does not answer.
    fn take_in(&mut self) -> impl Future<Output = Result<Self::Wire>> + Send;

    /// How it is now.
    fn state(&mut self) -> impl Future<Output = GuestState> + Send;

    /// What happens to it next.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    fn event(&mut self) -> impl Future<Output = GuestEvent> + Send;
}
