//! [`TransportConfig`]: who this member is, and the bounds and times of its transport.

use std::{path::PathBuf, time::Duration};

use blixard_rpc::{Result, Status, backoff::Backoff, runner::Mode};
use blixard_services::raft::MAX_CLUSTER_BYTES;

use crate::{class::Class, member::MemberId};

/// The most messages in a batch.
pub const MAX_BATCH_MESSAGES: usize = 100;

/// The most bytes in a batch; a single message may be larger, up to [`MAX_PAYLOAD_BYTES`](crate::MAX_PAYLOAD_BYTES).
pub const MAX_BATCH_BYTES: usize = 1024 * 1024;

/// The longest batching window.
pub const MAX_WINDOW: Duration = Duration::from_millis(10);

/// The bytes of a snapshot that travel together, and after which an upload can go on.
pub const SNAPSHOT_CHUNK_BYTES: usize = 1024 * 1024;

/// Who this member is, and the bounds and times of its transport.
///
/// The defaults fit an election timeout of a second or more; [`election_timeout`](Self::election_timeout) should be the engine's own.
#[derive(Clone, Debug, PartialEq)]
pub struct TransportConfig {
    /// The name of the cluster, of 1 to [`MAX_CLUSTER_BYTES`] bytes: what comes from another one never reaches the engine.
    pub cluster: String,
    /// The id of this member.
    pub id: MemberId,
    /// What carries calls; it can be changed while running.
    pub mode: Mode,
    /// Takes the sender's own word for who it is where the transport proves nothing: in memory, or over gRPC without TLS. For tests.
    pub insecure: bool,
    /// The engine's shortest election timeout. Votes that are older are not sent any more, and answers to votes and heartbeats
    /// are not awaited longer.
    pub election_timeout: Duration,
    /// Whatever is older is not sent any more.
    pub stale_after: Duration,
    /// What may be queued or unanswered of elections, for each peer.
    pub election: QueueLimits,
    /// The same of heartbeats.
    pub heartbeat: QueueLimits,
    /// The same of the log.
    pub log_append: QueueLimits,
    /// What may be under way on the stream of a class, and not acknowledged.
    pub in_flight: QueueLimits,
    /// For how long messages of the log are held back so that more travel together: at most [`MAX_WINDOW`]. Zero sends what is there
    /// whenever the stream takes it, which batches by itself where there is much to send.
    pub append_window: Duration,
    /// After how long without an acknowledgement, while some are awaited, a peer is suspect; after twice as long it is down, and the
    /// stream is given up.
    pub suspect_after: Duration,
    /// How far attempts to reach a peer that is away are apart. One that calls us is tried at once.
    pub redial: Backoff,
    /// Of snapshots.
    pub snapshot: SnapshotConfig,
}

/// How much may be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// The most messages.
    pub messages: usize,
    /// The most bytes of payloads. A single message may be larger if it is alone.
    pub bytes: usize,
}

/// How snapshots are sent and received.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotConfig {
    /// Where uploads are kept while they come in. What an earlier run has left there is removed. It should be on the file system where
    /// the engine keeps its snapshots, so that a snapshot is moved and not copied.
    pub directory: PathBuf,
    /// How many bytes a second are sent at most, over all peers together: a MiB or more, or `None` for as many as go.
    pub bytes_per_second: Option<u64>,
    /// The largest snapshot that is taken.
    pub max_bytes: u64,
    /// How long nothing may come of an upload before it is given up, on either side: longer than a chunk of a MiB takes.
    pub idle_timeout: Duration,
    /// For how long an upload that gets no further is tried again.
    pub give_up_after: Duration,
    /// How long what has come of an upload that was cut is kept.
    pub keep_partial: Duration,
}

impl TransportConfig {
    /// The defaults for this member of this cluster.
    pub fn new(cluster: impl Into<String>, id: MemberId) -> Self {
        Self {
            cluster: cluster.into(),
            id,
            mode: Mode::Iroh,
            insecure: false,
            election_timeout: Duration::from_secs(1),
            stale_after: Duration::from_secs(30),
            election: QueueLimits {
                messages: 64,
                bytes: 1024 * 1024,
            },
            heartbeat: QueueLimits {
                messages: 1024,
                bytes: 4 * 1024 * 1024,
            },
            log_append: QueueLimits {
                messages: 4096,
                bytes: 32 * 1024 * 1024,
            },
            in_flight: QueueLimits {
                messages: 4096,
                bytes: 8 * 1024 * 1024,
            },
            append_window: Duration::ZERO,
            suspect_after: Duration::from_secs(1),
            redial: Backoff {
                first: Duration::from_millis(100),
                longest: Duration::from_secs(2),
            },
            snapshot: SnapshotConfig::default(),
        }
    }

    /// The bounds of a class; those of snapshots are in [`SnapshotConfig`].
    #[must_use]
    pub const fn limits(&self, class: Class) -> QueueLimits {
        match class {
            Class::Election => self.election,
            Class::Heartbeat => self.heartbeat,
            Class::LogAppend | Class::Snapshot => self.log_append,
        }
    }

    /// After how long a queued message of this class is not worth sending any more.
    #[must_use]
    pub fn stale_after(&self, class: Class) -> Duration {
        match class {
            Class::Election => self.election_timeout.min(self.stale_after),
            _ => self.stale_after,
        }
    }

    /// # Errors
    /// `INVALID_ARGUMENT`, with which setting is wrong and what it may be.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |what: String| Err(Status::invalid_argument(what));
        if self.cluster.is_empty() || self.cluster.len() > MAX_CLUSTER_BYTES {
            return invalid(format!(
                "cluster = {:?} has {} bytes; it may have 1 to {MAX_CLUSTER_BYTES}",
                self.cluster,
                self.cluster.len()
            ));
        }
        if self.append_window > MAX_WINDOW {
            return invalid(format!(
                "append_window = {:?} is longer than {MAX_WINDOW:?}",
                self.append_window
            ));
        }
        for (name, time) in [
            ("election_timeout", self.election_timeout),
            ("stale_after", self.stale_after),
            ("suspect_after", self.suspect_after),
            ("snapshot.idle_timeout", self.snapshot.idle_timeout),
        ] {
            if time.is_zero() {
                return invalid(format!("{name} is zero"));
            }
        }
        for (name, limits) in [
            ("election", self.election),
            ("heartbeat", self.heartbeat),
            ("log_append", self.log_append),
            ("in_flight", self.in_flight),
        ] {
            if limits.messages == 0 || limits.bytes == 0 {
                return invalid(format!("{name} has no room for a message"));
            }
        }
        if let Some(rate) = self.snapshot.bytes_per_second
            && rate < SNAPSHOT_CHUNK_BYTES as u64
        {
            return invalid(format!(
                "snapshot.bytes_per_second = {rate} is less than a chunk, {SNAPSHOT_CHUNK_BYTES}: uploads would seem to stand still; None is without a limit"
            ));
        }
        Ok(())
    }
}

impl Default for SnapshotConfig {
    /// In a directory of this process below the system's for temporary files; 100 MiB a second, which leaves a link of a gigabit some
    /// room; at most 64 GiB.
    fn default() -> Self {
        let name = format!("blixard-raft-{}", std::process::id());
        Self {
            directory: std::env::temp_dir().join(name),
            bytes_per_second: Some(100 * 1024 * 1024),
            max_bytes: 64 * 1024 * 1024 * 1024,
            idle_timeout: Duration::from_secs(10),
            give_up_after: Duration::from_secs(60),
            keep_partial: Duration::from_secs(600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        type Set = fn(&mut TransportConfig);
        let cases: [(&str, Set); 7] = [
            ("cluster", |config| config.cluster.clear()),
            ("cluster", |config| config.cluster = "x".repeat(65)),
            ("append_window", |config| {
                config.append_window = Duration::from_millis(11);
            }),
            ("election_timeout", |config| {
                config.election_timeout = Duration::ZERO;
            }),
            ("log_append", |config| config.log_append.bytes = 0),
            ("bytes_per_second", |config| {
                config.snapshot.bytes_per_second = Some(1000);
            }),
            ("suspect_after", |config| {
                config.suspect_after = Duration::ZERO
            }),
        ];
        TransportConfig::new("orders", 1).check().unwrap();
        for (name, set) in cases {
            let mut config = TransportConfig::new("orders", 1);
            set(&mut config);
            let status = config.check().unwrap_err();
            assert!(status.message().contains(name), "{status}");
        }
    }
}
