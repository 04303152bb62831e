//! [`Peer`]: a handle of one member, by which the engine sends. What carries streams lives in `stream`, `append` and `upload`.

use std::{fmt, sync::Arc, time::Duration};

use blixard_rpc::{Context, Result, Status};
use blixard_services::raft::{Raft as _, RaftMessage, RaftRequest};
use futures_core::Stream;
use tokio::{
    io::{AsyncRead, AsyncSeek},
    sync::oneshot,
    time::Instant,
};

use crate::{
    append::{self, Appends},
    beat::Turn,
    class::Class,
    config::TransportConfig,
    engine::{Ask, Dropped},
    error::SendError,
    health::Standing,
    member::MemberId,
    outbound::{check_size, client, failure},
    queue::Full,
    shared::{PeerState, Shared, lock},
    snapshot::OutgoingSnapshot,
    stream, upload,
};

/// A handle of one member, by which the engine sends. A clone is another handle of the same.
///
/// It dials nothing until something is sent. If the member is removed, or gets another address, the handle is of the one that was:
/// take a new one from the transport for each election, stream or snapshot; it costs next to nothing.
#[derive(Clone)]
pub struct Peer {
    shared: Arc<Shared>,
    state: Arc<PeerState>,
}

impl Peer {
    pub(crate) const fn new(shared: Arc<Shared>, state: Arc<PeerState>) -> Self {
        Self { shared, state }
    }

    /// Who.
    #[must_use]
    pub fn id(&self) -> MemberId {
        self.state.id()
    }

    /// How the member is in this class.
    #[must_use]
    pub fn standing(&self, class: Class) -> Standing {
        self.state.standing(class)
    }

    /// How long an acknowledgement took lately, in this class.
    #[must_use]
    pub fn round_trip(&self, class: Class) -> Option<Duration> {
        self.state.round_trip(class)
    }

    /// Asks for a vote.
    ///
    /// # Errors
    /// As sorted by [`SendError`].
    ///
    /// # Cancel safety
    /// Dropped, the call is cancelled; it may have been answered.
    pub async fn vote(
        &self,
        request: RaftMessage,
        within: Duration,
    ) -> Result<RaftMessage, SendError> {
        self.ask(Ask::Vote, request, within).await
    }

    /// Asks whether a vote would be given.
    ///
    /// # Errors
    /// As sorted by [`SendError`].
    ///
    /// # Cancel safety
    /// Dropped, the call is cancelled; it may have been answered.
    pub async fn pre_vote(
        &self,
        request: RaftMessage,
        within: Duration,
    ) -> Result<RaftMessage, SendError> {
        self.ask(Ask::PreVote, request, within).await
    }

    /// Hands the lead over.
    ///
    /// # Errors
    /// As sorted by [`SendError`].
    ///
    /// # Cancel safety
    /// Dropped, the call is cancelled; it may have been answered.
    pub async fn transfer_leader(
        &self,
        request: RaftMessage,
        within: Duration,
    ) -> Result<RaftMessage, SendError> {
        self.ask(Ask::TransferLeader, request, within).await
    }

    /// Says that the leader is there. One is under way at a time, and the newest waits behind it.
    ///
    /// # Errors
    /// As sorted by [`SendError`]; [`Superseded`](SendError::Superseded) if a newer one came while this one waited.
    ///
    /// # Cancel safety
    /// Dropped, the call is cancelled; it may have been answered.
    pub async fn heartbeat(
        &self,
        request: RaftMessage,
        within: Duration,
    ) -> Result<RaftMessage, SendError> {
        self.ask(Ask::Heartbeat, request, within).await
    }

    /// Asks for what is answered once, within this and within an election timeout.
    ///
    /// # Errors
    /// As sorted by [`SendError`].
    ///
    /// # Cancel safety
    /// Dropped, the call is cancelled; it may have been answered.
    pub async fn ask(
        &self,
        ask: Ask,
        request: RaftMessage,
        within: Duration,
    ) -> Result<RaftMessage, SendError> {
        let class = ask.class();
        check_size(class, &request)?;
        let until = Instant::now() + within.min(self.shared.config.election_timeout);
        let bytes = request.payload.len();
        let _place =
            Place::take(&self.shared.config, &self.state, class, bytes).inspect_err(|_| {
                self.state.dropped(&self.shared, class, Dropped::Full, 1);
            })?;
        let _beat = match ask {
            Ask::Heartbeat => Some(self.beat(until).await?),
            _ => None,
        };
        let left = until.saturating_duration_since(Instant::now());
        let counts = &self.state.class(class).counts;
        counts.sent(1, bytes);
        let awaited = Awaited::new(&self.shared, &self.state, class);
        let result = self.call(ask, request, left).await;
        awaited.ended(&result);
        result.map_err(SendError::from)
    }

    async fn call(&self, ask: Ask, request: RaftMessage, within: Duration) -> Result<RaftMessage> {
        let client = client(&self.shared, &self.state, ask.class())?;
        let request = RaftRequest {
            cluster: self.shared.config.cluster.clone(),
            target: self.id(),
            term: request.term,
            payload: request.payload,
        };
        let cx = Context::with_deadline(within);
        match ask {
            Ask::Vote => client.vote(&cx, request).await,
            Ask::PreVote => client.pre_vote(&cx, request).await,
            Ask::TransferLeader => client.transfer_leader(&cx, request).await,
            Ask::Heartbeat => client.heartbeat(&cx, request).await,
        }
    }

    /// The turn of a heartbeat.
    async fn beat(&self, until: Instant) -> Result<Beat<'_>, SendError> {
        let turn = lock(&self.state.class(Class::Heartbeat).beats).join();
        let mut waiting = match turn {
            Turn::Now => return Ok(Beat(&self.state)),
            Turn::Later(receiver) => WaitingBeat {
                receiver,
                state: &self.state,
            },
        };
        match tokio::time::timeout_at(until, &mut waiting.receiver).await {
            Ok(Ok(())) => Ok(Beat(&self.state)),
            Ok(Err(_)) => {
                self.state
                    .dropped(&self.shared, Class::Heartbeat, Dropped::Superseded, 1);
                Err(SendError::Superseded)
            }
            Err(_) => Err(SendError::Timeout(
                Status::deadline_exceeded(format!(
                    "the heartbeat before this one to member {} is still under way",
                    self.id()
                ))
                .with_not_accepted(),
            )),
        }
    }

    /// Opens a stream of requests to append, each answered once, in order.
    ///
    /// As many requests as are ready travel together. What is not answered yet is bounded (`in_flight`): beyond that, no more is taken
    /// from `requests`. The stream of responses ends with the first error, with silence for longer than twice `suspect_after` while
    /// answers are due, when the mode changes (the requests that were taken are answered before), and when `requests` ends.
    /// Then begin anew from what the follower has.
    ///
    /// # Errors
    /// As sorted by [`SendError`].
    pub async fn append(
        &self,
        requests: impl Stream<Item = RaftMessage> + Send + 'static,
    ) -> Result<Appends, SendError> {
        append::open(&self.shared, &self.state, requests).await
    }

    /// Sends a message for which no answer is awaited: it is queued, and sent with what else is ready.
    ///
    /// Messages of a class arrive in order, or not at all. [`Class::Snapshot`] goes with [`Class::LogAppend`]; the bytes of snapshots
    /// belong into [`snapshot`](Self::snapshot).
    ///
    /// # Errors
    /// [`SendError::Full`] if there is no room: the message is dropped.
    pub fn send(&self, class: Class, message: RaftMessage) -> Result<(), SendError> {
        self.push(class.min(Class::LogAppend), None, message)
    }

    /// Waits until what waits to be sent in this class is at most half of what may: for who was told [`SendError::Full`].
    ///
    /// Others may take the room; and who is down has room, since nothing is kept for it.
    ///
    /// # Cancel safety
    /// It may be dropped at any time.
    pub async fn room(&self, class: Class) {
        self.state.room(class.min(Class::LogAppend)).await;
    }

    /// Sends a heartbeat, or the answer to one, in place of the one that still waits under the same key, if any. The key is whatever
    /// tells apart what must not replace each other: the group, if there are several, and whether it is an answer.
    ///
    /// # Errors
    /// [`SendError::Full`] if there is no room: the message is dropped.
    pub fn send_heartbeat(&self, key: u64, message: RaftMessage) -> Result<(), SendError> {
        self.push(Class::Heartbeat, Some(key), message)
    }

    fn push(&self, class: Class, key: Option<u64>, message: RaftMessage) -> Result<(), SendError> {
        check_size(class, &message)?;
        stream::push(&self.shared, &self.state, class, key, message).map_err(|Full| {
            self.state.dropped(&self.shared, class, Dropped::Full, 1);
            full(class, self.id())
        })
    }

    /// Uploads a snapshot, and answers what the engine over there says when it has installed it.
    ///
    /// After a cut it goes on where it was, for as long as it gets further now and then. An upload that was given up goes on too, when
    /// a snapshot with the same id is sent again in time.
    ///
    /// # Errors
    /// As sorted by [`SendError`]: tell the engine that the snapshot failed.
    ///
    /// # Cancel safety
    /// Dropped, the upload ends; what has come of it is kept over there for a while.
    pub async fn snapshot<R>(&self, snapshot: OutgoingSnapshot<R>) -> Result<RaftMessage, SendError>
    where
        R: AsyncRead + AsyncSeek + Send + Unpin + 'static,
    {
        upload::send(&self.shared, &self.state, snapshot).await
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("member", &self.state.member)
            .finish_non_exhaustive()
    }
}

fn full(class: Class, peer: MemberId) -> SendError {
    SendError::Full(
        Status::resource_exhausted(format!(
            "as many messages of the class {class} to member {peer} wait as may"
        ))
        .with_not_accepted(),
    )
}

/// The place of a call among those that may be under way.
struct Place<'a> {
    state: &'a PeerState,
    class: Class,
    bytes: usize,
}

impl<'a> Place<'a> {
    /// # Errors
    /// There are as many as may be.
    fn take(
        config: &TransportConfig,
        state: &'a PeerState,
        class: Class,
        bytes: usize,
    ) -> Result<Self, SendError> {
        let limits = config.limits(class);
        let mut under_way = lock(&state.class(class).under_way);
        let (calls, all) = *under_way;
        if calls >= limits.messages || (calls > 0 && all + bytes > limits.bytes) {
            return Err(full(class, state.id()));
        }
        *under_way = (calls + 1, all + bytes);
        Ok(Self {
            state,
            class,
            bytes,
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut under_way = lock(&self.state.class(self.class).under_way);
        under_way.0 -= 1;
        under_way.1 -= self.bytes;
    }
}

/// A heartbeat that is under way.
struct Beat<'a>(&'a PeerState);

impl Drop for Beat<'_> {
    fn drop(&mut self) {
        lock(&self.0.class(Class::Heartbeat).beats).done();
    }
}

/// A heartbeat that waits. If it was told to go and has not heard it, the next one goes.
struct WaitingBeat<'a> {
    receiver: oneshot::Receiver<()>,
    state: &'a PeerState,
}

impl Drop for WaitingBeat<'_> {
    fn drop(&mut self) {
        self.receiver.close();
        if self.receiver.try_recv().is_ok() {
            lock(&self.state.class(Class::Heartbeat).beats).done();
        }
    }
}

/// A call whose answer is awaited; dropped before, it says nothing of the member.
struct Awaited<'a> {
    shared: &'a Shared,
    state: &'a PeerState,
    class: Class,
    sent: Instant,
    ended: bool,
}

impl<'a> Awaited<'a> {
    fn new(shared: &'a Shared, state: &'a PeerState, class: Class) -> Self {
        let sent = Instant::now();
        state.asked(shared, class, |health| health.sent(sent, 1));
        Self {
            shared,
            state,
            class,
            sent,
            ended: false,
        }
    }

    fn ended(mut self, result: &Result<RaftMessage>) {
        self.ended = true;
        let now = Instant::now();
        let failure = result.as_ref().err().and_then(failure);
        if failure.is_some() {
            self.state.class(self.class).counts.failed.add(1);
        }
        self.state
            .asked(self.shared, self.class, |health| match failure {
                None => health.acked(now, now.saturating_duration_since(self.sent), 1),
                Some(failure) => {
                    health.forgotten(1);
                    health.failed(failure);
                }
            });
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.state
                .asked(self.shared, self.class, |health| health.forgotten(1));
        }
    }
}
