//! [`DualChannel`]: one channel over two. How a call is made over one side and, where that does no harm, over the other; which side
//! is to be tried is decided in `switch`.

use std::{
    fmt,
    future::poll_fn,
    mem,
    pin::pin,
    sync::{Arc, atomic::AtomicUsize},
    task::Poll,
};

use bytes::Bytes;
use tokio::{sync::futures::Notified, time::Instant};

use super::{
    config::DualConfig,
    counts::DualStats,
    recording::Tape,
    shared::{Route, Shared},
};
use crate::{
    call::{Body, Codec, Request, Response},
    code::Code,
    dispatch::{Channel, Dispatch},
    method::{MethodDescriptor, ServiceDescriptor},
    runner::{Carry, Migration, MigrationStrategy, Prefer, Transport, gate::carried_by},
    status::{Result, Status},
};

/// One channel over two transports: calls go over the preferred one, and over the other while that is away.
///
/// See [the module](super::super) for when it changes over, and when back.
///
/// A call goes on over the other side only where that does no harm: if it is certain that the first did not begin to work on it, or if
/// its method is idempotent. A request stream goes on from its beginning, of which so much is kept as [`MAX_KEPT_BYTES`] says. Any
/// other call that is lost ends with `UNAVAILABLE`, once. No call is sent more than twice, and its deadline is for both together.
///
/// A service that a server has moved is followed to where it is: see [`MigrationStrategy`].
///
/// Calls are encoded in what both sides carry, so that either can take them: protobuf, unless both carry postcard.
///
/// The channel asks gRPC's health service of both sides, without credentials, while it is used. A clone is another handle of the same
/// channel.
///
/// [`MAX_KEPT_BYTES`]: super::MAX_KEPT_BYTES
///
/// ```
/// use blixard_rpc::{Channel, Memory, Router, runner::DualChannel};
///
/// # async fn example(iroh: Channel, grpc: Channel) {
/// let channel = DualChannel::new(iroh, grpc); // a pooled channel each, for any number of clients
/// println!("{} calls over iroh, {} over gRPC", channel.stats().iroh.calls, channel.stats().grpc.calls);
/// # }
/// ```
pub struct DualChannel<I: Dispatch = Channel, G: Dispatch = Channel> {
    shared: Arc<Shared<I, G>>,
    _end: Arc<End<I, G>>,
}

/// Ends the task beside the channel when the last handle is dropped; the sides are dropped with it.
struct End<I: Dispatch, G: Dispatch>(Arc<Shared<I, G>>);

impl<I: Dispatch, G: Dispatch> Drop for End<I, G> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<I: Dispatch, G: Dispatch> DualChannel<I, G> {
    /// Prefers `iroh`.
    pub fn new(iroh: I, grpc: G) -> Self {
        Self::with_config(iroh, grpc, DualConfig::default(), Migration::default())
    }

    /// Prefers what is said.
    pub fn preferring(prefer: Prefer, iroh: I, grpc: G) -> Self {
        let strategy = MigrationStrategy::new(Carry::Both(prefer));
        Self::with_config(iroh, grpc, DualConfig::default(), Migration::new(strategy))
    }

    /// Prefers, for each service, what `migration` says at the time of the call.
    pub fn with_config(iroh: I, grpc: G, config: DualConfig, migration: Migration) -> Self {
        let shared = Shared::new(iroh, grpc, config, migration);
        let end = Arc::new(End(Arc::clone(&shared)));
        Self { shared, _end: end }
    }

    /// What it has done, and how it sees its two sides.
    #[must_use]
    pub fn stats(&self) -> DualStats {
        self.shared.stats()
    }

    /// What says which side is preferred; it can be changed at any time.
    #[must_use]
    pub fn migration(&self) -> &Migration {
        &self.shared.migration
    }

    /// The side over iroh.
    #[must_use]
    pub fn iroh(&self) -> &I {
        &self.shared.iroh
    }

    /// The side over gRPC.
    #[must_use]
    pub fn grpc(&self) -> &G {
        &self.shared.grpc
    }
}

impl<I: Dispatch, G: Dispatch> Dispatch for DualChannel<I, G> {
    async fn dispatch(&self, mut request: Request) -> Result<Response> {
        let shared = &*self.shared;
        let route = shared.route(&request.method).await;
        let is_idempotent = request
            .method
            .descriptor()
            .is_some_and(|method| method.idempotent);
        let kept = Kept::of(&mut request, &shared.kept_bytes);
        request.recall = Some(Arc::clone(&shared.recall[route.first.index()]));
        // Made before the call is sent, so that nothing is missed.
        let given_up = is_idempotent.then(|| shared.given_up[route.first.index()].notified());
        match shared.attempt(route.first, request, given_up).await {
            Attempt::Ended(Ok(response)) => {
                if route.asks_again {
                    shared.taken_back(&kept.head.method, route.first);
                }
                kept.stop();
                Ok(response)
            }
            Attempt::Ended(Err(status)) => {
                if shared.may_go_on(&route, &kept.head, &status) {
                    // Boxed, so that calls that go well do not carry its size.
                    Box::pin(shared.go_on(route.first, kept, Some(status))).await
                } else {
                    Err(status)
                }
            }
            Attempt::GivenUp => Box::pin(shared.go_on(route.first, kept, None)).await,
        }
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        // What cannot be encoded anew on its way must be right for both.
        match self.shared.grpc.codec(service) {
            Codec::Protobuf => Codec::Protobuf,
            Codec::Postcard => self.shared.iroh.codec(service),
        }
    }

    fn resolve(&self, path: &str) -> Option<&'static MethodDescriptor> {
        let Shared { iroh, grpc, .. } = &*self.shared;
        iroh.resolve(path).or_else(|| grpc.resolve(path))
    }
}

impl<I: Dispatch, G: Dispatch> Clone for DualChannel<I, G> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            _end: Arc::clone(&self._end),
        }
    }
}

impl<I: Dispatch, G: Dispatch> fmt::Debug for DualChannel<I, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DualChannel")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// What became of a call on one side.
enum Attempt {
    Ended(Result<Response>),
    /// The side says nothing any more, and the call may go on over the other.
    GivenUp,
}

impl<I: Dispatch, G: Dispatch> Shared<I, G> {
    /// Sends a call over one side, until it is answered or, where it may be, given up.
    async fn attempt(
        &self,
        side: Transport,
        request: Request,
        given_up: Option<Notified<'_>>,
    ) -> Attempt {
        let is_oneway = request.is_oneway();
        let mut waiting = self.counts[side.index()].begin();
        let mut sent = pin!(self.send(side, request));
        let attempt = match given_up {
            None => Attempt::Ended(sent.await),
            Some(given_up) => {
                let mut given_up = pin!(given_up);
                poll_fn(|cx| match sent.as_mut().poll(cx) {
                    Poll::Ready(result) => Poll::Ready(Attempt::Ended(result)),
                    Poll::Pending => given_up.as_mut().poll(cx).map(|()| Attempt::GivenUp),
                })
                .await
            }
        };
        if let Attempt::Ended(result) = &attempt
            && is_sign_of_life(result, is_oneway)
        {
            waiting.answered();
        }
        attempt
    }

    /// Whether a call that failed so on the first side may be sent over the other one. Notes what the failure says of the side.
    fn may_go_on(&self, route: &Route, head: &Request, status: &Status) -> bool {
        let (first, other) = (route.first, route.first.other());
        let harmless = if status.is_wrong_codec() {
            // Only the one who encoded the call can put this right.
            false
        } else if let Some(to) = carried_by(status) {
            if to == other {
                self.sent_on(&head.method, to);
            }
            to == other
        } else {
            let is_idempotent = head
                .method
                .descriptor()
                .is_some_and(|method| method.idempotent);
            match (status.code(), status.was_accepted()) {
                (Code::Unavailable, false) => {
                    self.refused(first, status, route.era);
                    true
                }
                (Code::Unavailable, true) => {
                    self.suspect(first);
                    is_idempotent
                }
                // A server of another version: the other may be one that knows it.
                (Code::Unimplemented, false) => self.is_up(other),
                _ => false,
            }
        };
        harmless
            && head
                .deadline
                .is_none_or(|deadline| Instant::now() < deadline)
    }

    /// Sends a call over the other side that the first has not carried to its end, for this reason or because it is silent.
    async fn go_on(
        &self,
        first: Transport,
        kept: Kept,
        failed: Option<Status>,
    ) -> Result<Response> {
        let other = first.other();
        let path = kept.head.method.clone();
        let path = path.path();
        let Some(request) = kept.again() else {
            return Err(failed.unwrap_or_else(|| {
                Status::unavailable(format!("{path}: {first} does not answer any more, and too much was sent to begin again over {other}"))
            }));
        };
        self.counts[first.index()].moved();
        tracing::debug!(path, from = first.name(), to = other.name(), reason = ?failed, "a call goes on over the other transport");
        let era = self.era();
        let second = match self.attempt(other, request, None).await {
            Attempt::Ended(Ok(response)) => return Ok(response),
            Attempt::Ended(Err(second)) => second,
            Attempt::GivenUp => unreachable!("it was not to be given up"),
        };
        if second.code() == Code::Unavailable && carried_by(&second).is_none() {
            if second.was_accepted() {
                self.suspect(other);
            } else {
                self.refused(other, &second, era);
            }
        }
        Err(both(path, first, failed, second))
    }
}

/// Whether only the other side can have said so: what fails on this side tells nothing.
fn is_sign_of_life(result: &Result<Response>, is_oneway: bool) -> bool {
    match result {
        Ok(_) => !is_oneway,
        Err(status) => {
            status.was_accepted()
                && !matches!(
                    status.code(),
                    Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled
                )
        }
    }
}

/// What a call ends with that failed on both sides.
fn both(path: &str, first_side: Transport, first: Option<Status>, second: Status) -> Status {
    let was_accepted = second.was_accepted() || first.as_ref().is_none_or(Status::was_accepted);
    if second.code() != Code::Unavailable || second.is_wrong_codec() {
        return if was_accepted {
            second.with_accepted()
        } else {
            second
        };
    }
    let first_says = match first {
        // That is an answer, and the other side had none.
        Some(first) if first.code() != Code::Unavailable => return first,
        Some(first) => first.message().to_owned(),
        None => "it does not answer any more".to_owned(),
    };
    let status = Status::unavailable(format!(
        "{path} failed on both transports: over {first_side}: {first_says}; over {}: {}",
        first_side.other(),
        second.message()
    ))
    .with_source(second);
    if was_accepted {
        status
    } else {
        status.with_not_accepted()
    }
}

/// What a call is made from on the other side.
struct Kept {
    /// All but the messages.
    head: Request,
    messages: Messages,
}

enum Messages {
    None,
    One(Bytes),
    Stream(Tape),
}

impl Kept {
    /// Keeps what is needed of a request, which is sent on.
    fn of(request: &mut Request, total_bytes: &Arc<AtomicUsize>) -> Self {
        let head = request.with_body(Body::empty());
        let messages = if let Some(message) = request.body.as_one() {
            Messages::One(message.clone())
        } else if request.body.is_stream() {
            let body = mem::replace(&mut request.body, Body::empty());
            let (body, tape) = Tape::record(body, total_bytes);
            request.body = body;
            Messages::Stream(tape)
        } else {
            Messages::None
        };
        Self { head, messages }
    }

    /// The call was taken: nothing needs to be kept.
    fn stop(self) {
        if let Messages::Stream(tape) = self.messages {
            tape.stop();
        }
    }

    /// The request once more, if all of it is still there.
    fn again(self) -> Option<Request> {
        let mut request = self.head;
        request.body = match self.messages {
            Messages::None => Body::empty(),
            Messages::One(message) => Body::one(message),
            Messages::Stream(tape) => tape.rewind()?,
        };
        Some(request)
    }
}
