//! [`Engine`]: what an engine gives and takes; the side of the transport that faces Raft itself.

use std::future::{Future, ready};

use blixard_rpc::{Result, Status, Streaming};
use blixard_services::raft::RaftMessage;

use crate::{class::Class, health::Standing, member::MemberId, snapshot::ReceivedSnapshot};

/// What a request that is answered once asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// A vote.
    Vote,
    /// Whether a vote would be given.
    PreVote,
    /// To stand for election at once.
    TransferLeader,
    /// To take note that the leader is there.
    Heartbeat,
}

impl Ask {
    /// Its class.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::Vote | Self::PreVote | Self::TransferLeader => Class::Election,
            Self::Heartbeat => Class::Heartbeat,
        }
    }
}

/// A Raft engine, as the transport sees it.
///
/// `from` is always a member of the cluster that has proved to be it: what comes from anyone else was refused before.
///
/// An engine that asks and awaits answers implements `ask` and `append`; one that sends messages, `deliver`; both `snapshot`. The
/// others say `UNIMPLEMENTED`. A term of zero in an answer is as good as any.
pub trait Engine: Send + Sync + 'static {
    /// A request that is answered once. Its caller waits no longer than an election timeout.
    ///
    /// # Errors
    /// The engine does not work, as when it shuts down; that it refuses is an answer.
    fn ask(
        &self,
        from: MemberId,
        ask: Ask,
        request: RaftMessage,
    ) -> impl Future<Output = Result<RaftMessage>> + Send {
        let _ = (from, request);
        ready(Err(Status::unimplemented(format!(
            "the engine answers no {ask:?}"
        ))))
    }

    /// Requests to append, in order; one response each, in the same order. The stream ends when the leader ends it, or fails: then what
    /// was not read of it will not come.
    ///
    /// # Errors
    /// The engine does not work.
    fn append(
        &self,
        from: MemberId,
        requests: Streaming<RaftMessage>,
    ) -> impl Future<Output = Result<Streaming<RaftMessage>>> + Send {
        let _ = (from, requests);
        ready(Err(Status::unimplemented("the engine appends nothing")))
    }

    /// A whole snapshot, checked against its hashes. It is answered when it is installed.
    ///
    /// # Errors
    /// The engine could not install it.
    fn snapshot(
        &self,
        from: MemberId,
        snapshot: ReceivedSnapshot,
    ) -> impl Future<Output = Result<RaftMessage>> + Send {
        let _ = (from, snapshot);
        ready(Err(Status::unimplemented("the engine takes no snapshots")))
    }

    /// Messages of one class, in the order in which they were sent. The next are delivered when this has returned, so that an engine that
    /// is behind slows its peers down.
    ///
    /// # Errors
    /// The engine does not work: the stream is cut.
    fn deliver(
        &self,
        from: MemberId,
        class: Class,
        messages: Vec<RaftMessage>,
    ) -> impl Future<Output = Result<()>> + Send {
        let _ = (from, class, messages);
        ready(Err(Status::unimplemented("the engine takes no messages")))
    }

    /// What the transport has to tell. It must not wait.
    fn event(&self, event: Event) {
        let _ = event;
    }
}

/// What the transport tells the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Messages to a peer were dropped, after they had been queued.
    Dropped {
        /// To whom.
        peer: MemberId,
        /// Of which class.
        class: Class,
        /// How many.
        messages: usize,
        /// Why.
        reason: Dropped,
    },
    /// How a peer is, has changed. One that is [`Down`](Standing::Down) is unreachable: an engine that sends ahead of acknowledgements
    /// stops, and probes.
    Standing {
        /// Who.
        peer: MemberId,
        /// In which class.
        class: Class,
        /// How it is now.
        standing: Standing,
    },
}

/// Why messages were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dropped {
    /// The queue was full.
    Full,
    /// They were too old to be of use.
    Stale,
    /// A newer heartbeat took their place.
    Superseded,
    /// The stream was cut before they were acknowledged: they may have been delivered or not.
    Cut,
    /// The peer is down, and the engine was told.
    Down,
    /// The peer is no member any more, or the transport has ended.
    Removed,
}

impl Dropped {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Full,
        Self::Stale,
        Self::Superseded,
        Self::Cut,
        Self::Down,
        Self::Removed,
    ];

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Stale => "stale",
            Self::Superseded => "superseded",
            Self::Cut => "cut",
            Self::Down => "down",
            Self::Removed => "removed",
        }
    }
}
