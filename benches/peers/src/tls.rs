//! One certificate for a run, and what rustls makes of it: TLS 1.3, ring, as all stacks here have it.

use std::sync::Arc;

use tokio_rustls::rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::TLS13,
};

use crate::Outcome;

/// What the certificate is for.
pub(crate) const NAME: &str = "localhost";

/// A certificate that vouches for itself, in PEM.
pub(crate) struct Secrets {
    pub certificate: String,
    pub key: String,
}

impl Secrets {
    pub(crate) fn new() -> Outcome<Self> {
        let signed = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        Ok(Self {
            certificate: signed.cert.pem(),
            key: signed.signing_key.serialize_pem(),
        })
    }

    /// For raw TLS.
    pub(crate) fn configs(&self) -> Outcome<(Arc<ServerConfig>, Arc<ClientConfig>)> {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())?;
        let provider = Arc::new(ring::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate)?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok((Arc::new(server), Arc::new(client)))
    }
}
