//! [`GrpcSettings`]: what a configuration says of gRPC. What comes of it is in `start`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::section::{ADDRESS, FILE, Section};

/// How gRPC is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcSettings {
    /// Where connections are accepted.
    pub listen: SocketAddr,
    /// In what responses are compressed to clients that accept it; by default in nothing.
    pub compression: Option<Compression>,
    /// The pages whose browsers may call by gRPC-Web; `None` for none.
    pub web_origins: Option<WebOrigins>,
    /// With which certificates; by default without TLS.
    pub tls: Option<TlsSettings>,
    /// What is allowed.
    pub limits: GrpcLimits,
}

/// How responses are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// `gzip`: what every gRPC library has.
    Gzip,
    /// `zstd`: faster and smaller, where both sides have it.
    Zstd,
}

/// Whose pages may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebOrigins {
    /// Every page there is.
    Any,
    /// Pages of these origins.
    Only(Vec<String>),
}

/// The certificates of a gRPC server, each a file in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The server's certificate, and those that lead to its authority.
    pub certificate_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// The authorities of clients, who then must show a certificate of one of them.
    pub client_authorities_file: Option<PathBuf>,
}

/// What a gRPC server allows: the fields of `GrpcConfig`, whose defaults stand for those that are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrpcLimits {
    /// How many connections may be open at once.
    pub max_connections: Option<usize>,
    /// How many connections may be open at once from one address.
    pub max_connections_per_address: Option<usize>,
    /// How many connections may be open at once of clients with one certificate.
    pub max_connections_per_identity: Option<usize>,
    /// How many handshakes may be under way at once.
    pub max_handshakes: Option<usize>,
    /// How many handshakes may be under way at once with one address.
    pub max_handshakes_per_address: Option<usize>,
    /// How long a handshake may take.
    pub handshake_timeout: Option<Duration>,
    /// How many calls may be in flight at once, over all connections.
    pub max_calls: Option<usize>,
    /// How many calls may be in flight at once on one connection.
    pub max_calls_per_connection: Option<u32>,
    /// The largest request.
    pub max_message_bytes: Option<usize>,
    /// How many bytes are held of requests that have not come whole, over all connections.
    pub max_inbound_bytes: Option<usize>,
    /// How often clients are pinged.
    pub keep_alive: Option<Duration>,
    /// How long one may take to answer.
    pub keep_alive_timeout: Option<Duration>,
}

/// Reads the section; nothing if nothing is said in it, and it is not served.
pub(super) fn grpc(mut section: Section<'_>, is_served: bool) -> Option<GrpcSettings> {
    if section.is_empty() && !is_served {
        return None;
    }
    let listen = section.needed("listen", ADDRESS);
    let compression = section.one_of(
        "compression",
        &[
            ("gzip", Some(Compression::Gzip)),
            ("zstd", Some(Compression::Zstd)),
            ("none", None),
        ],
    );
    let web_origins = section.setting("web_origins", WEB_ORIGINS, web_origins);
    let tls = tls(section.section("tls"));
    let limits = limits(section.section("limits"));
    section.finish();
    Some(GrpcSettings {
        listen: listen?,
        compression: compression.flatten(),
        web_origins,
        tls,
        limits,
    })
}

fn tls(mut section: Section<'_>) -> Option<TlsSettings> {
    if section.is_empty() {
        return None;
    }
    let certificate_file = section.needed("certificate_file", FILE);
    let key_file = section.needed("key_file", FILE);
    let client_authorities_file = section.parsed("client_authorities_file", FILE);
    section.finish();
    Some(TlsSettings {
        certificate_file: certificate_file?,
        key_file: key_file?,
        client_authorities_file,
    })
}

fn limits(mut section: Section<'_>) -> GrpcLimits {
    let limits = GrpcLimits {
        max_connections: section.count("max_connections", MANY),
        max_connections_per_address: section.count("max_connections_per_address", MANY),
        max_connections_per_identity: section.count("max_connections_per_identity", MANY),
        max_handshakes: section.count("max_handshakes", MANY),
        max_handshakes_per_address: section.count("max_handshakes_per_address", MANY),
        handshake_timeout: section.duration("handshake_timeout"),
        max_calls: section.count("max_calls", MANY),
        max_calls_per_connection: section
            .count("max_calls_per_connection", MANY)
            .and_then(|count| count.try_into().ok()),
        max_message_bytes: section.count("max_message_bytes", crate::method::MAX_MESSAGE_BYTES),
        max_inbound_bytes: section.count("max_inbound_bytes", u32::MAX as usize),
        keep_alive: section.duration("keep_alive"),
        keep_alive_timeout: section.duration("keep_alive_timeout"),
    };
    section.finish();
    limits
}

/// More than any of them can be of use.
const MANY: usize = 1_000_000;

const WEB_ORIGINS: &str = "\"*\" for every page, or origins without a path and with commas between, such as \"https://app.example.org, http://localhost:8080\"";

fn web_origins(text: &str) -> Option<WebOrigins> {
    if text == "*" {
        return Some(WebOrigins::Any);
    }
    let origins: Option<Vec<String>> = text.split(',').map(origin).collect();
    origins.map(WebOrigins::Only)
}

fn origin(text: &str) -> Option<String> {
    let text = text.trim();
    let host = ["https://", "http://"]
        .into_iter()
        .find_map(|scheme| text.strip_prefix(scheme))?;
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '*' | '?' | '#' | '@' | '"');
    (!host.is_empty() && host.chars().all(plain)).then(|| text.to_owned())
}
