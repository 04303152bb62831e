//! What the bare baselines share: small frames of many calls on one stream of bytes, whatever carries it.
//!
//! There is no service, no method, no status, no deadline, no cancellation: these are ceilings, not frameworks.

mod callers;
mod frame;
pub(crate) mod iroh_lane;

pub(crate) use callers::{Callers, RawClient};
pub(crate) use frame::{Asked, Frames, answer};
