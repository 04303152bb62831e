//! What a call passes on its way: authorization, limits, retries, metrics, and a layer of one's own. Each wraps calls of all shapes.
//!
//! `cargo run --example middleware`

use std::{
    error::Error,
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};

use blixard_examples::serve_and_connect;
use blixard_rpc::{
    CallOptions, Channel, Code, Dispatch, Layer, Result, Router, Status,
    call::{Request, Response},
    codec::Codec,
    iroh_service,
    method::{MethodDescriptor, ServiceDescriptor},
    middleware::{Authorize, Caller, Limit, Measure, Retry},
    observe::Metrics,
};

/// Keeps secrets.
#[iroh_service(package = "middleware.v1")]
pub trait Vault {
    /// Opens the vault. It may be asked again: that changes nothing.
    #[rpc(idempotent)]
    async fn open(&self) -> Result<String>;
}

/// Counts how often it was opened.
struct MyVault(AtomicU32);

impl Vault for MyVault {
    async fn open(&self) -> Result<String> {
        match self.0.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Err(Status::unavailable("the lock is frozen, try again")),
            tries => Ok(format!("open at try {}", tries + 1)),
        }
    }
}

/// A layer of one's own: says how each call ended, and how long that took.
struct Say;

impl Layer for Say {
    type Dispatch<D: Dispatch> = Saying<D>;

    fn layer<D: Dispatch>(&self, inner: D) -> Saying<D> {
        Saying(inner)
    }
}

struct Saying<D>(D);

impl<D: Dispatch> Dispatch for Saying<D> {
    async fn dispatch(&self, request: Request) -> Result<Response> {
        let (method, begin) = (request.method.clone(), Instant::now());
        let result = self.0.dispatch(request).await;
        let outcome = result.as_ref().err().map_or(Code::Ok, Status::code);
        println!("  {} {outcome} ({:.0?})", method.path(), begin.elapsed());
        result
    }

    // Questions that are not calls go through to who is behind.
    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        self.0.codec(service)
    }

    fn resolve(&self, path: &str) -> Option<&'static MethodDescriptor> {
        self.0.resolve(path)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // A peer has proved its key, `caller.peer()`, before anybody is asked; a token in the metadata is one more way.
    let with_token = Authorize::new(|caller: &Caller<'_>| match caller.metadata().get("token") {
        Some("sesame") => Ok(()),
        _ => Err(Status::permission_denied(format!(
            "{} needs the token",
            caller.path()
        ))),
    });
    let metrics = Metrics::new();
    let router = Router::new()
        .add(VaultServer::new(MyVault(AtomicU32::new(0))))
        .layer(with_token)
        .layer(Limit::new("vault", 100))
        .layer(Measure::server(&metrics));
    let (channel, _server) = serve_and_connect(router).await?;

    println!("without the token:");
    let vault = VaultClient::new(channel.clone());
    println!("  {}", vault.open().await.expect_err("there is no token"));

    println!("with it, and again where the server is unavailable:");
    let patient = Retry::new().layer(Say.layer(channel));
    let vault = VaultClient::new(Channel::new(patient))
        .with(CallOptions::new().metadata("token", "sesame"));
    println!("  {}", vault.open().await?);

    println!("what the server counted:");
    let text = metrics.render();
    for line in text.lines().filter(|line| line.contains("_total{")) {
        println!("  {line}");
    }
    Ok(())
}
