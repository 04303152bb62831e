//! How a snapshot is uploaded.

use std::sync::Arc;

use blixard_rpc::Status;
use blixard_services::raft::RaftMessage;

use crate::{
    error::SendError,
    shared::{PeerState, Shared},
    snapshot::OutgoingSnapshot,
};

pub(crate) async fn send<R>(
    _: &Arc<Shared>,
    _: &Arc<PeerState>,
    _: OutgoingSnapshot<R>,
) -> Result<RaftMessage, SendError> {
    Err(Status::unimplemented("not built yet").into())
}
