//! [`Hypervisor`] and [`Guest`]: all that is asked of what runs machines. QEMU is one; a test double, or another, fits as well.
//!
//! A backend only does and sees. What is wanted, what is recorded and when something is tried again is decided above.

use std::sync::Arc;

use blixard_rpc::Result;

use super::{
    console::Console,
    messages::{Reason, VmProcess, VmSpec},
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
}

/// A machine that has a process. Dropping it leaves the process as it is.
pub trait Guest: Send + Sync + 'static {
    /// The process.
    fn process(&self) -> &VmProcess;

    /// Its console.
    fn console(&self) -> &Arc<Console>;

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

    /// How it is now.
    fn state(&mut self) -> impl Future<Output = GuestState> + Send;

    /// What happens to it next.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    fn event(&mut self) -> impl Future<Output = GuestEvent> + Send;
}
