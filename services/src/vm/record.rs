//! [`Record`]: all that is kept of a machine; and [`Done`], what is kept of a change that has a request id.

use std::time::SystemTime;

use blixard_rpc::{Result, Status, message};
use uuid::Uuid;

use super::{
    backend::MachineId,
    machine::{Life, Observation},
    messages::{
        HealthCheckStatus, Migration, MigrationMode, RecoveryPolicy, Vm, VmHealth, VmProcess,
        VmSpec, VmState,
    },
};

/// All that is kept of a machine. Its bytes on disk are protobuf, so that older records are read by newer daemons.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) uuid: String,
    pub(super) version: u64,
    pub(super) spec: VmSpec,
    pub(super) created_at: SystemTime,
    pub(super) life: Life,
    pub(super) health_checks: Vec<HealthCheckStatus>,
    pub(super) recovery: Option<RecoveryPolicy>,
    pub(super) process: Option<VmProcess>,
    /// The checks that wait for something to be said once, and have heard it since the process began.
    pub(super) heard: Vec<String>,
}

impl Record {
    /// A machine that was created just now.
    pub(super) fn new(name: String, spec: VmSpec, now: SystemTime) -> Self {
        Self {
            name,
            uuid: Uuid::new_v4().to_string(),
            // Given when it is kept.
            version: 0,
            spec,
            created_at: now,
            life: Life::new(now),
            health_checks: Vec::new(),
            recovery: None,
            process: None,
            heard: Vec::new(),
        }
    }

    /// What another node has sent of a machine, as it is known here while it comes.
    pub(super) fn receiving(sent: Self, migration: Migration, now: SystemTime) -> Self {
        let mut life = Life::receiving(migration, now);
        life.recoveries = sent.life.recoveries;
        Self {
            life,
            process: None,
            ..sent
        }
    }

    /// The machine has come: what is known of it is what was sent last.
    pub(super) fn received(&self, sent: Self, now: SystemTime) -> Option<Self> {
        let mut life = self.life.clone();
        life.recoveries = sent.life.recoveries;
        life.observe(Observation::Received, None, now)
            .then(|| Self {
                life,
                process: self.process.clone(),
                // Its changes go on from where they were.
                version: sent.version.max(self.version),
                ..sent
            })
    }

    /// By this a backend knows it.
    pub(super) fn id(&self) -> Result<MachineId> {
        let uuid = self
            .uuid
            .parse()
            .map_err(|error| Status::internal(format!("{} has no uuid: {error}", self.name)))?;
        Ok(MachineId {
            name: self.name.clone(),
            uuid,
        })
    }

    /// Whether it has, or is to have, a process, and with it memory.
    pub(super) fn needs_memory(&self) -> bool {
        let cold = |it: &Migration| it.mode == MigrationMode::Cold;
        let rests = self.life.migration.as_ref().is_some_and(cold);
        self.life.is_active() && !rests || self.life.recover_at.is_some()
    }

    /// What others see of it.
    pub(super) fn view(&self) -> Vm {
        Vm {
            name: self.name.clone(),
            uuid: self.uuid.clone(),
            version: self.version,
            spec: self.spec.clone(),
            state: self.life.state,
            desired: self.life.desired,
            reason: self.life.reason.clone(),
            created_at: Some(self.created_at),
            since: self.life.since,
            health: self.health(),
            health_checks: self.health_checks.clone(),
            recovery: self.recovery,
            recoveries: self.life.recoveries,
            process: self.process.clone(),
            migration: self.life.migration.clone(),
        }
    }

    /// What its checks say together: one that is not well is enough.
    pub(super) fn health(&self) -> VmHealth {
        let mut together = VmHealth::Unspecified;
        for status in self.health_checks.iter().filter(|it| !it.check.disabled) {
            match status.health {
                VmHealth::Unhealthy => return VmHealth::Unhealthy,
                VmHealth::Healthy => together = VmHealth::Healthy,
                _ => return VmHealth::Unspecified,
            }
        }
        together
    }

    /// Makes the rest of it fit its state: what does not run has no process, and its checks rest.
    pub(super) fn tidy(&mut self) {
        if !self.life.is_active() {
            self.process = None;
            self.heard.clear();
        }
        self.heard.retain(|name| {
            let mut checks = self.health_checks.iter().map(|status| &status.check);
            checks.any(|check| check.name == *name && check.is_heard_once())
        });
        let runs = self.life.state == VmState::Running;
        for status in &mut self.health_checks {
            if !runs || status.check.disabled {
                status.health = VmHealth::Unspecified;
                status.message.clear();
            } else if self.heard.contains(&status.check.name) {
                status.health = VmHealth::Healthy;
                status.message.clear();
            }
        }
    }
}

/// A machine that came from another node, for when that asks.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arrived {
    pub(super) name: String,
    pub(super) uuid: String,
    pub(super) at: SystemTime,
}

/// A change that was made, and how it was answered.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Done {
    /// What was asked for, so that another change with the same id is noticed.
    pub(super) digest: Vec<u8>,
    pub(super) at: SystemTime,
    pub(super) vm: Vm,
    pub(super) changed: bool,
}
