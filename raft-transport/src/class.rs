//! [`Class`]: what is sent for what, the more urgent first.

use std::fmt;

use blixard_rpc::Priority;

/// The longest payload of a message of the log: what a call can carry, less what travels beside it.
pub const MAX_PAYLOAD_BYTES: usize = 10 * 1024 * 1024 - 1024;

/// What a message is for. The order is strict: whatever is queued of an earlier class is sent before anything of a later one.
///
/// Each class has streams, a queue, bounds and a health of its own, so that one that is stuck holds up no other. On iroh each has a QUIC
/// priority; snapshots have a connection of their own, on iroh and over gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Votes, pre-votes, and the transfer of the lead.
    Election,
    /// That the leader is there, and the answers to it.
    Heartbeat,
    /// Log entries, and the answers to them.
    LogAppend,
    /// Snapshots.
    Snapshot,
}

impl Class {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 4] = [
        Self::Election,
        Self::Heartbeat,
        Self::LogAppend,
        Self::Snapshot,
    ];

    /// The name in metrics, logs and configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Election => "election",
            Self::Heartbeat => "heartbeat",
            Self::LogAppend => "log_append",
            Self::Snapshot => "snapshot",
        }
    }

    /// The priority of its calls.
    #[must_use]
    pub const fn priority(self) -> Priority {
        match self {
            Self::Election => Priority::Critical,
            Self::Heartbeat => Priority::High,
            Self::LogAppend => Priority::Normal,
            Self::Snapshot => Priority::Bulk,
        }
    }

    /// Which of the connections to a peer carries it.
    #[must_use]
    pub const fn purpose(self) -> Purpose {
        match self {
            Self::Election | Self::Heartbeat | Self::LogAppend => Purpose::Calls,
            Self::Snapshot => Purpose::Bulk,
        }
    }

    /// The longest payload of one of its messages.
    #[must_use]
    pub const fn max_payload_bytes(self) -> usize {
        match self {
            // What a call that is to be done at once can carry, less what travels beside it.
            Self::Election => 63 * 1024,
            Self::Heartbeat | Self::Snapshot => 1023 * 1024,
            Self::LogAppend => MAX_PAYLOAD_BYTES,
        }
    }

    /// Its place in arrays of what there is once a class.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a connection to a peer is for: there is one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Elections, heartbeats and the log.
    Calls,
    /// Snapshots.
    Bulk,
}

impl Purpose {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Calls, Self::Bulk];

    /// Its place in arrays of what there is once a purpose.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_priorities() {
        assert!(Class::ALL.is_sorted());
        assert!(Class::ALL.is_sorted_by_key(|class| std::cmp::Reverse(class.priority())));
        for (place, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class.index(), place);
        }
    }
}
