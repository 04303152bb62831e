//! [`GrpcConnector`]: dials gRPC servers by their addresses.

use std::{fmt, net::SocketAddr, str::FromStr, sync::Arc, time::Duration};

use http::{
    HeaderValue, Uri,
    uri::{Authority, Scheme},
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{net::TcpStream, time::timeout};

#[cfg(feature = "grpc-tls")]
use super::tls::ClientTls;
use super::{
    ask::{Origin, Terms},
    config::KeepAlive,
    dialled::{GrpcConnection, Settings},
    encoding::Encoding,
};
use crate::{
    dispatch::Connect,
    status::{Result, Status},
};

/// How long a dial may take, with all its handshakes.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// After how long without an answer TCP itself gives up a server that is gone without a word. No server minds being asked by TCP.
#[cfg(any(target_os = "android", target_os = "linux"))]
const SILENCE: Duration = Duration::from_secs(20);

/// How often an idle connection is asked, three times before it is given up.
const PROBES: Duration = Duration::from_secs(5);

/// Who calls, in the words of the gRPC document.
const USER_AGENT: &str = concat!("grpc-rust-blixard/", env!("CARGO_PKG_VERSION"));

/// Dials gRPC servers: for a pooled channel, or for one connection.
///
/// Calls run on HTTP/2 itself, with less between than tonic's `Channel` has, which [`Grpc`](super::Grpc) is for.
#[derive(Clone, Debug)]
pub struct GrpcConnector {
    timeout: Duration,
    keep_alive: Option<KeepAlive>,
    terms: Arc<Terms>,
    #[cfg(feature = "grpc-tls")]
    tls: Option<ClientTls>,
}

impl Default for GrpcConnector {
    fn default() -> Self {
        Self::new()
    }
}

impl GrpcConnector {
    /// A connector with the defaults.
    #[must_use]
    pub fn new() -> Self {
        let mut terms = Terms::default();
        terms.set_user_agent(HeaderValue::from_static(USER_AGENT));
        Self {
            timeout: CONNECT_TIMEOUT,
            keep_alive: None,
            terms: Arc::new(terms),
            #[cfg(feature = "grpc-tls")]
            tls: None,
        }
    }

    /// Sets how long a dial may take, in place of [`CONNECT_TIMEOUT`].
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets whom servers at `https` addresses must be trusted by, and what is shown to them.
    #[cfg(feature = "grpc-tls")]
    #[must_use]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Pings servers, to notice those that are gone without a word sooner than TCP does, which takes 20 seconds. By default it does not:
    /// many servers close the connections of clients who ping more often than every five minutes.
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: KeepAlive) -> Self {
        self.keep_alive = Some(keep_alive);
        self
    }

    /// Sets in which encodings compressed responses are read; by default in [all](Encoding::ALL).
    #[must_use]
    pub fn accept_compressed(mut self, encodings: &[Encoding]) -> Self {
        Arc::make_mut(&mut self.terms).set_accept(encodings);
        self
    }

    /// Compresses requests. The servers must be ones that read this encoding.
    #[must_use]
    pub fn send_compressed(mut self, encoding: Encoding) -> Self {
        Arc::make_mut(&mut self.terms).set_send(encoding);
        self
    }

    /// Dials now, and answers the connection itself: no redial when it ends.
    ///
    /// # Errors
    /// `UNAVAILABLE` with the reason.
    pub async fn dial(&self, peer: &GrpcPeer) -> Result<GrpcConnection> {
        let dialled = timeout(self.timeout, self.open(peer)).await;
        let because = match dialled {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error,
            Err(_) => format!(
                "no answer within {:?}; is it running, and is its address right?",
                self.timeout
            )
            .into(),
        };
        Err(
            Status::unavailable(format!("cannot reach {peer}: {because}"))
                .with_source(because)
                .with_not_accepted(),
        )
    }

    async fn open(
        &self,
        peer: &GrpcPeer,
    ) -> Result<GrpcConnection, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect((peer.host(), peer.port())).await?;
        // Small requests must not wait for acknowledgements of earlier ones.
        stream.set_nodelay(true)?;
        watch(&stream);
        let origin = Origin {
            scheme: Some(peer.scheme.clone()),
            authority: Some(peer.authority.clone()),
        };
        let settings = Settings {
            origin,
            terms: Arc::clone(&self.terms),
            keep_alive: self.keep_alive,
            local_addr: stream.local_addr().ok(),
        };
        if !peer.is_tls() {
            return GrpcConnection::open(stream, settings).await;
        }
        #[cfg(feature = "grpc-tls")]
        if let Some(tls) = &self.tls {
            let stream = tls.connect(peer.host(), stream).await?;
            return GrpcConnection::open(stream, settings).await;
        }
        Err("an https address needs TLS: the feature grpc-tls, and GrpcConnector::tls".into())
    }
}

/// Lets the system notice a server that is gone. Where it cannot, calls still have their deadlines.
fn watch(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(PROBES)
        .with_interval(PROBES)
        .with_retries(3);
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(any(target_os = "android", target_os = "linux"))]
    let _ = socket.set_tcp_user_timeout(Some(SILENCE));
}

impl Connect for GrpcConnector {
    type Peer = GrpcPeer;
    type Connection = GrpcConnection;

    async fn connect(&self, peer: &GrpcPeer) -> Result<GrpcConnection> {
        self.dial(peer).await
    }

    async fn closed(connection: &GrpcConnection) -> Status {
        connection.retired().await
    }
}

/// Whom to dial: `http://host:port`, or `https://host:port` for TLS. Without a port it is 80 or 443.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GrpcPeer {
    scheme: Scheme,
    authority: Authority,
}

impl GrpcPeer {
    /// Whether the connection is to be encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The name or address of the host, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority.host().trim_matches(['[', ']'])
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        let usual = if self.is_tls() { 443 } else { 80 };
        self.authority.port_u16().unwrap_or(usual)
    }
}

/// Without TLS.
impl From<SocketAddr> for GrpcPeer {
    fn from(address: SocketAddr) -> Self {
        Self {
            scheme: Scheme::HTTP,
            authority: address
                .to_string()
                .parse()
                .expect("an address and a port are an authority"),
        }
    }
}

impl TryFrom<Uri> for GrpcPeer {
    type Error = Status;

    fn try_from(uri: Uri) -> Result<Self> {
        let invalid = |what: &str| {
            Status::invalid_argument(format!(
                "{uri:?} is no address of a gRPC server: {what}; it is http://host:port or https://host:port"
            ))
        };
        let scheme = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => scheme.clone(),
            Some(_) => return Err(invalid("it has another scheme")),
            None => return Err(invalid("it has no scheme")),
        };
        let Some(authority) = uri
            .authority()
            .filter(|authority| !authority.host().is_empty())
        else {
            return Err(invalid("it has no host"));
        };
        if authority.as_str().contains('@') {
            return Err(invalid("it names a user"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(invalid("it has a path"));
        }
        Ok(Self {
            scheme,
            authority: authority.clone(),
        })
    }
}

impl FromStr for GrpcPeer {
    type Err = Status;

    fn from_str(text: &str) -> Result<Self> {
        let uri: Uri = text.trim().parse().map_err(|error| {
            Status::invalid_argument(format!("{text:?} is no address of a gRPC server: {error}"))
        })?;
        uri.try_into()
    }
}

impl fmt::Debug for GrpcPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for GrpcPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, host, port, tls) in [
            ("http://127.0.0.1:50051", "127.0.0.1", 50051, false),
            ("https://example.org", "example.org", 443, true),
            ("http://[::1]:7/", "::1", 7, false),
            ("http://example.org", "example.org", 80, false),
        ] {
            let peer: GrpcPeer = text.parse().unwrap();
            assert_eq!((peer.host(), peer.port(), peer.is_tls()), (host, port, tls));
        }
        let address: SocketAddr = "[::1]:50051".parse().unwrap();
        assert_eq!(GrpcPeer::from(address).to_string(), "http://[::1]:50051");
        for (text, says) in [
            ("127.0.0.1:50051", "scheme"),
            ("ftp://host", "scheme"),
            ("http://user@host:1", "user"),
            ("http://host/path", "path"),
            ("", "address"),
        ] {
            let status = text.parse::<GrpcPeer>().unwrap_err();
            assert!(status.message().contains(says), "{status}");
        }
    }
}
