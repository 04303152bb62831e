//! A [`ServiceRunner`] as a configuration says: files are read, and addresses are bound.

#[cfg(any(feature = "iroh", feature = "grpc-tls"))]
use std::path::Path;

#[cfg(feature = "grpc")]
use super::settings::{GrpcSettings, TlsSettings};
#[cfg(feature = "iroh")]
use super::settings::{IrohSettings, Relays};
use super::{error::ConfigError, settings::RunnerConfig};
#[cfg(feature = "grpc")]
use crate::transport::grpc::GrpcServer;
#[cfg(feature = "iroh")]
use crate::transport::iroh::{ALPN, Endpoint, IrohServer, SecretKey, presets, transport_config};
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
        // Before anything is bound.
        if let Some((what, why)) = mistake(&self.migration, &router, self.mode) {
            return Err(ConfigError::one("", what, why));
        }
        let runner =
            ServiceRunner::new(router, self.mode).migration(Migration::new(self.migration.clone()));
        #[cfg(feature = "iroh")]
        let runner = if self.mode.serves(Transport::Iroh) {
            runner.iroh(endpoint(&self.iroh).await?, IrohServer::new)
        } else {
            runner
        };
        #[cfg(feature = "grpc")]
        let runner = match &self.grpc {
            Some(grpc) if self.mode.serves(Transport::Grpc) => serve_grpc(runner, grpc).await?,
            _ => runner,
        };
        Ok(runner)
    }
}

#[cfg(feature = "iroh")]
async fn endpoint(settings: &IrohSettings) -> Result<Endpoint, ConfigError> {
    let key = match &settings.secret_key_file {
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
    let builder = match settings.relays {
        Relays::N0 => Endpoint::builder(presets::N0),
        Relays::None => Endpoint::builder(presets::Minimal),
    };
    let mut builder = builder
        .secret_key(key)
        .alpns(vec![ALPN.to_vec()])
        .transport_config(transport_config());
    let bind = settings
        .bind
        .map_or_else(String::new, |bind| bind.to_string());
    let cannot = |error: &dyn std::fmt::Display| {
        ConfigError::one(
            "",
            format!("iroh.bind = {bind:?}"),
            format!("it cannot be bound: {error}"),
        )
    };
    if let Some(address) = settings.bind {
        builder = builder
            .clear_ip_transports()
            .bind_addr(address)
            .map_err(|error| cannot(&error))?;
    }
    builder.bind().await.map_err(|error| cannot(&error))
}

#[cfg(feature = "grpc")]
async fn serve_grpc(
    runner: ServiceRunner,
    settings: &GrpcSettings,
) -> Result<ServiceRunner, ConfigError> {
    let configure = match &settings.tls {
        Some(tls) => with_tls(tls)?,
        None => Box::new(GrpcServer::new),
    };
    let listener = tokio::net::TcpListener::bind(settings.listen)
        .await
        .map_err(|error| {
            let what = format!("grpc.listen = \"{}\"", settings.listen);
            ConfigError::one("", what, format!("it cannot be bound: {error}"))
        })?;
    Ok(runner.grpc(listener, configure))
}

#[cfg(feature = "grpc")]
type Configure = Box<dyn FnOnce(Router) -> GrpcServer + Send>;

#[cfg(feature = "grpc-tls")]
fn with_tls(settings: &TlsSettings) -> Result<Configure, ConfigError> {
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
    Ok(Box::new(move |router| GrpcServer::new(router).tls(tls)))
}

#[cfg(all(feature = "grpc", not(feature = "grpc-tls")))]
fn with_tls(_: &TlsSettings) -> Result<Configure, ConfigError> {
    let why = "blixard-rpc was built without the feature grpc-tls; leave the section out, or build with it";
    Err(ConfigError::one("", "[grpc.tls]", why))
}

#[cfg(any(feature = "iroh", feature = "grpc-tls"))]
fn read(key: &str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|error| wrong(key, path, &format!("it cannot be read: {error}")))
}

#[cfg(any(feature = "iroh", feature = "grpc-tls"))]
fn wrong(key: &str, path: &Path, why: &str) -> ConfigError {
    ConfigError::one("", format!("{key} = {path:?}"), why)
}
