//! The task beside a channel: it looks at the clock and the counts, asks the sides what the [`Switch`](super::switch::Switch) wants
//! asked, and tells it what came of it. It decides nothing.

use std::{
    future::pending,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::Notify,
    task::{AbortHandle, JoinSet},
    time::sleep_until,
};

use super::{probe, shared::Shared, switch::Todo};
use crate::{
    call::{Codec, Request, Response},
    dispatch::Dispatch,
    method::ServiceDescriptor,
    runner::Transport,
    status::Result,
};

impl<I: Dispatch, G: Dispatch> Shared<I, G> {
    /// Lets the task look, and begins one if there is none. `false` outside of a runtime, where there can be none.
    pub(super) fn look(&self) -> bool {
        let mut state = self.lock();
        if state.task.as_ref().is_none_or(AbortHandle::is_finished) {
            let (Ok(runtime), Some(this)) = (Handle::try_current(), self.this.upgrade()) else {
                return false;
            };
            let task = runtime.spawn(watch(Arc::downgrade(&this), Arc::clone(&self.wake)));
            state.task = Some(task.abort_handle());
            // It may be the last one, and then it is dropped: not under the lock.
            drop(state);
            drop(this);
            return true;
        }
        drop(state);
        self.wake.notify_one();
        true
    }
}

/// Watches until the channel is dropped.
async fn watch<I: Dispatch, G: Dispatch>(shared: Weak<Shared<I, G>>, wake: Arc<Notify>) {
    let mut probes = JoinSet::new();
    loop {
        let Some(channel) = shared.upgrade() else {
            return;
        };
        let Todo { ask, next, .. } = channel.tick();
        for transport in Transport::ALL {
            if let Some(number) = ask[transport.index()] {
                let channel = Arc::clone(&channel);
                probes.spawn(ask_side(channel, transport, number));
            }
        }
        drop(channel);
        let look_again = async {
            match next {
                Some(at) => sleep_until(at).await,
                // Until somebody calls.
                None => pending().await,
            }
        };
        tokio::select! {
            () = look_again => {}
            () = wake.notified() => {}
            Some(_) = probes.join_next() => {}
        }
    }
}

async fn ask_side<I: Dispatch, G: Dispatch>(
    channel: Arc<Shared<I, G>>,
    transport: Transport,
    number: u64,
) {
    let timeout = channel.config.probe_timeout;
    // Longer than it is waited for: the one who waits says why it is given up.
    let side = Side(Arc::clone(&channel), transport);
    match probe::ask(side, timeout + GRACE).await {
        Some(result) => channel.probed(transport, number, result),
        None => channel.unanswered(transport, number),
    }
}

const GRACE: Duration = Duration::from_millis(500);

/// One side of a channel.
struct Side<I, G>(Arc<Shared<I, G>>, Transport);

impl<I: Dispatch, G: Dispatch> Dispatch for Side<I, G> {
    async fn dispatch(&self, request: Request) -> Result<Response> {
        self.0.send(self.1, request).await
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        match self.1 {
            Transport::Iroh => self.0.iroh.codec(service),
            Transport::Grpc => self.0.grpc.codec(service),
        }
    }
}
