//! `blixard.raft.v1.RaftService`: what the members of a Raft cluster say to each other, whatever engine they run.
//!
//! The payloads are the engine's own bytes, which nobody else reads. Beside them travels what the transport judges by: the cluster, the
//! member that is meant, and the term. Who sends is not among it, for that is the authenticated peer of the call.
//!
//! The methods fall into four classes, the more urgent first, each with a priority of its own: elections, heartbeats, the log, and
//! snapshots. So a snapshot keeps no vote waiting.
//!
//! What queues, batches and judges health above it, and what turns the peer of a call into a member, is `blixard-raft-transport`.

mod api;
mod messages;

pub use api::{Raft, RaftClient, RaftServer, RaftService};
pub use messages::{
    MAX_CLUSTER_BYTES, MessageBatch, MessageReceipt, RaftMessage, RaftRequest, SnapshotBegin,
    SnapshotChunk, SnapshotEnd, SnapshotPart, SnapshotProgress,
};
