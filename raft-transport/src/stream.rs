//! What carries the one-way messages of a [`Lane`](crate::lane::Lane).

use std::sync::Arc;

use crate::{
    class::Class,
    shared::{PeerState, Shared},
};

pub(crate) fn wake(_: &Arc<Shared>, state: &Arc<PeerState>, class: Class) {
    state.class(class).carrier.wake();
    state.class(class).keeper.notify_one();
}
