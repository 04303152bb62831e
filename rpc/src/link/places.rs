//! [`Places`]: how many calls a client has in flight on a connection, and the queue of those for which the server has no room yet.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::sync::Semaphore;

/// Counts the calls in flight against what the server takes at once; further calls wait, first come first served.
///
/// Two atomic operations a call while there is room. Who comes while others wait queues behind them.
#[derive(Debug)]
pub(crate) struct Places {
    taken: AtomicUsize,
    limit: AtomicUsize,
    waiting: AtomicUsize,
    /// Places that are taken for those that wait, and handed to them in turn: one that is slow to see it holds up nobody else.
    handed: Semaphore,
}

/// How many calls a client may have in flight above the limit that it was told, if they are critical. A server takes so many more.
pub(crate) const KEPT_PLACES: usize = 8;

/// The connection is closed: there will be no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl Places {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            waiting: AtomicUsize::new(0),
            handed: Semaphore::new(0),
        }
    }

    /// Whether a call is in flight.
    pub(crate) fn is_busy(&self) -> bool {
        self.taken.load(SeqCst) > 0
    }

    /// Takes a place, waiting for one if need be. Whoever has it gives it back by [`leave`](Self::leave).
    pub(crate) async fn enter(&self) -> Result<(), Closed> {
        if self.try_enter() {
            return Ok(());
        }
        self.wait().await
    }

    /// Takes a place, if there is one now and nobody waits for it.
    #[inline]
    pub(crate) fn try_enter(&self) -> bool {
        self.waiting.load(SeqCst) == 0 && self.take()
    }

    /// Takes a place, if there is one, or one of the few that are kept for critical calls. No queue may keep these waiting, above all not
    /// the question whether the peer is there.
    pub(crate) fn try_enter_first(&self) -> bool {
        self.try_enter() || {
            let limit = self.limit.load(SeqCst).saturating_add(KEPT_PLACES);
            self.take_of(limit)
        }
    }

    /// Gives a place back.
    #[inline]
    pub(crate) fn leave(&self) {
        self.taken.fetch_sub(1, SeqCst);
        // Whoever found no room before that was waiting already.
        if self.waiting.load(SeqCst) > 0 {
            self.hand_over();
        }
    }

    /// The server takes this many calls at once. Calls above a lower limit go on.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, SeqCst);
        for _ in 0..self.waiting.load(SeqCst) {
            self.hand_over();
        }
    }

    /// Sends all away that wait, and all that come.
    pub(crate) fn close(&self) {
        self.handed.close();
    }

    #[inline]
    fn take(&self) -> bool {
        self.take_of(self.limit.load(SeqCst))
    }

    fn take_of(&self, limit: usize) -> bool {
        let one_more = |taken| (taken < limit).then_some(taken + 1);
        self.taken.fetch_update(SeqCst, SeqCst, one_more).is_ok()
    }

    /// Takes a place, if there is one, for the first of those that wait.
    fn hand_over(&self) {
        if self.take() {
            self.handed.add_permits(1);
            self.take_back();
        }
    }

    /// Gives back what was handed to somebody who waits no more, if nobody else does.
    fn take_back(&self) {
        while self.waiting.load(SeqCst) == 0 {
            let Ok(handed) = self.handed.try_acquire() else {
                return;
            };
            handed.forget();
            self.taken.fetch_sub(1, SeqCst);
            if self.waiting.load(SeqCst) > 0 && self.take() {
                self.handed.add_permits(1);
            }
        }
    }

    async fn wait(&self) -> Result<(), Closed> {
        let _waiting = Waiting::new(self);
        if self.take() {
            return Ok(());
        }
        self.handed.acquire().await.map_err(|_| Closed)?.forget();
        Ok(())
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
        self.0.take_back();
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
    fn a_few_are_kept_for_who_must_not_wait() {
        let places = Places::new(1);
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(places.try_enter_first() && !places.try_enter());
        let mut waits = pin!(places.enter());
        assert!(waits.as_mut().poll(cx).is_pending());
        for _ in 0..KEPT_PLACES {
            assert!(places.try_enter_first());
        }
        assert!(!places.try_enter_first(), "they are few");
        for _ in 0..KEPT_PLACES {
            places.leave();
            assert!(waits.as_mut().poll(cx).is_pending(), "they are not for it");
        }
        places.leave();
        assert_eq!(waits.as_mut().poll(cx), Poll::Ready(Ok(())));
        let boundless = Places::new(usize::MAX);
        assert!(boundless.try_enter_first());
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
    fn one_that_does_not_look_holds_up_nobody() {
        let places = Places::new(2);
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(places.try_enter() && places.try_enter());
        let mut sleeps = Box::pin(places.enter());
        let mut looks = pin!(places.enter());
        assert!(sleeps.as_mut().poll(cx).is_pending());
        assert!(looks.as_mut().poll(cx).is_pending());
        places.leave();
        places.leave();
        assert_eq!(looks.as_mut().poll(cx), Poll::Ready(Ok(())));
        places.leave();
        assert!(!places.try_enter(), "the one that sleeps goes first");
        drop(sleeps);
        assert!(!places.is_busy(), "what it was handed is given back");
        assert!(places.try_enter() && places.try_enter() && !places.try_enter());
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
