//! The switch by scripts, and a whole channel over two sides in memory.

mod adaptive;
mod back;
mod channel;
mod script;
mod silence;
mod start;
