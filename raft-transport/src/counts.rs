//! What is counted of one peer and class, and of what was refused. How it is printed lives in `metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::Dropped;

/// What is counted of one peer and class.
#[derive(Debug, Default)]
pub(crate) struct ClassCounts {
    pub(crate) sent_messages: Count,
    pub(crate) sent_bytes: Count,
    pub(crate) sent_batches: Count,
    pub(crate) received_messages: Count,
    pub(crate) received_bytes: Count,
    pub(crate) failed: Count,
    dropped: [Count; Dropped::ALL.len()],
}

impl ClassCounts {
    pub(crate) const fn dropped(&self, reason: Dropped) -> &Count {
        &self.dropped[reason as usize]
    }

    pub(crate) fn sent(&self, messages: usize, bytes: usize) {
        self.sent_batches.add(1);
        self.sent_messages.add(messages);
        self.sent_bytes.add(bytes);
    }

    pub(crate) fn received(&self, messages: usize, bytes: usize) {
        self.received_messages.add(messages);
        self.received_bytes.add(bytes);
    }
}

/// Why something that came in was not given to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Nothing was proved of the sender.
    Unproven,
    /// The sender has proved to be no member.
    Stranger,
    /// It belongs to another cluster.
    Foreign,
    /// It was for another member.
    Misdirected,
    /// It is not what it should be.
    Malformed,
}

impl Refused {
    pub(crate) const ALL: [Self; 5] = [
        Self::Unproven,
        Self::Stranger,
        Self::Foreign,
        Self::Misdirected,
        Self::Malformed,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unproven => "unproven",
            Self::Stranger => "stranger",
            Self::Foreign => "foreign_cluster",
            Self::Misdirected => "misdirected",
            Self::Malformed => "malformed",
        }
    }
}

/// What was refused.
#[derive(Debug, Default)]
pub(crate) struct RefusedCounts([Count; Refused::ALL.len()]);

impl RefusedCounts {
    pub(crate) const fn of(&self, reason: Refused) -> &Count {
        &self.0[reason as usize]
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
