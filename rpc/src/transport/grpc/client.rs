//! [`Grpc`]: calls over whatever service of tower carries HTTP, above all tonic's `Channel`.

use std::{
    error::Error as StdError,
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::Uri;
use http_body::{Body as HttpBody, Frame};
use tonic::body::Body as TonicBody;

use super::{
    ask::{Origin, Terms, ask},
    encoding::Encoding,
    oneway::Oneway,
    outbound::{Cancelled, Outbound},
    status::{self, Sent},
};
use crate::{
    call::{Request, Response, unless_recalled},
    dispatch::Dispatch,
    status::{Result, Status},
};

/// Calls over a service of tower that carries HTTP/2: tonic's `Channel`, plain or with TLS, to one server or balanced over many.
///
/// ```no_run
/// # use blixard_rpc::{Channel, transport::grpc::Grpc};
/// # fn run<S>(tonic_channel: S) where Grpc<S>: blixard_rpc::Dispatch {
/// let channel = Channel::new(Grpc::new(tonic_channel));
/// # }
/// ```
///
/// What tonic's endpoint is set to holds beside what calls say: its time-out, its limits, its windows. Streams that are not read use up
/// the window of their connection: have it at least [as large](super::CONNECTION_WINDOW_BYTES) as the windows of so many
/// [streams](super::STREAM_WINDOW_BYTES) as may stand still, or they stop the calls beside them.
#[derive(Clone)]
pub struct Grpc<S> {
    service: S,
    terms: Arc<Terms>,
    origin: Origin,
    oneway: Oneway,
}

impl<S> Grpc<S> {
    /// Calls over `service`.
    pub fn new(service: S) -> Self {
        Self {
            service,
            terms: Arc::default(),
            origin: Origin::default(),
            oneway: Oneway::default(),
        }
    }

    /// Sets scheme and authority of the requests, for a service that does not set them itself as tonic's `Channel` does.
    #[must_use]
    pub fn with_origin(mut self, origin: Uri) -> Self {
        let parts = origin.into_parts();
        self.origin = Origin {
            scheme: parts.scheme,
            authority: parts.authority,
        };
        self
    }

    /// Sets in which encodings compressed responses are read; by default in [all](Encoding::ALL).
    #[must_use]
    pub fn accept_compressed(mut self, encodings: &[Encoding]) -> Self {
        Arc::make_mut(&mut self.terms).set_accept(encodings);
        self
    }

    /// Compresses requests. The server must be one that reads this encoding.
    #[must_use]
    pub fn send_compressed(mut self, encoding: Encoding) -> Self {
        Arc::make_mut(&mut self.terms).set_send(encoding);
        self
    }
}

impl<S, B> Grpc<S>
where
    S: tower_service::Service<http::Request<TonicBody>, Response = http::Response<B>>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    async fn call(self, request: Request) -> Result<Response> {
        let (streams, recall) = (request.body.is_stream(), request.recall.clone());
        let (request, asked) = ask(request, &self.terms, &self.origin)?;
        let mut service = self.service;
        let ready = async {
            let ready = poll_fn(|cx| service.poll_ready(cx)).await;
            ready.map_err(|error| status::of_error(error, asked.path(), Sent::No))
        };
        unless_recalled(recall.as_ref(), ready).await?;
        let (request, end) = if streams {
            let (parts, body) = request.into_parts();
            let (body, end) = severable(body);
            (
                http::Request::from_parts(parts, TonicBody::new(body)),
                Some(end),
            )
        } else {
            (request.map(TonicBody::new), None)
        };
        let response = service
            .call(request)
            .await
            .map_err(|error| status::of_error(error, asked.path(), Sent::Maybe))?;
        asked.answered(response.map(TonicBody::new), end).await
    }
}

impl<S, B> Dispatch for Grpc<S>
where
    S: tower_service::Service<http::Request<TonicBody>, Response = http::Response<B>>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    async fn dispatch(&self, request: Request) -> Result<Response> {
        let call = self.clone();
        if request.is_oneway() {
            let path = request.method.path().to_owned();
            self.oneway.run(path, call.call(request)).await
        } else {
            call.call(request).await
        }
    }
}

impl<S> fmt::Debug for Grpc<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grpc")
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}

/// A request body that ends with an error when the other half is dropped, whoever sends it: HTTP/2 then resets the stream.
fn severable(body: Outbound) -> (Severable, Sever) {
    let shared = Arc::new(Mutex::new(Shared {
        body: Some(body),
        ended: false,
        sender: None,
    }));
    (Severable(Arc::clone(&shared)), Sever(shared))
}

struct Shared {
    /// `None` while it is polled, and once the call has ended.
    body: Option<Outbound>,
    ended: bool,
    sender: Option<Waker>,
}

struct Severable(Arc<Mutex<Shared>>);

impl HttpBody for Severable {
    type Data = Bytes;
    type Error = Cancelled;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cancelled>>> {
        // Taken out: the body is the caller's stream, and polling it may end this very call.
        let Some(mut body) = lock(&self.0).body.take() else {
            return Poll::Ready(Some(Err(call_ended())));
        };
        let polled = Pin::new(&mut body).poll_frame(cx);
        let mut shared = lock(&self.0);
        if shared.ended {
            drop(shared);
            return Poll::Ready(Some(Err(call_ended())));
        }
        if polled.is_pending() {
            shared.sender = Some(cx.waker().clone());
        }
        shared.body = Some(body);
        polled
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0)
            .body
            .as_ref()
            .is_some_and(Outbound::is_end_stream)
    }
}

/// Ends the requests when the call has ended, well or badly.
struct Sever(Arc<Mutex<Shared>>);

impl Drop for Sever {
    fn drop(&mut self) {
        let (body, sender) = {
            let mut shared = lock(&self.0);
            shared.ended = true;
            (shared.body.take(), shared.sender.take())
        };
        // Outside the lock: the body is the caller's stream, and may do anything when it is dropped.
        drop(body);
        if let Some(sender) = sender {
            sender.wake();
        }
    }
}

fn call_ended() -> Cancelled {
    Cancelled::new(Status::cancelled("the call has ended"))
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
