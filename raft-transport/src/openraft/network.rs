//! The engine's network: a client for each peer and purpose. Each is a handle that costs nothing, since the engine makes one an election;
//! connections are the carrier's.
//!
//! What fails is said so that the engine does the right thing: a peer that cannot be reached is `Unreachable` (it backs off), an answer
//! that does not come is `Timeout`, all else `Network` (it tries again at once).

use std::{collections::VecDeque, fmt, future::Future, io, marker::PhantomData, time::Duration};

use blixard_rpc::Status;
use futures_util::{
    FutureExt, Stream, StreamExt,
    future::{Either, select},
};
use openraft::{
    RaftTypeConfig,
    base::{BoxFuture, BoxStream},
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable},
    network::{RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2, stream_append_sequential},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
        TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
    },
    type_config::alias::{SnapshotOf, VoteOf},
    vote::{RaftLeaderId, RaftVote},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use crate::{Ask, MemberId, OutgoingSnapshot, Peer, RaftMessage, SendError, Transport};

use super::{
    codec::{decode, encode},
    snapshot_file::SnapshotFile,
};

/// What carries the engine's messages to the other members: a [`Transport`].
pub trait Carry: Clone + Send + Sync + 'static {
    /// The answers of a stream of appends.
    type Appends: Stream<Item = Result<RaftMessage, SendError>> + Send + Unpin + 'static;

    /// Asks a member, and waits for its answer for at most this long.
    fn ask(
        &self,
        to: MemberId,
        ask: Ask,
        message: RaftMessage,
        within: Duration,
    ) -> impl Future<Output = Result<RaftMessage, SendError>> + Send;

    /// Opens an ordered stream of appends, whose answers come in the same order. Dropping the answers ends it.
    fn append(
        &self,
        to: MemberId,
        requests: mpsc::Receiver<RaftMessage>,
    ) -> impl Future<Output = Result<Self::Appends, SendError>> + Send;

    /// Sends a snapshot, from where the last attempt was cut.
    fn snapshot(
        &self,
        to: MemberId,
        head: RaftMessage,
        snapshot: SnapshotFile,
    ) -> impl Future<Output = Result<RaftMessage, SendError>> + Send;
}

impl Carry for Transport {
    type Appends = crate::Appends;

    async fn ask(
        &self,
        to: MemberId,
        ask: Ask,
        message: RaftMessage,
        within: Duration,
    ) -> Result<RaftMessage, SendError> {
        member(self, to)?.ask(ask, message, within).await
    }

    async fn append(
        &self,
        to: MemberId,
        mut requests: mpsc::Receiver<RaftMessage>,
    ) -> Result<crate::Appends, SendError> {
        let requests = futures_util::stream::poll_fn(move |cx| requests.poll_recv(cx));
        member(self, to)?.append(requests).await
    }

    async fn snapshot(
        &self,
        to: MemberId,
        head: RaftMessage,
        snapshot: SnapshotFile,
    ) -> Result<RaftMessage, SendError> {
        let unreadable = |error: io::Error| {
            // A newer one has taken its place, most likely: the engine takes that the next time.
            SendError::Failed(Status::aborted(format!(
                "the snapshot cannot be read: {error}"
            )))
        };
        let id = snapshot.id().map_err(unreadable)?;
        let total_bytes = snapshot.len_bytes().map_err(unreadable)?;
        let source = tokio::fs::File::open(snapshot.path())
            .await
            .map_err(unreadable)?;
        let outgoing = OutgoingSnapshot {
            id,
            term: head.term,
            payload: head.payload,
            total_bytes,
            source,
        };
        member(self, to)?.snapshot(outgoing).await
    }
}

/// # Errors
/// It is no member, as far as the transport knows.
fn member(transport: &Transport, id: MemberId) -> Result<Peer, SendError> {
    transport.peer(id).ok_or_else(|| {
        SendError::Unreachable(Status::unavailable(format!(
            "{id} is no member that the transport knows"
        )))
    })
}

/// Makes clients for the engine: its network.
pub struct Clients<C, K = Transport> {
    me: MemberId,
    carry: K,
    config: PhantomData<fn() -> C>,
}

impl<C> Clients<C> {
    /// The network of this member.
    #[must_use]
    pub fn new(transport: Transport) -> Self {
        Self::over(transport.id(), transport)
    }
}

impl<C, K> Clients<C, K> {
    /// The network of a member over something else.
    pub fn over(me: MemberId, carry: K) -> Self {
        Self {
            me,
            carry,
            config: PhantomData,
        }
    }
}

impl<C, K: Clone> Clients<C, K> {
    fn client(&self, to: MemberId, purpose: Purpose) -> Client<C, K> {
        Client {
            me: self.me,
            to,
            purpose,
            carry: self.carry.clone(),
            config: PhantomData,
        }
    }
}

impl<C, K> RaftNetworkFactory<C> for Clients<C, K>
where
    C: RaftTypeConfig<NodeId = u64, Term = u64>,
    K: Carry,
{
    type Network = Client<C, K>;

    async fn new_client(&mut self, target: u64, _: &C::Node) -> Client<C, K> {
        self.client(target, Purpose::Log)
    }

    async fn new_heartbeat_client(&mut self, target: u64, _: &C::Node) -> Client<C, K> {
        self.client(target, Purpose::Heartbeat)
    }

    // The transport has a connection for snapshots alone.
    async fn new_snapshot_client(&mut self, target: u64, _: &C::Node) -> Client<C, K> {
        self.client(target, Purpose::Log)
    }
}

/// The engine's way to one member.
pub struct Client<C, K> {
    me: u64,
    to: u64,
    purpose: Purpose,
    carry: K,
    config: PhantomData<fn() -> C>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Votes, entries, snapshots: by method.
    Log,
    /// Appends that say nothing but that the leader is there. The engine streams these too, one a stream; but they are questions.
    Heartbeat,
}

impl<C, K> Client<C, K>
where
    C: RaftTypeConfig<NodeId = u64, Term = u64>,
    K: Carry,
{
    async fn ask<A: serde::de::DeserializeOwned>(
        &self,
        ask: Ask,
        action: RPCTypes,
        term: u64,
        message: &impl serde::Serialize,
        option: &RPCOption,
    ) -> Result<A, RPCError<C>> {
        let within = option.soft_ttl();
        let answer = async {
            let message = encode(term, message)?;
            let answer = self.carry.ask(self.to, ask, message, within).await?;
            Ok(decode(&answer)?)
        };
        answer
            .await
            .map_err(|error| self.fails(action, within, error))
    }

    /// What an error of the transport is to the engine.
    fn fails(&self, action: RPCTypes, within: Duration, error: SendError) -> RPCError<C> {
        match error {
            SendError::Timeout(_) => RPCError::Timeout(Timeout {
                action,
                id: self.me,
                target: self.to,
                timeout: within,
            }),
            // At once it will not be better.
            SendError::Unreachable(_) | SendError::Full(_) | SendError::Refused(_) => {
                RPCError::Unreachable(Unreachable::new(&error))
            }
            SendError::Superseded | SendError::Failed(_) => {
                RPCError::Network(NetworkError::new(&error))
            }
        }
    }
}

impl<C, K> RaftNetworkV2<C> for Client<C, K>
where
    C: RaftTypeConfig<NodeId = u64, Term = u64>,
    K: Carry,
{
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<C>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<C>, RPCError<C>> {
        let term = term::<C>(&request.vote);
        self.ask(
            Ask::Heartbeat,
            RPCTypes::AppendEntries,
            term,
            &request,
            &option,
        )
        .await
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<C>, RPCError<C>>>, RPCError<C>>>
    where
        S: Stream<Item = AppendEntriesRequest<C>> + Send + Unpin + 'static,
    {
        if self.purpose == Purpose::Heartbeat {
            return stream_append_sequential(self, input, option);
        }
        async move {
            let appends = Appends {
                client: self,
                input: Some(input),
                // As late as the first request: its term goes with the stream.
                stream: None,
                sent: VecDeque::new(),
                stall: option.soft_ttl().max(LEAST_STALL),
                setup: option.soft_ttl(),
            };
            let answers = futures_util::stream::unfold(Some(appends), |appends| async move {
                let mut appends = appends?;
                match appends.next().await? {
                    // The engine asks for no more after an error, and neither is there any.
                    Ok(Err(refused)) => Some((Ok(Err(refused)), None)),
                    Err(error) => Some((Err(error), None)),
                    answer => Some((answer, Some(appends))),
                }
            });
            Ok(answers.boxed() as BoxStream<'s, _>)
        }
        .boxed()
    }

    async fn vote(
        &mut self,
        request: VoteRequest<C>,
        option: RPCOption,
    ) -> Result<VoteResponse<C>, RPCError<C>> {
        let term = term::<C>(&request.vote);
        self.ask(Ask::Vote, RPCTypes::Vote, term, &request, &option)
            .await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<C>,
        option: RPCOption,
    ) -> Result<VoteResponse<C>, RPCError<C>> {
        let term = term::<C>(&request.vote);
        self.ask(Ask::PreVote, RPCTypes::Vote, term, &request, &option)
            .await
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<C>,
        snapshot: SnapshotOf<C, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<C>, StreamingError<C>> {
        // The engine's time is that of a chunk; the transport's idle timeout is as well, and fits the transport.
        let within = option.hard_ttl();
        let term = term::<C>(&vote);
        let sent = async {
            let head = encode(term, &(&vote, &snapshot.meta))?;
            let answer = self
                .carry
                .snapshot(self.to, head, snapshot.snapshot)
                .await?;
            Ok(decode(&answer)?)
        };
        match select(std::pin::pin!(cancel), std::pin::pin!(sent)).await {
            Either::Left((closed, _)) => Err(closed.into()),
            Either::Right((answer, _)) => {
                answer.map_err(|error| self.fails(RPCTypes::InstallSnapshot, within, error).into())
            }
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<C>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<C>, RPCError<C>> {
        let term = term::<C>(request.from_leader());
        self.ask(
            Ask::TransferLeader,
            RPCTypes::TransferLeader,
            term,
            &request,
            &option,
        )
        .await
    }
}

/// One stream of appends. It is driven by whoever waits for its answers, and by no task: when it is dropped, so is the engine's stream
/// of requests, which must not be asked again by an old session.
struct Appends<'s, C: RaftTypeConfig, K: Carry, S> {
    client: &'s Client<C, K>,
    /// `None` when it has ended.
    input: Option<S>,
    stream: Option<(Option<mpsc::Sender<RaftMessage>>, K::Appends)>,
    /// When what is not answered was sent.
    sent: VecDeque<Instant>,
    /// How long an answer may take.
    stall: Duration,
    /// How long it may take to be connected.
    setup: Duration,
}

impl<C, K, S> Appends<'_, C, K, S>
where
    C: RaftTypeConfig<NodeId = u64, Term = u64>,
    K: Carry,
    S: Stream<Item = AppendEntriesRequest<C>> + Send + Unpin + 'static,
{
    async fn next(&mut self) -> Option<Result<StreamAppendResult<C>, RPCError<C>>> {
        loop {
            let wants = self.input.is_some() && self.sent.len() < IN_FLIGHT;
            if !wants && self.sent.is_empty() {
                return None;
            }
            let stalled = match self.sent.front() {
                Some(sent) => Either::Left(sleep_until(*sent + self.stall)),
                None => Either::Right(std::future::pending()),
            };
            let request = match &mut self.input {
                Some(input) if wants => Either::Left(input.next()),
                _ => Either::Right(std::future::pending()),
            };
            let answer = match &mut self.stream {
                Some((_, answers)) => Either::Left(answers.next()),
                None => Either::Right(std::future::pending()),
            };
            tokio::select! {
                // What is answered makes room, so it is looked at first.
                biased;
                answer = answer => return self.answered(answer),
                () = stalled => {
                    let late = Status::deadline_exceeded("an append was not answered in time");
                    return Some(Err(self.fails(SendError::Timeout(late))));
                }
                request = request => match request {
                    Some(request) => {
                        if let Err(error) = self.send(request).await {
                            return Some(Err(self.fails(error)));
                        }
                    }
                    None => {
                        self.input = None;
                        // So the other side sees the end, and answers what is left.
                        if let Some((requests, _)) = &mut self.stream {
                            *requests = None;
                        }
                    }
                },
            }
        }
    }

    async fn send(&mut self, request: AppendEntriesRequest<C>) -> Result<(), SendError> {
        let message = encode(term::<C>(&request.vote), &request)?;
        if self.stream.is_none() {
            let (requests, theirs) = mpsc::channel(IN_FLIGHT);
            let opened = self.client.carry.append(self.client.to, theirs);
            let answers = timeout(self.setup, opened)
                .await
                .unwrap_or_else(|_| Err(closed("there is no connection in time")))?;
            self.stream = Some((Some(requests), answers));
        }
        // There is room: no more are in flight than the channel has places.
        let sent = match &self.stream {
            Some((Some(requests), _)) => requests.try_send(message).is_ok(),
            _ => false,
        };
        if !sent {
            return Err(moved());
        }
        self.sent.push_back(Instant::now());
        Ok(())
    }

    /// `None` if the stream has ended and owes nothing: the engine opens another one at once.
    fn answered(
        &mut self,
        answer: Option<Result<RaftMessage, SendError>>,
    ) -> Option<Result<StreamAppendResult<C>, RPCError<C>>> {
        if answer.is_none() && self.sent.is_empty() {
            return None;
        }
        self.sent.pop_front();
        let answer = answer
            .unwrap_or_else(|| Err(moved()))
            .and_then(|answer| Ok(decode(&answer)?));
        Some(answer.map_err(|error| self.fails(error)))
    }

    fn fails(&self, error: SendError) -> RPCError<C> {
        self.client
            .fails(RPCTypes::AppendEntries, self.stall, error)
    }
}

fn closed(why: &str) -> SendError {
    SendError::Unreachable(Status::unavailable(why))
}

/// The stream has ended, and not for a fault of the other side: calls go another way now, most likely. What it did not take is sent on the
/// next, at once; if the other side is away after all, that one says so.
fn moved() -> SendError {
    SendError::Failed(Status::aborted("the stream of appends has ended"))
}

impl<C, K> fmt::Debug for Clients<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients")
            .field("me", &self.me)
            .finish_non_exhaustive()
    }
}

impl<C, K> fmt::Debug for Client<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("me", &self.me)
            .field("to", &self.to)
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

fn term<C: RaftTypeConfig<Term = u64>>(vote: &VoteOf<C>) -> u64 {
    vote.leader_id().term()
}

/// Appends that may be on their way to a member. The engine fills each with what there is, up to 1 MiB.
const IN_FLIGHT: usize = 64;

/// The engine derives its times from the interval of heartbeats, and those do not wait for a disk. An append does, and for a message of
/// 1 MiB on a slow link: it is given up only when nothing comes for longer than that can take.
const LEAST_STALL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        io,
        sync::{
            Arc, Mutex,
            atomic::{AtomicU32, Ordering},
        },
    };

    use futures_util::future::select_all;
    use openraft::{
        BasicNode, Config, Raft, RaftMetrics, SnapshotPolicy, Vote,
        async_runtime::watch::WatchReceiver,
    };

    use blixard_rpc::{Code, Streaming};

    use super::*;
    use crate::openraft::{
        Durability, Machine, OpenRaft, State, StateReader, StateStore, StoreOptions, Types, open,
    };
    use crate::{Engine, ReceivedSnapshot, snapshot::TemporaryFile};

    /// Keeps every word.
    struct Words;

    impl Machine for Words {
        type Command = String;
        type Answer = ();

        fn apply(&self, state: &mut State<'_>, word: String) -> io::Result<()> {
            state.put(word.as_bytes(), b"")
        }
    }

    type C0 = Types<Words>;
    type In = OpenRaft<C0, StateStore<Words>>;

    /// Members that reach each other in memory, and those that are cut off.
    #[derive(Clone, Default)]
    struct Hub(Arc<Mutex<Reach>>);

    #[derive(Default)]
    struct Reach {
        members: BTreeMap<u64, In>,
        cut: BTreeSet<u64>,
    }

    impl Hub {
        fn reach(&self, from: u64, to: u64) -> Result<In, Status> {
            let hub = self.0.lock().unwrap();
            if hub.cut.contains(&from) || hub.cut.contains(&to) {
                return Err(Status::unavailable("cut off"));
            }
            hub.members
                .get(&to)
                .cloned()
                .ok_or_else(|| Status::unavailable("nobody is there"))
        }

        fn cut(&self, member: u64) {
            self.0.lock().unwrap().cut.insert(member);
        }

        fn mend(&self, member: u64) {
            self.0.lock().unwrap().cut.remove(&member);
        }
    }

    #[derive(Clone)]
    struct Wire {
        from: u64,
        hub: Hub,
    }

    impl Carry for Wire {
        type Appends = BoxStream<'static, Result<RaftMessage, SendError>>;

        async fn ask(
            &self,
            to: MemberId,
            ask: Ask,
            message: RaftMessage,
            _: Duration,
        ) -> Result<RaftMessage, SendError> {
            let there = self.hub.reach(self.from, to)?;
            Ok(there.ask(self.from, ask, message).await?)
        }

        async fn append(
            &self,
            to: MemberId,
            mut requests: mpsc::Receiver<RaftMessage>,
        ) -> Result<Self::Appends, SendError> {
            let there = self.hub.reach(self.from, to)?;
            let (from, hub) = (self.from, self.hub.clone());
            let requests = futures_util::stream::poll_fn(move |cx| requests.poll_recv(cx));
            let requests = requests.map(move |it| hub.reach(from, to).map(|_| it));
            let answers = there.append(from, Streaming::new(requests)).await?;
            Ok(answers.map(|it| it.map_err(SendError::from)).boxed())
        }

        async fn snapshot(
            &self,
            to: MemberId,
            head: RaftMessage,
            snapshot: SnapshotFile,
        ) -> Result<RaftMessage, SendError> {
            let there = self.hub.reach(self.from, to)?;
            let (id, length) = (snapshot.id().unwrap(), snapshot.len_bytes().unwrap());
            let path = std::env::temp_dir().join(format!("blixard-received-{id}"));
            snapshot.copy_to(&path).unwrap();
            let file = TemporaryFile(path);
            let received = ReceivedSnapshot::new(id, head.term, head.payload, length, file);
            Ok(there.snapshot(self.from, received).await?)
        }
    }

    struct Member {
        raft: Raft<C0, StateStore<Words>>,
        state: StateReader<Words>,
    }

    async fn cluster() -> (Hub, Vec<Member>) {
        let config = Config {
            heartbeat_interval: 100,
            election_timeout_min: 500,
            election_timeout_max: 1000,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(200),
            max_in_snapshot_log_to_keep: 10,
            replication_lag_threshold: 300,
            enable_pre_vote: Some(true),
            ..Config::default()
        };
        let config = Arc::new(config.validate().unwrap());
        let hub = Hub::default();
        let mut members = Vec::new();
        for me in 1..=3 {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            let folder =
                std::env::temp_dir().join(format!("blixard-network-{}-{next}", std::process::id()));
            let options = StoreOptions::default().durability(Durability::Memory);
            let (log, state) = open(folder, Words, &options).unwrap();
            let reader = state.reader();
            let network = Clients::over(
                me,
                Wire {
                    from: me,
                    hub: hub.clone(),
                },
            );
            let raft = Raft::new(me, Arc::clone(&config), network, log, state)
                .await
                .unwrap();
            let inbound = In::new();
            inbound.set(raft.clone());
            hub.0.lock().unwrap().members.insert(me, inbound);
            members.push(Member {
                raft,
                state: reader,
            });
        }
        let nodes: BTreeMap<u64, BasicNode> =
            (1..=3).map(|id| (id, BasicNode::default())).collect();
        members[0].raft.initialize(nodes).await.unwrap();
        (hub, members)
    }

    /// What is waited for takes some seconds. That a machine is busy, or stands still for a while, is no failure.
    const LONG: Option<Duration> = Some(Duration::from_secs(600));

    /// Who leads, when a majority has answered it: before, it may not. Who was elected and unseated meanwhile is not waited for.
    async fn leader<'a>(members: impl IntoIterator<Item = &'a Member>) -> &'a Member {
        let members: Vec<&Member> = members.into_iter().collect();
        let mut metrics: Vec<_> = members.iter().map(|it| it.raft.metrics()).collect();
        let finding = async {
            loop {
                let leads = metrics.iter().position(|it| {
                    let now = it.borrow_watched();
                    now.current_leader == Some(now.id) && now.last_quorum_acked.is_some()
                });
                if let Some(leads) = leads {
                    return members[leads];
                }
                let changes = metrics.iter_mut().map(|it| it.changed().boxed());
                select_all(changes).await.0.unwrap();
            }
        };
        timeout(LONG.unwrap(), finding).await.unwrap()
    }

    /// By whoever leads: on a busy machine that may be another one than before.
    async fn write(
        members: impl IntoIterator<Item = &Member> + Clone,
        words: impl IntoIterator<Item = String>,
    ) -> u64 {
        let mut last = 0;
        for word in words {
            last = loop {
                let leads = leader(members.clone()).await;
                match leads.raft.client_write(word.clone()).await {
                    Ok(written) => break written.log_id.index,
                    Err(error) => assert!(error.forward_to_leader().is_some(), "{error}"),
                }
            };
        }
        last
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_cluster_goes_on_without_its_leader_and_takes_it_back_by_snapshot() {
        let (hub, members) = cluster().await;
        write(&members, (0..50).map(|it| format!("before {it}"))).await;

        let first = leader(&members).await;
        hub.cut(*first.raft.node_id());
        let rest = members
            .iter()
            .filter(|it| it.raft.node_id() != first.raft.node_id());
        // More than is kept of the log, so that it has to be a snapshot.
        let last = write(rest.clone(), (0..700).map(|it| format!("without {it}"))).await;
        for member in rest {
            let wait = member.raft.wait(LONG);
            let cut = |it: &RaftMetrics<C0>| it.purged.is_some_and(|it| it.index > 100);
            wait.metrics(cut, "the log was cut").await.unwrap();
        }

        hub.mend(*first.raft.node_id());
        for member in &members {
            member
                .raft
                .wait(LONG)
                .applied_index_at_least(Some(last), "all have all")
                .await
                .unwrap();
            let view = member.state.view().unwrap();
            for word in (0..50)
                .map(|it| format!("before {it}"))
                .chain((0..700).map(|it| format!("without {it}")))
            {
                assert!(view.get(word.as_bytes()).unwrap().is_some(), "{word}");
            }
        }
        let metrics = first.raft.metrics().borrow_watched().clone();
        assert!(
            metrics.snapshot.is_some_and(|it| it.index > 100),
            "it came by snapshot: {metrics:?}"
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_lead_is_left_to_another_at_once() {
        let (_hub, members) = cluster().await;
        let first = leader(&members).await;
        write(&members, ["one".to_owned()]).await;
        let to = members
            .iter()
            .find(|it| it.raft.node_id() != first.raft.node_id())
            .unwrap();
        first
            .raft
            .trigger()
            .transfer_leader(*to.raft.node_id())
            .await
            .unwrap();
        to.raft
            .wait(LONG)
            .metrics(
                |it| it.current_leader == Some(it.id) && it.last_quorum_acked.is_some(),
                "it leads",
            )
            .await
            .unwrap();
        write([to], ["two".to_owned()]).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nobody_speaks_for_another() {
        let (hub, members) = cluster().await;
        let first = leader(&members).await;
        let (leads, other) = (*first.raft.node_id(), *first.raft.node_id() % 3 + 1);
        let third = 6 - leads - other;
        // It calls itself what it is not, with a term that would unseat the leader.
        let request = VoteRequest::<C0>::new(Vote::new(1000, other), None);
        let there = hub.reach(third, leads).unwrap();
        for ask in [Ask::Vote, Ask::PreVote] {
            let answer = there.ask(third, ask, encode(1000, &request).unwrap()).await;
            assert_eq!(answer.unwrap_err().code(), Code::PermissionDenied);
        }
        let request = AppendEntriesRequest::<C0> {
            vote: Vote::new_committed(1000, other),
            prev_log_id: None,
            entries: Vec::new(),
            leader_commit: None,
        };
        let message = encode(1000, &request).unwrap();
        let answer = there.ask(third, Ask::Heartbeat, message.clone()).await;
        assert_eq!(answer.unwrap_err().code(), Code::PermissionDenied);
        for (message, code) in [
            (message, Code::PermissionDenied),
            (RaftMessage::new(1, vec![0xff; 2]), Code::InvalidArgument),
        ] {
            let answers = there.append(third, Streaming::from_iter([message])).await;
            let answers = answers.unwrap().collect().await;
            assert_eq!(answers.unwrap_err().code(), code);
        }
        let metrics = first.raft.metrics().borrow_watched().clone();
        assert!(metrics.current_term < 1000, "{metrics:?}");
    }
}
