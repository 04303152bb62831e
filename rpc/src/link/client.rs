//! The client half: a [`Connection`] is a [`Dispatch`] whose calls go to the peer, small ones on lanes, the others on streams of their own.

use std::{
    borrow::Cow,
    fmt, mem,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    runtime,
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    body::{Side, broken_status, read_status, wire_status},
    budget::Budget,
    calls::{Answer, Begun, Calls},
    halves::{Broken, CloseCode, Link, SendHalf, StreamCode},
    lane::{Frames, LaneEnd, Outbox, Pump, Put, Wake},
    liveness::{self, Liveness, LivenessConfig},
    places::Places,
    reader::{FrameReader, ReadError},
    services::Theirs,
    shared_pump::SharedPump,
    stream,
    writer::put_frame,
};
use crate::{
    call::{Body, Codec, Method, Recall, Request, Response, unless_recalled},
    dispatch::{BoxFuture, Dispatch},
    method::{Priority, ServiceDescriptor, Shape},
    status::{Result, Status},
    wire::{
        self, FrameType, Header, Hello, MethodRef, RequestHead, RequestId, ResponseHead,
        StatusHead, WireError, limits::MAX_HEAD_BYTES,
    },
};

/// How many calls a client sends at once before the server has said how many it takes.
pub const DEFAULT_MAX_CALLS: u32 = 1024;

/// The most lanes that calls of one priority are spread over when the path loses packets.
pub const MAX_LANES: usize = 8;

/// What the fields of a head take beside path and metadata, at most.
pub(super) const HEAD_ROOM_BYTES: usize = 64;

/// How long what arrived before the end of a connection may take to be read.
const LAST_READ: Duration = Duration::from_secs(2);

/// How long a server that has ended a lane may take to close the connection, and tell with that what it did not begin.
const ENDED_LANE: Duration = Duration::from_secs(5);

/// How long a call that is encoded as postcard waits for the hello of a new connection.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// An open connection to a peer, shared by all clients of all its services; a clone is another handle of it.
///
/// The connection is closed when the last handle and the last response stream are dropped.
pub struct Connection<L: Link>(Arc<Handle<L>>);

impl<L: Link> Clone for Connection<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What keeps the connection open.
struct Handle<L: Link>(Arc<Shared<L>>);

impl<L: Link> Drop for Handle<L> {
    fn drop(&mut self) {
        self.0.link.close(CloseCode::Done, "no longer used");
    }
}

pub(super) struct Shared<L: Link> {
    pub(super) link: L,
    /// Where the connection was opened: its tasks live there, whoever makes a call.
    runtime: runtime::Handle,
    pub(super) calls: Calls<FrameReader<L::Recv>>,
    pub(super) budget: Budget,
    lanes: [Lanes<L>; Priority::ALL.len()],
    next_lane: AtomicUsize,
    /// How many lanes calls of one priority are spread over now.
    pub(super) spread: AtomicUsize,
    places: Places,
    hello: OnceLock<Theirs>,
    on_hello: watch::Sender<bool>,
    draining: AtomicBool,
    closed: OnceLock<Status>,
    on_closed: Notify,
    /// How many tasks read answers.
    readers: watch::Sender<usize>,
    pub(super) liveness: Liveness,
}

/// The lanes of one priority.
struct Lanes<L: Link> {
    /// The one that all calls take while the path loses nothing, to be found without a lock.
    first: OnceLock<Arc<Lane<L>>>,
    /// All that are open.
    open: Mutex<Vec<Arc<Lane<L>>>>,
}

impl<L: Link> Default for Lanes<L> {
    fn default() -> Self {
        Self {
            first: OnceLock::new(),
            open: Mutex::default(),
        }
    }
}

/// One lane, from the side of the calls.
pub(super) struct Lane<L: Link> {
    pub(super) outbox: Arc<Outbox>,
    pump: SharedPump<L::Send, L::Recv, Answers<L>>,
    number: u32,
}

impl<L: Link> Connection<L> {
    /// Begins to use an open connection, which must be to a server of this protocol.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(link: L, config: LivenessConfig) -> Self {
        let shared = Arc::new(Shared {
            // The streams are those of this side's own calls.
            budget: Budget::new({
                let link = link.clone();
                move |streams| link.make_room(streams)
            }),
            link,
            runtime: runtime::Handle::current(),
            calls: Calls::new(),
            lanes: Default::default(),
            next_lane: AtomicUsize::new(0),
            spread: AtomicUsize::new(1),
            places: Places::new(DEFAULT_MAX_CALLS as usize),
            hello: OnceLock::new(),
            on_hello: watch::Sender::new(false),
            draining: AtomicBool::new(false),
            closed: OnceLock::new(),
            on_closed: Notify::new(),
            readers: watch::Sender::new(0),
            liveness: Liveness::new(config),
        });
        // The first lane carries the hello, so it is opened before any call asks for one.
        shared.open_lane(Priority::Normal);
        tokio::spawn(accept_answers(Arc::clone(&shared), Reader::new(&shared)));
        tokio::spawn(liveness::watch(Arc::clone(&shared)));
        Self(Arc::new(Handle(shared)))
    }

    /// The status that further calls are answered with, once the connection is closed.
    #[must_use]
    pub fn close_status(&self) -> Option<Status> {
        self.shared().closed.get().cloned()
    }

    /// Resolves when the connection takes no new calls, with the reason: it is closed, or the server has begun to shut down and
    /// only ends the calls that it has.
    pub async fn retired(&self) -> Status {
        let shared = self.shared();
        shared
            .wait_until(|| match shared.closed.get() {
                Some(status) => Some(status.clone()),
                None if shared.draining.load(Ordering::Acquire) => Some(shared.draining_status()),
                None => None,
            })
            .await
    }

    /// Resolves when the connection is closed, with the reason.
    pub async fn closed(&self) -> Status {
        self.shared().wait_for_close().await;
        self.shared().closed_status()
    }

    /// Closes the connection at once: calls in flight end with `UNAVAILABLE`.
    pub fn close(&self) {
        let shared = self.shared();
        shared.fail(Status::unavailable(format!(
            "the connection to {} was closed by this side",
            shared.link.peer()
        )));
        shared.link.close(CloseCode::Done, "closed");
    }

    /// The connection below.
    #[must_use]
    pub fn link(&self) -> &L {
        &self.shared().link
    }

    /// The most bytes that were queued in this connection at once: what waits to be written, and partly received payloads.
    #[must_use]
    pub fn peak_queued_bytes(&self) -> usize {
        self.shared().budget.peak_bytes()
    }

    /// How many lanes are open: one for each priority that was used, and more while the path loses packets.
    #[must_use]
    pub fn lanes(&self) -> usize {
        let open = |lane: &&Arc<Lane<L>>| !lane.outbox.is_closed();
        let of_each = self.shared().lanes.iter();
        of_each
            .map(|lanes| lock(&lanes.open).iter().filter(open).count())
            .sum()
    }

    /// The last round trip of a Ping, application to application; pings are sent while calls wait.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.shared().liveness.round_trip()
    }

    /// Whether the server's hello has arrived, and with it the fingerprints of its services.
    #[must_use]
    pub fn has_hello(&self) -> bool {
        self.shared().hello.get().is_some()
    }

    /// Resolves when the server's hello has arrived.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the connection is closed first.
    pub async fn hello(&self) -> Result<()> {
        self.shared().wait_for_hello().await
    }

    /// The state that the files of the client half share.
    pub(super) fn shared(&self) -> &Arc<Shared<L>> {
        &self.0.0
    }
}

impl<L: Link> Dispatch for Connection<L> {
    fn dispatch(&self, request: Request) -> impl Future<Output = Result<Response>> + Send {
        Dispatched {
            connection: self,
            request: Some(request),
            state: State::Begins,
            permit: None,
        }
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        self.shared().codec(service)
    }
}

impl<L: Link> fmt::Debug for Connection<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &self.shared().link.peer())
            .field("closed", &self.shared().closed.get())
            .finish_non_exhaustive()
    }
}

/// A call's place among those that the server takes at once.
pub(super) struct Permit<'a, L: Link>(&'a Arc<Shared<L>>);

impl<L: Link> Permit<'_, L> {
    /// The same place, for what outlives the call's future.
    pub(super) fn into_owned(self) -> OwnedPermit<L> {
        let shared = Arc::clone(self.0);
        mem::forget(self);
        OwnedPermit(shared)
    }
}

impl<L: Link> Drop for Permit<'_, L> {
    fn drop(&mut self) {
        self.0.places.leave();
    }
}

/// A [`Permit`] that borrows nothing.
pub(super) struct OwnedPermit<L: Link>(Arc<Shared<L>>);

impl<L: Link> Drop for OwnedPermit<L> {
    fn drop(&mut self) {
        self.0.places.leave();
    }
}

impl<L: Link> Shared<L> {
    /// What a request must fulfil before anything of it is sent.
    fn check(&self, request: &Request) -> Result<()> {
        if let Some(status) = self.closed.get() {
            return Err(status.clone().with_not_accepted());
        }
        if self.draining.load(Ordering::Relaxed) {
            return Err(self.draining_status());
        }
        if !wire::metadata_fits(&request.metadata) {
            return Err(Status::resource_exhausted(format!(
                "the call's metadata has {} bytes in {} entries, the limits are {} bytes and {} entries",
                request.metadata.size_bytes(),
                request.metadata.len(),
                wire::limits::MAX_METADATA_BYTES,
                wire::limits::MAX_METADATA_ENTRIES,
            ))
            .with_not_accepted());
        }
        if let Some(message) = request.body.as_one() {
            check_size(message)?;
        }
        Ok(())
    }

    /// A place among the calls that the server takes at once.
    async fn permit(self: &Arc<Self>) -> Result<Permit<'_, L>> {
        match self.places.enter().await {
            Ok(()) => Ok(self.entered()),
            Err(_) => Err(self.closed_status().with_not_accepted()),
        }
    }

    /// The same, if there is one now for a call of this priority.
    fn try_permit(self: &Arc<Self>, priority: Priority) -> Option<Permit<'_, L>> {
        let has_place = match priority {
            Priority::Critical => self.places.try_enter_first(),
            _ => self.places.try_enter(),
        };
        has_place.then(|| self.entered())
    }

    fn entered(self: &Arc<Self>) -> Permit<'_, L> {
        self.liveness.on_call();
        Permit(self)
    }

    /// Whether a call is in flight.
    pub(super) fn is_busy(&self) -> bool {
        self.places.is_busy()
    }

    /// The lane for a call of this priority.
    pub(super) fn lane(self: &Arc<Self>, priority: Priority) -> Cow<'_, Arc<Lane<L>>> {
        match self.lanes[usize::from(priority.number())].first.get() {
            Some(lane) if self.spread.load(Ordering::Relaxed) == 1 && !lane.outbox.is_closed() => {
                Cow::Borrowed(lane)
            }
            _ => Cow::Owned(self.open_lane(priority)),
        }
    }

    /// The least loaded lane of a priority; a new one if there are fewer than calls are spread over.
    fn open_lane(self: &Arc<Self>, priority: Priority) -> Arc<Lane<L>> {
        let Lanes { first, open } = &self.lanes[usize::from(priority.number())];
        let mut lanes = lock(open);
        lanes.retain(|lane| !lane.outbox.is_closed());
        let spread = self.spread.load(Ordering::Relaxed);
        if lanes.len() < spread {
            let lane = Arc::new(Lane {
                outbox: Outbox::new(self.budget.clone()),
                pump: SharedPump::new(),
                number: u32::try_from(self.next_lane.fetch_add(1, Ordering::Relaxed))
                    .unwrap_or(u32::MAX),
            });
            // Here, before anyone can queue another frame.
            lane.outbox.put(Wake::Now, |out| put_hello(priority, out));
            lanes.push(Arc::clone(&lane));
            // Where there was a first one it is closed, and calls go on to take this way.
            let _ = first.set(Arc::clone(&lane));
            let reader = Reader::new(self);
            self.runtime.spawn(run_lane(
                Arc::clone(self),
                Arc::clone(&lane),
                priority,
                reader,
            ));
            return lane;
        }
        lanes
            .iter()
            .take(spread)
            .min_by_key(|lane| lane.outbox.queued_bytes())
            .map(Arc::clone)
            .expect("there is at least one lane: `spread` is not zero")
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        match self.hello.get() {
            Some(hello) if hello.has(service) => Codec::Postcard,
            _ => Codec::Protobuf,
        }
    }

    async fn wait_for_hello(&self) -> Result<()> {
        if self.hello.get().is_some() {
            return Ok(());
        }
        let mut on_hello = self.on_hello.subscribe();
        let heard = tokio::time::timeout(HELLO_TIMEOUT, on_hello.wait_for(|heard| *heard)).await;
        match (heard, self.closed.get()) {
            (_, Some(status)) => Err(status.clone().with_not_accepted()),
            (Ok(_), None) => Ok(()),
            (Err(_), None) => Err(Status::unavailable(format!(
                "{} sent no hello within {HELLO_TIMEOUT:?}: is it a server of this protocol?",
                self.link.peer()
            ))
            .with_not_accepted()),
        }
    }

    fn on_hello(&self, hello: Hello) {
        if hello.draining {
            self.draining.store(true, Ordering::Release);
            self.on_closed.notify_waiters();
        }
        let max_calls = hello.max_calls.clamp(1, 1 << 20) as usize;
        if self.hello.set(Theirs::new(hello.services)).is_ok() {
            self.places.set_limit(max_calls);
            self.on_hello.send_replace(true);
        }
    }

    /// Ends every call and refuses further ones.
    pub(super) fn fail(&self, status: Status) {
        if self.refuse(status) {
            self.calls.close(&self.closed_status());
        }
    }

    /// The connection has ended: refuses further calls at once, and ends those in flight when all that had arrived was read. Only
    /// then is it known which of them were not answered.
    pub(super) async fn lose(&self, broken: &Broken) {
        if self.refuse(self.lost_status(broken)) {
            let mut readers = self.readers.subscribe();
            let read = tokio::time::timeout(LAST_READ, readers.wait_for(|readers| *readers == 0));
            if read.await.is_err() {
                tracing::debug!(peer = %self.link.peer(), "answers were left unread at the end of a connection");
            }
            self.calls.close(&self.closed_status());
        }
    }

    /// Refuses further calls; tells whether nobody had done so before.
    fn refuse(&self, status: Status) -> bool {
        let first = self.closed.set(status).is_ok();
        if first {
            self.places.close();
            self.on_hello.send_replace(true);
            self.on_closed.notify_waiters();
            self.liveness.on_call();
        }
        first
    }

    async fn wait_for_close(&self) {
        self.wait_until(|| self.closed.get().map(|_| ())).await;
    }

    /// Waits for what `known` looks for, which `on_closed` announces.
    async fn wait_until<T>(&self, known: impl Fn() -> Option<T>) -> T {
        loop {
            let notified = self.on_closed.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if let Some(known) = known() {
                return known;
            }
            notified.await;
        }
    }

    fn draining_status(&self) -> Status {
        Status::unavailable(format!(
            "{} is shutting down and takes no new calls: call another replica, or this one again later",
            self.link.peer()
        ))
        .with_not_accepted()
    }

    fn closed_status(&self) -> Status {
        self.closed
            .get()
            .cloned()
            .unwrap_or_else(|| Status::unavailable("the connection is closed"))
    }

    /// What calls that were in flight are told of a connection that broke.
    pub(super) fn lost_status(&self, broken: &Broken) -> Status {
        let status = Status::unavailable(format!(
            "the connection to {} ended: {broken}",
            self.link.peer()
        ))
        .with_source(broken.clone());
        // A server that has drained closes so: what it did not answer it did not begin. And one that takes no more connections
        // begins nothing.
        let unbegun = [CloseCode::Drained, CloseCode::TooManyConnections].map(|code| code as u64);
        match broken {
            Broken::Closed(code, _) if unbegun.contains(code) => status.with_not_accepted(),
            _ => status,
        }
    }

    fn break_protocol(&self, error: &WireError) {
        let status = wire_status(Side::Client, error);
        tracing::warn!(peer = %self.link.peer(), %error, "the server broke the protocol: closing the connection");
        self.fail(status);
        self.link.close(CloseCode::Protocol, &error.to_string());
    }
}

/// A call on its way.
///
/// By hand, and small: most calls find everything ready, put their frame on a lane in the first poll and wait in the table for the
/// second. What else can happen is boxed.
struct Dispatched<'a, L: Link> {
    connection: &'a Connection<L>,
    /// Until it is sent.
    request: Option<Request>,
    /// Dropped before the place is given to another call.
    state: State<'a, L>,
    permit: Option<Permit<'a, L>>,
}

enum State<'a, L: Link> {
    /// Nothing was sent.
    Begins,
    /// Nor can it be, before this is done.
    Blocked(BoxFuture<'a, Result<Option<Permit<'a, L>>>>),
    /// It waits for its answer, in this codec.
    OnLane(LaneCall<'a, L>, Codec),
    OnStream(BoxFuture<'a, Result<Response>>),
}

impl<L: Link> Unpin for Dispatched<'_, L> {}

impl<L: Link> Future for Dispatched<'_, L> {
    type Output = Result<Response>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Begins => match this.begin(cx) {
                    Ok(None) => {}
                    Ok(Some(response)) => return Poll::Ready(Ok(response)),
                    Err(status) => {
                        this.request = None;
                        return Poll::Ready(Err(status));
                    }
                },
                State::Blocked(until) => {
                    let done = ready!(until.as_mut().poll(cx));
                    this.state = State::Begins;
                    match done {
                        Ok(Some(permit)) => this.permit = Some(permit),
                        Ok(None) => {}
                        Err(status) => {
                            this.request = None;
                            return Poll::Ready(Err(status));
                        }
                    }
                }
                State::OnLane(call, codec) => {
                    let (answer, codec) = (ready!(call.poll_answer(cx)), *codec);
                    this.state = State::Begins;
                    let permit = this.permit.take();
                    return Poll::Ready(match answer {
                        Answer::Response(its, response) if its == Some(codec) => Ok(response),
                        Answer::Response(..) => {
                            Err(wire_status(Side::Client, &WireError::Malformed("codec")))
                        }
                        Answer::Stream(reader, head) => {
                            let permit = permit.map(Permit::into_owned);
                            let connection = this.connection.clone();
                            stream::response(connection, *reader, &head, codec, permit)
                        }
                        Answer::Lost(status) => Err(status),
                    });
                }
                State::OnStream(call) => {
                    let response = ready!(call.as_mut().poll(cx));
                    this.state = State::Begins;
                    return Poll::Ready(response);
                }
            }
        }
    }
}

impl<'a, L: Link> Dispatched<'a, L> {
    /// Sends the request, or finds out what to wait for before. A one-way call is over when it is sent.
    fn begin(&mut self, cx: &mut Context<'_>) -> Result<Option<Response>> {
        let shared = self.connection.shared();
        let Some(request) = &self.request else {
            return Err(Status::internal("a call was polled after its end"));
        };
        shared.check(request)?;
        if request.codec == Codec::Postcard
            && let Some(method) = request.method.descriptor()
        {
            let Some(hello) = shared.hello.get() else {
                self.state = blocked(&request.recall, async {
                    shared.wait_for_hello().await.map(|()| None)
                });
                return Ok(None);
            };
            if !hello.has(method.service()) {
                return Err(Status::wrong_codec(method.path));
            }
        }
        if self.permit.is_none() {
            self.permit = shared.try_permit(request.priority);
            if self.permit.is_none() {
                self.state = blocked(&request.recall, async { shared.permit().await.map(Some) });
                return Ok(None);
            }
        }
        if lane_message(request).is_some() {
            self.put_on_lane(cx)
        } else {
            let permit = self.permit.take().map(Permit::into_owned);
            if let Some(request) = self.request.take() {
                let call = stream::call(self.connection.clone(), request, permit);
                self.state = State::OnStream(Box::pin(call));
            }
            Ok(None)
        }
    }

    fn put_on_lane(&mut self, cx: &mut Context<'_>) -> Result<Option<Response>> {
        let shared = self.connection.shared();
        let Some(Request {
            priority, codec, ..
        }) = self.request
        else {
            return Ok(None);
        };
        let lane = shared.lane(priority);
        let mut call = LaneCall::begin(shared, lane, cx.waker().clone())?;
        let is_oneway = self.request.as_ref().is_some_and(Request::is_oneway);
        let mut pump = (call.is_alone && !is_oneway)
            .then(|| call.lane.pump.try_take())
            .flatten();
        let wake = match &pump {
            Some(_) => Wake::Never,
            None if call.is_alone => Wake::Now,
            None => Wake::Last,
        };
        // What is sent is dropped here, and is no part of what waits.
        let put = call
            .lane
            .outbox
            .try_put(wake, &mut self.request, |request, out| {
                put_request(shared, &request, call.id, is_oneway, out);
            });
        let mut listens = false;
        if put == Put::Queued
            && let Some(pump) = &mut pump
        {
            pump.poll();
            // Whoever begins a call from now on wakes the lane's task, which waits for the pump and then takes over.
            listens = shared.calls.is_alone();
            if listens {
                pump.listen(cx);
            }
        }
        drop(pump);
        call.listens = listens;
        match put {
            Put::Queued if is_oneway => {
                call.forget();
                Ok(Some(Response::new(Body::empty())))
            }
            Put::Queued => {
                self.state = State::OnLane(call, codec);
                Ok(None)
            }
            Put::Full => {
                let lane = call.forget();
                let recall = self
                    .request
                    .as_ref()
                    .and_then(|request| request.recall.clone());
                self.state = blocked(&recall, async move {
                    lane.outbox.room().await;
                    Ok(None)
                });
                Ok(None)
            }
            Put::Closed => match shared.closed.get() {
                Some(status) => Err(status.clone().with_not_accepted()),
                // The lane alone: the next poll takes another one.
                None => Ok(None),
            },
        }
    }
}

/// Waits for what a call needs before it can be sent, unless it is wanted back.
fn blocked<'a, L: Link>(
    recall: &Option<Arc<Recall>>,
    until: impl Future<Output = Result<Option<Permit<'a, L>>>> + Send + 'a,
) -> State<'a, L> {
    let recall = recall.clone();
    State::Blocked(Box::pin(async move {
        unless_recalled(recall.as_ref(), until).await
    }))
}

/// A call that waits in the table; dropped before its answer, it is cancelled.
struct LaneCall<'a, L: Link> {
    shared: &'a Shared<L>,
    lane: Cow<'a, Arc<Lane<L>>>,
    index: u32,
    id: RequestId,
    /// Whether no other call was in flight when it was begun.
    is_alone: bool,
    /// Whether the lane wakes the caller, and not its task, when there is something to read.
    listens: bool,
    open: bool,
    /// Whether the task has not waited since the call was begun.
    is_fresh: bool,
}

impl<'a, L: Link> LaneCall<'a, L> {
    fn begin(shared: &'a Shared<L>, lane: Cow<'a, Arc<Lane<L>>>, waker: Waker) -> Result<Self> {
        let Begun {
            index,
            id,
            is_alone,
        } = shared.calls.begin(lane.number, waker)?;
        Ok(Self {
            shared,
            lane,
            index,
            id,
            is_alone,
            listens: false,
            open: true,
            is_fresh: true,
        })
    }

    fn poll_answer(&mut self, cx: &Context<'_>) -> Poll<Answer<FrameReader<L::Recv>>> {
        // It was begun in this very poll, with this waker: what has arrived since wakes the task again.
        if mem::take(&mut self.is_fresh) {
            return Poll::Pending;
        }
        // Once: from then on it is the lane's task that is woken.
        if mem::take(&mut self.listens)
            && let Some(mut pump) = self.lane.pump.try_take()
        {
            if let Some(answers) = pump.frames() {
                answers.own = Some(self.id);
            }
            pump.poll();
            if let Some(answers) = pump.frames() {
                answers.own = None;
            }
        }
        let answer = ready!(self.shared.calls.poll_answer(self.index, cx));
        self.open = false;
        Poll::Ready(answer)
    }

    /// Waits for nothing, because nothing was sent or nothing will be answered.
    fn forget(mut self) -> Cow<'a, Arc<Lane<L>>> {
        self.open = false;
        self.shared.calls.abandon(self.index);
        self.lane.clone()
    }
}

impl<L: Link> Drop for LaneCall<'_, L> {
    fn drop(&mut self) {
        if self.open && self.shared.calls.abandon(self.index) {
            self.lane.outbox.put(Wake::Now, |out| {
                put_frame(out, FrameType::Error, None, false, self.id, |_| {});
            });
        }
        if self.listens
            && let Some(pump) = self.lane.pump.try_take()
        {
            pump.wake_task();
        }
    }
}

/// A task that reads answers, while it does.
struct Reader<L: Link>(Arc<Shared<L>>);

impl<L: Link> Reader<L> {
    fn new(shared: &Arc<Shared<L>>) -> Self {
        shared.readers.send_modify(|readers| *readers += 1);
        Self(Arc::clone(shared))
    }
}

impl<L: Link> Drop for Reader<L> {
    fn drop(&mut self) {
        self.0.readers.send_modify(|readers| *readers -= 1);
    }
}

/// Opens a lane and pumps it until it ends; then the calls on it have failed.
async fn run_lane<L: Link>(
    shared: Arc<Shared<L>>,
    lane: Arc<Lane<L>>,
    priority: Priority,
    reading: Reader<L>,
) {
    let mut guard = FailsLane {
        shared: &shared,
        lane: lane.number,
        armed: true,
    };
    let ended = match shared.link.open_bi().await {
        Err(broken) => LaneEnd::Failed(ReadError::Broken(broken)),
        Ok((mut send, recv)) => {
            send.set_priority(stream_priority(priority));
            let reader = FrameReader::new(recv, shared.budget.clone());
            let answers = Answers {
                shared: Arc::clone(&shared),
                arrived: Vec::new(),
                wake: Vec::new(),
                own: None,
            };
            let pump = Pump::new(send, reader, Arc::clone(&lane.outbox), answers);
            let (end, pump) = lane.pump.run(pump).await;
            if let (LaneEnd::Failed(_), Some(mut pump)) = (&end, pump) {
                pump.send.reset(StreamCode::Cancelled);
            }
            end
        }
    };
    drop(reading);
    guard.armed = false;
    let status = match ended {
        LaneEnd::Finished => {
            // A server that has drained. Answers may be under way on streams of their own; the end of the connection tells.
            let closed = tokio::time::timeout(ENDED_LANE, shared.wait_for_close()).await;
            if closed.is_ok() {
                return;
            }
            Status::unavailable(format!(
                "{} ended the lane without an answer",
                shared.link.peer()
            ))
        }
        LaneEnd::Failed(ReadError::Wire(error)) => {
            shared.break_protocol(&error);
            wire_status(Side::Client, &error)
        }
        LaneEnd::Failed(ReadError::Broken(broken @ Broken::Stream(_))) => {
            broken_status(Side::Client, &broken)
        }
        // The connection is gone, of which all calls are told.
        LaneEnd::Failed(ReadError::Broken(_)) => return,
    };
    shared.calls.fail_lane(lane.number, &status);
}

/// Ends the calls of a lane whose task goes without a word, as when its runtime is shut down.
struct FailsLane<'a, L: Link> {
    shared: &'a Shared<L>,
    lane: u32,
    armed: bool,
}

impl<L: Link> Drop for FailsLane<'_, L> {
    fn drop(&mut self) {
        if self.armed {
            let status = Status::unavailable("the task that carried the call was ended");
            self.shared.calls.fail_lane(self.lane, &status);
        }
    }
}

/// The frames that come back on a lane: answers, collected so that one lock completes all that arrived together.
struct Answers<L: Link> {
    shared: Arc<Shared<L>>,
    arrived: Vec<(RequestId, Answer<FrameReader<L::Recv>>)>,
    wake: Vec<Waker>,
    /// The call whose caller reads, and need not be woken for its answer.
    own: Option<RequestId>,
}

impl<L: Link> Frames for Answers<L> {
    fn on_frame(&mut self, header: Header, payload: &[u8]) -> Result<(), ReadError> {
        match header.kind {
            FrameType::Response | FrameType::Error => {
                self.arrived.push((header.id, lane_answer(header, payload)));
            }
            FrameType::Pong => {
                self.shared.liveness.on_pong(header.id);
                if !payload.is_empty() {
                    self.shared.on_hello(Hello::decode(payload)?);
                }
            }
            _ => return Err(WireError::Unexpected("frame type from a server on a lane").into()),
        }
        Ok(())
    }

    fn on_pause(&mut self) {
        if !self.arrived.is_empty() {
            self.shared
                .calls
                .complete(self.arrived.drain(..), self.own, &mut self.wake);
            self.wake.drain(..).for_each(Waker::wake);
        }
    }
}

/// Takes the streams that a server opens: each is the answer to a call on a lane, too large for it.
async fn accept_answers<L: Link>(shared: Arc<Shared<L>>, _reading: Reader<L>) {
    while let Ok(recv) = shared.link.accept_uni().await {
        let (shared, reading) = (Arc::clone(&shared), Reader::new(&shared));
        tokio::spawn(async move {
            if let Err(error) = take_answer(&shared, recv).await {
                tracing::debug!(peer = %shared.link.peer(), %error, "a stream from the server was of no use");
            }
            drop(reading);
        });
    }
}

async fn take_answer<L: Link>(shared: &Shared<L>, recv: L::Recv) -> Result<(), ReadError> {
    let mut reader = FrameReader::new(recv, shared.budget.clone());
    match reader.frame().await? {
        Some((header, head)) if header.kind == FrameType::Response => {
            let mut wake = Vec::new();
            // One that nobody waits for is dropped here, which stops its stream.
            let answer = Answer::Stream(Box::new(reader), head);
            shared
                .calls
                .complete([(header.id, answer)].into_iter(), None, &mut wake);
            wake.into_iter().for_each(Waker::wake);
            Ok(())
        }
        Some(_) => Err(WireError::Unexpected("first frame of a server's stream").into()),
        None => Err(WireError::Truncated.into()),
    }
}

/// Appends the Ping that opens a lane.
fn put_hello(priority: Priority, out: &mut BytesMut) {
    let hello = Hello {
        version: u32::from(wire::VERSION),
        priority,
        ..Hello::default()
    };
    let id = liveness::HELLO_ID;
    put_frame(out, FrameType::Ping, None, false, id, |out| {
        hello.encode(out);
    });
}

/// Appends the Request frame of a call on a lane.
fn put_request<L: Link>(
    shared: &Shared<L>,
    request: &Request,
    id: RequestId,
    oneway: bool,
    out: &mut BytesMut,
) {
    let message = request.body.as_one().map_or(&[][..], |message| message);
    put_frame(
        out,
        FrameType::Request,
        Some(request.codec),
        oneway,
        id,
        |out| wire::put_call(out, |out| put_head(shared, request, out), message),
    );
}

/// Appends what a request says beside its messages; the deadline as the time that is left now.
pub(super) fn put_head<L: Link>(shared: &Shared<L>, request: &Request, out: &mut BytesMut) {
    let timeout = request
        .deadline
        .map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let method = match (&request.method, shared.hello.get()) {
        (Method::Known(method), Some(theirs)) => theirs.name(method),
        (method, _) => MethodRef::Path(method.path()),
    };
    RequestHead::encode(method, timeout, request.priority, &request.metadata, out);
}

/// What a Response or Error frame on a lane says.
fn lane_answer<R>(header: Header, payload: &[u8]) -> Answer<R> {
    let answer = if header.kind == FrameType::Error {
        StatusHead::decode(payload).map(Answer::Lost)
    } else {
        lane_response(payload).map(|response| Answer::Response(header.codec, response))
    };
    answer.unwrap_or_else(|error| Answer::Lost(wire_status(Side::Client, &error)))
}

fn lane_response(payload: &[u8]) -> Result<Response, WireError> {
    let (head, message) = wire::split_call(payload)?;
    let head = ResponseHead::decode(head)?;
    // A copy of its own: the payload lies in a packet, which a message that is kept must not keep too.
    let body = Body::one(Bytes::copy_from_slice(message)).with_trailers(head.trailers);
    Ok(Response {
        metadata: head.metadata,
        body,
    })
}

/// The message of a call that may share a lane: one each way, as far as is known, and a request that fits one frame.
fn lane_message(request: &Request) -> Option<&Bytes> {
    let method = request.method.descriptor()?;
    let message = request.body.as_one()?;
    let head = method.path.len() + request.metadata.size_bytes() + HEAD_ROOM_BYTES;
    (method.shape == Shape::Unary && head + message.len() <= MAX_HEAD_BYTES).then_some(message)
}

/// The status of a message that may not be sent.
pub(super) fn check_size(message: &Bytes) -> Result<()> {
    let limit = wire::limits::MAX_MESSAGE_BYTES;
    if message.len() <= limit {
        return Ok(());
    }
    Err(Status::resource_exhausted(format!(
        "the message has {} bytes, the limit is {limit} bytes: send it in parts, as a stream",
        message.len()
    ))
    .with_not_accepted())
}

/// The priority of streams of calls of this priority; the default of streams, 0, is below all of them.
pub(super) fn stream_priority(priority: Priority) -> i32 {
    i32::from(priority.number()) + 1
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The status of a stream that could not be read.
pub(super) fn client_read_status<L: Link>(shared: &Shared<L>, error: &ReadError) -> Status {
    match error {
        ReadError::Broken(Broken::Stream(_)) | ReadError::Wire(_) => {
            read_status(Side::Client, error)
        }
        ReadError::Broken(broken) => shared
            .closed
            .get()
            .cloned()
            .unwrap_or_else(|| shared.lost_status(broken)),
    }
}

/// The status of a stream that could not be opened or written.
pub(super) fn client_broken_status<L: Link>(shared: &Shared<L>, broken: &Broken) -> Status {
    match broken {
        Broken::Stream(_) => broken_status(Side::Client, broken),
        _ => client_read_status(shared, &ReadError::Broken(broken.clone())),
    }
}
