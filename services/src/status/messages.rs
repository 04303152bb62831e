//! The messages of `blixard.status.v1`.

use std::time::{Duration, SystemTime};

use blixard_rpc::message;
use bytes::Bytes;

/// A cluster, as this node knows it.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterResponse {
    /// Which node says so.
    pub id: u64,
    /// Who leads, as far as this node knows.
    pub leader: Option<u64>,
    /// The term that this node is in.
    pub term: u64,
    /// Who belongs to it, by id.
    pub members: Vec<ClusterMember>,
}

/// A member of a cluster.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterMember {
    /// Its number.
    pub id: u64,
    /// Where it is, as the cluster has it on record.
    pub address: String,
    /// Its Ed25519 key, where that is what it is known by.
    pub key: Bytes,
    /// What it is in the cluster.
    pub role: MemberRole,
    /// Whether it answers this node.
    pub reachable: Reachability,
}

/// What a member is in its cluster.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MemberRole {
    /// Nothing was said.
    #[default]
    Unspecified = 0,
    /// It votes.
    Voter = 1,
    /// It has the log, and does not vote.
    Learner = 2,
    /// A role that this version does not know.
    #[unknown]
    Other(i32),
}

/// Whether a member answers.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reachability {
    /// This node has not spoken with it, as followers do not with each other.
    #[default]
    Unspecified = 0,
    /// It answers, or is this node itself.
    Reachable = 1,
    /// It is silent for longer than it should be.
    Suspect = 2,
    /// It does not answer.
    Unreachable = 3,
    /// One that this version does not know.
    #[unknown]
    Other(i32),
}

/// How far a Raft engine is.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RaftResponse {
    /// Which node.
    pub id: u64,
    /// What it is now.
    pub role: RaftRole,
    /// The term that it is in.
    pub term: u64,
    /// Who leads, as far as it knows.
    pub leader: Option<u64>,
    /// The last entry of its log.
    pub last_index: Option<u64>,
    /// The last entry that it knows to be committed.
    pub committed_index: Option<u64>,
    /// The last entry that was applied to its state.
    pub applied_index: Option<u64>,
    /// The last entry in its last snapshot.
    pub snapshot_index: Option<u64>,
    /// How many entries its log has.
    pub log_entries: u64,
    /// How far the others are, by id; only the leader knows.
    pub replicas: Vec<ReplicaProgress>,
    /// Why the engine has stopped; empty if it runs.
    pub stopped: String,
}

/// How far a member's log is.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplicaProgress {
    /// Which member.
    pub id: u64,
    /// The last entry that it is known to have; unset if nothing is known yet.
    pub matched_index: Option<u64>,
    /// How many entries it is behind the leader's log.
    pub lag_entries: u64,
}

/// What a node is in its cluster now.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RaftRole {
    /// Nothing was said.
    #[default]
    Unspecified = 0,
    /// It has the log, and does not vote.
    Learner = 1,
    /// It follows a leader, or waits for one.
    Follower = 2,
    /// It stands for election.
    Candidate = 3,
    /// It leads.
    Leader = 4,
    /// It stops.
    Stopping = 5,
    /// A role that this version does not know.
    #[unknown]
    Other(i32),
}

/// The peers that a node is connected with.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeersResponse {
    /// One entry a connection, by the key of the peer.
    pub peers: Vec<PeerConnection>,
}

/// A connection with a peer.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerConnection {
    /// The key of the peer.
    pub key: Bytes,
    /// What is spoken there: the name of a protocol in TLS, such as `blixard-rpc/1`.
    pub protocol: String,
    /// Whether the peer has dialled this node.
    pub incoming: bool,
    /// The ways that packets can take.
    pub paths: Vec<PeerPath>,
}

impl PeerConnection {
    /// Whether the other is the same connection over the same paths, whatever has passed there meanwhile.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let path = |path: &PeerPath| (path.kind, path.address.clone(), path.selected);
        (&self.key, &self.protocol, self.incoming) == (&other.key, &other.protocol, other.incoming)
            && self.paths.iter().map(path).eq(other.paths.iter().map(path))
    }
}

/// A way to a peer.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerPath {
    /// What kind of way it is.
    pub kind: PathKind,
    /// The address of the peer, or of the relay.
    pub address: String,
    /// Whether it is the one that is used.
    pub selected: bool,
    /// How long a packet and its acknowledgement take.
    pub round_trip: Option<Duration>,
    /// What was sent there.
    pub sent_bytes: u64,
    /// What came from there.
    pub received_bytes: u64,
    /// Packets that were sent there and lost.
    pub lost_packets: u64,
}

/// What kind of way leads to a peer.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PathKind {
    /// Another kind.
    #[default]
    Unspecified = 0,
    /// From address to address.
    Direct = 1,
    /// By a relay.
    Relayed = 2,
    /// A kind that this version does not know.
    #[unknown]
    Other(i32),
}

/// What runs, and for how long.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VersionResponse {
    /// The version of the node's program.
    pub version: String,
    /// When the node was started, by its own clock.
    pub started_at: Option<SystemTime>,
    /// For how long it has run.
    pub uptime: Option<Duration>,
}

/// A change of the cluster, or of the ways to peers.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WatchResponse {
    /// The cluster as it is now, if the node belongs to one.
    pub cluster: Option<ClusterResponse>,
    /// The peers that the node is connected with now; what was sent, received and lost is as of now, and no change by itself.
    pub peers: Vec<PeerConnection>,
}
