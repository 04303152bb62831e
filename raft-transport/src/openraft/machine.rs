//! What a cluster replicates, as its author writes it: a [`Machine`] that applies commands to one ordered map of bytes. Where the
//! map lies, how it survives and how it becomes a snapshot is none of its business.

use std::{
    cmp::Ordering,
    fmt::{self, Debug, Display, Formatter},
    io,
    marker::PhantomData,
};

use openraft::{EntryPayload, RaftTypeConfig, impls, vote::RaftLeaderId};
use serde::{Serialize, de::DeserializeOwned};

use super::state::State;

/// A replicated state machine: commands in, answers out, and a map of bytes between.
///
/// Every member applies the same commands in the same order, so `apply` depends on its arguments and nothing else: no clock, no
/// randomness, no iteration order of a `HashMap`.
///
/// ```
/// use blixard_raft_transport::openraft::{Machine, State};
///
/// /// Counts, by name.
/// struct Counters;
///
/// impl Machine for Counters {
///     type Command = String;
///     type Answer = u64;
///
///     fn apply(&self, state: &mut State<'_>, name: String) -> std::io::Result<u64> {
///         let count = state.get(name.as_bytes())?.map_or(0, |it| u64::from_be_bytes(it.try_into().unwrap_or_default())) + 1;
///         state.put(name.as_bytes(), &count.to_be_bytes())?;
///         Ok(count)
///     }
/// }
/// ```
pub trait Machine: Send + Sync + 'static {
    /// What a client asks for.
    type Command: Clone + Debug + Display + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// What it is answered. The default is the answer to entries that are no command: the first of a leader, and changes of members.
    type Answer: Default + Debug + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Applies one command.
    ///
    /// # Errors
    ///
    /// What the state could not do. It stops this member: a command that is refused is an [`Answer`](Self::Answer).
    fn apply(&self, state: &mut State<'_>, command: Self::Command) -> io::Result<Self::Answer>;
}

/// The types of openraft for a [`Machine`]: members are numbers, a term has one leader, and a member's node says where it is reached.
pub struct Types<M>(PhantomData<fn() -> M>);

impl<M: Machine> RaftTypeConfig for Types<M> {
    type D = M::Command;
    type R = M::Answer;
    type NodeId = u64;
    type Node = impls::BasicNode;
    type Term = u64;
    type LeaderId = impls::leader_id_std::LeaderId<u64, u64>;
    type Vote = impls::Vote<Self::LeaderId>;
    type Payload = EntryPayload<M::Command, u64, impls::BasicNode>;
    type Entry = impls::Entry<<Self::LeaderId as RaftLeaderId>::Committed, Self::Payload>;
    type AsyncRuntime = openraft_rt_tokio::TokioRuntime;
    type Responder<T>
        = impls::ProgressResponder<Self, T>
    where
        T: Send + 'static;
    type Batch<T>
        = impls::InlineBatch<T>
    where
        T: Send + 'static;
    type ErrorSource = impls::BoxedErrorSource;
}

// By hand: a derive would ask the same of the machine.
impl<M> Clone for Types<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Types<M> {}

impl<M> Default for Types<M> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<M> Debug for Types<M> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Types")
    }
}

impl<M> PartialEq for Types<M> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<M> Eq for Types<M> {}

impl<M> PartialOrd for Types<M> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<M> Ord for Types<M> {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}
