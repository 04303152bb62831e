//! [`Server`]: an implementation of a service's trait as a [`Dispatch`]. How a message is decoded or answered lives in `shape`.

use std::{fmt, marker::PhantomData, sync::Arc};

use super::{
    guard,
    lookup::{method_at, resolve, same_schema},
    shape::Call,
};
use crate::{
    call::{Codec, Expiry, Method, Request, Response, Side},
    dispatch::{BoxFuture, Dispatch},
    method::{MethodDescriptor, ServiceDescriptor},
    status::Result,
};

/// What `#[iroh_service]` implements for the marker of a service, for every implementation `T` of its trait.
pub trait Service<T>: Send + Sync + 'static {
    /// The full name of the service, as a constant: what tonic routes by.
    const NAME: &'static str;

    /// The service.
    fn descriptor() -> &'static ServiceDescriptor;

    /// Carries one call out on `target`: one match arm a method.
    ///
    /// # Errors
    /// The status that the call ends with.
    fn serve(target: Arc<T>, call: Call) -> impl Future<Output = Result<Response>> + Send;
}

/// An implementation of the trait of service `S`, as a [`Dispatch`]: `GreeterServer<T>` is an alias of it.
///
/// Handlers run isolated: a panic ends its call with `UNKNOWN` and nothing else. A handler that reaches its deadline is dropped.
pub struct Server<S, T> {
    target: Arc<T>,
    service: PhantomData<fn() -> S>,
}

impl<S: Service<T>, T: Send + Sync + 'static> Server<S, T> {
    /// Serves `target`.
    pub fn new(target: T) -> Self {
        Self::from_arc(Arc::new(target))
    }

    /// Serves what somebody else keeps a handle of.
    pub const fn from_arc(target: Arc<T>) -> Self {
        Self {
            target,
            service: PhantomData,
        }
    }

    /// The service that is served.
    #[must_use]
    pub fn descriptor() -> &'static ServiceDescriptor {
        S::descriptor()
    }

    /// The implementation.
    #[must_use]
    pub const fn target(&self) -> &Arc<T> {
        &self.target
    }
}

impl<S: Service<T>, T: Send + Sync + 'static> Server<S, T> {
    /// The call's future, which borrows nothing.
    fn handle(&self, mut request: Request) -> impl Future<Output = Result<Response>> + use<S, T> {
        guard::guarded(
            resolve(S::descriptor(), &request.method, request.codec).and_then(|method| {
                request.method = Method::Known(method);
                let expiry =
                    Expiry::new(Method::Known(method), Side::Server, request.deadline, None)?;
                let target = Arc::clone(&self.target);
                Ok((method, expiry, S::serve(target, Call::new(request, method))))
            }),
        )
    }
}

impl<S: Service<T>, T: Send + Sync + 'static> Dispatch for Server<S, T> {
    fn dispatch(&self, request: Request) -> impl Future<Output = Result<Response>> + Send {
        self.handle(request)
    }

    fn dispatch_owned(self: &Arc<Self>, request: Request) -> BoxFuture<'static, Result<Response>> {
        Box::pin(self.handle(request))
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        if same_schema(service, S::descriptor()) {
            Codec::Postcard
        } else {
            Codec::Protobuf
        }
    }

    fn resolve(&self, path: &str) -> Option<&'static MethodDescriptor> {
        method_at(S::descriptor(), path)
    }
}

impl<S, T> Clone for Server<S, T> {
    fn clone(&self) -> Self {
        Self {
            target: Arc::clone(&self.target),
            service: PhantomData,
        }
    }
}

impl<S, T> fmt::Debug for Server<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}
