//! [`Console`]: what a guest wrote last, for any number of readers, each at a pace of its own; and what is typed.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard},
};

use blixard_rpc::{Result, Status};
use bytes::Bytes;
use tokio::sync::{mpsc, watch};

/// So much of what a guest wrote last is kept.
pub const CONSOLE_KEPT_BYTES: usize = 64 * 1024;

/// From when on a console heard its guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// All that it ever said.
    FromStart,
    /// It may have said something before, which nobody knows.
    Later,
}

/// The console of a guest.
pub struct Console {
    heard: Heard,
    kept: Mutex<Kept>,
    /// How many bytes were written so far; wakes the readers.
    written: watch::Sender<u64>,
    typed: mpsc::Sender<Bytes>,
}

#[derive(Default)]
struct Kept {
    bytes: VecDeque<u8>,
    /// How many bytes were written before these.
    before: u64,
    over: bool,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("written", &*self.written.borrow())
            .finish_non_exhaustive()
    }
}

impl Console {
    /// A console, and where what is typed comes out.
    #[must_use]
    pub fn new(heard: Heard) -> (Self, mpsc::Receiver<Bytes>) {
        let (typed, receiver) = mpsc::channel(TYPED_QUEUED);
        let console = Self {
            heard,
            kept: Mutex::default(),
            written: watch::Sender::new(0),
            typed,
        };
        (console, receiver)
    }

    /// Takes what the guest wrote.
    pub fn write(&self, bytes: &[u8]) {
        {
            let mut kept = self.lock();
            kept.bytes.extend(bytes);
            let over = kept.bytes.len().saturating_sub(CONSOLE_KEPT_BYTES);
            kept.bytes.drain(..over);
            kept.before += over as u64;
        }
        self.written
            .send_modify(|written| *written += bytes.len() as u64);
    }

    /// Nothing more will be written; readers end when they have read all.
    pub fn close(&self) {
        self.lock().over = true;
        self.written.send_modify(|_| {});
    }

    /// Whether nothing more will be written.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().over
    }

    /// Types at the console.
    ///
    /// # Errors
    /// `UNAVAILABLE` if it is closed.
    pub async fn send(&self, typed: Bytes) -> Result<()> {
        let sent = self.typed.send(typed).await;
        sent.map_err(|_| Status::unavailable("the console is closed: its machine has ended"))
    }

    /// From when on it heard its guest.
    #[must_use]
    pub const fn heard(&self) -> Heard {
        self.heard
    }

    /// How many bytes were written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        *self.written.borrow()
    }

    /// What was written from this byte on, as far as it is kept, and how many bytes before it are not. Waits until there is something;
    /// `None` if there is nothing more to come.
    pub async fn read(&self, from: u64, limit: usize) -> Option<(Bytes, u64)> {
        let mut written = self.written.subscribe();
        loop {
            written.borrow_and_update();
            {
                let kept = self.lock();
                let lost = kept.before.saturating_sub(from);
                let skip = from.saturating_sub(kept.before);
                let skip = usize::try_from(skip).unwrap_or(usize::MAX);
                if skip < kept.bytes.len() {
                    let bytes = kept.bytes.iter().skip(skip).take(limit).copied();
                    return Some((bytes.collect(), lost));
                }
                if kept.over {
                    return None;
                }
            }
            written.changed().await.ok()?;
        }
    }

    /// Waits until this appears in what was written from this byte on, as far as that is kept; `false` if it cannot any more.
    pub async fn appears(&self, pattern: &[u8], from: u64) -> bool {
        let mut written = self.written.subscribe();
        let mut from = from;
        loop {
            written.borrow_and_update();
            {
                let kept = self.lock();
                let skip = from.saturating_sub(kept.before);
                let skip = usize::try_from(skip).unwrap_or(usize::MAX);
                let skip = skip.min(kept.bytes.len());
                let bytes: Vec<u8> = kept.bytes.range(skip..).copied().collect();
                if pattern.is_empty() || bytes.windows(pattern.len()).any(|part| part == pattern) {
                    return true;
                }
                if kept.over {
                    return false;
                }
                // All but what may be its beginning was searched.
                let end = kept.before + kept.bytes.len() as u64;
                from = from.max(end.saturating_sub(pattern.len() as u64 - 1));
            }
            if written.changed().await.is_err() {
                return false;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no holder panics")
    }
}

/// So many messages of what is typed wait for a guest that does not read.
const TYPED_QUEUED: usize = 16;

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// What is looked for may come in pieces, and long after what is kept has gone round.
    #[tokio::test]
    async fn what_is_looked_for_is_found_however_it_comes() {
        let (console, _typed) = Console::new(Heard::FromStart);
        let noise = vec![b'.'; CONSOLE_KEPT_BYTES - 3];
        {
            let mut found = Box::pin(console.appears(b"login:", 0));
            for said in [b"login".as_slice(), &noise, &noise, b"lo", b"gi", b"n"] {
                console.write(said);
                assert_eq!(found.as_mut().now_or_never(), None);
            }
            console.write(b":");
            assert_eq!(found.now_or_never(), Some(true));
        }
        // Only what comes from here on.
        let from = console.written();
        let mut found = Box::pin(console.appears(b"login:", from));
        assert_eq!(found.as_mut().now_or_never(), None);
        console.write(b"ogin:");
        assert_eq!(found.as_mut().now_or_never(), None);
        console.close();
        assert_eq!(found.now_or_never(), Some(false));
    }
}
