//! The names that people see: metadata keys of the trace, span fields, metrics.

/// The metadata key that names the trace and the caller's span.
pub const TRACEPARENT: &str = "traceparent";
/// The metadata key with what tracing systems add of their own.
pub const TRACESTATE: &str = "tracestate";

/// The counter of calls that have ended, by `side`, `service`, `method` and `code`.
pub const CALLS_TOTAL: &str = "blixard_rpc_calls_total";
/// The gauge of calls that have not ended.
pub const CALLS_IN_FLIGHT: &str = "blixard_rpc_calls_in_flight";
/// The histogram of how long calls took, streams until their end.
pub const CALL_DURATION_SECONDS: &str = "blixard_rpc_call_duration_seconds";
/// The counter of the bytes of messages that came in.
pub const RECEIVED_BYTES_TOTAL: &str = "blixard_rpc_received_bytes_total";
/// The counter of the bytes of messages that went out.
pub const SENT_BYTES_TOTAL: &str = "blixard_rpc_sent_bytes_total";
/// The counter of one-way calls that were dropped before they were queued.
pub const ONEWAY_DROPPED_TOTAL: &str = "blixard_rpc_oneway_dropped_total";

/// The counter of calls that a dual channel has sent, by `channel` and `transport`.
pub const DUAL_CALLS_TOTAL: &str = "blixard_rpc_dual_calls_total";
/// The gauge of those that wait for an answer.
pub const DUAL_WAITING: &str = "blixard_rpc_dual_calls_waiting";
/// The counter of those that went on over the other transport.
pub const DUAL_MOVED_TOTAL: &str = "blixard_rpc_dual_calls_moved_total";
/// The gauge of whether the peer answers over a transport, 1 or 0.
pub const DUAL_UP: &str = "blixard_rpc_dual_up";
/// The gauge of how long it took lately to answer a health check.
pub const DUAL_LATENCY_SECONDS: &str = "blixard_rpc_dual_latency_seconds";
/// The counter of changes of the transport that calls are sent over, by `channel`.
pub const DUAL_SWITCHES_TOTAL: &str = "blixard_rpc_dual_switches_total";

/// What stands for the service and the method of a call that names none that exists: a peer must not be able to make series.
pub const UNKNOWN: &str = "unknown";
