//! The messages of `blixard.raft.v1`. All methods share them, since what differs between them is in the engine's payloads.

use blixard_rpc::message;
use bytes::Bytes;

/// The longest name of a cluster.
pub const MAX_CLUSTER_BYTES: usize = 64;

/// One request to a member.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RaftRequest {
    /// The cluster that both belong to.
    pub cluster: String,
    /// The member that is meant.
    pub target: u64,
    /// The sender's term.
    pub term: u64,
    /// The engine's request.
    pub payload: Bytes,
}

/// What an engine says: one of its messages, or a response.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RaftMessage {
    /// The sender's term; zero if it is no business of the transport's.
    pub term: u64,
    /// The engine's own bytes.
    pub payload: Bytes,
}

impl RaftMessage {
    /// A message of this term.
    pub fn new(term: u64, payload: impl Into<Bytes>) -> Self {
        Self {
            term,
            payload: payload.into(),
        }
    }
}

/// Messages that were ready together.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageBatch {
    /// The cluster that both belong to.
    pub cluster: String,
    /// The member that is meant.
    pub target: u64,
    /// The number of the batch in its stream, from 1.
    pub sequence: u64,
    /// The messages, in order.
    pub messages: Vec<RaftMessage>,
}

/// Says that batches were taken.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageReceipt {
    /// The number of the last batch that was taken, and all before it were; in answers to `Append` zero.
    pub sequence: u64,
    /// In answers to `Append`: the next responses, one a request, in the order of the requests.
    pub messages: Vec<RaftMessage>,
}

/// A part of an upload: what it is a snapshot of, then its bytes, then that this was all.
#[message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotPart {
    /// The first part.
    Begin(SnapshotBegin),
    /// Bytes that follow those that are there.
    Chunk(SnapshotChunk),
    /// The last part.
    End(SnapshotEnd),
}

/// What the upload is a snapshot of.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotBegin {
    /// The cluster that both belong to.
    pub cluster: String,
    /// The member that is meant.
    pub target: u64,
    /// The sender's term.
    pub term: u64,
    /// What names the snapshot, and its bytes: an upload with the same name goes on where the last one from this sender was cut.
    pub id: String,
    /// How many bytes it has.
    pub total_bytes: u64,
    /// What the engine says of it.
    pub payload: Bytes,
}

/// Bytes of a snapshot.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotChunk {
    /// Where in the snapshot they lie.
    pub offset: u64,
    /// The bytes, at most a MiB.
    pub data: Bytes,
    /// Their BLAKE3 hash, 32 bytes.
    pub hash: Bytes,
}

/// That this was all of the snapshot.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotEnd {
    /// The BLAKE3 hash of the whole, 32 bytes.
    pub hash: Bytes,
}

/// How far an upload has come.
#[message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotProgress {
    /// So many bytes are there; the next chunk begins with the one after.
    Received(u64),
    /// The engine has installed it, and says this.
    Installed(RaftMessage),
}
