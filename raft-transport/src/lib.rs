//! An engine-neutral Raft transport over blixard-rpc.
//!
//! It carries the bytes of a Raft engine between the members of a cluster, in four [classes](Class), Election before Heartbeat before
//! LogAppend before Snapshot, each with streams, a priority, bounds and a health of its own.
//!
//! - A [`Transport`] knows the [members](Member), how they are reached (a [`Network`]: iroh, gRPC, or both), and by what they prove who they
//!   are. The engine sends by its [peers](Peer): requests that are answered ([`Peer::vote`], [`Peer::append`]), or one-way messages
//!   ([`Peer::send`]), whichever it is made for; and snapshots.
//! - An [`Engine`] is what receives: it is served by [`Transport::server`], and is told from which member each message is. Whoever is no
//!   member of the cluster never reaches it.
//!
//! What it decides by itself, it decides in parts that know no clock, and take the time as an argument: [`queue`], [`lane`], [`health`],
//! [`rate`].

mod append;
mod arrival;
mod beat;
mod class;
mod config;
mod counts;
mod engine;
mod error;
pub mod health;
mod inbound;
mod insecure;
pub mod lane;
mod member;
mod metrics;
mod network;
#[cfg(feature = "openraft")]
pub mod openraft;
mod outbound;
mod pace;
mod pack;
mod peer;
pub mod queue;
pub mod rate;
mod shared;
mod snapshot;
mod stream;
#[cfg(feature = "tikv")]
pub mod tikv;
mod transport;
mod upload;

pub use append::Appends;
pub use class::{Class, MAX_PAYLOAD_BYTES, Purpose};
pub use config::{
    MAX_BATCH_BYTES, MAX_BATCH_MESSAGES, MAX_WINDOW, QueueLimits, SNAPSHOT_CHUNK_BYTES,
    SnapshotConfig, TransportConfig,
};
pub use engine::{Ask, Dropped, Engine, Event};
pub use error::SendError;
pub use health::Standing;
pub use inbound::Inbound;
pub use member::{Member, MemberId};
pub use metrics::{ClassStatus, PeerStatus};
pub use network::Network;
pub use peer::Peer;
pub use snapshot::{MAX_ID_BYTES, OutgoingSnapshot, ReceivedSnapshot};
pub use transport::Transport;

pub use blixard_services::raft::RaftMessage;
