//! The conformance suite: what every transport must do, case by case.
//!
//! A transport passes it by one line, which expands to one test a case. There is no way to leave one out.
//!
//! ```
//! use blixard_rpc::{Channel, Memory, Router, call::Peer, codec::Codec, testing::conformance::{Connected, Queued}};
//!
//! async fn connect(router: Router) -> Connected {
//!     Connected {
//!         channel: Channel::new(Memory::new(router)),
//!         codec: Codec::Postcard,
//!         client: Peer::Memory,
//!         ahead_bytes: 0,
//!         queued: Queued::Nothing("the caller runs the handler, and takes each message when it is made"),
//!         keep: Box::new(()),
//!     }
//! }
//!
//! blixard_rpc::conformance!(memory, connect);
//! # fn main() {}
//! ```

// First, so that the macro is known below.
#[macro_use]
mod list;

mod bed;
#[allow(
    clippy::unwrap_used,
    reason = "these are tests: what is not as it must be fails there"
)]
mod cases;
mod harness;
mod item;
mod plan;
mod probe;
mod run;
mod service;
mod subject;

pub use harness::{Connected, Queued, Queues};
pub use run::{names, run};
