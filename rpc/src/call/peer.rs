//! [`Peer`]: who is on the other side.

use std::{fmt, net::SocketAddr};

use super::Certificate;

/// Who is on the other side of a call, as far as the transport has proved it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Peer {
    /// The same process.
    Memory,
    /// The holder of this Ed25519 key, proved by the handshake: on iroh, its `EndpointId`.
    Key([u8; 32]),
    /// The holder of this certificate, proved by the handshake: over gRPC with mutual TLS.
    Certificate(Certificate),
    /// Whoever is at this address: nothing is proved.
    Address(SocketAddr),
    /// Whoever: the transport cannot tell, as behind a Unix socket.
    Unknown,
}

impl Peer {
    /// The key, where the peer has proved that it holds one: by iroh, or by a certificate for an Ed25519 key.
    #[must_use]
    pub fn key(&self) -> Option<&[u8; 32]> {
        match self {
            Self::Key(key) => Some(key),
            Self::Certificate(certificate) => certificate.key(),
            Self::Memory | Self::Address(_) | Self::Unknown => None,
        }
    }

    /// The certificate, where the peer has proved that it holds one.
    #[must_use]
    pub const fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Certificate(certificate) => Some(certificate),
            Self::Memory | Self::Key(_) | Self::Address(_) | Self::Unknown => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Key(key) => key.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Self::Certificate(certificate) => certificate.fmt(f),
            Self::Address(address) => address.fmt(f),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}
