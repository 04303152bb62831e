//! Reflection: what a router tells of its services, to whoever may call it. `grpc.reflection.v1`, and its `v1alpha`, which many tools still
//! ask first.
//!
//! Both are services of the router like any other: its layers see their calls, and every transport carries them.

mod answers;
mod api;
mod files;
mod messages;
mod router;

pub use answers::{MAX_ANSWER_BYTES, MAX_QUESTION_BYTES};
