//! [`DualChannel`]: the client's half of dual running.

mod channel;
mod choice;
mod clock;
mod config;
mod counts;
mod patience;
mod probe;
mod recording;
mod shared;
mod side;
mod switch;
mod watch;

#[cfg(test)]
mod tests;

pub use channel::DualChannel;
pub use config::DualConfig;
pub use counts::{DualStats, SideStats, Standing};
pub use recording::{MAX_KEPT_BYTES, MAX_KEPT_TOTAL_BYTES};
