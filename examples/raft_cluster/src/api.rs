//! What clients ask of a node: keys and values, how it is, and what to do for the sake of the show.

use blixard_rpc::{RpcError, Status, iroh_service, message};

/// One key.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its value, if it is there.
    pub value: Option<String>,
}

/// How a node is.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeStatus {
    /// Which it is.
    pub id: u64,
    /// Leader, follower, candidate, learner.
    pub role: String,
    /// Its term.
    pub term: u64,
    /// Who leads, as far as it knows.
    pub leader: Option<u64>,
    /// Who is a voter, as far as it knows.
    pub voters: Vec<u64>,
    /// The last entry of its log.
    pub last: Option<u64>,
    /// What it knows to be committed.
    pub committed: Option<u64>,
    /// What its state has.
    pub applied: Option<u64>,
    /// Up to where its snapshot goes.
    pub snapshot: Option<u64>,
    /// Iroh, dual or gRPC.
    pub mode: String,
    /// What it knows of the others.
    pub peers: Vec<PeerStatus>,
}

/// What a node knows of another.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerStatus {
    /// Which it is.
    pub id: u64,
    /// Up to where its log is known to be the same; of a leader alone.
    pub matched: Option<u64>,
    /// What carries messages to it.
    pub over: String,
    /// Each class of messages, in the order of their importance.
    pub classes: Vec<ClassStatus>,
}

/// One class of messages to a peer.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassStatus {
    /// Its name.
    pub class: String,
    /// Up, suspect or down.
    pub health: String,
    /// The last round trip.
    pub round_trip_micros: Option<u64>,
}

/// Why a node did not do what it was asked for.
#[derive(Clone, Debug, RpcError)]
#[rpc(package = "raft_cluster.v1")]
pub enum KvError {
    /// Another one leads. Nothing was done.
    #[rpc(code = "FAILED_PRECONDITION", message = "not the leader")]
    NotLeader {
        /// Who does, if this is known.
        leader: Option<u64>,
    },
    /// It may have been done, or may yet be.
    #[rpc(code = "UNKNOWN", message = "it may have been done: {reason}")]
    Unclear {
        /// Why that is not known.
        reason: String,
    },
    /// What everything else becomes.
    #[rpc(status)]
    Other(Status),
}

/// A node of the cluster.
#[iroh_service(package = "raft_cluster.v1")]
pub trait Node {
    /// Sets a key. When this has answered, a majority has it on its disks.
    async fn put(&self, key: String, value: String) -> Result<u64, KvError>;
    /// Reads a key as of now.
    async fn get(&self, key: String) -> Result<Found, KvError>;
    /// Reads a key as this member has it.
    #[rpc(idempotent)]
    async fn local(&self, key: String) -> Result<Found, KvError>;
    /// How it is.
    #[rpc(idempotent)]
    async fn status(&self) -> Result<NodeStatus, KvError>;
    /// Begins a cluster of these members; once, at one of them.
    async fn begin(&self, #[tag(1)] members: Vec<u64>) -> Result<(), KvError>;
    /// Makes these the voters.
    async fn voters(&self, #[tag(1)] members: Vec<u64>) -> Result<(), KvError>;
    /// Leaves the lead to another.
    async fn transfer(&self, to: u64) -> Result<(), KvError>;
    /// Takes a snapshot, and forgets the log before it.
    async fn snapshot(&self) -> Result<(), KvError>;
    /// Sends over `iroh`, `dual` or `grpc` from now on.
    async fn carry(&self, mode: String) -> Result<(), KvError>;
}
