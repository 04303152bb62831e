//! Both transports at once, and moving from one to the other while running.
//!
//! - On the server, a [`ServiceRunner`] serves a router on iroh, gRPC or both: its [`Mode`]. A [`MigrationStrategy`] says which of them
//!   carries which service, and can be changed while it runs: calls in flight go on where they are, new ones are told where to go.
//! - On the client, a [`DualChannel`] is one channel over two: it prefers one side, goes over the other while that is away, and back. A
//!   service that has moved it follows. What it has done, and how it sees its sides, says [`DualChannel::stats`].
//! - A `RunnerConfig` is all of it in a TOML file and the environment, with the feature `config`.
//!
//! # Moving a service
//!
//! From gRPC to iroh, say, without losing a call:
//!
//! 1. Serve in [`Mode::Dual`] with `carry = "grpc"`. Clients call through a [`DualChannel`], whatever they prefer: the first call that goes
//!    to iroh is sent on, and those after it know.
//! 2. `carry = "both"`: clients that prefer iroh find out within two seconds. Should it not go well, `carry = "grpc"` is the way back.
//! 3. `carry = "iroh"`: the last that still call over gRPC are sent on.
//!
//! `cargo run --example migration --features grpc` shows it under load. Clients that know gRPC alone are lost at the third step:
//! whether there are any, says the count of calls by transport.
//!
//! # When a side is away, and when it is back
//!
//! ```text
//!                 an answer                  a refusal, or silence
//!   +---------+ ------------> +------+ ------------------------------> +------+
//!   | unknown |               |  up  |                                 | away |
//!   +---------+ <------------ +------+ <------------------------------ +------+
//!        |      no calls, 5 s          three good answers, cool-down over ^
//!        |                                                                |
//!        '----------------------------------------------------------------'
//!                              a refusal, or silence
//! ```
//!
//! - A side that says that it did not take a call (it cannot be reached, shuts down, refuses) is away at once, and the call goes on over
//!   the other. A side from which nothing comes for 150 ms while calls wait is asked gRPC's health check, and is away if it does not answer,
//!   or says that it is not serving. How long it is waited for follows from how long it took to answer before: at least 200 ms and at most
//!   half a second. So a dead side costs nobody more than a second, and after that nothing.
//! - The question is a critical call, which finds a place where all that a server takes at once are taken: calls that wait for each other
//!   are not silence. (Over tonic's channel it waits for its turn as all do; a side that is often full had better be a `GrpcConnector`'s.)
//! - While it is away it is asked twice a second. It is up again after three good answers in a row, and not before a cool-down of a second,
//!   which doubles, up to a minute, each time that it did not hold for ten seconds. So a side that comes and goes is used less and less.
//! - If both are away, the preferred one is tried, as if there were no other, and the first that answers is up.
//! - A side that is up is asked every five seconds, so that it is known how long its answers take, and `stats` and the log tell of a way
//!   out that is broken before it is needed. After five seconds without calls nothing is asked any more, and nothing is known: the next call waits for what its
//!   preferred side says, at most for half a second.
//! - [`Prefer::Adaptive`] times both sides twice a second by the same question (calls take as long as their handlers do, and so
//!   cannot be compared) and changes when the other has been faster three times in a row, by 2 ms and by a quarter.
//!
//! The times are those of [`DualConfig::default`].
//!
//! # Which calls go on over the other side
//!
//! | the call | it |
//! |---|---|
//! | was refused with `UNAVAILABLE`, and was not taken for certain (`Status::was_accepted()` is `false`) | goes on |
//! | was refused with `UNIMPLEMENTED`, by a server of another version | goes on, if the other side is up |
//! | still waits to be sent, for a connection or a place among those that the server takes at once, when its side goes away | goes on, if the other side is up |
//! | was refused otherwise, such as with `RESOURCE_EXHAUSTED` by a limit | is over: it would be on the other side too |
//! | was taken and lost, or is on a side that fell silent; its method is idempotent | goes on |
//! | the same, and its method is not idempotent | ends with `UNAVAILABLE` when its transport finds out, once |
//! | was answered, be it with an error | is over |
//! | has a stream of requests of which more was sent than is kept ([`MAX_KEPT_BYTES`]) | does not go on |
//! | has its first response | stays where it is; an error of its stream is its end |
//!
//! No call is sent more than twice.

#[cfg(feature = "config")]
mod config;
mod dual;
mod gate;
mod migration;
mod mode;
#[cfg(any(feature = "iroh", feature = "grpc"))]
mod service_runner;

#[cfg(feature = "config")]
pub use config::{
    Compression, ConfigError, GrpcLimits, GrpcSettings, IrohSettings, Relays, RunnerConfig,
    TlsSettings, WebOrigins,
};
pub use dual::{
    DualChannel, DualConfig, DualStats, MAX_KEPT_BYTES, MAX_KEPT_TOTAL_BYTES, SideStats, Standing,
};
pub use gate::{Gate, Gated};
pub use migration::{Carry, Migration, MigrationStrategy, Prefer};
pub use mode::{Mode, Transport};
#[cfg(any(feature = "iroh", feature = "grpc"))]
pub use service_runner::{Running, ServiceRunner};
