//! [`Gate`]: a layer of a server that lets a service's calls pass on the transports that carry it, and sends the others on.

use std::{future::ready, sync::Arc};

use super::{Carry, Migration, Transport};
use crate::{
    call::{Codec, Method, Request, Response},
    dispatch::{BoxFuture, Dispatch, Layer},
    metadata::Metadata,
    method::{MethodDescriptor, ServiceDescriptor},
    status::{Result, Status},
};

/// The metadata of a refusal: the transport that carries the service, by [`Transport::name`].
pub(super) const CARRIED_BY: &str = "blixard-carried-by";

/// The layer of a server that keeps to a [`Migration`] on one transport.
///
/// A new call of a service that this transport does not carry is answered with `UNAVAILABLE`, not accepted, and with the name of
/// the one that does, which a [`DualChannel`](super::DualChannel) follows. Calls that have passed go on, whatever changes.
/// [`ServiceRunner`](super::ServiceRunner) puts one around its router for each transport.
#[derive(Clone, Debug)]
pub struct Gate {
    transport: Transport,
    migration: Migration,
}

impl Gate {
    /// Keeps to `migration` where calls come over `transport`.
    #[must_use]
    pub const fn new(transport: Transport, migration: Migration) -> Self {
        Self {
            transport,
            migration,
        }
    }

    fn admit(&self, method: &Method) -> Result<()> {
        // A method that does not exist is answered so by the router, on every transport.
        let Some(method) = method.descriptor() else {
            return Ok(());
        };
        let carry = self.migration.of(|| method.service().name);
        if carry.on(self.transport) {
            return Ok(());
        }
        Err(self.refusal(method, carry))
    }

    #[cold]
    fn refusal(&self, method: &MethodDescriptor, carry: Carry) -> Status {
        let carrier = self.transport.other();
        debug_assert!(carry.on(carrier), "each service is carried by something");
        let mut metadata = Metadata::new();
        metadata
            .append(CARRIED_BY, carrier.name())
            .expect("the names are text");
        Status::unavailable(format!(
            "{} is not carried by {} any more: call it over {carrier}",
            method.service().name,
            self.transport
        ))
        .with_metadata(metadata)
        .with_not_accepted()
    }
}

/// The transport that a refusal of a [`Gate`] names. Of what a handler passes on from another server, it is not said to this caller.
pub(super) fn carried_by(status: &Status) -> Option<Transport> {
    if status.was_accepted() {
        return None;
    }
    // Most statuses have no metadata.
    Transport::from_name(status.metadata().get(CARRIED_BY)?)
}

impl Layer for Gate {
    type Dispatch<D: Dispatch> = Gated<D>;

    fn layer<D: Dispatch>(&self, inner: D) -> Gated<D> {
        Gated {
            inner: Arc::new(inner),
            gate: self.clone(),
        }
    }
}

/// A dispatch behind a [`Gate`].
#[derive(Debug)]
pub struct Gated<D> {
    inner: Arc<D>,
    gate: Gate,
}

impl<D: Dispatch> Dispatch for Gated<D> {
    async fn dispatch(&self, request: Request) -> Result<Response> {
        self.gate.admit(&request.method)?;
        self.inner.dispatch(request).await
    }

    // Whoever boxes a call anyway boxes it once.

    fn dispatch_boxed(&self, request: Request) -> BoxFuture<'_, Result<Response>> {
        match self.gate.admit(&request.method) {
            Ok(()) => self.inner.dispatch_boxed(request),
            Err(status) => Box::pin(ready(Err(status))),
        }
    }

    fn dispatch_owned(self: &Arc<Self>, request: Request) -> BoxFuture<'static, Result<Response>> {
        match self.gate.admit(&request.method) {
            Ok(()) => self.inner.dispatch_owned(request),
            Err(status) => Box::pin(ready(Err(status))),
        }
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        self.inner.codec(service)
    }

    fn resolve(&self, path: &str) -> Option<&'static MethodDescriptor> {
        self.inner.resolve(path)
    }
}
