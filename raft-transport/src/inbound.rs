//! [`Inbound`]: what comes from other members, checked, and given to the engine.

use std::{fmt, sync::Arc};

use blixard_rpc::{Context, Result, Status, Streaming};
use blixard_services::raft::{
    MessageBatch, MessageReceipt, Raft, RaftMessage, RaftRequest, SnapshotPart, SnapshotProgress,
};

use crate::{engine::Engine, shared::Shared};

/// What comes from other members, checked, and given to the engine: the implementation of the Raft service, which
/// [`Transport::server`](crate::Transport::server) makes.
pub struct Inbound<E> {
    shared: Arc<Shared>,
    engine: Arc<E>,
}

impl<E: Engine> Inbound<E> {
    pub(crate) const fn new(shared: Arc<Shared>, engine: Arc<E>) -> Self {
        Self { shared, engine }
    }
}

impl<E> fmt::Debug for Inbound<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound").finish_non_exhaustive()
    }
}

impl<E: Engine> Raft for Inbound<E> {
    async fn vote(&self, _: &Context, _: RaftRequest) -> Result<RaftMessage> {
        let _ = (&self.shared, &self.engine);
        Err(Status::unimplemented("not built yet"))
    }
    async fn pre_vote(&self, _: &Context, _: RaftRequest) -> Result<RaftMessage> {
        Err(Status::unimplemented("not built yet"))
    }
    async fn transfer_leader(&self, _: &Context, _: RaftRequest) -> Result<RaftMessage> {
        Err(Status::unimplemented("not built yet"))
    }
    async fn heartbeat(&self, _: &Context, _: RaftRequest) -> Result<RaftMessage> {
        Err(Status::unimplemented("not built yet"))
    }
    async fn append(
        &self,
        _: &Context,
        _: Streaming<MessageBatch>,
    ) -> Result<Streaming<MessageReceipt>> {
        Err(Status::unimplemented("not built yet"))
    }
    async fn snapshot(
        &self,
        _: &Context,
        _: Streaming<SnapshotPart>,
    ) -> Result<Streaming<SnapshotProgress>> {
        Err(Status::unimplemented("not built yet"))
    }
    async fn election_messages(
        &self,
        _: &Context,
        _: Streaming<MessageBatch>,
    ) -> Result<Streaming<MessageReceipt>> {
        Err(Status::unimplemented("not built yet"))
    }
    async fn heartbeat_messages(
        &self,
        _: &Context,
        _: Streaming<MessageBatch>,
    ) -> Result<Streaming<MessageReceipt>> {
        Err(Status::unimplemented("not built yet"))
    }
    async fn append_messages(
        &self,
        _: &Context,
        _: Streaming<MessageBatch>,
    ) -> Result<Streaming<MessageReceipt>> {
        Err(Status::unimplemented("not built yet"))
    }
}
