//! [`Queue`]: what is to be sent to one peer in one class. Pure: the time is an argument.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use blixard_services::raft::RaftMessage;
use tokio::time::Instant;

use crate::config::{MAX_BATCH_BYTES, MAX_BATCH_MESSAGES, QueueLimits};

/// What is to be sent to one peer in one class, in order.
///
/// - It holds so many messages and bytes at most; when it is full, what is stale makes room, and if that is not enough the newest message
///   is the one that is dropped: those before it have been promised.
/// - A message under a key takes the place of the one that waits under the same key: of heartbeats only the newest counts.
/// - What has waited for too long is never taken.
#[derive(Debug)]
pub struct Queue {
    limits: QueueLimits,
    stale_after: Duration,
    window: Duration,
    items: VecDeque<Item>,
    bytes: usize,
    /// The number of the first item; each has the next one.
    first: u64,
    /// The number of the item that waits under a key.
    by_key: HashMap<u64, u64>,
}

#[derive(Debug)]
struct Item {
    message: RaftMessage,
    key: Option<u64>,
    queued: Instant,
}

/// That there was no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Queue {
    /// Nothing yet. Batches wait for `window` after their first message.
    #[must_use]
    pub fn new(limits: QueueLimits, stale_after: Duration, window: Duration) -> Self {
        Self {
            limits,
            stale_after,
            window,
            items: VecDeque::new(),
            bytes: 0,
            first: 0,
            by_key: HashMap::new(),
        }
    }

    /// How many messages wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many bytes their payloads have.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is room for many: it is at most half full.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.items.len() <= self.limits.messages / 2 && self.bytes <= self.limits.bytes / 2
    }

    /// Queues a message. Call [`expire`](Self::expire) before, so that what is stale takes no room.
    ///
    /// # Errors
    /// There is no room: the message is dropped.
    pub fn push(&mut self, now: Instant, message: RaftMessage) -> Result<(), Full> {
        self.push_item(Item {
            message,
            key: None,
            queued: now,
        })
    }

    /// Queues a message in place of the one that waits under the same key, if there is one; tells whether there was.
    ///
    /// # Errors
    /// There is no room: the message is dropped, and the one that waits still does.
    pub fn push_newest(
        &mut self,
        now: Instant,
        key: u64,
        message: RaftMessage,
    ) -> Result<bool, Full> {
        let place = self.by_key.get(&key).map(|number| number - self.first);
        let Some(place) = place.and_then(|place| usize::try_from(place).ok()) else {
            self.push_item(Item {
                message,
                key: Some(key),
                queued: now,
            })?;
            return Ok(false);
        };
        let waiting = self.items.len();
        let item = &mut self.items[place];
        let bytes = self.bytes - item.message.payload.len() + message.payload.len();
        if bytes > self.limits.bytes && waiting > 1 {
            return Err(Full);
        }
        // It keeps the place: at the end of the queue, what is replaced again and again would never be sent.
        item.message = message;
        item.queued = now;
        self.bytes = bytes;
        Ok(true)
    }

    /// Drops what has waited for too long, up to the first message that has not; says how many messages.
    pub fn expire(&mut self, now: Instant) -> usize {
        let mut expired = 0;
        while self
            .items
            .front()
            .is_some_and(|item| self.is_stale(item, now))
        {
            self.pop();
            expired += 1;
        }
        expired
    }

    /// Drops everything; says how many messages.
    pub fn clear(&mut self) -> usize {
        let dropped = self.items.len();
        self.first += dropped as u64;
        self.items.clear();
        self.by_key.clear();
        self.bytes = 0;
        dropped
    }

    /// When the next batch may be taken; `None` if nothing waits.
    #[must_use]
    pub fn ready_at(&self) -> Option<Instant> {
        let first = self.items.front()?;
        let is_full = self.items.len() >= MAX_BATCH_MESSAGES || self.bytes >= MAX_BATCH_BYTES;
        Some(if is_full {
            first.queued
        } else {
            first.queued + self.window
        })
    }

    /// When the oldest message becomes stale; `None` if nothing waits.
    #[must_use]
    pub fn stale_at(&self) -> Option<Instant> {
        Some(self.items.front()?.queued + self.stale_after)
    }

    /// Takes the next batch: at most [`MAX_BATCH_MESSAGES`], and [`MAX_BATCH_BYTES`] unless a single message is larger. What is stale
    /// is dropped instead; says how many messages.
    pub fn take(&mut self, now: Instant) -> (Vec<RaftMessage>, usize) {
        let mut batch = Vec::with_capacity(self.items.len().min(MAX_BATCH_MESSAGES));
        let (mut bytes, mut stale) = (0, 0);
        while batch.len() < MAX_BATCH_MESSAGES
            && let Some(item) = self.items.front()
        {
            if self.is_stale(item, now) {
                self.pop();
                stale += 1;
                continue;
            }
            bytes += item.message.payload.len();
            if bytes > MAX_BATCH_BYTES && !batch.is_empty() {
                break;
            }
            batch.extend(self.pop());
        }
        (batch, stale)
    }

    fn is_stale(&self, item: &Item, now: Instant) -> bool {
        now.saturating_duration_since(item.queued) >= self.stale_after
    }

    fn push_item(&mut self, item: Item) -> Result<(), Full> {
        let bytes = self.bytes + item.message.payload.len();
        let is_full = self.items.len() >= self.limits.messages
            || (bytes > self.limits.bytes && !self.items.is_empty());
        if is_full {
            return Err(Full);
        }
        self.bytes = bytes;
        if let Some(key) = item.key {
            self.by_key
                .insert(key, self.first + self.items.len() as u64);
        }
        self.items.push_back(item);
        Ok(())
    }

    fn pop(&mut self) -> Option<RaftMessage> {
        let item = self.items.pop_front()?;
        self.first += 1;
        self.bytes -= item.message.payload.len();
        if let Some(key) = item.key {
            self.by_key.remove(&key);
        }
        Some(item.message)
    }
}
