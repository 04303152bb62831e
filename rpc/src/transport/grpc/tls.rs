//! TLS by rustls: what a server shows, whom it trusts, and who a peer is by its certificate.

use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::call::{Certificate, Peer};

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
