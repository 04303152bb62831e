//! [`Appends`]: one stream of requests to append, each answered once, in order.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use blixard_rpc::Status;
use blixard_services::raft::RaftMessage;
use futures_core::Stream;

use crate::{
    error::SendError,
    shared::{PeerState, Shared},
};

/// The responses of a stream of requests to append, one each, in order.
///
/// Dropped, it cancels the stream.
pub struct Appends(());

impl Stream for Appends {
    type Item = Result<RaftMessage, SendError>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(None)
    }
}

impl fmt::Debug for Appends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appends").finish_non_exhaustive()
    }
}

pub(crate) async fn open(
    _: &Arc<Shared>,
    _: &Arc<PeerState>,
    _: impl Stream<Item = RaftMessage> + Send + 'static,
) -> Result<Appends, SendError> {
    Err(Status::unimplemented("not built yet").into())
}
