//! What is counted and traced, and under which names. When that happens is decided in the middleware.

mod metrics;
pub mod names;
mod oneway;
mod propagate;

pub(crate) use metrics::MethodMetrics;
pub use metrics::{Metrics, Side};
pub(crate) use oneway::oneway_dropped;
pub use oneway::oneway_dropped_total;
pub use propagate::TraceContext;
