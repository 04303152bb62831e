//! The server side: accepts connections within limits and serves a [`Router`] on each, alone on its endpoint or as one protocol among
//! others behind [`iroh::protocol::Router`].

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use iroh::{
    Endpoint, EndpointId,
    endpoint::{Connection, Incoming, VarInt},
    protocol::{AcceptError, DynProtocolHandler, ProtocolHandler},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{ALPN, connect::IrohPeer, link::IrohLink};
use crate::{
    link::{self, CallCount, CloseCode, Limits, Peaks, Services},
    server::Router,
};

/// What a server on iroh allows; see [`Limits`] for what it allows each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptConfig {
    /// How many connections may be open at once, in all.
    pub max_connections: usize,
    /// How many connections one peer may have open at once.
    pub max_connections_per_peer: usize,
    /// How many calls of one peer may be in flight at once, over all its connections; further ones are answered
    /// `RESOURCE_EXHAUSTED`.
    pub max_calls_per_peer: usize,
    /// How many handshakes may be under way at once; further ones wait.
    pub max_handshakes: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// What each connection is allowed.
    pub connection: Limits,
}

impl Default for AcceptConfig {
    /// 4096 connections, 16 a peer with 8192 calls, 256 handshakes of at most 10 seconds.
    fn default() -> Self {
        Self {
            max_connections: 4096,
            max_connections_per_peer: 16,
            max_calls_per_peer: 8192,
            max_handshakes: 256,
            handshake_timeout: Duration::from_secs(10),
            connection: Limits::default(),
        }
    }
}

/// A [`Router`] as a protocol of an iroh endpoint.
///
/// [`IrohServer::spawn`] serves it on an endpoint of its own. On an endpoint with other protocols beside it, it is a handler of
/// iroh's own router: `iroh::protocol::Router::builder(endpoint).accept(ALPN, server).spawn()`. Streams and windows of its
/// connections are set as calls need them; to notice a dead peer within seconds, let that endpoint have
/// [`transport_config`](super::transport_config) too.
#[derive(Clone)]
pub struct IrohServer(Arc<Inner>);

struct Inner {
    router: Arc<Router>,
    services: Services,
    others: Vec<Other>,
    config: AcceptConfig,
    connections: Arc<Semaphore>,
    per_peer: Mutex<HashMap<EndpointId, PeerUse>>,
    peaks: Peaks,
    drain: watch::Sender<Option<Instant>>,
    open: watch::Sender<usize>,
}

/// Another protocol on the same endpoint, by its ALPN.
type Other = (Vec<u8>, Box<dyn DynProtocolHandler>);

impl IrohServer {
    /// The router with the default limits.
    #[must_use]
    pub fn new(router: Router) -> Self {
        Self::with_config(router, AcceptConfig::default())
    }

    /// The router with these limits.
    #[must_use]
    pub fn with_config(router: Router, config: AcceptConfig) -> Self {
        let services = Services::new(router.services());
        Self(Arc::new(Inner {
            router: Arc::new(router),
            services,
            connections: Arc::new(Semaphore::new(
                config.max_connections.min(Semaphore::MAX_PERMITS),
            )),
            config,
            others: Vec::new(),
            per_peer: Mutex::default(),
            peaks: Peaks::default(),
            drain: watch::Sender::new(None),
            open: watch::Sender::new(0),
        }))
    }

    /// Has [`spawn`](Self::spawn) serve another protocol on the same endpoint, such as that of blobs. How many connections and handshakes
    /// may be under way is said by this server's limits for handshakes, and by the handler for the rest. It is told when all is shut
    /// down.
    ///
    /// # Panics
    /// If the server has been cloned.
    #[must_use]
    pub fn beside(
        mut self,
        alpn: impl Into<Vec<u8>>,
        handler: impl Into<Box<dyn DynProtocolHandler>>,
    ) -> Self {
        let inner = Arc::get_mut(&mut self.0).expect("nobody else has the server yet");
        inner.others.push((alpn.into(), handler.into()));
        self
    }

    /// Serves on an endpoint that has no other protocol but those [`beside`](Self::beside), until [`ServerHandle::shutdown`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn spawn(self, endpoint: Endpoint) -> ServerHandle {
        let others = self.0.others.iter().map(|(alpn, _)| alpn.clone());
        endpoint.set_alpns(std::iter::once(ALPN.to_vec()).chain(others).collect());
        let accepting = tokio::spawn(accept_loop(self.clone(), endpoint.clone()));
        ServerHandle {
            server: self,
            endpoint,
            accepting,
        }
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        *self.0.open.borrow()
    }

    /// The most bytes that were queued in one of its connections at once: what waits to be written, and partly received payloads.
    #[must_use]
    pub fn peak_queued_bytes(&self) -> usize {
        self.0.peaks.most_bytes()
    }

    /// Takes no new calls, and lets those in flight end until the grace is over; then closes every connection.
    ///
    /// # Cancel safety
    /// The shutdown goes on when the future is dropped.
    pub async fn drain(&self, grace: Duration) {
        self.0.drain.send_if_modified(|until| {
            let first = until.is_none();
            // A grace too long for the clock is as good as none: an hour more or less of thirty years is no matter.
            let now = Instant::now();
            until.get_or_insert_with(|| now.checked_add(grace).unwrap_or(now + FOREVER));
            first
        });
        // The deadline is kept by each connection.
        let _ = self.0.open.subscribe().wait_for(|open| *open == 0).await;
    }

    fn is_draining(&self) -> bool {
        self.0.drain.borrow().is_some()
    }

    /// Serves one connection to its end.
    async fn serve(&self, connection: Connection) {
        let peer = connection.remote_id();
        if self.is_draining() {
            let code = VarInt::from_u32(CloseCode::Drained as u32);
            return connection.close(code, b"the server is shutting down");
        }
        let place = match self.admit(peer) {
            Ok(place) => place,
            Err(reason) => {
                tracing::warn!(%peer, reason, "refused a connection");
                let code = CloseCode::TooManyConnections as u32;
                return connection.close(VarInt::from_u32(code), reason.as_bytes());
            }
        };
        tracing::debug!(%peer, "a connection was opened");
        let Inner {
            router,
            services,
            config,
            peaks,
            drain,
            ..
        } = &*self.0;
        link::serve(
            IrohLink::accepted(connection, config.connection.max_calls),
            Arc::clone(router),
            services.clone(),
            config.connection,
            Arc::clone(&place.calls),
            peaks,
            drain.subscribe(),
        )
        .await;
        tracing::debug!(%peer, "a connection ended");
    }

    fn admit(&self, peer: EndpointId) -> Result<Place, &'static str> {
        let permit = Arc::clone(&self.0.connections)
            .try_acquire_owned()
            .map_err(|_| "the server has as many connections as it takes")?;
        let mut per_peer = self.0.per_peer();
        let AcceptConfig {
            max_connections_per_peer,
            max_calls_per_peer,
            ..
        } = self.0.config;
        if per_peer.get(&peer).map_or(0, |used| used.connections) >= max_connections_per_peer {
            return Err("the peer has as many connections as one peer may have");
        }
        let used = per_peer.entry(peer).or_insert_with(|| PeerUse {
            connections: 0,
            calls: Arc::new(CallCount::new(max_calls_per_peer)),
        });
        used.connections += 1;
        self.0.open.send_modify(|open| *open += 1);
        Ok(Place {
            server: self.clone(),
            peer,
            calls: Arc::clone(&used.calls),
            _permit: permit,
        })
    }
}

impl Inner {
    fn per_peer(&self) -> std::sync::MutexGuard<'_, HashMap<EndpointId, PeerUse>> {
        self.per_peer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for IrohServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IrohServer")
            .field("services", &self.0.services)
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

impl ProtocolHandler for IrohServer {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        // In a task of its own: iroh's router closes the whole endpoint if a handler panics.
        let server = self.clone();
        let served = tokio::spawn(async move { server.serve(connection).await });
        let _ = AbortOnDrop(served).joined().await;
        Ok(())
    }

    async fn shutdown(&self) {
        self.drain(SHUTDOWN_GRACE).await;
    }
}

const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// How long calls in flight may go on when iroh's own router is shut down.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// A server that runs on an endpoint; dropped, it goes on.
#[derive(Debug)]
pub struct ServerHandle {
    server: IrohServer,
    endpoint: Endpoint,
    accepting: tokio::task::JoinHandle<()>,
}

impl ServerHandle {
    /// The endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// By what clients dial this server.
    #[must_use]
    pub fn peer(&self) -> IrohPeer {
        self.endpoint.addr().into()
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &IrohServer {
        &self.server
    }

    /// Stops: takes no new connections and calls, lets the calls in flight end until the grace is over, then closes the endpoint.
    pub async fn shutdown(self, grace: Duration) {
        // Until the end, who dials is refused at once and not left to wait.
        self.server.drain(grace).await;
        self.accepting.abort();
        for (_, handler) in &self.server.0.others {
            handler.shutdown().await;
        }
        self.endpoint.close().await;
    }
}

/// What one peer uses of the limits.
struct PeerUse {
    connections: usize,
    calls: Arc<CallCount>,
}

/// A connection's place within the limits.
struct Place {
    server: IrohServer,
    peer: EndpointId,
    calls: Arc<CallCount>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut per_peer = self.server.0.per_peer();
        if let Some(used) = per_peer.get_mut(&self.peer) {
            used.connections -= 1;
            if used.connections == 0 {
                per_peer.remove(&self.peer);
            }
        }
        drop(per_peer);
        self.server.0.open.send_modify(|open| *open -= 1);
    }
}

async fn accept_loop(server: IrohServer, endpoint: Endpoint) {
    let mut handshakes = JoinSet::new();
    loop {
        if handshakes.len() >= server.0.config.max_handshakes.max(1) {
            handshakes.join_next().await;
            continue;
        }
        tokio::select! {
            incoming = endpoint.accept() => match incoming {
                Some(incoming) if server.is_draining() => incoming.refuse(),
                Some(incoming) => {
                    handshakes.spawn(handshake(server.clone(), incoming));
                }
                None => return,
            },
            Some(_) = handshakes.join_next() => {}
        }
    }
}

async fn handshake(server: IrohServer, incoming: Incoming) {
    let from = incoming.remote_addr();
    let connected = async {
        let mut accepting = incoming.accept()?;
        if server.0.others.is_empty() {
            return Ok((None, accepting.await?));
        }
        let alpn = accepting.alpn().await.map_err(AcceptError::from_err)?;
        let mut others = server.0.others.iter();
        match others.position(|(other, _)| *other == alpn) {
            Some(at) => {
                let connection = server.0.others[at].1.on_accepting(accepting).await?;
                Ok((Some(at), connection))
            }
            None => Ok((None, accepting.await?)),
        }
    };
    let connected: Result<(_, Connection), AcceptError> =
        match timeout(server.0.config.handshake_timeout, connected).await {
            Ok(connected) => connected,
            Err(_) => return tracing::debug!(?from, "a handshake took too long"),
        };
    match connected {
        // A task of its own: it outlives the accept loop, so that a shutdown can drain it; and panics alone.
        Ok((None, connection)) => {
            tokio::spawn(async move { server.serve(connection).await });
        }
        Ok((Some(at), connection)) => {
            tokio::spawn(async move {
                if let Err(error) = server.0.others[at].1.accept(connection).await {
                    tracing::debug!(?from, %error, "a connection of another protocol ended");
                }
            });
        }
        Err(error) => tracing::debug!(?from, %error, "a handshake failed"),
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl AbortOnDrop {
    async fn joined(mut self) -> Result<(), tokio::task::JoinError> {
        (&mut self.0).await
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
