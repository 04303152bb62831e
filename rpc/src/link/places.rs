//! [`Places`]: how many calls a client has in flight on a connection, and the queue of those for which the server has no room yet.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use tokio::sync::{Mutex, Notify};

/// Counts the calls in flight against what the server takes at once; further calls wait, first come first served.
///
/// Two atomic operations a call while there is room. Who comes while others wait queues behind them.
#[derive(Debug)]
pub(super) struct Places {
    taken: AtomicUsize,
    limit: AtomicUsize,
    waiting: AtomicUsize,
    /// Whoever has it is the first of those that wait, and the only one that looks for room.
    line: Mutex<()>,
    on_room: Notify,
    closed: AtomicBool,
}

/// The connection is closed: there will be no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed;

impl Places {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            waiting: AtomicUsize::new(0),
            line: Mutex::new(()),
            on_room: Notify::new(),
            closed: AtomicBool::new(false),
        }
    }

    /// Whether a call is in flight.
    pub(super) fn is_busy(&self) -> bool {
        self.taken.load(SeqCst) > 0
    }

    /// Takes a place, waiting for one if need be. Whoever has it gives it back by [`leave`](Self::leave).
    pub(super) async fn enter(&self) -> Result<(), Closed> {
        if self.try_enter() {
            return Ok(());
        }
        self.wait().await
    }

    /// Takes a place, if there is one now and nobody waits for it.
    #[inline]
    pub(super) fn try_enter(&self) -> bool {
        self.waiting.load(SeqCst) == 0 && self.take()
    }

    /// Gives a place back.
    #[inline]
    pub(super) fn leave(&self) {
        self.taken.fetch_sub(1, SeqCst);
        if self.waiting.load(SeqCst) > 0 {
            self.on_room.notify_one();
        }
    }

    /// The server takes this many calls at once. Calls above a lower limit go on.
    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, SeqCst);
        self.on_room.notify_one();
    }

    /// Sends all away that wait, and all that come.
    pub(super) fn close(&self) {
        self.closed.store(true, SeqCst);
        self.on_room.notify_one();
    }

    #[inline]
    fn take(&self) -> bool {
        let limit = self.limit.load(SeqCst);
        let one_more = |taken| (taken < limit).then_some(taken + 1);
        self.taken.fetch_update(SeqCst, SeqCst, one_more).is_ok()
    }

    async fn wait(&self) -> Result<(), Closed> {
        let _waiting = Waiting::new(self);
        let _first = self.line.lock().await;
        loop {
            if self.closed.load(SeqCst) {
                return Err(Closed);
            }
            if self.take() {
                return Ok(());
            }
            // What happened since is remembered.
            self.on_room.notified().await;
        }
    }
}

/// One that waits, counted.
struct Waiting<'a>(&'a Places);

impl<'a> Waiting<'a> {
    fn new(places: &'a Places) -> Self {
        places.waiting.fetch_add(1, SeqCst);
        Self(places)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    #[test]
    fn who_waits_gets_the_next_place_in_turn() {
        let places = Places::new(1);
        let cx = &mut Context::from_waker(Waker::noop());
        assert_eq!(pin!(places.enter()).poll(cx), Poll::Ready(Ok(())));
        let (mut first, mut second) = (pin!(places.enter()), pin!(places.enter()));
        assert!(first.as_mut().poll(cx).is_pending());
        assert!(second.as_mut().poll(cx).is_pending());
        places.leave();
        assert!(second.as_mut().poll(cx).is_pending(), "it is not its turn");
        // Nor does one that comes now go before them.
        assert!(pin!(places.enter()).poll(cx).is_pending());
        assert_eq!(first.as_mut().poll(cx), Poll::Ready(Ok(())));
        places.leave();
        assert_eq!(second.as_mut().poll(cx), Poll::Ready(Ok(())));
        places.leave();
        assert!(!places.is_busy());
    }

    #[test]
    fn one_that_gives_up_passes_its_turn_on() {
        let places = Places::new(1);
        let cx = &mut Context::from_waker(Waker::noop());
        assert_eq!(pin!(places.enter()).poll(cx), Poll::Ready(Ok(())));
        let mut gives_up = Box::pin(places.enter());
        let mut stays = pin!(places.enter());
        assert!(gives_up.as_mut().poll(cx).is_pending());
        assert!(stays.as_mut().poll(cx).is_pending());
        places.leave();
        assert!(stays.as_mut().poll(cx).is_pending());
        drop(gives_up);
        assert_eq!(stays.as_mut().poll(cx), Poll::Ready(Ok(())));
    }

    #[test]
    fn a_new_limit_and_the_end_are_told_to_all() {
        let places = Places::new(0);
        let cx = &mut Context::from_waker(Waker::noop());
        let (mut first, mut second, mut third) = (
            pin!(places.enter()),
            pin!(places.enter()),
            pin!(places.enter()),
        );
        assert!(first.as_mut().poll(cx).is_pending());
        assert!(second.as_mut().poll(cx).is_pending());
        assert!(third.as_mut().poll(cx).is_pending());
        places.set_limit(2);
        assert_eq!(first.as_mut().poll(cx), Poll::Ready(Ok(())));
        assert_eq!(second.as_mut().poll(cx), Poll::Ready(Ok(())));
        assert!(third.as_mut().poll(cx).is_pending());
        places.close();
        assert_eq!(third.as_mut().poll(cx), Poll::Ready(Err(Closed)));
    }
}
