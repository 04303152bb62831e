//! The schemas of services that `#[iroh_service]` declares, kept in `.proto` files beside the code.
//!
//! A service is declared in Rust, and its `.proto` follows from it. So a change in Rust is a change for everybody who generated code from the
//! `.proto`, or runs an older version, and easily made. [`check`] is a test of two lines that compares the two, and says what of a change
//! breaks whom:
//!
//! ```text
//! proto/demo/v1/demo.proto is not what the services are:
//!   message Greeting {
//!     string text = 1;
//! -   uint64 at = 4;
//! +   uint32 at = 4;
//!   }
//!
//! This breaks clients and servers that run now:
//!   - demo.v1.Greeting.at (field 4): it is uint32 now, and was uint64
//!       the bytes are of one kind, and values that both types have are read right; but what does not fit in 32 bits is cut by the side
//!       with the smaller type
//!       In calls of demo.v1.Greeter.Greet
//!       Instead: a field more, with a number of its own
//! ```
//!
//! A change that breaks nobody fails too, and says how it is accepted: the files are what others read.
//!
//! [`main`] is a program of one line that prints, writes and checks the files, and writes the descriptor set; [`Golden`] and [`compare`] are
//! what both are made of.

mod check;
mod command;
mod compare;
mod diff;
#[cfg(test)]
mod fixture;
mod golden;

pub use check::check;
pub use command::main;
pub use compare::{Break, Whom, compare};
pub use golden::{Error, Golden};
