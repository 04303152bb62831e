//! The conformance suite: what every transport must do, case by case.
//!
//! A transport passes it by one line, which expands to one test a case. There is no way to leave one out.
//!
//! ```
//! use blixard_rpc::{Channel, Memory, Router, call::Peer, codec::Codec, testing::conformance::Connected};
//!
//! async fn connect(router: Router) -> Connected {
//!     Connected {
//!         channel: Channel::new(Memory::new(router)),
//!         codec: Codec::Postcard,
//!         client: Peer::Memory,
//!         ahead_bytes: 0,
//!         queue_limit_bytes: 0,
//!         peak_queued_bytes: Box::new(|| 0),
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

pub use harness::Connected;
pub use run::{names, run};
