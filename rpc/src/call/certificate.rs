//! [`Certificate`]: what is known of a peer by the X.509 certificate that it proved to hold.

use std::{fmt, sync::Arc};

use bytes::Bytes;

/// The certificate of a peer, checked by the handshake: it was signed by an authority that this side trusts, and the peer holds its key.
///
/// A clone is another handle of the same certificate. Two are equal if all their bytes are.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    der: Bytes,
    names: Vec<String>,
    key: Option<[u8; 32]>,
}

impl Certificate {
    /// A certificate in DER, with the names and the Ed25519 key that whoever has parsed it found there.
    #[must_use]
    pub fn new(der: impl Into<Bytes>, names: Vec<String>, key: Option<[u8; 32]>) -> Self {
        Self(Arc::new(Inner {
            der: der.into(),
            names,
            key,
        }))
    }

    /// All of it, in DER.
    #[must_use]
    pub fn der(&self) -> &Bytes {
        &self.0.der
    }

    /// Its subject alternative names: those of hosts first (`node-1.example.org`), then URIs (`spiffe://example.org/node-1`).
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0.names
    }

    /// Its key, if that is an Ed25519 key: a node that has one key for iroh and for its certificate is one peer on both.
    #[must_use]
    pub fn key(&self) -> Option<&[u8; 32]> {
        self.0.key.as_ref()
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl std::hash::Hash for Certificate {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.der.hash(state);
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("names", &self.names())
            .field("der_bytes", &self.der().len())
            .finish_non_exhaustive()
    }
}

/// The first name; without one, how long it is.
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.names().first() {
            Some(name) => f.write_str(name),
            None => write!(
                f,
                "a certificate of {} bytes without a name",
                self.der().len()
            ),
        }
    }
}
