//! [`CallOptions`]: what a caller may say of a call beside its arguments, and [`ResponseMetadata`], what it may learn.

use std::{
    borrow::Cow,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use crate::{
    call::{Context, Response, check_metadata},
    metadata::{InvalidMetadata, Metadata},
    method::{MAX_MESSAGE_BYTES, MethodDescriptor, Priority},
    observe::names::{TRACEPARENT, TRACESTATE},
    status::{Result, Status},
};

/// What a caller may say of its calls beside their arguments: `client.with(CallOptions::new().deadline(..))`.
///
/// A handler's [`Context`] is one too, `client.with(cx)`: the calls then end at the latest with the handler's own call, by its
/// deadline and its cancellation, belong to its trace, and are at least as urgent.
///
/// ```
/// # use std::time::Duration;
/// # use blixard_rpc::{CallOptions, Channel, Context, Memory, ResponseMetadata, Result, Router, iroh_service};
/// # #[iroh_service(package = "doc.v1")]
/// # trait Clock { async fn now(&self, cx: &Context) -> Result<u64>; }
/// # struct Stopped;
/// # impl Clock for Stopped {
/// #     async fn now(&self, cx: &Context) -> Result<u64> { cx.set_header("server", "a")?; Ok(12) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// # let channel = Channel::new(Memory::new(Router::new().add(ClockServer::new(Stopped))));
/// let seen = ResponseMetadata::new();
/// let options = CallOptions::new()
///     .deadline(Duration::from_secs(2))
///     .metadata("tenant", "blue")
///     .capture(&seen);
/// let clock = ClockClient::new(channel).with(options);
/// assert_eq!(clock.now(&Context::background()).await?, 12);
/// assert_eq!(seen.headers().get("server"), Some("a"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    deadline: Option<Duration>,
    metadata: Metadata,
    priority: Option<Priority>,
    max_message_bytes: Option<usize>,
    capture: Option<ResponseMetadata>,
    parent: Option<Context>,
    /// No later than this, whatever `deadline` says: the earliest deadline of all parents.
    latest: Option<Instant>,
    /// The first entry that metadata cannot carry; the calls fail with it.
    invalid: Option<InvalidMetadata>,
}

impl CallOptions {
    /// Nothing said: the method's own defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Each call ends at the latest so long after it began, streams included, with `DEADLINE_EXCEEDED` on both sides.
    #[must_use]
    pub const fn deadline(mut self, after: Duration) -> Self {
        self.deadline = Some(after);
        self
    }

    /// Adds a text entry to the metadata of the request.
    ///
    /// If it has a character that metadata cannot carry, the calls fail with `INVALID_ARGUMENT`.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        let added = self.metadata.append(key, value);
        self.note(added)
    }

    /// Adds a binary entry, whose key ends in `-bin`, to the metadata of the request.
    ///
    /// If the key is not one that metadata can carry, the calls fail with `INVALID_ARGUMENT`.
    #[must_use]
    pub fn metadata_bin(
        mut self,
        key: impl Into<Cow<'static, str>>,
        value: impl Into<Bytes>,
    ) -> Self {
        let added = self.metadata.append_bin(key, value);
        self.note(added)
    }

    /// How urgent the calls are.
    #[must_use]
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// The largest message each way in bytes, in place of the method's; at most [`MAX_MESSAGE_BYTES`]. The server keeps to its own.
    #[must_use]
    pub const fn max_message_bytes(mut self, max: usize) -> Self {
        self.max_message_bytes = Some(max);
        self
    }

    /// Writes the metadata of the responses to `metadata`, as they come.
    #[must_use]
    pub fn capture(mut self, metadata: &ResponseMetadata) -> Self {
        self.capture = Some(metadata.clone());
        self
    }

    /// These options, and on top of them `other`: what it says counts, metadata is added, and the earliest deadline of the
    /// contexts of both holds.
    #[must_use]
    pub(super) fn merge(self, other: Self) -> Self {
        let mut metadata = self.metadata;
        metadata.extend(other.metadata);
        Self {
            deadline: other.deadline.or(self.deadline),
            metadata,
            priority: other.priority.or(self.priority),
            max_message_bytes: other.max_message_bytes.or(self.max_message_bytes),
            capture: other.capture.or(self.capture),
            parent: other.parent.or(self.parent),
            latest: earliest(self.latest, other.latest),
            invalid: self.invalid.or(other.invalid),
        }
    }

    fn note(mut self, added: Result<(), InvalidMetadata>) -> Self {
        if let Err(error) = added {
            self.invalid.get_or_insert(error);
        }
        self
    }

    // What follows answers for one call.

    /// # Errors
    /// `INVALID_ARGUMENT` or `RESOURCE_EXHAUSTED` for metadata that cannot be sent.
    pub(super) fn check(&self, method: &MethodDescriptor) -> Result<()> {
        if let Some(error) = &self.invalid {
            return Err(Status::from(error.clone()).with_not_accepted());
        }
        check_metadata(&self.metadata, method.path, "request").map_err(Status::with_not_accepted)
    }

    pub(super) fn deadline_of(&self, method: &MethodDescriptor) -> Option<Instant> {
        earliest(after(self.deadline.or(method.deadline)), self.latest)
    }

    pub(super) fn priority_of(&self, method: &MethodDescriptor) -> Priority {
        self.priority.unwrap_or_else(|| {
            let inherited = self.parent.as_ref().map(Context::priority);
            inherited.map_or(method.priority, |parent| parent.max(method.priority))
        })
    }

    pub(super) fn limit_of(&self, method: &MethodDescriptor) -> usize {
        self.max_message_bytes.map_or_else(
            || method.message_limit_bytes(),
            |max| max.min(MAX_MESSAGE_BYTES),
        )
    }

    /// The metadata of a request: our own, and the trace of the parent unless we name another.
    pub(super) fn request_metadata(&self) -> Metadata {
        let mut metadata = self.metadata.clone();
        let Some(parent) = &self.parent else {
            return metadata;
        };
        for key in [TRACEPARENT, TRACESTATE] {
            if metadata.get(key).is_none()
                && let Some(value) = parent.metadata().get(key)
            {
                metadata
                    .append(key, value)
                    .expect("what came as metadata can go as metadata");
            }
        }
        metadata
    }

    pub(super) const fn parent(&self) -> Option<&Context> {
        self.parent.as_ref()
    }

    pub(super) const fn captured(&self) -> Option<&ResponseMetadata> {
        self.capture.as_ref()
    }
}

impl From<&Context> for CallOptions {
    fn from(context: &Context) -> Self {
        Self {
            latest: context.deadline(),
            parent: Some(context.clone()),
            ..Self::default()
        }
    }
}

impl From<&Self> for CallOptions {
    fn from(options: &Self) -> Self {
        options.clone()
    }
}

/// The metadata of a response, for a caller who asks: `client.with(CallOptions::new().capture(&metadata))`.
///
/// A clone is another handle of the same metadata. It holds those of the call that answered last: give each call its own where
/// several run at once.
#[derive(Clone, Debug, Default)]
pub struct ResponseMetadata(Arc<Mutex<Blocks>>);

#[derive(Debug, Default)]
struct Blocks {
    headers: Metadata,
    trailers: Metadata,
}

impl ResponseMetadata {
    /// Empty, until a call fills it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The initial metadata; there once the call has returned. If a bidirectional one has returned before its server said anything,
    /// they come when that does, at the latest with the first item.
    #[must_use]
    pub fn headers(&self) -> Metadata {
        self.lock().headers.clone()
    }

    /// The trailing metadata; there once the response, of a stream its end, was read. A call that failed has them in its
    /// [`Status`] too.
    #[must_use]
    pub fn trailers(&self) -> Metadata {
        self.lock().trailers.clone()
    }

    /// Takes what comes with an answer.
    pub(super) fn take_head(&self, result: Result<Response>) -> Result<Response> {
        match result {
            Ok(mut response) => {
                self.set_headers(mem::take(&mut response.metadata));
                Ok(response)
            }
            Err(status) => {
                self.set_headers(Metadata::new());
                self.set_trailers(status.metadata().clone());
                Err(status)
            }
        }
    }

    pub(super) fn set_headers(&self, headers: Metadata) {
        *self.lock() = Blocks {
            headers,
            trailers: Metadata::new(),
        };
    }

    pub(super) fn set_trailers(&self, trailers: Metadata) {
        self.lock().trailers = trailers;
    }

    fn lock(&self) -> MutexGuard<'_, Blocks> {
        // A panic between two assignments leaves nothing that is not metadata.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So long from now; never, if that is past what the clock can say.
pub(super) fn after(deadline: Option<Duration>) -> Option<Instant> {
    Instant::now().checked_add(deadline?)
}

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
