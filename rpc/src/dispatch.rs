//! The one seam: whatever can carry a call is a [`Dispatch`].
//!
//! The client half of a transport is one; its server half is a loop that feeds one. Generated servers, the
//! [`Router`](crate::Router), pooled channels and every middleware are one too. So they compose without knowing each other, and
//! unary and streaming calls take the same way: there is no interceptor that a stream slips past.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use crate::{
    call::{Codec, Request, Response},
    method::{MethodDescriptor, ServiceDescriptor},
    status::Result,
};

/// Whatever can carry a call.
///
/// # Cancel safety
/// Dropping the future, or the response's body, cancels the call: no implementation goes on behind the caller's back.
pub trait Dispatch: Send + Sync + 'static {
    /// Carries one call of any shape.
    ///
    /// # Errors
    /// The status that ended the call before there was a response. One that comes later ends the response's body.
    fn dispatch(&self, request: Request) -> impl Future<Output = Result<Response>> + Send;

    /// The same, boxed: what an erased [`Channel`] calls. Only for those who box anyway, so that nothing is boxed twice.
    #[doc(hidden)]
    fn dispatch_boxed(&self, request: Request) -> BoxFuture<'_, Result<Response>> {
        Box::pin(self.dispatch(request))
    }

    /// The same again, for who gives the call to a task of its own if it must wait.
    #[doc(hidden)]
    fn dispatch_owned(self: &Arc<Self>, request: Request) -> BoxFuture<'static, Result<Response>>
    where
        Self: Sized,
    {
        let this = Arc::clone(self);
        Box::pin(async move { this.dispatch(request).await })
    }

    /// The codec in which calls to this service are best encoded now.
    ///
    /// Protobuf is always right. A transport answers postcard only where it knows that the other side has the same schema.
    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        let _ = service;
        Codec::Protobuf
    }

    /// The method with this path, where this side has it: what the server half of a transport asks, so that everyone behind it
    /// knows the method.
    fn resolve(&self, path: &str) -> Option<&'static MethodDescriptor> {
        let _ = path;
        None
    }
}

impl<D: Dispatch> Dispatch for Arc<D> {
    fn dispatch(&self, request: Request) -> impl Future<Output = Result<Response>> + Send {
        (**self).dispatch(request)
    }

    fn dispatch_boxed(&self, request: Request) -> BoxFuture<'_, Result<Response>> {
        (**self).dispatch_boxed(request)
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        (**self).codec(service)
    }

    fn resolve(&self, path: &str) -> Option<&'static MethodDescriptor> {
        (**self).resolve(path)
    }
}

/// What wraps one [`Dispatch`] in another: a middleware, for clients and servers, unary and streaming calls alike.
///
/// A router takes one by `router.layer(..)`, a client by `Channel::new(layer.layer(channel))`.
pub trait Layer: Send + Sync + 'static {
    /// The wrapped dispatch.
    type Dispatch<D: Dispatch>: Dispatch;

    /// Wraps `inner`.
    fn layer<D: Dispatch>(&self, inner: D) -> Self::Dispatch<D>;
}

/// A peer to a connection: all that the pool and the Raft transport ask of a network.
pub trait Connect: Send + Sync + 'static {
    /// What names a peer and how to reach it.
    type Peer: Clone + Eq + std::hash::Hash + fmt::Debug + Send + Sync + 'static;
    /// An open connection; a clone is another handle of the same one.
    type Connection: Dispatch + Clone;

    /// Opens a connection.
    ///
    /// # Errors
    /// `UNAVAILABLE` with the reason, or `DEADLINE_EXCEEDED` if the network says nothing.
    fn connect(&self, peer: &Self::Peer) -> impl Future<Output = Result<Self::Connection>> + Send;

    /// Resolves when the connection takes no new calls, with the reason; those in flight may go on.
    fn closed(connection: &Self::Connection) -> impl Future<Output = crate::Status> + Send;
}

/// An erased [`Dispatch`] that is cheap to clone: what generated clients take unless told otherwise.
#[derive(Clone)]
pub struct Channel(Arc<dyn Erased>);

impl Channel {
    /// Erases `dispatch`.
    pub fn new(dispatch: impl Dispatch) -> Self {
        Self(Arc::new(dispatch))
    }

    /// [`Dispatch::dispatch_owned`] of what was erased.
    pub(crate) fn owned(&self, request: Request) -> BoxFuture<'static, Result<Response>> {
        Arc::clone(&self.0).owned_erased(request)
    }
}

impl Dispatch for Channel {
    fn dispatch(&self, request: Request) -> impl Future<Output = Result<Response>> + Send {
        self.0.dispatch_erased(request)
    }

    fn dispatch_boxed(&self, request: Request) -> BoxFuture<'_, Result<Response>> {
        self.0.dispatch_erased(request)
    }

    fn dispatch_owned(self: &Arc<Self>, request: Request) -> BoxFuture<'static, Result<Response>> {
        self.owned(request)
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        self.0.codec_erased(service)
    }

    fn resolve(&self, path: &str) -> Option<&'static MethodDescriptor> {
        self.0.resolve_erased(path)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}

/// A future that is boxed and can move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

trait Erased: Send + Sync {
    fn dispatch_erased(&self, request: Request) -> BoxFuture<'_, Result<Response>>;
    fn owned_erased(self: Arc<Self>, request: Request) -> BoxFuture<'static, Result<Response>>;
    fn codec_erased(&self, service: &'static ServiceDescriptor) -> Codec;
    fn resolve_erased(&self, path: &str) -> Option<&'static MethodDescriptor>;
}

impl<D: Dispatch> Erased for D {
    fn dispatch_erased(&self, request: Request) -> BoxFuture<'_, Result<Response>> {
        self.dispatch_boxed(request)
    }

    fn owned_erased(self: Arc<Self>, request: Request) -> BoxFuture<'static, Result<Response>> {
        self.dispatch_owned(request)
    }

    fn codec_erased(&self, service: &'static ServiceDescriptor) -> Codec {
        self.codec(service)
    }

    fn resolve_erased(&self, path: &str) -> Option<&'static MethodDescriptor> {
        self.resolve(path)
    }
}
