//! [`Network`]: how members are dialled; and [`Link`], the channels to one member for one purpose. What is sent is not known here.

use std::{fmt, sync::Arc};

#[cfg(all(feature = "iroh", feature = "grpc"))]
use blixard_rpc::runner::{Carry, DualChannel, DualConfig, Migration, MigrationStrategy, Prefer};
#[cfg(feature = "grpc")]
use blixard_rpc::transport::grpc::GrpcConnector;
#[cfg(feature = "iroh")]
use blixard_rpc::transport::iroh::IrohConnector;
use blixard_rpc::{
    Channel, Result, Status,
    backoff::Backoff,
    runner::{Mode, Transport},
};
#[cfg(any(feature = "iroh", feature = "grpc"))]
use blixard_rpc::{Pool, PoolConfig, PooledChannel};

use crate::{class::Purpose, member::Member};

/// How members are dialled: over iroh, over gRPC, over both, or in a way of one's own.
///
/// Each member has two connections on each transport, of which one is for snapshots alone.
#[derive(Clone, Default)]
pub struct Network {
    #[cfg(feature = "iroh")]
    iroh: Option<IrohConnector>,
    #[cfg(feature = "grpc")]
    grpc: Option<GrpcConnector>,
    #[cfg(all(feature = "iroh", feature = "grpc"))]
    dual: DualConfig,
    custom: Option<Custom>,
}

type Custom = Arc<dyn Fn(&Member, Purpose) -> Channel + Send + Sync>;

impl Network {
    /// No way to anyone.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Dials over iroh, in the modes [`Iroh`](Mode::Iroh) and [`Dual`](Mode::Dual).
    #[cfg(feature = "iroh")]
    #[must_use]
    pub fn iroh(mut self, connector: IrohConnector) -> Self {
        self.iroh = Some(connector);
        self
    }

    /// Dials over gRPC, in the modes [`Grpc`](Mode::Grpc) and [`Dual`](Mode::Dual).
    #[cfg(feature = "grpc")]
    #[must_use]
    pub fn grpc(mut self, connector: GrpcConnector) -> Self {
        self.grpc = Some(connector);
        self
    }

    /// When the mode [`Dual`](Mode::Dual) goes over to gRPC, and when back.
    #[cfg(all(feature = "iroh", feature = "grpc"))]
    #[must_use]
    pub fn dual(mut self, config: DualConfig) -> Self {
        self.dual = config;
        self
    }

    /// Takes these channels instead, whatever the mode: for tests, and for other transports.
    #[must_use]
    pub fn custom(
        mut self,
        channel: impl Fn(&Member, Purpose) -> Channel + Send + Sync + 'static,
    ) -> Self {
        self.custom = Some(Arc::new(channel));
        self
    }

    /// # Errors
    /// `INVALID_ARGUMENT` if the mode asks for a transport that was not given.
    pub(crate) fn check(&self, mode: Mode) -> Result<()> {
        for transport in Transport::ALL {
            if mode.serves(transport) && !self.has(transport) {
                return Err(Status::invalid_argument(format!(
                    "mode = {:?} needs {transport}, and the network has none: call `Network::{}(..)`",
                    mode.name(),
                    transport.name()
                )));
            }
        }
        Ok(())
    }

    fn has(&self, transport: Transport) -> bool {
        self.custom.is_some()
            || match transport {
                #[cfg(feature = "iroh")]
                Transport::Iroh => self.iroh.is_some(),
                #[cfg(feature = "grpc")]
                Transport::Grpc => self.grpc.is_some(),
                #[cfg(not(all(feature = "iroh", feature = "grpc")))]
                _ => false,
            }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has: Vec<&str> = Transport::ALL
            .into_iter()
            .filter(|transport| self.has(*transport))
            .map(Transport::name)
            .collect();
        f.debug_tuple("Network").field(&has).finish()
    }
}

/// The pools of a network: one a transport and purpose.
pub(crate) struct Pools {
    network: Network,
    #[cfg(feature = "iroh")]
    iroh: Option<[Pool<IrohConnector>; 2]>,
    #[cfg(feature = "grpc")]
    grpc: Option<[Pool<GrpcConnector>; 2]>,
}

impl Pools {
    pub(crate) fn new(network: Network, redial: Backoff) -> Self {
        #[cfg(any(feature = "iroh", feature = "grpc"))]
        let config = PoolConfig {
            backoff: redial,
            // A member that says nothing for a while is still one.
            idle_timeout: std::time::Duration::MAX,
            ..PoolConfig::default()
        };
        #[cfg(not(any(feature = "iroh", feature = "grpc")))]
        let _ = redial;
        Self {
            #[cfg(feature = "iroh")]
            iroh: network.iroh.as_ref().map(|connector| {
                Purpose::ALL.map(|_| Pool::with_config(connector.clone(), config))
            }),
            #[cfg(feature = "grpc")]
            grpc: network.grpc.as_ref().map(|connector| {
                Purpose::ALL.map(|_| Pool::with_config(connector.clone(), config))
            }),
            network,
        }
    }

    pub(crate) const fn network(&self) -> &Network {
        &self.network
    }

    pub(crate) fn link(&self, member: &Member, purpose: Purpose) -> Link {
        #[cfg(feature = "iroh")]
        let iroh = (|| {
            let pool = &self.iroh.as_ref()?[purpose.index()];
            let peer = member.iroh.clone()?;
            Some(Side {
                pool: pool.clone(),
                channel: pool.channel(peer),
            })
        })();
        #[cfg(feature = "grpc")]
        let grpc = (|| {
            let pool = &self.grpc.as_ref()?[purpose.index()];
            let peer = member.grpc.clone()?;
            Some(Side {
                pool: pool.clone(),
                channel: pool.channel(peer),
            })
        })();
        let custom = self.network.custom.as_ref();
        Link {
            member: member.id,
            custom: custom.map(|channel| channel(member, purpose)),
            #[cfg(all(feature = "iroh", feature = "grpc"))]
            dual: iroh.as_ref().zip(grpc.as_ref()).map(|(iroh, grpc)| {
                let strategy = MigrationStrategy::new(Carry::Both(Prefer::Iroh));
                DualChannel::with_config(
                    Channel::new(iroh.channel.clone()),
                    Channel::new(grpc.channel.clone()),
                    self.network.dual,
                    Migration::new(strategy),
                )
            }),
            #[cfg(feature = "iroh")]
            iroh,
            #[cfg(feature = "grpc")]
            grpc,
        }
    }
}

/// The channels to one member for one purpose. Nothing is dialled before the first call.
pub(crate) struct Link {
    member: u64,
    custom: Option<Channel>,
    #[cfg(feature = "iroh")]
    iroh: Option<Side<IrohConnector>>,
    #[cfg(feature = "grpc")]
    grpc: Option<Side<GrpcConnector>>,
    #[cfg(all(feature = "iroh", feature = "grpc"))]
    dual: Option<DualChannel>,
}

#[cfg(any(feature = "iroh", feature = "grpc"))]
struct Side<C: blixard_rpc::Connect> {
    pool: Pool<C>,
    channel: PooledChannel<C>,
}

#[cfg(any(feature = "iroh", feature = "grpc"))]
impl<C: blixard_rpc::Connect> Side<C> {
    /// What is backing off dials anew with the next call.
    fn redial(&self) {
        if !self.channel.is_connected() {
            self.pool.disconnect(self.channel.peer());
        }
    }
}

impl Link {
    /// The channel for calls in this mode. In [`Mode::Dual`], a member that is reached in one way alone is reached so.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the member has no address for the mode.
    pub(crate) fn channel(&self, mode: Mode) -> Result<Channel> {
        if let Some(custom) = &self.custom {
            return Ok(custom.clone());
        }
        #[cfg(all(feature = "iroh", feature = "grpc"))]
        if let (Mode::Dual, Some(dual)) = (mode, &self.dual) {
            return Ok(Channel::new(dual.clone()));
        }
        #[cfg(feature = "iroh")]
        if let (true, Some(iroh)) = (mode.serves(Transport::Iroh), &self.iroh) {
            return Ok(Channel::new(iroh.channel.clone()));
        }
        #[cfg(feature = "grpc")]
        if let (true, Some(grpc)) = (mode.serves(Transport::Grpc), &self.grpc) {
            return Ok(Channel::new(grpc.channel.clone()));
        }
        Err(Status::unavailable(format!(
            "member {} has no address for mode = {:?}",
            self.member,
            mode.name()
        ))
        .with_not_accepted())
    }

    /// Over what new calls go now, as far as that is known.
    pub(crate) fn route(&self, mode: Mode) -> Option<Transport> {
        #[cfg(all(feature = "iroh", feature = "grpc"))]
        if let (Mode::Dual, Some(dual)) = (mode, &self.dual) {
            return dual.stats().route;
        }
        match mode {
            Mode::Iroh => Some(Transport::Iroh),
            Mode::Grpc => Some(Transport::Grpc),
            Mode::Dual => None,
        }
    }

    /// The member is there: whatever waits to be dialled anew waits no longer.
    pub(crate) fn redial(&self) {
        #[cfg(feature = "iroh")]
        if let Some(iroh) = &self.iroh {
            iroh.redial();
        }
        #[cfg(feature = "grpc")]
        if let Some(grpc) = &self.grpc {
            grpc.redial();
        }
    }
}
