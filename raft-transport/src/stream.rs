//! What carries the one-way messages of a [`Lane`](crate::lane::Lane): a task that keeps a stream open while there is something to
//! send, and the stream itself, which asks for the next batch whenever the connection takes one. What to do is decided in the lane.

use std::{
    future::pending,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    task::{Context as TaskContext, Poll},
};

use blixard_rpc::{Context, Result, Status, Streaming};
use blixard_services::raft::{MessageBatch, MessageReceipt, Raft as _, RaftMessage};
use futures_core::Stream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::{
    class::{Class, Purpose},
    health::Failure,
    lane::{Lane, Next, Step},
    outbound::{OPEN_TIMEOUT, client, failure, has_moved, look_interval},
    queue::Full,
    shared::{PeerState, Shared, random},
};

/// Queues a message.
///
/// # Errors
/// There is no room: it is dropped.
pub(crate) fn push(
    shared: &Arc<Shared>,
    state: &Arc<PeerState>,
    class: Class,
    key: Option<u64>,
    message: RaftMessage,
) -> Result<(), Full> {
    let now = Instant::now();
    let is_closed = state.with_lane(shared, class, |lane| {
        lane.push(now, key, message)?;
        Ok(lane.is_closed())
    })?;
    if is_closed {
        let class_state = state.class(class);
        let task = class_state.task.get_or_init(|| {
            tokio::spawn(keep(Arc::clone(shared), Arc::clone(state), class)).abort_handle()
        });
        if state.ended.load(Ordering::Acquire) {
            task.abort();
        }
        class_state.keeper.notify_one();
    }
    Ok(())
}

/// Keeps a stream open while there is something to send.
async fn keep(shared: Arc<Shared>, state: Arc<PeerState>, class: Class) {
    loop {
        match state.with_lane(&shared, class, |lane| lane.step(Instant::now())) {
            Step::Open(stream) => carry(&shared, &state, class, stream).await,
            Step::Cut => lose(&shared, &state, class, Failure::Silence),
            Step::Wait(until) => {
                let keeper = state.class(class).keeper.notified();
                tokio::select! {
                    () = keeper => {}
                    () = at(until) => {}
                }
            }
        }
    }
}

/// The life of one stream.
async fn carry(shared: &Arc<Shared>, state: &Arc<PeerState>, class: Class, stream: u64) {
    let mut mode = shared.mode.subscribe();
    let began_in = *mode.borrow_and_update();
    let link = state.link(Purpose::Calls);
    let client = match client(shared, state, class) {
        Ok(client) => client,
        Err(status) => return lose_by(shared, state, class, &status),
    };
    let batches = Streaming::new(Batches {
        shared: Arc::clone(shared),
        state: Arc::clone(state),
        class,
        stream,
        timer: None,
    });
    let cx = Context::background();
    let opening = async {
        match class {
            Class::Election => client.election_messages(&cx, batches).await,
            Class::Heartbeat => client.heartbeat_messages(&cx, batches).await,
            Class::LogAppend | Class::Snapshot => client.append_messages(&cx, batches).await,
        }
    };
    let mut opening = pin!(timeout(OPEN_TIMEOUT, opening));
    let mut ends_at = None;
    let opened = loop {
        tokio::select! {
            opened = &mut opening => break opened,
            _ = mode.changed(), if ends_at.is_none() => {
                if state.with_lane(shared, class, |lane| lane.in_flight() == (0, 0)) {
                    return state.with_lane(shared, class, Lane::ended);
                }
                ends_at = Some(end(shared, state, class));
            }
            () = at(ends_at) => return state.with_lane(shared, class, Lane::ended),
        }
    };
    let mut receipts = match opened {
        Ok(Ok(receipts)) => receipts,
        Ok(Err(status)) => return lose_by(shared, state, class, &status),
        Err(_) => return lose(shared, state, class, Failure::Dial),
    };
    // As it is now, since the call may have found its way meanwhile.
    let mut route = link.route(began_in);
    let mut next_look = Instant::now() + look_interval(shared);
    loop {
        let must_end = tokio::select! {
            receipt = receipts.next() => match receipt {
                Some(Ok(MessageReceipt { sequence, .. })) => {
                    state.with_lane(shared, class, |lane| lane.acked(Instant::now(), sequence));
                    false
                }
                Some(Err(status)) => return lose_by(shared, state, class, &status),
                None if ends_at.is_some() => return state.with_lane(shared, class, Lane::ended),
                None => return lose(shared, state, class, Failure::Cut),
            },
            _ = mode.changed() => true,
            () = sleep_until(next_look) => {
                next_look = Instant::now() + look_interval(shared);
                has_moved(&mut route, link.route(began_in))
            }
            () = at(ends_at) => return state.with_lane(shared, class, Lane::ended),
        };
        if must_end && ends_at.is_none() {
            ends_at = Some(end(shared, state, class));
        }
        let step = state.with_lane(shared, class, |lane| lane.step(Instant::now()));
        if step == Step::Cut {
            return lose(shared, state, class, Failure::Silence);
        }
    }
}

/// Sends no more on the stream; until when what was sent may still be acknowledged.
fn end(shared: &Shared, state: &PeerState, class: Class) -> Instant {
    state.with_lane(shared, class, Lane::end);
    Instant::now() + shared.config.suspect_after
}

fn lose_by(shared: &Shared, state: &PeerState, class: Class, status: &Status) {
    tracing::debug!(peer = state.id(), class = class.name(), %status, "a stream of messages was lost");
    state.class(class).counts.failed.add(1);
    lose(
        shared,
        state,
        class,
        failure(status).unwrap_or(Failure::Cut),
    );
}

fn lose(shared: &Shared, state: &PeerState, class: Class, failure: Failure) {
    state.with_lane(shared, class, |lane| {
        lane.lost(Instant::now(), failure, random());
    });
}

async fn at(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}

/// What a stream sends: whatever the lane says is next.
struct Batches {
    shared: Arc<Shared>,
    state: Arc<PeerState>,
    class: Class,
    stream: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stream for Batches {
    type Item = Result<MessageBatch>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let (shared, class) = (&*this.shared, this.class);
            match this.state.lane_next(shared, class, this.stream, cx.waker()) {
                Next::Send { sequence, messages } => {
                    let bytes = messages.iter().map(|message| message.payload.len()).sum();
                    this.state.class(class).counts.sent(messages.len(), bytes);
                    return Poll::Ready(Some(Ok(MessageBatch {
                        cluster: shared.config.cluster.clone(),
                        target: this.state.id(),
                        sequence,
                        messages,
                    })));
                }
                Next::End => return Poll::Ready(None),
                Next::Wait(None) => return Poll::Pending,
                Next::Wait(Some(until)) => {
                    let timer = this.timer.insert(Box::pin(sleep_until(until)));
                    if pin!(timer.as_mut()).poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}
