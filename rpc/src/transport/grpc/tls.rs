//! TLS by rustls: what a side shows, whom it trusts, and who a peer is by its certificate.

use std::{fmt, sync::Arc};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{
    TlsAcceptor, TlsConnector, client,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        server::WebPkiClientVerifier,
    },
    server,
};

use crate::{
    call::{Certificate, Peer},
    status::{Result, Status},
};

/// What HTTP/2 is called in the handshake.
const ALPN: &[u8] = b"h2";

/// What a server shows to its clients, and whether they must show something too.
#[derive(Clone)]
pub struct ServerTls(Arc<ServerConfig>);

impl ServerTls {
    /// Shows a chain of certificates, its own first, and asks nothing of clients. All is PEM, as files have it.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`, with which of the two is wrong.
    pub fn new(certificates: &[u8], key: &[u8]) -> Result<Self> {
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain(certificates)?, private_key(key)?)
            .map_err(unusable)?;
        Ok(Self::from_config(config))
    }

    /// The same, and each client must show a certificate that one of these authorities has signed. Who that is, is the
    /// [peer](Peer::Certificate) of its calls.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`, with which of the three is wrong.
    pub fn mutual(certificates: &[u8], key: &[u8], client_authorities: &[u8]) -> Result<Self> {
        let provider = provider();
        let roots = Arc::new(roots(client_authorities)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(unusable)?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain(certificates)?, private_key(key)?)
            .map_err(unusable)?;
        Ok(Self::from_config(config))
    }

    /// What rustls can be told otherwise: certificates that change, revocation, other authorities. ALPN is set here.
    #[must_use]
    pub fn from_config(mut config: ServerConfig) -> Self {
        config.alpn_protocols = vec![ALPN.to_vec()];
        Self(Arc::new(config))
    }

    /// Also for browsers, which may speak no HTTP/2.
    #[cfg(feature = "grpc-web")]
    pub(super) fn with_http1(mut self) -> Self {
        let config = Arc::make_mut(&mut self.0);
        config.alpn_protocols = vec![ALPN.to_vec(), b"http/1.1".to_vec()];
        self
    }

    /// Shakes hands with a client; says who it is, if it has shown a certificate.
    pub(super) async fn accept<I>(
        &self,
        io: I,
    ) -> std::io::Result<(server::TlsStream<I>, Option<Peer>)>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = TlsAcceptor::from(Arc::clone(&self.0)).accept(io).await?;
        let peer = peer(stream.get_ref().1.peer_certificates());
        Ok((stream, peer))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

/// Whom a client trusts, and what it shows.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl ClientTls {
    /// Trusts servers whose certificates one of these authorities, in PEM, has signed.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`, with what is wrong.
    pub fn new(authorities: &[u8]) -> Result<Self> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(roots(authorities)?)
            .with_no_client_auth();
        Ok(Self::from_config(config))
    }

    /// The same, and shows a chain of certificates, its own first, to servers that ask.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`, with which of the three is wrong.
    pub fn mutual(authorities: &[u8], certificates: &[u8], key: &[u8]) -> Result<Self> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(roots(authorities)?)
            .with_client_auth_cert(chain(certificates)?, private_key(key)?)
            .map_err(unusable)?;
        Ok(Self::from_config(config))
    }

    /// What rustls can be told otherwise, such as the authorities of the system. ALPN is set here.
    #[must_use]
    pub fn from_config(mut config: ClientConfig) -> Self {
        config.alpn_protocols = vec![ALPN.to_vec()];
        Self {
            config: Arc::new(config),
            server_name: None,
        }
    }

    /// Sets the name that servers must show a certificate for, where it is not the host that is dialled.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if it is neither a name nor an address.
    pub fn server_name(mut self, name: &str) -> Result<Self> {
        self.server_name = Some(server_name(name)?);
        Ok(self)
    }

    /// Shakes hands with the server at `host`.
    pub(super) async fn connect<I>(
        &self,
        host: &str,
        io: I,
    ) -> Result<client::TlsStream<I>, Box<dyn std::error::Error + Send + Sync>>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => server_name(host)?,
        };
        let connector = TlsConnector::from(Arc::clone(&self.config));
        Ok(connector.connect(name, io).await?)
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// Who a peer is by the certificates that it showed and the handshake has checked; `None` if it showed none.
pub(super) fn peer(certificates: Option<&[CertificateDer<'static>]>) -> Option<Peer> {
    let certificate = certificates?.first()?;
    let (names, key) = match webpki::EndEntityCert::try_from(certificate) {
        Ok(parsed) => (
            parsed
                .valid_dns_names()
                .chain(parsed.valid_uri_names())
                .map(str::to_owned)
                .collect(),
            ed25519_key(parsed.subject_public_key_info().as_ref()),
        ),
        // The handshake has read it, so this does not happen; its bytes are an identity all the same.
        Err(_) => (Vec::new(), None),
    };
    Some(Peer::Certificate(Certificate::new(
        certificate.to_vec(),
        names,
        key,
    )))
}

/// The key in a `SubjectPublicKeyInfo`, if it is one of Ed25519 ([RFC 8410](https://www.rfc-editor.org/rfc/rfc8410#section-4)).
fn ed25519_key(spki: &[u8]) -> Option<[u8; 32]> {
    const PREFIX: [u8; 12] = [
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
    ];
    spki.strip_prefix(&PREFIX)?.try_into().ok()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| invalid("a certificate cannot be read", error))?;
    if chain.is_empty() {
        return Err(Status::invalid_argument(
            "there is no certificate: PEM has it between -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----",
        ));
    }
    Ok(chain)
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|error| invalid("the private key cannot be read", error))
}

fn roots(pem: &[u8]) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(pem)? {
        roots
            .add(certificate)
            .map_err(|error| invalid("an authority's certificate cannot be used", error))?;
    }
    Ok(roots)
}

fn server_name(name: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(name.to_owned())
        .map_err(|error| invalid(&format!("{name:?} is not the name of a server"), error))
}

fn unusable(error: impl std::error::Error + Send + Sync + 'static) -> Status {
    invalid("certificate and key cannot be used", error)
}

fn invalid(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> Status {
    Status::invalid_argument(format!("{what}: {error}")).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pem_is_said() {
        for (status, says) in [
            (ServerTls::new(b"", b"").unwrap_err(), "no certificate"),
            (ClientTls::new(b"nonsense").unwrap_err(), "no certificate"),
            (
                ClientTls::new(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
                    .unwrap_err(),
                "cannot be read",
            ),
        ] {
            assert!(status.message().contains(says), "{status}");
        }
    }

    #[test]
    fn only_ed25519_keys_are_keys_of_peers() {
        let mut spki = vec![
            0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
        ];
        spki.extend([7; 32]);
        assert_eq!(ed25519_key(&spki), Some([7; 32]));
        spki.push(0);
        assert_eq!(ed25519_key(&spki), None);
    }
}
