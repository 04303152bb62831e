//! One-way calls that were dropped: nobody waits for their answer, so they are counted here and said in the log.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::status::Status;

/// How many one-way calls of this process were dropped before they were queued.
#[must_use]
pub fn oneway_dropped_total() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Counts a dropped call, and says so in the log, but not more often than [`LOG_INTERVAL`].
pub(crate) fn oneway_dropped(path: &str, status: &Status) {
    let total = DROPPED.fetch_add(1, Ordering::Relaxed) + 1;
    let mut last = LAST_LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    if last.is_none_or(|last| now.saturating_duration_since(last) >= LOG_INTERVAL) {
        *last = Some(now);
        drop(last);
        tracing::warn!(path, %status, total, "a one-way call was dropped");
    }
}

static DROPPED: AtomicU64 = AtomicU64::new(0);
static LAST_LOGGED: Mutex<Option<Instant>> = Mutex::new(None);

/// A flood of drops must not become a flood of log lines.
const LOG_INTERVAL: Duration = Duration::from_secs(1);
