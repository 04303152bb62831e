//! [`Authorize`]: who may call what. Who somebody is, the transport has proved before.

use std::{fmt, sync::Arc};

use super::layer::as_inner;
use crate::{
    call::{Method, Peer, Request, Response},
    dispatch::{Dispatch, Layer},
    metadata::Metadata,
    method::MethodDescriptor,
    status::Result,
};

/// Decides of each call whether it may go on, before anything of it is read: calls of every shape, and those for methods that do
/// not exist, so that nobody learns what does.
///
/// ```
/// use blixard_rpc::{Result, Router, Status, middleware::{Authorize, Caller}};
///
/// # let admin = [0; 32];
/// let only_admin = Authorize::new(move |caller: &Caller<'_>| match caller.peer().key() {
///     Some(key) if *key == admin => Ok(()),
///     _ => Err(Status::permission_denied(format!("{} is not for {}", caller.path(), caller.peer()))),
/// });
/// let router = Router::new().layer(only_admin);
/// ```
pub struct Authorize<A>(Arc<A>);

impl<A: Authorizer> Authorize<A> {
    /// Asks `authorizer` before each call.
    pub fn new(authorizer: A) -> Self {
        Self(Arc::new(authorizer))
    }
}

/// Decides whether a call may go on. A closure that takes a [`Caller`] is one, where nothing has to be waited for.
pub trait Authorizer: Send + Sync + 'static {
    /// Decides.
    ///
    /// # Errors
    /// What the caller is answered: `PERMISSION_DENIED` for somebody who may not, `UNAUTHENTICATED` for somebody unknown.
    fn authorize(&self, caller: &Caller<'_>) -> impl Future<Output = Result<()>> + Send;
}

impl<F> Authorizer for F
where
    F: Fn(&Caller<'_>) -> Result<()> + Send + Sync + 'static,
{
    fn authorize(&self, caller: &Caller<'_>) -> impl Future<Output = Result<()>> + Send {
        std::future::ready(self(caller))
    }
}

/// Who wants to call what.
#[derive(Debug)]
pub struct Caller<'a> {
    peer: &'a Peer,
    method: &'a Method,
    metadata: &'a Metadata,
}

impl Caller<'_> {
    /// Who calls, as far as the transport has proved it.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        self.peer
    }

    /// What is called; `None` for a method that does not exist here.
    #[must_use]
    pub const fn method(&self) -> Option<&'static MethodDescriptor> {
        self.method.descriptor()
    }

    /// The path that was asked for: `/demo.v1.Greeter/Greet`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.method.path()
    }

    /// What the caller says beside: a token, say.
    #[must_use]
    pub const fn metadata(&self) -> &Metadata {
        self.metadata
    }
}

impl<A: Authorizer> Layer for Authorize<A> {
    type Dispatch<D: Dispatch> = Authorized<D, A>;

    fn layer<D: Dispatch>(&self, inner: D) -> Authorized<D, A> {
        Authorized {
            inner,
            authorizer: Arc::clone(&self.0),
        }
    }
}

impl<A> Clone for Authorize<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A> fmt::Debug for Authorize<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorize").finish_non_exhaustive()
    }
}

/// A dispatch that not everybody may call: see [`Authorize`].
pub struct Authorized<D, A> {
    inner: D,
    authorizer: Arc<A>,
}

impl<D: Dispatch, A: Authorizer> Dispatch for Authorized<D, A> {
    async fn dispatch(&self, request: Request) -> Result<Response> {
        let Request {
            peer,
            method,
            metadata,
            ..
        } = &request;
        self.authorizer
            .authorize(&Caller {
                peer,
                method,
                metadata,
            })
            .await?;
        self.inner.dispatch(request).await
    }

    as_inner!();
}

impl<D: Clone, A> Clone for Authorized<D, A> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            authorizer: Arc::clone(&self.authorizer),
        }
    }
}

impl<D: fmt::Debug, A> fmt::Debug for Authorized<D, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
