//! [`Cluster`]: what the engine and the transport know of a cluster, for `blixard.status.v1`.

use std::{fmt, time::Duration};

use blixard_rpc::{Result, Streaming};
use blixard_services::{
    node::Condition,
    status::{
        ClusterMember, ClusterResponse, ClusterSource, MemberRole, RaftResponse, RaftRole,
        Reachability, ReplicaProgress,
    },
};
use bytes::Bytes;
use futures_util::stream;
use openraft::{
    BasicNode, Raft, RaftMetrics, RaftTypeConfig, ServerState, async_runtime::watch::WatchReceiver,
    storage::RaftStateMachine,
};
use tokio::time::{MissedTickBehavior, interval};

use crate::{Class, PeerStatus, Standing, Transport};

/// What the engine of this member knows of its cluster, and the transport of the other members:
/// `StatusReports::new(..).cluster(Cluster::new(raft, transport))`.
pub struct Cluster<C, SM>
where
    C: RaftTypeConfig,
    SM: RaftStateMachine<C>,
{
    raft: Raft<C, SM>,
    transport: Transport,
    key: Bytes,
}

impl<C, SM> Cluster<C, SM>
where
    C: RaftTypeConfig<NodeId = u64, Term = u64, Node = BasicNode>,
    SM: RaftStateMachine<C>,
{
    /// That of this engine, whose members are those of this transport.
    #[must_use]
    pub const fn new(raft: Raft<C, SM>, transport: Transport) -> Self {
        Self {
            raft,
            transport,
            key: Bytes::new(),
        }
    }

    /// The key of this member itself, which its transport does not know.
    #[must_use]
    pub fn key(mut self, key: [u8; 32]) -> Self {
        self.key = Bytes::copy_from_slice(&key);
        self
    }

    /// How the engine is, for the health of the node: it does not serve once it has stopped, or while it knows of no leader.
    #[must_use]
    pub fn condition(&self) -> Condition {
        let metrics = self.metrics();
        if let Err(error) = metrics.running_state {
            return Condition::NotServing(format!(
                "the engine has stopped: {error}: start the node again"
            ));
        }
        if metrics.current_leader.is_some() {
            return Condition::Serving;
        }
        let voters: Vec<u64> = metrics.membership_config.voter_ids().collect();
        Condition::NotServing(if voters.is_empty() {
            "it belongs to no cluster yet".to_owned()
        } else {
            format!(
                "no leader is known; a majority of {voters:?} has to run, and to reach each other"
            )
        })
    }

    /// Stops the engine of this member. What others ask of it is refused from here on, and their streams end.
    pub async fn shut_down(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the engine did not stop by itself");
        }
    }

    fn metrics(&self) -> RaftMetrics<C> {
        self.raft.metrics().borrow_watched().clone()
    }
}

impl<C, SM> Clone for Cluster<C, SM>
where
    C: RaftTypeConfig,
    SM: RaftStateMachine<C>,
{
    fn clone(&self) -> Self {
        Self {
            raft: self.raft.clone(),
            transport: self.transport.clone(),
            key: self.key.clone(),
        }
    }
}

impl<C, SM> ClusterSource for Cluster<C, SM>
where
    C: RaftTypeConfig<NodeId = u64, Term = u64, Node = BasicNode>,
    SM: RaftStateMachine<C>,
{
    fn cluster(&self) -> Result<ClusterResponse> {
        let metrics = self.metrics();
        let (known, peers) = (self.transport.members(), self.transport.status());
        let voters: Vec<u64> = metrics.membership_config.voter_ids().collect();
        let member = |(id, node): (&u64, &BasicNode)| {
            let key = known.iter().find(|it| it.id() == *id);
            let key = key.and_then(|it| it.keys.first());
            let peer = peers.iter().find(|it| it.id == *id);
            ClusterMember {
                id: *id,
                address: node.addr.clone(),
                key: if *id == metrics.id {
                    self.key.clone()
                } else {
                    key.map_or_else(Bytes::new, |key| Bytes::copy_from_slice(key))
                },
                role: if voters.contains(id) {
                    MemberRole::Voter
                } else {
                    MemberRole::Learner
                },
                reachable: reachable(&metrics, *id, peer),
            }
        };
        Ok(ClusterResponse {
            id: metrics.id,
            leader: metrics.current_leader,
            term: metrics.current_term,
            members: metrics.membership_config.nodes().map(member).collect(),
        })
    }

    fn raft(&self) -> Result<RaftResponse> {
        let metrics = self.metrics();
        let end = metrics.last_log_index.map_or(0, |index| index + 1);
        let begin = metrics.purged.as_ref().map_or(0, |it| it.index + 1);
        let replicas = metrics.replication.iter().flatten();
        // The leader's own log is no replica.
        let replicas = replicas.filter(|(id, _)| **id != metrics.id);
        Ok(RaftResponse {
            id: metrics.id,
            role: match metrics.state {
                ServerState::Learner => RaftRole::Learner,
                ServerState::Follower => RaftRole::Follower,
                ServerState::Candidate => RaftRole::Candidate,
                ServerState::Leader => RaftRole::Leader,
                ServerState::Shutdown => RaftRole::Stopping,
            },
            term: metrics.current_term,
            leader: metrics.current_leader,
            last_index: metrics.last_log_index,
            committed_index: metrics.local_committed.as_ref().map(|it| it.index),
            applied_index: metrics.last_applied.as_ref().map(|it| it.index),
            snapshot_index: metrics.snapshot.as_ref().map(|it| it.index),
            log_entries: end.saturating_sub(begin),
            replicas: replicas
                .map(|(id, matched)| {
                    let matched_index = matched.as_ref().map(|it| it.index);
                    ReplicaProgress {
                        id: *id,
                        matched_index,
                        lag_entries: end.saturating_sub(matched_index.map_or(0, |it| it + 1)),
                    }
                })
                .collect(),
            stopped: metrics
                .running_state
                .err()
                .map_or_else(String::new, |error| error.to_string()),
        })
    }

    fn changes(&self) -> Streaming<()> {
        // Whether members answer, nobody says of himself: it is looked at.
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let state = (self.raft.metrics(), looks);
        Streaming::new(stream::unfold(state, |(mut metrics, mut looks)| async {
            tokio::select! {
                changed = metrics.changed() => changed.ok()?,
                _ = looks.tick() => {}
            }
            Some((Ok(()), (metrics, looks)))
        }))
    }
}

/// Who leads speaks with all, and who follows hears its leader.
fn reachable<C>(metrics: &RaftMetrics<C>, id: u64, peer: Option<&PeerStatus>) -> Reachability
where
    C: RaftTypeConfig<NodeId = u64>,
{
    if id == metrics.id || (metrics.current_leader == Some(id)) {
        return Reachability::Reachable;
    }
    let leads = metrics.state == ServerState::Leader;
    let Some(peer) = peer.filter(|_| leads) else {
        return Reachability::Unspecified;
    };
    let spoken = |class: Class| {
        let of = peer.classes.iter().find(|it| it.class == class)?;
        (of.sent_messages > 0 || of.standing != Standing::Up).then_some(of.standing)
    };
    // What was heard in other classes may be of another time.
    let standing = spoken(Class::Heartbeat).or_else(|| spoken(Class::LogAppend));
    match standing {
        None => Reachability::Unspecified,
        Some(Standing::Up) => Reachability::Reachable,
        Some(Standing::Suspect) => Reachability::Suspect,
        Some(Standing::Down) => Reachability::Unreachable,
    }
}

impl<C, SM> fmt::Debug for Cluster<C, SM>
where
    C: RaftTypeConfig,
    SM: RaftStateMachine<C>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

/// How often it is looked at who answers, while somebody watches.
const LOOK: Duration = Duration::from_millis(500);
