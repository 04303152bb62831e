//! Harness of the tests of the whole.

pub mod folder;
pub mod ledger;
pub mod nano;
pub mod net;
pub mod secrets;
pub mod seed;
pub mod talk;
pub mod tcp;
pub mod tools;
pub mod udp;
