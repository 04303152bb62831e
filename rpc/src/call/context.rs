//! [`Context`]: what a handler may know of its call beside the arguments.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::Notify, time::Instant};

use super::{Method, Peer, Request};
use crate::{
    metadata::{InvalidMetadata, Metadata},
    method::Priority,
};

/// What a handler may know of its call beside the arguments: who calls, until when, with what metadata, and whether the caller
/// still waits. It also takes the metadata to send back.
///
/// A handler asks for it with a `cx: &Context` argument. Given on to a client, as the argument or by `client.with(cx)`, the calls
/// made there inherit the deadline, the trace and the cancellation. A clone is another handle of the same context.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    method: Option<Method>,
    peer: Peer,
    metadata: Metadata,
    deadline: Option<Instant>,
    priority: Priority,
    ended: AtomicBool,
    on_end: Notify,
    headers: Mutex<Metadata>,
    trailers: Mutex<Metadata>,
}

impl Context {
    /// A context outside any call: no deadline, no metadata, never cancelled.
    #[must_use]
    pub fn background() -> Self {
        Self::from_parts(None, Peer::Memory, Metadata::new(), None, Priority::Normal)
    }

    /// A context outside any call, with a deadline that the calls made with it share.
    #[must_use]
    pub fn with_deadline(after: Duration) -> Self {
        Self::from_parts(
            None,
            Peer::Memory,
            Metadata::new(),
            Instant::now().checked_add(after),
            Priority::Normal,
        )
    }

    /// The context of a request; its metadata moves here.
    pub(crate) fn of(request: &mut Request) -> Self {
        Self::from_parts(
            Some(request.method.clone()),
            request.peer.clone(),
            std::mem::take(&mut request.metadata),
            request.deadline,
            request.priority,
        )
    }

    fn from_parts(
        method: Option<Method>,
        peer: Peer,
        metadata: Metadata,
        deadline: Option<Instant>,
        priority: Priority,
    ) -> Self {
        Self(Arc::new(Inner {
            method,
            peer,
            metadata,
            deadline,
            priority,
            ended: AtomicBool::new(false),
            on_end: Notify::new(),
            headers: Mutex::new(Metadata::new()),
            trailers: Mutex::new(Metadata::new()),
        }))
    }

    /// The path of the method that was called; empty outside a call.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.method.as_ref().map_or("", Method::path)
    }

    /// Who calls.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.0.peer
    }

    /// The metadata that the caller sent.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// When the caller gives up.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// How long the caller still waits; `None` is for ever.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.0
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// How urgent the call is.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.0.priority
    }

    /// Whether the call has ended: answered, cancelled by its caller, or past its deadline.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.ended.load(Ordering::Acquire)
    }

    /// Resolves when the call has ended, for work that a handler has given to another task.
    ///
    /// # Cancel safety
    /// Can be dropped and asked again.
    pub async fn cancelled(&self) {
        let notified = self.0.on_end.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if !self.is_cancelled() {
            notified.await;
        }
    }

    /// Adds a text entry to the initial metadata of the response; no effect once that was sent.
    ///
    /// # Errors
    /// The key or the value has a character that metadata cannot carry.
    pub fn set_header(
        &self,
        key: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
    ) -> Result<(), InvalidMetadata> {
        lock(&self.0.headers).append(key, value)
    }

    /// Adds a text entry to the trailing metadata of the response; no effect once that was sent.
    ///
    /// # Errors
    /// The key or the value has a character that metadata cannot carry.
    pub fn set_trailer(
        &self,
        key: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
    ) -> Result<(), InvalidMetadata> {
        lock(&self.0.trailers).append(key, value)
    }

    /// Adds a binary entry, whose key ends in `-bin`, to the initial metadata of the response; no effect once that was sent.
    ///
    /// # Errors
    /// The key has a character that metadata cannot carry, or does not end in `-bin`.
    pub fn set_header_bin(
        &self,
        key: impl Into<Cow<'static, str>>,
        value: impl Into<Bytes>,
    ) -> Result<(), InvalidMetadata> {
        lock(&self.0.headers).append_bin(key, value)
    }

    /// Adds a binary entry, whose key ends in `-bin`, to the trailing metadata of the response; no effect once that was sent.
    ///
    /// # Errors
    /// The key has a character that metadata cannot carry, or does not end in `-bin`.
    pub fn set_trailer_bin(
        &self,
        key: impl Into<Cow<'static, str>>,
        value: impl Into<Bytes>,
    ) -> Result<(), InvalidMetadata> {
        lock(&self.0.trailers).append_bin(key, value)
    }

    pub(crate) fn take_headers(&self) -> Metadata {
        std::mem::take(&mut lock(&self.0.headers))
    }

    pub(crate) fn take_trailers(&self) -> Metadata {
        std::mem::take(&mut lock(&self.0.trailers))
    }

    /// Tells everyone who waits in [`cancelled`](Self::cancelled) that the call is over.
    pub(crate) fn end(&self) {
        self.0.ended.store(true, Ordering::Release);
        self.0.on_end.notify_waiters();
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("path", &self.path())
            .field("peer", &self.0.peer)
            .field("deadline", &self.0.deadline)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
