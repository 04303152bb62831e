//! The end of a log in memory: what the disk does not have yet, and as much of what it has as replication to members that keep up asks
//! for again at once. Pure: neither files nor time.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use openraft::{
    RaftTypeConfig,
    entry::RaftEntry,
    type_config::alias::{LogIdOf, VoteOf},
};

/// Shared by the store, its readers and the writer. Held for lookups only, never across an `await` or a file.
pub(super) struct SharedTail<C: RaftTypeConfig>(Arc<Mutex<Tail<C>>>);

impl<C: RaftTypeConfig> SharedTail<C> {
    pub(super) fn new(tail: Tail<C>) -> Self {
        Self(Arc::new(Mutex::new(tail)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Tail<C>> {
        // Nothing is done under the lock that leaves it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: RaftTypeConfig> Clone for SharedTail<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What is known of a log without looking at the disk.
pub(super) struct Tail<C: RaftTypeConfig> {
    pub(super) vote: Option<VoteOf<C>>,
    pub(super) committed: Option<LogIdOf<C>>,
    pub(super) purged: Option<LogIdOf<C>>,
    pub(super) last: Option<LogIdOf<C>>,
    /// Consecutive, and ending with `last` unless it is empty. With the encoded length.
    entries: VecDeque<(C::Entry, usize)>,
    bytes: usize,
    /// Up to here the disk has it.
    flushed: Option<u64>,
}

impl<C: RaftTypeConfig> Tail<C>
where
    C::Entry: Clone,
{
    /// Entries from the disk that begin at or after `range.start` are left out of what [`read`](Self::read) answers.
    pub(super) fn read(&self, range: Range<u64>, limit_bytes: usize) -> Part<C::Entry> {
        let Some(first) = self.first() else {
            return Part {
                on_disk: range,
                entries: Vec::new(),
            };
        };
        let start = range.start.max(first);
        let on_disk = range.start..range.end.min(first);
        // What is read from the disk uses up the limit first.
        let mut left = if on_disk.is_empty() {
            limit_bytes
        } else {
            usize::MAX
        };
        let mut entries = Vec::new();
        for at in start..range.end {
            let Some((entry, bytes)) = self.entries.get((at - first) as usize) else {
                break;
            };
            if !entries.is_empty() && *bytes > left {
                break;
            }
            left = left.saturating_sub(*bytes);
            entries.push(entry.clone());
        }
        Part { on_disk, entries }
    }
}

/// What a range consists of: a part that only the disk has, and after it entries.
pub(super) struct Part<E> {
    pub(super) on_disk: Range<u64>,
    pub(super) entries: Vec<E>,
}

impl<C: RaftTypeConfig> Tail<C> {
    pub(super) fn new(
        vote: Option<VoteOf<C>>,
        committed: Option<LogIdOf<C>>,
        purged: Option<LogIdOf<C>>,
        last: Option<LogIdOf<C>>,
    ) -> Self {
        let flushed = last.as_ref().map(|it| it.index);
        Self {
            vote,
            committed,
            purged,
            last,
            entries: VecDeque::new(),
            bytes: 0,
            flushed,
        }
    }

    pub(super) fn append(&mut self, entry: C::Entry, bytes: usize) {
        self.last = Some(entry.log_id());
        self.bytes += bytes;
        self.entries.push_back((entry, bytes));
    }

    /// The disk has all up to here; what is over the limits may go.
    pub(super) fn flushed(&mut self, index: u64) {
        // What was cut off since it was written is not there any more.
        let last = self.last.as_ref().map(|it| it.index);
        self.flushed = Some(index).min(last);
        while let Some((entry, bytes)) = self.entries.front()
            && Some(entry.index()) <= self.flushed
            && (self.entries.len() > KEPT_ENTRIES || self.bytes > KEPT_BYTES)
        {
            self.bytes -= bytes;
            self.entries.pop_front();
        }
    }

    /// Removes all after `last`.
    pub(super) fn truncate_after(&mut self, last: Option<LogIdOf<C>>) {
        let keep = last.as_ref().map(|it| it.index);
        while let Some((entry, bytes)) = self.entries.back()
            && Some(entry.index()) > keep
        {
            self.bytes -= bytes;
            self.entries.pop_back();
        }
        self.flushed = self.flushed.min(keep);
        if self.last.as_ref().map(|it| it.index) > keep {
            self.last = last;
        }
    }

    /// Removes all up to and including `upto`.
    pub(super) fn purge(&mut self, upto: LogIdOf<C>) {
        while let Some((entry, bytes)) = self.entries.front()
            && entry.index() <= upto.index
        {
            self.bytes -= bytes;
            self.entries.pop_front();
        }
        if self.last.as_ref().is_none_or(|last| *last < upto) {
            self.entries.clear();
            self.bytes = 0;
            self.last = Some(upto.clone());
            self.flushed = Some(upto.index);
        }
        self.purged = Some(upto);
    }

    fn first(&self) -> Option<u64> {
        self.entries.front().map(|(entry, _)| entry.index())
    }
}

/// What is kept although the disk has it.
const KEPT_ENTRIES: usize = 8192;
const KEPT_BYTES: usize = 32 * 1024 * 1024;
