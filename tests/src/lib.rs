//! Harness of the tests of the whole.

pub mod net;
pub mod talk;
pub mod tools;
