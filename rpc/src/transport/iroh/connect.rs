//! The client side: dial a peer by its key, address or ticket, and keep one connection to it.

use std::{fmt, str::FromStr, time::Duration};

use iroh::{Endpoint, EndpointAddr, EndpointId};
use iroh_tickets::endpoint::EndpointTicket;

use super::{ALPN, link::IrohLink};
use crate::{
    dispatch::Connect,
    link::{Connection, LivenessConfig},
    status::{Result, Status},
};

/// How long a dial may take. iroh itself gives up after 30 seconds.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An open connection to a peer over iroh.
pub type IrohConnection = Connection<IrohLink>;

/// Dials peers from an iroh endpoint.
#[derive(Clone, Debug)]
pub struct IrohConnector {
    endpoint: Endpoint,
    timeout: Duration,
    liveness: LivenessConfig,
}

impl IrohConnector {
    /// Dials from `endpoint`, which may serve and speak other protocols besides.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            timeout: CONNECT_TIMEOUT,
            liveness: LivenessConfig::default(),
        }
    }

    /// Sets how long a dial may take, in place of [`CONNECT_TIMEOUT`].
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how soon a peer that does not answer is given up.
    #[must_use]
    pub fn liveness(mut self, liveness: LivenessConfig) -> Self {
        self.liveness = liveness;
        self
    }

    /// Dials now, and answers the connection itself: no redial when it ends.
    ///
    /// # Errors
    /// `UNAVAILABLE` with the reason.
    pub async fn dial(&self, peer: impl Into<IrohPeer>) -> Result<IrohConnection> {
        let IrohPeer(address) = peer.into();
        let id = address.id;
        let dialled =
            tokio::time::timeout(self.timeout, self.endpoint.connect(address, ALPN)).await;
        match dialled {
            Ok(Ok(connection)) => Ok(Connection::new(
                IrohLink::dialled(connection, self.endpoint.clone()),
                self.liveness,
            )),
            Ok(Err(error)) => Err(Status::unavailable(format!("cannot reach {id}: {error:#}"))
                .with_source(error)
                .with_not_accepted()),
            Err(_) => Err(Status::unavailable(format!(
                "cannot reach {id}: no answer within {:?}; is it running, and is its address right?",
                self.timeout
            ))
            .with_not_accepted()),
        }
    }
}

impl Connect for IrohConnector {
    type Peer = IrohPeer;
    type Connection = IrohConnection;

    async fn connect(&self, peer: &IrohPeer) -> Result<IrohConnection> {
        self.dial(peer.clone()).await
    }

    async fn closed(connection: &IrohConnection) -> Status {
        connection.retired().await
    }
}

/// Whom to dial: a key, alone where an address lookup knows the rest, or with addresses.
///
/// It is read from the text of a key (`EndpointId`) or of a ticket.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IrohPeer(EndpointAddr);

impl IrohPeer {
    /// The peer's key.
    #[must_use]
    pub fn id(&self) -> EndpointId {
        self.0.id
    }

    /// The peer's key, and where it may be reached.
    #[must_use]
    pub fn address(&self) -> &EndpointAddr {
        &self.0
    }

    /// The text by which another process can dial the endpoint: its key and addresses.
    #[must_use]
    pub fn ticket(&self) -> String {
        EndpointTicket::new(self.0.clone()).to_string()
    }
}

impl From<EndpointId> for IrohPeer {
    fn from(id: EndpointId) -> Self {
        Self(id.into())
    }
}

impl From<EndpointAddr> for IrohPeer {
    fn from(address: EndpointAddr) -> Self {
        Self(address)
    }
}

impl From<EndpointTicket> for IrohPeer {
    fn from(ticket: EndpointTicket) -> Self {
        Self(ticket.endpoint_addr().clone())
    }
}

impl FromStr for IrohPeer {
    type Err = Status;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        if let Ok(id) = text.parse::<EndpointId>() {
            return Ok(id.into());
        }
        text.parse::<EndpointTicket>()
            .map(Self::from)
            .map_err(|error| {
                Status::invalid_argument(format!(
                    "{text:?} is neither a key nor a ticket of an endpoint"
                ))
                .with_source(error)
            })
    }
}

impl fmt::Debug for IrohPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for IrohPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.id.fmt(f)
    }
}
