//! [`ServiceRunner`]: a router served on one transport or on both, behind a [`Gate`] on each. How a transport serves is not known
//! here.

#[cfg(feature = "grpc")]
use std::net::SocketAddr;
use std::{fmt, time::Duration};

use super::{Gate, Migration, MigrationStrategy, Mode, Transport};
#[cfg(feature = "grpc")]
use crate::transport::grpc::{GrpcHandle, GrpcServer, Listener};
#[cfg(feature = "iroh")]
use crate::transport::iroh::{Endpoint, IrohPeer, IrohServer, ServerHandle};
use crate::{
    server::Router,
    status::{Result, Status},
};

/// A [`Router`] to be served on gRPC, on iroh, or on both.
///
/// Each transport serves the same handlers, behind a [`Gate`] that keeps to the [`Migration`]: so a service is moved from one to the
/// other while both run. Calls in flight go on where they are, new ones are told where to go.
///
#[cfg_attr(all(feature = "iroh", feature = "grpc"), doc = "```no_run")]
#[cfg_attr(not(all(feature = "iroh", feature = "grpc")), doc = "```ignore")]
/// # async fn run(router: blixard_rpc::Router) -> Result<(), Box<dyn std::error::Error>> {
/// use blixard_rpc::{
///     runner::{Carry, MigrationStrategy, Mode, Prefer, ServiceRunner},
///     transport::{grpc::GrpcServer, iroh::{self, IrohServer, SecretKey, presets}},
/// };
///
/// let endpoint = iroh::bind(presets::N0, SecretKey::generate()).await?;
/// let listener = tokio::net::TcpListener::bind("0.0.0.0:50051").await?;
/// let running = ServiceRunner::new(router, Mode::Dual)
///     .iroh(endpoint, IrohServer::new)
///     .grpc(listener, GrpcServer::new)
///     .start()?;
///
/// // Later, without a restart:
/// running.apply(MigrationStrategy::new(Carry::Both(Prefer::Iroh)).service("demo.v1.Greeter", Carry::Iroh))?;
/// # Ok(())
/// # }
/// ```
pub struct ServiceRunner {
    router: Router,
    mode: Mode,
    migration: Migration,
    #[cfg(feature = "iroh")]
    iroh: Option<Begin<ServerHandle>>,
    #[cfg(feature = "grpc")]
    grpc: Option<Begin<GrpcHandle>>,
}

/// Begins to serve the router that it is given.
type Begin<Handle> = Box<dyn FnOnce(Router) -> Handle + Send>;

impl ServiceRunner {
    /// The router in this mode.
    #[must_use]
    pub fn new(router: Router, mode: Mode) -> Self {
        Self {
            router,
            mode,
            migration: Migration::default(),
            #[cfg(feature = "iroh")]
            iroh: None,
            #[cfg(feature = "grpc")]
            grpc: None,
        }
    }

    /// Keeps to `migration`, which may be shared with others; by default both transports carry everything.
    #[must_use]
    pub fn migration(mut self, migration: Migration) -> Self {
        self.migration = migration;
        self
    }

    /// Serves on this iroh endpoint, which has no other protocol but those [`beside`](IrohServer::beside): `server` is
    /// [`IrohServer::new`], or sets limits. Not used in [`Mode::Grpc`].
    #[cfg(feature = "iroh")]
    #[must_use]
    pub fn iroh(
        mut self,
        endpoint: Endpoint,
        server: impl FnOnce(Router) -> IrohServer + Send + 'static,
    ) -> Self {
        self.iroh = Some(Box::new(|router| server(router).spawn(endpoint)));
        self
    }

    /// Serves gRPC on this listener, such as a `tokio::net::TcpListener`: `server` is [`GrpcServer::new`], or sets limits, TLS and
    /// compression. Not used in [`Mode::Iroh`].
    #[cfg(feature = "grpc")]
    #[must_use]
    pub fn grpc(
        mut self,
        listener: impl Listener,
        server: impl FnOnce(Router) -> GrpcServer + Send + 'static,
    ) -> Self {
        self.grpc = Some(Box::new(|router| server(router).spawn(listener)));
        self
    }

    /// Serves from now on, until [`Running::shutdown`].
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if the mode asks for a transport that was not given, or the strategy for one that is not served or a service
    /// that does not exist.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(self) -> Result<Running> {
        check(&self.migration.current(), &self.router, self.mode)?;
        for transport in Transport::ALL {
            if self.mode.serves(transport) && !self.knows(transport) {
                let name = transport.name();
                return Err(Status::invalid_argument(format!(
                    "mode = {:?} serves {transport}, and the runner was not told where: call `.{name}(..)`, for which blixard-rpc has the feature `{name}`",
                    self.mode.name()
                )));
            }
        }
        let Self {
            router,
            mode,
            migration,
            ..
        } = self;
        tracing::info!(
            mode = mode.name(),
            services = router.services().len(),
            "serving"
        );
        let gated = |transport| {
            router
                .clone()
                .layer(Gate::new(transport, migration.clone()))
        };
        Ok(Running {
            #[cfg(feature = "iroh")]
            iroh: self
                .iroh
                .filter(|_| mode.serves(Transport::Iroh))
                .map(|begin| begin(gated(Transport::Iroh))),
            #[cfg(feature = "grpc")]
            grpc: self
                .grpc
                .filter(|_| mode.serves(Transport::Grpc))
                .map(|begin| begin(gated(Transport::Grpc))),
            router,
            mode,
            migration,
        })
    }

    /// Whether it was told where to serve there.
    const fn knows(&self, transport: Transport) -> bool {
        match transport {
            #[cfg(feature = "iroh")]
            Transport::Iroh => self.iroh.is_some(),
            #[cfg(feature = "grpc")]
            Transport::Grpc => self.grpc.is_some(),
            #[cfg(not(all(feature = "iroh", feature = "grpc")))]
            _ => false,
        }
    }
}

impl fmt::Debug for ServiceRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceRunner")
            .field("router", &self.router)
            .field("mode", &self.mode)
            .field("migration", &self.migration)
            .finish_non_exhaustive()
    }
}

/// Services that run; dropped, they go on.
#[derive(Debug)]
pub struct Running {
    router: Router,
    mode: Mode,
    migration: Migration,
    #[cfg(feature = "iroh")]
    iroh: Option<ServerHandle>,
    #[cfg(feature = "grpc")]
    grpc: Option<GrpcHandle>,
}

impl Running {
    /// In which mode.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// What it keeps to; [`apply`](Self::apply) changes it, and checks before.
    #[must_use]
    pub const fn migration(&self) -> &Migration {
        &self.migration
    }

    /// Keeps to another strategy from now on. No call is dropped: those in flight go on where they are, and new ones are told where to
    /// go.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if it asks for a transport that is not served, or a service that does not exist; then nothing changes.
    pub fn apply(&self, strategy: MigrationStrategy) -> Result<()> {
        check(&strategy, &self.router, self.mode)?;
        tracing::info!(?strategy, "services are carried so from now on");
        self.migration.set(strategy);
        Ok(())
    }

    /// By what clients dial it over iroh, if it is served there.
    #[cfg(feature = "iroh")]
    #[must_use]
    pub fn iroh_peer(&self) -> Option<IrohPeer> {
        self.iroh.as_ref().map(ServerHandle::peer)
    }

    /// Where it listens for gRPC, if it is served there on an address of the network.
    #[cfg(feature = "grpc")]
    #[must_use]
    pub fn grpc_addr(&self) -> Option<SocketAddr> {
        self.grpc.as_ref().and_then(GrpcHandle::local_addr)
    }

    /// Stops on both transports at once: takes no new calls, lets those in flight end until the grace is over, then closes everything.
    pub async fn shutdown(self, grace: Duration) {
        let iroh = async {
            #[cfg(feature = "iroh")]
            if let Some(server) = self.iroh {
                server.shutdown(grace).await;
            }
        };
        let grpc = async {
            #[cfg(feature = "grpc")]
            if let Some(server) = self.grpc {
                server.shutdown(grace).await;
            }
        };
        tokio::join!(iroh, grpc);
        tracing::info!("serves no more");
    }
}

/// That a strategy can be kept to.
fn check(strategy: &MigrationStrategy, router: &Router, mode: Mode) -> Result<()> {
    match mistake(strategy, router, mode) {
        None => Ok(()),
        Some((what, why)) => Err(Status::invalid_argument(format!("{what}: {why}"))),
    }
}

/// Why a strategy cannot be kept to: the key and its value, and what is wrong with it.
pub(super) fn mistake(
    strategy: &MigrationStrategy,
    router: &Router,
    mode: Mode,
) -> Option<(String, String)> {
    let names = || router.services().map(|service| service.name);
    let of_service = |name: &str| format!("migration.services.{name:?}.carry");
    for (name, carry) in strategy.services() {
        if !names().any(|known| known == name) {
            let known: Vec<&str> = names().collect();
            return Some((
                format!("{} = {:?}", of_service(name), carry.name()),
                format!("no such service is served here; those are {known:?}"),
            ));
        }
    }
    for name in names() {
        let carry = strategy.of(name);
        let served = Transport::ALL
            .into_iter()
            .any(|transport| mode.serves(transport) && carry.on(transport));
        if !served {
            let is_named = strategy.services().any(|(named, _)| named == name);
            let key = if is_named {
                of_service(name)
            } else {
                "migration.carry".to_owned()
            };
            return Some((
                format!("{key} = {:?}", carry.name()),
                format!(
                    "that is all that carries {name}, and mode = {:?} does not serve it; allowed is \"both\" or {:?}, or the mode \"dual\"",
                    mode.name(),
                    mode.name()
                ),
            ));
        }
    }
    None
}
