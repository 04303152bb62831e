//! [`Shared`]: what the connections of a server share: the services, the limits, and whether it drains.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};
use tonic::body::Body as TonicBody;

use super::{
    answer::Terms,
    config::GrpcConfig,
    peers::{Peers, Share},
};
use crate::{
    call::Peer,
    dispatch::BoxFuture,
    server::Router,
    status::{Result, Status},
};

/// What the connections of a server share.
pub(super) struct Shared {
    pub(super) router: Router,
    pub(super) terms: Terms,
    pub(super) beside: HashMap<&'static str, Box<dyn Mounted>>,
    pub(super) config: GrpcConfig,
    /// The pages that may call, if browsers may at all.
    #[cfg(feature = "grpc-web")]
    pub(super) web: Option<super::web::Origins>,
    calls: AtomicUsize,
    drain: watch::Sender<Option<Instant>>,
    places: Arc<Semaphore>,
    peers: Arc<Peers>,
    open: watch::Sender<usize>,
}

impl Shared {
    pub(super) fn new(
        router: Router,
        terms: Terms,
        beside: HashMap<&'static str, Box<dyn Mounted>>,
        config: GrpcConfig,
    ) -> Self {
        Self {
            router,
            terms,
            beside,
            config,
            #[cfg(feature = "grpc-web")]
            web: None,
            calls: AtomicUsize::new(0),
            drain: watch::Sender::new(None),
            places: Arc::new(Semaphore::new(
                config.max_connections.min(Semaphore::MAX_PERMITS),
            )),
            peers: Arc::new(Peers::new(&config)),
            open: watch::Sender::new(0),
        }
    }

    /// How many connections are open.
    pub(super) fn connections(&self) -> usize {
        *self.open.borrow()
    }

    /// Lets every connection drain until then; resolves when all are closed.
    pub(super) async fn drain(&self, until: Instant) {
        self.drain.send_if_modified(|drain| {
            let first = drain.is_none();
            drain.get_or_insert(until);
            first
        });
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    /// Tells when to stop: `None` while the server runs, then until when calls in flight may go on.
    pub(super) fn drained(&self) -> watch::Receiver<Option<Instant>> {
        self.drain.subscribe()
    }

    /// Counts a call as in flight while the guard lives.
    ///
    /// # Errors
    /// Why it cannot be taken.
    pub(super) fn begin(self: &Arc<Self>) -> Result<InFlight> {
        if self.is_draining() {
            return Err(
                Status::unavailable("the server is shutting down and takes no new calls")
                    .with_not_accepted(),
            );
        }
        let limit = self.config.max_calls;
        if self.calls.fetch_add(1, Ordering::Relaxed) >= limit {
            self.calls.fetch_sub(1, Ordering::Relaxed);
            return Err(Status::resource_exhausted(format!(
                "{limit} calls are in flight on this server, its limit: wait for some to end"
            ))
            .with_not_accepted());
        }
        Ok(InFlight(Arc::clone(self)))
    }

    fn is_draining(&self) -> bool {
        self.drain.borrow().is_some()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("router", &self.router)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A call in flight.
pub(super) struct InFlight(Arc<Shared>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection's place within the limits.
pub(super) struct Place {
    shared: Arc<Shared>,
    share: Share,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Takes one, for a connection on which a handshake begins.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn take(shared: &Arc<Shared>, peer: &Peer) -> Result<Self, &'static str> {
        let permit = Arc::clone(&shared.places)
            .try_acquire_owned()
            .map_err(|_| "there are as many as may be")?;
        let share = shared.peers.take(peer)?;
        shared.open.send_modify(|open| *open += 1);
        Ok(Self {
            shared: Arc::clone(shared),
            share,
            _permit: permit,
        })
    }

    /// The handshake is over, and this is who the peer is.
    ///
    /// # Errors
    /// Why the connection may not be.
    pub(super) fn shaken(&mut self, peer: &Peer) -> Result<(), &'static str> {
        self.share.shaken(peer)
    }
}

impl Place {
    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.open.send_modify(|open| *open -= 1);
    }
}

/// A service of tonic's, without its type.
pub(super) trait Mounted: Send + Sync {
    fn call(
        &self,
        request: http::Request<TonicBody>,
    ) -> BoxFuture<'static, http::Response<TonicBody>>;
}

impl<S> Mounted for S
where
    S: tower_service::Service<
            http::Request<TonicBody>,
            Response = http::Response<TonicBody>,
            Error = Infallible,
        > + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    fn call(
        &self,
        request: http::Request<TonicBody>,
    ) -> BoxFuture<'static, http::Response<TonicBody>> {
        let mut service = self.clone();
        Box::pin(async move {
            let Ok(()) = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
            let Ok(response) = tower_service::Service::call(&mut service, request).await;
            response
        })
    }
}

impl fmt::Debug for dyn Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mounted")
    }
}
