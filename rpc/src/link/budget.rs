//! What a connection may hold in memory of what was received and not yet consumed, or queued and not yet sent.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::wire::limits::MAX_PAYLOAD_BYTES;

/// The most bytes of partly received large messages that one connection holds; further ones wait, and so does their sender.
pub const MAX_INBOUND_BYTES: usize = 4 * MAX_PAYLOAD_BYTES;

/// The most bytes that wait in one lane's queue to be written; further frames wait in their calls.
pub const MAX_LANE_QUEUE_BYTES: usize = 256 * 1024;

/// Payloads up to this size are not counted against [`MAX_INBOUND_BYTES`]: the limit on streams bounds them.
pub(super) const UNCOUNTED_BYTES: usize = 64 * 1024 + 4;

/// The inbound budget of one connection, and what it has held at most.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    inbound: Arc<Semaphore>,
    queued: AtomicUsize,
    peak: AtomicUsize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            inbound: Arc::new(Semaphore::new(MAX_INBOUND_BYTES)),
            queued: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        }))
    }

    /// Waits, first come first served, until a payload of `bytes` may be received.
    ///
    /// Whole payloads are granted, so that each one that has begun can be completed.
    pub(super) async fn inbound(self, bytes: usize) -> OwnedSemaphorePermit {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Arc::clone(&self.0.inbound)
            .acquire_many_owned(bytes)
            .await
            .expect("the semaphore is never closed")
    }

    pub(super) fn add(&self, bytes: usize) {
        let queued = self.0.queued.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.0.peak.fetch_max(queued, Ordering::Relaxed);
    }

    pub(super) fn sub(&self, bytes: usize) {
        self.0.queued.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The most bytes that were queued at once, in both directions.
    pub(super) fn peak_bytes(&self) -> usize {
        self.0.peak.load(Ordering::Relaxed)
    }
}
