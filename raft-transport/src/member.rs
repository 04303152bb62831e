//! [`Member`]: who belongs to the cluster, how it is reached, and by what it is known.

use blixard_rpc::Peer as Caller;
#[cfg(feature = "grpc")]
use blixard_rpc::transport::grpc::GrpcPeer;
#[cfg(feature = "iroh")]
use blixard_rpc::transport::iroh::IrohPeer;

/// The number of a member, as the engine has it.
pub type MemberId = u64;

/// Who belongs to the cluster, learners too: how it is reached, and by what it is known.
///
/// It is known by its Ed25519 key, which it proves over iroh, and over gRPC if its certificate is for that key; or by a name in
/// its certificate. Two members may not have one of these in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub(crate) id: MemberId,
    pub(crate) keys: Vec<[u8; 32]>,
    pub(crate) names: Vec<String>,
    #[cfg(feature = "iroh")]
    pub(crate) iroh: Option<IrohPeer>,
    #[cfg(feature = "grpc")]
    pub(crate) grpc: Option<GrpcPeer>,
}

impl Member {
    /// A member that is known by nothing yet.
    #[must_use]
    pub const fn new(id: MemberId) -> Self {
        Self {
            id,
            keys: Vec::new(),
            names: Vec::new(),
            #[cfg(feature = "iroh")]
            iroh: None,
            #[cfg(feature = "grpc")]
            grpc: None,
        }
    }

    /// It is dialled over iroh there, and known by that key.
    #[cfg(feature = "iroh")]
    #[must_use]
    pub fn iroh(mut self, peer: impl Into<IrohPeer>) -> Self {
        let peer = peer.into();
        let key = *peer.id().as_bytes();
        self.iroh = Some(peer);
        self.key(key)
    }

    /// It is dialled over gRPC there. By what it is known, say [`key`](Self::key) or [`certificate_name`](Self::certificate_name).
    #[cfg(feature = "grpc")]
    #[must_use]
    pub fn grpc(mut self, peer: impl Into<GrpcPeer>) -> Self {
        self.grpc = Some(peer.into());
        self
    }

    /// It is known by this Ed25519 key.
    #[must_use]
    pub fn key(mut self, key: [u8; 32]) -> Self {
        if !self.keys.contains(&key) {
            self.keys.push(key);
        }
        self
    }

    /// It is known by this name in its certificate: one of a host (`node-1.example.org`), or a URI (`spiffe://example.org/node-1`).
    #[must_use]
    pub fn certificate_name(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> MemberId {
        self.id
    }

    /// Whether the caller has proved to be this member.
    #[must_use]
    pub fn is(&self, caller: &Caller) -> bool {
        let by_key = caller.key().is_some_and(|key| self.keys.contains(key));
        by_key
            || caller.certificate().is_some_and(|certificate| {
                let mut names = certificate.names().iter();
                names.any(|name| self.names.contains(name))
            })
    }

    /// Whether one who proves to be this member would prove to be the other too.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.keys.iter().any(|key| other.keys.contains(key))
            || self.names.iter().any(|name| other.names.contains(name))
    }
}
