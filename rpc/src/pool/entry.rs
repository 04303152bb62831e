//! [`Entry`]: the slot of one peer, those who wait for it, and the task that dials and then watches. When to do what is decided in
//! the slot.

use std::{
    mem,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{Instant, sleep_until, timeout},
};

use super::{
    config::PoolConfig,
    slot::{Next, Slot, after},
};
use crate::{
    call::{Expiry, Method, Recall, Side, unless_recalled},
    code::Code,
    dispatch::Connect,
    random::random_u64,
    status::{Result, Status},
};

pub(super) struct Entry<C: Connect> {
    pub(super) peer: C::Peer,
    connect: Arc<C>,
    config: PoolConfig,
    state: Mutex<State<C::Connection>>,
    changed: Notify,
}

pub(super) struct State<K> {
    pub(super) slot: Slot<K>,
    /// The task that dials or watches.
    task: Option<AbortHandle>,
}

impl<C: Connect> Entry<C> {
    pub(super) fn new(peer: C::Peer, connect: Arc<C>, config: PoolConfig) -> Self {
        Self {
            peer,
            connect,
            config,
            state: Mutex::new(State {
                slot: Slot::new(Instant::now()),
                task: None,
            }),
            changed: Notify::new(),
        }
    }

    /// The connection, dialled if need be; `admit` is asked before it is.
    ///
    /// # Errors
    /// Why there is none, and when there may be; `DEADLINE_EXCEEDED` if the deadline comes first.
    pub(super) async fn connection(
        self: &Arc<Self>,
        method: &Method,
        deadline: Option<Instant>,
        recall: Option<&Arc<Recall>>,
        admit: impl Fn() -> Result<()>,
    ) -> Result<InUse<C>> {
        if let Next::Call(connection) = self.ask_if_open() {
            return Ok(self.in_use(connection));
        }
        let mut expiry = Expiry::new(method.clone(), Side::Connect, deadline, None)?;
        let mut has_waited = false;
        loop {
            // Listened for before the slot is asked, so that no news falls in between.
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let next = self.lock().slot.ask(Instant::now(), has_waited);
            match next {
                Next::Call(connection) => return Ok(self.in_use(connection)),
                Next::Refuse { reason, until } => return Err(self.unreachable(&reason, until)),
                Next::Wait => {}
                Next::Dial(attempt) => {
                    if let Err(status) = admit() {
                        self.evict();
                        return Err(status);
                    }
                    self.dial(attempt);
                }
            }
            let wait = unless_recalled(recall, async {
                changed.await;
                Ok(())
            });
            expiry
                .run(pin!(wait))
                .await
                .map_err(|status| self.still_connecting(&status))?;
            has_waited = true;
        }
    }

    /// Forgets the connection. Calls on it go on.
    pub(super) fn evict(&self) {
        let task = {
            let mut state = self.lock();
            state.task.take()
        };
        if let Some(task) = task {
            task.abort();
        }
        self.change(Slot::reset);
        self.changed.notify_waiters();
    }

    /// Changes the slot; what that makes superfluous is dropped without the lock.
    fn change<T>(&self, change: impl FnOnce(&mut Slot<C::Connection>) -> T) -> T {
        let (value, gone) = {
            let mut state = self.lock();
            (change(&mut state.slot), state.slot.take_gone())
        };
        drop(gone);
        value
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State<C::Connection>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask_if_open(&self) -> Next<C::Connection> {
        let mut state = self.lock();
        if state.slot.connection().is_some() {
            state.slot.ask(Instant::now(), false)
        } else {
            Next::Wait
        }
    }

    fn in_use(self: &Arc<Self>, connection: C::Connection) -> InUse<C> {
        InUse {
            entry: Arc::clone(self),
            connection,
        }
    }

    /// Dials in a task of its own: the caller who happened to be first may give up, others wait too. No lock is held meanwhile.
    fn dial(self: &Arc<Self>, attempt: u64) {
        let task = tokio::spawn(dial_and_watch(
            Arc::downgrade(self),
            Arc::clone(&self.connect),
            self.peer.clone(),
            self.config,
            attempt,
        ));
        self.lock().task = Some(task.abort_handle());
    }

    fn dialled(&self, attempt: u64, result: Result<C::Connection>) -> bool {
        let is_current =
            self.lock()
                .slot
                .dialled(attempt, result, &self.config, Instant::now(), random_u64());
        self.changed.notify_waiters();
        is_current
    }

    fn unreachable(&self, reason: &Status, until: Instant) -> Status {
        let wait = until.saturating_duration_since(Instant::now());
        // What will not get better by trying again keeps its code.
        let code = match reason.code() {
            code @ (Code::PermissionDenied
            | Code::Unauthenticated
            | Code::InvalidArgument
            | Code::FailedPrecondition) => code,
            _ => Code::Unavailable,
        };
        Status::new(
            code,
            format!(
                "no connection to {:?}: {}; the next attempt is made in {wait:.1?}",
                self.peer,
                reason.message()
            ),
        )
        .with_source(reason.clone())
        .with_not_accepted()
    }

    fn still_connecting(&self, expired: &Status) -> Status {
        Status::new(
            expired.code(),
            format!("{}, to {:?}", expired.message(), self.peer),
        )
        .with_not_accepted()
    }
}

impl<C: Connect> Drop for Entry<C> {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if let Some(task) = &state.unwrap_or_else(PoisonError::into_inner).task {
            task.abort();
        }
    }
}

/// Dials, then waits until the connection is lost or no longer needed.
async fn dial_and_watch<C: Connect>(
    entry: Weak<Entry<C>>,
    connect: Arc<C>,
    peer: C::Peer,
    config: PoolConfig,
    attempt: u64,
) {
    let unless_told = TellIfDropped {
        entry: entry.clone(),
        attempt,
    };
    let result = timeout(config.connect_timeout, connect.connect(&peer))
        .await
        .unwrap_or_else(|_| {
            Err(Status::deadline_exceeded(format!(
                "no answer within {:?}",
                config.connect_timeout
            )))
        });
    drop(connect);
    if let Err(reason) = &result {
        tracing::debug!(?peer, attempt, %reason, "the attempt to connect failed");
    }
    let connection = result.as_ref().ok().cloned();
    mem::forget(unless_told);
    let Some(open) = entry.upgrade() else { return };
    let is_current = open.dialled(attempt, result);
    drop(open);
    let Some(connection) = connection.filter(|_| is_current) else {
        return;
    };
    tracing::debug!(?peer, attempt, "connected");
    let closed = C::closed(&connection);
    tokio::pin!(closed);
    let mut next_look = after(Instant::now(), config.idle_timeout);
    loop {
        tokio::select! {
            reason = &mut closed => {
                tracing::debug!(?peer, attempt, %reason, "the connection was lost");
                if let Some(entry) = entry.upgrade() {
                    let (now, random) = (Instant::now(), random_u64());
                    entry.change(|slot| slot.closed(attempt, reason, &config, now, random));
                }
                return;
            }
            () = sleep_until(next_look) => {
                let Some(entry) = entry.upgrade() else { return };
                let next = entry.change(|slot| slot.expire(attempt, &config, Instant::now()));
                match next {
                    Some(at) => next_look = at,
                    None => {
                        tracing::debug!(?peer, attempt, "the idle connection is given up");
                        return;
                    }
                }
            }
        }
    }
}

/// Tells the slot if the attempt ends without a result, by a panic in the connector: nobody may wait for ever.
struct TellIfDropped<C: Connect> {
    entry: Weak<Entry<C>>,
    attempt: u64,
}

impl<C: Connect> Drop for TellIfDropped<C> {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.upgrade() {
            let gone = Status::internal("the attempt to connect broke off");
            entry.dialled(self.attempt, Err(gone));
        }
    }
}

/// A connection with a call on it: it is not given up as idle.
pub(super) struct InUse<C: Connect> {
    entry: Arc<Entry<C>>,
    pub(super) connection: C::Connection,
}

impl<C: Connect> Drop for InUse<C> {
    fn drop(&mut self) {
        self.entry.lock().slot.release(Instant::now());
    }
}
