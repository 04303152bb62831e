//! [`Connections`]: the connections of an iroh endpoint, whoever has dialled, and whatever is spoken there.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use iroh::{
    TransportAddr,
    endpoint::{
        AfterHandshakeOutcome, Connection, EndpointHooks, Path, Side, WeakConnectionHandle,
    },
};

use super::{
    messages::{PathKind, PeerConnection, PeerPath},
    port::PeerSource,
};

/// Knows the connections of an endpoint: `Endpoint::builder(..).hooks(connections.clone())`. It keeps none of them open. A clone is another
/// handle of the same.
#[derive(Clone, Debug, Default)]
pub struct Connections(Arc<Mutex<Vec<WeakConnectionHandle>>>);

impl Connections {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Those that are open.
    fn open(&self) -> Vec<Connection> {
        let mut open = Vec::new();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|handle| {
            let connection = handle.upgrade().filter(|it| it.close_reason().is_none());
            let is_open = connection.is_some();
            open.extend(connection);
            is_open
        });
        open
    }
}

impl EndpointHooks for Connections {
    async fn after_handshake<'a>(&'a self, connection: &'a Connection) -> AfterHandshakeOutcome {
        // Those that are closed go, so that no more are kept than there are.
        drop(self.open());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(connection.weak_handle());
        AfterHandshakeOutcome::accept()
    }
}

impl PeerSource for Connections {
    fn peers(&self) -> Vec<PeerConnection> {
        let open = self.open();
        let peers = open.iter().map(|connection| PeerConnection {
            key: Bytes::copy_from_slice(connection.remote_id().as_bytes()),
            protocol: String::from_utf8_lossy(connection.alpn()).into_owned(),
            incoming: connection.side() == Side::Server,
            paths: connection.paths().iter().map(|it| path(&it)).collect(),
        });
        peers.collect()
    }
}

fn path(path: &Path<'_>) -> PeerPath {
    let (kind, address) = match path.remote_addr() {
        TransportAddr::Ip(address) => (PathKind::Direct, address.to_string()),
        TransportAddr::Relay(relay) => (PathKind::Relayed, relay.to_string()),
        other => (PathKind::Unspecified, format!("{other:?}")),
    };
    let stats = path.stats();
    PeerPath {
        kind,
        address,
        selected: path.is_selected(),
        round_trip: Some(stats.rtt),
        sent_bytes: stats.udp_tx.bytes,
        received_bytes: stats.udp_rx.bytes,
        lost_packets: stats.lost_packets,
    }
}
