//! Certificates for tests, made anew each time: an authority, and what it signs.

use std::fmt;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};

/// An authority, and a server at `localhost` and a client `node-1` that it vouches for.
#[derive(Debug)]
pub struct Secrets {
    authority: Authority,
    /// For `localhost`.
    pub server: Signed,
    /// For `node-1`.
    pub client: Signed,
}

impl Default for Secrets {
    fn default() -> Self {
        Self::new()
    }
}

impl Secrets {
    /// New ones.
    #[must_use]
    pub fn new() -> Self {
        let authority = Authority::new();
        Self {
            server: authority.sign("localhost"),
            client: authority.sign("node-1"),
            authority,
        }
    }

    /// The authority's certificate, in PEM.
    #[must_use]
    pub fn authority(&self) -> &[u8] {
        self.authority.pem.as_bytes()
    }
}

/// An authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pem: String,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// If the system has no randomness.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no name is wrong");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("it can sign");
        let pem = issuer.pem();
        Self { issuer, pem }
    }

    /// Its certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for this name, and for a SPIFFE id of it, with an Ed25519 key.
    ///
    /// # Panics
    /// If it is no name.
    #[must_use]
    pub fn sign(&self, name: &str) -> Signed {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("it is a name");
        let uri = format!("spiffe://example.org/{name}");
        let uri = uri.try_into().expect("it is ASCII");
        params.subject_alt_names.push(SanType::URI(uri));
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("it can sign");
        Signed {
            pem: certificate.pem(),
            der: certificate.der().to_vec(),
            key: key.serialize_pem(),
            public_key: key.public_key_raw().try_into().expect("it has 32 bytes"),
        }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// A certificate, and its key.
pub struct Signed {
    pem: String,
    der: Vec<u8>,
    key: String,
    public_key: [u8; 32],
}

impl Signed {
    /// The certificate, in PEM.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        self.pem.as_bytes()
    }

    /// The certificate, in DER.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        self.der.clone()
    }

    /// The private key, in PEM.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.key.as_bytes()
    }

    /// The public key.
    #[must_use]
    pub const fn public_key(&self) -> [u8; 32] {
        self.public_key
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed")
            .field("public_key", &self.public_key)
            .finish_non_exhaustive()
    }
}
