//! Harness of the tests of the whole.

pub mod ledger;
pub mod net;
pub mod talk;
pub mod udp;
