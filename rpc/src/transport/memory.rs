//! [`Memory`]: a client and a server in one process, with nothing between them but encoded messages.

use std::{
    fmt,
    future::poll_fn,
    mem,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::{runtime::Handle, sync::Semaphore};

use crate::{
    call::{Body, BodyStream, Codec, Peer, Request, Response},
    dispatch::{BoxFuture, Dispatch},
    metadata::Metadata,
    method::{MethodDescriptor, ServiceDescriptor},
    status::{Result, Status},
};

/// The transport of one process: calls `inner`, typically a [`Router`](crate::Router), without a network.
///
/// Messages are encoded and decoded as on every other transport. Handlers run inside the caller's own task: there is no queue
/// and no task between the two, so a call that is dropped drops its handler at once, and a response stream that nobody reads does
/// not run. Two get a task of their own, since their caller does not wait: one-way calls, and bidirectional ones that have returned
/// while their handler still waits for the first requests. Outside of a tokio runtime the first does wait, and the second run while
/// their responses are read.
pub struct Memory<D> {
    inner: Arc<D>,
    codec: Codec,
    oneway: Arc<Semaphore>,
}

impl<D: Dispatch> Memory<D> {
    /// Calls `inner`, in postcard where both sides have the same schema.
    pub fn new(inner: D) -> Self {
        Self {
            inner: Arc::new(inner),
            codec: Codec::Postcard,
            oneway: Arc::new(Semaphore::new(MAX_ONEWAY_IN_FLIGHT)),
        }
    }

    /// Encodes in `codec`; postcard still gives way to protobuf where the schemas differ.
    #[must_use]
    pub fn with_codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    async fn dispatch_stream(&self, mut request: Request) -> Result<Response> {
        let mut end = None;
        if request.body.is_stream() {
            // A handler may have given the request stream to another task: it must end with the call there too.
            let (requests, guard) = cancellable(mem::replace(&mut request.body, Body::empty()));
            request.body = requests;
            end = Some(guard);
        }
        let mut call = pin!(self.inner.dispatch(request));
        let mut response = poll_fn(|cx| {
            let polled = call.as_mut().poll(cx);
            if polled.is_pending()
                && let Some(requests) = &end
            {
                requests.look_ahead(cx);
            }
            polled
        })
        .await?;
        if response.body.is_stream() {
            response.body = Body::stream(Responses {
                body: response.body,
                _end: end,
            });
        }
        Ok(response)
    }

    /// A task of its own for a call that nobody waits for; where there is no runtime to give it one, its caller does wait.
    async fn dispatch_oneway(&self, request: Request) -> Result<Response> {
        let permit = Arc::clone(&self.oneway).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!(
                "{}: {MAX_ONEWAY_IN_FLIGHT} one-way calls are running already",
                request.method.path()
            ))
            .with_not_accepted()
        })?;
        let inner = Arc::clone(&self.inner);
        let call = async move {
            let path = request.method.clone();
            if let Err(status) = inner.dispatch(request).await {
                tracing::debug!(path = path.path(), %status, "a one-way call failed");
            }
            drop(permit);
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(call)),
            Err(_) => call.await,
        }
        Ok(Response::new(Body::one(Bytes::new())))
    }
}

impl<D: Dispatch> Dispatch for Memory<D> {
    fn dispatch(&self, request: Request) -> impl Future<Output = Result<Response>> + Send {
        self.dispatch_boxed(request)
    }

    fn dispatch_boxed(&self, mut request: Request) -> BoxFuture<'_, Result<Response>> {
        request.peer = Peer::Memory;
        if request.is_oneway() {
            Box::pin(self.dispatch_oneway(request))
        } else if request.body.is_stream() || may_be_answered_by_stream(&request) {
            Box::pin(self.dispatch_stream(request))
        } else {
            self.inner.dispatch_boxed(request)
        }
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        match self.codec {
            Codec::Postcard => self.inner.codec(service),
            Codec::Protobuf => Codec::Protobuf,
        }
    }

    fn resolve(&self, path: &str) -> Option<&'static MethodDescriptor> {
        self.inner.resolve(path)
    }
}

fn may_be_answered_by_stream(request: &Request) -> bool {
    let method = request.method.descriptor();
    method.is_some_and(|method| method.shape.server_streams())
}

impl<D> Clone for Memory<D> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            codec: self.codec,
            oneway: Arc::clone(&self.oneway),
        }
    }
}

impl<D> fmt::Debug for Memory<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("codec", &self.codec)
            .finish_non_exhaustive()
    }
}

/// A request body that ends with `CANCELLED` when the other half is dropped, whoever reads it.
pub(super) fn cancellable(body: Body) -> (Body, EndRequests) {
    let shared = Arc::new(Mutex::new(Shared {
        body: Some(body),
        first: First::Unasked,
        ended: false,
        reader: None,
    }));
    (
        Body::stream(Requests(Arc::clone(&shared))),
        EndRequests(shared),
    )
}

struct Shared {
    /// `None` while it is polled, and once the call has ended.
    body: Option<Body>,
    first: First,
    ended: bool,
    reader: Option<Waker>,
}

/// The first request.
enum First {
    Unasked,
    /// Somebody has asked for it.
    Asked,
    /// It is being looked at.
    Looking,
    /// It was looked at, and is still to be read.
    Seen(Option<Result<Bytes>>),
}

struct Requests(Arc<Mutex<Shared>>);

impl BodyStream for Requests {
    fn poll_message(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let mut shared = lock(&self.0);
        match mem::replace(&mut shared.first, First::Asked) {
            First::Looking => {
                shared.first = First::Looking;
                shared.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            First::Seen(first) if !shared.ended => return Poll::Ready(first),
            First::Seen(_) | First::Unasked | First::Asked => {}
        }
        // Taken out: the body is the caller's stream, and polling it may end this very call.
        let Some(mut body) = shared.body.take() else {
            return Poll::Ready(Some(Err(call_ended())));
        };
        drop(shared);
        let polled = body.poll_next(cx);
        let mut shared = lock(&self.0);
        if shared.ended {
            drop(shared);
            return Poll::Ready(Some(Err(call_ended())));
        }
        shared.body = Some(body);
        if polled.is_pending() {
            shared.reader = Some(cx.waker().clone());
        }
        polled
    }
}

/// Ends the requests when the call has ended, well or badly.
pub(super) struct EndRequests(Arc<Mutex<Shared>>);

impl EndRequests {
    /// Looks at the first request, for a handler that waits and has not asked for one: as over a network, the caller is to know whether
    /// there is one for now. Only once, for whoever asks after that is to be woken.
    fn look_ahead(&self, cx: &mut Context<'_>) {
        let mut shared = lock(&self.0);
        if !matches!(shared.first, First::Unasked) {
            return;
        }
        let Some(mut body) = shared.body.take() else {
            return;
        };
        shared.first = First::Looking;
        drop(shared);
        let polled = body.poll_next(cx);
        let mut shared = lock(&self.0);
        shared.first = match polled {
            Poll::Ready(first) => First::Seen(first),
            Poll::Pending => First::Asked,
        };
        if !shared.ended {
            shared.body = Some(body);
        }
        let reader = shared.reader.take();
        drop(shared);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Drop for EndRequests {
    fn drop(&mut self) {
        let (body, reader) = {
            let mut shared = lock(&self.0);
            shared.ended = true;
            (shared.body.take(), shared.reader.take())
        };
        // Outside the lock: the body is the caller's stream, and may do anything when it is dropped.
        drop(body);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

fn call_ended() -> Status {
    Status::cancelled("the call has ended")
}

/// One message after another: nothing is taken from the handler's stream before its reader asks.
struct Responses {
    body: Body,
    _end: Option<EndRequests>,
}

impl BodyStream for Responses {
    fn poll_message(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        self.body.poll_next(cx)
    }

    fn trailers(mut self: Pin<&mut Self>) -> Metadata {
        self.body.take_trailers()
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One-way calls that may run at once; the next one is dropped and counted.
pub(super) const MAX_ONEWAY_IN_FLIGHT: usize = 1024;
