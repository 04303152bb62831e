//! [`Transport`] and [`Mode`]: what carries calls between processes, and which of it a runner serves.

use std::fmt;

/// What carries calls between processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// QUIC between peers, dialled by public key.
    Iroh,
    /// HTTP/2, as the gRPC documents have it.
    Grpc,
}

impl Transport {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Iroh, Self::Grpc];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Iroh => Self::Grpc,
            Self::Grpc => Self::Iroh,
        }
    }

    /// The name in configurations, metadata and metrics: `iroh` or `grpc`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Iroh => "iroh",
            Self::Grpc => "grpc",
        }
    }

    /// The transport with this name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|transport| transport.name() == name)
    }

    /// Its place in arrays of what there is once a transport.
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Iroh => 0,
            Self::Grpc => 1,
        }
    }
}

impl fmt::Display for Transport {
    /// As people write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iroh => "iroh",
            Self::Grpc => "gRPC",
        })
    }
}

/// On which transports a [`ServiceRunner`](super::ServiceRunner) serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// On gRPC alone.
    Grpc,
    /// On iroh alone.
    Iroh,
    /// On both, each service on those that the [`MigrationStrategy`](super::MigrationStrategy) says.
    Dual,
}

impl Mode {
    /// Whether this transport is served.
    #[must_use]
    pub const fn serves(self, transport: Transport) -> bool {
        matches!(
            (self, transport),
            (Self::Dual, _) | (Self::Grpc, Transport::Grpc) | (Self::Iroh, Transport::Iroh)
        )
    }

    /// The name in configurations: `grpc`, `iroh` or `dual`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Iroh => "iroh",
            Self::Dual => "dual",
        }
    }
}
