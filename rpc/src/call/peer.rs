//! [`Peer`]: who is on the other side.

use std::{fmt, net::SocketAddr};

/// Who is on the other side of a call, as far as the transport has proved it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Peer {
    /// The same process.
    Memory,
    /// The holder of this Ed25519 key, proved by the handshake: on iroh, its `EndpointId`.
    Key([u8; 32]),
    /// Whoever is at this address: nothing is proved.
    Address(SocketAddr),
}

impl Peer {
    /// The key, where the peer has proved that it holds one.
    #[must_use]
    pub const fn key(&self) -> Option<&[u8; 32]> {
        match self {
            Self::Key(key) => Some(key),
            Self::Memory | Self::Address(_) => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Key(key) => key.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Self::Address(address) => address.fmt(f),
        }
    }
}
