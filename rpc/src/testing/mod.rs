//! What proves that a transport is one, and what makes calls fail on purpose. For tests alone; no case and no fault is defined here.

pub mod conformance;
mod faults;

pub use faults::{Faults, Faulty, Injected};
