//! Clients that write without a pause, and the book of what they were told is done.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::client::Client;

/// The load: so many writers, each with keys of its own.
#[derive(Debug)]
pub struct Load {
    book: Arc<Book>,
    writers: JoinSet<()>,
}

/// What was acknowledged, and when.
#[derive(Debug)]
pub struct Book {
    began: Instant,
    stop: AtomicBool,
    count: AtomicU64,
    acknowledged: Mutex<Vec<Entry>>,
}

#[derive(Clone, Debug)]
struct Entry {
    key: String,
    value: String,
    /// Since the beginning.
    at: Duration,
    took: Duration,
}

/// What was measured between two moments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// How many writes were acknowledged.
    pub writes: usize,
    /// In how long.
    pub within: Duration,
    /// Half of them took no longer.
    pub median: Duration,
    /// And 99 of 100 no longer than this.
    pub p99: Duration,
    /// The longest time in which none was acknowledged.
    pub longest_gap: Duration,
}

impl Measured {
    /// Writes a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.writes as f64 / self.within.as_secs_f64().max(f64::EPSILON)
    }
}

impl Load {
    /// Starts writers of values this long.
    #[must_use]
    pub fn start(client: &Arc<Client>, writers: usize, value_bytes: usize) -> Self {
        let book = Arc::new(Book {
            began: Instant::now(),
            stop: AtomicBool::new(false),
            count: AtomicU64::new(0),
            acknowledged: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for writer in 0..writers {
            let (client, book) = (Arc::clone(client), Arc::clone(&book));
            tasks.spawn(async move {
                let mut number = 0_u64;
                while !book.stop.load(Ordering::Relaxed) {
                    let key = format!("{writer:04}/{number:08}");
                    // No other key has it: a mix-up would be seen.
                    let value = format!(
                        "{key}:{}",
                        "x".repeat(value_bytes.saturating_sub(key.len() + 1))
                    );
                    let asked = Instant::now();
                    client.put(&key, &value).await;
                    book.note(key, value, asked);
                    number += 1;
                }
            });
        }
        Self {
            book,
            writers: tasks,
        }
    }

    /// The book.
    #[must_use]
    pub fn book(&self) -> &Arc<Book> {
        &self.book
    }

    /// Lets each writer finish what it has begun.
    pub async fn stop(mut self) -> Arc<Book> {
        self.book.stop.store(true, Ordering::Relaxed);
        while self.writers.join_next().await.is_some() {}
        Arc::clone(&self.book)
    }
}

impl Book {
    fn note(&self, key: String, value: String, asked: Instant) {
        let entry = Entry {
            key,
            value,
            at: self.began.elapsed(),
            took: asked.elapsed(),
        };
        self.lock().push(entry);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// How many writes were acknowledged.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// This moment, for [`measured`](Self::measured).
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// What happened between two moments.
    pub fn measured(&self, from: Duration, to: Duration) -> Measured {
        let entries = self.lock();
        let mut took = Vec::new();
        let (mut last, mut longest_gap) = (from, Duration::ZERO);
        for entry in entries.iter().filter(|it| it.at >= from && it.at < to) {
            took.push(entry.took);
            longest_gap = longest_gap.max(entry.at.saturating_sub(last));
            last = entry.at;
        }
        longest_gap = longest_gap.max(to.saturating_sub(last));
        took.sort_unstable();
        let quantile = |of: usize| took.get(took.len() * of / 100).copied().unwrap_or_default();
        Measured {
            writes: took.len(),
            within: to.saturating_sub(from),
            median: quantile(50),
            p99: quantile(99),
            longest_gap,
        }
    }

    /// When the first write after a moment was acknowledged.
    pub fn first_after(&self, moment: Duration) -> Option<Duration> {
        let entries = self.lock();
        let mut after = entries.iter().map(|it| it.at).filter(|it| *it > moment);
        after.next()
    }

    /// All that was acknowledged: keys, and what their values must be.
    pub fn acknowledged(&self) -> Vec<(String, String)> {
        let entries = self.lock();
        entries
            .iter()
            .map(|it| (it.key.clone(), it.value.clone()))
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        // Whoever panicked with it had only pushed, or not.
        self.acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
