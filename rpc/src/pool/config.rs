//! [`PoolConfig`]: the limits and times of a pool.

use std::time::Duration;

use crate::backoff::Backoff;

/// The limits and times of a [`Pool`](super::Pool).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// How far attempts to connect that fail are apart. In between, calls fail at once.
    pub backoff: Backoff,
    /// A connection that was open for less than this counts as one more failure when it is lost: a server that takes
    /// connections only to close them is not dialled in a loop.
    pub stable_after: Duration,
    /// A connection without calls is closed after this; with [`Duration::MAX`] it never is.
    pub idle_timeout: Duration,
    /// The most connections, open or being opened. For one more, the one idle for longest is closed.
    pub max_connections: usize,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            backoff: Backoff {
                first: Duration::from_millis(100),
                longest: Duration::from_secs(10),
            },
            stable_after: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(300),
            max_connections: 1024,
        }
    }
}
