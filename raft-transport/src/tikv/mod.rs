//! tikv's [`raft`](https://docs.rs/raft) on this transport: an engine that sends messages and awaits no answers.
//!
//! The engine itself, its log and its clock are its user's, as with `raft` always: a loop that steps what [`Inputs`] has, and gives to
//! [`Courier::send`] what a `Ready` wants sent.

mod courier;
mod input;
mod wire;

pub use courier::Courier;
pub use input::{Input, Inputs};
