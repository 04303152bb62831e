//! Harness of the tests of the whole.

pub mod bottleneck;
pub mod net;
pub mod talk;
pub mod tools;
