//! A [`ServiceRunner`] as a configuration says: files are read, and addresses are bound.

#[cfg(any(feature = "iroh", feature = "grpc-tls"))]
use std::path::Path;

#[cfg(feature = "grpc")]
use super::grpc::{Compression, GrpcLimits, GrpcSettings, TlsSettings, WebOrigins};
#[cfg(feature = "iroh")]
use super::settings::{IrohSettings, Relays};
use super::{error::ConfigError, settings::RunnerConfig};
#[cfg(feature = "grpc")]
use crate::transport::grpc::{GrpcConfig, GrpcServer, KeepAlive};
#[cfg(feature = "iroh")]
use crate::transport::iroh::{
    ALPN, Builder, Endpoint, IrohServer, SecretKey, presets, transport_config,
};
use crate::{
    runner::{Migration, ServiceRunner, Transport, service_runner::mistake},
    server::Router,
};

impl RunnerConfig {
    /// A runner for `router` as the configuration says, its addresses bound; [`ServiceRunner::start`] serves.
    ///
    /// # Errors
    /// A service that is carried by what is not served, or does not exist; a file that cannot be read, or an address that cannot be
    /// bound: each with its key.
    pub async fn runner(&self, router: Router) -> Result<ServiceRunner, ConfigError> {
        let runner = self.checked(router)?;
        #[cfg(feature = "iroh")]
        let runner = if self.mode.serves(Transport::Iroh) {
            runner.iroh(self.iroh.bind().await?, IrohServer::new)
        } else {
            runner
        };
        self.with_grpc(runner).await
    }

    /// The same on an endpoint that is there already, such as one that this process dials by too: [`IrohSettings::bind`] or
    /// [`IrohSettings::builder`] makes it; `server` is [`IrohServer::new`], or more. It is not served in
    /// [`Mode::Grpc`](crate::runner::Mode::Grpc).
    ///
    /// # Errors
    /// As of [`runner`](Self::runner).
    #[cfg(feature = "iroh")]
    pub async fn runner_on(
        &self,
        router: Router,
        endpoint: Endpoint,
        server: impl FnOnce(Router) -> IrohServer + Send + 'static,
    ) -> Result<ServiceRunner, ConfigError> {
        let runner = self.checked(router)?.iroh(endpoint, server);
        self.with_grpc(runner).await
    }

    /// A runner that serves nowhere yet. Nothing is bound before this.
    fn checked(&self, router: Router) -> Result<ServiceRunner, ConfigError> {
        let router = if self.reflection {
            with_reflection(router)?
        } else {
            router
        };
        if let Some((what, why)) = mistake(&self.migration, &router, self.mode) {
            return Err(ConfigError::one("", what, why));
        }
        Ok(ServiceRunner::new(router, self.mode).migration(Migration::new(self.migration.clone())))
    }

    #[cfg_attr(
        not(feature = "grpc"),
        allow(clippy::unused_async, reason = "with gRPC it binds")
    )]
    async fn with_grpc(&self, runner: ServiceRunner) -> Result<ServiceRunner, ConfigError> {
        #[cfg(feature = "grpc")]
        let runner = match &self.grpc {
            Some(grpc) if self.mode.serves(Transport::Grpc) => serve_grpc(runner, grpc).await?,
            _ => runner,
        };
        Ok(runner)
    }
}

#[cfg(feature = "iroh")]
impl IrohSettings {
    /// An endpoint as these say, bound.
    ///
    /// # Errors
    /// A key that cannot be read, or an address that cannot be bound.
    pub async fn bind(&self) -> Result<Endpoint, ConfigError> {
        let bound = self.builder()?.bind().await;
        bound.map_err(|error| self.cannot_be_bound(&error))
    }

    /// An endpoint as these say, to which more can be said, such as hooks, before it is bound.
    ///
    /// # Errors
    /// A key that cannot be read, or an address that is none to bind.
    pub fn builder(&self) -> Result<Builder, ConfigError> {
        let key = match &self.secret_key_file {
            Some(path) => {
                let text = read("iroh.secret_key_file", path)?;
                let key = String::from_utf8(text).ok();
                key.and_then(|text| text.trim().parse().ok()).ok_or_else(|| {
                    let allowed = "it holds no key; allowed are 64 hexadecimal digits, such as `openssl rand -hex 32` prints";
                    wrong("iroh.secret_key_file", path, allowed)
                })?
            }
            None => SecretKey::generate(),
        };
        let builder = match self.relays {
            Relays::N0 => Endpoint::builder(presets::N0),
            Relays::None => Endpoint::builder(presets::Minimal),
        };
        let builder = builder
            .secret_key(key)
            .alpns(vec![ALPN.to_vec()])
            .transport_config(transport_config());
        let Some(address) = self.bind else {
            return Ok(builder);
        };
        let bound = builder.clear_ip_transports().bind_addr(address);
        bound.map_err(|error| self.cannot_be_bound(&error))
    }

    fn cannot_be_bound(&self, error: &dyn std::fmt::Display) -> ConfigError {
        let bind = self.bind.map_or_else(String::new, |bind| bind.to_string());
        let why = format!("it cannot be bound: {error}");
        ConfigError::one("", format!("iroh.bind = {bind:?}"), why)
    }
}

#[cfg(feature = "grpc-reflection")]
fn with_reflection(router: Router) -> Result<Router, ConfigError> {
    let wrong = |why: String| ConfigError::one("", "reflection = true", why);
    if router
        .services()
        .any(|service| service.name.starts_with("grpc.reflection."))
    {
        return Err(wrong(
            "the router has it already; leave the key out, or set it to false".to_owned(),
        ));
    }
    router
        .reflection()
        .map_err(|error| wrong(error.to_string()))
}

#[cfg(not(feature = "grpc-reflection"))]
fn with_reflection(_: Router) -> Result<Router, ConfigError> {
    Err(not_built("reflection = true", "grpc-reflection"))
}

#[cfg(not(all(
    feature = "grpc-reflection",
    feature = "grpc-compression",
    feature = "grpc-tls",
    feature = "grpc-web"
)))]
fn not_built(what: &str, feature: &str) -> ConfigError {
    let why = format!(
        "blixard-rpc was built without the feature {feature}; leave it out, or build with the feature"
    );
    ConfigError::one("", what, why)
}

#[cfg(feature = "grpc")]
async fn serve_grpc(
    runner: ServiceRunner,
    settings: &GrpcSettings,
) -> Result<ServiceRunner, ConfigError> {
    let config = settings.limits.config();
    let mut configure: Configure = Box::new(move |router| GrpcServer::with_config(router, config));
    if let Some(tls) = &settings.tls {
        configure = with_tls(configure, tls)?;
    }
    if let Some(origins) = &settings.web_origins {
        configure = with_web(configure, origins)?;
    }
    if let Some(compression) = settings.compression {
        configure = with_compression(configure, compression)?;
    }
    let listener = tokio::net::TcpListener::bind(settings.listen)
        .await
        .map_err(|error| {
            let what = format!("grpc.listen = \"{}\"", settings.listen);
            ConfigError::one("", what, format!("it cannot be bound: {error}"))
        })?;
    Ok(runner.grpc(listener, configure))
}

#[cfg(feature = "grpc")]
impl GrpcLimits {
    /// These limits, and the defaults where nothing is said.
    #[must_use]
    pub fn config(&self) -> GrpcConfig {
        let or = GrpcConfig::default();
        let keep_alive = or.keep_alive.unwrap_or_default();
        GrpcConfig {
            max_connections: self.max_connections.unwrap_or(or.max_connections),
            max_connections_per_address: self
                .max_connections_per_address
                .unwrap_or(or.max_connections_per_address),
            max_connections_per_identity: self
                .max_connections_per_identity
                .unwrap_or(or.max_connections_per_identity),
            max_handshakes: self.max_handshakes.unwrap_or(or.max_handshakes),
            max_handshakes_per_address: self
                .max_handshakes_per_address
                .unwrap_or(or.max_handshakes_per_address),
            handshake_timeout: self.handshake_timeout.unwrap_or(or.handshake_timeout),
            max_calls: self.max_calls.unwrap_or(or.max_calls),
            max_calls_per_connection: self
                .max_calls_per_connection
                .unwrap_or(or.max_calls_per_connection),
            max_message_bytes: self.max_message_bytes.unwrap_or(or.max_message_bytes),
            max_inbound_bytes: self.max_inbound_bytes.unwrap_or(or.max_inbound_bytes),
            keep_alive: Some(KeepAlive {
                interval: self.keep_alive.unwrap_or(keep_alive.interval),
                timeout: self.keep_alive_timeout.unwrap_or(keep_alive.timeout),
            }),
        }
    }
}

#[cfg(feature = "grpc")]
type Configure = Box<dyn FnOnce(Router) -> GrpcServer + Send>;

#[cfg(feature = "grpc-web")]
fn with_web(configure: Configure, origins: &WebOrigins) -> Result<Configure, ConfigError> {
    use crate::transport::grpc::Origins;

    let origins = match origins {
        WebOrigins::Any => Origins::any(),
        WebOrigins::Only(origins) => Origins::only(origins.clone()),
    };
    Ok(Box::new(move |router| configure(router).web(origins)))
}

#[cfg(all(feature = "grpc", not(feature = "grpc-web")))]
fn with_web(_: Configure, _: &WebOrigins) -> Result<Configure, ConfigError> {
    Err(not_built("grpc.web_origins", "grpc-web"))
}

#[cfg(feature = "grpc-compression")]
fn with_compression(
    configure: Configure,
    compression: Compression,
) -> Result<Configure, ConfigError> {
    use crate::transport::grpc::Encoding;

    let encoding = match compression {
        Compression::Gzip => Encoding::Gzip,
        Compression::Zstd => Encoding::Zstd,
    };
    Ok(Box::new(move |router| {
        configure(router).send_compressed(&[encoding])
    }))
}

#[cfg(all(feature = "grpc", not(feature = "grpc-compression")))]
fn with_compression(_: Configure, _: Compression) -> Result<Configure, ConfigError> {
    Err(not_built("grpc.compression", "grpc-compression"))
}

#[cfg(feature = "grpc-tls")]
fn with_tls(configure: Configure, settings: &TlsSettings) -> Result<Configure, ConfigError> {
    use crate::transport::grpc::ServerTls;

    let certificates = read("grpc.tls.certificate_file", &settings.certificate_file)?;
    let key = read("grpc.tls.key_file", &settings.key_file)?;
    let tls = match &settings.client_authorities_file {
        Some(path) => {
            let authorities = read("grpc.tls.client_authorities_file", path)?;
            ServerTls::mutual(&certificates, &key, &authorities)
        }
        None => ServerTls::new(&certificates, &key),
    };
    let tls = tls.map_err(|status| ConfigError::one("", "grpc.tls", status.message()))?;
    Ok(Box::new(move |router| configure(router).tls(tls)))
}

#[cfg(all(feature = "grpc", not(feature = "grpc-tls")))]
fn with_tls(_: Configure, _: &TlsSettings) -> Result<Configure, ConfigError> {
    Err(not_built("[grpc.tls]", "grpc-tls"))
}

#[cfg(any(feature = "iroh", feature = "grpc-tls"))]
fn read(key: &str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|error| wrong(key, path, &format!("it cannot be read: {error}")))
}

#[cfg(any(feature = "iroh", feature = "grpc-tls"))]
fn wrong(key: &str, path: &Path, why: &str) -> ConfigError {
    ConfigError::one("", format!("{key} = {path:?}"), why)
}
