//! The trait that `blixard.raft.v1.RaftService` is declared with.

use blixard_rpc::{Context, Result, Streaming, iroh_service};

use super::messages::{
    MessageBatch, MessageReceipt, RaftMessage, RaftRequest, SnapshotPart, SnapshotProgress,
};

/// What the members of a Raft cluster say to each other.
///
/// Every method answers `PERMISSION_DENIED` to who is not a member, or belongs to another cluster, and `FAILED_PRECONDITION` if
/// another member was meant. What Raft itself answers, a refusal among it, is in the payload, and is `OK`.
///
/// The methods that ask for one answer are idempotent, as they are in Raft: a request that comes twice is answered alike, so that it may
/// go on over another transport.
#[iroh_service(package = "blixard.raft.v1", name = "RaftService")]
pub trait Raft {
    /// Election: asks for a vote.
    #[rpc(idempotent, priority = "critical", max_message = "64 KiB")]
    async fn vote(&self, cx: &Context, request: RaftRequest) -> Result<RaftMessage>;

    /// Election: asks whether a vote would be given, before a term is begun for it.
    #[rpc(idempotent, priority = "critical", max_message = "64 KiB")]
    async fn pre_vote(&self, cx: &Context, request: RaftRequest) -> Result<RaftMessage>;

    /// Election: hands the lead over to the member, which is to stand for election at once.
    #[rpc(idempotent, priority = "critical", max_message = "64 KiB")]
    async fn transfer_leader(&self, cx: &Context, request: RaftRequest) -> Result<RaftMessage>;

    /// Heartbeat: says that the leader is there.
    #[rpc(idempotent, priority = "high", max_message = "1 MiB")]
    async fn heartbeat(&self, cx: &Context, request: RaftRequest) -> Result<RaftMessage>;

    /// Log: requests to append entries, in order, one stream for as long as both sides are there.
    ///
    /// There is one response for each request, in the order of the requests, however they are batched. When either side ends the
    /// stream, requests that have no response yet may have been taken or not: the leader finds out where its follower is and begins
    /// anew.
    #[rpc(priority = "normal")]
    async fn append(
        &self,
        cx: &Context,
        batches: Streaming<MessageBatch>,
    ) -> Result<Streaming<MessageReceipt>>;

    /// Snapshot: an upload that goes on where the last one was cut.
    ///
    /// The stream begins with what it is a snapshot of. The first answer says how many bytes of it are there already; chunks follow from
    /// there on, and each is answered with how many bytes are there now. When the end was sent, and the member has installed all of it,
    /// the last answer has the engine's response.
    ///
    /// `DATA_LOSS` if a chunk, or the whole, is not what its BLAKE3 hash says.
    #[rpc(priority = "bulk", max_message = "2 MiB")]
    async fn snapshot(
        &self,
        cx: &Context,
        parts: Streaming<SnapshotPart>,
    ) -> Result<Streaming<SnapshotProgress>>;

    /// Election, for engines that send messages and await no answer: votes, and what else elects a leader.
    ///
    /// Each batch is acknowledged when the engine has taken it, in order. That says that it was delivered, and nothing else.
    #[rpc(priority = "critical", max_message = "2 MiB")]
    async fn election_messages(
        &self,
        cx: &Context,
        batches: Streaming<MessageBatch>,
    ) -> Result<Streaming<MessageReceipt>>;

    /// Heartbeat, for engines that send messages: as [`election_messages`](Raft::election_messages).
    #[rpc(priority = "high", max_message = "2 MiB")]
    async fn heartbeat_messages(
        &self,
        cx: &Context,
        batches: Streaming<MessageBatch>,
    ) -> Result<Streaming<MessageReceipt>>;

    /// Log, for engines that send messages: as [`election_messages`](Raft::election_messages).
    #[rpc(priority = "normal")]
    async fn append_messages(
        &self,
        cx: &Context,
        batches: Streaming<MessageBatch>,
    ) -> Result<Streaming<MessageReceipt>>;
}
