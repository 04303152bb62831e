//! What is counted, and under which names. Nothing here decides anything.

mod oneway;

pub(crate) use oneway::oneway_dropped;
pub use oneway::oneway_dropped_total;
