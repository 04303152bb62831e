//! [`GrpcServer`]: accepts connections within limits and serves a [`Router`] on each. What happens on one lives in `connection`.

use std::{
    collections::HashMap, convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, ToSocketAddrs},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tonic::{body::Body as TonicBody, server::NamedService};

#[cfg(feature = "grpc-web")]
use super::http1;
#[cfg(feature = "grpc-tls")]
use super::tls::ServerTls;
#[cfg(feature = "grpc-web")]
use super::web::Origins;
use super::{
    accepted,
    answer::Terms,
    config::GrpcConfig,
    encoding::Encoding,
    listener::Listener,
    shared::{Mounted, Place, Shared},
};
use crate::{call::Peer, method::MAX_MESSAGE_BYTES, server::Router};

/// A [`Router`] over gRPC.
///
/// ```no_run
/// # async fn run() -> std::io::Result<()> {
/// use blixard_rpc::{Router, transport::grpc::GrpcServer};
///
/// let server = GrpcServer::new(Router::new()).bind("127.0.0.1:50051").await?;
/// println!("serving at {:?}", server.local_addr());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct GrpcServer {
    router: Router,
    config: GrpcConfig,
    accept: Vec<Encoding>,
    send: Vec<Encoding>,
    beside: HashMap<&'static str, Box<dyn Mounted>>,
    #[cfg(feature = "grpc-tls")]
    tls: Option<ServerTls>,
    #[cfg(feature = "grpc-web")]
    web: Option<Origins>,
}

impl GrpcServer {
    /// The router with the default limits.
    #[must_use]
    pub fn new(router: Router) -> Self {
        Self::with_config(router, GrpcConfig::default())
    }

    /// The router with these limits.
    #[must_use]
    pub fn with_config(router: Router, config: GrpcConfig) -> Self {
        Self {
            router,
            config,
            accept: Encoding::ALL.to_vec(),
            send: Vec::new(),
            beside: HashMap::new(),
            #[cfg(feature = "grpc-tls")]
            tls: None,
            #[cfg(feature = "grpc-web")]
            web: None,
        }
    }

    /// Encrypts its connections.
    #[cfg(feature = "grpc-tls")]
    #[must_use]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Lets browsers call, over HTTP/1.1 and HTTP/2, from pages of these origins: all methods, by
    /// [gRPC-Web](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md) as bytes or as text, so that those take no stream of
    /// requests.
    #[cfg(feature = "grpc-web")]
    #[must_use]
    pub fn web(mut self, origins: Origins) -> Self {
        self.web = Some(origins);
        self
    }

    /// Lets clients ask what services there are: [`Router::reflection`] on the router. Where a
    /// [`ServiceRunner`](crate::runner::ServiceRunner) serves, give it a router that has it already: then both transports carry it.
    ///
    /// # Errors
    /// Two types of a package have one name, or a descriptor set that a service names does not go with it.
    ///
    /// # Panics
    /// If it is served already, by the router or beside it.
    #[cfg(feature = "grpc-reflection")]
    #[track_caller]
    pub fn reflection(mut self) -> Result<Self, crate::proto::SchemaError> {
        self.router = self.router.reflection()?;
        for name in self.beside.keys() {
            self.check_free(name, false);
        }
        Ok(self)
    }

    /// Sets in which encodings compressed requests are read; by default in [all](Encoding::ALL).
    #[must_use]
    pub fn accept_compressed(mut self, encodings: &[Encoding]) -> Self {
        self.accept = encodings.to_vec();
        self
    }

    /// Compresses responses in the first of these encodings that the caller accepts; by default in none.
    #[must_use]
    pub fn send_compressed(mut self, encodings: &[Encoding]) -> Self {
        self.send = encodings.to_vec();
        self
    }

    /// Serves a service of tonic's beside the router. The router's layers do not see its calls, but these have their deadlines too, and
    /// what panics there ends its own call.
    ///
    /// # Panics
    /// If the router has a service of that name, or one was added before.
    #[must_use]
    #[track_caller]
    pub fn add_service<S>(mut self, service: S) -> Self
    where
        S: tower_service::Service<
                http::Request<TonicBody>,
                Response = http::Response<TonicBody>,
                Error = Infallible,
            > + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
    {
        let before = self.beside.insert(S::NAME, Box::new(service));
        self.check_free(S::NAME, before.is_some());
        self
    }

    #[track_caller]
    fn check_free(&self, name: &str, is_beside: bool) {
        assert!(
            !is_beside && self.router.services().all(|known| known.name != name),
            "the server has a service named {name:?} already"
        );
    }

    /// Binds a TCP address, of which port 0 is one of the system's choice, and serves there until [`GrpcHandle::shutdown`].
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(self, address: impl ToSocketAddrs) -> io::Result<GrpcHandle> {
        Ok(self.spawn(TcpListener::bind(address).await?))
    }

    /// Serves what a listener accepts, until [`GrpcHandle::shutdown`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn spawn(self, listener: impl Listener) -> GrpcHandle {
        let local_addr = listener.local_addr();
        let max_message_bytes = self.config.max_message_bytes.min(MAX_MESSAGE_BYTES);
        let max_inbound_bytes = self.config.max_inbound_bytes;
        let terms = Terms::new(self.accept, self.send, max_message_bytes, max_inbound_bytes);
        #[allow(unused_mut, reason = "features set more of it")]
        let mut shared = Shared::new(self.router, terms, self.beside, self.config);
        #[cfg(feature = "grpc-web")]
        {
            shared.web = self.web;
        }
        let shared = Arc::new(shared);
        let security = Security {
            #[cfg(all(feature = "grpc-tls", not(feature = "grpc-web")))]
            tls: self.tls,
            #[cfg(all(feature = "grpc-tls", feature = "grpc-web"))]
            tls: match shared.web {
                Some(_) => self.tls.map(ServerTls::with_http1),
                None => self.tls,
            },
        };
        let accepting = tokio::spawn(accept_loop(Arc::clone(&shared), security, listener));
        GrpcHandle {
            shared,
            local_addr,
            accepting,
        }
    }
}

/// A server that runs; dropped, it goes on.
#[derive(Debug)]
pub struct GrpcHandle {
    shared: Arc<Shared>,
    local_addr: Option<SocketAddr>,
    accepting: tokio::task::JoinHandle<()>,
}

impl GrpcHandle {
    /// Where it listens, if that is an address of the network.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }

    /// Stops: takes no new connections and calls, and lets the calls in flight end until the grace is over; then they are answered
    /// `UNAVAILABLE`, and every connection is closed.
    ///
    /// # Cancel safety
    /// The shutdown goes on when the future is dropped.
    pub async fn shutdown(self, grace: Duration) {
        self.accepting.abort();
        let now = Instant::now();
        // A grace too long for the clock is as good as none.
        let until = now.checked_add(grace).unwrap_or(now + FOREVER);
        self.shared.drain(until).await;
    }
}

const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// How connections are encrypted, if they are.
#[derive(Clone)]
struct Security {
    #[cfg(feature = "grpc-tls")]
    tls: Option<ServerTls>,
}

async fn accept_loop<L: Listener>(shared: Arc<Shared>, security: Security, mut listener: L) {
    let mut handshakes = JoinSet::new();
    loop {
        if handshakes.len() >= shared.config.max_handshakes.max(1) {
            handshakes.join_next().await;
            continue;
        }
        tokio::select! {
            incoming = listener.accept() => match incoming {
                Ok((io, peer)) => match Place::take(&shared, &peer) {
                    Ok(place) => {
                        handshakes.spawn(handshake(place, security.clone(), io, peer));
                    }
                    Err(reason) => tracing::warn!(%peer, reason, "refused a connection"),
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = handshakes.join_next() => {}
        }
    }
}

/// How long nothing is accepted after that failed: mostly there are no file descriptors left, and asking at once changes nothing.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Shakes hands within the time for it, and gives the connection to a task of its own: it outlives the accept loop, so that a
/// shutdown can drain it.
async fn handshake<I>(place: Place, security: Security, io: I, peer: Peer)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let limit = place.shared().config.handshake_timeout;
    let address = peer.clone();
    let shaken = timeout(limit, async {
        #[cfg(feature = "grpc-tls")]
        if let Some(tls) = &security.tls {
            let (stream, certified) = tls.accept(io).await?;
            return open(place, stream, certified.unwrap_or(peer)).await;
        }
        let Security { .. } = security;
        open(place, io, peer).await
    });
    match shaken.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(peer = %address, %error, "a handshake failed"),
        Err(_) => tracing::debug!(peer = %address, "a handshake took too long"),
    }
}

async fn open<I>(mut place: Place, io: I, peer: Peer) -> io::Result<()>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    #[cfg(feature = "grpc-web")]
    let io = if place.shared().web.is_some() {
        let io = http1::Peeked::read(io).await?;
        if !io.is_http2() {
            admit(&mut place, &peer)?;
            tokio::spawn(async move {
                http1::serve(place.shared(), io, peer).await;
                drop(place);
            });
            return Ok(());
        }
        io
    } else {
        http1::Peeked::unread(io)
    };
    let connection = accepted::open(&place.shared().config, io).await?;
    admit(&mut place, &peer)?;
    tokio::spawn(async move {
        tracing::debug!(%peer, "a connection was opened");
        accepted::serve(place.shared(), connection, peer.clone()).await;
        tracing::debug!(%peer, "a connection ended");
        drop(place);
    });
    Ok(())
}

/// Lets a peer go on whose handshake is over, if it has not too many connections already.
fn admit(place: &mut Place, peer: &Peer) -> io::Result<()> {
    place.shaken(peer).map_err(|reason| {
        tracing::warn!(%peer, reason, "refused a connection");
        io::Error::other(reason)
    })
}
