//! [`Appends`]: one stream of requests to append, each answered once, in order. How batches are made lives in `pack`.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};

use blixard_rpc::{
    Context, Result, Status, Streaming,
    runner::{Mode, Transport},
};
use blixard_services::raft::{MessageBatch, MessageReceipt, Raft as _, RaftMessage};
use futures_core::Stream;
use tokio::{
    sync::watch,
    time::{Instant, Sleep, sleep_until, timeout},
};

use crate::{
    class::{Class, Purpose},
    error::SendError,
    outbound::{OPEN_TIMEOUT, check_size, client, failure, has_moved, look_interval},
    pack::Gathered,
    shared::{PeerState, Shared, lock},
};

const CLASS: Class = Class::LogAppend;

/// Opens a stream.
pub(crate) async fn open(
    shared: &Arc<Shared>,
    state: &Arc<PeerState>,
    requests: impl Stream<Item = RaftMessage> + Send + 'static,
) -> Result<Appends, SendError> {
    let mut mode = shared.mode.subscribe();
    let began_in = *mode.borrow_and_update();
    let flow = Arc::new(Mutex::new(Flow::default()));
    let guard = Guard {
        shared: Arc::clone(shared),
        state: Arc::clone(state),
        flow: Arc::clone(&flow),
    };
    let batches = Streaming::new(Outgoing {
        shared: Arc::clone(shared),
        state: Arc::clone(state),
        flow,
        requests: Some(Box::pin(requests)),
        gathered: Gathered::default(),
        left: None,
        sequence: 0,
        window: None,
    });
    let cx = Context::background();
    let opening = async { client(shared, state, CLASS)?.append(&cx, batches).await };
    let opened = timeout(OPEN_TIMEOUT, opening).await.unwrap_or_else(|_| {
        Err(Status::unavailable(format!(
            "member {} has not opened the stream within {OPEN_TIMEOUT:?}",
            state.id()
        )))
    });
    let receipts = opened.map_err(|status| guard.fail(status))?;
    let looking = Looking {
        look: Box::pin(sleep_until(Instant::now() + look_interval(shared))),
        route: state.link(Purpose::Calls).route(began_in),
        began_in,
        mode,
        ends_at: None,
    };
    Ok(Appends {
        receipts: Some(receipts),
        ready: VecDeque::new(),
        looking,
        guard,
    })
}

/// What both halves of a stream know of it.
#[derive(Default)]
struct Flow {
    /// When each request that has no response yet was sent, and its length.
    unanswered: VecDeque<(Instant, usize)>,
    bytes: usize,
    /// Since when nothing was answered although something should be.
    silent_since: Option<Instant>,
    /// No more requests are taken.
    ending: bool,
    /// What was wrong with a request.
    error: Option<SendError>,
    /// Whoever waits for room, or for the end.
    outgoing: Option<Waker>,
}

impl Flow {
    fn wake(&mut self) {
        if let Some(outgoing) = self.outgoing.take() {
            outgoing.wake();
        }
    }
}

/// The half that sends.
struct Outgoing {
    shared: Arc<Shared>,
    state: Arc<PeerState>,
    flow: Arc<Mutex<Flow>>,
    /// `None` when they have ended.
    requests: Option<Pin<Box<dyn Stream<Item = RaftMessage> + Send>>>,
    gathered: Gathered,
    /// What did not go into the batch before.
    left: Option<RaftMessage>,
    sequence: u64,
    /// Until when the batch is held back.
    window: Option<Pin<Box<Sleep>>>,
}

impl Outgoing {
    /// Gathers what is ready; whether the requests have ended.
    fn gather(&mut self, cx: &mut TaskContext<'_>) -> Result<bool, SendError> {
        if self.gathered.is_empty()
            && let Some(left) = self.left.take()
        {
            self.gathered.push(left);
        }
        while self.left.is_none() && !self.gathered.is_full() {
            let Some(requests) = &mut self.requests else {
                return Ok(true);
            };
            match requests.as_mut().poll_next(cx) {
                Poll::Ready(Some(request)) => {
                    check_size(CLASS, &request)?;
                    if self.gathered.has_room_for(&request) {
                        self.gathered.push(request);
                    } else {
                        self.left = Some(request);
                    }
                }
                Poll::Ready(None) => self.requests = None,
                Poll::Pending => break,
            }
        }
        Ok(self.requests.is_none())
    }

    /// Whether what was gathered is held back for more.
    fn is_held(&mut self, cx: &mut TaskContext<'_>) -> bool {
        let window = self.shared.config.append_window;
        if window.is_zero() || self.gathered.is_full() || self.left.is_some() {
            return false;
        }
        let sleep = self
            .window
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + window)));
        sleep.as_mut().poll(cx).is_pending()
    }

    /// The batch, counted as sent.
    fn send(&mut self) -> MessageBatch {
        self.window = None;
        self.sequence += 1;
        let (count, bytes) = (self.gathered.len(), self.gathered.bytes());
        let messages = self.gathered.take();
        let now = Instant::now();
        {
            let mut flow = lock(&self.flow);
            flow.silent_since.get_or_insert(now);
            flow.bytes += bytes;
            flow.unanswered
                .extend(messages.iter().map(|message| (now, message.payload.len())));
        }
        self.state
            .asked(&self.shared, CLASS, |health| health.sent(now, count));
        self.state.class(CLASS).counts.sent(count, bytes);
        MessageBatch {
            cluster: self.shared.config.cluster.clone(),
            target: self.state.id(),
            sequence: self.sequence,
            messages,
        }
    }
}

impl Stream for Outgoing {
    type Item = Result<MessageBatch>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        {
            let limits = this.shared.config.in_flight;
            let mut flow = lock(&this.flow);
            if flow.ending {
                // What was gathered was taken and not sent: it has no response, as if it had not been taken.
                return Poll::Ready(None);
            }
            let waits = flow.outgoing.as_ref();
            if !waits.is_some_and(|waits| waits.will_wake(cx.waker())) {
                flow.outgoing = Some(cx.waker().clone());
            }
            if flow.unanswered.len() >= limits.messages || flow.bytes >= limits.bytes {
                return Poll::Pending;
            }
        }
        let ended = match this.gather(cx) {
            Ok(ended) => ended,
            Err(error) => {
                let mut flow = lock(&this.flow);
                flow.ending = true;
                flow.error = Some(error);
                drop(flow);
                // It is said by the other half when it is polled next, which the end of this one makes sure of.
                return Poll::Ready(Some(Err(Status::cancelled("a request cannot be sent"))));
            }
        };
        if this.gathered.is_empty() {
            return if ended {
                Poll::Ready(None)
            } else {
                Poll::Pending
            };
        }
        if !ended && this.is_held(cx) {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(this.send())))
    }
}

/// The responses of a stream of requests to append, one each, in order.
///
/// Dropped, it cancels the stream.
pub struct Appends {
    receipts: Option<Streaming<MessageReceipt>>,
    ready: VecDeque<RaftMessage>,
    looking: Looking,
    guard: Guard,
}

/// What is looked after while nothing comes.
struct Looking {
    look: Pin<Box<Sleep>>,
    mode: watch::Receiver<Mode>,
    began_in: Mode,
    route: Option<Transport>,
    /// Until when the responses that are due are awaited, if it is to end.
    ends_at: Option<Instant>,
}

/// What is put right when a stream is over, however it ends.
struct Guard {
    shared: Arc<Shared>,
    state: Arc<PeerState>,
    flow: Arc<Mutex<Flow>>,
}

impl Guard {
    /// The stream has failed.
    fn fail(&self, status: Status) -> SendError {
        self.state.class(CLASS).counts.failed.add(1);
        let failure = failure(&status);
        self.state.asked(&self.shared, CLASS, |health| {
            if let Some(failure) = failure {
                health.failed(failure);
            }
        });
        lock(&self.flow)
            .error
            .take()
            .unwrap_or_else(|| SendError::from(status))
    }

    /// So many responses have come.
    ///
    /// # Errors
    /// There are more than requests.
    fn answered(&self, count: usize) -> Result<(), Status> {
        let now = Instant::now();
        let mut last = None;
        {
            let mut flow = lock(&self.flow);
            for _ in 0..count {
                let Some((sent, bytes)) = flow.unanswered.pop_front() else {
                    return Err(Status::internal("there are more responses than requests"));
                };
                flow.bytes -= bytes;
                last = Some(sent);
            }
            flow.silent_since = (!flow.unanswered.is_empty()).then_some(now);
            flow.wake();
        }
        if let Some(sent) = last {
            let took = now.saturating_duration_since(sent);
            self.state
                .asked(&self.shared, CLASS, |health| health.acked(now, took, count));
        }
        Ok(())
    }

    /// # Errors
    /// Nothing was answered for too long.
    fn check(&self) -> Result<(), Status> {
        let now = Instant::now();
        self.state.asked(&self.shared, CLASS, |health| {
            health.check(now);
        });
        let patience: Duration = self.shared.config.suspect_after * 2;
        let silent = lock(&self.flow).silent_since;
        match silent {
            Some(since) if now.saturating_duration_since(since) >= patience => {
                Err(Status::deadline_exceeded(format!(
                    "member {} has answered no request to append for {patience:?}",
                    self.state.id()
                )))
            }
            _ => Ok(()),
        }
    }

    fn end(&self) {
        let mut flow = lock(&self.flow);
        flow.ending = true;
        flow.wake();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let unanswered = {
            let mut flow = lock(&self.flow);
            flow.ending = true;
            flow.wake();
            flow.bytes = 0;
            std::mem::take(&mut flow.unanswered).len()
        };
        self.state
            .asked(&self.shared, CLASS, |health| health.forgotten(unanswered));
    }
}

impl Appends {
    /// The next response; `None` is the good end.
    pub async fn next(&mut self) -> Option<Result<RaftMessage, SendError>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// What ends the stream although its halves do not; whether it has ended well.
    fn poll_look(&mut self, cx: &mut TaskContext<'_>) -> Result<bool, Status> {
        let Looking {
            look,
            mode,
            began_in,
            route,
            ends_at,
        } = &mut self.looking;
        while look.as_mut().poll(cx).is_ready() {
            look.as_mut()
                .reset(Instant::now() + look_interval(&self.guard.shared));
            let link = self.guard.state.link(Purpose::Calls);
            let now = Instant::now();
            let must_end = *mode.borrow() != *began_in || has_moved(route, link.route(*began_in));
            if must_end && ends_at.is_none() {
                *ends_at = Some(now + self.guard.shared.config.suspect_after);
                self.guard.end();
            }
            self.guard.check()?;
            // Where it was it may be that nobody says any more that it has ended.
            if ends_at.is_some_and(|ends_at| now >= ends_at)
                && lock(&self.guard.flow).unanswered.is_empty()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn fail(&mut self, status: Status) -> Poll<Option<Result<RaftMessage, SendError>>> {
        self.receipts = None;
        Poll::Ready(Some(Err(self.guard.fail(status))))
    }
}

impl Stream for Appends {
    type Item = Result<RaftMessage, SendError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(response) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(response)));
            }
            let Some(receipts) = &mut this.receipts else {
                return Poll::Ready(None);
            };
            match Pin::new(receipts).poll_next(cx) {
                Poll::Ready(Some(Ok(receipt))) => {
                    if let Err(status) = this.guard.answered(receipt.messages.len()) {
                        return this.fail(status);
                    }
                    this.ready.extend(receipt.messages);
                }
                Poll::Ready(Some(Err(status))) => return this.fail(status),
                Poll::Ready(None) => {
                    let unanswered = lock(&this.guard.flow).unanswered.len();
                    if unanswered > 0 {
                        return this.fail(Status::unavailable(format!(
                            "the stream to member {} has ended with {unanswered} requests unanswered",
                            this.guard.state.id()
                        )));
                    }
                    this.receipts = None;
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    return match this.poll_look(cx) {
                        Ok(false) => Poll::Pending,
                        Ok(true) => {
                            this.receipts = None;
                            Poll::Ready(None)
                        }
                        Err(status) => this.fail(status),
                    };
                }
            }
        }
    }
}

impl fmt::Debug for Appends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appends")
            .field("peer", &self.guard.state.id())
            .finish_non_exhaustive()
    }
}
