//! The client half: a [`Connection`] is a [`Dispatch`] whose calls go to the peer, small ones on lanes, the others on streams of their own.

use std::{
    fmt,
    future::poll_fn,
    mem,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};

use super::{
    body::{Side, broken_status, read_status, wire_status},
    budget::Budget,
    calls::{Answer, Calls},
    halves::{Broken, CloseCode, Link, SendHalf, StreamCode},
    lane::{Frames, LaneEnd, Outbox, Put, pump},
    liveness::{self, Liveness, LivenessConfig},
    reader::{FrameReader, ReadError},
    stream,
    writer::put_frame,
};
use crate::{
    call::{Body, Codec, Request, Response},
    dispatch::Dispatch,
    method::{Fingerprint, Priority, ServiceDescriptor, Shape},
    status::{Result, Status},
    wire::{
        self, FrameType, Header, Hello, RequestHead, RequestId, ResponseHead, StatusHead,
        WireError, limits::MAX_HEAD_BYTES,
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
    pub(super) calls: Calls<FrameReader<L::Recv>>,
    pub(super) budget: Budget,
    lanes: [Mutex<Vec<Arc<Lane>>>; Priority::ALL.len()],
    next_lane: AtomicUsize,
    /// How many lanes calls of one priority are spread over now.
    pub(super) spread: AtomicUsize,
    permits: Arc<Semaphore>,
    hello: OnceLock<ServerHello>,
    on_hello: watch::Sender<bool>,
    draining: AtomicBool,
    closed: OnceLock<Status>,
    on_closed: Notify,
    /// How many tasks read answers.
    readers: watch::Sender<usize>,
    pub(super) liveness: Liveness,
}

struct ServerHello {
    /// Ordered by name.
    services: Vec<(String, Fingerprint)>,
}

impl ServerHello {
    /// Whether the server has this service with the same schema.
    fn has(&self, service: &'static ServiceDescriptor) -> bool {
        let place = self
            .services
            .binary_search_by(|(name, _)| name.as_str().cmp(service.name));
        place.is_ok_and(|place| self.services[place].1 == service.fingerprint())
    }
}

/// One lane, from the side of the calls.
pub(super) struct Lane {
    pub(super) outbox: Arc<Outbox>,
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
            calls: Calls::new(),
            lanes: Default::default(),
            next_lane: AtomicUsize::new(0),
            spread: AtomicUsize::new(1),
            permits: Arc::new(Semaphore::new(DEFAULT_MAX_CALLS as usize)),
            hello: OnceLock::new(),
            on_hello: watch::Sender::new(false),
            draining: AtomicBool::new(false),
            closed: OnceLock::new(),
            on_closed: Notify::new(),
            readers: watch::Sender::new(0),
            liveness: Liveness::new(config),
        });
        // The first lane carries the hello, so it is opened before any call asks for one.
        shared.lane(Priority::Normal);
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
        let open = |lane: &&Arc<Lane>| !lane.outbox.is_closed();
        let of_each = self.shared().lanes.iter();
        of_each
            .map(|lanes| lock(lanes).iter().filter(open).count())
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

    /// One call on a lane, its request and its response each a frame.
    #[allow(clippy::manual_async_fn, reason = "as for `dispatch`")]
    fn call_on_lane(
        &self,
        request: Request,
        permit: Permit,
    ) -> impl Future<Output = Result<Response>> + Send {
        async move {
            let shared = self.shared();
            let (oneway, codec) = (request.is_oneway(), request.codec);
            let lane = shared.lane(request.priority);
            let begun =
                poll_fn(|cx| Poll::Ready(LaneCall::begin(shared, &lane, cx.waker().clone())));
            let mut call = begun.await?;
            let mut request = Some(request);
            // What is sent is dropped before the answer is waited for, and so is no part of what waits.
            loop {
                let put = lane.outbox.try_put(&mut request, |request, out| {
                    put_request(&request, call.id, oneway, out);
                });
                match put {
                    Put::Queued => break,
                    Put::Full => {
                        lane.outbox.room().await;
                        // It may be another task that goes on, with another waker.
                        call.is_fresh = false;
                    }
                    Put::Closed => return Err(shared.closed_status().with_not_accepted()),
                }
            }
            if oneway {
                call.forget();
                return Ok(Response::new(Body::empty()));
            }
            match call.answer().await {
                Answer::Frame(header, payload) => lane_response(header, &payload, codec),
                Answer::Stream(reader, head) => {
                    stream::response(self.clone(), *reader, &head, codec, permit)
                }
                Answer::Lost(status) => Err(status),
            }
        }
    }
}

impl<L: Link> Dispatch for Connection<L> {
    // An `async fn` would keep its arguments twice, and a future is copied when it is moved.
    #[allow(clippy::manual_async_fn, reason = "see above")]
    fn dispatch(&self, request: Request) -> impl Future<Output = Result<Response>> + Send {
        async move {
            let shared = self.shared();
            shared.check(&request)?;
            if request.codec == Codec::Postcard
                && let Some(method) = request.method.descriptor()
            {
                if shared.hello.get().is_none() {
                    shared.wait_for_hello().await?;
                }
                if shared.codec(method.service()) != Codec::Postcard {
                    return Err(Status::wrong_codec(method.path));
                }
            }
            let permit = shared.permit().await?;
            if lane_message(&request).is_some() {
                return self.call_on_lane(request, permit).await;
            }
            // Boxed, so that the small calls do not carry its size.
            Box::pin(stream::call(self.clone(), request, permit)).await
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

/// A call's share of the connection's limit.
pub(super) type Permit = OwnedSemaphorePermit;

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
    async fn permit(&self) -> Result<Permit> {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => Arc::clone(&self.permits)
                .acquire_owned()
                .await
                .map_err(|_| self.closed_status().with_not_accepted())?,
        };
        self.liveness.on_call();
        Ok(permit)
    }

    /// Whether a call is in flight.
    pub(super) fn is_busy(&self) -> bool {
        self.permits.available_permits() < self.max_calls()
    }

    fn max_calls(&self) -> usize {
        self.liveness.max_calls.load(Ordering::Relaxed)
    }

    /// The least loaded lane of a priority; a new one if there are fewer than calls are spread over.
    pub(super) fn lane(self: &Arc<Self>, priority: Priority) -> Arc<Lane> {
        let mut lanes = lock(&self.lanes[usize::from(priority.number())]);
        if lanes.len() == 1
            && self.spread.load(Ordering::Relaxed) == 1
            && !lanes[0].outbox.is_closed()
        {
            return Arc::clone(&lanes[0]);
        }
        lanes.retain(|lane| !lane.outbox.is_closed());
        let spread = self.spread.load(Ordering::Relaxed);
        if lanes.len() < spread {
            let lane = Arc::new(Lane {
                outbox: Outbox::new(self.budget.clone()),
                number: u32::try_from(self.next_lane.fetch_add(1, Ordering::Relaxed))
                    .unwrap_or(u32::MAX),
            });
            // Here, before anyone can queue another frame.
            lane.outbox.put(|out| put_hello(priority, out));
            lanes.push(Arc::clone(&lane));
            let reader = Reader::new(self);
            tokio::spawn(run_lane(
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
        let mut services = hello.services;
        services.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        if self.hello.set(ServerHello { services }).is_ok() {
            let before = self.liveness.max_calls.swap(max_calls, Ordering::Relaxed);
            if max_calls > before {
                self.permits.add_permits(max_calls - before);
            } else {
                // Fewer than are given out already: the rest is taken back as the calls end.
                let surplus = before - max_calls;
                let taken = self.permits.forget_permits(surplus);
                if taken < surplus {
                    self.liveness
                        .max_calls
                        .fetch_add(surplus - taken, Ordering::Relaxed);
                }
            }
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
            self.permits.close();
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

/// A call that waits in the table; dropped before its answer, it is cancelled.
struct LaneCall<'a, L: Link> {
    shared: &'a Shared<L>,
    lane: &'a Lane,
    index: u32,
    id: RequestId,
    open: bool,
    /// Whether the task has not waited since the call was begun.
    is_fresh: bool,
}

impl<'a, L: Link> LaneCall<'a, L> {
    fn begin(shared: &'a Shared<L>, lane: &'a Lane, waker: Waker) -> Result<Self> {
        let (index, id) = shared.calls.begin(lane.number, waker)?;
        Ok(Self {
            shared,
            lane,
            index,
            id,
            open: true,
            is_fresh: true,
        })
    }

    async fn answer(mut self) -> Answer<FrameReader<L::Recv>> {
        let answer = poll_fn(|cx| {
            // It was begun in this very poll, with this waker: what has arrived since wakes the task again.
            if mem::take(&mut self.is_fresh) {
                return Poll::Pending;
            }
            self.shared.calls.poll_answer(self.index, cx)
        })
        .await;
        self.open = false;
        answer
    }

    /// Waits for nothing.
    fn forget(mut self) {
        self.open = false;
        self.shared.calls.abandon(self.index);
    }
}

impl<L: Link> Drop for LaneCall<'_, L> {
    fn drop(&mut self) {
        if self.open && self.shared.calls.abandon(self.index) {
            self.lane
                .outbox
                .put(|out| put_frame(out, FrameType::Error, None, false, self.id, |_| {}));
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
    lane: Arc<Lane>,
    priority: Priority,
    reading: Reader<L>,
) {
    let ended = match shared.link.open_bi().await {
        Err(broken) => LaneEnd::Failed(ReadError::Broken(broken)),
        Ok((mut send, recv)) => {
            send.set_priority(stream_priority(priority));
            let mut reader = FrameReader::new(recv, shared.budget.clone());
            let mut frames = Answers {
                shared: &shared,
                arrived: Vec::new(),
                wake: Vec::new(),
            };
            let end = pump(&mut send, &mut reader, &lane.outbox, &mut frames).await;
            if matches!(end, LaneEnd::Failed(_)) {
                send.reset(StreamCode::Cancelled);
            }
            end
        }
    };
    drop(reading);
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

/// The frames that come back on a lane: answers, collected so that one lock completes all that arrived together.
struct Answers<'a, L: Link> {
    shared: &'a Shared<L>,
    arrived: Vec<(RequestId, Answer<FrameReader<L::Recv>>)>,
    wake: Vec<Waker>,
}

impl<L: Link> Frames for Answers<'_, L> {
    fn on_frame(&mut self, header: Header, payload: Bytes) -> Result<(), ReadError> {
        match header.kind {
            FrameType::Response | FrameType::Error => {
                self.arrived
                    .push((header.id, Answer::Frame(header, payload)));
            }
            FrameType::Pong => {
                self.shared.liveness.on_pong(header.id);
                if !payload.is_empty() {
                    self.shared.on_hello(Hello::decode(&payload)?);
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
                .complete(self.arrived.drain(..), &mut self.wake);
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
                .complete([(header.id, answer)].into_iter(), &mut wake);
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
fn put_request(request: &Request, id: RequestId, oneway: bool, out: &mut BytesMut) {
    let message = request.body.as_one().map_or(&[][..], |message| message);
    put_frame(
        out,
        FrameType::Request,
        Some(request.codec),
        oneway,
        id,
        |out| wire::put_call(out, |out| put_head(request, out), message),
    );
}

/// Appends what a request says beside its messages; the deadline as the time that is left now.
pub(super) fn put_head(request: &Request, out: &mut BytesMut) {
    let timeout = request
        .deadline
        .map(|deadline| deadline.saturating_duration_since(Instant::now()));
    RequestHead::encode(
        request.method.path(),
        timeout,
        request.priority,
        &request.metadata,
        out,
    );
}

/// What a Response or Error frame on a lane says.
fn lane_response(header: Header, payload: &Bytes, codec: Codec) -> Result<Response> {
    let wire = |error: WireError| wire_status(Side::Client, &error);
    if header.kind == FrameType::Error {
        return Err(StatusHead::decode(payload).unwrap_or_else(wire));
    }
    if header.codec != Some(codec) {
        return Err(wire(WireError::Malformed("codec")));
    }
    let (head, message) = wire::split_call(payload).map_err(wire)?;
    let head = ResponseHead::decode(head).map_err(wire)?;
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
