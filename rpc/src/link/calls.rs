//! The client's table of small calls that wait for their answers, found again by request id.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use crate::{
    call::{Codec, Response},
    status::Status,
    wire::RequestId,
};

/// How an answer arrives.
#[derive(Debug)]
pub(super) enum Answer<R> {
    /// A whole response, on a lane, and the codec that it says it has.
    Response(Option<Codec>, Response),
    /// A Response too large for a lane, on a stream of its own, of which the first frame was read. Boxed, since all others are
    /// small and move twice.
    Stream(Box<R>, Bytes),
    /// An Error on a lane, or why no answer will come.
    Lost(Status),
}

/// A call on a lane that was begun.
pub(super) struct Begun {
    /// Its slot.
    pub(super) index: u32,
    pub(super) id: RequestId,
    /// Whether no other is on the lanes.
    pub(super) is_alone: bool,
}

/// The calls in flight; its size is bounded by the connection's limit on calls.
pub(super) struct Calls<R> {
    prefix: [u8; 6],
    table: Mutex<Table<R>>,
}

struct Table<R> {
    slots: Vec<Slot<R>>,
    free: Vec<u32>,
    sequence: u64,
    closed: Option<Status>,
}

struct Slot<R> {
    id: RequestId,
    lane: u32,
    state: State<R>,
}

enum State<R> {
    Free,
    Waiting(Option<Waker>),
    Done(Answer<R>),
}

impl<R> Calls<R> {
    pub(super) fn new() -> Self {
        let mut prefix = [0; 6];
        prefix.copy_from_slice(&uuid::Uuid::new_v4().as_bytes()[..6]);
        Self {
            prefix,
            table: Mutex::new(Table {
                slots: Vec::new(),
                free: Vec::new(),
                sequence: 0,
                closed: None,
            }),
        }
    }

    /// An id for a call that has a stream of its own and so no slot.
    pub(super) fn stream_id(&self) -> RequestId {
        let mut table = self.lock();
        table.sequence += 1;
        self.id(u32::MAX, table.sequence)
    }

    /// Whether no more than one call is on the lanes.
    pub(super) fn is_alone(&self) -> bool {
        let table = self.lock();
        table.slots.len() - table.free.len() <= 1
    }

    /// Begins a call on a lane.
    ///
    /// `waker` is woken by the answer, so that [`poll_answer`](Self::poll_answer) need not be asked before.
    pub(super) fn begin(&self, lane: u32, waker: Waker) -> Result<Begun, Status> {
        let mut guard = self.lock();
        let table = &mut *guard;
        if let Some(status) = &table.closed {
            return Err(status.clone().with_not_accepted());
        }
        table.sequence += 1;
        let index = table.free.pop().unwrap_or_else(|| {
            table.slots.push(Slot {
                id: RequestId([0; 16]),
                lane,
                state: State::Free,
            });
            u32::try_from(table.slots.len() - 1).expect("calls are limited to far fewer")
        });
        let id = self.id(index, table.sequence);
        table.slots[index as usize] = Slot {
            id,
            lane,
            state: State::Waiting(Some(waker)),
        };
        let is_alone = table.slots.len() - table.free.len() == 1;
        Ok(Begun {
            index,
            id,
            is_alone,
        })
    }

    /// The answer to a call; frees its slot.
    pub(super) fn poll_answer(&self, index: u32, cx: &Context<'_>) -> Poll<Answer<R>> {
        let mut table = self.lock();
        let state = &mut table.slots[index as usize].state;
        match state {
            State::Waiting(Some(waker)) => {
                waker.clone_from(cx.waker());
                return Poll::Pending;
            }
            State::Waiting(waker) => {
                *waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            // Its slot may be another call's already.
            State::Free => return Poll::Ready(Answer::Lost(ended())),
            State::Done(_) => {}
        }
        let state = std::mem::replace(state, State::Free);
        table.free.push(index);
        match state {
            State::Done(answer) => Poll::Ready(answer),
            State::Free | State::Waiting(_) => Poll::Ready(Answer::Lost(ended())),
        }
    }

    /// Forgets a call whose caller has gone; tells whether it was still waiting.
    pub(super) fn abandon(&self, index: u32) -> bool {
        let mut table = self.lock();
        let state = std::mem::replace(&mut table.slots[index as usize].state, State::Free);
        table.free.push(index);
        matches!(state, State::Waiting(_))
    }

    #[cfg(test)]
    pub(super) fn is_waiting(&self, id: RequestId) -> bool {
        let mut table = self.lock();
        table.find(id).is_some()
    }

    /// Completes calls; an answer to none, such as one that was cancelled meanwhile, is dropped. The wakers are left in `wake`,
    /// so that none runs under the lock; that of `own` is dropped, whose caller is running.
    pub(super) fn complete(
        &self,
        answers: impl Iterator<Item = (RequestId, Answer<R>)>,
        own: Option<RequestId>,
        wake: &mut Vec<Waker>,
    ) {
        let mut table = self.lock();
        for (id, answer) in answers {
            if let Some(slot) = table.find(id)
                && let State::Waiting(Some(waker)) =
                    std::mem::replace(&mut slot.state, State::Done(answer))
                && own != Some(id)
            {
                wake.push(waker);
            }
        }
    }

    /// Fails all calls of a lane that was ended.
    pub(super) fn fail_lane(&self, lane: u32, status: &Status) {
        self.fail(|slot| slot.lane == lane, status, None);
    }

    /// Fails all calls, and all that are begun later.
    pub(super) fn close(&self, status: &Status) {
        self.fail(|_| true, status, Some(status.clone()));
    }

    fn fail(&self, which: impl Fn(&Slot<R>) -> bool, status: &Status, closed: Option<Status>) {
        let mut wake = Vec::new();
        let mut table = self.lock();
        if closed.is_some() && table.closed.is_none() {
            table.closed = closed;
        }
        for slot in table.slots.iter_mut().filter(|slot| which(slot)) {
            if let State::Waiting(waker) = &mut slot.state {
                wake.extend(waker.take());
                slot.state = State::Done(Answer::Lost(status.clone()));
            }
        }
        drop(table);
        wake.into_iter().for_each(Waker::wake);
    }

    /// A UUID of version 8: six random bytes a connection, 42 bits of the sequence, and the slot. No two in flight are equal.
    #[allow(clippy::cast_possible_truncation, reason = "the masks leave what fits")]
    fn id(&self, index: u32, sequence: u64) -> RequestId {
        let high = 0x8000 | (sequence >> 30 & 0x0fff) as u16;
        let low = 0x8000_0000 | (sequence & 0x3fff_ffff) as u32;
        let mut id = [0; 16];
        id[..6].copy_from_slice(&self.prefix);
        id[6..8].copy_from_slice(&high.to_be_bytes());
        id[8..12].copy_from_slice(&low.to_be_bytes());
        id[12..].copy_from_slice(&index.to_be_bytes());
        RequestId(id)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table<R>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ended() -> Status {
    Status::internal("a call was polled after its end")
}

impl<R> Table<R> {
    fn find(&mut self, id: RequestId) -> Option<&mut Slot<R>> {
        let index = u32::from_be_bytes([id.0[12], id.0[13], id.0[14], id.0[15]]);
        self.slots
            .get_mut(index as usize)
            .filter(|slot| slot.id == id && matches!(slot.state, State::Waiting(_)))
    }
}

impl<R> fmt::Debug for Calls<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_unique_uuids_of_version_8() {
        let calls = Calls::<()>::new();
        let ids: HashSet<_> = (0..10_000)
            .map(|n| {
                if n % 2 == 0 {
                    calls.stream_id()
                } else {
                    calls.begin(0, Waker::noop().clone()).unwrap().id
                }
            })
            .collect();
        assert_eq!(ids.len(), 10_000);
        for id in ids {
            let uuid = uuid::Uuid::from_bytes(id.0);
            assert_eq!(uuid.get_version_num(), 8);
            assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
        }
    }

    #[test]
    fn an_answer_to_a_call_that_was_abandoned_is_dropped() {
        let calls = Calls::<()>::new();
        let Begun { index, id, .. } = calls.begin(0, Waker::noop().clone()).unwrap();
        assert!(calls.is_waiting(id));
        assert!(calls.abandon(index));
        assert!(!calls.is_waiting(id));
        let again = calls.begin(0, Waker::noop().clone()).unwrap();
        let other = again.id;
        assert_eq!(again.index, index, "the slot is used again");
        assert_ne!(other, id, "the id is not");
        calls.complete(
            [(id, Answer::Lost(Status::internal("late")))].into_iter(),
            None,
            &mut Vec::new(),
        );
        assert!(calls.is_waiting(other));
    }
}
