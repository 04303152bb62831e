//! [`Inputs`]: what the engine's loop is to step and to be told of, in order.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex},
};

use raft::{RawNode, SnapshotStatus, Storage, eraftpb::Message};
use tokio::sync::{Notify, mpsc};

use crate::{Class, MemberId, shared::lock};

/// What the engine is to take.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A member has sent this.
    Message(Box<Message>),
    /// A member cannot be reached, or something that was sent to it is lost.
    Unreachable(MemberId),
    /// A snapshot has arrived at a member, or has not.
    Snapshot(MemberId, SnapshotStatus),
}

impl Input {
    /// Gives it to the engine.
    ///
    /// # Errors
    /// The engine does not want the message: it is from a member that it does not know any more, for example.
    pub fn apply<S: Storage>(self, node: &mut RawNode<S>) -> raft::Result<()> {
        match self {
            Self::Message(message) => return node.step(*message),
            Self::Unreachable(member) => node.report_unreachable(member),
            Self::Snapshot(member, status) => node.report_snapshot(member, status),
        }
        Ok(())
    }
}

/// What the engine is to take: what is urgent first, of one class in order. One that does not take it slows the others down, and costs no
/// memory.
#[derive(Debug)]
pub struct Inputs {
    election: mpsc::Receiver<Message>,
    heartbeat: mpsc::Receiver<Message>,
    log: mpsc::Receiver<Message>,
    told: Arc<Told>,
}

/// Where what comes goes.
#[derive(Debug)]
pub(super) struct Arrivals {
    election: mpsc::Sender<Message>,
    heartbeat: mpsc::Sender<Message>,
    log: mpsc::Sender<Message>,
}

impl Arrivals {
    pub(super) const fn of(&self, class: Class) -> &mpsc::Sender<Message> {
        match class {
            Class::Election => &self.election,
            Class::Heartbeat => &self.heartbeat,
            // A snapshot is of the log, and comes in its order.
            Class::LogAppend | Class::Snapshot => &self.log,
        }
    }
}

/// What the transport tells, which must not wait: bounded by how many members there are.
#[derive(Debug, Default)]
pub(super) struct Told {
    pending: Mutex<Pending>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    unreachable: BTreeSet<MemberId>,
    /// One a member: the engine sends no other before it has heard of the last.
    snapshots: VecDeque<(MemberId, SnapshotStatus)>,
}

impl Told {
    pub(super) fn unreachable(&self, member: MemberId) {
        lock(&self.pending).unreachable.insert(member);
        self.changed.notify_one();
    }

    pub(super) fn snapshot(&self, member: MemberId, status: SnapshotStatus) {
        {
            let mut pending = lock(&self.pending);
            pending.snapshots.retain(|(known, _)| *known != member);
            pending.snapshots.push_back((member, status));
        }
        self.changed.notify_one();
    }

    fn take(&self) -> Option<Input> {
        let mut pending = lock(&self.pending);
        if let Some((member, status)) = pending.snapshots.pop_front() {
            return Some(Input::Snapshot(member, status));
        }
        pending.unreachable.pop_first().map(Input::Unreachable)
    }
}

impl Inputs {
    pub(super) fn new() -> (Arrivals, Arc<Told>, Self) {
        let (election, of_elections) = mpsc::channel(WAITING);
        let (heartbeat, of_heartbeats) = mpsc::channel(WAITING);
        let (log, of_log) = mpsc::channel(WAITING);
        let arrivals = Arrivals {
            election,
            heartbeat,
            log,
        };
        let told = Arc::<Told>::default();
        let inputs = Self {
            election: of_elections,
            heartbeat: of_heartbeats,
            log: of_log,
            told: Arc::clone(&told),
        };
        (arrivals, told, inputs)
    }

    /// The next one; `None` if the courier is gone.
    ///
    /// # Cancel safety
    /// Dropped, it has taken nothing.
    pub async fn next(&mut self) -> Option<Input> {
        loop {
            if let Some(told) = self.told.take() {
                return Some(told);
            }
            let message = tokio::select! {
                biased;
                // What has changed in between has left a permit.
                () = self.told.changed.notified() => continue,
                message = self.election.recv() => message,
                message = self.heartbeat.recv() => message,
                message = self.log.recv() => message,
            };
            return Some(Input::Message(Box::new(message?)));
        }
    }

    /// The next one, if there is one now.
    pub fn try_next(&mut self) -> Option<Input> {
        if let Some(told) = self.told.take() {
            return Some(told);
        }
        let message = self
            .election
            .try_recv()
            .or_else(|_| self.heartbeat.try_recv());
        let message = message.or_else(|_| self.log.try_recv()).ok()?;
        Some(Input::Message(Box::new(message)))
    }
}

/// Messages of a class that have come and were not taken.
const WAITING: usize = 1024;
