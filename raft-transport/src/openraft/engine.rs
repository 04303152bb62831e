//! [`OpenRaft`]: what other members send, given to the engine. Who sends is known for certain; a message that says that another one does is refused
//! here, and the engine never sees it.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use blixard_rpc::{Result, Status, Streaming};
use futures_util::StreamExt;
use openraft::{
    Raft, RaftTypeConfig,
    raft::{AppendEntriesRequest, TransferLeaderRequest, VoteRequest},
    storage::{RaftStateMachine, Snapshot},
    type_config::alias::{SnapshotMetaOf, VoteOf},
    vote::{RaftLeaderId, RaftVote},
};

use crate::{Ask, Engine, Event, MemberId, RaftMessage, ReceivedSnapshot, Standing};

use super::{
    codec::{decode, encode},
    snapshot_file::SnapshotFile,
};

/// The engine of this member, as the others reach it. It refuses with `UNAVAILABLE` until [`set`](Self::set) has given it one:
/// an engine is made from a network, and the network is there before.
pub struct OpenRaft<C, SM>
where
    C: RaftTypeConfig,
    SM: RaftStateMachine<C>,
{
    raft: Arc<OnceLock<Raft<C, SM>>>,
}

impl<C, SM> OpenRaft<C, SM>
where
    C: RaftTypeConfig<NodeId = u64>,
    SM: RaftStateMachine<C, SnapshotData = SnapshotFile>,
{
    /// One without an engine.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives it its engine. The first one stays.
    pub fn set(&self, raft: Raft<C, SM>) {
        let _ = self.raft.set(raft);
    }

    fn raft(&self) -> Result<&Raft<C, SM>> {
        self.raft
            .get()
            .ok_or_else(|| Status::unavailable("this member is starting"))
    }

    /// Answers each request in turn. The stream ends with the first that is not accepted, and with the first that is no request.
    fn answers(
        &self,
        from: MemberId,
        requests: Streaming<RaftMessage>,
    ) -> Result<Streaming<RaftMessage>> {
        let raft = self.raft()?.clone();
        // What broke the stream of requests is said on that of answers, after all answers to what came before.
        let broke = Arc::new(OnceLock::new());
        let note = Arc::clone(&broke);
        let requests = requests
            .map(move |message| {
                let request: AppendEntriesRequest<C> = decode(&message?)?;
                check::<C>(from, &request.vote)?;
                Ok(request)
            })
            .scan((), move |(), request: Result<_>| {
                let request = match request {
                    Ok(request) => Some(request),
                    Err(status) => {
                        let _ = note.set(status);
                        None
                    }
                };
                std::future::ready(request)
            });
        let answers = raft
            .stream_append(requests)
            .map(|answer| encode(0, &answer.map_err(stopped)?));
        let end = futures_util::stream::once(async move { broke.get().cloned() })
            .filter_map(|broke| std::future::ready(broke.map(Err)));
        Ok(Streaming::new(answers.chain(end)))
    }
}

impl<C, SM> Engine for OpenRaft<C, SM>
where
    C: RaftTypeConfig<NodeId = u64>,
    SM: RaftStateMachine<C, SnapshotData = SnapshotFile>,
{
    async fn ask(&self, from: MemberId, ask: Ask, message: RaftMessage) -> Result<RaftMessage> {
        let raft = self.raft()?;
        match ask {
            Ask::Vote | Ask::PreVote => {
                let request: VoteRequest<C> = decode(&message)?;
                check::<C>(from, &request.vote)?;
                let answer = match ask {
                    Ask::Vote => raft.vote(request).await,
                    _ => raft.pre_vote(request).await,
                };
                encode(0, &answer.map_err(stopped)?)
            }
            Ask::TransferLeader => {
                let request: TransferLeaderRequest<C> = decode(&message)?;
                check::<C>(from, request.from_leader())?;
                let answer = raft.handle_transfer_leader(request).await;
                encode(0, &answer.map_err(stopped)?)
            }
            Ask::Heartbeat => {
                let request: AppendEntriesRequest<C> = decode(&message)?;
                check::<C>(from, &request.vote)?;
                encode(0, &raft.append_entries(request).await.map_err(stopped)?)
            }
        }
    }

    async fn append(
        &self,
        from: MemberId,
        requests: Streaming<RaftMessage>,
    ) -> Result<Streaming<RaftMessage>> {
        self.answers(from, requests)
    }

    async fn snapshot(&self, from: MemberId, received: ReceivedSnapshot) -> Result<RaftMessage> {
        let head = RaftMessage::new(received.term(), received.payload().clone());
        let (vote, meta): (VoteOf<C>, SnapshotMetaOf<C>) = decode(&head)?;
        check::<C>(from, &vote)?;
        let snapshot = SnapshotFile::open(received.path()).map_err(|error| {
            Status::internal(format!("the snapshot that came cannot be read: {error}"))
        })?;
        let answer = self
            .raft()?
            .install_full_snapshot(vote, Snapshot { meta, snapshot })
            .await;
        // The file was there until now, whatever became of this call.
        drop(received);
        encode(0, &answer.map_err(stopped)?)
    }

    fn event(&self, event: Event) {
        // Whoever is there again is not to be waited for any longer.
        if let Event::Standing {
            peer,
            standing: Standing::Up,
            ..
        } = event
            && let Some(raft) = self.raft.get().cloned()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                let _ = raft.trigger().reset_backoff([peer]).await;
            });
        }
    }
}

impl<C, SM> Clone for OpenRaft<C, SM>
where
    C: RaftTypeConfig,
    SM: RaftStateMachine<C>,
{
    fn clone(&self) -> Self {
        Self {
            raft: Arc::clone(&self.raft),
        }
    }
}

impl<C, SM> Default for OpenRaft<C, SM>
where
    C: RaftTypeConfig,
    SM: RaftStateMachine<C>,
{
    fn default() -> Self {
        Self {
            raft: Arc::default(),
        }
    }
}

impl<C, SM> fmt::Debug for OpenRaft<C, SM>
where
    C: RaftTypeConfig,
    SM: RaftStateMachine<C>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenRaft")
            .field("started", &self.raft.get().is_some())
            .finish()
    }
}

/// Only the candidate asks for its votes, and only the leader sends what is its to send.
fn check<C: RaftTypeConfig<NodeId = u64>>(from: MemberId, vote: &VoteOf<C>) -> Result<()> {
    let says = *vote.leader_id().node_id();
    if says == from {
        return Ok(());
    }
    tracing::warn!(
        from,
        says,
        "a member speaks for another; it is not listened to"
    );
    Err(Status::permission_denied(format!(
        "member {from} speaks for member {says}"
    )))
}

fn stopped(error: impl fmt::Display) -> Status {
    Status::unavailable(format!("the engine has stopped: {error}"))
}
