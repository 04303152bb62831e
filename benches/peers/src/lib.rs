//! blixard-rpc beside the RPC stacks that one would pick instead, and beside the bare network below them.
//!
//! `stacks` has a file for each stack, `work` one for each kind of work. `one` does one work on one stack, and `all` runs `one` in a
//! process of its own for each, in turn, round by round. README.md says how to run it, and how to read it.

mod all;
mod command;
mod data;
mod goals;
mod link;
mod net;
mod one;
mod plot;
mod raw;
mod report;
mod sample;
mod stack;
mod stacks;
mod table;
mod tls;
mod work;

use std::{error::Error, process::ExitCode};

/// What may fail.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Does some work, and answers how often it allocated on this thread.
pub type Counter = fn(&mut dyn FnMut()) -> u64;

/// The program; with a counter, it counts allocations instead of time.
pub fn main(counter: Option<Counter>) -> ExitCode {
    match command::run(counter) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}
