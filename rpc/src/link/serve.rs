//! The server half: takes the streams of a connection and feeds their calls to a [`Dispatch`].

use std::{
    collections::{HashMap, hash_map::Entry},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};

use super::{
    budget::{Budget, Peaks},
    client::MAX_LANES,
    halves::{Broken, CloseCode, Link, SendHalf, StreamCode},
    lane::{Outbox, Wake},
    reader::{FrameReader, ReadError},
    serve_lane, serve_stream,
    services::Services,
};
use crate::{
    call::{Body, Codec, Method, Request, Response},
    dispatch::{BoxFuture, Dispatch},
    method::Priority,
    status::{Result, Status},
    wire::{self, FrameType, Hello, MethodRef, RequestHead, RequestId, WireError},
};

/// What a server allows each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many calls a client may have in flight at once. It is told, and lets further ones wait; one that does not keep to it is
    /// answered `RESOURCE_EXHAUSTED` when it has about twice as many.
    pub max_calls: u32,
    /// How long a stream may be open before its first frame is there.
    pub first_frame: Duration,
}

impl Default for Limits {
    /// 1024 calls; 10 seconds.
    fn default() -> Self {
        Self {
            max_calls: super::client::DEFAULT_MAX_CALLS,
            first_frame: Duration::from_secs(10),
        }
    }
}

/// How many lanes a client may have open on one connection: twice as many as one that keeps to the protocol ever has.
pub const MAX_LANES_PER_CONNECTION: usize = 2 * MAX_LANES * Priority::ALL.len();

/// How many of a client's streams may lie unread, because their handlers do not read them, and leave the other calls of its
/// connection as much of the window as there is without them.
pub const MAX_UNREAD_STREAMS: usize = 96;

/// When a server is to stop: `None` while it runs, then until when calls in flight may go on.
pub type Drain = watch::Receiver<Option<Instant>>;

/// Serves one connection until the peer closes it, or `drain` says so and the calls in flight have ended.
///
/// `services` are those that the client is told of; `peer_calls` counts for all connections of the peer, and `peaks` keeps what all
/// connections have queued at most.
pub async fn serve<L: Link, D: Dispatch>(
    link: L,
    dispatch: Arc<D>,
    services: Services,
    limits: Limits,
    peer_calls: Arc<CallCount>,
    peaks: &Peaks,
    mut drain: Drain,
) {
    let server = Arc::new(Server {
        budget: Budget::new({
            let link = link.clone();
            move |streams| link.make_room(streams.min(MAX_UNREAD_STREAMS))
        }),
        link,
        dispatch,
        services,
        limits,
        peer_calls,
        active: Mutex::default(),
        serial: AtomicU64::new(0),
        gone: AtomicBool::new(false),
        lanes: Mutex::default(),
        draining: AtomicBool::new(false),
        undelivered: AtomicBool::new(false),
    });
    let _watched = peaks.watch(&server.budget);
    let _abort = AbortOnDrop(Arc::clone(&server));
    let mut streams = JoinSet::new();
    let until = loop {
        tokio::select! {
            stream = server.link.accept_bi() => match stream {
                Ok((send, recv)) => {
                    streams.spawn(serve_pair(Arc::clone(&server), send, recv));
                }
                Err(broken) => return server.log_end(&broken),
            },
            stream = server.link.accept_uni() => match stream {
                Ok(_) => return server.break_protocol(&WireError::Unexpected("one-way stream")),
                Err(broken) => return server.log_end(&broken),
            },
            Some(_) = streams.join_next() => {}
            until = drain_begins(&mut drain) => break until,
        }
    };
    server.begin_drain();
    loop {
        tokio::select! {
            // Until all is answered, what comes is refused with a status.
            Ok((send, recv)) = server.link.accept_bi() => {
                streams.spawn(serve_pair(Arc::clone(&server), send, recv));
            }
            ended = streams.join_next() => if ended.is_none() {
                return server.link.close(server.drained_code(), "the server has shut down");
            },
            () = sleep_until(until) => {
                tracing::warn!(
                    peer = %server.link.peer(),
                    calls = server.active().len(),
                    "calls were cut: they did not end before the shutdown's deadline"
                );
                return server.link.close(CloseCode::Shutdown, "the server shuts down");
            }
        }
    }
}

async fn drain_begins(drain: &mut Drain) -> Instant {
    let until = drain.wait_for(Option::is_some).await.map(|until| *until);
    match until {
        Ok(until) => until.unwrap_or_else(Instant::now),
        // Whoever could say so is gone: nobody will.
        Err(_) => std::future::pending().await,
    }
}

/// How many calls of one peer are in flight, over all its connections, and how many may be.
#[derive(Debug)]
pub struct CallCount {
    calls: AtomicUsize,
    limit: usize,
}

impl CallCount {
    /// No call yet, and at most so many.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            calls: AtomicUsize::new(0),
            limit,
        }
    }
}

/// One connection, as the tasks of its streams share it.
pub(super) struct Server<L: Link, D> {
    pub(super) link: L,
    pub(super) dispatch: Arc<D>,
    services: Services,
    pub(super) limits: Limits,
    peer_calls: Arc<CallCount>,
    pub(super) budget: Budget,
    active: Mutex<HashMap<RequestId, Running>>,
    serial: AtomicU64,
    gone: AtomicBool,
    lanes: Mutex<Vec<Weak<Outbox>>>,
    draining: AtomicBool,
    undelivered: AtomicBool,
}

impl<L: Link, D: Dispatch> Server<L, D> {
    /// The request that a Request frame begins, with what of it is not in the head.
    ///
    /// # Errors
    /// A method number that no service in the hello has.
    pub(super) fn request(
        &self,
        head: RequestHead<'_>,
        codec: Codec,
        body: Body,
    ) -> Result<Request, WireError> {
        let method = match head.method {
            MethodRef::Number(number) => {
                let method = self.services.method(number);
                Method::Known(method.ok_or(WireError::Malformed("method number"))?)
            }
            MethodRef::Path(path) => match self.dispatch.resolve(path) {
                Some(method) => Method::Known(method),
                None => Method::Path(path.into()),
            },
        };
        Ok(Request {
            method,
            codec,
            metadata: head.metadata,
            // A time-out too long for the clock is none.
            deadline: head
                .timeout
                .and_then(|timeout| Instant::now().checked_add(timeout)),
            priority: head.priority,
            peer: self.link.peer(),
            body,
            recall: None,
        })
    }

    /// What a client is told first. It is made when it is told: a connection keeps no names.
    pub(super) fn hello(&self) -> Hello {
        Hello {
            services: self.services.names(),
            ..self.limits_hello()
        }
    }

    fn limits_hello(&self) -> Hello {
        Hello {
            version: u32::from(wire::VERSION),
            max_calls: self.limits.max_calls,
            ..Hello::default()
        }
    }

    /// The path of the method that a head names, for people.
    pub(super) fn path<'a>(&self, head: &RequestHead<'a>) -> &'a str {
        match head.method {
            MethodRef::Path(path) => path,
            MethodRef::Number(number) => self
                .services
                .method(number)
                .map_or("(no such number)", |method| method.path),
        }
    }

    /// Why a call that arrives now cannot be taken.
    pub(super) fn refusal(&self) -> Option<Status> {
        self.refusal_at(self.active().len())
    }

    /// The same for a call with this id.
    ///
    /// # Errors
    /// The id is zero, or in use.
    pub(super) fn refusal_of(&self, id: RequestId) -> Result<Option<Status>, WireError> {
        let active = self.active();
        if id.0 == [0; 16] || active.contains_key(&id) {
            return Err(WireError::RequestId);
        }
        let calls = active.len();
        drop(active);
        Ok(self.refusal_at(calls))
    }

    fn refusal_at(&self, calls: usize) -> Option<Status> {
        if self.is_draining() {
            return Some(
                Status::unavailable("the server is shutting down and takes no new calls")
                    .with_not_accepted(),
            );
        }
        let peer = &self.peer_calls;
        if peer.calls.load(Ordering::Relaxed) >= peer.limit {
            return Some(
                Status::resource_exhausted(format!(
                    "{} calls of this peer are in flight over all its connections, its limit: wait for some to end",
                    peer.limit
                ))
                .with_not_accepted(),
            );
        }
        let limit = self.limits.max_calls as usize;
        (calls >= limit * CALLS_LENIENCY + CALLS_SLACK).then(|| {
            Status::resource_exhausted(format!(
                "{limit} calls are in flight on this connection, its limit, and many more: wait for some to end"
            ))
            .with_not_accepted()
        })
    }

    /// Counts a call as in flight while the guard lives.
    pub(super) fn begin(self: &Arc<Self>, id: RequestId) -> Result<Active<L, D>, WireError> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        match self.active().entry(id) {
            Entry::Vacant(entry) => entry.insert(Running { serial, task: None }),
            Entry::Occupied(_) => return Err(WireError::RequestId),
        };
        self.peer_calls.calls.fetch_add(1, Ordering::Relaxed);
        Ok(Active {
            server: Arc::clone(self),
            id,
            serial,
        })
    }

    /// Lets [`cancel`](Self::cancel) reach the task of a call.
    pub(super) fn can_abort(&self, id: RequestId, serial: u64, task: AbortHandle) {
        let mut active = self.active();
        if self.gone.load(Ordering::Relaxed) {
            task.abort();
        } else if let Some(call) = active.get_mut(&id)
            && call.serial == serial
        {
            call.task = Some(task);
        }
    }

    /// Drops the handler of a call, if it is still running. The call is over at once: the client has given its place to another.
    pub(super) fn cancel(&self, id: RequestId) {
        let call = match self.active().entry(id) {
            Entry::Occupied(call) if call.get().task.is_some() => call.remove(),
            _ => return,
        };
        if let Some(task) = call.task {
            task.abort();
        }
    }

    pub(super) fn add_lane(&self, outbox: &Arc<Outbox>) -> Result<(), WireError> {
        let mut lanes = lock(&self.lanes);
        lanes.retain(|lane| lane.strong_count() > 0);
        if lanes.len() >= MAX_LANES_PER_CONNECTION {
            return Err(WireError::Unexpected(
                "lane: the connection has as many as it may have",
            ));
        }
        lanes.push(Arc::downgrade(outbox));
        Ok(())
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Whether more calls are in flight than one.
    pub(super) fn has_many(&self) -> bool {
        self.active().len() > 1
    }

    /// Whether the server drains, and nothing is in flight.
    pub(super) fn is_drained(&self) -> bool {
        self.is_draining() && self.active().is_empty()
    }

    /// A lane was ended, and not all of its answers are known to have arrived.
    pub(super) fn lost_answers(&self) {
        self.undelivered.store(true, Ordering::Relaxed);
    }

    fn drained_code(&self) -> CloseCode {
        if self.undelivered.load(Ordering::Relaxed) {
            CloseCode::Shutdown
        } else {
            CloseCode::Drained
        }
    }

    pub(super) fn break_protocol(&self, error: &WireError) {
        tracing::warn!(peer = %self.link.peer(), %error, "the peer broke the protocol: closing its connection");
        self.link.close(CloseCode::Protocol, &error.to_string());
    }

    fn begin_drain(&self) {
        self.draining.store(true, Ordering::Release);
        let hello = Hello {
            draining: true,
            ..self.limits_hello()
        };
        for outbox in self.live_lanes() {
            outbox.put(Wake::Now, |out| {
                serve_lane::put_pong(out, super::liveness::HELLO_ID, Some(&hello));
            });
            outbox.wake();
        }
    }

    fn live_lanes(&self) -> Vec<Arc<Outbox>> {
        lock(&self.lanes).iter().filter_map(Weak::upgrade).collect()
    }

    fn log_end(&self, broken: &Broken) {
        tracing::debug!(peer = %self.link.peer(), reason = %broken, "the connection ended");
    }

    fn active(&self) -> std::sync::MutexGuard<'_, HashMap<RequestId, Running>> {
        lock(&self.active)
    }
}

/// How many times the calls that a client is told of are taken before one is refused.
///
/// A client gives a call's place to another when it has the answer, or has given the call up. Here the call is over a little
/// later: when the answer was acknowledged, or the handler dropped. No client that keeps to its limit must be refused for that.
const CALLS_LENIENCY: usize = 2;

/// How many calls are taken besides, for limits that are small: what a stream limit leaves for lanes.
const CALLS_SLACK: usize = 64;

/// What is known of a call in flight.
struct Running {
    /// Tells it from a later call of a client that uses an id twice.
    serial: u64,
    task: Option<AbortHandle>,
}

/// A call in flight.
pub(super) struct Active<L: Link, D: Dispatch> {
    server: Arc<Server<L, D>>,
    id: RequestId,
    serial: u64,
}

impl<L: Link, D: Dispatch> Active<L, D> {
    pub(super) fn id(&self) -> RequestId {
        self.id
    }

    pub(super) fn serial(&self) -> u64 {
        self.serial
    }
}

impl<L: Link, D: Dispatch> Drop for Active<L, D> {
    fn drop(&mut self) {
        if let Entry::Occupied(call) = self.server.active().entry(self.id)
            && call.get().serial == self.serial
        {
            call.remove();
        }
        self.server.peer_calls.calls.fetch_sub(1, Ordering::Relaxed);
        if self.server.is_drained() {
            self.server.live_lanes().iter().for_each(|lane| lane.wake());
        }
    }
}

/// Cancels what is still running when the connection is gone.
struct AbortOnDrop<L: Link, D: Dispatch>(Arc<Server<L, D>>);

impl<L: Link, D: Dispatch> Drop for AbortOnDrop<L, D> {
    fn drop(&mut self) {
        let mut active = self.0.active();
        // A lane that runs at this moment may yet begin a call.
        self.0.gone.store(true, Ordering::Relaxed);
        let tasks: Vec<_> = active
            .values_mut()
            .filter_map(|call| call.task.take())
            .collect();
        drop(active);
        tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Serves a stream pair, of which the first frame tells what it is: a lane, or one call.
async fn serve_pair<L: Link, D: Dispatch>(
    server: Arc<Server<L, D>>,
    mut send: L::Send,
    recv: L::Recv,
) {
    let mut reader = FrameReader::new(recv, server.budget.clone());
    let first = timeout(server.limits.first_frame, reader.frame()).await;
    let error = match first {
        Ok(Ok(Some((header, payload)))) => match header.kind {
            FrameType::Request => {
                // Boxed: a lane, which lives as long as its connection, need not be as large.
                let call = serve_stream::serve(server, send, reader, header, payload);
                return Box::pin(call).await;
            }
            FrameType::Ping => {
                let hello = Hello::decode(&payload);
                // The packet that it lies in must not be kept as long as the lane.
                drop(payload);
                match hello {
                    Ok(hello) => {
                        return serve_lane::serve(server, send, reader, header.id, hello.priority)
                            .await;
                    }
                    Err(error) => ReadError::Wire(error),
                }
            }
            _ => ReadError::Wire(WireError::Unexpected("first frame of a stream")),
        },
        Ok(Ok(None)) => ReadError::Wire(WireError::Truncated),
        Ok(Err(error)) => error,
        Err(_) => {
            tracing::debug!(peer = %server.link.peer(), "a stream was opened and left silent");
            reader.stop(StreamCode::Protocol);
            send.reset(StreamCode::Protocol);
            return;
        }
    };
    reader.stop(StreamCode::Protocol);
    send.reset(StreamCode::Protocol);
    match error {
        ReadError::Wire(WireError::Truncated) | ReadError::Broken(_) => {}
        ReadError::Wire(error) => server.break_protocol(&error),
    }
}

/// One call in the dispatch; a panic there ends this call and nothing else.
pub(super) struct Handling(Option<BoxFuture<'static, Result<Response>>>);

impl Handling {
    /// Calls the dispatch, which may panic already.
    pub(super) fn new<D: Dispatch>(dispatch: &Arc<D>, request: Request) -> Self {
        Self(catch_unwind(AssertUnwindSafe(|| dispatch.dispatch_owned(request))).ok())
    }
}

impl Handling {
    /// Drops what is left of the call, whose destructors may panic too.
    fn end(&mut self) {
        let call = self.0.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(call)));
    }
}

impl Future for Handling {
    type Output = Result<Response>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self
            .0
            .as_mut()
            .and_then(|call| catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))).ok());
        let response = match polled {
            Some(polled) => {
                let result = ready!(polled);
                self.end();
                result?
            }
            None => {
                self.end();
                let status = Status::unknown("the server panicked while it handled the call");
                return Poll::Ready(Err(status));
            }
        };
        check_response(&response)?;
        Poll::Ready(Ok(response))
    }
}

/// What a response must fulfil before anything of it is sent.
fn check_response(response: &Response) -> Result<()> {
    if !wire::metadata_fits(&response.metadata) {
        return Err(Status::internal(
            "the handler set more initial metadata than a response can carry",
        ));
    }
    match response.body.as_one() {
        Some(message) => super::client::check_size(message),
        None => Ok(()),
    }
}

/// The status of a call whose trailing metadata is over its limits.
pub(super) fn too_many_trailers() -> Status {
    Status::internal("the handler set more trailing metadata than a response can carry")
}

/// Keeps the priority of a call's answer: its stream goes before those of lower ones.
pub(super) fn set_priority(send: &mut impl SendHalf, priority: Priority) {
    send.set_priority(super::client::stream_priority(priority));
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
